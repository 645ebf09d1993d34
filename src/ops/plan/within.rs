//! Whether a plan does nothing that was not in another one: what was agreed to some time ago may still be done when less of it
//! is left, or in another order, because a member leads that did not.

use super::step::{Action, HostChange, Plan, ReleaseChange, Risk, Step};

/// Whether everything that `now` does is part of `agreed`: for the same inventory, to the same hosts, at no higher risk. What
/// only looks needs nobody's consent.
pub fn within(now: &Plan, agreed: &Plan) -> bool {
    let same = |plan: &Plan| (plan.header.cluster.clone(), plan.header.desired_digest.clone());
    if same(now) != same(agreed) {
        return false;
    }
    let (mut left, mut open): (Vec<&Step>, Vec<&Step>) = (agreed.steps().collect(), Vec::new());
    // A step that is the same takes its own place, and not that of one that was to do more.
    for step in now.steps().filter(|step| step.risk > Risk::ReadOnly) {
        if !take(&mut left, |other| covers(other, step) && other.action == step.action) {
            open.push(step);
        }
    }
    open.into_iter()
        .all(|step| take(&mut left, |other| covers(other, step)))
}

/// Whether consent to one step is consent to the other.
fn covers(agreed: &Step, now: &Step) -> bool {
    agreed.target == now.target && agreed.risk >= now.risk && is_part_of(&now.action, &agreed.action)
}

/// Takes out the first that is so; says whether there was one.
fn take(steps: &mut Vec<&Step>, is_so: impl Fn(&Step) -> bool) -> bool {
    let found = steps.iter().position(|step| is_so(step));
    if let Some(at) = found {
        steps.swap_remove(at);
    }
    found.is_some()
}

fn is_part_of(now: &Action, agreed: &Action) -> bool {
    match (now, agreed) {
        (Action::Provision { change: now }, Action::Provision { change: agreed }) => installs_no_more(now, agreed),
        (
            Action::Restart { change, url, turn },
            Action::Restart {
                change: agreed,
                url: to,
                turn: noted,
            },
        ) => url == to && turn == noted && installs_no_more(change, agreed),
        _ => now == agreed,
    }
}

fn installs_no_more(now: &HostChange, agreed: &HostChange) -> bool {
    let HostChange {
        release,
        files,
        certificates,
        also_named,
        trust,
        crl,
        ownership,
        marker,
        enable,
    } = now;
    let same_release = |release: &ReleaseChange| {
        let Some(agreed) = &agreed.release else { return false };
        let mut missing = release.sha256.iter();
        (release.version, release.arch) == (agreed.version, agreed.arch)
            && missing.all(|(name, sha256)| agreed.sha256.get(name) == Some(sha256))
    };
    release.as_ref().is_none_or(same_release)
        && files.iter().all(|file| agreed.files.contains(file))
        && ownership.iter().all(|path| agreed.ownership.contains(path))
        && (trust.is_none() || *trust == agreed.trust)
        && (marker.is_none() || *marker == agreed.marker)
        && (!certificates || agreed.certificates)
        && *also_named == agreed.also_named
        && (!crl || agreed.crl)
        && (!enable || agreed.enable)
}
