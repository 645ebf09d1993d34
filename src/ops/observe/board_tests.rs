//! Three members; one loses its power, and time goes by.

use super::*;
use crate::etcd::Metrics;
use crate::ops::model::Membership;
use crate::ops::samples::{desired, name};
use crate::ops::sight::Health;

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Moment {
    let noon: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    Moment {
        since_boot: Duration::from_secs(1_000 + seconds),
        clock: noon + Duration::from_secs(seconds),
    }
}

/// What a member that is well told, with how much it had received from each of the others.
fn well(desired: &Desired, n: usize, received: Option<[u64; 2]>) -> Heard {
    let others = [2, 3].map(MemberId);
    Heard {
        metrics: received.map(|received| Metrics {
            is_leader: Some(true),
            received: others.into_iter().zip(received).collect(),
            ..Metrics::default()
        }),
        ..Heard::well(desired, n)
    }
}

/// Everybody answered at second 0.
fn all_well(desired: &Desired) -> Board {
    let mut board = Board::new(desired, None);
    for n in 1..=3 {
        assert!(!board.complete(at(0)));
        board.hear(&name(n), well(desired, n, None), at(0));
    }
    assert!(board.complete(at(0)));
    board
}

fn cluster(board: &Board, now: Moment) -> Membership {
    board.observed(now).cluster.known().expect("a cluster").clone()
}

#[test]
fn an_answer_that_has_grown_old_proves_nothing() {
    let desired = desired(3);
    let mut board = all_well(&desired);
    let third = MemberId(3);
    for second in 1..=20 {
        board.hear(&name(1), well(&desired, 1, None), at(second));
        board.hear(&name(2), well(&desired, 2, None), at(second));
        let membership = cluster(&board, at(second));
        assert_eq!(membership.health(MemberId(1)), Health::Well);
        let (health, seen) = match second {
            0..=5 => (Health::Well, Seen::Ago(SECOND * second as u32)),
            _ => (Health::Unknown, Seen::Silent(Some(SECOND * second as u32))),
        };
        assert_eq!(membership.health(third), health, "after {second} s");
        assert_eq!(board.seen(&name(3), at(second)), seen);
        assert_eq!(board.in_the_dark(at(second)), second > 5);
    }
    let why = cluster(&board, at(20)).in_the_dark(third).unwrap();
    assert!(why.contains("no answer since 12:00:00 UTC"), "{why}");

    // It is back.
    board.hear(&name(3), well(&desired, 3, None), at(21));
    assert_eq!(cluster(&board, at(21)).health(third), Health::Well);
}

#[test]
fn when_nobody_answers_any_more_nothing_is_known_to_be_well() {
    let desired = desired(3);
    let board = all_well(&desired);
    let seen = board.observed(at(6));
    assert!(matches!(seen.cluster, Fact::Unknown(_)), "{:?}", seen.cluster);
    assert!(seen.hosts.values().all(|host| matches!(host, Fact::Unknown(_))));
}

#[test]
fn a_host_that_cannot_be_asked_is_unknown_at_once_and_says_why() {
    let desired = desired(3);
    let mut board = all_well(&desired);
    let refused = Heard::of(Fact::Unknown("connection refused\nstart sshd".into()));
    board.hear(&name(3), refused, at(2));
    assert_eq!(cluster(&board, at(2)).health(MemberId(3)), Health::Unknown);
    assert_eq!(board.seen(&name(3), at(2)), Seen::Silent(Some(SECOND * 2)));
    let seen = board.observed(at(9));
    assert_eq!(
        seen.hosts[&name(3)],
        Fact::Unknown("connection refused\nstart sshd".into())
    );
}

#[test]
fn the_leader_tells_of_one_in_the_dark_and_only_what_is_new() {
    let desired = desired(3);
    let mut board = all_well(&desired);
    let (second, third) = (MemberId(2), MemberId(3));
    let told = |board: &mut Board, second: u64, received| {
        board.hear(&name(1), well(&desired, 1, received), at(second));
        board.hear(&name(2), well(&desired, 2, None), at(second));
        cluster(board, at(second))
    };
    assert_eq!(told(&mut board, 6, Some([10, 10])).health(third), Health::Unknown);
    // Its machine has no power: nothing came from it between the two.
    let silent = told(&mut board, 8, Some([20, 10]));
    assert_eq!(silent.health(third), Health::Sick);
    assert_eq!(silent.health(second), Health::Well);
    // Only our way to it is cut: it answers its leader.
    assert_eq!(told(&mut board, 10, Some([30, 12])).health(third), Health::Unknown);
    // Nobody listened meanwhile, so what grew is no news.
    told(&mut board, 12, None);
    assert_eq!(told(&mut board, 20, Some([90, 90])).health(third), Health::Unknown);
    assert!(cluster(&board, at(20)).peers.is_empty());
}
