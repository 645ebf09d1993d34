//! What quorate would do in each small world of `sim/scenes.rs`, as an operator sees it, and what comes of it. A changed
//! plan shows as a changed snapshot (`cargo insta review`).

use std::fmt::Write;

use super::plan;
use crate::ops::model::Intent;
use crate::report::Paint;
use crate::sim::drive::{Aftermath, Outcome};
use crate::sim::scenes::{Scene, all};

#[test]
fn every_scene() {
    for (name, before, scene) in all() {
        let text = tell(before, &scene);
        insta::with_settings!({snapshot_path => "snapshots/scenes", prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!(name, text);
        });
    }
}

fn tell(before: &str, scene: &Scene) -> String {
    let mut text = format!("Before: {before}.\n\n$ quorate {}\n", command(scene));
    match scene.plan() {
        Ok(made) if made.is_empty() && made.notes.is_empty() => text.push_str("nothing to do\n"),
        Ok(made) => text.push_str(&plan(&made, Paint::PLAIN, false, usize::MAX)),
        Err(refusals) => {
            for refusal in refusals {
                let _ = writeln!(text, "refused: {refusal}\n   help: {}", refusal.hint);
            }
        }
    }
    let after = scene.clone().run();
    let _ = write!(text, "\nAfterwards: {}", ended(&after));
    for round in after.plans.iter().skip(1) {
        let titles: Vec<&str> = round.waves.iter().map(|wave| wave.title.as_str()).collect();
        let _ = write!(text, "\nThen, seen only by then: {}.", titles.join("; "));
    }
    for cluster in after.world.clusters.values().filter(|c| c.leader.is_some()) {
        let members = cluster.members.values().map(|m| match (m.learner, m.started()) {
            (_, false) => format!("{} (never started)", m.peer_urls[0].0),
            (true, true) => format!("{} (learner)", m.name),
            (false, true) => m.name.clone(),
        });
        let mut members: Vec<String> = members.collect();
        members.sort();
        let _ = write!(text, "\nA cluster of {}.", members.join(", "));
    }
    text
}

fn ended(after: &Aftermath) -> String {
    match &after.outcome {
        Outcome::Done if after.plans.is_empty() => "as before.".into(),
        Outcome::Done => "done.".into(),
        Outcome::Blocked(_) if after.plans.is_empty() => "nothing was touched.".into(),
        Outcome::Blocked(blocked) => format!("stopped after a round: {}.", blocked[0]),
        Outcome::Stopped(error) => format!("stopped safely: {error}."),
        other => format!("{other:?}"),
    }
}

fn command(scene: &Scene) -> String {
    let (intent, policy) = (&scene.intent, scene.policy);
    if policy.way_chosen {
        let wanted = scene.desired.version;
        let down = scene
            .seen()
            .cluster
            .known()
            .is_some_and(|m| m.releases().any(|runs| runs > wanted));
        return format!("{} --to {wanted}", if down { "downgrade" } else { "upgrade" });
    }
    let mut words = vec![intent.verb().to_owned()];
    match intent {
        Intent::EndMaintenance { node } => words = vec![format!("maintain {node} --done")],
        Intent::Converge { prune: true, .. } => words.push("--prune".into()),
        Intent::Remove { node, wipe } => {
            words.push(node.to_string());
            words.extend(wipe.then(|| "--wipe".to_owned()));
        }
        Intent::Maintain { node, .. } => words.push(node.to_string()),
        Intent::Replace { old, new } => words.extend([old.to_string(), new.to_string()]),
        Intent::Restore(order) => words.push(order.file.clone()),
        Intent::Recover(order) => {
            for name in &order.without {
                words.extend(["--without".to_owned(), name.to_string()]);
            }
        }
        Intent::Destroy(order) => {
            for name in &order.without {
                words.extend(["--without".to_owned(), name.to_string()]);
            }
        }
        _ => {}
    }
    words.extend(policy.accept_outage.then(|| "--accept-outage".to_owned()));
    words.extend(policy.accept_data_loss.then(|| "--accept-data-loss".to_owned()));
    words.join(" ")
}
