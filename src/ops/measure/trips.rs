//! Round trips between each pair of members, now: opening a TCP connection takes one. It is opened from one host to the peer port
//! of the other, through our connection to the first; what it takes to the port of that first host itself is the way from here,
//! and is taken off.
//!
//! etcd's own figure does not tell: it is smoothed over minutes and recorded twice in 30 s. Nor does the kernel's for the
//! streams of members: on a stream that goes in one direction, delayed acknowledgements of 40 ms are in it.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{ByPair, running};
use crate::etcd::{ClientTls, Dial, EtcdHttp, Stream};
use crate::inventory::DesiredHost;
use crate::ops::fleet::{Fleet, endpoint};
use crate::ops::model::{Fact, Observed};
use crate::ops::slow::Trip;

/// Each pair is tried so often in a window. A try ends with a whole TLS handshake and a question, or etcd would write an error into
/// its journal for each; that is work for it.
const TRIES: u32 = 7;
/// The least pause between two, and what one may take.
const PAUSE: Duration = Duration::from_millis(200);
const WITHIN: Duration = Duration::from_secs(5);

/// Round trips between all hosts that run a member, and from each to itself.
pub(super) async fn measure(
    fleet: &Arc<Fleet>,
    tls: Option<&ClientTls>,
    seen: &Observed,
    window: Duration,
    ended: &CancellationToken,
) -> ByPair<Fact<Trip>> {
    let Some(tls) = tls else {
        return ByPair::new();
    };
    let hosts = running(fleet, seen);
    let pause = (window / (TRIES + 1)).max(PAUSE);
    // One host at a time is tried from each: two handshakes at once would measure each other.
    let from = hosts.iter().map(|from| {
        let hosts = &hosts;
        async move {
            let mut timers: Vec<Timer> = hosts.iter().map(|to| Timer::new(fleet, from, to)).collect();
            for _ in 0..TRIES {
                for timer in &mut timers {
                    if ended.is_cancelled() {
                        break;
                    }
                    timer.try_once(tls).await;
                }
                tokio::select! {
                    () = sleep(pause) => {}
                    () = ended.cancelled() => break,
                }
            }
            timers
        }
    });
    let timers = join_all(from).await.into_iter().flatten();
    timers
        .map(|timer| ((timer.from.name.clone(), timer.to.name.clone()), timer.told()))
        .collect()
}

/// One pair.
struct Timer<'a> {
    from: &'a DesiredHost,
    to: &'a DesiredHost,
    dial: Arc<Timed>,
    failed: Option<String>,
}

impl<'a> Timer<'a> {
    fn new(fleet: &Arc<Fleet>, from: &'a DesiredHost, to: &'a DesiredHost) -> Self {
        let dial = Timed {
            inner: fleet.dial_from(from, to, to.peer_port),
            took: Mutex::default(),
        };
        Timer {
            from,
            to,
            dial: Arc::new(dial),
            failed: None,
        }
    }

    async fn try_once(&mut self, tls: &ClientTls) {
        let dial: Arc<dyn Dial> = self.dial.clone();
        let asked = match EtcdHttp::new(dial, endpoint(self.to, self.to.peer_port), tls) {
            Ok(http) => http.version(WITHIN).await.map(drop),
            Err(error) => Err(error),
        };
        self.failed = asked.err().map(|error| error.to_string());
    }

    /// The second fastest: what busy processors on the way add is in most of the others, and one may have been lucky. That the port
    /// was reached is enough, whatever it answered.
    fn told(self) -> Fact<Trip> {
        let mut took = self.dial.took.lock().map(|took| took.clone()).unwrap_or_default();
        took.sort();
        match took.get(usize::from(took.len() > 2)) {
            Some(took) => Fact::Known(Trip {
                seconds: took.as_secs_f64(),
            }),
            None => Fact::Unknown(self.failed.unwrap_or_else(|| "the window was too short".to_owned())),
        }
    }
}

/// Opens streams, and remembers how long each took.
struct Timed {
    inner: Arc<dyn Dial>,
    took: Mutex<Vec<Duration>>,
}

#[async_trait]
impl Dial for Timed {
    async fn dial(&self) -> io::Result<Box<dyn Stream>> {
        let begun = Instant::now();
        let stream = self.inner.dial().await?;
        if let Ok(mut took) = self.took.lock() {
            took.push(begun.elapsed());
        }
        Ok(stream)
    }
}
