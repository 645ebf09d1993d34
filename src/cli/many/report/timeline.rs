//! The timeline of a change: writes, gaps, and the members one below the other. Pure.

use jiff::Timestamp;

use super::events::{End, Gap, Run, Step};
use super::html::{Html, line, picture, shape, tag, text};
use crate::cli::many::rows::Rows;
use crate::ops::plan::count;
use crate::report::{Tone, human_seconds};

/// Left of the lanes are their names.
const NAMES: f64 = 120.0;
const WIDTH: f64 = 900.0;
const LANE: f64 = 26.0;
const WRITES: f64 = 64.0;
const AXIS: f64 = 22.0;

/// So much fits beside a lane, and into a bar for each unit of its width.
const LONGEST_NAME: usize = 16;
const LETTER: f64 = 6.5;

/// The picture, and what it shows in a table.
pub fn html(run: &Run) -> Vec<Html> {
    let mut parts = vec![tag("h3", "", [text(&title(run))])];
    parts.extend(told(run).iter().map(|said| tag("p", "", [text(said)])));
    parts.push(tag("div", "wide", [draw(run)]));
    parts
}

/// What kind of run, and when.
pub fn title(run: &Run) -> String {
    format!(
        "change of {} ({})",
        run.began.strftime("%Y-%m-%d %H:%M:%SZ"),
        human_seconds(seconds(run.began, run.ended))
    )
}

/// How it ended and what writers saw of it, a sentence each.
pub fn told(run: &Run) -> Vec<String> {
    let mut said = vec![match &run.ending {
        Some((true, summary)) => format!("done: {summary}"),
        Some((false, why)) => format!("FAILED: {why}"),
        None => "its end was not saved".to_owned(),
    }];
    for probe in &run.probes {
        let longest = probe.gaps.iter().map(|gap| gap.ms).max();
        let gaps = match longest {
            Some(ms) => format!(
                "{} of 100 ms or more, the longest {ms} ms",
                count(probe.gaps.len(), "gap")
            ),
            None => "no gap of 100 ms or more".to_owned(),
        };
        said.push(format!(
            "writes: {} acknowledged in {}, {} lost, {}, {}, {gaps}",
            probe.acks,
            human_seconds(probe.seconds),
            probe.lost,
            several(probe.failed_attempts, "failed attempt"),
            several(probe.elections, "election"),
        ));
    }
    if run.more_steps > 0 {
        said.push(format!("{} more are not shown", count(run.more_steps, "step")));
    }
    said
}

fn several(number: u64, what: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), what)
}

/// Step by step: when, where, what, for how long, how it ended and the longest gap meanwhile.
pub fn steps(run: &Run) -> Rows {
    let gaps: Vec<Gap> = run.gaps().collect();
    let row = |step: &Step| {
        let (end, tone) = match &step.end {
            End::Done(saw) if saw.is_empty() => ("done".to_owned(), Tone::Good),
            End::Done(saw) => (format!("done: {saw}"), Tone::Good),
            End::Failed(why) => (format!("FAILED: {why}"), Tone::Bad),
            End::Open => ("its end was not saved".to_owned(), Tone::Warn),
        };
        let meanwhile = gaps.iter().filter(|gap| gap.at < step.to && gap.ended() > step.from);
        let longest = meanwhile.map(|gap| gap.ms).max();
        vec![
            (
                format!("+{}", human_seconds(seconds(run.began, step.from))),
                Tone::Plain,
            ),
            (name(step.node.as_deref()).to_owned(), Tone::Plain),
            (step.what.clone(), Tone::Plain),
            (human_seconds(seconds(step.from, step.to)), Tone::Plain),
            match longest {
                Some(ms) => (format!("{ms} ms"), Tone::Warn),
                None => ("-".to_owned(), Tone::Plain),
            },
            (end, tone),
        ]
    };
    Rows {
        header: vec!["AFTER", "MEMBER", "STEP", "TOOK", "LONGEST GAP", "END"],
        rows: run.steps.iter().map(row).collect(),
    }
}

fn name(node: Option<&str>) -> &str {
    node.unwrap_or("cluster")
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

/// Where on the picture a time is.
struct Scale<'a> {
    run: &'a Run,
    per_second: f64,
}

impl Scale<'_> {
    fn x(&self, at: Timestamp) -> f64 {
        let at = at.clamp(self.run.began, self.run.ended);
        NAMES + seconds(self.run.began, at) * self.per_second
    }
}

fn draw(run: &Run) -> Html {
    let lanes = run.lanes();
    let scale = Scale {
        run,
        per_second: (WIDTH - NAMES - 10.0) / seconds(run.began, run.ended).max(0.001),
    };
    let top = if run.probes.is_empty() { 0.0 } else { WRITES };
    let bottom = top + LANE * lanes.len() as f64;
    let mut inside = Vec::new();
    if top > 0.0 {
        inside.extend(writes(&scale));
    }
    for (number, (node, steps)) in lanes.iter().enumerate() {
        let y = top + LANE * number as f64;
        inside.push(label(name(*node), y + LANE - 9.0));
        inside.extend(steps.iter().map(|step| bar(&scale, step, y)));
    }
    inside.extend(run.gaps().map(|gap| gap_over(&scale, gap, bottom)));
    inside.extend(axis(&scale, bottom));
    let says = format!("{}: {}", title(run), told(run).join("; "));
    picture("timeline", WIDTH, bottom + AXIS, &says, inside)
}

fn label(said: &str, y: f64) -> Html {
    shape("text", "name", [("x", 0.0), ("y", y)], [text(&cut(said, LONGEST_NAME))])
}

fn cut(said: &str, most: usize) -> String {
    match said.chars().count() > most {
        true => said.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
        false => said.to_owned(),
    }
}

/// Acknowledged writes, from none to as many as there were at best.
fn writes(scale: &Scale<'_>) -> Vec<Html> {
    let probes = &scale.run.probes;
    let best = probes
        .iter()
        .flat_map(|probe| {
            probe
                .writes
                .iter()
                .map(|n| f64::from(*n) / probe.writes_seconds.max(0.001))
        })
        .fold(1.0, f64::max);
    let mut drawn = vec![
        label("writes", 16.0),
        shape(
            "text",
            "tick",
            [("x", 0.0), ("y", 32.0)],
            [text(&format!("{best:.0} a second"))],
        ),
    ];
    for probe in probes {
        let step = probe.writes_seconds * scale.per_second;
        let left = scale.x(probe.began);
        let floor = WRITES - 6.0;
        let curve = probe.writes.iter().enumerate().flat_map(|(at, n)| {
            let y = floor - f64::from(*n) / probe.writes_seconds.max(0.001) / best * (floor - 4.0);
            let x = |at: usize| (left + at as f64 * step).min(WIDTH - 10.0);
            [(x(at), y), (x(at + 1), y)]
        });
        drawn.push(line("curve", curve));
    }
    drawn
}

fn bar(scale: &Scale<'_>, step: &Step, y: f64) -> Html {
    let class = match step.end {
        End::Done(_) => "step",
        End::Failed(_) => "step failed",
        End::Open => "step open",
    };
    let (x, width) = (scale.x(step.from), (scale.x(step.to) - scale.x(step.from)).max(2.0));
    let title = format!(
        "{}: {}, {}",
        name(step.node.as_deref()),
        step.what,
        human_seconds(seconds(step.from, step.to))
    );
    let mut inside = vec![
        tag("title", "", [text(&title)]),
        shape(
            "rect",
            class,
            [
                ("x", x),
                ("y", y + 4.0),
                ("width", width),
                ("height", LANE - 8.0),
                ("rx", 2.0),
            ],
            [],
        ),
    ];
    let letters = (width / LETTER) as usize;
    if letters >= 8 {
        let said = cut(&step.what, letters - 1);
        inside.push(shape(
            "text",
            "what",
            [("x", x + 4.0), ("y", y + LANE - 9.0)],
            [text(&said)],
        ));
    }
    tag("g", "", inside)
}

fn gap_over(scale: &Scale<'_>, gap: Gap, bottom: f64) -> Html {
    let (x, to) = (scale.x(gap.at), scale.x(gap.ended()));
    tag(
        "g",
        "",
        [
            tag(
                "title",
                "",
                [text(&format!("no write was acknowledged for {} ms", gap.ms))],
            ),
            shape(
                "rect",
                "gap",
                [("x", x), ("y", 0.0), ("width", (to - x).max(1.5)), ("height", bottom)],
                [],
            ),
        ],
    )
}

/// Five times or so, in steps that people count in.
fn axis(scale: &Scale<'_>, y: f64) -> Vec<Html> {
    let whole = seconds(scale.run.began, scale.run.ended);
    let mut step = 0.1;
    for factor in [2.0, 2.5, 2.0].into_iter().cycle() {
        if whole / step <= 6.0 {
            break;
        }
        step *= factor;
    }
    let ticks = (0..=6)
        .map(|tick| f64::from(tick) * step)
        .take_while(|at| *at <= whole * 0.97);
    let mut drawn = vec![shape(
        "line",
        "axis",
        [("x1", NAMES), ("y1", y), ("x2", WIDTH - 10.0), ("y2", y)],
        [],
    )];
    drawn.extend(ticks.map(|at| {
        let x = NAMES + at * scale.per_second;
        let said = if at == 0.0 { "0".to_owned() } else { human_seconds(at) };
        shape("text", "tick", [("x", x), ("y", y + 15.0)], [text(&said)])
    }));
    drawn
}
