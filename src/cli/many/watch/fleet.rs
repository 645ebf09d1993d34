//! All clusters on a screen: what is known of each and since when, which one is looked at next, and the lines. Pure; the time is
//! given.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::keys::Key;
use super::news::{News, Piece};
use crate::cli::error::Exit;
use crate::cli::many::find::Clusters;
use crate::cli::many::rows::{place, rows};
use crate::cli::many::run::Ran;
use crate::cli::status::Glance;
use crate::cli::watch::frame::beside;
use crate::cli::watch::lines::clip;
use crate::ops::observe::Moment;
use crate::ops::plan::count;
use crate::report::{Paint, Tone, columns_of, human_seconds, one_line};

/// A cluster is looked at again so long after it answered.
const PACE: Duration = Duration::from_secs(10);

/// Columns that the mark, the gap and the longest verdict (`INVALID inventory`) leave to nobody else.
const BESIDE_NAMES: usize = 21;

/// More lines of news than this are not shown below the table.
const NEWS: usize = 6;

/// One cluster.
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its inventory, which makes it the one it is.
    pub path: PathBuf,
    /// The newest answer, and when it was asked for.
    pub answer: Option<(Ran, Moment)>,
    /// What it was compared with last.
    last: Option<Glance>,
    /// It is being looked at since then.
    begun: Option<Moment>,
    /// An inventory that cannot be read: there is nobody to look at.
    broken: bool,
}

/// All of them, and which one is chosen.
pub struct Board {
    /// In the order of their inventories.
    entries: Vec<Entry>,
    chosen: Option<PathBuf>,
    /// What has changed.
    pub news: News,
}

impl Board {
    /// Nobody has answered yet; broken inventories are known to be.
    pub fn new(clusters: &mut Clusters, now: Moment) -> Self {
        let broken = clusters.broken.drain(..).map(|broken| Entry {
            name: broken.name.clone(),
            path: broken.path.clone(),
            answer: Some((Ran::from(broken), now)),
            last: None,
            begun: None,
            broken: true,
        });
        let mut entries: Vec<Entry> = broken.collect();
        entries.extend(clusters.whole.iter().map(|cluster| Entry {
            name: cluster.name.clone(),
            path: cluster.path.clone(),
            answer: None,
            last: None,
            begun: None,
            broken: false,
        }));
        Self {
            entries,
            chosen: None,
            news: News::default(),
        }
    }

    /// Whose turn it is to be looked at, if anybody's: who has waited longest. It counts as being looked at from now on.
    pub fn due(&mut self, now: Moment) -> Option<PathBuf> {
        let asked = |entry: &Entry| entry.answer.as_ref().map(|(_, at)| at.since_boot);
        let due = |entry: &&mut Entry| {
            let waits = asked(entry).is_none_or(|at| now.since_boot.saturating_sub(at) >= PACE);
            !entry.broken && entry.begun.is_none() && waits
        };
        let next = self.entries.iter_mut().filter(due).min_by_key(|entry| asked(entry))?;
        next.begun = Some(now);
        Some(next.path.clone())
    }

    /// Takes an answer; `followed`: somebody looks at that cluster more closely, and tells what changes there.
    pub fn answered(&mut self, ran: Ran, now: Moment, followed: bool) {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.path == ran.path) else {
            return;
        };
        // What it says is as old as the question.
        let asked = entry.begun.take().unwrap_or(now);
        let (was, is) = (entry.answer.as_ref().map(|(ran, _)| failure(ran)), failure(&ran));
        if let Some(was) = was.filter(|was| *was != is) {
            let says = match is {
                Some(why) => format!("no status: {why}"),
                None => format!("answers again ({})", was.unwrap_or_default()),
            };
            self.news.push(now.clock, &entry.name, None, &says);
        }
        let glance = ran.glance().cloned();
        entry.answer = Some((ran, asked));
        if let Some(glance) = glance.filter(|_| !followed) {
            let path = entry.path.clone();
            self.saw(&path, glance, now);
        }
    }

    /// Tells what has changed since that cluster was seen last.
    pub fn saw(&mut self, path: &Path, glance: Glance, now: Moment) {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.path == path) else {
            return;
        };
        if let Some(before) = &entry.last {
            self.news.compare(now.clock, &entry.name, before, &glance);
        }
        entry.last = Some(glance);
    }

    /// The one that is chosen.
    pub fn chosen(&self) -> Option<&Entry> {
        let order = self.order();
        Some(&self.entries[order[self.at(&order)?]])
    }

    /// Moves the choice. `page`: how many are on the screen.
    pub fn choose(&mut self, key: Key, page: usize) {
        let order = self.order();
        let Some(at) = self.at(&order) else { return };
        let to = moved(at, key, page, order.len());
        self.chosen = Some(self.entries[order[to]].path.clone());
    }

    /// Worst first; those that have not answered come last.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        order.sort_by_cached_key(|at| {
            let entry = &self.entries[*at];
            let answer = entry.answer.as_ref().map(|(ran, _)| Reverse(Reverse(place(ran))));
            (answer.is_none(), answer, entry.name.clone(), entry.path.clone())
        });
        order
    }

    fn at(&self, order: &[usize]) -> Option<usize> {
        let chosen = |at: &usize| Some(&self.entries[*at].path) == self.chosen.as_ref();
        (!order.is_empty()).then(|| order.iter().position(chosen).unwrap_or(0))
    }

    /// The screen.
    pub fn lines(&self, now: Moment, paint: Paint, width: usize, height: usize) -> Vec<String> {
        let order = self.order();
        let at = self.at(&order).unwrap_or(0);
        // Title, column names, keys.
        let room = height.saturating_sub(3).max(1);
        let news = self.news.newest(NEWS.min(room / 3), |_| true);
        let rows = room - news.len();
        // Where not all have room, a line says which ones are shown.
        let shown = if order.len() <= rows {
            order.len()
        } else {
            (rows - 1).max(1)
        };
        let first = window(at, shown, order.len());
        let mut lines = vec![clip(&title(&self.title(), now, paint, width), width)];
        lines.extend(self.table(&order[first..first + shown], at - first, now, paint, width));
        if shown < order.len() {
            lines.push(paint.dim(&format!("{} to {} of {}", first + 1, first + shown, order.len())));
        }
        lines.extend(news.into_iter().map(|piece| paint.dim(&told(piece, width))));
        lines.truncate(height.saturating_sub(1));
        lines.push(paint.dim(keys_told(width, true)));
        lines
    }

    /// How many rows `lines` has room for.
    pub fn page(height: usize) -> usize {
        (height.saturating_sub(3) * 2 / 3).max(1)
    }

    fn title(&self) -> String {
        let answered = self.entries.iter().filter_map(|entry| entry.answer.as_ref());
        let well = answered.clone().filter(|(ran, _)| ran.exit == Exit::Done).count();
        let waits = self.entries.len() - answered.count();
        let title = format!("{}, {well} healthy", count(self.entries.len(), "cluster"));
        match waits {
            0 => title,
            _ => format!("{title}, {waits} to answer"),
        }
    }

    fn table(&self, order: &[usize], chosen: usize, now: Moment, paint: Paint, width: usize) -> Vec<String> {
        let entries: Vec<&Entry> = order.iter().map(|at| &self.entries[*at]).collect();
        let answers = entries.iter().filter_map(|entry| Some(&entry.answer.as_ref()?.0));
        let mut told = rows(answers, now.clock);
        let mut rows = std::mem::take(&mut told.rows).into_iter();
        let columns = told.header.len();
        for entry in &entries {
            let mut row = match &entry.answer {
                Some(_) => rows.next().unwrap_or_default(),
                None => vec![(one_line(&entry.name), Tone::Plain), ("...".to_owned(), Tone::Dim)],
            };
            row.resize(columns, ("-".to_owned(), Tone::Dim));
            row[0].0 = cut(&row[0].0, width.saturating_sub(BESIDE_NAMES).max(8));
            row.push(age(entry, now));
            told.rows.push(row);
        }
        told.header.push("AGE");
        let table = told.table().spare(["AGE", "SURVIVES"]).right(["AGE"]).choose(chosen);
        let text = table.render(u16::try_from(width).ok(), paint.colour);
        text.lines().map(str::to_owned).collect()
    }
}

/// How old the row is.
fn age(entry: &Entry, now: Moment) -> (String, Tone) {
    match &entry.answer {
        None => ("-".to_owned(), Tone::Dim),
        Some(_) if entry.broken => ("-".to_owned(), Tone::Dim),
        Some((_, at)) => {
            let old = now.since_boot.saturating_sub(at.since_boot);
            let tone = if old > 3 * PACE { Tone::Warn } else { Tone::Dim };
            (human_seconds(old.as_secs() as f64).replace(".0 s", " s"), tone)
        }
    }
}

fn failure(ran: &Ran) -> Option<String> {
    ran.failure.as_ref().map(|failure| failure.message.clone())
}

/// Where a key leads in a list.
pub fn moved(at: usize, key: Key, page: usize, of: usize) -> usize {
    let last = of.saturating_sub(1);
    match key {
        Key::Up => at.saturating_sub(1),
        Key::Down => (at + 1).min(last),
        Key::PageUp => at.saturating_sub(page),
        Key::PageDown => (at + page).min(last),
        Key::First => 0,
        Key::Last => last,
        Key::Open | Key::Back | Key::Quit => at,
    }
}

/// The first of `shown` rows such that the one at `at` is among them, in the middle where there is room.
fn window(at: usize, shown: usize, of: usize) -> usize {
    at.saturating_sub(shown / 2).min(of - shown)
}

/// The first line: what it is about, and the time where there is room for it.
pub fn title(about: &str, now: Moment, paint: Paint, width: usize) -> String {
    let clock = now.clock.strftime("%H:%M:%S UTC").to_string();
    match columns_of(about) + 2 + clock.len() <= width {
        true => beside(about, &paint.dim(&clock), width),
        false => about.to_owned(),
    }
}

/// A line of news.
pub fn told(piece: &Piece, width: usize) -> String {
    let line = format!("{}  {}: {}", piece.at.strftime("%H:%M:%S"), piece.cluster, piece.says);
    cut(&line, width)
}

/// The keys that do something, in as many words as there is room for.
pub fn keys_told(width: usize, outside: bool) -> &'static str {
    match (outside, width) {
        (_, ..35) => "q quits",
        (true, _) => "arrows choose, Enter opens, q quits",
        (false, 50..) => "arrows choose, Enter opens, Esc goes back, q quits",
        (false, _) => "Enter opens, Esc goes back, q quits",
    }
}

/// The first columns of a text, and a sign that there was more.
pub fn cut(text: &str, columns: usize) -> String {
    if columns_of(text) <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        if columns_of(&out) + 4 > columns {
            break;
        }
        out.push(c);
    }
    out + "..."
}

#[cfg(test)]
#[path = "fleet_tests.rs"]
mod tests;
