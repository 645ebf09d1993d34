//! The display at moments that matter.

use super::super::story;
use super::*;

const UNICODE: Paint = Paint {
    colour: false,
    unicode: true,
};

/// The frame `millis` after all `events` came at once.
fn shown(events: &[Event], paint: Paint, millis: u64, width: usize) -> String {
    let start = Instant::now();
    let mut live = Live::new(paint);
    let mut lines: Vec<String> = events.iter().flat_map(|event| live.event(event, start)).collect();
    lines.push("-- live --".to_owned());
    lines.extend(live.frame(start + Duration::from_millis(millis), width));
    lines.join("\n")
}

#[test]
fn in_the_middle_of_a_bootstrap() {
    insta::assert_snapshot!(shown(&story::beginning(), UNICODE, 3000, 79));
}

#[test]
fn the_same_in_plain_ascii_on_a_narrow_terminal() {
    let text = shown(&story::beginning(), Paint::PLAIN, 3000, 44);
    assert!(text.is_ascii(), "{text}");
    let live = text.split("-- live --").nth(1).unwrap();
    assert!(live.lines().all(|line| line.chars().count() <= 44), "{live}");
    insta::assert_snapshot!(text);
}

#[test]
fn every_line_fits_every_usable_width() {
    for width in LEAST_WIDTH..120 {
        let text = shown(&story::beginning(), UNICODE, 3000, width);
        for line in text.split("-- live --").nth(1).unwrap().lines() {
            assert!(line.chars().count() <= width, "{width}: {line:?}");
        }
    }
}

#[test]
fn a_name_is_whole_and_the_words_beside_it_give_way() {
    let name = "etcd-of-the-payments-team-in-frankfurt-rack-12-unit-7";
    let events = [
        Event::PhaseStarted { phase: "apply".into() },
        Event::StepStarted {
            step: "w1.x".into(),
            node: Some(name.parse().unwrap()),
            what: "push etcd 3.6.16 and its certificates".into(),
        },
    ];
    for width in [name.len() + BESIDE_NAMES, 80, 120] {
        let text = shown(&events, UNICODE, 500, width);
        let row = text.lines().last().unwrap();
        assert!(row.contains(name) && row.chars().count() <= width, "{width}: {row:?}");
    }
}

#[test]
fn bars_stand_in_one_column_below_the_wave_and_what_it_costs() {
    let node = |n: usize| Some(format!("etcd-{n}").parse().unwrap());
    let mut events = vec![
        Event::PhaseStarted { phase: "apply".into() },
        Event::WaveStarted {
            number: 3,
            of: 6,
            title: "roll etcd-2".into(),
            can_lose: Some(0),
        },
    ];
    for (n, what, done) in [
        (1, "push", 900),
        (2, "push etcd 3.6.16 and its certificates", 14_208_000),
    ] {
        let step = format!("w3.etcd-{n}");
        events.push(Event::StepStarted {
            step: step.clone(),
            node: node(n),
            what: what.into(),
        });
        events.push(Event::StepProgress {
            step,
            node: node(n),
            unit: "bytes",
            done,
            total: Some(28_416_000),
        });
    }
    for width in [79, 100, 139] {
        let text = shown(&events, UNICODE, 1000, width);
        let live = text.split("-- live --").nth(1).unwrap();
        assert!(live.contains("3 of 6  roll etcd-2  survives 0 failures now"), "{live}");
        let column = |line: &&str| line.chars().position(|c| c == '━' || c == '─');
        let columns: Vec<_> = live
            .lines()
            .filter(|l| l.contains("push"))
            .map(|l| column(&l))
            .collect();
        assert!(columns[0].is_some() && columns[0] == columns[1], "{width}:\n{live}");
    }

    // The next wave takes away what would go on turning.
    events.push(Event::WaveStarted {
        number: 4,
        of: 6,
        title: "roll etcd-3".into(),
        can_lose: None,
    });
    let text = shown(&events, UNICODE, 1000, 79);
    assert!(text.contains("4 of 6  roll etcd-3") && !text.contains("push"), "{text}");
}

#[test]
fn after_the_run_only_what_stays_is_left() {
    insta::assert_snapshot!(shown(&story::bootstrap(), UNICODE, 3000, 79));
}

#[test]
fn a_failure_is_told_at_once() {
    let mut events = story::failed_bootstrap();
    events.truncate(events.len() - 2);
    let text = shown(&events, UNICODE, 3000, 79);
    assert!(
        text.contains("✗ etcd-2  start etcd: the unit etcd.service failed; last exit: code 1\n"),
        "{text}"
    );
}

#[test]
fn of_many_hosts_only_those_at_work_are_shown() {
    let mut events = vec![Event::PhaseStarted { phase: "apply".into() }];
    for n in 1..=40 {
        let (step, node) = (format!("w1.h{n}"), Some(format!("h{n}").parse().unwrap()));
        events.push(Event::StepStarted {
            step: step.clone(),
            node: node.clone(),
            what: "push".into(),
        });
        if n <= 30 {
            events.push(Event::StepFinished {
                step,
                node,
                seconds: 0.1,
                saw: String::new(),
            });
        }
    }
    let text = shown(&events, UNICODE, 1000, 79);
    assert_eq!(text.lines().count(), 1 + 1 + 10 + 1, "{text}");
    assert!(text.ends_with("  40 hosts: 10 at work, 30 done"), "{text}");
}

#[test]
fn a_few_bytes_and_what_has_arrived_have_no_bar() {
    let step = || "w1.etcd-1".to_owned();
    let node = || Some("etcd-1".parse().unwrap());
    let of = |done, total| {
        let events = [
            Event::PhaseStarted { phase: "apply".into() },
            Event::StepStarted {
                step: step(),
                node: node(),
                what: "restart etcd".into(),
            },
            Event::StepProgress {
                step: step(),
                node: node(),
                unit: "bytes",
                done,
                total: Some(total),
            },
        ];
        shown(&events, UNICODE, 3000, 79)
    };
    assert!(of(9_000_000, 20_000_000).contains("8.6 of 19.1 MiB"));
    for (done, total) in [(122, 210), (210, 210), (20_000_000, 20_000_000)] {
        let text = of(done, total);
        assert!(text.contains("restart etcd, 3 s") && !text.contains(" of "), "{text}");
    }
}
