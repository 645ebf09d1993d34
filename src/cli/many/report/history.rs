//! What is kept of past reports, beside the page: some figures of each cluster, in a file that does not grow without end.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::{fs, io};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::super::run::Ran;
use crate::cli::error::{Exit, Failure};

/// The file, in the directory of the report.
pub const FILE: &str = "history.json";

/// How it is written.
const FORMAT: u32 = 1;

/// More reports are not kept of one cluster.
const MOST: usize = 300;

/// So many of the newest are kept as they are; older ones get sparse.
const NEWEST: usize = 50;

/// A cluster that no report has had for so long is forgotten.
const FORGOTTEN: SignedDuration = SignedDuration::from_hours(400 * 24);

/// Larger than any that was written: a thousand clusters with all their reports.
const LARGEST: u64 = 128 << 20;

/// Past reports, by cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    quorate_report: u32,
    clusters: BTreeMap<String, Vec<Point>>,
}

/// What one report said of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// When.
    pub at: Timestamp,
    /// The largest database, bytes.
    #[serde(default)]
    pub database: Option<u64>,
    /// The smallest quota, bytes.
    #[serde(default)]
    pub quota: Option<u64>,
    /// The slowest write to a WAL: 99 of 100, seconds.
    #[serde(default)]
    pub fsync: Option<f64>,
    /// The slowest round trip between two members: 99 of 100, seconds.
    #[serde(default)]
    pub round_trip: Option<f64>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            quorate_report: FORMAT,
            clusters: BTreeMap::new(),
        }
    }
}

impl History {
    /// Reads what is beside the page; nothing where there is no file yet.
    ///
    /// # Errors
    /// When it cannot be read, or is not what a report wrote: it is not written over.
    pub fn load(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join(FILE);
        let mut text = String::new();
        let read = fs::File::open(&path).and_then(|file| file.take(LARGEST).read_to_string(&mut text));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(unusable(&path, &error.to_string())),
            Ok(_) => {}
        }
        Self::parse(&text).map_err(|why| unusable(&path, &why))
    }

    /// Reads one.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match value["quorate_report"].as_u64() {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) => {
                return Err(format!(
                    "it has format {format}, but this quorate reads format {FORMAT}"
                ));
            }
            None => return Err("it has no `quorate_report`".to_owned()),
        }
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    /// Takes in what this report has found.
    pub fn add(&mut self, ended: &[Ran], now: Timestamp) {
        for ran in ended {
            if let Some(point) = point(ran, now) {
                let points = self.clusters.entry(ran.name.clone()).or_default();
                points.push(point);
                points.sort_by_key(|point| point.at);
                thin(points);
            }
        }
        let known = |points: &Vec<Point>| {
            points
                .last()
                .is_some_and(|last| now.duration_since(last.at) < FORGOTTEN)
        };
        self.clusters.retain(|_, points| known(points));
    }

    /// The reports that a cluster was in, oldest first.
    pub fn of(&self, cluster: &str) -> &[Point] {
        self.clusters.get(cluster).map_or(&[], Vec::as_slice)
    }

    /// As it is written.
    pub fn text(&self) -> String {
        // Plain data with text keys: there is nothing in it that JSON lacks.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

fn unusable(path: &Path, why: &str) -> Failure {
    Failure::new(
        Exit::Usage,
        format!("cannot read the past reports in {}: {why}", path.display()),
    )
    .hint("move that file elsewhere to begin a new history, or pass another directory with --out; nothing was written")
}

/// `None` for a cluster that has not answered.
fn point(ran: &Ran, at: Timestamp) -> Option<Point> {
    let glance = ran.glance()?;
    let vitals = glance.vitals.as_ref();
    Some(Point {
        at,
        database: glance.members.iter().filter_map(|member| member.db_size).max(),
        quota: glance.quota,
        fsync: vitals.and_then(|vitals| Some(vitals.slowest_fsync.as_ref()?.p99_seconds)),
        round_trip: vitals.and_then(|vitals| Some(vitals.slowest_round_trip.as_ref()?.p99_seconds)),
    })
}

/// Of those that are too many the one goes without which least is missing: its neighbours are nearest to each other.
fn thin(points: &mut Vec<Point>) {
    while points.len() > MOST {
        let old = 1..points.len() - NEWEST;
        let missed = |at: &usize| points[at + 1].at.duration_since(points[at - 1].at);
        match old.min_by_key(missed) {
            Some(at) => drop(points.remove(at)),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::many::samples::{failed, ran};

    fn hours(n: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + n * 3600).unwrap()
    }

    #[test]
    fn a_history_of_years_stays_small_and_reaches_from_the_first_day_to_the_last() {
        let mut history = History::default();
        for hour in 0..2000 {
            let now = hours(hour);
            history.add(
                &[
                    ran("a", Exit::Done, |_| {}),
                    failed("dark", Exit::Unreachable, "no answer"),
                ],
                now,
            );
        }
        let points = history.of("a");
        assert_eq!(points.len(), MOST);
        assert_eq!((points[0].at, points[MOST - 1].at), (hours(0), hours(1999)));
        assert_eq!(
            points[MOST - NEWEST].at,
            hours(2000 - NEWEST as i64),
            "the newest are whole"
        );
        let widest = points
            .windows(2)
            .map(|two| two[1].at.duration_since(two[0].at))
            .max()
            .unwrap();
        assert!(
            widest <= SignedDuration::from_hours(16),
            "older ones are spread evenly: {widest}"
        );
        assert!(history.of("dark").is_empty());
        assert_eq!(History::parse(&history.text()), Ok(history.clone()));

        history.add(&[ran("b", Exit::Done, |_| {})], hours(1999 + 401 * 24));
        assert!(history.of("a").is_empty() && history.of("b").len() == 1, "long gone");
    }

    #[test]
    fn what_is_no_history_is_refused_and_stays() {
        for text in [
            "",
            "{}",
            "[1]",
            "{\"quorate_report\":2}",
            "{\"quorate_report\":1,\"clusters\":{\"a\":[{}]}}",
        ] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(FILE), text).unwrap();
            assert_eq!(History::load(dir.path()).unwrap_err().exit, Exit::Usage, "{text}");
        }
        let newer = History::parse("{\"quorate_report\":2}").unwrap_err();
        assert_eq!(newer, "it has format 2, but this quorate reads format 1");
        assert_eq!(History::load(Path::new("/nowhere")).unwrap(), History::default());
    }
}
