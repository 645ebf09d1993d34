//! A fleet on screens of three sizes, and keys.

use super::*;
use crate::cli::error::Failure;
use crate::cli::many::find::{Broken, Cluster};
use crate::cli::many::samples::{all_kinds, on_screen, ran};

fn at(seconds: u64) -> Moment {
    let noon: jiff::Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    Moment {
        since_boot: Duration::from_secs(1_000 + seconds),
        clock: noon + Duration::from_secs(seconds),
    }
}

fn clusters(names: &[&str]) -> Clusters {
    let whole = names.iter().map(|name| {
        let mut cluster = Cluster::named(name);
        cluster.path = format!("clusters/{name}.yml").into();
        cluster
    });
    Clusters {
        whole: whole.collect(),
        ..Clusters::default()
    }
}

/// One of each kind answers at second 0; `late` never does.
fn board() -> Board {
    let answers: Vec<Ran> = all_kinds();
    let mut names: Vec<&str> = answers.iter().map(|ran| ran.name.as_str()).collect();
    names.push("late");
    let mut board = Board::new(&mut clusters(&names), at(0));
    while board.due(at(0)).is_some() {}
    for ran in all_kinds() {
        board.answered(ran, at(2), false);
    }
    board
}

fn screen(board: &Board, width: usize, height: usize) -> String {
    on_screen(board.lines(at(7), Paint::PLAIN, width, height), width, height)
}

/// A terminal's last column and last line stay free.
#[test]
fn a_fleet_looks_good_on_every_terminal() {
    let mut board = board();
    let mut down = ran("well", Exit::Unhealthy, |glance| glance.healthy = Some(false));
    if let crate::cli::many::part::Answer::Glance(glance) = &mut down.answers[0] {
        glance.members[1].healthy = Some(false);
        glance.members[1].problem = Some("its member does not run: the unit is failed".into());
        glance.can_lose = Some(0);
    }
    board.answered(down, at(5), false);
    insta::assert_snapshot!("fleet_80x24", screen(&board, 79, 23));
    insta::assert_snapshot!("fleet_40x15", screen(&board, 39, 14));
    insta::assert_snapshot!("fleet_120x40", screen(&board, 119, 39));
}

#[test]
fn no_name_and_no_size_breaks_the_screen() {
    let long = "a-cluster-with-a-name-of-sixty-three-letters-and-not-one-less-x";
    let mut board = board();
    board.entries[0].name = long.into();
    board.answered(
        Ran {
            path: "clusters/well.yml".into(),
            ..ran(long, Exit::Done, |glance| {
                glance.locked_by = Some("\x1b[2J\u{202e}漢字".repeat(50))
            })
        },
        at(3),
        false,
    );
    for (width, height) in [(39, 14), (79, 23), (25, 5), (200, 60), (19, 3)] {
        let lines = board.lines(at(7), Paint::PLAIN, width, height);
        assert!(lines.len() <= height, "{width}x{height}: {lines:#?}");
        assert!(lines.last().unwrap().contains("quits"), "{width}x{height}");
    }
}

#[test]
fn the_choice_stays_with_its_cluster_and_the_window_follows_it() {
    let names: Vec<String> = (0..100).map(|n| format!("c{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut board = Board::new(&mut clusters(&names), at(0));
    for name in &names {
        board.answered(ran(name, Exit::Done, |_| {}), at(0), false);
    }
    board.choose(Key::PageDown, 50);
    assert_eq!(board.chosen().unwrap().name, "c50");
    assert!(screen(&board, 79, 23).contains("> c50"));
    // It is the worst now, and still chosen.
    let hurt = ran("c50", Exit::Unhealthy, |glance| glance.healthy = Some(false));
    board.answered(hurt, at(1), false);
    let shown = screen(&board, 79, 23);
    assert!(shown.lines().nth(2).unwrap().starts_with("> c50"), "{shown}");
    board.choose(Key::Last, 50);
    assert_eq!(board.chosen().unwrap().name, "c99");
    assert!(screen(&board, 79, 23).contains("> c99"));
    board.choose(Key::Down, 1);
    assert_eq!(board.chosen().unwrap().name, "c99");
    board.choose(Key::First, 1);
    board.choose(Key::Up, 1);
    assert_eq!(board.chosen().unwrap().name, "c50");
}

#[test]
fn whoever_waited_longest_is_next_and_a_broken_inventory_never_is() {
    let mut clusters = clusters(&["a", "b"]);
    clusters.broken.push(Broken {
        name: "typo".into(),
        path: "clusters/typo.yml".into(),
        failure: Failure::new(Exit::Inventory, "broken"),
    });
    let mut board = Board::new(&mut clusters, at(0));
    let due = |board: &mut Board, now| board.due(at(now)).map(|path| path.file_stem().unwrap().to_owned());
    assert_eq!(due(&mut board, 0).unwrap(), "a");
    assert_eq!(due(&mut board, 1).unwrap(), "b");
    assert_eq!(due(&mut board, 1), None);
    board.answered(ran("b", Exit::Done, |_| {}), at(3), false);
    board.answered(ran("a", Exit::Done, |_| {}), at(9), false);
    assert_eq!(due(&mut board, 9), None, "b was asked at second 1");
    assert_eq!(due(&mut board, 11).unwrap(), "a", "it was asked before b");
    assert_eq!(due(&mut board, 11).unwrap(), "b");
}

#[test]
fn a_cluster_that_answers_no_more_is_news_and_so_is_its_return() {
    let mut board = Board::new(&mut clusters(&["a"]), at(0));
    let failed = || crate::cli::many::samples::failed("a", Exit::Unreachable, "no answer within 300 s");
    let answers = [
        ran("a", Exit::Done, |_| {}),
        failed(),
        failed(),
        ran("a", Exit::Done, |_| {}),
    ];
    for (seconds, answer) in answers.into_iter().enumerate() {
        board.answered(answer, at(seconds as u64), false);
    }
    let told: Vec<&str> = board
        .news
        .newest(9, |_| true)
        .iter()
        .map(|piece| piece.says.as_str())
        .collect();
    assert_eq!(
        told,
        [
            "no status: no answer within 300 s",
            "answers again (no answer within 300 s)"
        ]
    );
}
