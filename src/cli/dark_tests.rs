//! "I cannot look" is never "it is dead": in every half light, whatever is asked for, no text names what would destroy a
//! cluster that is well, and nothing is said to be down that nobody has seen.

use std::collections::{BTreeMap, BTreeSet};

use super::super::error::{Exit, Failure};
use super::super::{doctor, show};
use super::{glance, text};
use crate::ops::doctor::{Examined, examine};
use crate::ops::model::{Fact, Policy};
use crate::ops::plan::plan;
use crate::report::Paint;
use crate::sim::dark::{Dark, intents, worlds};

/// Commands that give up what a cluster has.
const LAST_RESORTS: [&str; 6] = [
    "quorate restore",
    "`restore",
    "quorate recover",
    "`recover",
    "replace-node",
    "backup create",
];

/// What is not so in a cluster that is well.
const UNTRUE: [&str; 8] = [
    "no member runs",
    "quorum is lost",
    "not healthy",
    "is down",
    "are down",
    "dead",
    "does not answer",
    "no leader",
];

/// What was said in half-lit worlds that must not be.
#[derive(Default)]
struct Unfit(Vec<String>);

impl Unfit {
    /// Notes where a text says it.
    fn look_at(&mut self, dark: &Dark, asked: &str, said: &str) {
        let named = LAST_RESORTS.iter().find(|named| said.contains(*named));
        let untrue = UNTRUE
            .iter()
            .find(|untrue| dark.well && said.to_lowercase().contains(*untrue));
        if let Some(word) = named.or(untrue) {
            self.0.push(format!("says `{word}` of {}\n{asked}:\n{said}", dark.name));
        }
    }

    /// One of each kind is enough to read.
    #[track_caller]
    fn none(self) {
        let all = self.0.len();
        let mut first: BTreeMap<String, String> = BTreeMap::new();
        for unfit in self.0 {
            let kind = unfit.split(' ').take(6).collect();
            first.entry(kind).or_insert(unfit);
        }
        let told: Vec<String> = first.into_values().take(12).collect();
        assert_eq!(all, 0, "{}", told.join("\n\n"));
    }
}

fn policies() -> [Policy; 2] {
    let accepting = Policy {
        accept_outage: true,
        accept_data_loss: true,
        no_snapshot: true,
        ..Policy::default()
    };
    [Policy::default(), accepting]
}

#[test]
fn no_plan_and_no_refusal_takes_the_dark_for_death() {
    let mut exits: BTreeMap<u8, u32> = BTreeMap::new();
    let mut unfit = Unfit::default();
    for dark in worlds() {
        let (desired, supplies) = (&dark.scene.desired, dark.scene.world.supplies());
        for intent in intents(&dark) {
            for policy in policies() {
                let made = plan(&intent, desired, &dark.seen, policy, &supplies);
                let (said, exit) = match made {
                    // What a plan does is its own business; what it says beside that is not.
                    Ok(plan) => (
                        plan.notes.join("\n") + &show::plan(&plan, Paint::PLAIN, false, usize::MAX),
                        Exit::Done,
                    ),
                    Err(blocked) => {
                        assert!(
                            blocked.iter().all(|b| !b.hint.is_empty() && b.last.is_none()),
                            "{blocked:?}"
                        );
                        let failure = Failure::from(blocked);
                        (failure.text(Paint::PLAIN, usize::MAX), failure.exit)
                    }
                };
                // The header of a plan names the command that was asked for.
                let said = said.replace(&format!("quorate {}", intent.verb()), "");
                unfit.look_at(&dark, &format!("{intent:?} {policy:?}"), &said);
                // Without a CA there is nothing to renew, wherever one looks.
                if dark.hosts.len() == desired.hosts.len() && dark.scene.world.keys.is_some() {
                    assert_eq!(exit, Exit::Unreachable, "{}\n{intent:?}\n{said}", dark.name);
                }
                *exits.entry(exit as u8).or_default() += 1;
            }
        }
    }
    unfit.none();
    // Worlds in which everything is refused alike would prove nothing.
    for exit in [Exit::Done, Exit::Blocked, Exit::Unreachable] {
        assert!(exits.get(&(exit as u8)).is_some_and(|n| *n > 500), "{exits:?}");
    }
}

#[test]
fn status_says_unknown_where_nobody_could_look_and_shows_the_rest_as_it_is() {
    let mut verdicts = BTreeSet::new();
    let mut unfit = Unfit::default();
    for dark in worlds() {
        let glance = glance(&dark.scene.desired, &dark.seen);
        let said = text(&glance, Paint::PLAIN, None);
        unfit.look_at(&dark, "status", &said);
        let json = serde_json::to_value(&glance).expect("JSON");
        unfit.look_at(&dark, "status --output json", &json.to_string());
        verdicts.insert(glance.healthy);
        assert_ne!(glance.healthy, Some(true), "{}\n{said}", dark.name);
        if dark.well {
            assert_eq!(glance.healthy, None, "{}\n{said}", dark.name);
            assert_eq!(Exit::of_health(glance.healthy), Exit::Unreachable);
            assert!(
                said.contains("UNKNOWN") && !said.contains("0 voters"),
                "{}\n{said}",
                dark.name
            );
            assert!(json["healthy"].is_null(), "{json}");
        }
        for member in &glance.members {
            let blind = dark.hosts.iter().any(|name| name.as_str() == member.name);
            let at = || format!("{}\n{member:?}", dark.name);
            assert!(
                member.healthy.is_some() || member.unknown.is_some(),
                "no reason: {}",
                at()
            );
            if dark.well {
                assert_eq!(member.healthy, (!blind).then_some(true), "{}", at());
            }
            // Who is said to be down is.
            let host = dark
                .scene
                .world
                .hosts
                .values()
                .find(|h| h.spec.name.as_str() == member.name);
            let lives = host.is_some_and(|host| dark.scene.world.healthy(host));
            if blind && lives {
                assert_eq!(member.healthy, None, "{}", at());
            }
        }
    }
    unfit.none();
    assert_eq!(verdicts, BTreeSet::from([None, Some(false)]), "both come up");
}

#[test]
fn doctor_calls_nothing_a_problem_that_nobody_has_seen() {
    let mut unfit = Unfit::default();
    for dark in worlds() {
        let desired = &dark.scene.desired;
        let findings = examine(&Examined {
            desired,
            seen: &dark.seen,
            metrics: BTreeMap::new(),
            causes: BTreeMap::new(),
            hashes: Fact::unknown("not all members answer", None),
            backups: None,
        });
        let examination = doctor::examination(desired, findings, None);
        let said = doctor::text(&examination, Paint::PLAIN, usize::MAX);
        unfit.look_at(&dark, "doctor", &said.replace("not all members answer", ""));
        assert_ne!(examination.healthy, Some(true), "{}\n{said}", dark.name);
        for host in &dark.hosts {
            assert!(said.contains(host.as_str()), "{}\n{said}", dark.name);
        }
    }
    unfit.none();
}

/// The lights are what keeps these words back, and nothing else: where every host was looked at they are said.
#[test]
fn where_every_host_was_looked_at_the_last_resorts_are_named() {
    use crate::sim::scenes::Scene;
    let refusals = |scene: Scene| format!("{:?}", scene.plan().expect_err("a refusal"));
    let wiped = Scene::healthy(3).wiped(3).a_moment_later();
    assert!(refusals(wiped).contains("quorate replace-node etcd-3 etcd-3"));
    let lost = Scene::healthy(3).wiped(2).wiped(3).a_moment_later();
    let notes = lost.plan().expect("a plan").notes.join("\n");
    assert!(
        notes.contains("`quorate recover` rebuilds the cluster from what is left"),
        "{notes}"
    );
    let examined = examine(&Examined {
        desired: &lost.desired,
        seen: &lost.seen(),
        metrics: BTreeMap::new(),
        causes: BTreeMap::new(),
        hashes: Fact::Absent,
        backups: None,
    });
    assert!(
        examined.iter().any(|f| f.help.contains("`quorate recover`")),
        "{examined:?}"
    );
}
