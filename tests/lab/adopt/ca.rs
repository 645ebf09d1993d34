//! A CA whose key nobody has: members keep their certificates until another CA has taken its place.

use std::fs;

use super::{Client, Layout, hosts_of, started, their_files, theirs};
use crate::harness::{Lab, current};

/// A client's certificate, of `ca`.
fn client_certificate(lab: &Lab, ca: &str, name: &str) {
    let script = format!(
        "cd theirs; printf 'extendedKeyUsage=clientAuth\\n' >ext
         openssl req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr 2>/dev/null
         openssl x509 -req -in {name}.csr -CA {ca}.crt -CAkey {ca}.key -CAcreateserial -days 9 -extfile ext -out {name}.crt 2>/dev/null"
    );
    let done = lab.as_operator("sh").args(["-euc", &script]).output().expect("sh");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn with<'a>(hosts: &'a [String], files: [&'a str; 2]) -> Vec<&'a str> {
    let mut words = vec![
        "adopt",
        "--cluster",
        "lab",
        "--yes",
        "--client-cert",
        files[0],
        "--client-key",
        files[1],
    ];
    for host in hosts {
        words.extend(["--host", host]);
    }
    words
}

#[test]
fn a_ca_without_its_key_gives_way_to_a_new_one_and_no_client_is_locked_out() {
    let lab = theirs(&current(), [Layout::Yaml, Layout::Kubespray, Layout::Flags]);
    client_certificate(&lab, "ca", "admin");
    // Theirs is gone for good; another CA has the same name.
    let dir = lab.dir().join("theirs");
    fs::remove_file(dir.join("ca.key")).expect("the key");
    let other = "cd theirs; openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=etcd-ca -keyout other.key -out other.crt 2>/dev/null";
    assert!(
        lab.as_operator("sh")
            .args(["-c", other])
            .status()
            .expect("sh")
            .success()
    );
    client_certificate(&lab, "other", "stranger");
    let (before, files) = (started(&lab), their_files(&lab));
    let client = Client::begin(&lab);
    let hosts = hosts_of(&lab);

    lab.quorate(&with(&hosts, ["theirs/stranger.crt", "theirs/stranger.key"]))
        .code(2)
        .says(&["is not from the members' CA"]);
    lab.quorate(&with(&hosts, ["theirs/admin.crt", "theirs/stranger.key"]))
        .code(2)
        .says(&["does not belong to the certificate"]);
    assert!(!lab.dir().join("pki/borrowed.age").exists() && !lab.dir().join("inventory.yml").exists());

    lab.quorate(&with(&hosts, ["theirs/admin.crt", "theirs/admin.key"]))
        .ok()
        .says(&["nothing was restarted", "none can be issued", "`quorate pki rotate-ca`"]);
    assert_eq!(started(&lab), before, "a member was restarted");
    let now = their_files(&lab);
    let of_theirs = |files: &[String]| -> Vec<String> {
        let own = |file: &String| file.lines().filter(|line| !line.contains("/etc/etcd/pki/")).collect();
        files.iter().map(own).collect()
    };
    assert_eq!(of_theirs(&now), of_theirs(&files), "something of theirs was changed");
    let borrowed = fs::read_to_string(lab.dir().join("pki/borrowed.age")).expect("a sealed file");
    assert!(borrowed.contains("AGE ENCRYPTED FILE") && !borrowed.contains("PRIVATE KEY"));
    assert!(!lab.dir().join("pki/ca.key.age").exists());
    assert_eq!(lab.status()["healthy"], true);

    // Nothing can be issued, and what runs as before does not know of another CA.
    lab.quorate(&["pki", "issue", "app", "--out", "early"])
        .says(&["taken over without it", "`quorate pki rotate-ca`"]);
    lab.quorate(&["pki", "renew", "--yes"])
        .code(4)
        .says(&["no certificate can be issued"]);
    lab.quorate(&["pki", "rotate-ca", "--yes"])
        .code(4)
        .says(&["still runs as before `quorate adopt`", "`quorate up` first"]);
    assert_eq!(started(&lab), before, "a member was restarted");

    lab.quorate(&["up", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok().says(&["nothing to do"]);
    client.writes_on();
    for host in lab.hosts() {
        host.sh(
            "cmp /etc/etcd/pki/server.key /etc/theirs/member.key; cmp /etc/etcd/pki/peer.crt /etc/theirs/member.crt",
        );
    }

    // Every member trusts both, and then it waits for clients that nobody here knows.
    lab.quorate(&["pki", "rotate-ca", "--yes"])
        .code(4)
        .says(&["clients from before `quorate adopt`", "--clients-ready"]);
    let waiting = started(&lab);
    lab.quorate(&["pki", "rotate-ca", "--yes"])
        .code(4)
        .says(&["--clients-ready"]);
    assert_eq!(started(&lab), waiting, "a member was restarted");
    client.writes_on();
    lab.quorate(&["pki", "issue", "app", "--out", "app"]).ok();
    client.gets(&lab, "app", "app");
    client.writes_on();
    lab.quorate(&["pki", "rotate-ca", "--clients-ready", "--yes"]).ok();
    client.writes_on();
    client.end();
    for left in ["borrowed.age", "taken-over.crt", "ca-next.crt", "ca-previous.crt"] {
        assert!(!lab.dir().join("pki").join(left).exists(), "{left} is left");
    }
    // The old CA opens nothing any more, and the new one is like any other.
    let refused = lab.host("n1").try_sh(
        "ETCDCTL_API=3 etcdctl --command-timeout 3s --endpoints https://127.0.0.1:2379 --insecure-skip-tls-verify \
         --cert /etc/theirs/member.crt --key /etc/theirs/member.key get written",
    );
    assert_ne!(refused.status, Some(0), "{refused}");
    lab.quorate(&["pki", "renew", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok().says(&["nothing to do"]);
    lab.assert_converged();
}
