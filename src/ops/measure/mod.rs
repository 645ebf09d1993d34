//! Collects what `ops/slow` judges: every host and member at the beginning and at the end of a window, and meanwhile what only
//! shows itself now and then. It asks little: each connection table twice a second, each pair of members a few times, and the
//! keys once, when the window is over.

mod keys;
mod trips;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::etcd::{ClientTls, Counters, Span};
use crate::host::{Host, HostError, Pressure};
use crate::inventory::{DesiredHost, NodeName};
use crate::ops::fleet::Fleet;
use crate::ops::model::{Fact, Observed};
use crate::ops::slow::{HostWindow, Sightings, SlowRequests, Window};

/// A host that is well answers within milliseconds; one that is starved takes its time, and is what we came for.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// How often connections are listed, so that short ones are met; and where there are many, for that costs.
const OFTEN: Duration = Duration::from_millis(500);
const SELDOM: Duration = Duration::from_secs(5);
const MANY: usize = 500;

/// How much of a journal is read: it cannot be longer than what etcd writes in a very bad hour.
const JOURNAL_BYTES: usize = 16 << 20;

/// Watches every host that could be inspected for `window`, or until `stop`; the keys are sampled after that.
pub async fn measure(
    fleet: &Arc<Fleet>,
    tls: Option<&ClientTls>,
    seen: &Observed,
    window: Duration,
    stop: impl Future<Output = ()>,
) -> Window {
    let desired = fleet.desired();
    // Nobody is there to be watched.
    let window = match seen.hosts.values().any(|host| host.known().is_some()) {
        true => window,
        false => Duration::ZERO,
    };
    let ended = CancellationToken::new();
    let begun = Instant::now();
    let clock = async {
        let early = tokio::select! {
            () = tokio::time::sleep(window) => false,
            () = stop => true,
        };
        ended.cancel();
        (begun.elapsed(), early)
    };
    let hosts = join_all(desired.hosts.values().map(|spec| host(fleet, tls, seen, spec, &ended)));
    let trips = trips::measure(fleet, tls, seen, window, &ended);
    let ((took, interrupted), hosts, trips) = tokio::join!(clock, hosts, trips);
    let members = seen.cluster.known().map(|membership| {
        let host = |spec: &DesiredHost| Some((membership.of(spec)?.id, spec.name.clone()));
        desired.hosts.values().filter_map(host).collect()
    });
    Window {
        seconds: took.as_secs_f64(),
        interrupted,
        hosts: hosts.into_iter().collect(),
        members: members.unwrap_or_default(),
        trips,
        keys: keys::sample(fleet, tls, seen).await,
    }
}

async fn host(
    fleet: &Arc<Fleet>,
    tls: Option<&ClientTls>,
    seen: &Observed,
    spec: &DesiredHost,
    ended: &CancellationToken,
) -> (NodeName, Fact<HostWindow>) {
    let facts = match seen.hosts.get(&spec.name) {
        Some(Fact::Known(facts)) => facts,
        Some(Fact::Unknown(why)) => return (spec.name.clone(), Fact::Unknown(why.clone())),
        Some(Fact::Absent) | None => return (spec.name.clone(), Fact::Absent),
    };
    let pid = facts.service.pid;
    let (counters, pressure, traffic, journal) = tokio::join!(
        counters(fleet, tls.filter(|_| pid.is_some()), spec, ended),
        pressure(fleet, spec, pid, ended),
        traffic(fleet, spec, ended),
        journal(fleet, spec, ended),
    );
    let (counters, seconds) = match (counters, pid) {
        (_, None) => (Fact::Absent, 0.0),
        (Ok((span, seconds)), _) => (Fact::Known(span), seconds),
        (Err(why), _) => (Fact::Unknown(why), 0.0),
    };
    let (traffic, watched) = traffic;
    let window = HostWindow {
        seconds: if seconds > 0.0 { seconds } else { watched },
        counters,
        pressure,
        traffic,
        journal,
    };
    (spec.name.clone(), Fact::Known(window))
}

/// Both readings, and the time between them.
async fn counters(
    fleet: &Arc<Fleet>,
    tls: Option<&ClientTls>,
    spec: &DesiredHost,
    ended: &CancellationToken,
) -> Result<(Span, f64), String> {
    let read = async || -> Result<(Counters, Instant), String> {
        let tls = tls.ok_or("there is no client certificate for it")?;
        let http = fleet
            .http(spec, spec.client_port, tls)
            .map_err(|error| error.to_string())?;
        let counters = http.counters(ANSWERS_WITHIN).await.map_err(|error| error.to_string())?;
        Ok((counters, Instant::now()))
    };
    let (from, begun) = read().await?;
    ended.cancelled().await;
    let (to, end) = read().await?;
    Ok((Span::new(from, to), (end - begun).as_secs_f64()))
}

async fn pressure(
    fleet: &Arc<Fleet>,
    spec: &DesiredHost,
    pid: Option<u32>,
    ended: &CancellationToken,
) -> Fact<(Pressure, Pressure)> {
    let read = || {
        ask(fleet, spec, move |host| {
            Box::pin(async move { host.pressure(pid).await })
        })
    };
    let from = read().await;
    ended.cancelled().await;
    match (from, read().await) {
        (Ok(from), Ok(to)) => Fact::Known((from, to)),
        (Err(error), _) | (_, Err(error)) => Fact::unknown(&error.to_string(), error.hint()),
    }
}

/// Its connections, and for how long they were watched.
async fn traffic(fleet: &Arc<Fleet>, spec: &DesiredHost, ended: &CancellationToken) -> (Fact<Sightings>, f64) {
    let ports = [spec.client_port, spec.peer_port];
    let mut seen = Sightings::default();
    let mut begun = None;
    loop {
        let last = ended.is_cancelled();
        let listed = ask(fleet, spec, move |host| {
            Box::pin(async move { host.traffic(ports).await })
        })
        .await;
        match listed {
            Ok(Some(connections)) => seen.add(&connections, spec.client_port),
            Ok(None) => return (Fact::Absent, 0.0),
            // One look that fails loses what was new in it.
            Err(error) if begun.is_none() || last => return (Fact::unknown(&error.to_string(), error.hint()), 0.0),
            Err(_) => {}
        }
        let begun = *begun.get_or_insert_with(Instant::now);
        if last {
            return (Fact::Known(seen), begun.elapsed().as_secs_f64());
        }
        let pause = if seen.connections() > MANY { SELDOM } else { OFTEN };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = ended.cancelled() => {}
        }
    }
}

/// What the member writes meanwhile. A journal that cannot be followed is not an empty one.
async fn journal(fleet: &Arc<Fleet>, spec: &DesiredHost, ended: &CancellationToken) -> Fact<SlowRequests> {
    let following = async { fleet.host(spec).await?.follow_journal(0).await };
    let mut running = match following.await {
        Ok(running) => running,
        Err(error) => return Fact::unknown(&error.to_string(), error.hint()),
    };
    let mut text: Vec<u8> = Vec::new();
    loop {
        tokio::select! {
            chunk = running.stdout.recv() => match chunk {
                Some(chunk) if text.len() < JOURNAL_BYTES => text.extend_from_slice(&chunk),
                Some(_) => {}
                None => break,
            },
            () = ended.cancelled() => break,
        }
    }
    let mut slow = SlowRequests::default();
    for line in String::from_utf8_lossy(&text).lines() {
        slow.add(line);
    }
    Fact::Known(slow)
}

async fn ask<'a, T>(
    fleet: &Arc<Fleet>,
    spec: &DesiredHost,
    question: impl Fn(Arc<Host>) -> futures::future::BoxFuture<'a, Result<T, HostError>> + Send,
) -> Result<T, HostError> {
    fleet.ask_within(spec, Some(ANSWERS_WITHIN), question).await
}

/// By the hosts that run a member and could be inspected.
fn running<'a>(fleet: &'a Arc<Fleet>, seen: &'a Observed) -> Vec<&'a DesiredHost> {
    seen.running(fleet.desired()).collect()
}

/// By pairs of hosts.
type ByPair<T> = BTreeMap<(NodeName, NodeName), T>;
