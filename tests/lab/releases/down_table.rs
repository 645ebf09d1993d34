//! Ways down at length: both ways, on one, three and five members, killed between any two waves and twice in every member's
//! turn. `make soak` runs them and prints the table.

use super::down::{cluster, killed_at, versions};
use crate::harness::{Lab, Writer, release};

/// A healthy member that runs this release already.
fn exchanged(lab: &Lab, version: &str) -> Option<String> {
    let status = lab.glance();
    let members = status["members"].as_array().expect("members");
    let back = members
        .iter()
        .find(|m| m["version"] == version && m["healthy"] == true)?;
    back["name"].as_str().map(str::to_owned)
}

/// Down from everywhere that the program can be killed; whoever was exchanged leads then, where anybody was, and a leader of
/// 3.5 ends etcd's job.
fn killed_everywhere(members: usize, from: &str, to: &str) {
    let (from, to) = (release(from), release(to));
    let lab = cluster(members, &from);
    let writer = Writer::start(&lab, lab.host("n1"));
    let down = ["downgrade", "--to", &to, "--yes", "--accept-outage"];
    let up = ["upgrade", "--to", &from, "--yes", "--accept-outage"];
    let mut met = 0;
    let mut kill = |point: &str| {
        let killed = killed_at(&lab, &down, point);
        let back = exchanged(&lab, &to).filter(|_| killed && members > 1);
        if let Some(back) = back {
            lab.lead(&back);
        }
        met += usize::from(killed);
        // Every other time it goes up again from where it is.
        if met % 2 == 0 {
            lab.quorate(&down).ok();
            assert_eq!(versions(&lab), vec![to.as_str(); members]);
        }
        lab.quorate(&up).ok();
        assert_eq!(versions(&lab), vec![from.as_str(); members]);
        killed
    };
    let waves = (1..).take_while(|wave| kill(&format!("before:w{wave}"))).count();
    assert!(waves > members, "no boundary was met: is the feature `fault` on?");
    for host in lab.hosts() {
        for kind in ["in-place", "restarted"] {
            let point = format!("{kind}:{}", host.name);
            assert!(kill(&point), "it did not pass {point}");
        }
    }
    let writes = writer.acked();
    writer.judge();
    println!(
        "| {members} members | {from} to {to} | killed before each of {waves} waves and twice in each turn, led by one that was \
         exchanged | finished by the same command, or taken up again; {writes} writes kept, hashes equal |"
    );
}

macro_rules! rows {
    ($($name:ident: $members:literal, $from:literal, $to:literal;)*) => {$(
        #[test]
        #[ignore = "takes many minutes: make soak runs it"]
        fn $name() {
            killed_everywhere($members, $from, $to);
        }
    )*};
}

rows! {
    one_member_from_3_7_to_3_6: 1, "3.7", "3.6";
    one_member_from_3_6_to_3_5: 1, "3.6", "3.5";
    three_members_from_3_7_to_3_6: 3, "3.7", "3.6";
    three_members_from_3_6_to_3_5: 3, "3.6", "3.5";
    five_members_from_3_7_to_3_6: 5, "3.7", "3.6";
    five_members_from_3_6_to_3_5: 5, "3.6", "3.5";
}
