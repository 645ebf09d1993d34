//! Runs that tests of the sinks show: a bootstrap that works, and one that does not.

use super::Event;
use crate::inventory::NodeName;

const HOSTS: [&str; 3] = ["etcd-1", "etcd-2", "etcd-3"];

fn node(name: &str) -> Option<NodeName> {
    Some(name.parse().unwrap())
}

fn phase(name: &str, seconds: f64) -> [Event; 2] {
    let phase = name.to_owned();
    [
        Event::PhaseStarted { phase: phase.clone() },
        Event::PhaseFinished { phase, seconds },
    ]
}

fn started(step: &str, host: &str, what: &str) -> Event {
    Event::StepStarted {
        step: format!("{step}.{host}"),
        node: node(host),
        what: what.into(),
    }
}

fn finished(step: &str, host: &str, seconds: f64, saw: &str) -> Event {
    Event::StepFinished {
        step: format!("{step}.{host}"),
        node: node(host),
        seconds,
        saw: saw.into(),
    }
}

fn moved(step: &str, host: &str, done: u64) -> Event {
    Event::StepProgress {
        step: format!("{step}.{host}"),
        node: node(host),
        unit: "bytes",
        done,
        total: Some(28_416_000),
    }
}

fn waiting(step: &str, host: &str, on: &str) -> Event {
    Event::StepWaiting {
        step: format!("{step}.{host}"),
        node: node(host),
        on: on.into(),
    }
}

/// Everything up to the point where all three members have been started and wait for each other.
pub(super) fn beginning() -> Vec<Event> {
    let mut events: Vec<Event> = [phase("connect", 0.2), phase("observe", 0.1), phase("plan", 0.01)].concat();
    events.push(Event::Warning {
        node: node("etcd-3"),
        text: "swap is on".into(),
        hint: Some("swapoff -a, or vm.swappiness=1".into()),
    });
    events.push(Event::PhaseStarted { phase: "apply".into() });
    for host in HOSTS {
        events.push(started("w1", host, "push etcd 3.5.30"));
    }
    for (host, done) in HOSTS.into_iter().zip([28_416_000, 14_208_000, 3_552_000]) {
        events.push(moved("w1", host, done));
    }
    events.push(finished("w1", "etcd-1", 0.4, "3 files verified"));
    events.push(started("w2", "etcd-1", "start etcd"));
    events.push(waiting("w2", "etcd-1", "1 of 3 members are up"));
    events.push(waiting("w2", "etcd-1", "1 of 3 members are up"));
    events
}

/// A bootstrap that works.
pub(super) fn bootstrap() -> Vec<Event> {
    let mut events = beginning();
    events.push(Event::PhaseFinished {
        phase: "apply".into(),
        seconds: 2.1,
    });
    events.extend(phase("verify", 0.1));
    let phases = [
        ("connect", 0.2),
        ("observe", 0.1),
        ("plan", 0.01),
        ("apply", 2.1),
        ("verify", 0.1),
    ];
    events.push(Event::Finished {
        ok: true,
        seconds: 2.5,
        phases: phases.map(|(name, seconds)| (name.to_owned(), seconds)).to_vec(),
        changed: 18,
        summary: "prod-a is healthy: 3 members, 3 started now".into(),
        round_trips: Default::default(),
        probe: None,
    });
    events
}

/// A bootstrap in which etcd-2 finds its port taken.
pub(super) fn failed_bootstrap() -> Vec<Event> {
    let mut events = beginning();
    events.push(finished("w1", "etcd-2", 0.5, "3 files verified"));
    events.push(started("w2", "etcd-2", "start etcd"));
    let mut journal: Vec<String> = (1..=22)
        .map(|n| format!("etcd[812]: {{\"level\":\"info\",\"msg\":\"line {n}\"}}"))
        .collect();
    journal.push(
        "etcd[812]: {\"level\":\"fatal\",\"msg\":\"discovery failed\",\"error\":\"listen tcp 10.0.0.12:2380: bind: address already in use\",\"stacktrace\":\"main.main\\n\"}"
            .into(),
    );
    journal.push("systemd[1]: etcd.service: Main process exited, code=exited, status=1/FAILURE".into());
    events.push(Event::StepFailed {
        step: "w2.etcd-2".into(),
        node: node("etcd-2"),
        error: "the unit etcd.service failed\nlast exit: code 1".into(),
        hint: Some("run `quorate up` again when it is fixed".into()),
        journal,
    });
    events.push(Event::PhaseFinished {
        phase: "apply".into(),
        seconds: 1.2,
    });
    events.push(Event::Finished {
        ok: false,
        seconds: 1.6,
        phases: vec![("apply".into(), 1.2)],
        changed: 4,
        summary: "etcd-2 could not be started; run `quorate up` again to continue from here".into(),
        round_trips: Default::default(),
        probe: None,
    });
    events
}
