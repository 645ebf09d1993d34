use std::time::Instant;

use super::*;
use crate::host::ServiceState;
use crate::host::testbed::{RELEASE, Testbed};

/// Long, for machines that do much else meanwhile.
const LIMIT: Duration = Duration::from_secs(60);

/// Stops whatever a failed test leaves behind.
struct Stopper(Testbed);

impl Drop for Stopper {
    fn drop(&mut self) {
        let script = format!("{}\n", scripts::PROCESS.text);
        let run = self.0.desired.paths.run.to_string();
        let mut stop = std::process::Command::new("sh");
        let _ = stop.args(["-c", &script, "sh", "stop", &run, "5"]).output();
    }
}

/// Looks again until `wanted` holds.
async fn until(host: &Host, wanted: impl Fn(&ServiceFacts) -> bool) -> ServiceFacts {
    let began = Instant::now();
    loop {
        let facts = host.service().await.unwrap();
        if wanted(&facts) {
            return facts;
        }
        assert!(began.elapsed() < LIMIT, "{facts:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[tokio::test]
async fn a_supervised_member_lives_from_start_to_stop() {
    let bed = Stopper(Testbed::new());
    let host = bed.0.host();
    assert_eq!(host.service().await.unwrap().state, ServiceState::Missing);
    let error = host.start().await.unwrap_err();
    assert!(error.to_string().contains("nothing to start here"), "{error}");

    bed.0.install_fake_etcd("echo \"started with $*\"\nexec sleep 1000");
    assert_eq!(host.service().await.unwrap().state, ServiceState::Stopped);
    host.start().await.unwrap();
    let first = until(&host, |facts| facts.state == ServiceState::Running).await;
    let config = bed.0.desired.paths.config.clone();
    assert_eq!(first.started_with.len(), 3, "{first:?}");
    assert!(first.started_with.contains_key(&config));
    assert!(first.active_seconds.is_some_and(|seconds| seconds < 20));
    let said = host.journal(5).await.unwrap();
    assert_eq!(said, [format!("started with --config-file={config}")]);

    // Starting what runs changes nothing; restarting makes another process.
    host.start().await.unwrap();
    assert_eq!(host.service().await.unwrap().pid, first.pid);
    bed.0.write(&config, "name: changed\n");
    host.restart().await.unwrap();
    assert!(!alive(first.pid.unwrap()));
    let second = until(&host, |facts| facts.pid.is_some()).await;
    assert_ne!(second.started_with[&config], first.started_with[&config]);

    host.stop(LIMIT).await.unwrap();
    assert!(!alive(second.pid.unwrap()));
    let stopped = host.service().await.unwrap();
    assert_eq!((stopped.state, stopped.pid), (ServiceState::Stopped, None));
    host.stop(LIMIT).await.unwrap();
}

#[tokio::test]
async fn a_failed_member_is_started_again_and_one_that_left_is_not() {
    let bed = Stopper(Testbed::new());
    let host = bed.0.host();
    // Fails once, then leaves with 0 as a member does that was removed from its cluster.
    let flag = bed.0.path("failed-once");
    bed.0
        .install_fake_etcd(&format!("[ -e {flag} ] && exit 0\n: >{flag}\necho broken >&2\nexit 3"));
    host.start().await.unwrap();
    let last = until(&host, |facts| {
        facts.restarts == 1 && facts.state == ServiceState::Stopped
    })
    .await;
    assert_eq!(last.last_exit.as_deref(), Some("exit code 0"));
    assert_eq!(host.journal(1).await.unwrap(), ["broken"]);
    assert_eq!(
        bed.0
            .names(&bed.0.desired.paths.run)
            .iter()
            .filter(|n| n.ends_with(".pid"))
            .count(),
        0
    );
}

#[tokio::test]
async fn while_it_waits_for_the_next_try_a_member_counts_as_failed() {
    let bed = Stopper(Testbed::new());
    let host = bed.0.host();
    bed.0.install_fake_etcd("exit 7");
    host.start().await.unwrap();
    let facts = until(&host, |facts| facts.state == ServiceState::Failed).await;
    assert_eq!(facts.last_exit.as_deref(), Some("exit code 7"));
    host.stop(LIMIT).await.unwrap();
    assert_eq!(host.service().await.unwrap().state, ServiceState::Stopped);
}

#[tokio::test]
async fn a_member_that_ignores_the_signal_is_killed_in_the_end() {
    let bed = Stopper(Testbed::new());
    let host = bed.0.host();
    bed.0
        .install_fake_etcd("trap '' TERM\necho ready\nwhile :; do sleep 1; done");
    host.start().await.unwrap();
    let pid = until(&host, |facts| facts.pid.is_some()).await.pid.unwrap();
    while host.journal(1).await.unwrap() != ["ready"] {}
    host.stop(Duration::from_secs(1)).await.unwrap();
    assert!(!alive(pid));
}

#[tokio::test]
async fn a_recycled_process_number_is_never_killed() {
    let bed = Stopper(Testbed::new());
    let host = bed.0.host();
    bed.0.install_fake_etcd("exec sleep 1000");
    let mut innocent = tokio::process::Command::new("sleep")
        .arg("1000")
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = innocent.id().unwrap();
    // Left behind by an etcd of that number that started at another time.
    for file in ["etcd.pid", "supervisor.pid"] {
        bed.0
            .write(&bed.0.desired.paths.run.join(file), &format!("{pid} 1 some-boot\n"));
    }
    assert_eq!(host.service().await.unwrap().state, ServiceState::Stopped);
    host.stop(LIMIT).await.unwrap();
    assert!(innocent.try_wait().unwrap().is_none());
}

#[tokio::test]
async fn a_member_whose_loop_was_killed_is_seen_and_replaced_by_start() {
    let bed = Stopper(Testbed::new());
    let host = bed.0.host();
    bed.0.install_fake_etcd("exec sleep 1000");
    host.start().await.unwrap();
    let pid = until(&host, |facts| facts.pid.is_some()).await.pid.unwrap();
    let identity = bed.0.read(&bed.0.desired.paths.run.join("supervisor.pid"));
    let supervisor = identity.split(' ').next().unwrap();
    let killed = std::process::Command::new("kill")
        .args(["-9", supervisor])
        .status()
        .unwrap();
    assert!(killed.success());
    assert_eq!(host.service().await.unwrap().state, ServiceState::Running);
    host.start().await.unwrap();
    until(&host, |facts| facts.pid.is_some_and(|now| now != pid)).await;
    assert!(!alive(pid));
}

#[tokio::test]
async fn the_journal_is_followed_until_nobody_listens() {
    let bed = Stopper(Testbed::new());
    let host = bed.0.host();
    bed.0
        .install_fake_etcd("echo one\nwhile [ ! -e /nonexistent ]; do echo more; sleep 0.1; done");
    host.start().await.unwrap();
    while host.journal(1).await.unwrap().is_empty() {}
    let mut running = host.follow_journal(10).await.unwrap();
    let mut seen = String::new();
    while seen.lines().count() < 12 {
        seen.push_str(std::str::from_utf8(&running.stdout.recv().await.unwrap()).unwrap());
    }
    drop(running.stdin);
    drop(running.stdout);
    assert!(
        tokio::time::timeout(LIMIT, running.done)
            .await
            .unwrap()
            .unwrap()
            .is_ok()
    );
}

#[test]
fn the_launch_file_names_what_runs_and_what_counts_for_it() {
    let bed = Testbed::new();
    let paths = &bed.desired.paths;
    let text = launch_text(&bed.desired, RELEASE);
    let expected = format!(
        "exe {}/3.5.30/etcd\nconfig {}\nhashed {}/ca.crt\n",
        paths.bin, paths.config, paths.pki
    );
    assert_eq!(text, expected);
}
