//! Interrupted anywhere, `up` run again finishes the job, and nothing that was acknowledged is lost.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Host, Lab, Outcome, Running, current, some_of, thorough, wait_until};

const SOON: Duration = Duration::from_secs(60);

/// The first run dies at `point` (see `ops::exec::fault`), as if killed.
fn up_that_dies(lab: &Lab, point: &str) {
    let died = lab.quorate_with(&["up", "--yes"], |command| _ = command.env("QUORATE_FAULT", point), b"");
    assert_eq!(died.status, None, "it reaches {point}\n{died}");
}

/// The ids of the plan's steps, wave by wave.
fn waves(lab: &Lab) -> Vec<Vec<(String, String)>> {
    let plan = lab.quorate(&["plan", "--output", "json"]).code(10).json();
    let text = |value: &Value| value.as_str().expect("a word").to_owned();
    let steps = |wave: &Value| {
        let steps = wave.as_array().expect("a wave").iter();
        steps.map(|step| (text(&step["id"]), text(&step["action"]))).collect()
    };
    plan["waves"].as_array().expect("waves").iter().map(steps).collect()
}

/// A bootstrap that dies at `point`, finished by a second run.
fn bootstrap_dies_and_is_finished(point: &str) {
    let lab = Lab::start(3);
    lab.plain_inventory(&current());
    up_that_dies(&lab, point);
    // Where a cluster runs already, somebody may have used it.
    let acknowledged = lab.host("n2").pid() != 0 && lab.host("n2").etcdctl("put between runs").status == Some(0);
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
    if acknowledged {
        let kept = lab.host("n1").etcdctl("get between --print-value-only").ok();
        assert_eq!(kept.stdout.trim(), "runs", "lost by the run after {point}");
    }
}

#[test]
fn a_bootstrap_killed_before_any_wave_is_finished_by_the_next_run() {
    let lab = Lab::start(3);
    lab.plain_inventory(&current());
    let waves = waves(&lab);
    drop(lab);
    assert!(waves.len() >= 4, "CA, files, start, look again: {waves:?}");
    for wave in &waves {
        bootstrap_dies_and_is_finished(&format!("before:{}", wave[0].0));
    }
    bootstrap_dies_and_is_finished(&format!("after:{}", waves[waves.len() - 1][0].0));
}

#[test]
fn a_bootstrap_killed_after_any_hosts_step_is_finished_by_the_next_run() {
    let lab = Lab::start(3);
    lab.plain_inventory(&current());
    let waves = waves(&lab);
    drop(lab);
    for wave in waves.iter().filter(|wave| wave.len() > 1) {
        // The hosts of a wave are at the same work: the last one that ends stands for all.
        for (id, _) in some_of(wave, |step| Some(*step) == wave.last()) {
            bootstrap_dies_and_is_finished(&format!("done:{id}"));
        }
    }
}

#[test]
fn a_config_roll_killed_at_any_boundary_is_finished_by_the_next_run() {
    let lab = Lab::cluster(3);
    let cluster_id = lab.status()["cluster_id"].clone();
    let writes = lab.begin_writing();
    let begun = lab.host("n1").now();
    let count = |n: usize| format!("  config:\n    snapshot-count: {}\n", 5000 + n);
    lab.edit("hosts:", &format!("{}hosts:", count(0)));
    let first = waves(&lab);
    assert_eq!(first.len(), 4, "three rolls and a look again: {first:?}");

    // The same ids come back with every change of the config, for the order of hosts may differ but not their number.
    let mut n = 0;
    for wave in 0..=first.len() {
        // Turns are alike: the first and what comes after the last stand for all.
        if !thorough() && ![0, first.len() - 1, first.len()].contains(&wave) {
            continue;
        }
        for point in ["before", "in-place", "restarted"] {
            if n > 0 {
                lab.edit(&count(n - 1), &count(n));
            }
            n += 1;
            let now = waves(&lab);
            let boundary = match now.get(wave).map(|wave| &wave[0]) {
                Some((id, _)) if point == "before" => format!("before:{id}"),
                Some((id, action)) if action == "restart" => format!("{point}:{id}"),
                None if point == "before" => format!("after:{}", now[now.len() - 1][0].0),
                _ => continue,
            };
            up_that_dies(&lab, &boundary);
            lab.quorate(&["up", "--yes"]).ok();
            let open = lab.quorate(&["plan"]);
            assert_eq!(open.status, Some(0), "after {boundary}\n{open}");
        }
    }
    // The last edit had no boundary of its own to die at.
    lab.quorate(&["up", "--yes"]).ok();
    let down: BTreeSet<String> = lab.one_down_at_a_time(begun).into_iter().collect();
    let everybody: BTreeSet<String> = lab.hosts().iter().map(|host| host.name.clone()).collect();
    assert_eq!(down, everybody, "each had its turns");
    writes.goes_on();
    writes.end_with_nothing_lost();
    lab.assert_converged();
    assert_eq!(lab.status()["cluster_id"], cluster_id);
}

/// Bytes a host has received so far.
fn received(host: &Host) -> u64 {
    let text = host.sh("cat /sys/class/net/[!l]*/statistics/rx_bytes");
    text.lines().filter_map(|line| line.parse::<u64>().ok()).sum()
}

/// Starts an `up` that pushes slowly to `host`, and waits until about `bytes` of the push have arrived there.
fn up_in_the_middle_of_a_push(lab: &Lab, host: &Host, bytes: u64) -> Running {
    host.slow("16mbit");
    let before = received(host);
    let up = lab.spawn(&["up", "--yes"]);
    wait_until("the push", SOON, || received(host) > before + bytes);
    up
}

#[test]
fn a_push_killed_anywhere_is_done_again_and_leaves_no_litter() {
    let lab = Lab::start(3);
    lab.plain_inventory(&current());
    // etcd itself, which comes before anything is started, is 8.7 MB on the wire.
    for bytes in [200_000, 1_700_000, 5_300_000, 8_100_000] {
        let mut up = up_in_the_middle_of_a_push(&lab, lab.host("n2"), bytes);
        up.kill();
        up.wait();
        assert_eq!(lab.host("n2").pid(), 0, "nothing runs before everything is in place");
    }
    lab.host("n2").slow("off");
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
    let binaries = lab.host("n2").sh("ls /opt/quorate/etcd/*");
    assert_eq!(
        binaries.split_whitespace().collect::<Vec<_>>(),
        ["etcd", "etcdctl", "etcdutl"]
    );
    let litter = lab.host("n2").sh("find /etc/etcd /opt/quorate /var/lib/etcd /etc/systemd/system -name '*.new*' -o -name '*tmp*' -not -path '*/member/*'");
    assert_eq!(litter, "");
}

#[test]
fn a_host_that_crashes_in_the_middle_is_named_and_the_next_run_goes_on() {
    let lab = Lab::start(3);
    lab.plain_inventory(&current());
    let n2 = lab.host("n2");
    let up = up_in_the_middle_of_a_push(&lab, n2, 1_000_000);
    n2.crash();
    let failed = up.wait();
    assert!(matches!(failed.status, Some(5 | 6)), "{failed}");
    assert!(failed.stderr.contains("n2"), "{failed}");
    assert!(
        lab.hosts()
            .iter()
            .filter(|host| host.name != "n2")
            .all(|host| host.pid() == 0),
        "nothing was started"
    );
    n2.boot();
    n2.slow("off");
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();

    // And while members start: whatever the first run made of it, the next one ends with three healthy members.
    lab.edit("hosts:", "  config:\n    snapshot-count: 5000\nhosts:");
    let before = n2.pid();
    let up = lab.spawn(&["up", "--yes"]);
    wait_until("n2 to be restarted", SOON, || n2.pid() != before);
    n2.crash();
    n2.boot();
    let begun = Instant::now();
    let up = up.wait();
    // It would have waited for ten minutes for a member that it asks no more.
    assert!(begun.elapsed() < Duration::from_secs(300), "{up}");
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
}

#[test]
fn a_laptop_that_loses_its_network_says_so_and_goes_on_later() {
    let lab = Lab::start(3);
    lab.plain_inventory(&current());
    let up = up_in_the_middle_of_a_push(&lab, lab.host("n1"), 1_000_000);
    lab.cut_operator();
    let failed = up.wait();
    assert!(matches!(failed.status, Some(5 | 6)), "{failed}");
    lab.mend_operator();
    lab.host("n1").slow("off");
    let mut again = lab.quorate(&["up", "--yes"]);
    if again.status == Some(8) {
        // The hosts have not noticed yet that nobody holds the lock any more; the operator knows.
        lab.quorate(&["unlock", "--steal"]).ok();
        again = lab.quorate(&["up", "--yes"]);
    }
    again.ok();
    lab.assert_converged();
}

#[test]
fn ctrl_c_stops_after_the_current_step_and_the_next_run_goes_on() {
    let lab = Lab::start(3);
    lab.plain_inventory(&current());
    let up = up_in_the_middle_of_a_push(&lab, lab.host("n3"), 1_000_000);
    up.interrupt();
    let stopped: Outcome = up.wait().code(130);
    assert!(stopped.stderr.contains("stopping after the current step"), "{stopped}");
    assert!(
        lab.host("n3").try_sh("test -x /opt/quorate/etcd/*/etcd").status == Some(0),
        "the step was finished"
    );
    assert!(lab.hosts().iter().all(|host| host.pid() == 0), "and no other was begun");
    lab.host("n3").slow("off");
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
}
