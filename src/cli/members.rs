//! `restart`, `add-node`, `remove-node`, `replace-node`, `ok-to-stop`: members come, go, and rest.

use jiff::Timestamp;

use super::args::{AddNode, Global, OkToStop, RemoveNode, ReplaceNode};
use super::converge::{Parts, bring_about};
use super::draft::{self, When};
use super::error::{Exit, Failure};
use super::session::Session;
use super::trust;
use crate::inventory::edit::{self, HostEntry};
use crate::inventory::{Address, DesiredHost, NodeName, leaf};
use crate::ops::check::Look;
use crate::ops::model::{Fact, Intent, Membership, Observed, why_and_help};
use crate::ops::observe::look_again;
use crate::ops::plan::count;
use crate::ops::rest::RestNote;
use crate::ops::safety::bootstrap::one_cluster;
use crate::ops::safety::marks::are_known;
use crate::ops::safety::quorum::{Strength, may_stop, quorum};
use crate::ops::safety::rest::{bring_back, not_stopped};
use crate::ops::safety::restore::no_restore_under_way;
use crate::ops::safety::streams::others_connected;
use crate::ops::safety::{Blocked, Rule};
use crate::ops::sight::{Health, MEND, Sight};
use crate::report::print::{data, say};

/// `restart`: every member, or those of `--limit`, one by one.
///
/// # Errors
/// See the exit codes.
pub async fn restart(global: &Global, all: bool) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let intent = Intent::Restart {
        limit: global.limit.clone(),
        begun: global.part.as_ref().map_or_else(Timestamp::now, |part| part.begun()),
        afresh: all,
    };
    let changed = bring_about(&session, Parts::of(&session)?, &intent, None).await?;
    session.finish(true, changed, format!("{} restarted", count(changed, "member")));
    Ok(Exit::Done)
}

/// `add-node`: into the inventory, then into the cluster.
///
/// # Errors
/// See the exit codes. The inventory stays as it was unless the plan was agreed on.
pub async fn add(global: &Global, args: &AddNode) -> Result<Exit, Failure> {
    let mut session = Session::open(global)?;
    session.may_change().await?;
    newcomer(
        &mut session,
        &args.node,
        args.address.as_ref(),
        args.ssh_host.as_deref(),
    )
    .await?;
    let intent = Intent::Converge {
        prune: false,
        limit: vec![args.node.clone()],
    };
    let changed = bring_about(&session, Parts::of(&session)?, &intent, None).await?;
    draft::done(&session)?;
    let summary = match changed {
        0 => format!("{} is already a member: nothing to do", args.node),
        _ => format!("{} is a voting member of {}", args.node, session.desired().cluster),
    };
    session.finish(true, changed, summary);
    Ok(Exit::Done)
}

/// `remove-node`: out of the cluster, then out of the inventory.
///
/// # Errors
/// See the exit codes.
pub async fn remove(global: &Global, args: &RemoveNode) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    if !args.unlisted {
        session.spec(&args.node)?;
    }
    let listed = session.desired().hosts.contains_key(&args.node);
    if listed {
        // Worked out first: an inventory that cannot be edited is no surprise for afterwards.
        let text = &session.loaded.text;
        let after = edit::remove_host(text, &args.node)?;
        draft::read(&session.loaded.path, &after)?;
        draft::keep(&session, text, after, When::Done);
    }
    let intent = Intent::Remove {
        node: args.node.clone(),
        wipe: args.wipe,
    };
    let changed = bring_about(&session, Parts::of(&session)?, &intent, None).await?;
    let left = format!("{} has left {}", args.node, session.desired().cluster);
    if listed {
        draft::done(&session)?;
        session.finish(true, changed, format!("{left} and was removed from the inventory"));
    } else {
        session.finish(true, changed, format!("{left}; it was not in the inventory"));
    }
    Ok(Exit::Done)
}

/// `replace-node`: the old one out, the new one in, in the cluster and in the inventory.
///
/// # Errors
/// See the exit codes.
pub async fn replace(global: &Global, args: &ReplaceNode) -> Result<Exit, Failure> {
    let mut session = Session::open(global)?;
    session.may_change().await?;
    let original = session.loaded.text.clone();
    if args.old == args.new && !session.desired().hosts.contains_key(&args.new) {
        // One that left while its host was down, and still has its data there.
        newcomer(&mut session, &args.new, args.address.as_ref(), args.ssh_host.as_deref()).await?;
    }
    let old = session.spec(&args.old)?.clone();
    if args.old != args.new {
        // Both are hosts while it lasts.
        let entered = enter(&mut session, &args.new, args.address.as_ref(), args.ssh_host.as_deref())?;
        let after = match entered {
            Entered::New { .. } => edit::replace_host(&original, &args.old, &entry(&session, args)?)?,
            Entered::Already => edit::remove_host(&original, &args.old)?,
        };
        draft::read(&session.loaded.path, &after)?;
        draft::keep(&session, &original, after, When::Done);
        trust::trust_host(&session, session.spec(&args.new)?).await?;
    } else if args.address.as_ref().is_some_and(|address| *address != old.address) {
        return Err(Failure::new(
            Exit::Usage,
            format!("{} has the address {} in the inventory", old.name, old.address),
        )
        .hint("a member at another address is a different member: give it a new name"));
    }
    let intent = Intent::Replace {
        old: args.old.clone(),
        new: args.new.clone(),
    };
    let changed = bring_about(&session, Parts::of(&session)?, &intent, None).await?;
    draft::done(&session)?;
    let new = session.spec(&args.new)?;
    let summary = match args.old == args.new {
        true => format!("{} has joined again", args.new),
        false => format!("{} has taken the place of {}", args.new, args.old),
    };
    if old.client_url() == new.client_url() {
        session.finish(true, changed, format!("{summary}; client endpoints stay as they are"));
    } else {
        session.finish(
            true,
            changed,
            format!(
                "{summary}; update the clients: {} is now {}",
                old.client_url(),
                new.client_url()
            ),
        );
    }
    Ok(Exit::Done)
}

/// `ok-to-stop`: whether a host may be rebooted now, in plain words and as an exit code.
///
/// # Errors
/// When the inventory cannot be read or the CA not be opened.
pub async fn ok_to_stop(global: &Global, args: &OkToStop) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let spec = session.spec(&args.node)?;
    let (fleet, vault) = (session.fleet(), session.vault());
    let mut seen = session.look(&fleet, &vault).await?;
    if seen.cluster.known().is_some() {
        let streams = Look {
            streams: true,
            ..Look::at_the_cluster()
        };
        seen = look_again(&fleet, vault.viewer_past_expiry().await?.tls(), &seen, &streams).await;
    }
    let sight = Sight::of(session.desired(), &seen);
    are_known(session.desired(), &seen.hosts)?;
    let open = no_restore_under_way(session.desired(), &seen.hosts)
        .and_then(|()| not_stopped(session.desired(), &seen.hosts))
        .and_then(|()| one_cluster(&seen));
    let verdict = match (open, &seen.cluster) {
        (Err(refusal), _) => Err(refusal),
        (Ok(()), Fact::Known(membership)) => verdict(&session, &seen, membership, spec),
        (Ok(()), Fact::Absent) => Ok(format!("{} may be stopped: there is no cluster yet", spec.name)),
        (Ok(()), Fact::Unknown(why)) => Err(unread(&sight, why)),
    };
    let verdict = verdict.map_err(|refusal| {
        let refusals = sight.complete(vec![refusal]);
        bring_back(session.desired(), &seen, None, refusals).remove(0)
    });
    let exit = match &verdict {
        Ok(_) => Exit::Done,
        Err(refusal) if refusal.rule == Rule::Unreachable => Exit::Unreachable,
        Err(_) => Exit::Blocked,
    };
    if session.json() {
        let (reason, hint) = match &verdict {
            Ok(reason) => (reason, None),
            Err(refusal) => (&refusal.reason, Some(&refusal.hint)),
        };
        let unknown = exit == Exit::Unreachable;
        data(
            &serde_json::json!({"node": spec.name, "ok": verdict.is_ok(), "unknown": unknown, "reason": reason, "hint": hint})
                .to_string(),
        );
        return Ok(exit);
    }
    match verdict {
        Ok(reason) => {
            say!("{reason}");
            Ok(exit)
        }
        Err(Blocked { reason, hint, .. }) => Err(Failure::new(
            exit,
            match exit {
                Exit::Unreachable => format!("cannot tell whether {} may be stopped: {reason}", spec.name),
                _ => format!("{} must not be stopped now: {reason}", spec.name),
            },
        )
        .hint(hint)),
    }
}

/// Nobody stands behind a member list, or nobody could be asked for it.
fn unread(sight: &Sight, why: &str) -> Blocked {
    let dark = sight.blind().next().and_then(|(_, unknown)| why_and_help(unknown).1);
    let to_blame = sight.is_to_blame(why);
    let (why, help) = why_and_help(why);
    let first = sight
        .blind()
        .next()
        .map(|(name, unknown)| (name, why_and_help(unknown).0));
    let first = first.map(|(name, why)| format!(" ({name}: {why})")).unwrap_or_default();
    let (rule, hint) = match to_blame {
        true => (Rule::Unreachable, dark.or(help).unwrap_or(MEND)),
        false => (
            Rule::Unknown,
            "see `quorate status`, and start members that are down with `quorate up`",
        ),
    };
    Blocked::new(rule, format!("the cluster could not be read: {why}{first}"), hint)
}

fn verdict(session: &Session, seen: &Observed, membership: &Membership, spec: &DesiredHost) -> Result<String, Blocked> {
    let name = &spec.name;
    let Some(member) = membership.of(spec) else {
        // The inventory may have another address or port for it than the one that it lives at.
        let namesake = membership.members.iter().any(|m| m.name == name.as_str());
        if namesake || seen.runs(name) {
            return Err(Blocked::new(
                Rule::Inventory,
                format!(
                    "the cluster has no member at {}, but a member with this name, or on this host, is running",
                    spec.peer_url()
                ),
                format!(
                    "`quorate plan` shows where; put the previous address, port or name of {name} back into the inventory"
                ),
            ));
        }
        return Ok(format!("{name} may be stopped: it is not a member of the cluster"));
    };
    may_stop(membership, member.id, session.policy())
        .and_then(|()| others_connected(membership, member.id, session.policy()))?;
    let now = Strength::of(membership);
    if member.learner {
        return Ok(format!("{name} may be stopped: it is a learner and has no vote"));
    }
    if let (Health::Unknown, Some(why)) = (membership.health(member.id), membership.in_the_dark(member.id)) {
        return Ok(format!(
            "{name} may be stopped: {} of {} voters remain without it, and quorum needs {}. Its own state is unknown: \
             {why}",
            now.healthy,
            now.voters,
            quorum(now.voters)
        ));
    }
    if let Some(note) = maintained(spec, seen) {
        return Ok(format!(
            "{name} is stopped for maintenance {}; `quorate maintain {name} --done` starts it again",
            note.told()
        ));
    }
    if !membership.healthy(member.id) {
        return Ok(format!(
            "{name} may be stopped: it is already down, and {} of {} voters remain",
            now.healthy, now.voters
        ));
    }
    let leads = if membership.leader() == Some(member.id) {
        " It is the leader: a plain reboot would cost one election."
    } else {
        ""
    };
    Ok(format!(
        "{name} may be stopped: {} of {} voters remain, and quorum needs {}.{leads} `quorate maintain {name}` transfers \
         leadership, stops it, and starts it again when you are done.",
        now.one_down().healthy,
        now.voters,
        quorum(now.voters)
    ))
}

fn maintained(spec: &DesiredHost, seen: &Observed) -> Option<RestNote> {
    RestNote::in_force(spec, seen.hosts.get(&spec.name).and_then(Fact::known)?)
}

/// Whether a host was in the inventory before.
enum Entered {
    Already,
    New { before: String },
}

/// A host that joins: it is entered, which the file shows once the plan is agreed on, and its key is looked at.
async fn newcomer(
    session: &mut Session,
    name: &NodeName,
    address: Option<&Address>,
    ssh_host: Option<&str>,
) -> Result<(), Failure> {
    if let Entered::New { before } = enter(session, name, address, ssh_host)? {
        let after = session.loaded.text.clone();
        draft::keep(session, &before, after, When::Agreed);
        trust::trust_host(session, session.spec(name)?).await?;
    }
    Ok(())
}

/// Makes sure that the session's inventory has this host; the file is not touched.
fn enter(
    session: &mut Session,
    name: &NodeName,
    address: Option<&Address>,
    ssh_host: Option<&str>,
) -> Result<Entered, Failure> {
    if let Some(there) = session.desired().hosts.get(name) {
        if let Some(other) = address.filter(|a| **a != there.address) {
            return Err(Failure::new(
                Exit::Usage,
                format!(
                    "the inventory already has a host `{name}`, at {} instead of {other}",
                    there.address
                ),
            )
            .hint("choose another name, or omit --address to join the host that is there"));
        }
        return Ok(Entered::Already);
    }
    let Some(address) = address else {
        let near = leaf::nearest(name.as_str(), session.desired().order.iter().map(NodeName::as_str));
        let hint = match near {
            Some(near) => format!("did you mean `{near}`? A new host needs its address: `--address ADDRESS`"),
            None => "pass its address: `--address ADDRESS`".to_owned(),
        };
        return Err(Failure::new(Exit::Usage, format!("the inventory has no host `{name}`")).hint(hint));
    };
    if let Some(taken) = session.desired().hosts.values().find(|h| h.address == *address) {
        return Err(Failure::new(
            Exit::Usage,
            format!("{address} is already the address of `{}`", taken.name),
        )
        .hint(
            "every member needs its own address; members that share one need different ports, set in the inventory",
        ));
    }
    let before = session.loaded.text.clone();
    let host = HostEntry {
        name: name.clone(),
        address: address.clone(),
        ssh_host: ssh_host.map(str::to_owned),
    };
    session.read_as(&edit::add_host(&before, &host)?)?;
    Ok(Entered::New { before })
}

fn entry(session: &Session, args: &ReplaceNode) -> Result<HostEntry, Failure> {
    Ok(HostEntry {
        name: args.new.clone(),
        address: session.spec(&args.new)?.address.clone(),
        ssh_host: args.ssh_host.clone(),
    })
}
