//! The way to a member is not the member: where sshd forwards nothing, or lets few sessions onto a connection, a stream takes a
//! connection of its own, through a jump host perhaps. While that is opened nobody has been asked anything yet, so no time runs
//! against the member. The way has a limit of its own (`connect::WAY_LIMIT`).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::{Dial, Stream};

/// How many streams opened one after the other do not count against one call: the first, and those after broken connections.
const TRIES: usize = 3;

/// How many streams are being opened right now.
#[derive(Debug, Clone, Default)]
pub(super) struct Way(Arc<watch::Sender<usize>>);

impl Way {
    /// The same dialler, watched.
    pub(super) fn of(&self, dial: Arc<dyn Dial>) -> Arc<dyn Dial> {
        Arc::new(Watched {
            dial,
            way: self.clone(),
        })
    }

    /// Waits for `call`; `None` when it takes longer than `limit`, the opening of the way not counted.
    pub(super) async fn within<T>(&self, limit: Duration, call: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = call => Some(done),
            () = self.used_up(limit) => None,
        }
    }

    /// Apart from the call, so that it is compiled once and not for each kind of call.
    async fn used_up(&self, limit: Duration) {
        let mut opening = self.0.subscribe();
        let mut left = limit;
        for _ in 0..TRIES {
            let since = Instant::now();
            if timeout(left, opening.wait_for(|streams| *streams > 0)).await.is_err() {
                return;
            }
            left = left.saturating_sub(since.elapsed());
            let _ = opening.wait_for(|streams| *streams == 0).await;
        }
        sleep(left).await;
    }
}

/// Counts as long as it lives.
struct Opening<'a>(&'a Way);

impl<'a> Opening<'a> {
    fn begin(way: &'a Way) -> Self {
        way.0.send_modify(|streams| *streams += 1);
        Self(way)
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|streams| *streams -= 1);
    }
}

struct Watched {
    dial: Arc<dyn Dial>,
    way: Way,
}

#[async_trait]
impl Dial for Watched {
    async fn dial(&self) -> io::Result<Box<dyn Stream>> {
        let _opening = Opening::begin(&self.way);
        self.dial.dial().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::dial::Slow;

    const LIMIT: Duration = Duration::from_secs(3);

    #[tokio::test(start_paused = true)]
    async fn no_time_runs_against_a_member_while_its_stream_is_opened() {
        let way = Way::default();
        let dial = way.of(Arc::new(Slow(Duration::from_secs(9))));
        let answers_after = |seconds| {
            let dial = Arc::clone(&dial);
            async move {
                dial.dial().await.map(|_| ()).unwrap();
                sleep(Duration::from_secs(seconds)).await;
            }
        };
        assert_eq!(way.within(LIMIT, answers_after(2)).await, Some(()));
        assert_eq!(
            way.within(LIMIT, answers_after(60)).await,
            None,
            "that is the member's own silence"
        );
        // What is short of the limit by itself passes it by nothing that came before.
        let nearly = way.of(Arc::new(Slow(LIMIT - Duration::from_millis(100))));
        let slowly = async {
            nearly.dial().await.map(|_| ()).unwrap();
            sleep(LIMIT / 2).await;
        };
        assert_eq!(way.within(LIMIT, slowly).await, Some(()));
        // Without a stream to open the limit is as it is.
        assert_eq!(way.within(LIMIT, sleep(Duration::from_secs(4))).await, None);
        assert_eq!(way.within(LIMIT, sleep(Duration::from_secs(2))).await, Some(()));
        // A way that is given up counts no more.
        drop(tokio::time::timeout(Duration::from_secs(1), dial.dial()).await);
        assert_eq!(way.within(LIMIT, sleep(Duration::from_secs(4))).await, None);
    }
}
