//! What the operator brings along is damaged or does not fit: no host notices.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Lab, Outcome, current, plain_inventory, releases};

/// Runs `up` with this bundle; it must end with `code` and leave every host alone.
#[track_caller]
fn refuses_bundle(lab: &Lab, bundle: &Path, code: i32) -> Outcome {
    let bundle = bundle.to_str().expect("a path");
    lab.refuses(&["up", "--yes", "--bundle", bundle], code)
}

#[test]
fn a_bundle_that_is_empty_cut_off_or_changed_is_refused() {
    let lab = Lab::start(1);
    lab.plain_inventory(&current());
    let good = pack(&lab, &programs(&lab, "good", |_| {}));
    let good = fs::read(good).expect("the bundle");

    let empty = lab.write("empty.qbundle", "");
    refuses_bundle(&lab, &empty, 9).says(&["empty.qbundle is not a bundle", "empty"]);

    let cut = lab.dir().join("cut.qbundle");
    for part in [100, good.len() / 2, good.len() - 1] {
        fs::write(&cut, &good[..part]).expect("a part");
        refuses_bundle(&lab, &cut, 9).says(&["cut.qbundle", "help:"]);
    }

    // A single bit of a program.
    let tampered = lab.dir().join("tampered.qbundle");
    let mut bytes = good.clone();
    bytes[good.len() - good.len() / 10] ^= 1;
    fs::write(&tampered, bytes).expect("a tampered bundle");
    let check = lab
        .quorate(&["check", "--bundle", tampered.to_str().expect("a path")])
        .code(9);
    check.says(&["tampered.qbundle is damaged", "help:"]);
    refuses_bundle(&lab, &tampered, 9).says(&["tampered.qbundle is damaged"]);

    let missing = lab.dir().join("missing.qbundle");
    refuses_bundle(&lab, &missing, 9).says(&["cannot read", "missing.qbundle"]);
}

/// A directory with the programs of 3.5, `change` made to each.
fn programs(lab: &Lab, name: &str, change: impl Fn(&mut [u8])) -> PathBuf {
    let version = current();
    let (_, from) = releases().into_iter().find(|(v, _)| *v == version).expect("3.5");
    let to = lab.dir().join(name);
    fs::create_dir(&to).expect("a directory");
    for program in ["etcd", "etcdctl", "etcdutl"] {
        let mut bytes = fs::read(from.join(program)).expect("a program");
        change(&mut bytes);
        fs::write(to.join(program), bytes).expect("a program");
        fs::set_permissions(to.join(program), fs::Permissions::from_mode(0o755)).expect("its mode");
    }
    to
}

fn pack(lab: &Lab, from: &Path) -> PathBuf {
    let out = from.with_extension("qbundle");
    let (out_text, from) = (out.to_str().expect("a path"), from.to_str().expect("a path"));
    lab.quorate(&["bundle", "create", "--out", out_text, from]).ok();
    out
}

#[test]
fn a_bundle_for_another_architecture_is_refused_with_what_it_has() {
    let lab = Lab::start(1);
    let version = current();
    lab.plain_inventory(&version);
    // e_machine of the ELF header: 183 is aarch64.
    let arm = programs(&lab, "arm", |bytes| bytes[18] = 183);
    refuses_bundle(&lab, &pack(&lab, &arm), 9).says(&[
        &format!("n1: it needs etcd {version} for amd64, but the bundle has {version} arm64"),
        "quorate bundle create",
    ]);
}

#[test]
fn a_bundle_without_the_wanted_release_and_a_release_that_loses_data_are_refused() {
    let lab = Lab::start(1);
    lab.plain_inventory("3.5.31");
    lab.refuses(&["up", "--yes"], 9)
        .says(&["it needs etcd 3.5.31", "quorate bundle create"]);
    lab.plain_inventory("3.5.2");
    lab.refuses(&["up", "--yes"], 4)
        .says(&["etcd 3.5.2 must not be used", "or later"]);
}

#[test]
fn a_program_that_cannot_run_on_the_host_never_gets_its_name() {
    let lab = Lab::start(1);
    lab.plain_inventory(&current());
    // e_entry of the ELF header: whoever starts it ends at once. Packing cannot see it, only a try can.
    let broken = programs(&lab, "broken", |bytes| bytes[24..32].fill(0));
    let broken = pack(&lab, &broken);
    let broken = broken.to_str().expect("a path");
    lab.quorate(&["up", "--yes", "--bundle", broken])
        .code(6)
        .says(&["n1", "cannot run here", "help:"]);
    let host = lab.host("n1");
    assert_eq!(
        host.sh("find /opt/quorate/etcd -type f").trim(),
        "",
        "no program, not even half of one"
    );
    assert_eq!(host.sh("find /var/lib/etcd -mindepth 1").trim(), "");
    assert!(!host.active("etcd"));

    // With a bundle that works the same hosts come up.
    lab.quorate(&["up", "--yes"]).ok();
}

#[test]
fn a_ca_key_that_is_sealed_to_somebody_else_names_who_can_open_it() {
    let lab = Lab::start(1);
    lab.plain_inventory(&current());
    let ssh = lab.home().join(".ssh");
    let keygen = |name: &str| {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
            .arg(lab.dir().join(name))
            .status();
        assert!(made.expect("ssh-keygen").success());
        fs::read_to_string(lab.dir().join(format!("{name}.pub"))).expect("a public key")
    };
    let other = keygen("alice@elsewhere");
    let plain = plain_inventory(&current(), lab.hosts());
    let with = |recipient: &str| {
        let inventory = plain.replacen(
            "hosts:",
            &format!("pki:\n  recipients: [\"{}\"]\nhosts:", recipient.trim()),
            1,
        );
        lab.write("inventory.yml", &inventory);
    };

    // Before there is a CA: it would be one that its maker cannot open.
    with(&other);
    let refused = lab.quorate(&["up", "--yes"]);
    assert_eq!(refused.status, Some(6), "{refused}");
    refused.says(&["cannot be opened with your keys", "alice@elsewhere"]);
    assert!(!lab.dir().join("pki/ca.key.age").exists());
    assert_eq!(
        lab.host("n1")
            .sh("find /etc/etcd /opt/quorate /var/lib/etcd 2>/dev/null || true"),
        ""
    );

    // Afterwards: made by this operator, met by one with another key that opens the host, but not the CA.
    lab.write("inventory.yml", &plain);
    lab.quorate(&["up", "--yes"]).ok();
    let mine = fs::read(ssh.join("id_ed25519")).expect("the operator's key");
    let agentless = keygen("bob@laptop");
    lab.host("n1")
        .sh(&format!("echo '{}' >>/root/.ssh/authorized_keys", agentless.trim()));
    fs::copy(lab.dir().join("bob@laptop"), ssh.join("id_ed25519")).expect("bob's key");
    fs::copy(lab.dir().join("bob@laptop.pub"), ssh.join("id_ed25519.pub")).expect("bob's key");
    lab.host("n1").sh("systemctl stop etcd");
    lab.refuses(&["up", "--yes"], 4).says(&[
        "ca.key.age cannot be opened with your keys",
        "id_ed25519",
        "it is sealed to:",
        "quorate pki seal",
    ]);
    fs::write(ssh.join("id_ed25519"), mine).expect("the operator's key");
    lab.quorate(&["up", "--yes"]).ok();
}
