//! Whatever a host, etcd, a bucket or a certificate says, in whatever shape it is shown: it neither steers a terminal nor passes
//! for a line of this program's.

use std::time::Instant;

use proptest::prelude::*;

use super::live::Live;
use super::print::{inert, line};
use super::summary::Summary;
use super::text::steers;
use super::*;

/// What every hostile text tries to begin a line with.
const FORGED: &str = "FORGED";

/// Texts that end a line, go back to its start, clear the screen, paint, hide, and turn the direction of writing.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\n"),
        Just("\r\n"),
        Just("\n  "),
        Just("\r"),
        Just("\x0b"),
        Just("\u{85}"),
        Just("\u{2028}"),
        Just("\x1b[31m"),
        Just("\x1b[0m"),
        Just("\x1b[2J\x1b[H"),
        Just("\x1b[1;31m"),
        Just("\x1b]0;title\x07"),
        Just("\u{9b}2K"),
        Just("\u{202e}"),
        Just("\u{200b}"),
        Just("\t"),
        Just("\0"),
        Just("\x08\x08"),
        Just("word "),
        Just("漢"),
    ];
    let pieces = proptest::collection::vec(piece, 1..8);
    pieces.prop_map(|pieces| {
        format!(
            "begin{}{FORGED} \x1b[32mok\x1b[0m\n{FORGED} error: x\n",
            pieces.concat()
        )
    })
}

/// One event of each kind that carries a text, with this text in each place for one.
fn events(text: &str) -> Vec<Event> {
    let text = text.to_owned();
    let step = || "w1.n1".to_owned();
    let node = Some("n1".parse().unwrap());
    vec![
        Event::WaveStarted {
            number: 1,
            of: 2,
            title: text.clone(),
            can_lose: None,
        },
        Event::StepStarted {
            step: step(),
            node: node.clone(),
            what: text.clone(),
        },
        Event::StepWaiting {
            step: step(),
            node: node.clone(),
            on: text.clone(),
        },
        Event::StepFinished {
            step: step(),
            node: node.clone(),
            seconds: 1.0,
            saw: text.clone(),
        },
        Event::StepStarted {
            step: step(),
            node: node.clone(),
            what: text.clone(),
        },
        Event::StepFailed {
            step: step(),
            node: node.clone(),
            error: text.clone(),
            hint: Some(text.clone()),
            journal: vec![text.clone(), "panic: x".into(), text.clone()],
        },
        Event::Note { text: text.clone() },
        Event::Warning {
            node: node.clone(),
            text: text.clone(),
            hint: Some(text.clone()),
        },
        Event::Warning {
            node: None,
            text: text.clone(),
            hint: Some(text.clone()),
        },
        Event::Finished {
            ok: false,
            seconds: 1.0,
            phases: vec![("look".into(), 1.0)],
            changed: 1,
            summary: text,
            round_trips: Default::default(),
            probe: None,
        },
    ]
}

/// What a terminal is given holds no colour but those of `paint`, nothing that steers, and no line that others have begun: they
/// are four columns in, where no line of ours begins with a word.
fn harmless(shown: &str, paint: Paint) -> Result<(), TestCaseError> {
    let mut plain = String::new();
    for (at, part) in shown.split("\x1b[").enumerate() {
        if at == 0 {
            plain.push_str(part);
            continue;
        }
        prop_assert!(paint.colour, "coloured: {shown:?}");
        let end = part.find(|c: char| !c.is_ascii_digit() && c != ';');
        prop_assert_eq!(end.map(|end| &part[end..=end]), Some("m"), "{:?}", shown);
        plain.push_str(&part[end.unwrap_or(0) + 1..]);
    }
    prop_assert!(
        !plain.contains(|c| c != '\n' && c != '\t' && steers(c)),
        "steers: {plain:?}"
    );
    for line in plain.lines() {
        let begun = line.trim_start_matches(' ');
        prop_assert!(
            !begun.starts_with(FORGED) || line.len() - begun.len() >= 4,
            "a line of somebody else's: {plain:?}"
        );
    }
    Ok(())
}

const COLOURED: Paint = Paint {
    colour: true,
    unicode: true,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn in_a_log(text in hostile()) {
        let mut written = Vec::new();
        {
            let sink = Lines::new(&mut written);
            events(&text).iter().for_each(|event| sink.event(event));
        }
        harmless(&String::from_utf8(written).unwrap(), Paint::PLAIN)?;
    }

    #[test]
    fn on_a_terminal(text in hostile(), width in 30_usize..120) {
        for paint in [Paint::PLAIN, COLOURED] {
            let now = Instant::now();
            let mut live = Live::new(paint);
            for event in events(&text) {
                for said in live.event(&event, now).into_iter().chain(live.frame(now, width)) {
                    harmless(&inert(&said), paint)?;
                }
            }
            if let Some(said) = live.last_words() {
                harmless(&inert(&said), paint)?;
            }
            let mut summary = Summary::default();
            events(&text).iter().for_each(|event| summary.add(event));
            harmless(&inert(&summary.take(paint).unwrap()), paint)?;
        }
    }

    #[test]
    fn as_json(text in hostile()) {
        for event in events(&text) {
            let json = print::inert_json(&serde_json::to_string(&event).unwrap());
            prop_assert!(!json.contains(steers), "{json:?}");
            let back: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assert!(back.is_object());
        }
    }

    #[test]
    fn in_a_table_and_in_a_line(text in hostile(), width in prop_oneof![Just(None), (20_u16..200).prop_map(Some)]) {
        for paint in [Paint::PLAIN, COLOURED] {
            let mut table = Table::new(["name", "state", "note"]).prose(["note"]);
            table.row([Cell::new(&text), Cell::new(&text).tone(Tone::Good), Cell::new(&text).tone(Tone::Dim)]);
            let shown = inert(&table.render(width, paint.colour));
            let plain = anstream::adapter::strip_str(&shown).to_string();
            // Prose is broken between words: in a block, or a column that is not the first.
            prop_assert!(!plain.lines().any(|line| line.starts_with(FORGED)), "{plain}");
            harmless(&inert(&line(format_args!("{}: {text}", paint.strong("n1")))), paint)?;
            harmless(&inert(&wrapped(&format!("{} {}", paint.bad("error:"), printable_lines(&text)), 60, 7)), paint)?;
            harmless(&inert(&format!("{} {}\n", paint.warn("?"), indented(&text, 4))), paint)?;
            harmless(&inert(&format!("{} {}\n", paint.warn("?"), printable(&text))), paint)?;
        }
    }
}
