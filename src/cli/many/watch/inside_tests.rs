//! A cluster that somebody upgrades, and one of its members, on screens of three sizes.

use std::time::Duration;

use super::*;
use crate::cli::many::samples::{on_screen, well};
use crate::ops::observe::Heard;
use crate::ops::samples::{desired, name, observed};

fn now() -> Moment {
    Moment {
        since_boot: Duration::from_secs(1_000),
        clock: "2026-01-01T12:00:00Z".parse().unwrap(),
    }
}

/// The lines of the cluster, then those of its second member.
fn screens(width: usize, height: usize) -> [String; 2] {
    let desired = desired(3);
    let mut board = Board::new(&desired, None);
    (1..=3).for_each(|n| board.hear(&name(n), Heard::well(&desired, n), now()));
    let before = well("prod-a");
    let mut glance = before.clone();
    glance.locked_by = Some("ann@laptop since 2026-01-01T11:58:00Z".into());
    glance.lock_command = Some("quorate -i eu/prod-a.yml upgrade --to 3.6.16".into());
    glance.healthy = Some(false);
    glance.can_lose = Some(0);
    glance.members[1].healthy = Some(false);
    glance.members[1].problem = Some("its member does not run: the unit is failed".into());
    glance.problems = vec!["etcd-2: its member does not run: the unit is failed".into()];
    let mut news = News::default();
    news.compare(now().clock, "prod-a", &before, &glance);
    news.push(now().clock, "prod-b", None, "is another cluster");
    let cluster = Cluster {
        glance: &glance,
        board: &board,
        vitals: glance.vitals.as_ref(),
        news: &news,
        path: Path::new("eu/prod-a.yml"),
    };
    let seen = observed(&desired);
    let facts = seen.hosts[&name(2)].known();
    let all = [
        cluster.lines(1, now(), Paint::PLAIN, width, height),
        cluster.member(&glance.members[1], facts, now(), Paint::PLAIN, width, height),
    ];
    all.map(|lines| on_screen(lines, width, height))
}

#[test]
fn a_cluster_and_a_member_look_good_on_every_terminal() {
    for (columns, rows) in [(80, 24), (40, 15), (120, 40)] {
        let [cluster, member] = screens(columns - 1, rows - 1);
        insta::assert_snapshot!(format!("cluster_{columns}x{rows}"), cluster);
        insta::assert_snapshot!(format!("member_{columns}x{rows}"), member);
        assert!(!cluster.contains("another cluster") && !member.contains("another cluster"));
    }
}
