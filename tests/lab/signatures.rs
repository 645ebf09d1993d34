//! Backups that nobody of this cluster signed: they count for nothing, whoever put them there.

use std::fs;

use serde_json::Value;

use crate::harness::Lab;

/// Bytes before the sealed part of a backup.
const HEAD: usize = 16 * 1024;

/// A backup of the year 2099, made of a real one by somebody without a key.
pub fn forged(real: &[u8]) -> Vec<u8> {
    let mut head: Value = serde_json::from_slice(&real[..HEAD]).expect("a manifest");
    // As long as before, so that nothing but the date tells.
    let date = head["taken_at"].as_str().expect("a moment");
    head["taken_at"] = format!("2099{}", &date[4..]).into();
    let order = ["quorate_backup"];
    let fields = head.as_object().expect("an object");
    let rest = fields.iter().filter(|(name, _)| !order.contains(&name.as_str()));
    let rest: Vec<String> = rest.map(|(name, value)| format!("\"{name}\":{value}")).collect();
    let mut bytes = format!("{{\"quorate_backup\":{},{}}}", fields["quorate_backup"], rest.join(",")).into_bytes();
    bytes.resize(HEAD - 1, b' ');
    bytes.push(b'\n');
    bytes
}

fn backup(lab: &Lab, reason: &str) -> String {
    let told = lab
        .quorate(&[
            "--output", "json", "backup", "create", "--reason", reason, "--to", "far",
        ])
        .ok()
        .events_of("backup")
        .remove(0);
    told["file"].as_str().expect("a path").to_owned()
}

fn listed(lab: &Lab, place: &[&str]) -> Vec<Value> {
    let all = [&["--output", "json", "backup", "list"], place].concat();
    lab.quorate(&all).ok().json()["backups"]
        .as_array()
        .expect("a list")
        .clone()
}

#[test]
fn three_forged_files_of_2099_neither_displace_a_backup_nor_become_the_newest() {
    let lab = Lab::cluster(1);
    lab.quorate(&["ctl", "--", "put", "kept", "then"]).ok();
    let [old, new] = ["first", "second"].map(|reason| backup(&lab, reason));
    let real = fs::read(lab.dir().join(&new)).expect("a backup");
    for n in 0..3 {
        for place in ["backups", "far"] {
            fs::write(lab.dir().join(format!("{place}/forged-{n}.qbackup")), forged(&real)).expect("a file");
        }
    }
    let names = |place: &[&str]| {
        let rows = listed(&lab, place);
        rows.iter()
            .map(|row| (row["signed_by"].clone(), row["counts"] == true))
            .collect::<Vec<_>>()
    };
    let operator = Value::from("operator");
    let forgeries = || vec![(Value::Null, false); 3];
    for place in [&[][..], &["--at", "far"]] {
        let mut expected = forgeries();
        expected.extend([(operator.clone(), true), (operator.clone(), true)]);
        assert_eq!(names(place), expected);
        let table = lab.quorate(&[&["backup", "list"], place].concat()).ok().stdout;
        assert!(
            table.contains("UNSIGNED") && table.contains("dated in the future"),
            "{table}"
        );
        lab.quorate(&[&["backup", "prune", "--keep-last", "1", "--yes"], place].concat())
            .ok()
            .says(&["3 not signed by this cluster's CA", "1 of 5 backups were deleted"]);
        let mut expected = forgeries();
        expected.push((operator.clone(), true));
        assert_eq!(
            names(place),
            expected,
            "the newest real one and every forgery are there"
        );
    }
    assert!(!lab.dir().join(&old).exists() && lab.dir().join(&new).exists());

    // What is taken without a name is the newest real one.
    lab.quorate(&["backup", "fetch", "--at", "far", "--out", "fetched.qbackup"])
        .ok();
    assert!(fs::read(lab.dir().join("fetched.qbackup")).expect("fetched") == real);
    lab.quorate(&["backup", "verify"])
        .ok()
        .says(&["signed by operator", &new]);

    // With a body, too: it opens, and is refused all the same.
    let whole = [&forged(&real)[..], &real[HEAD..]].concat();
    fs::write(lab.dir().join("whole.qbackup"), whole).expect("a file");
    lab.host("n1").etcdctl("snapshot save /run/plain.db").ok();
    fs::write(lab.dir().join("plain.db"), lab.fetch("n1", "/run/plain.db")).expect("a file");
    for (file, why) in [
        (
            "whole.qbackup",
            "it was changed after it was signed; it is dated in the future",
        ),
        ("plain.db", "it is a plain snapshot of etcd"),
    ] {
        lab.quorate(&["backup", "verify", file])
            .code(4)
            .says(&[why, "--unsigned"]);
        lab.stops_nothing(|lab| {
            lab.quorate(&["restore", file, "--yes", "--accept-data-loss"])
                .code(4)
                .says(&[why, "--unsigned"])
        });
    }
    lab.quorate(&["backup", "verify", "plain.db", "--unsigned"])
        .ok()
        .says(&["plain snapshot"]);
}

#[test]
fn a_backup_outlives_the_ca_of_its_signer_but_not_one_that_was_stolen() {
    let lab = Lab::cluster(1);
    let first = backup(&lab, "first");
    lab.quorate(&["pki", "rotate-ca", "--yes", "--accept-outage"]).ok();
    lab.quorate(&["backup", "verify", &first])
        .ok()
        .says(&["signed by operator"]);
    let second = backup(&lab, "second");
    lab.quorate(&["pki", "rotate-ca", "--compromised", "--yes", "--accept-outage"])
        .ok();
    let why = "is not from a CA of this cluster";
    lab.quorate(&["backup", "verify", &second]).code(4).says(&[why]);
    lab.quorate(&["backup", "verify", &second, "--unsigned"]).ok();
    // The one of before the CA that was stolen is what it was.
    lab.quorate(&["backup", "verify", &first]).ok();
    lab.quorate(&["restore", &first, "--yes", "--accept-data-loss"]).ok();
}
