//! A member loses its power while somebody watches.

use super::*;
use crate::ops::model::Fact;
use crate::ops::observe::Heard;
use crate::ops::samples::{desired, name};

fn at(seconds: u64) -> Moment {
    let noon: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    Moment {
        since_boot: Duration::from_secs(1_000 + seconds),
        clock: noon + Duration::from_secs(seconds),
    }
}

/// The others go on answering; the third did so last at second 0.
fn board(desired: &Desired, seconds: u64) -> Board {
    let mut board = Board::new(desired, None);
    board.hear(&name(1), Heard::well(desired, 1), at(seconds));
    board.hear(&name(2), Heard::well(desired, 2), at(seconds));
    board.hear(&name(3), Heard::well(desired, 3), at(0));
    board
}

fn shown(seconds: u64, width: usize) -> String {
    let desired = desired(3);
    watching(&desired, &board(&desired, seconds), at(seconds), Paint::PLAIN, width)
        .iter()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

#[test]
fn a_line_says_how_old_it_is_and_soon_that_nobody_answers() {
    insta::assert_snapshot!(shown(4, 79));
    insta::assert_snapshot!(shown(7, 79));
    insta::assert_snapshot!(shown(7, 139));
}

#[test]
fn columns_go_before_a_line_is_broken() {
    for width in [60, 79, 100, 139] {
        let screen = shown(4, width);
        assert!(
            screen.lines().all(|line| line.chars().count() <= width),
            "{width}:\n{screen}"
        );
        assert!(
            screen.contains("ANSWERED") && screen.contains("HEALTH"),
            "{width}:\n{screen}"
        );
    }
}

#[test]
fn the_living_are_shown_while_the_others_are_waited_for() {
    let desired = desired(3);
    let mut board = Board::new(&desired, None);
    board.hear(&name(1), Heard::well(&desired, 1), at(0));
    board.hear(&name(2), Heard::of(Fact::Unknown("connection refused".into())), at(0));
    let screen = waiting(&desired, &board, at(1), Paint::PLAIN, 79).join("\n");
    insta::assert_snapshot!(screen);
}

#[test]
fn what_grows_with_time_is_no_change() {
    let desired = desired(3);
    let gist_at = |seconds, now| gist(&aged(&desired, &board(&desired, seconds), at(now)));
    assert_eq!(gist_at(1, 1), gist_at(1, 3));
    assert_ne!(gist_at(1, 1), gist_at(8, 8));
    assert_eq!(gist_at(8, 8), gist_at(30, 30));
}
