//! Looking without the CA key: an operator with a login on the hosts who is not among the recipients, with a certificate of
//! their own in `pki/viewers` and without one; and a checkout in which files of `pki/` are missing.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::{Lab, Outcome, current, release};

fn words(outcome: &Outcome) -> String {
    let said = format!("{}\n{}", outcome.stdout, outcome.stderr);
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Commands that change the cluster, or might.
const CHANGES: [&str; 14] = [
    "up --yes",
    "restart --yes",
    "compact --yes",
    "defrag --force --yes",
    "alarm disarm --yes",
    "backup create",
    "pki renew --yes",
    "pki rotate-ca --yes",
    "pki issue app --out out",
    "add-node n9 --address 127.0.0.1 --yes",
    "remove-node n3 --yes",
    "replace-node n3 n3 --yes",
    "recover --yes --accept-outage --accept-data-loss",
    "ctl -- endpoint health",
];

/// An operator of their own: a home with an SSH key that every host lets in.
pub struct Bob<'a> {
    lab: &'a Lab,
    pub home: PathBuf,
}

impl<'a> Bob<'a> {
    pub fn of(lab: &'a Lab) -> Self {
        let home = lab.dir().join("bob");
        fs::create_dir_all(home.join(".ssh")).unwrap();
        let key = home.join(".ssh/id_ed25519");
        let keygen = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "bob@laptop", "-f"])
            .arg(&key)
            .status();
        assert!(keygen.expect("ssh-keygen").success());
        let public = fs::read_to_string(key.with_extension("pub")).unwrap();
        for host in lab.hosts() {
            host.sh(&format!("echo '{}' >>/root/.ssh/authorized_keys", public.trim()));
        }
        fs::copy(lab.home().join(".ssh/known_hosts"), home.join(".ssh/known_hosts")).ok();
        Self { lab, home }
    }

    #[track_caller]
    fn quorate(&self, line: &str) -> Outcome {
        let words: Vec<&str> = line.split(' ').collect();
        self.lab.quorate_with(&words, |command| self.is(command), b"")
    }

    fn is(&self, command: &mut Command) {
        command.env("HOME", &self.home);
    }

    /// Runs it; standard output and error together must hold these texts, wherever lines break.
    #[track_caller]
    fn is_told(&self, line: &str, code: i32, texts: &[&str]) -> Outcome {
        let outcome = self.quorate(line).code(code);
        let said = words(&outcome);
        for text in texts {
            assert!(said.contains(text), "not said: {text}\n{outcome}");
        }
        outcome
    }

    /// Every command that changes something, one after the other: exit code 4, who to ask, and no host touched.
    #[track_caller]
    fn may_change_nothing(&self) {
        let version = current();
        let upgrade = format!("upgrade --to {version} --yes");
        self.lab.stops_nothing(|_| {
            let mut last = None;
            for line in CHANGES.into_iter().chain([upgrade.as_str()]) {
                let refused = self.quorate(line).code(4);
                last = Some(refused.says(&["this needs the CA key", "ca.key.age"]));
            }
            last.expect("a command")
        });
        let text = fs::read_to_string(self.lab.dir().join("inventory.yml")).unwrap();
        assert!(!text.contains("n9"), "{text}");
    }
}

#[test]
fn an_operator_without_the_ca_key_looks_at_everything_and_changes_nothing() {
    let lab = Lab::cluster(3);
    let bob = Bob::of(&lab);

    // With a login alone: the hosts are seen, of etcd nothing is, and nobody calls it down.
    for line in [
        "status",
        "members",
        "health",
        "doctor",
        "plan",
        "check-hashes",
        "alarm list",
        "ok-to-stop n1",
    ] {
        let why = "none of your keys opens the CA key or a certificate in viewers";
        let told = bob.is_told(
            line,
            5,
            &[why, "`quorate pki viewer NAME --recipient KEY`", "operator@"],
        );
        for untrue in ["DOWN", "no member runs", "quorum is lost", "quorate up", "recover"] {
            assert!(!words(&told).contains(untrue), "{untrue}\n{told}");
        }
    }
    bob.is_told(
        "status",
        5,
        &["lab UNKNOWN 3 hosts inspected, but no member could be queried"],
    );
    bob.quorate("logs n1").ok();
    bob.quorate("pki show").ok();
    bob.quorate("backup list").ok();
    bob.may_change_nothing();

    // With a certificate of their own everything is seen.
    lab.quorate(&["backup", "create"]).ok();
    lab.quorate(&["pki", "viewer", "bob", "--recipient", "bob/.ssh/id_ed25519.pub"])
        .ok()
        .says(&["pki/viewers/bob.age", "bob@laptop", "commit the pki directory"]);
    sees_everything(&bob);
    let found = bob.quorate("doctor --output json").ok().json();
    assert_eq!(found["healthy"], true, "{found}");
    assert!(!found.to_string().contains("could not be compared"), "{found}");
    bob.quorate("pki show").ok();
    bob.may_change_nothing();

    // Also in a clone that was made without the CA key, where there is no one to name.
    let sealed = lab.dir().join("pki/ca.key.age");
    let kept = fs::read(&sealed).unwrap();
    fs::remove_file(&sealed).unwrap();
    sees_everything(&bob);
    bob.may_change_nothing();
    // That the key is not there is a problem of the checkout, and said.
    bob.is_told("doctor", 11, &["1 problem", "the CA's key is missing"]);
    fs::write(&sealed, kept).unwrap();

    // A plan says who can apply it, and what is made only then.
    bob.is_told("restart --dry-run", 10, &["your keys do not open the CA key"]);
    lab.edit("hosts:", "pki:\n  leaf_validity: 200d\nhosts:");
    lab.host("n2").sh("rm /etc/etcd/pki/server.crt");
    bob.is_told(
        "plan",
        10,
        &[
            "n2",
            "certificates",
            "your keys do not open the CA key",
            "operator@",
            "the new certificates of n2 are issued only then",
        ],
    );
    lab.quorate(&["up", "--yes"]).ok();

    // What was given is taken back.
    lab.quorate(&["pki", "revoke", "bob"]).ok();
    assert!(!lab.dir().join("pki/viewers/bob.age").exists());
    bob.is_told("status", 5, &["UNKNOWN"]);
}

/// Each command that looks, of a healthy cluster.
#[track_caller]
fn sees_everything(bob: &Bob) {
    let glance: Value = bob.quorate("status --output json").ok().json();
    assert_eq!(glance["healthy"], true, "{glance}");
    bob.is_told("status", 0, &["healthy", "survives 1 failure", "leader"]);
    bob.is_told("health", 0, &["healthy"]);
    bob.is_told("members", 0, &["n1", "n2", "n3"]);
    bob.is_told("plan", 0, &["nothing to do"]);
    bob.is_told("check-hashes", 0, &["n3"]);
    bob.is_told("alarm list", 0, &["no alarm is active"]);
    for line in ["ok-to-stop n1", "kube check", "logs n2", "backup list"] {
        bob.quorate(line).ok();
    }
    // The first block tells all; then nobody reads any more.
    let mut watching = bob.lab.as_operator(env!("CARGO_BIN_EXE_quorate"));
    watching
        .args(["status", "--watch", "--output", "json"])
        .stdout(Stdio::piped());
    bob.is(&mut watching);
    let mut watching = watching.spawn().expect("quorate runs");
    let mut first = String::new();
    BufReader::new(watching.stdout.take().expect("its output"))
        .read_line(&mut first)
        .expect("a line");
    watching.kill().and_then(|()| watching.wait()).expect("it ends");
    assert!(first.contains("\"healthy\":true"), "{first}");
}

/// A checkout without `pki/`: it is not a cluster without a CA.
#[test]
fn a_checkout_without_the_pki_directory_sees_the_hosts_and_starts_nothing() {
    let lab = Lab::cluster(1);
    let pki = lab.dir().join("pki");
    for file in ["ca.crt", "ca.key.age", "issued.yml"] {
        fs::remove_file(pki.join(file)).ok();
    }
    let each = |texts: &[&str]| {
        for line in ["status", "plan", "up --yes", "restart --yes"] {
            let told = lab.quorate(&line.split(' ').collect::<Vec<_>>()).code(5);
            for text in texts {
                assert!(words(&told).contains(text), "{text}\n{told}");
            }
        }
        let told = lab.quorate(&["doctor"]).code(11);
        let text = "there is no CA here: `quorate up` creates one for a new cluster; for one that exists, restore";
        assert!(
            words(&told).contains(text) && !words(&told).contains("no member runs"),
            "{told}"
        );
    };
    lab.stops_nothing(|lab| {
        each(&["there is no CA in", "version control"]);
        assert!(!pki.join("ca.key.age").exists() && !pki.join("ca.crt").exists());
        // The pinned host keys are in there, too.
        fs::remove_dir_all(&pki).unwrap();
        each(&["is not pinned"]);
        assert!(!pki.exists());
        lab.quorate(&["check"]).ok()
    });
}

/// With etcd's own users a viewer is one, and sees what its release allows: nothing is called broken for that. etcd tells
/// its hashes to `root` alone, 3.5.30 its state as well.
#[test]
fn a_viewer_is_a_user_where_etcd_has_users() {
    for (minor, sees) in [("3.5", false), ("3.6", true)] {
        let lab = Lab::start(1);
        lab.plain_inventory(&release(minor));
        lab.quorate(&["up", "--yes"]).ok();
        let bob = Bob::of(&lab);
        lab.quorate(&["pki", "viewer", "bob", "--recipient", "bob/.ssh/id_ed25519.pub"])
            .ok();
        lab.edit("etcd:\n", "users: [{name: bob}]\netcd:\n  auth: true\n");
        lab.quorate(&["up", "--yes"]).ok();
        match sees {
            true => {
                bob.is_told("status", 0, &["healthy", "leader"]);
                bob.is_told("health", 0, &["healthy"]);
                bob.is_told("doctor", 0, &["no problems", "the members' data was not compared"]);
                let plan = ["users and roles are not part of this plan", "nothing to do"];
                bob.is_told("plan", 0, &plan);
            }
            false => {
                for line in ["status", "health", "doctor"] {
                    let told = bob.is_told(line, 5, &["permission denied", "to `root` alone"]);
                    for untrue in ["agree on a leader", "NOT healthy", "DOWN"] {
                        assert!(!words(&told).contains(untrue), "{untrue}\n{told}");
                    }
                }
            }
        }
        bob.is_told("members", 0, &["n1"]);
        bob.is_told("alarm list", 0, &["no alarm is active"]);
        bob.is_told("check-hashes", if sees { 6 } else { 5 }, &["permission denied"]);
        lab.quorate(&["up"]).ok();
    }
}
