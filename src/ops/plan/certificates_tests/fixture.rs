//! Three members and an operator's pki directory, as data; and what each step does to them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::etcd::{Header, Member, MemberStatus};
use crate::host::{DataFacts, DataState, FileFacts, HostFacts, ServiceFacts, ServiceState, SystemFacts};
use crate::inventory::{ClusterId, Desired, HostPath, KeyType, MemberId, NodeName, Version, samples};
use crate::ops::model::{Fact, Intent, Membership, NextCa, Observed, Policy, Supplies};
use crate::ops::plan::{Action, AuthorityTurn, HostChange, Plan, Step, Target, plan};
use crate::ops::safety::Blocked;
use crate::ops::safety::bootstrap::Marker;
use crate::pki::{
    Authority, Certificate, FileContent, IssuedRecord, Stage, bundle_pem, client_spec, host_files, peer_spec,
    server_spec,
};
use crate::render::unit_path;

pub const DAY: Duration = Duration::from_secs(86_400);
const VERSION: Version = Version::new(3, 5, 30);

pub fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// Everything a plan is made from, and the two CAs.
pub struct World {
    pub desired: Desired,
    pub seen: Observed,
    pub policy: Policy,
    pub clients: Vec<IssuedRecord>,
    pub at: Timestamp,
    pub old: Authority,
    pub new: Authority,
    /// The operator's `ca.crt`, the one that signs first; and how far a rotation has come there.
    pub trusted: Vec<Certificate>,
    pub stage: Option<Stage>,
    /// The cluster was taken over without the old CA's key; with it, and with clients that are not known here.
    pub keyless: bool,
    pub issued_elsewhere: bool,
    /// What each running process was started with: the CAs that it really trusts.
    pub loaded: BTreeMap<NodeName, Vec<Certificate>>,
    pub restarts: usize,
}

impl World {
    /// A healthy cluster of `n` members with certificates of the old CA.
    pub fn healthy(n: usize) -> World {
        let hosts: Vec<_> = (1..=n)
            .map(|i| samples::host(&format!("etcd-{i}"), &format!("10.0.0.{i}")))
            .collect();
        let desired = samples::cluster_of(VERSION, hosts);
        let make = || Authority::create(&desired.cluster, &desired.pki, now() - DAY).unwrap();
        let (old, new) = (make(), make());
        let mut world = World {
            seen: Observed {
                at: now(),
                hosts: BTreeMap::new(),
                cluster: Fact::Known(membership(&desired)),
                auth: Fact::Absent,
                clients: BTreeMap::new(),
                replays: BTreeMap::new(),
            },
            policy: Policy::default(),
            clients: Vec::new(),
            at: now(),
            trusted: vec![old.certificate().clone()],
            stage: None,
            keyless: false,
            issued_elsewhere: false,
            loaded: BTreeMap::new(),
            restarts: 0,
            desired,
            old,
            new,
        };
        for node in world.desired.order.clone() {
            let marker = Marker {
                cluster: world.desired.cluster.clone(),
                cluster_id: membership(&world.desired).cluster_id,
                member: node.clone(),
                complete: true,
            };
            world.seen.hosts.insert(node.clone(), Fact::Known(facts(&marker)));
            world.put_what_etcd_starts_from(&node);
            world.put_certificates(&node);
            world.restart(&node);
        }
        world.restarts = 0;
        world
    }

    pub fn facts(&mut self, node: &str) -> &mut HostFacts {
        match self.seen.hosts.get_mut(&node.parse::<NodeName>().unwrap()) {
            Some(Fact::Known(facts)) => facts,
            other => panic!("{node} is {other:?}"),
        }
    }

    pub fn lose(&mut self, node: &str) {
        let why = Fact::Unknown("no route".into());
        self.seen.hosts.insert(node.parse().unwrap(), why);
    }

    /// A client certificate as `pki issue` records it.
    pub fn issued_by(&self, ca: &Authority, name: &str) -> IssuedRecord {
        let spec = client_spec(name, DAY, KeyType::EcdsaP256).unwrap();
        IssuedRecord::of(name, &ca.issue(&spec, now()).unwrap().facts, ca.certificate().facts())
    }

    pub fn supplies(&self) -> Supplies {
        Supplies {
            releases: BTreeMap::new(),
            ca_pem: (!self.trusted.is_empty()).then(|| bundle_pem(&self.trusted)),
            next_ca: self.stage.map(|stage| NextCa {
                stage,
                new: sha(self.new.certificate()),
                old: sha(self.old.certificate()),
                issued_elsewhere: self.issued_elsewhere,
            }),
            clients: self.clients.clone(),
            crl: None,
            keyless: self.keyless,
        }
    }

    pub fn plan(&self, intent: &Intent) -> Result<Plan, Vec<Blocked>> {
        let supplies = self.supplies();
        let seen = Observed {
            at: self.at,
            ..self.seen.clone()
        };
        plan(intent, &self.desired, &seen, self.policy, &supplies)
    }

    fn signer(&self) -> &Authority {
        match self.trusted.first() == Some(self.old.certificate()) {
            true => &self.old,
            false => &self.new,
        }
    }

    /// Does what a step says; what it requires must hold right before it.
    pub fn perform(&mut self, step: &Step) {
        for check in &step.requires {
            assert!(check.eval(&self.seen).holds(), "{}: {check:?}", step.id);
        }
        match (&step.action, &step.target) {
            (Action::RotateAuthority { turn }, _) => self.turn(*turn),
            (Action::Provision { change }, Target::Node(node)) => self.put(node, change),
            (Action::Restart { change, .. }, Target::Node(node)) => {
                self.put(node, change);
                self.restart(node);
            }
            (Action::Start, Target::Node(node)) => self.restart(node),
            (Action::LookAgain { .. }, _) => {}
            (action, target) => panic!("{action:?} on {target:?}"),
        }
        for check in &step.ensures {
            assert!(check.eval(&self.seen).holds(), "{}: {check:?}", step.id);
        }
    }

    /// Puts a change in place without restarting anything: as far as a run gets that is killed in between.
    pub fn put(&mut self, node: &NodeName, change: &HostChange) {
        if change.certificates {
            self.put_certificates(node);
        }
        if let Some(ca) = &change.trust {
            let facts = public(&ca.text);
            self.facts(node.as_str()).files.insert(ca.path.clone(), facts);
        }
    }

    fn put_what_etcd_starts_from(&mut self, node: &NodeName) {
        let host = &self.desired.hosts[node];
        let files = [host.paths.config.clone(), unit_path(&host.service)];
        let facts = self.facts(node.as_str());
        facts
            .files
            .extend(files.map(|path| (path, public("as quorate wrote it"))));
        facts.releases.insert(VERSION, BTreeMap::new());
    }

    pub fn put_certificates(&mut self, node: &NodeName) {
        let host = &self.desired.hosts[node];
        let server = self.signer().issue(&server_spec(&self.desired, host), self.at).unwrap();
        let peer = self.signer().issue(&peer_spec(&self.desired, host), self.at).unwrap();
        let files: Vec<(HostPath, FileFacts)> = host_files(&self.trusted, &server, &peer)
            .into_iter()
            .map(|file| {
                let facts = match &file.content {
                    FileContent::Public(text) => public(text),
                    FileContent::Secret(_) => FileFacts {
                        content: None,
                        mode: 0o600,
                        ..public("a key")
                    },
                };
                (host.paths.pki.join(file.name), facts)
            })
            .collect();
        self.facts(node.as_str()).files.extend(files);
    }

    fn restart(&mut self, node: &NodeName) {
        let path = self.desired.hosts[node].paths.pki.join("ca.crt");
        let facts = self.facts(node.as_str());
        let ca = facts.files[&path].clone();
        facts.service.state = ServiceState::Running;
        facts.service.pid = Some(7);
        facts.service.started_with.insert(path, ca.sha256);
        let cas = Certificate::bundle_from_pem(&ca.content.unwrap()).unwrap();
        self.loaded.insert(node.clone(), cas);
        self.restarts += 1;
    }

    fn turn(&mut self, turn: AuthorityTurn) {
        let (old, new) = (self.old.certificate().clone(), self.new.certificate().clone());
        (self.trusted, self.stage) = match turn {
            AuthorityTurn::Prepare => (vec![old, new], Some(Stage::TrustBoth)),
            AuthorityTurn::Switch => (vec![new, old], Some(Stage::Reissue)),
            AuthorityTurn::Retire | AuthorityTurn::Disown => (vec![new], None),
        };
    }

    /// Every member takes the certificates that every other one shows now.
    pub fn everybody_talks(&self) -> bool {
        let shown = self.desired.hosts.values().flat_map(|host| {
            let Some(Fact::Known(facts)) = self.seen.hosts.get(&host.name) else {
                return Vec::new();
            };
            let leaf = |name: &str| {
                let text = facts.files[&host.paths.pki.join(name)].content.clone();
                Certificate::from_pem(&text.unwrap()).unwrap()
            };
            vec![leaf("server.crt"), leaf("peer.crt")]
        });
        let shown: Vec<Certificate> = shown.collect();
        self.loaded
            .values()
            .all(|cas| shown.iter().all(|leaf| cas.iter().any(|ca| leaf.is_issued_by(ca))))
    }

    /// The CAs that anybody still trusts, on disk or in a process.
    pub fn known_anywhere(&self) -> BTreeSet<String> {
        let loaded = self.loaded.values().flatten().map(sha);
        loaded.chain(self.trusted.iter().map(sha)).collect()
    }
}

pub fn sha(certificate: &Certificate) -> String {
    certificate.facts().sha256.clone()
}

fn public(text: &str) -> FileFacts {
    FileFacts {
        sha256: hex::encode(Sha256::digest(text)),
        mode: 0o644,
        owner: "etcd".into(),
        content: Some(text.to_owned()),
    }
}

fn membership(desired: &Desired) -> Membership {
    let id = |n: usize| MemberId(n as u64 + 1);
    let members: Vec<Member> = desired
        .order
        .iter()
        .enumerate()
        .map(|(n, name)| Member {
            id: id(n),
            name: name.to_string(),
            peer_urls: vec![desired.hosts[name].peer_url()],
            client_urls: vec![desired.hosts[name].client_url()],
            learner: false,
        })
        .collect();
    let status = |member: &Member| MemberStatus {
        header: Header {
            cluster_id: ClusterId(9),
            member_id: member.id,
            revision: 5,
            raft_term: 2,
        },
        version: VERSION,
        db_size: 0,
        db_in_use: 0,
        db_quota: 0,
        leader: id(0),
        raft_index: 5,
        raft_applied: 5,
        raft_term: 2,
        errors: Vec::new(),
        learner: false,
        storage_version: None,
        downgrade: None,
    };
    let all: std::collections::BTreeSet<MemberId> = members.iter().map(|m| m.id).collect();
    Membership {
        cluster_id: ClusterId(9),
        by_quorum: true,
        peers: all.iter().map(|id| (*id, Fact::Known(all.clone()))).collect(),
        status: members.iter().map(|m| (m.id, Fact::Known(status(m)))).collect(),
        members,
        alarms: Vec::new(),
        unseen: BTreeMap::new(),
        works_at: BTreeMap::new(),
    }
}

fn facts(marker: &Marker) -> HostFacts {
    HostFacts {
        system: SystemFacts {
            hostname: "host".into(),
            machine_id: "machine".into(),
            arch: Some(crate::inventory::Arch::Amd64),
            os: String::new(),
            kernel: String::new(),
            systemd: Some(252),
            root: true,
            clock_offset_seconds: 0.0,
            clock_uncertainty_seconds: 0.0,
            boot_id: "boot".into(),
            disks: BTreeMap::new(),
            memory: 4 << 30,
            swap: 0,
            listeners: Vec::new(),
            other_etcd: Vec::new(),
            member_units: Vec::new(),
            unprivileged_port: None,
            libc: None,
            missing_tools: Vec::new(),
            time_service: None,
        },
        files: BTreeMap::new(),
        service: ServiceFacts {
            state: ServiceState::Running,
            enabled: true,
            needs_reload: false,
            pid: Some(7),
            running_version: Some(VERSION),
            running_exe: None,
            exe_replaced: false,
            started_with: BTreeMap::new(),
            last_exit: None,
            active_seconds: None,
            restarts: 0,
            drop_ins: Vec::new(),
            ignored_environment: Vec::new(),
        },
        data: DataFacts {
            state: DataState::Bootstrapped,
            bytes: 0,
            db_bytes: 1,
            marker: Some(marker.to_text()),
            set_aside: Vec::new(),
            elsewhere: Default::default(),
        },
        releases: BTreeMap::new(),
        lock: None,
        loose: Vec::new(),
        exposed: Vec::new(),
        obstacles: Vec::new(),
    }
}
