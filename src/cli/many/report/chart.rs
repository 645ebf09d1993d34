//! Figures of a cluster over all reports, as small pictures and in words. Pure.

use jiff::Timestamp;

use super::history::Point;
use super::html::{Html, line, picture, shape, tag, text};
use crate::report::{human_bytes, human_millis};

/// One figure over time.
pub struct Chart {
    name: &'static str,
    said: fn(f64) -> String,
    /// Of those reports that have it.
    points: Vec<(Timestamp, f64)>,
}

/// What there are pictures of, where more than one report has it.
pub fn charts(points: &[Point]) -> Vec<Chart> {
    let bytes: fn(f64) -> String = |bytes| human_bytes(bytes as u64);
    let millis: fn(f64) -> String = |seconds| format!("{} ms", human_millis(seconds));
    let chart = |name, said, of: &dyn Fn(&Point) -> Option<f64>| Chart {
        name,
        said,
        points: points.iter().filter_map(|point| Some((point.at, of(point)?))).collect(),
    };
    let all = [
        chart("largest database", bytes, &|point| {
            point.database.map(|bytes| bytes as f64)
        }),
        chart("slowest WAL write (99 of 100)", millis, &|point| point.fsync),
        chart("slowest round trip (99 of 100)", millis, &|point| point.round_trip),
    ];
    all.into_iter().filter(|chart| chart.points.len() > 1).collect()
}

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 70.0;

impl Chart {
    fn first_and_last(&self) -> Option<((Timestamp, f64), (Timestamp, f64))> {
        Some((*self.points.first()?, *self.points.last()?))
    }

    fn highest(&self) -> f64 {
        self.points.iter().map(|(_, value)| *value).fold(0.0, f64::max)
    }

    /// In words: what the picture shows.
    pub fn says(&self) -> String {
        let Some(((since, first), (_, last))) = self.first_and_last() else {
            return String::new();
        };
        format!(
            "{}: {} now, {} on {}, at most {} in {} reports",
            self.name,
            (self.said)(last),
            (self.said)(first),
            since.strftime("%Y-%m-%d"),
            (self.said)(self.highest()),
            self.points.len()
        )
    }

    /// From zero to the highest, over the time of all reports.
    pub fn draw(&self) -> Html {
        let Some(((since, _), (until, _))) = self.first_and_last() else {
            return text("");
        };
        let seconds = |at: Timestamp| at.duration_since(since).as_secs_f64();
        let (wide, high) = (seconds(until).max(1.0), self.highest().max(f64::MIN_POSITIVE));
        let place =
            |at: Timestamp, value: f64| (seconds(at) / wide * WIDTH, HEIGHT - 2.0 - value / high * (HEIGHT - 6.0));
        let points: Vec<(f64, f64)> = self.points.iter().map(|(at, value)| place(*at, *value)).collect();
        let floor = shape(
            "line",
            "axis",
            [("x1", 0.0), ("y1", HEIGHT - 1.0), ("x2", WIDTH), ("y2", HEIGHT - 1.0)],
            [],
        );
        let end = points
            .last()
            .map(|(x, y)| shape("circle", "end", [("cx", *x), ("cy", *y), ("r", 3.0)], []));
        let mut inside = vec![floor, line("curve", points)];
        inside.extend(end);
        let says = self.says();
        tag(
            "figure",
            "chart",
            [
                picture("spark", WIDTH + 4.0, HEIGHT, &says, inside),
                tag("figcaption", "", [text(&says)]),
            ],
        )
    }
}
