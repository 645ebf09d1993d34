//! A cluster that was stopped as a whole, and data that is gone.

use std::time::Duration;

use crate::harness::{Host, Lab, wait_until};

const STOP: &str = "systemctl stop etcd";
const WIPE: &str = "find /var/lib/etcd -mindepth 1 -delete";

#[test]
fn a_stopped_cluster_is_started_together_with_all_it_knew() {
    let lab = Lab::cluster(3);
    let cluster_id = lab.status()["cluster_id"].clone();
    lab.host("n1").etcdctl("put before stop").ok();
    lab.hosts().iter().for_each(|host| _ = host.sh(STOP));

    let plan = lab.quorate(&["plan", "--output", "json"]).code(10).json();
    let together = plan["waves"][0].as_array().expect("a wave").len();
    assert_eq!(together, 3, "one by one could never reach a quorum: {plan}");
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
    assert_eq!(lab.status()["cluster_id"], cluster_id);
    assert_eq!(
        lab.host("n2")
            .etcdctl("get before --print-value-only")
            .ok()
            .stdout
            .trim(),
        "stop"
    );
}

#[test]
fn a_stopped_cluster_is_started_and_its_drift_repaired_in_one_go() {
    let lab = Lab::cluster(3);
    lab.hosts().iter().for_each(|host| _ = host.sh(STOP));
    lab.host("n1").sh("rm /etc/etcd/etcd-config.yml");
    lab.host("n2").sh("rm -r /etc/etcd/pki/*");
    lab.host("n3")
        .sh("rm /etc/systemd/system/etcd.service; systemctl daemon-reload");
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
}

/// Members that start in the same moment wait 7 s for each other's data and compare nothing; in turn each is compared with
/// those before it (decision 21).
#[test]
fn members_of_a_stopped_cluster_are_compared_as_they_start() {
    let lab = Lab::cluster(3);
    // Only with a raft snapshot does a member know its peers before it serves them.
    lab.edit("hosts:", "  config:\n    snapshot-count: 20\nhosts:");
    lab.quorate(&["up", "--yes"]).ok();
    lab.host("n1").etcdctl("put needle haystackhaystack").ok();
    for n in 0..60 {
        lab.host("n1").etcdctl(&format!("put key {n}")).ok();
    }
    wait_until("every member to have a raft snapshot", Duration::from_secs(20), || {
        let has = |host: &Host| host.try_sh("ls /var/lib/etcd/member/snap/*.snap").status == Some(0);
        lab.hosts().iter().all(has)
    });
    let stop_all = || lab.hosts().iter().for_each(|host| _ = host.sh(STOP));
    let told = |host: &Host, text: &str| {
        host.sh(&format!(
            "journalctl -u etcd -o cat --since @$(cat /root/since) | grep -c '{text}' || true"
        ))
        .trim()
        .parse::<u32>()
        .expect("a number")
    };
    let mark = || {
        lab.hosts()
            .iter()
            .for_each(|host| _ = host.sh("date +%s > /root/since"))
    };

    stop_all();
    mark();
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
    for host in lab.hosts() {
        assert_eq!(told(host, "initial corruption checking passed"), 1, "{}", host.name);
        assert_eq!(told(host, "context deadline exceeded"), 0, "{} waited", host.name);
    }

    // The one that starts first is what differs: nobody else comes up beside it, and the help leads out.
    stop_all();
    mark();
    lab.host("n1")
        .sh("sed -i 's/haystackhaystack/haystackhaystaXk/g' /var/lib/etcd/member/snap/db");
    let refused = lab.quorate(&["up", "--yes"]);
    assert_ne!(refused.status, Some(0), "{refused}");
    refused.says(&["data differs", "stop its etcd", "`--limit`"]);
    let odd = ["n2", "n3"].map(|name| told(lab.host(name), "found data inconsistency with peers") > 0);
    assert!(odd.contains(&true), "{odd:?}");
    lab.host("n1").sh(STOP);
    // systemd has tried again meanwhile: they may be on their way already.
    wait_until("the others to come up without it", Duration::from_secs(60), || {
        lab.quorate(&["up", "--yes", "--limit", "n2", "--limit", "n3"]).status == Some(0)
    });
    lab.quorate(&["replace-node", "n1", "n1", "--yes"]).ok();
    lab.assert_converged();
    lab.quorate(&["check-hashes"]).ok();
}

#[test]
fn a_member_whose_disk_was_wiped_is_never_started_empty() {
    let lab = Lab::cluster(3);
    let n2 = lab.host("n2");
    n2.sh(STOP);
    n2.sh(WIPE);
    let (before, pids) = (fingerprints(&lab), lab.pids());
    let refused = lab.quorate(&["up", "--yes"]).code(4);
    assert!(refused.stderr.contains("replace-node n2 n2"), "{refused}");
    lab.quorate(&["plan"]).code(4);
    assert_eq!(fingerprints(&lab), before, "nothing was touched");
    assert_eq!(lab.pids(), pids);
    assert_eq!(n2.pid(), 0);
}

#[test]
fn with_one_disk_wiped_while_all_were_stopped_the_others_start_and_the_loss_is_named() {
    let lab = Lab::cluster(3);
    lab.host("n1").etcdctl("put before wipe").ok();
    lab.hosts().iter().for_each(|host| _ = host.sh(STOP));
    lab.host("n3").sh(WIPE);
    let refused = lab.quorate(&["up", "--yes"]).code(4);
    assert!(refused.stderr.contains("replace-node n3 n3"), "{refused}");
    assert_eq!(lab.host("n3").pid(), 0, "it has forgotten its votes");
    assert_eq!(
        lab.host("n1")
            .etcdctl("get before --print-value-only")
            .ok()
            .stdout
            .trim(),
        "wipe"
    );
}

#[test]
fn with_every_disk_wiped_a_complete_cluster_is_not_made_anew_in_silence() {
    let lab = Lab::cluster(3);
    lab.hosts().iter().for_each(|host| _ = host.sh(STOP));
    // The markers lie beside the data and survive where only etcd's own files were lost.
    lab.hosts()
        .iter()
        .for_each(|host| _ = host.sh("rm -r /var/lib/etcd/member"));
    let before = fingerprints(&lab);
    let refused = lab.quorate(&["up", "--yes"]).code(4);
    assert!(refused.stderr.contains("complete once"), "{refused}");
    assert_eq!(fingerprints(&lab), before);
}

#[test]
fn data_that_is_marked_as_another_clusters_is_left_alone() {
    let lab = Lab::cluster(3);
    let n1 = lab.host("n1");
    n1.sh(
        "systemctl stop etcd && sed -i 's/\"cluster\":\"lab\"/\"cluster\":\"other\"/' /var/lib/etcd/.quorate-cluster",
    );
    let before = fingerprints(&lab);
    let refused = lab.quorate(&["up", "--yes"]).code(4);
    assert!(refused.stderr.contains("other"), "{refused}");
    assert_eq!(fingerprints(&lab), before);
    n1.sh("rm /var/lib/etcd/.quorate-cluster");
    let refused = lab.quorate(&["up", "--yes"]).code(4);
    assert!(refused.stderr.contains("did not create"), "{refused}");
    assert_eq!(n1.pid(), 0);
}

fn fingerprints(lab: &Lab) -> Vec<String> {
    lab.hosts().iter().map(Host::fingerprint).collect()
}
