//! The sessions of one host. A server may allow few a connection (`MaxSessions`): where one connection is not enough,
//! another is opened, since each has its own number; and what has to wait says so, and not for ever.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use russh::Channel;
use russh::client::Msg;
use tokio::sync::watch;
use tokio::time::Instant;

use super::environment::SshEnvironment;
use super::judge::Judge;
use super::jumps;
use super::link::Link;
use super::route::Route;
use crate::host::{HostError, SecretSource};
use crate::inventory::NodeName;

/// Sessions at a time on one connection; OpenSSH's default `MaxSessions` is 10.
const USUAL: usize = 8;

/// Connections to one host at most: the lock, what is left running beside it, and the work.
const CONNECTIONS: usize = 8;

/// How often, and after what pause, a session is asked for again that was refused although none of ours runs any more:
/// sshd counts a session off a moment after it told us of its end.
const REFUSALS: u32 = 100;
const COUNTED_OFF: Duration = Duration::from_millis(20);

/// After so many refusals the server means it: what runs on the connection is all that may.
const MEANT: u32 = 5;

/// Waiting for less than this is not worth telling.
const UNTOLD: Duration = Duration::from_secs(2);

/// Where sessions of one host are had.
pub(super) struct Sessions {
    node: NodeName,
    route: Route,
    env: Arc<SshEnvironment>,
    secrets: Arc<dyn SecretSource>,
    state: Mutex<State>,
    /// One more connection at a time.
    connecting: tokio::sync::Mutex<()>,
    /// Counts seats that were left.
    left: watch::Sender<u64>,
}

struct State {
    rows: Vec<Row>,
    /// Sessions that one connection may have.
    most: usize,
    /// Why there are no more connections than these.
    no_more: Option<String>,
}

/// One connection.
struct Row {
    link: Arc<Link>,
    running: usize,
    asked: usize,
    /// The server has opened a session on it before.
    served: bool,
}

/// A place among the sessions of a connection; free again when it is dropped.
pub(super) struct Seat {
    sessions: Arc<Sessions>,
    pub(super) link: Arc<Link>,
    running: bool,
}

enum Next {
    Ask(Seat),
    Connect(usize),
    Wait,
}

enum Refusal {
    /// The connection has all the sessions that it may have.
    Full,
    /// One that has ended is still counted.
    NotCountedOff,
    /// There is nothing to wait for.
    Final,
}

impl Sessions {
    pub(super) fn new(
        node: &NodeName,
        route: Route,
        link: Link,
        env: Arc<SshEnvironment>,
        secrets: Arc<dyn SecretSource>,
    ) -> Arc<Self> {
        Arc::new(Self {
            node: node.clone(),
            route,
            env,
            secrets,
            state: Mutex::new(State {
                rows: vec![Row::new(link)],
                most: USUAL,
                no_more: None,
            }),
            connecting: tokio::sync::Mutex::default(),
            left: watch::Sender::default(),
        })
    }

    /// The first connection.
    pub(super) fn link(&self) -> Arc<Link> {
        Arc::clone(&self.state().rows[0].link)
    }

    /// Opens a session.
    ///
    /// # Errors
    /// When the server opens none, or no seat becomes free for [`SshEnvironment::session_patience`].
    pub(super) async fn open(self: &Arc<Self>, judge: &Judge) -> Result<(Channel<Msg>, Seat), HostError> {
        let mut left = self.left.subscribe();
        let (mut refusals, mut told) = (0, false);
        let mut waits_since = Instant::now();
        loop {
            let mut seat = match self.next() {
                Next::Ask(seat) => seat,
                Next::Connect(connections) => {
                    self.connect(connections).await;
                    continue;
                }
                Next::Wait => {
                    self.wait(&mut left, &mut waits_since, &mut told, judge).await?;
                    continue;
                }
            };
            match seat.link.handle.channel_open_session().await {
                Ok(channel) => {
                    seat.sit();
                    return Ok((channel, seat));
                }
                Err(russh::Error::ChannelOpenFailure(failure)) => match self.refused(&seat.link, refusals) {
                    Refusal::Full => refusals = 0,
                    Refusal::NotCountedOff if refusals < REFUSALS => {
                        refusals += 1;
                        drop(seat);
                        tokio::time::sleep(COUNTED_OFF).await;
                    }
                    Refusal::NotCountedOff | Refusal::Final if self.do_without(&seat.link) => {
                        self.state().no_more = Some("it opens no session on another".to_owned());
                    }
                    _ => return Err(judge.no_session(&format!("{failure:?}"))),
                },
                // A connection that was lost.
                Err(_) if self.do_without(&seat.link) => {}
                Err(error) => return Err(judge.failed(&error)),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Counters are right at every moment, so a panic elsewhere leaves nothing half-done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(self: &Arc<Self>) -> Next {
        let mut state = self.state();
        let most = state.most;
        let connections = state.rows.len();
        if let Some(row) = state.rows.iter_mut().find(|row| row.running + row.asked < most) {
            row.asked += 1;
            return Next::Ask(Seat {
                sessions: Arc::clone(self),
                link: Arc::clone(&row.link),
                running: false,
            });
        }
        // A server with the usual number of sessions has never said no: what runs there ends soon.
        match most < USUAL && connections < CONNECTIONS && state.no_more.is_none() {
            true => Next::Connect(connections),
            false => Next::Wait,
        }
    }

    /// One connection more than `connections`, unless somebody else has opened it meanwhile.
    async fn connect(&self, connections: usize) {
        let _one = self.connecting.lock().await;
        if self.state().rows.len() > connections {
            return;
        }
        let opened = jumps::reach(&self.route, &self.env, &self.secrets).await;
        let mut state = self.state();
        match opened {
            Ok(link) => state.rows.push(Row::new(link)),
            Err(trouble) => state.no_more = Some(trouble.on(&self.node).to_string()),
        }
    }

    fn refused(&self, link: &Arc<Link>, before: u32) -> Refusal {
        let mut state = self.state();
        let Some(row) = state.rows.iter().find(|row| Arc::ptr_eq(&row.link, link)) else {
            return Refusal::Full;
        };
        match (row.running, row.served || row.asked > 1) {
            (1.., _) if before >= MEANT => {
                state.most = row.running.min(state.most);
                Refusal::Full
            }
            (1.., _) | (0, true) => Refusal::NotCountedOff,
            (0, false) => Refusal::Final,
        }
    }

    /// Does without a connection that is of no use, where another one is; the first one is never done without.
    fn do_without(&self, link: &Arc<Link>) -> bool {
        let mut state = self.state();
        match state.rows.iter().position(|row| Arc::ptr_eq(&row.link, link)) {
            Some(0) => return false,
            Some(at) => drop(state.rows.remove(at)),
            None => {}
        }
        true
    }

    /// Waits until a seat is left. The limit counts from the last one that was.
    async fn wait(
        &self,
        left: &mut watch::Receiver<u64>,
        since: &mut Instant,
        told: &mut bool,
        judge: &Judge,
    ) -> Result<(), HostError> {
        if left.has_changed().unwrap_or(false) {
            left.mark_unchanged();
            *since = Instant::now();
            return Ok(());
        }
        let patience = self.env.session_patience;
        let until = match *told {
            true => *since + patience,
            false => *since + patience.min(UNTOLD),
        };
        tokio::select! {
            // The sender lives as long as `self`.
            _ = left.changed() => *since = Instant::now(),
            () = self.env.stop.cancelled() => return Err(judge.lost("stopped while it waited for a session".to_owned())),
            () = tokio::time::sleep_until(until) => match since.elapsed() < patience {
                true => {
                    *told = true;
                    (self.env.told)(&self.node, &format!("waiting for a session: {}", self.occupied()));
                }
                false => return Err(judge.no_seat(patience, &self.occupied())),
            },
        }
        Ok(())
    }

    /// Why there is no seat.
    fn occupied(&self) -> String {
        let state = self.state();
        let connections = match state.rows.len() {
            1 => "the one connection is in use".to_owned(),
            many => format!("all {many} connections are in use"),
        };
        match &state.no_more {
            Some(why) => format!(
                "its sshd allows {} a connection, {connections}, and there is no other: {why}",
                state.most
            ),
            None => format!("its sshd allows {} a connection, and {connections}", state.most),
        }
    }
}

impl Row {
    fn new(link: Link) -> Self {
        Self {
            link: Arc::new(link),
            running: 0,
            asked: 0,
            served: false,
        }
    }
}

impl Seat {
    /// The server has opened the session.
    fn sit(&mut self) {
        self.running = true;
        self.with_row(|row| {
            row.asked -= 1;
            row.running += 1;
            row.served = true;
        });
    }

    fn with_row(&self, change: impl FnOnce(&mut Row)) {
        let mut state = self.sessions.state();
        let row = state.rows.iter_mut().find(|row| Arc::ptr_eq(&row.link, &self.link));
        if let Some(row) = row {
            change(row);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let running = self.running;
        self.with_row(|row| match running {
            true => row.running -= 1,
            false => row.asked -= 1,
        });
        self.sessions.left.send_modify(|count| *count += 1);
    }
}
