use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::host::{Duplex, Output, Running, Script, Stdin};
use crate::ops::samples::desired;

/// A connection that is dead, or one on which everything is answered.
struct Line {
    dead: bool,
}

impl Line {
    fn lost<T>(&self, answer: T) -> Result<T, HostError> {
        match self.dead {
            false => Ok(answer),
            true => Err(HostError::Lost {
                node: "n1".parse().unwrap(),
                operation: "talking".into(),
                why: "the host was rebooted".into(),
            }),
        }
    }
}

#[async_trait]
impl Transport for Line {
    async fn run(&self, _: &Script, _: Stdin) -> Result<Output, HostError> {
        self.lost(Output {
            over: None,
            status: Some(0),
            stdout: b"here".to_vec(),
            stderr: String::new(),
        })
    }

    async fn spawn(&self, _: &Script) -> Result<Running, HostError> {
        unreachable!("nothing is left running here")
    }

    async fn tunnel(&self, _: &str, _: u16) -> Result<Box<dyn Duplex>, HostError> {
        self.lost(Box::new(tokio::io::empty()) as Box<dyn Duplex>)
    }

    fn round_trips(&self) -> u64 {
        0
    }
}

/// So many of the first connections are dead.
struct Lines {
    dead: u64,
    made: Arc<AtomicU64>,
}

#[async_trait]
impl Connector for Lines {
    async fn connect(&self, _: &DesiredHost) -> Result<Arc<dyn Transport>, HostError> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(Line {
            dead: number < self.dead,
        }))
    }
}

fn fleet(dead: u64) -> (Arc<Fleet>, Arc<AtomicU64>) {
    let made = Arc::new(AtomicU64::new(0));
    let lines = Lines {
        dead,
        made: made.clone(),
    };
    (Fleet::new(Arc::new(desired(1)), Box::new(lines)), made)
}

async fn asked(fleet: &Arc<Fleet>) -> Result<Output, HostError> {
    let spec = fleet.desired().hosts.values().next().unwrap();
    let words = || vec!["true".to_owned()];
    let question = |host: Arc<Host>| -> BoxFuture<'_, _> {
        Box::pin(async move { host.run_program(&words(), Box::pin(tokio::io::empty())).await })
    };
    fleet.ask(spec, question).await
}

#[tokio::test]
async fn a_host_that_was_rebooted_is_asked_again_over_a_fresh_connection() {
    let (fleet, made) = fleet(1);
    assert_eq!(asked(&fleet).await.unwrap().stdout, b"here");
    assert_eq!(made.load(Ordering::Relaxed), 2);
    assert!(asked(&fleet).await.is_ok());
    assert_eq!(made.load(Ordering::Relaxed), 2, "the new one is kept");
}

#[tokio::test]
async fn a_port_behind_a_dead_connection_is_dialled_over_a_fresh_one() {
    let (fleet, made) = fleet(1);
    let spec = fleet.desired().hosts.values().next().unwrap();
    assert!(fleet.dial(spec, 2379).dial().await.is_ok());
    assert_eq!(made.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_host_that_stays_dead_is_given_up_after_the_second_try() {
    let (fleet, made) = fleet(9);
    assert!(matches!(asked(&fleet).await, Err(HostError::Lost { .. })));
    assert_eq!(made.load(Ordering::Relaxed), 2);
}
