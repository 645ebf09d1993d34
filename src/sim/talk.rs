//! Who can talk to whom: each side must show a certificate that is valid now, from a CA that the other one's process
//! was started with. What was connected stays connected (docs/etcd.md, "Certificates and streams"). Messages to a
//! member whose own connections are refused are sent to it one by one, on connections that the others open; two such
//! members hear nothing of each other.

use std::collections::{BTreeMap, BTreeSet};

use super::host::{Disk, Process, SimHost};
use super::papers::{Ca, Keys, names, signer, trusted_by};
use super::raft::Live;
use super::world::World;
use crate::inventory::{ClusterId, Desired, DesiredHost, MemberId};
use crate::ops::listening::place;
use crate::ops::model::{Fact, Membership};

impl SimHost {
    /// The CAs that its process knows; those on its disk while none runs.
    fn knows(&self) -> &'static [Ca] {
        let path = self.spec.paths.pki.join("ca.crt");
        let sha256 = match &self.unit.process {
            Some(process) => process.started_with.get(&path).map(String::as_str),
            None => self.files.get(&path).map(|file| file.sha256.as_str()),
        };
        sha256.map_or(&[], trusted_by)
    }

    /// Who signed the certificate that it shows, if that is valid.
    fn shows(&self, file: &str, now: u64) -> Option<Ca> {
        let shown = self.files.get(&self.spec.paths.pki.join(file))?;
        let (ca, end) = signer(&shown.sha256)?;
        (i64::try_from(now).is_ok_and(|now| now < end)).then_some(ca)
    }

    /// Whether its peer certificate names the address at which its peers dial it.
    fn is_named(&self) -> bool {
        let shown = self.files.get(&self.spec.paths.pki.join("peer.crt"));
        let place = place(&self.peer_url().0);
        shown
            .zip(place)
            .is_some_and(|(shown, (address, _))| names(&shown.sha256, &address))
    }

    /// Whether a new handshake between two members succeeds.
    pub fn reaches(&self, other: &SimHost, now: u64) -> bool {
        let accepts = |a: &SimHost, b: &SimHost| {
            b.is_named() && b.shows("peer.crt", now).is_some_and(|ca| a.knows().contains(&ca))
        };
        accepts(self, other) && accepts(other, self)
    }

    /// Whether the others refuse its connections.
    pub fn refused(&self) -> bool {
        self.unit.process.as_ref().is_some_and(|process| process.refused)
    }

    /// Whether the operator's client and the member accept each other.
    pub fn answers(&self, keys: Option<Keys>, now: u64) -> bool {
        keys.is_some_and(|keys| {
            let server = self.shows("server.crt", now);
            server.is_some_and(|ca| keys.trusted().contains(&ca)) && self.knows().contains(&keys.signs)
        })
    }
}

impl World {
    /// A cluster's running members that are in touch with each other.
    pub fn live(&self, cluster: ClusterId) -> BTreeMap<MemberId, Live> {
        let running: Vec<(&SimHost, Disk, &Process)> = self
            .hosts
            .values()
            .filter_map(|host| {
                let (disk, process) = host.live()?;
                // Nobody finds one that listens where the list has it no longer, or not yet.
                let entry = self.clusters.get(&cluster).and_then(|c| c.members.get(&disk.member));
                let found = entry.is_none_or(|member| member.peer_urls.contains(&process.at));
                (disk.cluster == cluster && found).then_some((host, disk, process))
            })
            .collect();
        let refused = running.iter().filter(|(host, ..)| host.refused()).count();
        let all_connected = refused < 2 && running.iter().all(|(_, _, process)| process.ready);
        let hub = match all_connected {
            true => None,
            false => self.hub(cluster, &running),
        };
        running
            .into_iter()
            .filter(|(host, ..)| hub.is_none_or(|hub| self.in_touch(host, hub)))
            .map(|(host, disk, process)| {
                let live = Live {
                    version: process.version,
                    since: process.since,
                    index: disk.index,
                    speed: host.speed,
                };
                (disk.member, live)
            })
            .collect()
    }

    /// What was connected stays so; whoever was not has to be let in.
    fn in_touch(&self, a: &SimHost, b: &SimHost) -> bool {
        let connected = |host: &SimHost| host.unit.process.as_ref().is_some_and(|process| process.ready);
        let deaf = a.refused() && b.refused();
        a.spec.name == b.spec.name || !deaf && ((connected(a) && connected(b)) || a.reaches(b, self.now))
    }

    /// The streams that each member of the inventory which answers tells of.
    pub fn streams(&self, desired: &Desired, membership: &Membership) -> BTreeMap<MemberId, Fact<BTreeSet<MemberId>>> {
        let live = self.live(membership.cluster_id);
        let asked = desired
            .hosts
            .values()
            .filter_map(|spec| Some((spec, self.member_on(spec, membership)?)));
        asked
            .filter(|(_, id)| membership.takes_part(*id))
            .filter_map(|(spec, id)| {
                let refused = self.hosts.get(&spec.name)?.refused();
                let others = live.keys().copied().filter(|other| *other != id && !refused);
                Some((id, Fact::Known(others.collect())))
            })
            .collect()
    }

    /// The member of a host: at the inventory's URL, or else whoever answers there.
    pub fn member_on(&self, spec: &DesiredHost, membership: &Membership) -> Option<MemberId> {
        let answers = || {
            self.hosts
                .get(&spec.name)?
                .disk()
                .filter(|disk| disk.cluster == membership.cluster_id)
        };
        let listed = membership.of(spec).map(|member| member.id);
        let is = |id: &MemberId| membership.members.iter().any(|member| member.id == *id);
        listed.or_else(|| answers().map(|disk| disk.member).filter(is))
    }

    /// The member around which the others gather: the leader, else whoever is in touch with most voters. Nobody gathers
    /// around a learner, which can neither vote nor lead.
    fn hub<'a>(&self, cluster: ClusterId, running: &[(&'a SimHost, Disk, &Process)]) -> Option<&'a SimHost> {
        let agreed = self.clusters.get(&cluster)?;
        let votes = |disk: &Disk| agreed.voters().any(|id| id == disk.member);
        let voters = || running.iter().filter(|(_, disk, _)| votes(disk));
        let leads = voters().find(|(_, disk, _)| Some(disk.member) == agreed.leader);
        let company = |host: &SimHost| voters().filter(|(other, ..)| self.in_touch(host, other)).count();
        let most = || voters().rev().max_by_key(|(host, ..)| company(host));
        leads.or_else(most).map(|(host, ..)| *host)
    }
}
