//! The write probe: writes numbered values to one key all through a change of the cluster, as a well-behaved client
//! with several endpoints would, and afterwards proves that nothing acknowledged is lost.
//!
//! Writes are sent at a steady rate whether or not earlier ones were answered, so that the gaps show when the cluster
//! could not take writes, not how long one unlucky write hung (etcd gives up on that after 7 s).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::tally::Tally;
use super::{Answer, EtcdClient, EtcdError, Header, KeyValue, LeaseId, ProbeFindings};

/// The key vanishes this long after a killed quorate's last sign of life.
const LEASE: Duration = Duration::from_secs(600);
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);
/// After this long without an answer the next writes go to another endpoint, while this one is still waited for.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long reading back may take when the cluster is still unsettled at the end.
const READ_BACK_ROUNDS: usize = 3;

/// How to probe.
#[derive(Debug, Clone)]
pub struct ProbeSettings {
    /// The key of this run; deleted at the end.
    pub key: String,
    /// Writes per second, at least 1.
    pub rate: u32,
}

/// A probe that is writing. Dropping it stops the writing; the key then goes with its lease.
#[derive(Debug)]
pub struct WriteProbe {
    stop: watch::Sender<bool>,
    writing: JoinHandle<Tally>,
    endpoints: Endpoints,
    settings: ProbeSettings,
    lease: LeaseId,
    started: Instant,
    began: Timestamp,
}

impl WriteProbe {
    /// Begins to write, through the first of `endpoints` that takes it. Members to be taken down belong in the list:
    /// that is what a client would have.
    ///
    /// # Errors
    /// When no endpoint grants the lease for the key; with no endpoint at all, `Other`.
    pub async fn start(endpoints: Vec<EtcdClient>, settings: ProbeSettings) -> Result<WriteProbe, EtcdError> {
        let endpoints = Endpoints::new(endpoints);
        let lease = endpoints
            .first_answer(|client| async move { client.lease_grant(LEASE).await })
            .await?
            .value;
        let (stop, stopped) = watch::channel(false);
        let (started, began) = (Instant::now(), Timestamp::now());
        let writer = Writer {
            endpoints: endpoints.clone(),
            key: settings.key.clone(),
            lease,
            started,
            tally: Arc::default(),
        };
        let period = Duration::from_secs(1) / settings.rate.max(1);
        Ok(WriteProbe {
            stop,
            writing: tokio::spawn(writer.run(period, stopped)),
            endpoints,
            settings,
            lease,
            started,
            began,
        })
    }

    /// When it began to write.
    pub fn began(&self) -> Timestamp {
        self.began
    }

    /// Stops, reads back, and deletes the key.
    ///
    /// # Errors
    /// When the key cannot be read back, or its lease ran out because no endpoint took a sign of life for 10 minutes:
    /// then nothing is known about lost writes.
    pub async fn finish(self) -> Result<ProbeFindings, EtcdError> {
        let end = self.started.elapsed();
        // The receiver is gone only when the task is, which the next line sees.
        let _ = self.stop.send(true);
        let tally = self.writing.await.map_err(|error| stopped_early(error.to_string()))?;
        let key = &self.settings.key;
        let stored: Answer<Option<KeyValue>> = self
            .endpoints
            .first_answer(|client| async move { client.get(key).await })
            .await?;
        if stored.value.is_none() && end >= LEASE {
            return Err(stopped_early("the lease of its key may have run out".to_owned()));
        }
        self.endpoints
            .first_answer(|client| async move { client.delete(key).await })
            .await?;
        // The key is gone; an unattended lease ends by itself.
        let _ = self
            .endpoints
            .first_answer(|client| async move { client.lease_revoke(self.lease).await })
            .await;
        Ok(tally.close(end, stored.value.as_ref()))
    }
}

fn stopped_early(message: String) -> EtcdError {
    EtcdError::Other {
        operation: "write probe",
        code: "stopped early".to_owned(),
        message,
    }
}

/// The clients, and which of them is preferred at the moment.
#[derive(Debug, Clone)]
struct Endpoints {
    clients: Arc<[EtcdClient]>,
    preferred: Arc<AtomicUsize>,
}

impl Endpoints {
    fn new(clients: Vec<EtcdClient>) -> Self {
        Self {
            clients: clients.into(),
            preferred: Arc::default(),
        }
    }

    fn preferred(&self) -> Option<(usize, &EtcdClient)> {
        let turn = self.preferred.load(Ordering::Relaxed);
        let client = self.clients.get(turn.checked_rem(self.clients.len())?)?;
        Some((turn, client))
    }

    /// Turns to the next endpoint, unless somebody did already.
    fn turn_from(&self, turn: usize) {
        // Losing the race means that another write has turned already.
        let _ = self
            .preferred
            .compare_exchange(turn, turn.wrapping_add(1), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Asks one after the other until one answers, each a few times.
    async fn first_answer<T, F>(&self, ask: impl Fn(EtcdClient) -> F) -> Result<T, EtcdError>
    where
        F: Future<Output = Result<T, EtcdError>>,
    {
        let mut last = EtcdError::Other {
            operation: "write probe",
            code: "no endpoint".to_owned(),
            message: "the list of endpoints is empty".to_owned(),
        };
        for _ in 0..self.clients.len() * READ_BACK_ROUNDS {
            let Some((turn, client)) = self.preferred() else { break };
            match ask(client.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => last = error,
            }
            self.turn_from(turn);
        }
        Err(last)
    }
}

/// The task that writes.
#[derive(Clone)]
struct Writer {
    endpoints: Endpoints,
    key: String,
    lease: LeaseId,
    started: Instant,
    tally: Arc<Mutex<Tally>>,
}

impl Writer {
    async fn run(self, period: Duration, mut stopped: watch::Receiver<bool>) -> Tally {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut signs_of_life = interval(SIGN_OF_LIFE);
        let mut attempts = JoinSet::new();
        let mut number = 0u64;
        loop {
            tokio::select! {
                biased;
                // An error means that the probe was dropped.
                _ = stopped.changed() => break,
                _ = signs_of_life.tick() => {
                    let writer = self.clone();
                    attempts.spawn(async move { writer.keep_alive().await });
                }
                _ = ticks.tick() => {
                    number += 1;
                    let writer = self.clone();
                    attempts.spawn(async move { writer.attempt(number).await });
                }
            }
            while attempts.try_join_next().is_some() {}
        }
        attempts.join_all().await;
        std::mem::take(&mut *self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn attempt(&self, number: u64) {
        let Some((turn, client)) = self.endpoints.preferred() else {
            return;
        };
        let value = number.to_string();
        let mut write = std::pin::pin!(client.put_leased(&self.key, value.as_bytes(), self.lease));
        let outcome: Result<Header, EtcdError> = match timeout(PATIENCE, &mut write).await {
            Ok(outcome) => outcome,
            Err(_) => {
                self.endpoints.turn_from(turn);
                write.await
            }
        };
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(header) => tally.ack(self.started.elapsed(), &header),
            Err(_) => {
                tally.failure();
                self.endpoints.turn_from(turn);
            }
        }
    }

    async fn keep_alive(&self) {
        // When nobody takes it now, the next one is in time too: the lease lasts for ten of them.
        let _ = self
            .endpoints
            .first_answer(|client| async move { client.lease_keep_alive(self.lease).await })
            .await;
    }
}
