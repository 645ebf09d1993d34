//! Clients that speak JSON to etcd: the gateway that they need, and users with passwords, which only they have to have.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::{Lab, current, release, some_of};

/// One of them, with the certificate in `dir/NAME.crt`: the HTTP status, and what the member says.
#[track_caller]
fn ask(lab: &Lab, dir: &str, name: &str, token: &str, path: &str, body: &str) -> (String, String) {
    let mut command = lab.as_operator("curl");
    command.args(["-s", "-m", "20", "-w", "\n%{http_code}"]);
    command.args(["--cacert", &format!("{dir}/ca.crt")]);
    command.args([
        "--cert",
        &format!("{dir}/{name}.crt"),
        "--key",
        &format!("{dir}/{name}.key"),
    ]);
    if !token.is_empty() {
        command.args(["-H", &format!("Authorization: {token}")]);
    }
    let url = format!("https://{}:2379/v3/{path}", lab.host("n1").address);
    let output = command.args(["-d", body, &url]).output().expect("curl");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (said, status) = text.rsplit_once('\n').expect("a status");
    (status.to_owned(), said.to_owned())
}

/// The token that a login with this password gets; `None` where it is refused.
#[track_caller]
fn login(lab: &Lab, dir: &str, password: &str) -> Option<String> {
    let body = format!(r#"{{"name":"patroni","password":"{password}"}}"#);
    let (status, said) = ask(lab, dir, "patroni", "", "auth/authenticate", &body);
    match status.as_str() {
        "200" => {
            let answer: serde_json::Value = serde_json::from_str(&said).expect("JSON");
            Some(answer["token"].as_str().expect("a token").to_owned())
        }
        "400" if said.contains("invalid user ID or password") || said.contains("no password user") => None,
        // `Unknown`, as gRPC calls it.
        "500" if said.contains("no password user") => None,
        _ => panic!("{status}: {said}"),
    }
}

/// `/service/a` in base64, and a key that is none of its business.
const OWN: &str = r#"{"key":"L3NlcnZpY2UvYQ==","value":"MQ=="}"#;
const OTHER: &str = r#"{"key":"L290aGVy","value":"MQ=="}"#;

const USERS: &str = "users:\n  - {name: patroni, roles: patroni, password: true}\nroles:\n  - name: patroni\n    \
                     permissions:\n      - {access: readwrite, prefix: /service/}\n";

fn password_in(lab: &Lab, dir: &str) -> String {
    let path = lab.dir().join(dir).join("patroni.password");
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    fs::read_to_string(path).expect("a password").trim().to_owned()
}

/// From a cluster that answers 404 to one in which a client logs in, may do what its role allows, and gets a new password.
fn a_json_client_on(version: &str) {
    let lab = Lab::start(1);
    lab.plain_inventory(version);
    lab.quorate(&["up", "--yes"]).ok();
    lab.quorate(&["pki", "issue", "patroni", "--out", "named"]).ok();
    assert_eq!(ask(&lab, "named", "patroni", "", "kv/put", OWN).0, "404");
    lab.quorate(&["users", "files", "patroni", "--for", "patroni"])
        .code(3)
        .says(&["404", "clients: [patroni]"]);

    // The switch: one option changes, which members read at their start.
    lab.edit("etcd:\n", "clients: [patroni]\netcd:\n");
    let plan = lab.quorate(&["plan", "-v", "--accept-outage"]).code(10);
    assert!(
        plan.stdout.contains("-enable-grpc-gateway: false") && plan.stdout.contains("+enable-grpc-gateway: true"),
        "{plan}"
    );
    lab.quorate(&["up", "--yes", "--accept-outage"]).ok();
    assert_eq!(ask(&lab, "named", "patroni", "", "kv/put", OWN).0, "200");
    lab.assert_converged();

    // With etcd's own users nobody could log in: said before a host is touched, all at once.
    lab.edit("etcd:\n", "etcd:\n  auth: true\n");
    lab.quorate(&["up", "--yes"])
        .code(3)
        .says(&["`patroni` could not log in", "`password: true`"]);
    let inventory = fs::read_to_string(lab.dir().join("inventory.yml")).expect("the inventory");
    lab.write("inventory.yml", &format!("{inventory}{USERS}"));
    lab.quorate(&["up", "--yes"]).code(4).says(&[
        "refuses certificates with a common name",
        ": patroni",
        "quorate users files patroni",
    ]);
    lab.quorate(&["users", "files", "patroni"])
        .code(2)
        .says(&["no password is sealed", "users password patroni"]);
    lab.quorate(&["users", "password", "patroni"])
        .ok()
        .says(&["passwords/patroni.age", "commit"]);
    lab.quorate(&["users", "files", "patroni", "--out", "first"]).ok();
    lab.quorate(&["up", "--yes"])
        .code(4)
        .says(&["turning on authentication", "patronictl pause"]);
    lab.edit("clients: [patroni]", "clients: [json]");
    let plan = lab.quorate(&["plan"]).code(10);
    assert!(
        plan.stdout.contains("+ user patroni, with the sealed password"),
        "{plan}"
    );
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();

    let first = password_in(&lab, "first");
    let token = login(&lab, "first", &first).expect("the sealed password is the one that etcd has");
    assert_eq!(login(&lab, "first", "another one"), None);
    assert_eq!(ask(&lab, "first", "patroni", &token, "kv/put", OWN).0, "200");
    assert_ne!(
        ask(&lab, "first", "patroni", &token, "kv/put", OTHER).0,
        "200",
        "its role ends at /service/"
    );
    assert_ne!(
        ask(&lab, "first", "patroni", "", "kv/put", OWN).0,
        "200",
        "its certificate is nobody's"
    );
    let (status, said) = ask(&lab, "named", "patroni", &token, "kv/put", OWN);
    assert!(status == "400" && said.contains("CommonName"), "{status}: {said}");

    // A new one: etcd has the old one until `up`.
    lab.quorate(&["users", "password", "patroni"]).ok();
    lab.quorate(&["users", "files", "patroni", "--out", "first"])
        .code(2)
        .says(&["--replace"]);
    lab.quorate(&["users", "files", "patroni", "--out", "second"]).ok();
    let second = password_in(&lab, "second");
    assert!(first != second && login(&lab, "second", &second).is_none());
    let plan = lab.quorate(&["plan"]).code(10);
    assert!(
        plan.stdout.contains("~ user patroni: the sealed password replaces"),
        "{plan}"
    );
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
    assert!(login(&lab, "second", &second).is_some() && login(&lab, "second", &first).is_none());

    // Made again by hand without one: etcd would take every change of its password, and do nothing.
    let ctl = |words: &[&str]| lab.quorate(&[&["ctl", "--", "user"], words].concat()).ok();
    ctl(&["delete", "patroni"]);
    ctl(&["add", "patroni", "--no-password"]);
    assert_eq!(login(&lab, "second", &second), None);
    let plan = lab.quorate(&["plan"]).code(10);
    assert!(plan.stdout.contains("~ user patroni: created again"), "{plan}");
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
    let token = login(&lab, "second", &second).expect("as before");
    assert_eq!(ask(&lab, "second", "patroni", &token, "kv/put", OWN).0, "200");

    // Nobody asks for a password any more: it is said, and taken when asked.
    lab.edit(", password: true", "");
    lab.edit(
        "clients: [json]\netcd:\n",
        "clients: [kubernetes]\netcd:\n  config: {enable-grpc-gateway: true}\n",
    );
    let plan = lab.quorate(&["plan", "--accept-outage"]);
    assert!(plan.stdout.contains("would take it from them: patroni"), "{plan}");
    assert!(login(&lab, "second", &second).is_some());
    lab.quorate(&["up", "--yes", "--prune", "--accept-outage"]).ok();
    assert_eq!(login(&lab, "second", &second), None);
}

#[test]
fn a_json_client_is_let_in_by_its_password_and_by_nothing_else() {
    // The same words and calls in every minor release: 3.4 has no call that tells whether users are on.
    let current = current();
    let versions = [release("3.4"), release("3.5"), current.clone(), release("3.7")];
    for version in some_of(versions, |version| *version == current) {
        a_json_client_on(&version);
        println!("a client that speaks JSON logs in on etcd {version}");
    }
}

/// A password of the operator's own, and who can open it.
#[test]
fn a_password_is_given_by_pipe_and_sealed_to_those_who_can_open_the_ca_key() {
    let lab = Lab::start(1);
    lab.plain_inventory(&current());
    let inventory = fs::read_to_string(lab.dir().join("inventory.yml")).expect("the inventory");
    lab.write(
        "inventory.yml",
        &format!("clients: [patroni]\n{inventory}{USERS}").replace("etcd:\n", "etcd:\n  auth: true\n"),
    );
    let give = |text: &str| lab.quorate_with(&["users", "password", "patroni", "--stdin"], |_| {}, text.as_bytes());
    give("short\n").code(2).says(&["12 to 72 bytes"]);
    give(&"x".repeat(100)).code(2).says(&["12 to 72 bytes, not 100"]);
    lab.quorate(&["users", "password", "patrini"])
        .code(3)
        .says(&["did you mean `patroni`?"]);
    let secret = "correct horse: \"battery\" #staple";
    give(&format!("{secret}\n")).ok();
    // The first `up` founds the cluster, and sets it.
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
    lab.quorate(&["users", "files", "patroni", "--for", "patroni", "--out", "pg"])
        .ok();
    let text = fs::read_to_string(lab.dir().join("pg/patroni-etcd3.yml")).expect("a file");
    let read: serde_json::Value = serde_yaml::from_str(&text).expect("YAML");
    assert_eq!(read["etcd3"]["password"], secret);
    assert_eq!(read["etcd3"]["hosts"][0], format!("{}:2379", lab.host("n1").address));
    let body = serde_json::json!({"name": "patroni", "password": secret}).to_string();
    assert_eq!(ask(&lab, "pg", "patroni", "", "auth/authenticate", &body).0, "200");

    // Another operator is let in to both, or to neither.
    let sealed = || fs::read_to_string(lab.dir().join("pki/passwords/patroni.age")).expect("a sealed file");
    assert!(!sealed().contains("horse"), "{}", sealed());
    let new_key = "ssh-keygen -q -t ed25519 -N '' -C colleague -f colleague";
    assert!(
        lab.as_operator("sh")
            .args(["-c", new_key])
            .status()
            .expect("ssh-keygen")
            .success()
    );
    lab.quorate(&["pki", "seal", "--recipient", "colleague.pub"]).ok();
    assert!(sealed().contains("colleague"), "{}", sealed());
    lab.assert_converged();
    // One that nobody can open is not one that is not there.
    let path = lab.dir().join("pki/passwords/patroni.age");
    fs::write(&path, "garbage").expect("a file");
    lab.quorate(&["plan"]).code(4).says(&["patroni.age", "users password"]);
}
