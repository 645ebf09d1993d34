//! `destroy`: the end of a cluster.

use std::collections::BTreeSet;

use super::args::{Destroy, Global};
use super::converge::{Parts, bring_about};
use super::error::{Exit, Failure};
use super::rest::{note, whole};
use super::session::Session;
use crate::inventory::ServiceManager;
use crate::ops::destroy::DestroyOrder;
use crate::ops::model::Intent;
use crate::ops::rest::Purpose;

/// Takes a last backup, stops every member, moves its data aside and removes what quorate installed.
///
/// # Errors
/// See the exit codes. Interrupted anywhere, the same command finishes it.
pub async fn destroy(global: &Global, args: &Destroy) -> Result<Exit, Failure> {
    let mut session = whole(global)?;
    for name in &args.without {
        session.spec(name)?;
    }
    // The cluster's name is the only consent: `--yes` was given to everything, this to one.
    session.global.yes = is_named(&session, args)?;
    let order = DestroyOrder {
        note: note(Purpose::End),
        without: args.without.clone(),
        wipe: args.wipe,
    };
    let intent = Intent::Destroy(Box::new(order));
    let changed = bring_about(&session, Parts::without_bundle(&session), &intent, None).await?;
    if changed > 0 {
        stays(&session, args);
    }
    session.finish(true, changed, summary(&session, args, changed));
    Ok(Exit::Done)
}

/// Whether the name was passed.
///
/// # Errors
/// When it is another one.
fn is_named(session: &Session, args: &Destroy) -> Result<bool, Failure> {
    let cluster = &session.desired().cluster;
    match &args.name {
        None => Ok(false),
        Some(name) if name == cluster => Ok(true),
        Some(name) => Err(Failure::new(
            Exit::Usage,
            format!("this inventory is of the cluster {cluster}, not of {name}"),
        )
        .hint("pass the inventory of the cluster to destroy with `-i FILE`")),
    }
}

/// What is still there, on the hosts and here.
fn stays(session: &Session, args: &Destroy) {
    let hosts = session.desired().hosts.values();
    let hosts: Vec<_> = hosts.filter(|host| !args.without.contains(&host.name)).collect();
    let bins: BTreeSet<&str> = hosts.iter().map(|host| host.paths.bin.as_str()).collect();
    let users: BTreeSet<&str> = hosts
        .iter()
        .filter(|host| host.service_manager == ServiceManager::Systemd)
        .map(|host| host.user.as_str())
        .collect();
    let list = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(", ");
    let account = match users.is_empty() {
        true => String::new(),
        false => format!(", and the account {}", list(users)),
    };
    session.note(&format!(
        "what stays on the hosts: the etcd releases in {}{account}",
        list(bins)
    ));
    let places: BTreeSet<String> = hosts
        .iter()
        .flat_map(|host| std::iter::once(host.paths.data_aside()).chain(host.paths.wal_aside()))
        .map(|path| path.to_string())
        .collect();
    let places = places.into_iter().collect::<Vec<_>>().join(", ");
    session.note(&match args.wipe {
        true => format!("data that was moved aside earlier stays, too, in {places}"),
        false => format!("the data was moved aside to {places} (on a mount point, to `.quorate-aside` in it): delete it when nobody needs it"),
    });
    let mut here = format!(
        "what stays here: {}, the CA and its key in {}",
        session.loaded.path.display(),
        session.desired().pki.dir.display()
    );
    if !session.global.no_snapshot {
        here += ", and the backups in backups/";
    }
    session.note(&here);
    if session.desired().backup.is_some() {
        session.note("scheduled backups that were taken elsewhere stay there");
    }
    session.note("client certificates of this CA stay valid until they expire");
}

fn summary(session: &Session, args: &Destroy, changed: usize) -> String {
    let cluster = &session.desired().cluster;
    let left: Vec<&str> = args.without.iter().map(|name| name.as_str()).collect();
    match (left.is_empty(), changed) {
        (true, 0) => format!("nothing is left of {cluster} on its hosts: nothing to do"),
        (true, _) => format!("{cluster} is destroyed"),
        (false, _) => format!(
            "{cluster} is destroyed, except on {}: run `quorate destroy` again when it is back, or remove it from the inventory first if it is \
             gone for good",
            left.join(", ")
        ),
    }
}
