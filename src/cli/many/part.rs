//! What a command for one cluster has of the fleet that it is run for: secrets that were asked for once, connections that are
//! counted together, one Ctrl-C, what was agreed to; and where its answer goes instead of to standard output.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::screen::{Label, Screen};
use crate::cli::args::{Global, OutputFormat};
use crate::cli::backup::Backups;
use crate::cli::check::Checked;
use crate::cli::config::Settings;
use crate::cli::doctor::Examination;
use crate::cli::error::{Exit, Failure};
use crate::cli::session::{permits, secrets};
use crate::cli::status::Glance;
use crate::host::SecretSource;
use crate::ops::plan::{Plan, within};
use crate::report::{Event, Lines, Reporter};

/// What a command found out about one cluster.
#[derive(Debug)]
pub enum Answer {
    /// `status` and `health`.
    Glance(Box<Glance>),
    /// `doctor`.
    Examination(Box<Examination>),
    /// `plan`, and every `--dry-run`.
    Plan(Box<Plan>),
    /// `backup list`.
    Backups(Backups),
    /// `check`.
    Checked(Box<Checked>),
    /// `config`.
    Settings(Settings),
}

/// More of them are not kept of one cluster.
const MOST_WARNINGS: usize = 100;

/// What all clusters of a fleet share.
pub struct Shared {
    /// Where lines go.
    pub screen: Arc<Screen>,
    /// Asked before the next step begins.
    pub stop: CancellationToken,
    secrets: Arc<dyn SecretSource>,
    permits: Arc<Semaphore>,
    json: bool,
    begun: Timestamp,
}

impl Shared {
    /// For a run with these flags.
    pub fn new(global: &Global) -> Arc<Self> {
        Self::with(global, Screen::default())
    }

    /// For a run that draws on the whole screen.
    pub fn below(global: &Global, above: Arc<dyn Reporter>) -> Arc<Self> {
        Self::with(global, Screen::below(above))
    }

    fn with(global: &Global, screen: Screen) -> Arc<Self> {
        let screen = Arc::new(screen);
        let asks: Arc<dyn Reporter> = screen.clone();
        Arc::new(Self {
            secrets: secrets(global, &asks),
            screen,
            stop: CancellationToken::new(),
            // `--parallel` is how many clusters are worked on; logins are counted over all of them.
            permits: permits(None),
            json: global.output == OutputFormat::Json,
            begun: Timestamp::now(),
        })
    }
}

/// One cluster of a fleet.
pub struct Part {
    shared: Arc<Shared>,
    reporter: Arc<Told>,
    /// The plan that was agreed to.
    agreed: Option<Plan>,
    /// The first of them were done.
    goes_on: AtomicBool,
    answers: Mutex<Vec<Answer>>,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").finish_non_exhaustive()
    }
}

impl Part {
    /// One that looks: only its warnings are shown while it does.
    pub fn looking(shared: &Arc<Shared>, cluster: &str) -> Arc<Self> {
        Self::new(shared, cluster, false, None)
    }

    /// One that changes the cluster, by this plan where one was shown, and tells how it goes.
    pub fn changing(shared: &Arc<Shared>, cluster: &str, agreed: Option<Plan>) -> Arc<Self> {
        Self::new(shared, cluster, true, agreed)
    }

    fn new(shared: &Arc<Shared>, cluster: &str, tells_all: bool, agreed: Option<Plan>) -> Arc<Self> {
        let label = Label {
            cluster: cluster.to_owned(),
            screen: shared.screen.clone(),
            begun: Vec::new(),
        };
        let reporter = Told {
            screen: shared.screen.clone(),
            // With `--output json` a cluster is one object, at its end.
            lines: (!shared.json).then(|| Lines::new(label)),
            tells_all,
            finished: Mutex::default(),
            warnings: Mutex::default(),
        };
        Arc::new(Self {
            shared: shared.clone(),
            reporter: Arc::new(reporter),
            agreed,
            goes_on: AtomicBool::new(false),
            answers: Mutex::default(),
        })
    }

    /// Where its events go.
    pub fn reporter(&self) -> Arc<dyn Reporter> {
        self.reporter.clone()
    }

    /// Who is asked for passwords and passphrases: once for all clusters.
    pub fn secrets(&self) -> Arc<dyn SecretSource> {
        self.shared.secrets.clone()
    }

    /// Logins at the same time, over all clusters.
    pub fn permits(&self) -> Arc<Semaphore> {
        self.shared.permits.clone()
    }

    /// Cancelled when the operator stops the fleet.
    pub fn stop(&self) -> &CancellationToken {
        &self.shared.stop
    }

    /// When the fleet's run began: what is planned twice, to be shown and to be done, is the same plan.
    pub fn begun(&self) -> Timestamp {
        self.shared.begun
    }

    /// Takes what the command would print.
    pub fn answer(&self, answer: Answer) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
    }

    /// What it would have printed.
    pub fn answers(&self) -> Vec<Answer> {
        std::mem::take(&mut self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Its last event.
    pub fn finished(&self) -> Option<Event> {
        self.reporter
            .finished
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Its warnings, where they were not shown as they came.
    pub fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.reporter.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was agreed to is being done; what follows from it can only be planned now.
    pub fn goes_on(&self) {
        self.goes_on.store(true, Ordering::Relaxed);
    }

    /// Whether the plan does nothing but what was shown with the plans of the other clusters: there may be less to do by now,
    /// where a host has another cluster of the fleet.
    ///
    /// # Errors
    /// When there is more.
    pub fn agreed_to(&self, plan: &Plan) -> Result<(), Failure> {
        if self.goes_on.load(Ordering::Relaxed) || self.agreed.as_ref().is_some_and(|agreed| within(plan, agreed)) {
            return Ok(());
        }
        Err(Failure::new(
            Exit::Stale,
            "nothing was changed: the cluster has changed since its plan was shown, and needs more than that now",
        )
        .hint("run the same command again to see the new plan"))
    }
}

/// Events of one cluster.
struct Told {
    screen: Arc<Screen>,
    lines: Option<Lines<Label>>,
    tells_all: bool,
    finished: Mutex<Option<Event>>,
    /// Kept where there are no lines.
    warnings: Mutex<Vec<String>>,
}

impl Reporter for Told {
    fn event(&self, event: &Event) {
        if let Event::Finished { .. } = event {
            *self.finished.lock().unwrap_or_else(PoisonError::into_inner) = Some(event.clone());
        }
        if let (None, Event::Warning { node, text, .. }) = (&self.lines, event) {
            let node = node.as_ref().map(|node| format!("{node}: ")).unwrap_or_default();
            let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
            if warnings.len() < MOST_WARNINGS {
                warnings.push(format!("{node}{text}"));
            }
        }
        let heard = self.tells_all || matches!(event, Event::Warning { .. });
        if let (Some(lines), true) = (&self.lines, heard) {
            lines.event(event);
        }
    }

    fn pause(&self) {
        self.screen.pause();
    }

    fn resume(&self) {
        self.screen.resume();
    }

    fn end(&self) {
        if let Some(lines) = &self.lines {
            lines.end();
        }
    }
}
