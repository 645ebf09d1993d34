//! What is refused before anything is touched, each with the text that says why and what to do.

use std::time::Duration;

use crate::harness::{Lab, Outcome, plain_inventory, release, releases, wait_until};

#[track_caller]
fn says(refused: &Outcome, texts: &[&str]) {
    for text in texts {
        assert!(refused.stderr.contains(text), "`{text}` is missing\n{refused}");
    }
}

#[test]
fn three_members_and_everything_that_is_wrong_to_ask_of_them() {
    let lab = Lab::start(4);
    let version = release("3.5");
    lab.inventory(|hosts| plain_inventory(&version, &hosts[..3]));
    lab.quorate(&["trust", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
    let q = |arguments: &[&str]| lab.quorate(&[arguments, &["--yes"]].concat());
    let (n1, n2) = (lab.host("n1").address.as_str(), lab.host("n2").address.as_str());

    says(
        &q(&["remove-node", "n33"]).code(2),
        &["the inventory has no host `n33`", "did you mean `n3`?"],
    );
    says(
        &q(&["restart", "--limit", "m1"]).code(2),
        &["the inventory has no host `m1`", "its hosts are n1, n2, n3"],
    );
    says(&q(&["ok-to-stop", "n11"]).code(2), &["did you mean `n1`?"]);
    says(&q(&["add-node", "n9"]).code(2), &["no host `n9`", "--address ADDRESS"]);
    says(
        &q(&["add-node", "n9", "--address", n2]).code(2),
        &["is already the address of `n2`"],
    );
    says(
        &q(&["add-node", "n1", "--address", n2]).code(2),
        &["already has a host `n1`", n1],
    );
    let again = q(&["add-node", "n1"]).ok();
    says(&again, &["n1 is already a member: nothing to do"]);
    says(
        &q(&["replace-node", "n1", "n4", "--address", &lab.host("n4").address]).code(4),
        &["it is healthy", "quorate remove-node n1"],
    );
    says(
        &q(&["remove-node", "n3", "--wipe"]).code(4),
        &["data would be deleted", "--accept-data-loss"],
    );

    says(
        &q(&["upgrade", "--to", "3.5.99"]).code(9),
        &["it needs etcd 3.5.99", "quorate bundle create"],
    );
    says(&q(&["upgrade", "--to", "3.6.5"]).code(9), &["it needs etcd 3.6.5"]);
    says(
        &q(&["upgrade", "--to", "3.4.1"]).code(2),
        &["3.4.1 is older", "quorate downgrade --to 3.4.1"],
    );
    says(
        &q(&["upgrade", "--to", "3.7.1"]).code(9),
        &["the bundle has no etcd 3.7.1", "quorate bundle create"],
    );
    says(
        &q(&["downgrade", "--to", "3.5.99"]).code(2),
        &["quorate upgrade --to 3.5.99"],
    );
    says(
        &q(&["downgrade", "--to", &release("3.4")]).code(4),
        &["etcd cannot be downgraded online", "quorate restore FILE"],
    );
    says(
        &q(&["downgrade", "--to", "3.5.1"]).code(4),
        &["etcd 3.5.1 must not be used"],
    );

    // One member down: the others stay untouched, and whatever would change the list waits.
    lab.host("n3").sh("systemctl stop etcd");
    says(
        &q(&["ok-to-stop", "n1"]).code(4),
        &["would leave 1 of 3 voters, but quorum needs 2"],
    );
    let down = q(&["ok-to-stop", "n3"]).ok();
    assert!(down.stdout.contains("it is already down"), "{down}");
    says(
        &q(&["restart", "--limit", "n1"]).code(4),
        &["would leave 1 of 3 voters, but quorum needs 2"],
    );
    says(&q(&["remove-node", "n1"]).code(4), &["n3 is not healthy"]);
    says(
        &q(&["add-node", "n4", "--address", &lab.host("n4").address]).code(4),
        &["n3 is not healthy"],
    );
    lab.quorate(&["up", "--yes"]).ok();
}

#[test]
fn two_members_and_one() {
    let lab = Lab::start(2);
    lab.plain_inventory(&release("3.5"));
    lab.quorate(&["up", "--yes"]).ok();
    let q = |arguments: &[&str]| lab.quorate(&[arguments, &["--yes"]].concat());
    says(
        &q(&["restart"]).code(4),
        &["would leave 1 of 2 voters", "--accept-outage"],
    );
    says(
        &q(&["remove-node", "n2"]).code(4),
        &["one of two voters", "--accept-outage"],
    );
    let mut versions = releases().into_iter().map(|(version, _)| version);
    let older = versions.find(|v| v.starts_with("3.5.")).expect("an older 3.5");
    says(
        &q(&["downgrade", "--to", &older]).code(4),
        &["would leave 1 of 2 voters", "grow to three", "--accept-outage"],
    );
    lab.quorate(&["restart", "--yes", "--accept-outage"]).ok();
    lab.quorate(&["remove-node", "n2", "--yes", "--accept-outage"]).ok();
    says(
        &q(&["remove-node", "n1"]).code(2),
        &["`n1` is the only host", "quorate add-node"],
    );

    // Started again by hand, the removed member finds out that it is none; in the inventory it is not healed silently.
    let n2 = lab.host("n2");
    n2.sh("rm -rf /var/lib/etcd; cp -a /var/lib/etcd.quorate-aside/* /var/lib/etcd; systemctl start --no-block etcd");
    wait_until("the removed member to end by itself", Duration::from_secs(60), || {
        n2.sh("journalctl --no-pager -u etcd")
            .contains("removed from the cluster")
    });
    assert!(!n2.active("etcd"));
    assert_eq!(lab.status()["members"].as_array().map(Vec::len), Some(1));
    lab.inventory(|hosts| plain_inventory(&release("3.5"), hosts));
    for command in [["up"].as_slice(), &["add-node", "n2"]] {
        says(
            &q(command).code(4),
            &["it is no longer a member", "quorate replace-node n2 n2"],
        );
    }
    lab.quorate(&["replace-node", "n2", "n2", "--yes"]).ok();
    lab.assert_converged();
}

#[test]
fn while_a_member_is_on_its_way_in_every_other_change_waits() {
    let lab = Lab::start(5);
    lab.inventory(|hosts| plain_inventory(&release("3.5"), &hosts[..3]));
    lab.quorate(&["trust", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
    let q = |arguments: &[&str]| lab.quorate(&[arguments, &["--yes"]].concat());
    let join = |name: &str, dies_after: &str| {
        let address = &lab.host(name).address;
        let outcome = lab.quorate_with(
            &["add-node", name, "--address", address, "--yes"],
            |process| _ = process.env("QUORATE_FAULT", dies_after),
            b"",
        );
        assert_eq!(outcome.status, None, "it dies {dies_after}\n{outcome}");
    };
    let others_wait = |texts: &[&str]| {
        let n5 = &lab.host("n5").address;
        says(&q(&["add-node", "n5", "--address", n5]).code(4), texts);
        says(&q(&["remove-node", "n2"]).code(4), texts);
        says(&q(&["restart"]).code(4), texts);
        let inventory = std::fs::read_to_string(lab.dir().join("inventory.yml")).expect("the inventory");
        assert!(inventory.contains("n2") && !inventory.contains("n5"), "{inventory}");
    };
    join("n4", "after:w2.cluster");
    others_wait(&[
        "was added but has never started",
        "finish that change first",
        "`quorate up`",
    ]);
    join("n4", "after:w1.n4");
    others_wait(&["n4 is a learner that has not been promoted yet", "quorate remove-node"]);
    // The learner that is already there is gone on with.
    let done = q(&["add-node", "n4"]).ok();
    says(&done, &["n4 is a voting member of lab"]);
    assert_eq!(lab.status()["members"].as_array().map(Vec::len), Some(4));
}

#[test]
fn options_that_the_next_release_no_longer_has() {
    let lab = Lab::start(1);
    let (old, new) = (release("3.4"), release("3.5"));
    lab.inventory(|hosts| plain_inventory(&old, hosts).replace("hosts:\n", "  config:\n    debug: true\nhosts:\n"));
    lab.quorate(&["trust", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
    let refused = lab
        .quorate(&["upgrade", "--to", &new, "--yes", "--accept-outage"])
        .code(4);
    says(&refused, &["debug", "does not fit etcd", "in the inventory together"]);
    lab.plain_inventory(&old);
    lab.quorate(&["up", "--yes", "--accept-outage"]).ok();
    says(
        &lab.quorate(&["upgrade", "--to", "3.5.1", "--yes", "--accept-outage"])
            .code(4),
        &["etcd 3.5.1 must not be used"],
    );
}
