//! `status` while hosts still answer, and `status --watch`: each host is asked on its own, and shown with the age of what it
//! said. One that stops answering delays nobody.

pub(super) mod display;
pub(super) mod frame;
pub(super) mod lines;

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use self::display::Display;
use super::args::{Global, OutputFormat};
use super::error::{Exit, Failure};
use super::interrupt::Endings;
use super::session::Session;
use super::status::{Glance, glance, text};
use crate::host::HostFacts;
use crate::inventory::{Desired, DesiredHost, NodeName};
use crate::ops::fleet::Fleet;
use crate::ops::model::{Fact, Observed};
use crate::ops::observe::{Board, Heard, Moment, Question, Seen, conclude, hear};
use crate::ops::vault::{Vault, Viewer};
use crate::report::print::{inert, inert_json};
use crate::report::{Paint, terminal_width};

/// How often a host is asked: a few answers are missed before the last one is too old to count.
const CADENCE: Duration = Duration::from_secs(1);

/// How often everything is looked at instead of the service alone: files, certificates, data.
const EVERYTHING_EVERY: Duration = Duration::from_secs(30);

/// The same of a host whose member is down, or that somebody is changing: it may be stopped on purpose, or have been moved,
/// which files tell.
const DOWN_EVERY: Duration = Duration::from_secs(3);

/// How often ages and the clock move on.
const TICK: Duration = Duration::from_millis(200);

/// A cluster that answers sooner is shown at once, and not in parts.
const WORTH_SHOWING: Duration = Duration::from_millis(400);

/// Whether there is a screen to draw on: both streams lead to a terminal that can move its cursor.
pub(super) fn has_screen(global: &Global) -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    let terminal = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
    global.part.is_none() && global.output == OutputFormat::Human && terminal && !dumb
}

/// A session that can show each host as it answers, where there is a screen.
///
/// # Errors
/// As [`Session::open`].
pub fn open(global: &Global, watching: bool) -> Result<(Session, Option<Arc<Display>>), Failure> {
    if !has_screen(global) {
        return Ok((Session::open(global)?, None));
    }
    let display = Arc::new(match watching {
        true => Display::whole_screen(),
        false => Display::below_the_cursor(),
    });
    Ok((Session::open_with(global, display.clone())?, Some(display)))
}

/// One look, of which each part is on the screen as soon as it is known.
///
/// # Errors
/// As [`Session::look`].
pub async fn look(session: &Session, display: &Display) -> Result<Observed, Failure> {
    let (fleet, vault) = (session.fleet(), session.vault());
    let viewer = vault.viewer().await?;
    let tls = viewer.tls();
    let desired = session.desired();
    let mut board = Board::new(desired, viewer.blindness());
    let mut heard = std::collections::BTreeMap::new();
    let mut looks: FuturesUnordered<_> = desired
        .hosts
        .values()
        .map(|spec| async {
            let begun = now();
            let told = hear(&fleet, spec, tls, Question::default()).await;
            (spec.name.clone(), told, begun)
        })
        .collect();
    let shown_from = Instant::now() + WORTH_SHOWING;
    let mut tick = interval(TICK);
    while heard.len() < desired.hosts.len() {
        tokio::select! {
            Some((name, told, _)) = looks.next() => {
                // Here the answer is as old as the wait for the others, and said to be.
                board.hear(&name, told.clone(), now());
                heard.insert(name, told);
            }
            _ = tick.tick() => {}
        }
        if Instant::now() >= shown_from {
            display.draw(|width, _| frame::waiting(desired, &board, now(), Paint::from_env(true), width));
        }
    }
    display.leave();
    Ok(viewer.explain(conclude(&fleet, tls, heard).await))
}

/// `status --watch`.
///
/// # Errors
/// When the CA cannot be opened.
pub async fn watch(global: &Global) -> Result<Exit, Failure> {
    let (session, display) = open(global, true)?;
    let desired = session.desired();
    let mut eyes = Eyes::on(&session).await?;
    let mut endings = Endings::listen()?;
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut printer = Printer::default();
    loop {
        tokio::select! {
            () = eyes.next() => {}
            _ = tick.tick() => {}
            () = endings.next() => return Ok(Exit::Interrupted),
        }
        let now = now();
        let board = eyes.board(now);
        match &display {
            Some(display) => {
                display.draw(|width, _| frame::watching(desired, board, now, Paint::from_env(true), width));
                if display.keys().iter().any(|key| frame::QUIT.contains(key)) {
                    return Ok(Exit::Done);
                }
            }
            // Where that fails, nobody reads any more.
            None if board.complete(now) && printer.print_changes(&session, board, now).is_err() => {
                return Ok(Exit::Done);
            }
            None => {}
        }
    }
}

/// All hosts of a cluster, each asked at its own pace for as long as this lives.
pub(super) struct Eyes {
    board: Board,
    told: UnboundedReceiver<(NodeName, Heard, Moment)>,
    listen: Arc<AtomicBool>,
    /// Ended when this is dropped.
    _rounds: JoinSet<()>,
}

impl Eyes {
    /// Begins to ask.
    ///
    /// # Errors
    /// When the CA cannot be opened.
    pub(super) async fn on(session: &Session) -> Result<Self, Failure> {
        let (fleet, vault) = (session.fleet(), session.vault());
        let desired = session.desired();
        let board = Board::new(desired, vault.viewer().await?.blindness());
        let (tell, told) = unbounded_channel();
        let listen = Arc::new(AtomicBool::new(false));
        let mut rounds = JoinSet::new();
        for spec in desired.hosts.values() {
            let round = Rounds {
                fleet: fleet.clone(),
                vault: vault.clone(),
                spec: spec.clone(),
                listen: listen.clone(),
            };
            rounds.spawn(round.forever(tell.clone()));
        }
        Ok(Self {
            board,
            told,
            listen,
            _rounds: rounds,
        })
    }

    /// Waits for the next answer and takes it in.
    pub(super) async fn next(&mut self) {
        if let Some((name, heard, begun)) = self.told.recv().await {
            self.board.hear(&name, heard, begun);
        }
    }

    /// What is known by now; the leader is asked for more while somebody is in the dark.
    pub(super) fn board(&self, now: Moment) -> &Board {
        self.listen.store(self.board.in_the_dark(now), Ordering::Relaxed);
        &self.board
    }
}

/// This moment.
pub(super) fn now() -> Moment {
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    let time = clock_gettime(clock);
    Moment {
        since_boot: Duration::new(time.tv_sec as u64, time.tv_nsec as u32),
        clock: Timestamp::now(),
    }
}

/// One host, asked again and again.
struct Rounds {
    fleet: Arc<Fleet>,
    vault: Arc<Vault>,
    spec: DesiredHost,
    listen: Arc<AtomicBool>,
}

impl Rounds {
    async fn forever(self, tell: UnboundedSender<(NodeName, Heard, Moment)>) {
        let mut before: Option<(HostFacts, Instant)> = None;
        let mut shown = String::new();
        loop {
            let (begun, at) = (Instant::now(), now());
            let viewer = self.vault.viewer().await.ok();
            let tls = viewer.as_ref().and_then(Viewer::tls);
            if let Some(tls) = tls
                && shown != tls.cert_pem
            {
                // A new certificate is shown on new connections only.
                if !shown.is_empty() {
                    self.fleet.forget_clients().await;
                }
                shown.clone_from(&tls.cert_pem);
            }
            let question = Question {
                before: before
                    .as_ref()
                    .filter(|(facts, since)| since.elapsed() < patience(facts))
                    .map(|(facts, _)| facts),
                impatient: true,
                listen: self.listen.load(Ordering::Relaxed),
            };
            let everything = question.before.is_none();
            let heard = hear(&self.fleet, &self.spec, tls, question).await;
            match (&heard.facts, everything) {
                (Fact::Known(facts), true) => before = Some((facts.clone(), begun)),
                // It stopped, or was started: why is in its files, which are looked at again at once.
                (Fact::Known(facts), false) if before.as_ref().is_some_and(|(was, _)| runs(was) != runs(facts)) => {
                    before = None;
                }
                (Fact::Known(_), false) => {}
                // It may come back as another.
                _ => before = None,
            }
            if tell.send((self.spec.name.clone(), heard, at)).is_err() {
                return;
            }
            sleep_until(begun + CADENCE).await;
        }
    }
}

fn runs(facts: &HostFacts) -> bool {
    facts.service.pid.is_some()
}

/// How long the files that were seen count.
fn patience(facts: &HostFacts) -> Duration {
    let changed_by_somebody = facts.lock.as_ref().is_some_and(|holder| holder.alive);
    match runs(facts) && !changed_by_somebody {
        true => EVERYTHING_EVERY,
        false => DOWN_EVERY,
    }
}

/// Where there is no screen: one object, or one block, for each change.
#[derive(Default)]
struct Printer {
    last: Option<frame::Gist>,
}

impl Printer {
    fn print_changes(&mut self, session: &Session, board: &Board, now: Moment) -> std::io::Result<()> {
        let glance = aged(session.desired(), board, now);
        let gist = frame::gist(&glance);
        if self.last.as_ref() == Some(&gist) {
            return Ok(());
        }
        self.last = Some(gist);
        let at = now.clock;
        print_change(match session.json() {
            true => Change::Object(serde_json::to_string(&frame::Dated { at, glance: &glance })?),
            false => Change::Block(at, text(&glance, Paint::from_env(true), terminal_width())),
        })
    }
}

/// What is printed of a change where there is no screen.
pub(super) enum Change {
    /// JSON, without a line's end.
    Object(String),
    /// Text, and when it was like that.
    Block(Timestamp, String),
}

/// Prints it at once; what hosts have said in it steers no terminal.
///
/// # Errors
/// When nobody reads any more.
pub(super) fn print_change(change: Change) -> std::io::Result<()> {
    let said = match change {
        Change::Object(object) => inert_json(&object) + "\n",
        Change::Block(at, text) => inert(&format!("{}\n{text}", at.strftime("%Y-%m-%d %H:%M:%SZ"))),
    };
    let mut out = anstream::stdout().lock();
    out.write_all(said.as_bytes())?;
    out.flush()
}

/// What is known at this moment, with the age of each part.
pub(super) fn aged(desired: &Desired, board: &Board, now: Moment) -> Glance {
    let mut glance = glance(desired, &board.observed(now));
    for member in &mut glance.members {
        let seen = member.name.parse().ok().map(|name| board.seen(&name, now));
        member.seconds_since_answer = match seen {
            Some(Seen::Ago(since) | Seen::Silent(Some(since))) => Some(since.as_secs()),
            _ => None,
        };
    }
    glance
}
