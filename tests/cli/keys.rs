//! Which of the operator's keys open the CA: those that log in, and one that never does.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use jiff::Timestamp;
use predicates::prelude::*;
use predicates::str::contains;
use quorate::inventory::load;
use quorate::pki::{PkiDir, Recipient};

fn keygen(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "operator", "-f"])
        .arg(path)
        .status();
    assert!(made.expect("install openssh-client").success());
}

/// An operator with a home of their own, and a CA beside the inventory that is sealed to `recipient`.
fn with_ca(home: &Path, recipient: &Path) {
    let text = "cluster: demo\netcd: {version: \"3.6.16\"}\nhosts:\n  - {name: etcd-1, address: 10.77.1.11}\n";
    fs::write(home.join("inventory.yml"), text).unwrap();
    let desired = load(&home.join("inventory.yml")).expect("the inventory").desired;
    let identities = [recipient.to_owned()];
    let recipients = Recipient::of_identities(&identities).expect("recipients");
    PkiDir::at(&desired.pki.dir, &desired.cluster)
        .create(&desired.pki, &recipients, &identities, &mut |_| None, Timestamp::now())
        .expect("a CA");
}

fn issue(home: &Path, name: &str) -> assert_cmd::assert::Assert {
    Command::cargo_bin("quorate")
        .unwrap()
        .args(["pki", "issue", name, "--out", "out"])
        .current_dir(home)
        .env("HOME", home)
        .env("SSH_AUTH_SOCK", home.join("no-agent"))
        .assert()
}

#[test]
fn a_key_that_the_ssh_configuration_names_for_a_host_opens_the_ca() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    keygen(&home.join("keys/etcd-10.77.1.11"));
    with_ca(home, &home.join("keys/etcd-10.77.1.11"));
    issue(home, "first")
        .failure()
        .stderr(contains("cannot be opened with your keys").and(contains("~/.config/quorate/identity")));
    fs::create_dir(home.join(".ssh")).unwrap();
    let config = "Host 10.77.*\n  IdentityFile HOME/keys/etcd-%h\n".replace("HOME", home.to_str().unwrap());
    fs::write(home.join(".ssh/config"), config).unwrap();
    issue(home, "first").success();
}

#[test]
fn a_key_for_this_alone_opens_it_where_logins_go_through_an_agent() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    // The agent's key is chosen by its public half: nothing that it holds can open anything.
    keygen(&home.join("token"));
    keygen(&home.join("elsewhere/identity"));
    with_ca(home, &home.join("elsewhere/identity"));
    fs::remove_file(home.join("token")).unwrap();
    fs::create_dir(home.join(".ssh")).unwrap();
    let config = format!("IdentityFile {}/token.pub\n", home.display());
    fs::write(home.join(".ssh/config"), config).unwrap();
    issue(home, "first")
        .failure()
        .stderr(contains("its private half, in an agent, can only sign"));
    // As the error says.
    fs::create_dir_all(home.join(".config/quorate")).unwrap();
    fs::copy(home.join("elsewhere/identity"), home.join(".config/quorate/identity")).unwrap();
    issue(home, "first").success();
}
