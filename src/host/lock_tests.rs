use std::process::Stdio;
use std::time::Instant;

use super::*;
use crate::host::observe::FactsQuery;
use crate::host::testbed::Testbed;

const PROMPTLY: Duration = Duration::from_secs(10);

fn holder(id: &str) -> LockHolder {
    LockHolder {
        id: id.to_owned(),
        who: format!("{id}@laptop"),
        pid: 42,
        since: "2026-11-21T12:00:00Z".to_owned(),
        doing: "quorate up \"it's\" $(x)".to_owned(),
        alive: true,
    }
}

async fn seen(bed: &Testbed) -> Option<LockHolder> {
    bed.host().facts(&FactsQuery::default()).await.unwrap().lock
}

async fn until_free(bed: &Testbed) {
    let began = Instant::now();
    while seen(bed).await.is_some() {
        assert!(began.elapsed() < PROMPTLY, "still locked");
    }
}

fn held_by(refused: Result<LockGuard, LockRefused>) -> LockHolder {
    match refused {
        Err(LockRefused::Held(holder)) => *holder,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn of_two_contenders_one_gets_it_and_the_other_hears_from_whom() {
    let bed = Testbed::new();
    let (one, two) = (holder("one"), holder("two"));
    let guard = bed.host().lock(&one).await.unwrap();
    assert!(guard.is_held());
    assert_eq!(seen(&bed).await, Some(one.clone()));
    let refused = bed.host().lock(&two).await;
    let said = refused.as_ref().unwrap_err().to_string();
    assert!(
        said.starts_with("one@laptop holds the lock since 2026-11-21T12:00:00Z: quorate up"),
        "{said}"
    );
    assert_eq!(held_by(refused), one);

    guard.release().await;
    assert_eq!(seen(&bed).await, None);
    // Nothing is left but the directory that holds the lock.
    assert_eq!(bed.names(&bed.path("locks")), [""; 0]);
    bed.host().lock(&two).await.unwrap().release().await;
}

#[tokio::test]
async fn of_many_at_once_exactly_one_gets_it_also_from_a_dead_holder() {
    for dead in [false, true] {
        let bed = Testbed::new();
        if dead {
            leave_stale(&bed);
        }
        let ids: Vec<String> = (0..8).map(|n| format!("id-{n}")).collect();
        let tries = ids.iter().map(|id| {
            let (host, holder) = (bed.host(), holder(id));
            async move { host.lock(&holder).await }
        });
        let results = futures::future::join_all(tries).await;
        let held: Vec<_> = results.iter().filter(|result| result.is_ok()).collect();
        assert_eq!(held.len(), 1, "{results:?}");
        let refused = results
            .iter()
            .filter(|result| matches!(result, Err(LockRefused::Held(_))));
        assert_eq!(refused.count(), 7, "{results:?}");
    }
}

/// A lock whose holding script died without cleaning up (kill -9, a reboot).
fn leave_stale(bed: &Testbed) {
    let dir = bed.desired.paths.lock.join("dead");
    bed.write(&dir.join("pid"), "1 1 another-boot\n");
    let json = serde_json::to_string(&holder("dead")).unwrap();
    bed.write(&dir.join("holder.json"), &format!("{json}\n"));
}

#[tokio::test]
async fn a_dead_holders_lock_is_seen_as_such_and_taken_over() {
    let bed = Testbed::new();
    leave_stale(&bed);
    assert!(!seen(&bed).await.unwrap().alive);
    let guard = bed.host().lock(&holder("next")).await.unwrap();
    assert_eq!(seen(&bed).await, Some(holder("next")));
    assert_eq!(bed.names(&bed.path("locks")), ["etcd.lock"]);
    guard.release().await;
}

#[tokio::test]
async fn a_dropped_guard_frees_the_lock() {
    let bed = Testbed::new();
    drop(bed.host().lock(&holder("one")).await.unwrap());
    until_free(&bed).await;
}

#[tokio::test]
async fn a_client_that_is_killed_frees_the_lock() {
    let bed = Testbed::new();
    let mut client = tokio::process::Command::new("sh");
    // The client writes its line and would live on; the script's input is a pipe from it, as sshd's is.
    let json = serde_json::to_string(&holder("one")).unwrap();
    client.args(["-c", "printf '%s\\n' \"$1\"; exec sleep 1000", "sh", &json]);
    let mut client = client.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let pipe: Stdio = client.stdout.take().unwrap().try_into().unwrap();
    let mut script = tokio::process::Command::new("sh");
    script.args([
        "-c",
        scripts::LOCK.text,
        "sh",
        bed.desired.paths.lock.as_str(),
        "one",
        "0",
    ]);
    let mut script = script
        .stdin(pipe)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let began = Instant::now();
    while seen(&bed).await.is_none() {
        assert!(began.elapsed() < PROMPTLY, "never locked");
    }

    client.kill().await.unwrap();
    until_free(&bed).await;
    script.wait().await.unwrap();
}

#[tokio::test]
async fn a_theft_ends_the_other_run_and_is_written_down() {
    let bed = Testbed::new();
    let victim = bed.host().lock(&holder("victim")).await.unwrap();
    let thief = bed.host().steal_lock(&holder("thief")).await.unwrap();
    tokio::time::timeout(PROMPTLY, victim.lost()).await.unwrap();
    assert!(!victim.is_held());
    assert_eq!(seen(&bed).await, Some(holder("thief")));
    let audit = bed.read(&bed.path("locks/lock-audit.log"));
    assert_eq!(audit.lines().count(), 1);
    assert!(
        audit.contains("stolen by {\"id\":\"thief\"") && audit.contains("from {\"id\":\"victim\""),
        "{audit}"
    );

    // The victim's end does not free what it does not hold any more.
    victim.release().await;
    assert_eq!(seen(&bed).await, Some(holder("thief")));
    assert_eq!(held_by(bed.host().lock(&holder("third")).await), holder("thief"));
    thief.release().await;
}

#[tokio::test]
async fn stealing_what_nobody_holds_is_just_taking_it() {
    let bed = Testbed::new();
    bed.host().steal_lock(&holder("one")).await.unwrap().release().await;
    assert_eq!(bed.names(&bed.path("locks")), [""; 0]);
}

#[tokio::test]
async fn a_lock_that_cannot_be_made_says_why() {
    let bed = Testbed::new();
    bed.write(&bed.path("locks"), "a file");
    let refused = bed.host().lock(&holder("one")).await.unwrap_err();
    assert!(refused.to_string().contains("cannot create"), "{refused}");
    let refused = bed.host().lock(&holder("../x")).await.unwrap_err();
    assert!(refused.to_string().contains("is not a run's id"), "{refused}");
}

/// The host gives the lock up when it hears nothing for 60 s (`scripts/lock.sh`).
#[tokio::test(start_paused = true)]
async fn a_lock_that_is_held_beats_several_times_in_what_the_host_waits_for() {
    let (_out, stdout) = mpsc::channel(1);
    let (stdin, mut beats) = mpsc::channel(64);
    let running = Running {
        stdout,
        stdin,
        done: tokio::spawn(std::future::pending()),
    };
    let guard = guard(running);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut heard = 0;
    while beats.try_recv().is_ok() {
        heard += 1;
    }
    assert!(
        heard >= 4,
        "{heard} beats in a minute: one that is lost must not be the end of it"
    );
    assert!(
        scripts::LOCK.text.contains("timeout 60 dd"),
        "what the host waits for is what this test says"
    );
    drop(guard);
    while let Some(beat) = beats.recv().await {
        assert_eq!(beat.as_ref(), b"\n");
    }
}
