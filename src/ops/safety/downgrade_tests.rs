//! The way back over a minor release, on three members.

use super::*;
use crate::ops::samples::{desired, membership};

const V3_5: Version = Version::new(3, 5, 30);
const V3_6: Version = Version::new(3, 6, 14);

/// A member in a few words.
#[derive(Clone, Copy)]
enum Is {
    /// Of 3.6, as it always was.
    Settled,
    /// Of 3.6 and told to go back, with storage of its own form.
    Told,
    /// The same with storage of 3.5.
    Ready,
    /// The same after etcd has ended the job.
    Left,
    /// Of 3.5 by now.
    Back,
    /// It does not answer.
    Silent,
}
use Is::{Back, Left, Ready, Settled, Silent, Told};

fn minor(version: Version) -> Version {
    Version::new(version.major, version.minor, 0)
}

fn cluster(members: [Is; 3]) -> Membership {
    let mut membership = membership(&desired(3));
    for (n, is) in (1..).zip(members) {
        let id = MemberId(n);
        if let Silent = is {
            membership.status.insert(id, Fact::Unknown("no answer".into()));
            continue;
        }
        let Some(Fact::Known(status)) = membership.status.get_mut(&id) else {
            panic!("member {n} of the sample answers");
        };
        let told = matches!(is, Told | Ready);
        status.version = if matches!(is, Back) { V3_5 } else { V3_6 };
        status.storage_version = match is {
            Settled | Told => Some(minor(V3_6)),
            Ready | Left => Some(minor(V3_5)),
            Back | Silent => None,
        };
        status.downgrade = told.then_some(minor(V3_5));
        if told || matches!(is, Left) {
            membership.works_at.insert(id, minor(V3_5));
        }
    }
    membership
}

/// The rule, after a look that the refusal says `text` and names a way out.
#[track_caller]
fn refused(outcome: Result<(), Blocked>, text: &str) -> Rule {
    let blocked = outcome.expect_err("a refusal");
    assert!(blocked.reason.contains(text), "{} instead of {text}", blocked.reason);
    assert!(!blocked.hint.is_empty(), "{}", blocked.reason);
    blocked.rule
}

#[test]
fn what_members_say_tells_how_far_the_way_is() {
    let far = |members, to| way_back(&cluster(members), to);
    assert_eq!(far([Settled; 3], V3_6), WayBack::NotNeeded);
    assert_eq!(far([Settled; 3], V3_5), WayBack::Closed);
    assert_eq!(far([Told; 3], V3_5), WayBack::Opening);
    assert_eq!(far([Ready, Told, Ready], V3_5), WayBack::Opening);
    assert_eq!(far([Ready; 3], V3_5), WayBack::Open);
    assert_eq!(far([Back, Ready, Ready], V3_5), WayBack::Open);
    assert_eq!(far([Back; 3], V3_5), WayBack::NotNeeded);
    // Ended by a leader of 3.5, or called off, or an upgrade that was not finished: it is as open as before.
    assert_eq!(far([Back, Left, Left], V3_5), WayBack::Open);
    assert_eq!(far([Silent, Left, Left], V3_5), WayBack::Closed);
    // Nobody of 3.5 keeps the others where they are.
    assert_eq!(far([Left; 3], V3_5), WayBack::Closed);
    // On the way back to 3.5 nobody gets any nearer to 3.4.
    assert_eq!(far([Ready; 3], Version::new(3, 4, 45)), WayBack::Closed);
    // What one member in the middle of a start cannot tell is not asked of the others.
    assert_eq!(far([Silent, Ready, Ready], V3_5), WayBack::Open);
}

#[test]
fn etcd_is_told_only_while_all_of_it_is_well_and_of_one_minor() {
    assert_eq!(may_begin(&cluster([Settled; 3]), V3_5), Ok(()));
    assert_eq!(may_begin(&cluster([Told, Ready, Settled]), V3_5), Ok(()), "it goes on");
    let silent = may_begin(&cluster([Settled, Silent, Settled]), V3_5);
    assert!(
        silent
            .as_ref()
            .is_err_and(|b| b.hint.contains("quorate restart --limit n2")),
        "{silent:?}"
    );
    assert_eq!(refused(silent, "n2 is not healthy (no answer)"), Rule::NotSettled);
    let mixed = may_begin(&cluster([Back, Settled, Left]), V3_5);
    assert_eq!(
        refused(mixed, "n2 still sees cluster version 3.6 (2 of 3 members are ready)"),
        Rule::NotSettled
    );
    let mut learner = cluster([Settled; 3]);
    learner.members[2].learner = true;
    assert_eq!(refused(may_begin(&learner, V3_5), "n3 is a learner"), Rule::NotSettled);
}

#[test]
fn what_an_upgrade_or_another_downgrade_has_not_finished_comes_first() {
    let mut rising = cluster([Settled; 3]);
    let Some(Fact::Known(status)) = rising.status.get_mut(&MemberId(2)) else {
        panic!("it answers");
    };
    status.storage_version = Some(minor(V3_5));
    // The plan may be made, and waits for it.
    assert_eq!(may_begin(&rising, V3_5), Ok(()));
    let rising = would_listen(&rising, V3_5);
    assert_eq!(
        refused(rising, "n2 runs etcd 3.6.14 and has storage of 3.5"),
        Rule::NotSettled
    );
    let other = may_begin(&cluster([Ready; 3]), Version::new(3, 4, 45));
    assert_eq!(refused(other, "already being downgraded to 3.5"), Rule::Version);
}

#[test]
fn nobody_is_left_behind() {
    let settled = cluster([Settled; 3]);
    assert_eq!(takes_everybody(&settled, |_| true), Ok(()));
    let outcome = takes_everybody(&settled, |member| member.name != "n3");
    assert_eq!(refused(outcome, "n3 would be left behind"), Rule::Inventory);
}

#[test]
fn an_older_binary_takes_over_only_storage_of_its_own_form_in_a_cluster_that_works_at_it() {
    let may = |is, id| may_go_back(&cluster([is, Ready, Ready]), MemberId(id), V3_5);
    assert_eq!(may(Ready, 1), Ok(()));
    assert_eq!(may(Back, 1), Ok(()));
    assert_eq!(
        refused(may(Told, 1), "the storage version of n1 is still 3.6"),
        Rule::NotSettled
    );
    assert_eq!(
        refused(may(Settled, 1), "n1 does not know of a downgrade"),
        Rule::NotSettled
    );
    // Unknown is never absent.
    assert_eq!(refused(may(Silent, 1), "n1 does not answer"), Rule::Unknown);
    assert_eq!(may(Silent, 2), Ok(()), "that one does");
    // Without the job it takes a member of the older minor to keep the cluster where it is.
    assert_eq!(may_go_back(&cluster([Left, Left, Back]), MemberId(1), V3_5), Ok(()));
    let nobody = may_go_back(&cluster([Left; 3]), MemberId(1), V3_5);
    assert_eq!(refused(nobody, "no member runs it"), Rule::NotSettled);
    let silent = may_go_back(&cluster([Left, Left, Silent]), MemberId(1), V3_5);
    assert_eq!(refused(silent, "no member runs it"), Rule::NotSettled);
    let mut early = cluster([Ready; 3]);
    early.works_at.insert(MemberId(1), minor(V3_6));
    let outcome = may_go_back(&early, MemberId(1), V3_5);
    assert_eq!(refused(outcome, "n1 still sees cluster version 3.6"), Rule::NotSettled);
    early.works_at.clear();
    let outcome = may_go_back(&early, MemberId(1), V3_5);
    assert_eq!(
        refused(outcome, "does not report the cluster version"),
        Rule::NotSettled
    );
}

#[test]
fn waiting_tells_how_many_are_ready() {
    assert_eq!(everybody_may_go_back(&cluster([Ready; 3]), V3_5), Ok(()));
    let outcome = everybody_may_go_back(&cluster([Ready, Told, Settled]), V3_5);
    assert_eq!(
        refused(
            outcome,
            "the storage version of n2 is still 3.6 (1 of 3 members are ready)"
        ),
        Rule::NotSettled
    );
}

#[test]
fn it_is_over_when_everybody_is_back_and_the_job_has_ended() {
    assert_eq!(went_back(&cluster([Back; 3]), V3_5), Ok(()));
    assert_eq!(
        refused(
            went_back(&cluster([Back, Back, Ready]), V3_5),
            "n3 still runs etcd 3.6.14"
        ),
        Rule::Version
    );
    assert_eq!(
        refused(went_back(&cluster([Back, Back, Silent]), V3_5), "n3 does not answer"),
        Rule::Unknown
    );
    // From 3.7 to 3.6 the members that are back tell of the job until it ends.
    let mut ending = cluster([Settled; 3]);
    let Some(Fact::Known(status)) = ending.status.get_mut(&MemberId(1)) else {
        panic!("it answers");
    };
    status.downgrade = Some(minor(V3_6));
    assert_eq!(
        refused(went_back(&ending, V3_6), "still being downgraded to 3.6"),
        Rule::NotSettled
    );
}

#[test]
fn people_are_told_how_far_it_is_and_both_ways_out() {
    assert_eq!(told(&cluster([Settled; 3])), None);
    let (says, help) = told(&cluster([Back, Ready, Ready])).expect("one is under way");
    assert_eq!(says, "etcd is being downgraded to 3.5: 1 of 3 members run it");
    assert_eq!(
        help,
        "`quorate downgrade --to 3.5.30` continues it, `quorate upgrade --to 3.6.14` cancels it"
    );
    let (says, help) = told(&cluster([Back, Left, Left])).expect("etcd has ended it");
    assert_eq!(
        says,
        "its members are between two minor releases: 1 of 3 run 3.5, the others 3.6"
    );
    assert_eq!(
        help,
        "`quorate upgrade --to 3.6.14` upgrades all of them, `quorate downgrade --to 3.5.30` downgrades all of them"
    );
    let (_, help) = told(&cluster([Back, Settled, Left])).expect("n2 is not ready");
    assert_eq!(help, "`quorate upgrade --to 3.6.14` upgrades all of them");
    let (_, help) = told(&cluster([Told; 3])).expect("one is under way");
    assert!(help.starts_with("`quorate downgrade --to 3.5.N`"), "{help}");
}

#[test]
fn nothing_is_turned_round_by_a_run_that_was_not_told_which_way() {
    let may = |members, wanted| goes_on(&cluster(members), wanted);
    let round = may([Back, Ready, Ready], V3_6);
    assert!(
        round
            .as_ref()
            .is_err_and(|b| b.hint.contains("`quorate downgrade --to 3.5.30` continues")
                && b.hint.contains("`quorate upgrade --to 3.6.14` cancels it")),
        "{round:?}"
    );
    assert_eq!(refused(round, "but the inventory has 3.6.14"), Rule::Version);
    assert!(may([Ready; 3], V3_6).is_err(), "also before the first is back");
    // Both an upgrade and a downgrade look like this.
    let either = may([Back, Left, Left], V3_5);
    assert_eq!(refused(either, "1 of 3 run 3.5, the others 3.6"), Rule::Version);
    // On it goes with etcd's job, up again, and where there is nothing to turn.
    assert_eq!(may([Back, Ready, Ready], V3_5), Ok(()));
    assert_eq!(may([Back, Left, Left], V3_6), Ok(()));
    for wanted in [V3_5, V3_6] {
        assert_eq!(may([Settled; 3], wanted), Ok(()));
        assert_eq!(may([Left; 3], wanted), Ok(()));
        assert_eq!(may([Back; 3], wanted), Ok(()));
    }
}
