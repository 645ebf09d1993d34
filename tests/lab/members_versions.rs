//! Upgrades and downgrades with data and under writes, for real: 3.4 to an old 3.5 to the newest 3.5 and back a patch.

use std::time::Duration;

use crate::harness::{Lab, Writer, release, releases, wait_until};

fn up(lab: &Lab, version: &str) {
    lab.plain_inventory(version);
    lab.quorate(&["up", "--yes"]).ok();
}

/// The oldest release of 3.5 that the lab has.
fn old_3_5() -> String {
    let mut versions = releases().into_iter().map(|(version, _)| version);
    versions.find(|v| v.starts_with("3.5.")).expect("an etcd 3.5")
}

fn versions(lab: &Lab) -> Vec<String> {
    let status = lab.quorate(&["status", "--output", "json"]).json();
    let members = status["members"].as_array().expect("members").clone();
    members
        .iter()
        .map(|m| m["version"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn inventory(lab: &Lab) -> String {
    std::fs::read_to_string(lab.dir().join("inventory.yml")).expect("the inventory")
}

#[test]
fn from_3_4_through_3_5_and_back_a_patch_under_writes() {
    let (first, old, new) = (release("3.4"), old_3_5(), release("3.5"));
    let lab = Lab::start(3);
    up(&lab, &first);
    let writer = Writer::start(&lab, lab.host("n1"));
    for to in [&old, &new] {
        let done = lab
            .quorate(&["upgrade", "--to", to, "--yes", "--probe", "--output", "json"])
            .ok();
        assert_eq!(done.events_of("finished")[0]["probe"]["lost"], 0, "{done}");
        assert_eq!(versions(&lab), vec![to.as_str(); 3]);
        assert!(inventory(&lab).contains(&format!("version: \"{to}\"")));
        let backups = std::fs::read_dir(lab.dir().join("backups")).expect("backups").flatten();
        let named = |name: &std::ffi::OsString| name.to_string_lossy().contains(&format!("before-{to}"));
        assert!(
            backups.map(|b| b.file_name()).any(|name| named(&name)),
            "a snapshot came first"
        );
    }
    let refused = lab.quorate(&["downgrade", "--to", &first, "--yes"]).code(4);
    assert!(refused.stderr.contains("quorate restore FILE"), "{refused}");
    lab.quorate(&["downgrade", "--to", &old, "--yes"]).ok();
    assert_eq!(versions(&lab), vec![old.as_str(); 3]);
    lab.quorate(&["plan"]).ok();
    writer.judge();
}

#[test]
fn a_member_that_does_not_come_up_is_put_back_and_the_roll_stops() {
    let (first, old) = (release("3.4"), old_3_5());
    let lab = Lab::start(3);
    up(&lab, &first);
    let writer = Writer::start(&lab, lab.host("n1"));
    for host in lab.hosts() {
        // A host on which the new release does not start: no roll gets past its first member.
        host.sh(
            "mkdir -p /etc/systemd/system/etcd.service.d; printf '[Service]\\nExecStartPre=/bin/sh -c \"! grep -q \
             etcd/3.5 /etc/systemd/system/etcd.service\"\\n' >/etc/systemd/system/etcd.service.d/sick.conf; systemctl daemon-reload",
        );
    }
    let failed = lab.quorate(&["upgrade", "--to", &old, "--yes"]).code(6);
    assert!(
        failed
            .stderr
            .contains("it is back on its previous configuration, and healthy"),
        "{failed}"
    );
    assert_eq!(
        versions(&lab),
        vec![first.as_str(); 3],
        "nobody is left on the release that does not start"
    );
    assert!(inventory(&lab).contains(&first), "the inventory still says what runs");

    for host in lab.hosts() {
        host.sh("rm -r /etc/systemd/system/etcd.service.d; systemctl daemon-reload");
    }
    lab.quorate(&["upgrade", "--to", &old, "--yes"]).ok();
    assert_eq!(versions(&lab), vec![old.as_str(); 3]);
    writer.judge();
}

#[test]
fn an_upgrade_pauses_between_two_members_and_goes_on() {
    let (first, old) = (release("3.4"), old_3_5());
    let lab = Lab::start(3);
    up(&lab, &first);
    let writer = Writer::start(&lab, lab.host("n1"));
    let running = lab.spawn(&["upgrade", "--to", &old, "--yes"]);
    let moved = || {
        lab.hosts()
            .iter()
            .any(|h| h.sh("cat /etc/systemd/system/etcd.service").contains(&old))
    };
    wait_until("the first member's turn", Duration::from_secs(60), moved);
    running.interrupt();
    let paused = running.wait().code(130);
    assert!(paused.stderr.contains("run the same command again"), "{paused}");
    let mixed = versions(&lab);
    assert!(mixed.contains(&first) && mixed.contains(&old), "{mixed:?}");
    let refused = lab.quorate(&["up", "--yes"]).code(4);
    assert!(
        refused.stderr.contains(&format!("quorate upgrade --to {old}")),
        "{refused}"
    );

    lab.quorate(&["upgrade", "--to", &old, "--yes"]).ok();
    assert_eq!(versions(&lab), vec![old.as_str(); 3]);
    writer.judge();
}
