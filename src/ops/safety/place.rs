//! Who lives on a host is told by what runs and by what lies there, not by what the inventory calls it today. What is
//! absent at the place that the inventory names now is not lost while it is at the one that it named before.

use super::bootstrap::Marker;
use super::{Blocked, Rule};
use crate::host::{DataState, HostFacts, MemberUnit};
use crate::inventory::{Desired, DesiredHost, ServiceManager};
use crate::ops::last_resort::LastResort;
use crate::render::{option_in, unit_path};

/// Does the member have its data, its log and its ports where the inventory has them?
///
/// # Errors
/// Where they are instead; the way out is the entry that was there before, which costs nothing.
pub fn in_its_place(host: &DesiredHost, facts: &HostFacts) -> Result<(), Blocked> {
    let elsewhere = &facts.data.elsewhere;
    let told_by = match facts.service.pid {
        Some(_) => "its member runs",
        None => "its configuration on the host says that its member runs",
    };
    if let Some(data) = &elsewhere.data {
        return Err(moved(
            host,
            format!(
                "{told_by} with its data in {data}, but the inventory has {}: nothing is lost, and nothing was moved",
                host.paths.data
            ),
            format!("`paths.data: {data}`"),
        ));
    }
    if let Some(log) = &elsewhere.log {
        let own = host.paths.data.join("member").join("wal");
        let wanted = host.paths.wal.as_ref().map_or(own.clone(), |wal| wal.join("wal"));
        let entry = match log.strip_suffix("/wal") {
            _ if *log == own.to_string() => "the entry without `paths.wal`".to_owned(),
            Some(wal) => format!("`paths.wal: {wal}`"),
            None => format!("the `paths.wal` that gave {log}"),
        };
        return Err(moved(
            host,
            format!(
                "{told_by} with its write-ahead log in {log}, but the inventory has {wanted}: nothing is lost, and nothing was moved"
            ),
            entry,
        ));
    }
    Ok(())
}

/// Does the member run under the unit, and as the account, of the inventory? Under another unit a second member would be
/// made beside it; as another account it cannot read its data and its keys.
///
/// # Errors
/// What it was; the way out is the entry that was there before.
pub fn runs_as_before(desired: &Desired, host: &DesiredHost, facts: &HostFacts) -> Result<(), Blocked> {
    let theirs = |unit: &&MemberUnit| unit.member == host.name.as_str() && unit.cluster == desired.cluster.as_str();
    let systemd = host.service_manager == ServiceManager::Systemd;
    let other = facts.system.member_units.iter().filter(theirs);
    if let Some(unit) = other
        .into_iter()
        .find(|unit| !systemd || unit.service != host.service.as_str())
    {
        let entry = match systemd {
            true => format!("`service: {}`", unit.service),
            false => "`service_manager: systemd`".to_owned(),
        };
        let has = match systemd {
            true => format!("`service: {}`", host.service),
            false => "`service_manager: process`".to_owned(),
        };
        let reason = format!(
            "its member is run by the unit {}, but the inventory has {has}",
            unit.service
        );
        return Err(moved(host, reason, entry));
    }
    let was = account_of(host, facts);
    let member = facts.data.state == DataState::Bootstrapped;
    match was.filter(|was| member && *was != host.user.as_str()) {
        Some(was) => Err(moved(
            host,
            format!(
                "its member runs as {was}, which its data belongs to, but the inventory has `user: {}`",
                host.user
            ),
            format!("`user: {was}`"),
        )),
        None => Ok(()),
    }
}

/// The account that the unit on the host runs etcd as, and that its keys are for.
pub fn account_of<'a>(host: &DesiredHost, facts: &'a HostFacts) -> Option<&'a str> {
    let unit = facts.files.get(&unit_path(&host.service));
    let unit = unit
        .filter(|_| host.service_manager == ServiceManager::Systemd)?
        .content
        .as_deref()?;
    unit.lines().find_map(|line| line.strip_prefix("User="))
}

/// A member that cannot be asked at the address and ports of the inventory may well live at those that it was started
/// with.
///
/// # Errors
/// Where it listens, when that is not where the inventory has it.
pub fn reached_where_it_listens(host: &DesiredHost, facts: &HostFacts) -> Result<(), Blocked> {
    let complete = Marker::on(facts).is_some_and(|marker| marker.complete);
    let config = facts
        .files
        .get(&host.paths.config)
        .and_then(|file| file.content.as_deref());
    let Some(config) = config.filter(|_| complete && facts.data.state == DataState::Bootstrapped) else {
        return Ok(());
    };
    let told = |key: &str| option_in(config, key)?.as_str().map(str::to_owned);
    for (key, wanted, entry) in [
        (
            "initial-advertise-peer-urls",
            host.peer_url().0,
            "`address` and `peer_port`",
        ),
        (
            "advertise-client-urls",
            host.client_url(),
            "`address` and `client_port`",
        ),
    ] {
        if let Some(told) = told(key).filter(|told| !told.split(',').any(|url| url == wanted)) {
            let reason =
                format!("no member answers, and this one was started for {told}, but the inventory has it at {wanted}");
            let hint = format!(
                "put {entry} back that result in {told}, and start the members with them (`quorate up`); members that run \
                 get other addresses and ports by `quorate up`, one after the other. If the host has lost that address, \
                 give it to the host once more, beside the new one, until they have moved"
            );
            return Err(Blocked::new(Rule::Inventory, reason, hint).on(&host.name));
        }
    }
    Ok(())
}

fn lives_at_its_address(host: &DesiredHost, urls: &str) -> bool {
    urls.contains(&format!("//{}:", host.address)) || urls.contains(&format!("//[{}]:", host.address))
}

/// The refusal for a member that its cluster knows at `urls`, and the inventory elsewhere.
pub fn at_another_url(host: &DesiredHost, urls: &str, reason: String) -> Blocked {
    if lives_at_its_address(host, urls) {
        return moved(host, reason, format!("the `peer_port` of {urls}"));
    }
    let hint = "put the old address back";
    Blocked::new(Rule::Inventory, reason, hint)
        .or(LastResort::at_a_new_address(&host.name, &host.address))
        .on(&host.name)
}

fn moved(host: &DesiredHost, reason: String, entry: String) -> Blocked {
    let hint = format!(
        "put {entry} back into the inventory for {0}. To change it, replace the member while the others are a quorum: with \
         the old entry, `quorate remove-node {0}`; then add {0} again with the new values, and `quorate up`",
        host.name
    );
    Blocked::new(Rule::Inventory, reason, hint).on(&host.name)
}

/// Is the host called what its member is called? To etcd a name is a label only; certificates, notes and configurations
/// that quorate has made carry it.
///
/// # Errors
/// What it was called: nothing there is anybody else's, and nothing is to be moved.
pub fn called_as_before(desired: &Desired, host: &DesiredHost, marker: &Marker) -> Result<(), Blocked> {
    if marker.cluster != desired.cluster || marker.member == host.name {
        return Ok(());
    }
    let was = &marker.member;
    let other = desired
        .hosts
        .get(was)
        .map(|other| format!("; in the inventory, {was} is now the host at {}", other.address));
    Err(Blocked::new(
        Rule::ForeignData,
        format!(
            "the host at {} has the member {was} of this same cluster{}",
            host.address,
            other.unwrap_or_default()
        ),
        format!(
            "put the names back: the host at {} is {was}. Members cannot be renamed, and nothing on the hosts needs to be moved",
            host.address
        ),
    )
    .on(&host.name))
}

/// The way out where data lies in the way of a member. They are moved away only by whoever knows that no cluster, this one
/// or another, has that member any more; never under a process.
pub fn in_the_way(host: &DesiredHost, facts: &HostFacts) -> String {
    let path = &host.paths.data;
    if facts.service.pid.is_some() || !facts.system.other_etcd.is_empty() {
        return format!(
            "an etcd runs there: leave it and its data alone, and give this cluster other `paths`, ports and `service` on \
             {}, or another host",
            host.name
        );
    }
    if facts.data.state == DataState::Bootstrapped {
        return format!(
            "it may be a member that is only stopped: give this cluster another `paths.data`. Only if no cluster lists that member any more (check the cluster's member list, not this \
             host): `mv {path} {path}.old`"
        );
    }
    format!(
        "check it; if a disk is not mounted, mount it first. If what is there is not needed, `mv {path} {path}.old`; otherwise give this cluster another `paths.data`"
    )
}

/// The way out for a member whose data, or log, are not where they belong: `what` is missing.
pub fn mount_first(host: &DesiredHost, facts: &HostFacts, what: &str) -> (String, Option<LastResort>) {
    let unmounted = &facts.data.elsewhere.unmounted;
    if !unmounted.is_empty() {
        let mounts: Vec<String> = unmounted.iter().map(|point| format!("`mount {point}`")).collect();
        let hint = format!(
            "/etc/fstab has a disk for {} that is not mounted. Mount it first, on {}: {}; then `quorate up`",
            unmounted.join(", "),
            host.name,
            mounts.join(", ")
        );
        return (hint, None);
    }
    let hint = format!(
        "do not start it like this: it would have lost its votes. If {what} is on a disk that is not mounted, mount it and run `quorate \
         up`"
    );
    (hint, Some(LastResort::joins_afresh(&host.name)))
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
