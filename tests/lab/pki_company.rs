//! A company's CA above the cluster's own.

use std::fs;

use crate::harness::{Lab, Outcome, current, releases};

/// Runs a shell script in the operator's directory.
#[track_caller]
fn sh(lab: &Lab, text: &str) -> Outcome {
    let output = lab.as_operator("sh").args(["-ec", text]).output().unwrap();
    Outcome::of(text.to_owned(), output)
}

/// The company: its root, and what it makes of a request with these extensions.
fn found_company(lab: &Lab) {
    sh(
        lab,
        "mkdir company && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
         -subj '/O=Example/CN=Example Root CA' -keyout company/root.key -out company/root.crt 2>/dev/null",
    )
    .ok();
}

fn sign(lab: &Lab, extensions: &str, to: &str) {
    let script = format!(
        "printf '%s\\n' '{extensions}' >company/ext
         openssl req -in etcd.csr -noout -verify -text | grep -q 'CA:TRUE, pathlen:0'
         openssl x509 -req -in etcd.csr -CA company/root.crt -CAkey company/root.key -CAcreateserial -days 1825 \
            -extfile company/ext -out company/{to} 2>/dev/null"
    );
    sh(lab, &script).ok();
}

const AS_ASKED: &str = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n\
                        subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid";

fn request_and_sign(lab: &Lab) {
    lab.quorate(&["pki", "csr", "--out", "etcd.csr"]).ok();
    let asked: String = AS_ASKED.replace('\n', "' '");
    sign(lab, &asked, "intermediate.crt");
    sh(lab, "cat company/intermediate.crt company/root.crt >chain.pem").ok();
}

/// Whoever trusts the company's root alone takes what both ports of every member show; and talks to etcd.
fn leads_to_the_root(lab: &Lab) {
    for host in lab.hosts() {
        for port in [2379, 2380] {
            let look = format!(
                "openssl s_client -CAfile company/root.crt -verify_ip {0} -connect {0}:{port} </dev/null 2>&1 || :",
                host.address
            );
            let shown = sh(lab, &look).ok();
            assert!(
                shown.stdout.contains("Verify return code: 0 (ok)"),
                "{} {port}: {shown}",
                host.name
            );
        }
    }
    let get = |certificate: &str| sh(lab, &etcdctl(lab, certificate));
    assert_eq!(get("--cert out/app.crt --key out/app.key").status, Some(0));
    // A certificate of the company's, but not of this CA: of no use here.
    sh(
        lab,
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=root -keyout company/mail.key \
            -out company/mail.csr 2>/dev/null
         printf 'extendedKeyUsage=clientAuth\\n' >company/ext
         openssl x509 -req -in company/mail.csr -CA company/root.crt -CAkey company/root.key -CAcreateserial -days 9 \
            -extfile company/ext -out company/mail.crt 2>/dev/null",
    )
    .ok();
    assert_ne!(
        get("--cert company/mail.crt --key company/mail.key").status,
        Some(0),
        "any certificate of the company's opens etcd"
    );
}

fn etcdctl(lab: &Lab, certificate: &str) -> String {
    let found = releases()
        .into_iter()
        .find(|(version, _)| *version == current())
        .expect("a release");
    format!(
        "{}/etcdctl --command-timeout=5s --endpoints=https://{}:2379 --cacert company/root.crt {certificate} get x",
        found.1.display(),
        lab.hosts()[0].address
    )
}

#[test]
fn a_new_cluster_begins_below_a_companys_ca() {
    let lab = Lab::start(1);
    lab.plain_inventory(&current());
    found_company(&lab);
    lab.quorate(&["pki", "import", "company/root.crt"])
        .code(4)
        .says(&["no request", "pki csr"]);
    request_and_sign(&lab);

    // Not what was asked for: everything about it is said at once, and nothing is changed.
    let names = || sh(&lab, "ls pki").ok().stdout;
    let before = names();
    sign(
        &lab,
        "basicConstraints=CA:FALSE' 'extendedKeyUsage=serverAuth",
        "bad.crt",
    );
    lab.quorate(&["pki", "import", "company/bad.crt"]).code(4).says(&[
        "may not sign",
        "clientAuth",
        "Example Root CA",
        "is missing",
        "signed again",
    ]);
    lab.quorate(&["pki", "import", "company/root.crt"])
        .code(4)
        .says(&["for the key of the request"]);
    assert_eq!(names(), before);

    lab.quorate(&["pki", "import", "chain.pem"]).ok();
    assert_eq!(
        names().split_whitespace().collect::<Vec<_>>(),
        ["ca-chain.crt", "ca.crt", "ca.key.age", "known_hosts"]
    );
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
    lab.quorate(&["pki", "issue", "app", "--out", "out"]).ok();
    leads_to_the_root(&lab);
    lab.quorate(&["pki", "show"]).ok();
    // The company's root is not what members trust.
    let trusted = lab.host("n1").sh("grep -c BEGIN /etc/etcd/pki/ca.crt");
    assert_eq!(trusted.trim(), "1");
}

#[test]
fn a_running_cluster_moves_below_a_companys_ca_without_a_gap() {
    let lab = Lab::cluster(3);
    lab.quorate(&["pki", "issue", "app", "--out", "out"]).ok();
    found_company(&lab);
    request_and_sign(&lab);
    lab.assert_converged();
    let imported = lab.quorate(&["pki", "import", "chain.pem"]).ok();
    assert!(imported.stderr.contains("pki rotate-ca"), "{imported}");
    lab.quorate(&["up", "--yes"])
        .code(4)
        .says(&["a CA rotation is in progress"]);

    lab.quorate(&["pki", "rotate-ca", "--yes"])
        .code(4)
        .says(&["do not trust the new one: app"]);
    lab.quorate(&["pki", "issue", "app", "--out", "out"]).ok();
    lab.quorate(&["pki", "rotate-ca", "--yes"]).ok();
    lab.assert_converged();
    leads_to_the_root(&lab);
    lab.quorate(&["pki", "renew", "--yes"]).ok();
    leads_to_the_root(&lab);
    let shown = lab.quorate(&["pki", "show", "--output", "json"]).ok().json();
    assert!(
        shown["ca"][0]["issuer"].to_string().contains("Example Root CA"),
        "{shown}"
    );

    // Away from it again: said, and done.
    let plan = lab.quorate(&["pki", "rotate-ca", "--compromised", "--yes"]).ok();
    assert!(plan.stderr.contains("not an intermediate of your company's"), "{plan}");
    lab.assert_converged();
    assert!(fs::read_to_string(lab.dir().join("pki/ca-chain.crt")).is_ok());
}
