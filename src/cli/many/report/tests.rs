//! Names that are markup, through every field that comes from hosts or from a file.

use std::collections::BTreeSet;

use super::events::{End, Gap, Probe, Step};
use super::*;
use crate::cli::doctor::examination;
use crate::cli::many::part::Answer;
use crate::cli::many::samples::well;
use crate::ops::doctor::{Finding, Kind};
use crate::ops::samples;

const EVIL: &str = "</td><script>alert(1)</script><a href=\"http://evil.example\" onclick='x'>|\n# Title `<i>`";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).unwrap()
}

/// A restart of two members, of which the second one fails; with writes and a gap.
fn run(text: &str) -> Run {
    let step = |node: Option<&str>, from, to, end| Step {
        node: node.map(str::to_owned),
        what: text.to_owned(),
        from: at(from),
        to: at(to),
        end,
    };
    Run {
        cluster: Some(text.to_owned()),
        began: at(0),
        ended: at(20),
        ending: Some((false, text.to_owned())),
        steps: vec![
            step(None, 0, 1, End::Done(text.to_owned())),
            step(Some(text), 1, 8, End::Done(text.to_owned())),
            step(Some("n2"), 9, 19, End::Failed(text.to_owned())),
            step(Some("n3"), 19, 20, End::Open),
        ],
        more_steps: 3,
        probes: vec![Probe {
            began: at(0),
            seconds: 20.0,
            acks: 1900,
            failed_attempts: 4,
            lost: 0,
            elections: 1,
            gaps: vec![Gap { at: at(9), ms: 1200 }],
            writes: vec![400, 390, 250, 400, 400],
            writes_seconds: 4.0,
        }],
    }
}

/// One cluster that says this in every field, and one that does not answer.
fn report(text: &str) -> Report {
    let desired = samples::desired(3);
    let mut shown = well(text);
    shown.alarms = vec![text.to_owned()];
    shown.locked_by = Some(text.to_owned());
    shown.lock_command = Some(format!("quorate {text}"));
    for member in &mut shown.members {
        member.name = text.to_owned();
        member.address = text.to_owned();
        member.version = Some(text.to_owned());
    }
    let findings = vec![Finding::problem(Kind::ClockOff, text, text).on(text)];
    let found = examination(&desired, findings, None);
    let ran = |answers, failure| Ran {
        name: text.to_owned(),
        path: text.into(),
        exit: Exit::Unhealthy,
        answers,
        failure,
        finished: None,
        warnings: Vec::new(),
        seconds: 0.0,
    };
    let ended = vec![
        ran(
            vec![Answer::Glance(Box::new(shown)), Answer::Examination(Box::new(found))],
            None,
        ),
        ran(Vec::new(), Some(Failure::new(Exit::Unexpected, text).hint(text))),
    ];
    let mut history = History::default();
    for day in 0..30 {
        history.add(&ended, at(day * 86_400));
    }
    Report {
        ended,
        clashes: vec![text.to_owned()],
        history,
        runs: vec![run(text)],
        now: at(30 * 86_400),
    }
}

#[test]
fn names_that_are_markup_stay_names_on_the_page() {
    let page = page::html(&report(EVIL));
    let tags: BTreeSet<&str> = page
        .split('<')
        .skip(1)
        .map(|tag| {
            let end = tag.find(|c: char| !c.is_alphanumeric() && c != '!' && c != '/');
            &tag[..end.unwrap_or(tag.len())]
        })
        .collect();
    let own = [
        "!DOCTYPE",
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "h1",
        "h2",
        "h3",
        "p",
        "ul",
        "li",
        "span",
        "div",
        "table",
        "tr",
        "th",
        "td",
        "figure",
        "figcaption",
        "svg",
        "g",
        "rect",
        "line",
        "polyline",
        "circle",
        "text",
    ];
    for tag in tags {
        assert!(own.contains(&tag.trim_start_matches('/')), "<{tag}: {page}");
    }
    // Of attributes there are ours alone, and what is in one does not end it.
    let body = page.split_once("<body>").expect("a body").1;
    for inside in body.split('<').skip(1).flat_map(|tag| tag.split('>').next()) {
        let names: String = inside.split('"').step_by(2).collect();
        let own = [
            "class=",
            "viewBox=",
            "role=",
            "aria-label=",
            "points=",
            "x=",
            "y=",
            "width=",
            "height=",
            "rx=",
            "r=",
            "cx=",
            "cy=",
            "x1=",
            "y1=",
            "x2=",
            "y2=",
        ];
        assert!(
            names.split_whitespace().skip(1).all(|name| own.contains(&name)),
            "{inside}"
        );
    }
    assert!(!page.contains("href=\"") && page.contains("&lt;script&gt;"), "{page}");
}

#[test]
fn names_that_are_markup_stay_names_in_markdown() {
    let text = markdown::markdown(&report(EVIL));
    let spans = text.split('`').step_by(2).collect::<Vec<_>>().join("");
    for markup in ["<", "http://", "\n# Title"] {
        assert!(!spans.contains(markup), "{markup:?}: {text}");
    }
    for line in text.lines().filter(|line| line.starts_with('|')) {
        let cells = line.replace("\\|", "").matches('|').count();
        assert!([7, 8, 17].contains(&cells), "{cells} in {line}");
    }
}

#[test]
fn a_report_as_markdown_has_its_history_and_the_change_step_by_step() {
    let mut report = report("prod-a");
    report.ended.truncate(1);
    insta::assert_snapshot!(markdown::markdown(&report));
}
