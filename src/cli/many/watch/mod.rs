//! `--fleet DIR status --watch`: all clusters on one screen, each looked at again some seconds after it answered; into a cluster,
//! whose hosts are then asked every second, and into a member. Where there is no screen, what changes is printed.
//!
//! | file | what |
//! |---|---|
//! | `keys` | what was pressed |
//! | `fleet` | all clusters: whose turn it is, and the screen |
//! | `inside` | the screens of one cluster and one member |
//! | `news` | what has changed between two looks |
//!
//! Of each cluster the newest answer is kept, and of all together some hundred changes: memory does not grow with time.

mod fleet;
mod inside;
mod keys;
mod news;

use std::collections::BTreeMap;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{MissedTickBehavior, interval};

use self::fleet::Board;
use self::inside::Cluster;
use self::keys::{Key, keys};
use super::find::Clusters;
use super::part::{Part, Shared};
use super::run::{LOOKS, Ran, within};
use crate::cli::args::{Command, Global, OutputFormat, Status};
use crate::cli::error::{Exit, Failure};
use crate::cli::interrupt::Endings;
use crate::cli::session::Session;
use crate::cli::status::{Glance, text};
use crate::cli::watch::display::Display;
use crate::cli::watch::frame::{Gist, gist};
use crate::cli::watch::{Change, Eyes, aged, has_screen, now, print_change};
use crate::ops::model::Fact;
use crate::ops::observe::Moment;
use crate::report::{Paint, terminal_width};

/// How often keys are read, and ages move on.
const TICK: Duration = Duration::from_millis(100);

/// Watches until somebody has seen enough.
///
/// # Errors
/// When signals cannot be waited for; what happens to clusters is shown.
pub async fn watch(global: &Global, mut clusters: Clusters) -> Result<Exit, Failure> {
    let display = has_screen(global).then(|| Arc::new(Display::whole_screen()));
    let shared = match &display {
        Some(display) => Shared::below(global, display.clone()),
        None => Shared::new(global),
    };
    let ended = watched(global, &shared, &mut clusters, display.as_deref()).await;
    if let Some(display) = display {
        display.leave();
    }
    shared.screen.end();
    ended
}

async fn watched(
    global: &Global,
    shared: &Arc<Shared>,
    clusters: &mut Clusters,
    display: Option<&Display>,
) -> Result<Exit, Failure> {
    let mut board = Board::new(clusters, now());
    let mut printer = Printer::default();
    let status = Command::Status(Status { watch: false });
    let at_once = usize::from(global.parallel.unwrap_or(LOOKS));
    let by_path: BTreeMap<&Path, _> = clusters
        .whole
        .iter()
        .map(|cluster| (cluster.path.as_path(), cluster))
        .collect();
    let mut looks = FuturesUnordered::new();
    let mut at = Place::Fleet;
    let mut endings = Endings::listen()?;
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        while looks.len() < at_once
            && let Some(path) = board.due(now())
        {
            if let Some(cluster) = by_path.get(path.as_path()) {
                looks.push(within(global, shared, cluster, &status));
            }
        }
        tokio::select! {
            Some(ran) = looks.next() => {
                if display.is_none() && printer.print(global, &ran, now()).is_err() {
                    // Nobody reads any more.
                    return Ok(Exit::Done);
                }
                let followed = at.is_in(&ran.path);
                board.answered(ran, now(), followed);
            }
            () = at.next() => {}
            _ = tick.tick() => {}
            () = endings.next() => return Ok(Exit::Interrupted),
        }
        let Some(display) = display else { continue };
        at.tell(&mut board);
        let mut page = 1;
        display.draw(|width, height| {
            page = Board::page(height);
            at.lines(&board, now(), Paint::from_env(true), width, height)
        });
        for key in keys(&display.keys()) {
            match key {
                Key::Quit => return Ok(Exit::Done),
                Key::Open => at = at.into_it(global, shared, &board),
                Key::Back => at = at.out_of_it(),
                key => at.choose(&mut board, key, page),
            }
        }
    }
}

type Opening = Pin<Box<dyn Future<Output = Result<Inside, Failure>>>>;

/// What is on the screen.
enum Place {
    Fleet,
    /// A cluster that is being opened.
    Opening(PathBuf, Opening),
    /// One that cannot be.
    Closed(PathBuf, Box<Failure>),
    Inside(Box<Inside>),
}

/// A cluster whose hosts are asked every second for as long as this is there; its connections end with it.
struct Inside {
    path: PathBuf,
    session: Session,
    eyes: Eyes,
    chosen: usize,
    /// The chosen member is on the screen.
    member: bool,
}

impl Place {
    fn is_in(&self, path: &Path) -> bool {
        matches!(self, Place::Inside(inside) if inside.path == path)
    }

    /// Waits for something to happen here.
    async fn next(&mut self) {
        match self {
            Place::Fleet | Place::Closed(..) => pending().await,
            Place::Opening(path, opening) => {
                let path = path.clone();
                *self = match opening.await {
                    Ok(inside) => Place::Inside(Box::new(inside)),
                    Err(failure) => Place::Closed(path, Box::new(failure)),
                };
            }
            Place::Inside(inside) => inside.eyes.next().await,
        }
    }

    /// Tells what has changed in the cluster that is looked at closely.
    fn tell(&self, board: &mut Board) {
        let Place::Inside(inside) = self else { return };
        let now = now();
        if inside.eyes.board(now).complete(now) {
            board.saw(&inside.path, inside.glance(now), now);
        }
    }

    fn into_it(self, global: &Global, shared: &Arc<Shared>, board: &Board) -> Self {
        match self {
            Place::Fleet => match board.chosen() {
                Some(entry) => {
                    let opening = open(global.clone(), shared.clone(), entry.name.clone(), entry.path.clone());
                    Place::Opening(entry.path.clone(), Box::pin(opening))
                }
                None => Place::Fleet,
            },
            Place::Inside(inside) => Place::Inside(Box::new(Inside {
                member: true,
                ..*inside
            })),
            other => other,
        }
    }

    fn out_of_it(self) -> Self {
        match self {
            Place::Inside(inside) if inside.member => Place::Inside(Box::new(Inside {
                member: false,
                ..*inside
            })),
            _ => Place::Fleet,
        }
    }

    fn choose(&mut self, board: &mut Board, key: Key, page: usize) {
        match self {
            Place::Fleet => board.choose(key, page),
            Place::Inside(inside) => {
                let members = inside.glance(now()).members.len();
                inside.chosen = fleet::moved(inside.chosen, key, page, members);
            }
            Place::Opening(..) | Place::Closed(..) => {}
        }
    }

    fn lines(&self, board: &Board, now: Moment, paint: Paint, width: usize, height: usize) -> Vec<String> {
        let keys = paint.dim(fleet::keys_told(width, false));
        match self {
            Place::Fleet => board.lines(now, paint, width, height),
            Place::Opening(path, _) => vec![format!("opening {} ...", path.display()), keys],
            Place::Closed(path, failure) => {
                let mut lines = vec![format!("{}", path.display())];
                lines.extend(failure.text(paint, width).lines().map(str::to_owned));
                lines.truncate(height.saturating_sub(1));
                lines.push(keys);
                lines
            }
            Place::Inside(inside) => inside.lines(board, now, paint, width, height),
        }
    }
}

impl Inside {
    fn glance(&self, now: Moment) -> Glance {
        aged(self.session.desired(), self.eyes.board(now), now)
    }

    fn lines(&self, fleet: &Board, now: Moment, paint: Paint, width: usize, height: usize) -> Vec<String> {
        let glance = self.glance(now);
        let answer = fleet.chosen().filter(|entry| entry.path == self.path);
        let ran = answer.and_then(|entry| Some(&entry.answer.as_ref()?.0));
        let cluster = Cluster {
            glance: &glance,
            board: self.eyes.board(now),
            vitals: ran.and_then(|ran| ran.glance()?.vitals.as_ref()),
            news: &fleet.news,
            path: &self.path,
        };
        let chosen = self.chosen.min(glance.members.len().saturating_sub(1));
        match glance.members.get(chosen).filter(|_| self.member) {
            Some(member) => {
                let seen = cluster.board.observed(now);
                let facts = member.name.parse().ok().and_then(|name| seen.hosts.get(&name));
                cluster.member(member, facts.and_then(Fact::known), now, paint, width, height)
            }
            None => cluster.lines(chosen, now, paint, width, height),
        }
    }
}

async fn open(global: Global, shared: Arc<Shared>, name: String, path: PathBuf) -> Result<Inside, Failure> {
    let global = Global {
        inventory: path.clone(),
        part: Some(Part::looking(&shared, &name)),
        ..global
    };
    let session = Session::open(&global)?;
    let eyes = Eyes::on(&session).await?;
    Ok(Inside {
        path,
        session,
        eyes,
        chosen: 0,
        member: false,
    })
}

/// Where there is no screen: one object, or one block, for each change of a cluster.
#[derive(Default)]
struct Printer {
    last: BTreeMap<PathBuf, Result<Option<Gist>, String>>,
}

impl Printer {
    fn print(&mut self, global: &Global, ran: &Ran, now: Moment) -> std::io::Result<()> {
        let gist = match &ran.failure {
            Some(failure) => Err(failure.message.clone()),
            None => Ok(ran.glance().map(gist)),
        };
        if self.last.get(&ran.path) == Some(&gist) {
            return Ok(());
        }
        self.last.insert(ran.path.clone(), gist);
        print_change(match global.output {
            OutputFormat::Json => {
                let mut object = ran.object();
                object["at"] = serde_json::json!(now.clock);
                Change::Object(object.to_string())
            }
            OutputFormat::Human => {
                let paint = Paint::from_env(true);
                let told = match (&ran.failure, ran.glance()) {
                    (Some(failure), _) => format!("{}: {}", ran.name, failure.text(paint, usize::MAX)),
                    (None, Some(glance)) => text(glance, paint, terminal_width()),
                    (None, None) => String::new(),
                };
                Change::Block(now.clock, told)
            }
        })
    }
}
