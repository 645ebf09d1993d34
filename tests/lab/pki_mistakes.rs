//! What goes wrong with certificates, recipients and clocks: found before it hurts, said as what it is, put right or
//! refused with a way out.

use std::fs;
use std::path::PathBuf;

use crate::harness::{Host, Lab, Outcome, current};
use jiff::{Timestamp, ToSpan};
use quorate::inventory::{Desired, load};
use quorate::pki::{Authority, Issued, LeafSpec, PkiDir, Recipient, peer_spec, server_spec};

fn desired(lab: &Lab) -> Desired {
    load(&lab.dir().join("inventory.yml")).expect("the inventory").desired
}

fn days_ago(days: i64) -> Timestamp {
    Timestamp::now() - (24 * days).hours()
}

/// Makes the cluster's CA a year ago, so that this test can have old certificates from it, too.
fn own_ca(lab: &Lab) -> Authority {
    let desired = desired(lab);
    let identities: Vec<PathBuf> = vec![lab.home().join(".ssh/id_ed25519")];
    let recipients = Recipient::of_identities(&identities).expect("recipients");
    PkiDir::at(&desired.pki.dir, &desired.cluster)
        .create(&desired.pki, &recipients, &identities, &mut |_| None, days_ago(400))
        .expect("a CA")
}

/// A cluster of three whose CA's key this test has.
fn cluster() -> (Lab, Authority) {
    let lab = Lab::start(3);
    lab.plain_inventory(&current());
    let ca = own_ca(&lab);
    lab.quorate(&["up", "--yes"]).ok();
    (lab, ca)
}

/// Puts a certificate and its key in the place of a host's own, behind quorate's back.
fn put(host: &Host, role: &str, certificate: &str, key: &str) {
    for (kind, text) in [("crt", certificate), ("key", key)] {
        host.sh(&format!(
            "cat >/etc/etcd/pki/current/{role}.{kind} <<'END'\n{}\nEND",
            text.trim_end()
        ));
    }
}

fn put_issued(host: &Host, role: &str, issued: &Issued) {
    put(host, role, &issued.cert_pem, issued.key.expose_pem());
}

/// A certificate as `spec` wants it that may be shown by servers only: nothing in quorate would make one.
fn servers_only(lab: &Lab, ca: &Authority, spec: &LeafSpec) -> (String, String) {
    let names: Vec<String> = spec
        .sans
        .iter()
        .map(|san| match san.to_string().parse::<std::net::IpAddr>() {
            Ok(ip) => format!("IP:{ip}"),
            Err(_) => format!("DNS:{san}"),
        })
        .collect();
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("a file");
    write("ca.crt", &ca.certificate().to_pem());
    write("ca.key", ca.key().expose_pem());
    write(
        "ext",
        &format!("subjectAltName={}\nextendedKeyUsage=serverAuth\n", names.join(",")),
    );
    let script = format!(
        "cd {} && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={} -keyout key -out csr \
         && openssl x509 -req -in csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 90 -extfile ext -out crt",
        dir.path().display(),
        spec.common_name
    );
    let made = lab.as_operator("sh").args(["-c", &script]).output().expect("openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).expect("a file");
    (read("crt"), read("key"))
}

/// What lies in every host's pki directory. (etcd itself writes all the time.)
fn certificates(lab: &Lab) -> Vec<String> {
    let look = "cd /etc/etcd/pki && find . -type f -exec sha256sum {} + | sort";
    lab.hosts().iter().map(|host| host.sh(look)).collect()
}

/// The problems that `pki show` names; it must end with `code`.
#[track_caller]
fn problems(lab: &Lab, code: i32) -> String {
    let shown = lab.quorate(&["pki", "show", "--output", "json"]).code(code).json();
    shown["problems"].to_string()
}

/// Mistakes 9 to 12 of docs/etcd.md, "Common mistakes". Each looks healthy until somebody restarts the member.
#[test]
fn certificates_that_only_the_next_handshake_would_refuse_are_found_and_replaced_without_a_restart() {
    let (lab, ca) = cluster();
    let (wanted, host) = (desired(&lab), lab.host("n2"));
    let own = &wanted.hosts[&"n2".parse().unwrap()];
    let (server, peer) = (server_spec(&wanted, own), peer_spec(&wanted, own));
    let stranger = Authority::create(&wanted.cluster, &wanted.pki, days_ago(1)).expect("another CA");
    let elsewhere = LeafSpec {
        sans: vec!["10.99.99.99".parse().unwrap()],
        ..peer.clone()
    };
    let issued = |ca: &Authority, spec: &LeafSpec, days: i64| {
        let issued = ca.issue(spec, days_ago(days)).expect("a certificate");
        (issued.cert_pem, issued.key.expose_pem().to_owned())
    };
    let mistakes = [
        ("peer", servers_only(&lab, &ca, &peer), "may not be used for clientAuth"),
        ("peer", issued(&ca, &elsewhere, 1), "does not include"),
        (
            "server",
            servers_only(&lab, &ca, &server),
            "may not be used for clientAuth",
        ),
        (
            "server",
            issued(&stranger, &server, 1),
            "the current CA did not sign it",
        ),
        ("peer", issued(&ca, &peer, 399), "it expired at"),
    ];
    let pids = lab.pids();
    for (role, (certificate, key), says) in mistakes {
        put(host, role, &certificate, &key);
        let shown = problems(&lab, 11);
        assert!(
            shown.contains(&format!("n2: {role} certificate: ")) && shown.contains(says),
            "{role} {says}: {shown}"
        );
        let refused = lab.quorate(&["restart", "--limit", "n2", "--yes"]).code(4);
        assert!(refused.stderr.contains("n2"), "{refused}");
        assert_eq!(lab.pids(), pids, "refused: {role} {says}");
        lab.quorate(&["up", "--yes"]).ok();
        assert_eq!(lab.pids(), pids, "mended without a restart: {role} {says}");
        problems(&lab, 0);
    }
    lab.assert_converged();
}

/// The same, told from what was put there: etcd would not start with it.
#[test]
fn a_key_that_does_not_fit_its_certificate_is_found_before_a_restart() {
    let (lab, ca) = cluster();
    let (wanted, host) = (desired(&lab), lab.host("n2"));
    let spec = server_spec(&wanted, &wanted.hosts[&"n2".parse().unwrap()]);
    let kept = host.sh("cat /etc/etcd/pki/current/server.crt");
    put_issued(host, "server", &ca.issue(&spec, days_ago(1)).expect("a certificate"));
    host.sh(&format!(
        "cat >/etc/etcd/pki/current/server.crt <<'END'\n{}\nEND",
        kept.trim_end()
    ));
    let pids = lab.pids();
    lab.quorate(&["restart", "--limit", "n2", "--yes"]).code(4).says(&[
        "server.key",
        "would not start again",
        "quorate up",
    ]);
    lab.quorate(&["up", "--yes"]).ok();
    assert_eq!(lab.pids(), pids);
    lab.assert_converged();
}

/// Mistake 11 of docs/etcd.md: another CA in one go.
#[test]
fn a_ca_that_was_swapped_in_one_go_is_refused_on_either_side() {
    let (lab, _) = cluster();
    let before = (lab.pids(), certificates(&lab));
    let pki = lab.dir().join("pki");
    let kept: Vec<(PathBuf, Vec<u8>)> = ["ca.crt", "ca.key.age"]
        .map(|name| pki.join(name))
        .map(|path| (path.clone(), fs::read(path).expect("a file")))
        .into();
    for (path, _) in &kept {
        fs::remove_file(path).expect("it goes");
    }
    own_ca(&lab);
    for arguments in [&["up", "--yes"][..], &["pki", "renew", "--yes"]] {
        let refused = lab.quorate(arguments).code(4);
        assert!(refused.stderr.contains("rotate-ca"), "{refused}");
    }
    assert_eq!((lab.pids(), certificates(&lab)), before);
    for (path, text) in kept {
        fs::write(path, text).expect("it comes back");
    }
    lab.assert_converged();
}

#[test]
fn a_host_whose_clock_is_outside_a_certificates_validity_is_told_so() {
    let lab = Lab::cluster(1);
    let host = lab.host("n1");
    let before = (lab.pids(), certificates(&lab));
    for (seconds, says, direction) in [
        (-3 * 86_400, "server.crt is not valid before", "behind this machine's"),
        (400 * 86_400, "server.crt expired at", "ahead of this machine's"),
    ] {
        host.clock(seconds);
        let shown = problems(&lab, 11);
        assert!(
            shown.contains("n1: by its clock (") && shown.contains(says) && shown.contains("the certificate is good"),
            "{shown}"
        );
        for arguments in [&["pki", "renew", "--yes"][..], &["up", "--yes"]] {
            lab.quorate(arguments)
                .code(4)
                .says(&["n1", direction, "certificates would not be valid there", "chrony"]);
        }
    }
    assert_eq!((lab.pids(), certificates(&lab)), before);
    host.clock(0);
    problems(&lab, 0);
}

#[test]
fn a_ca_and_keys_that_do_not_belong_together_are_told_apart() {
    let lab = Lab::cluster(1);
    let before = (lab.pids(), certificates(&lab));
    let pki = lab.dir().join("pki");
    let good_ca = fs::read_to_string(pki.join("ca.crt")).unwrap();
    let good_key = fs::read_to_string(pki.join("ca.key.age")).unwrap();
    let other = Authority::create(&desired(&lab).cluster, &desired(&lab).pki, days_ago(1)).unwrap();

    // ca.crt is another's.
    fs::write(pki.join("ca.crt"), other.certificate().to_pem()).unwrap();
    lab.quorate(&["pki", "renew", "--yes"]).code(4).says(&[
        "contains the key of a CA",
        "that is not in ca.crt",
        "from one commit",
    ]);

    // A key in the clear that is another's: it is not sealed, and not taken away.
    fs::write(pki.join("ca.crt"), &good_ca).unwrap();
    fs::remove_file(pki.join("ca.key.age")).unwrap();
    fs::write(pki.join("ca.key"), other.key().expose_pem()).unwrap();
    lab.quorate(&["pki", "seal"])
        .code(4)
        .says(&["does not match the CA certificate", "next to each other"]);
    assert!(pki.join("ca.key").exists() && !pki.join("ca.key.age").exists());
    fs::remove_file(pki.join("ca.key")).unwrap();

    // The sealed file of another cluster.
    fs::write(
        pki.join("ca.key.age"),
        good_key.replace("# cluster: lab", "# cluster: other"),
    )
    .unwrap();
    lab.quorate(&["pki", "renew", "--yes"])
        .code(4)
        .says(&["the CA key of the cluster `other`, not of `lab`", "pki.dir"]);
    // The comment can be edited; what is sealed says it again.
    fs::write(pki.join("ca.key.age"), &good_key).unwrap();
    lab.edit("cluster: lab", "cluster: other");
    fs::write(
        pki.join("ca.key.age"),
        good_key.replace("# cluster: lab", "# cluster: other"),
    )
    .unwrap();
    lab.quorate(&["pki", "issue", "app", "--out", "out"])
        .code(4)
        .says(&["the CA key of the cluster `lab`, not of `other`"]);

    // Damaged.
    lab.edit("cluster: other", "cluster: lab");
    fs::write(
        pki.join("ca.key.age"),
        good_key.replace("AGE ENCRYPTED FILE", "AGE FILE"),
    )
    .unwrap();
    lab.quorate(&["pki", "renew", "--yes"])
        .code(4)
        .says(&["it is damaged", "version control"]);
    fs::write(pki.join("ca.key.age"), &good_key).unwrap();
    assert_eq!((lab.pids(), certificates(&lab)), before);
    lab.assert_converged();
}

#[test]
fn recipients_that_cannot_be_parsed_are_all_named_before_anything_is_made() {
    let lab = Lab::start(1);
    lab.plain_inventory(&current());
    let text = fs::read_to_string(lab.dir().join("inventory.yml")).unwrap();
    lab.write("broken.pub", "ssh-ed25519 AAAAjunk bob@laptop\n");
    let bad = "pki:\n  recipients: [age1qqqq, 'ssh-ed25519 AAAA junk', broken.pub, nowhere.pub]\n";
    lab.write("inventory.yml", &format!("{text}{bad}"));
    let all = ["age1qqqq", "ssh-ed25519 AAAA", "broken.pub", "nowhere.pub"];
    for arguments in [&["up", "--yes"][..], &["plan"], &["check"], &["pki", "seal"]] {
        lab.refuses(arguments, 3).says(&all);
    }
    assert!(!lab.dir().join("pki/ca.key.age").exists());
    lab.write("inventory.yml", &text);
    lab.quorate(&["up", "--yes"]).ok();
    lab.refuses(
        &["pki", "seal", "--recipient", "nowhere.pub", "--recipient", "age1qqqq"],
        2,
    )
    .says(&["nowhere.pub", "age1qqqq"]);
}

/// A second operator with a key and a home of their own.
fn operator(lab: &Lab, name: &str) -> PathBuf {
    let home = lab.dir().join(name);
    fs::create_dir_all(home.join(".ssh")).unwrap();
    let key = home.join(".ssh/id_ed25519");
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C"])
        .arg(format!("{name}@laptop"))
        .arg("-f")
        .arg(&key)
        .status()
        .expect("ssh-keygen");
    assert!(made.success());
    home
}

#[test]
fn operators_come_and_go() {
    let lab = Lab::cluster(1);
    let (bob, carol) = (operator(&lab, "bob"), operator(&lab, "carol"));
    let issue_as = |home: &PathBuf, name: &str| -> Outcome {
        let as_them = |command: &mut std::process::Command| {
            command.env("HOME", home);
        };
        lab.quorate_with(&["pki", "issue", name, "--out", "out"], as_them, b"")
    };
    let recipients = || {
        let shown = lab.quorate(&["pki", "show", "--output", "json"]).ok().json();
        shown["recipients"].to_string()
    };
    issue_as(&bob, "before")
        .code(4)
        .says(&["cannot be opened with your keys", "pki seal"]);

    lab.quorate(&[
        "pki",
        "seal",
        "--recipient",
        "bob/.ssh/id_ed25519.pub",
        "--recipient",
        "carol/.ssh/id_ed25519.pub",
    ])
    .ok();
    assert!(recipients().contains("bob@laptop") && recipients().contains("carol@laptop"));
    issue_as(&bob, "by-bob").ok();
    issue_as(&carol, "by-carol").ok();

    let sealed_to_bob = fs::read(lab.dir().join("pki/ca.key.age")).unwrap();
    let removed = lab.quorate(&["pki", "seal", "--remove", "bob@laptop"]).ok();
    assert!(
        removed.stderr.contains("rotate-ca --compromised"),
        "what it does not undo is said: {removed}"
    );
    assert!(!recipients().contains("bob") && recipients().contains("carol@laptop"));
    issue_as(&bob, "after")
        .code(4)
        .says(&["cannot be opened with your keys", "not sealed to this key"]);
    issue_as(&carol, "by-carol").ok();

    // What it does not undo: the old file, out of version control, still opens.
    let now = fs::read(lab.dir().join("pki/ca.key.age")).unwrap();
    fs::write(lab.dir().join("pki/ca.key.age"), sealed_to_bob).unwrap();
    issue_as(&bob, "from-the-old-file").ok();
    fs::write(lab.dir().join("pki/ca.key.age"), now).unwrap();

    lab.quorate(&["pki", "seal", "--remove", "bob@laptop"])
        .code(2)
        .says(&["is not a recipient", "carol@laptop"]);
}
