//! A cluster that was stopped as a whole, and data that is gone.

use crate::harness::{Host, Lab};

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
    assert!(refused.stderr.contains("did not make"), "{refused}");
    assert_eq!(n1.pid(), 0);
}

fn fingerprints(lab: &Lab) -> Vec<String> {
    lab.hosts().iter().map(Host::fingerprint).collect()
}
