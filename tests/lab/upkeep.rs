//! Databases that are full, fat or different: compacted, defragmented one by one, and compared.

use std::time::Duration;

use crate::harness::{Lab, current, plain_inventory, wait_until};

/// A cluster with a quota of 16 MiB.
fn small_quota() -> Lab {
    let lab = Lab::start(3);
    let inventory = lab.inventory(|hosts| plain_inventory(&current(), hosts));
    let text = std::fs::read_to_string(inventory).expect("the inventory");
    let version = format!("version: \"{}\"\n", current());
    let config = format!("{version}  config:\n    quota-backend-bytes: 16777216\n");
    lab.write("inventory.yml", &text.replace(&version, &config));
    lab.quorate(&["trust", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
    lab
}

/// Writes the same key again and again until etcd says no.
fn fill(lab: &Lab) {
    let host = lab.host("n1");
    host.sh("head -c 200000 /dev/zero | tr '\\0' x >/run/value");
    let full = wait_for_nospace(lab);
    assert!(full, "the quota was never reached");
}

fn wait_for_nospace(lab: &Lab) -> bool {
    (0..300).any(|_| {
        let put = lab.host("n1").etcdctl("put fat </run/value");
        put.stderr.contains("database space exceeded")
    })
}

/// Mistake 15 of docs/etcd.md: disarmed without room, the alarm would come back with the next write.
#[test]
fn a_full_database_is_compacted_defragmented_and_only_then_disarmed() {
    let lab = small_quota();
    lab.quorate(&["alarm", "list"]).ok();
    lab.quorate(&["alarm", "disarm", "--yes"])
        .ok()
        .says(&["no alarm is active"]);
    let leader = lab.leader();
    fill(&lab);
    let listed = lab.quorate(&["alarm", "list"]).code(11);
    assert!(listed.stdout.contains("NOSPACE"), "{listed}");
    let done = lab.quorate(&["--output", "json", "alarm", "disarm", "--yes"]).ok();
    let order: Vec<String> = done
        .events_of("step_started")
        .iter()
        .map(|event| event["what"].as_str().expect("a text").to_owned())
        .collect();
    let at = |what: &str| order.iter().position(|step| step.contains(what)).expect("the step");
    assert!(
        at("compact") < at("defragment") && at("defragment") < at("disarm"),
        "{order:?}"
    );
    let turns: Vec<_> = done
        .events_of("step_started")
        .into_iter()
        .filter(|event| event["what"].as_str().is_some_and(|what| what.contains("defragment")))
        .map(|event| event["node"].as_str().expect("a host").to_owned())
        .collect();
    assert_eq!(turns.len(), 3, "{order:?}");
    assert_eq!(turns.last(), Some(&leader), "the leader last");
    lab.quorate(&["alarm", "list"]).ok();
    lab.host("n1").etcdctl("put again works").ok();
    lab.quorate(&["check-hashes"]).ok();
    lab.quorate(&["health"]).ok();
}

/// Alarms are in the database, and so in a backup of it.
#[test]
fn an_alarm_that_comes_back_with_a_backup_is_told_and_can_be_disarmed() {
    let lab = small_quota();
    fill(&lab);
    lab.quorate(&["backup", "create", "--out", "full.qbackup"]).ok();
    lab.quorate(&["restore", "full.qbackup", "--yes", "--accept-data-loss"])
        .ok()
        .says(&[
            "the alarm NOSPACE is active, as it was when the backup was taken",
            "quorate alarm disarm",
        ]);
    lab.quorate(&["alarm", "disarm", "--yes"]).ok();
    lab.host("n1").etcdctl("put again works").ok();
    lab.quorate(&["health"]).ok();
}

#[test]
fn an_alarm_is_not_taken_back_while_the_database_is_full_of_data() {
    let lab = small_quota();
    let host = lab.host("n1");
    host.sh("head -c 200000 /dev/zero | tr '\\0' x >/run/value");
    let mut keys = 0..300;
    let mut fill_up = || {
        keys.any(|n| {
            host.etcdctl(&format!("put fat/{n} </run/value"))
                .stderr
                .contains("database space exceeded")
        })
    };
    // Defragmenting gives back the pages that were free in between, so it may take more than one filling.
    let refused = (0..5).find_map(|_| {
        assert!(fill_up(), "the quota was never reached");
        let told = lab.quorate(&["alarm", "disarm", "--yes"]);
        (told.status != Some(0)).then_some(told)
    });
    refused.expect("full of data").code(6).says(&["of its quota"]);
    lab.quorate(&["alarm", "list"]).code(11);
    // Junk is deleted, which etcd allows; the same command finishes it.
    host.etcdctl("del fat/1 fat/9").ok();
    host.etcdctl("del --prefix fat/2").ok();
    host.etcdctl("del --prefix fat/3").ok();
    lab.quorate(&["alarm", "disarm", "--yes"]).ok();
    host.etcdctl("put again works").ok();
}

/// Mistake 16 of docs/etcd.md: all at once, the leader first, or for nothing.
#[test]
fn defragmenting_is_done_one_by_one_where_it_is_worth_it() {
    let lab = Lab::cluster(3);
    let before = lab.status();
    lab.quorate(&["defrag", "--yes"])
        .ok()
        .says(&["not needed", "nothing to do"]);
    let host = lab.host("n1");
    host.sh("head -c 1000000 /dev/zero | tr '\\0' x >/run/value");
    for _ in 0..40 {
        host.etcdctl("put fat </run/value").ok();
    }
    lab.quorate(&["compact", "--keep", "0", "--yes"]).ok();
    wait_until("space to be free in every file", Duration::from_secs(20), || {
        lab.quorate(&["defrag", "--force", "--yes", "--limit", "n2"]).status == Some(0) && size(&lab, "n2") < 10 << 20
    });
    assert!(size(&lab, "n1") > 30 << 20, "only the one that was named");
    let leader = lab.leader();
    let done = lab.quorate(&["--output", "json", "defrag", "--force", "--yes"]).ok();
    let turns: Vec<_> = done
        .events_of("step_finished")
        .iter()
        .filter(|event| event["saw"].as_str().is_some_and(|saw| saw.contains("->")))
        .map(|event| event["node"].as_str().expect("a host").to_owned())
        .collect();
    assert_eq!((turns.len(), turns.last()), (3, Some(&leader)), "{done}");
    assert!(["n1", "n2", "n3"].iter().all(|name| size(&lab, name) < 10 << 20));
    assert_eq!(lab.status()["cluster_id"], before["cluster_id"]);
    // A member that is down stops it before anything begins.
    let follower = ["n1", "n2", "n3"]
        .into_iter()
        .find(|n| *n != lab.leader())
        .expect("a follower");
    lab.host(follower).sh("systemctl stop etcd");
    lab.quorate(&["defrag", "--force", "--yes"])
        .code(4)
        .says(&[follower, "bring it back first"]);
}

fn size(lab: &Lab, host: &str) -> u64 {
    let status = lab.status();
    let members = status["members"].as_array().expect("members");
    let member = members.iter().find(|m| m["name"] == host).expect("the member");
    member["db_size"].as_u64().expect("a size")
}

#[test]
fn a_member_whose_data_differs_is_named() {
    let lab = Lab::cluster(3);
    lab.host("n1").etcdctl("put needle haystackhaystack").ok();
    let same = lab.quorate(&["--output", "json", "check-hashes"]).ok().json();
    assert_eq!(same["agree"], true);
    let odd = ["n1", "n2", "n3"]
        .into_iter()
        .find(|n| *n != lab.leader())
        .expect("a follower");
    // A flipped byte below a running member: bbolt maps the file, and its data pages carry no checksum.
    lab.host(odd).sh(
        "cd /var/lib/etcd/member/snap; for at in $(grep -abo haystackhaystack db | cut -d: -f1); do
             printf X | dd of=db bs=1 seek=$((at + 14)) conv=notrunc status=none; done",
    );
    let differs = lab.quorate(&["--output", "json", "check-hashes"]).code(11).json();
    let members = differs["members"].as_array().expect("members");
    let odd_ones: Vec<_> = members
        .iter()
        .filter(|m| m["agrees"] == false)
        .map(|m| m["name"].clone())
        .collect();
    assert_eq!(odd_ones, [odd], "{differs}");
    lab.quorate(&["check-hashes"]).code(11).says(&["replace-node"]);

    // etcd compares at its start, and does not come up with what differs. The way out is the same.
    lab.host(odd).try_sh("systemctl restart etcd");
    let doctor = lab.quorate(&["doctor"]).code(11);
    let way_out = format!("replace-node {odd} {odd}");
    assert!(
        doctor.stdout.contains("differs from that of the others") && doctor.stdout.contains(&way_out),
        "{doctor}"
    );
    lab.quorate(&["replace-node", odd, odd, "--yes"]).ok();
    let same = lab.quorate(&["--output", "json", "check-hashes"]).ok().json();
    assert_eq!(same["agree"], true);
    assert_eq!(lab.glance()["healthy"], true);
}
