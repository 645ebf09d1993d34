//! CAs and certificates that worlds are made of: real, made once, and told apart by the digests of their files.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::stock::{MOST_HOSTS, V3_5, cluster_name, epoch, host, inventory};
use crate::host::FileFacts;
use crate::inventory::samples::pki_policy;
use crate::inventory::{Address, DesiredHost, HostPath, NodeName};
use crate::ops::model::NextCa;
use crate::ops::plan::AuthorityTurn;
use crate::pki::{Authority, Certificate, FileContent, Stage, bundle_pem, host_files, peer_spec, server_spec};

const DAY: Duration = Duration::from_secs(86_400);

/// A CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ca {
    First,
    Second,
    Third,
    /// One that nobody here knows.
    Stranger,
}

/// The operator's `pki` directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// Whose certificates are issued now.
    pub signs: Ca,
    /// How far a change has come, and the other CA of it: the coming one, then the going one.
    pub change: Option<(Stage, Ca)>,
}

impl Keys {
    /// As the first `up` makes it.
    pub const FIRST: Keys = Keys {
        signs: Ca::First,
        change: None,
    };

    /// Every CA of the operator's `ca.crt`, the one that signs first.
    pub fn trusted(self) -> Vec<Ca> {
        let other = self.change.map(|(_, other)| other);
        [Some(self.signs), other].into_iter().flatten().collect()
    }

    /// `ca.crt`.
    pub fn pem(self) -> String {
        bundle_pem(&certificates(&self.trusted()))
    }

    /// What the planner is told of a change.
    pub fn next_ca(self) -> Option<NextCa> {
        let (stage, other) = self.change?;
        let (new, old) = match stage {
            Stage::TrustBoth => (other, self.signs),
            Stage::Reissue => (self.signs, other),
        };
        let sha256 = |ca: Ca| CAS[&ca].certificate().facts().sha256.clone();
        Some(NextCa {
            stage,
            new: sha256(new),
            old: sha256(old),
            issued_elsewhere: false,
        })
    }

    /// One turn of a change; one that is done already changes nothing.
    pub fn turn(self, turn: AuthorityTurn) -> Result<Self, String> {
        match (turn, self.change) {
            (AuthorityTurn::Prepare, None) => {
                let next = match self.signs {
                    Ca::First => Ca::Second,
                    Ca::Second => Ca::Third,
                    Ca::Third | Ca::Stranger => return Err("this world has no more CAs".into()),
                };
                let change = Some((Stage::TrustBoth, next));
                Ok(Self { change, ..self })
            }
            (AuthorityTurn::Switch, Some((Stage::TrustBoth, next))) => Ok(Self {
                signs: next,
                change: Some((Stage::Reissue, self.signs)),
            }),
            (AuthorityTurn::Retire | AuthorityTurn::Disown, Some((Stage::Reissue, _))) => {
                Ok(Self { change: None, ..self })
            }
            (AuthorityTurn::Prepare, Some(_))
            | (AuthorityTurn::Switch, Some((Stage::Reissue, _)))
            | (AuthorityTurn::Retire | AuthorityTurn::Disown, None) => Ok(self),
            (AuthorityTurn::Switch, None) | (AuthorityTurn::Retire | AuthorityTurn::Disown, Some(_)) => {
                Err(format!("{turn:?} is not due"))
            }
        }
    }
}

/// The certificates that a host may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Papers {
    /// Issued on the first day by the first CA, as all but one of these.
    Fresh,
    /// Due for renewal.
    Ageing,
    /// Ended.
    Expired,
    /// Of a CA that nobody here knows.
    Foreign,
}

type Files = BTreeMap<HostPath, FileFacts>;

static CAS: LazyLock<BTreeMap<Ca, Authority>> = LazyLock::new(|| {
    let born = [(Ca::First, 1000), (Ca::Second, 3), (Ca::Third, 2), (Ca::Stranger, 1)];
    let made = born.map(|(ca, days)| {
        (
            ca,
            Authority::create(&cluster_name(), &pki_policy(), epoch() - days * DAY),
        )
    });
    made.into_iter()
        .map(|(ca, authority)| (ca, authority.unwrap()))
        .collect()
});

fn certificates(cas: &[Ca]) -> Vec<Certificate> {
    cas.iter().map(|ca| CAS[ca].certificate().clone()).collect()
}

/// Server and peer certificate and their keys, by host, CA and days since they were issued.
static LEAVES: LazyLock<BTreeMap<(NodeName, Ca, u32), Files>> = LazyLock::new(|| {
    let kinds = [
        (Ca::First, 0),
        (Ca::First, 350),
        (Ca::First, 400),
        (Ca::Second, 0),
        (Ca::Third, 0),
        (Ca::Stranger, 0),
    ];
    let all = (1..=MOST_HOSTS).flat_map(|n| kinds.map(|(ca, age)| (host(n), ca, age)));
    all.map(|(host, ca, age)| ((host.name.clone(), ca, age), issue(&host, ca, age)))
        .collect()
});

fn issue(host: &DesiredHost, ca: Ca, age: u32) -> Files {
    let (desired, at) = (inventory([], V3_5), epoch() - age * DAY);
    let authority = match age {
        0 => &CAS[&ca],
        _ => &CAS[&Ca::First],
    };
    let server = authority.issue(&server_spec(&desired, host), at).unwrap();
    let peer = authority.issue(&peer_spec(&desired, host), at).unwrap();
    let mut files = Files::new();
    for file in host_files(&certificates(&[ca]), &server, &peer) {
        let content = match &file.content {
            FileContent::Public(text) => Some(text.clone()),
            FileContent::Secret(_) => None,
        };
        let facts = FileFacts {
            sha256: hex::encode(Sha256::digest(file.content.expose_bytes())),
            mode: file.mode,
            owner: "etcd".into(),
            content,
        };
        files.insert(host.paths.pki.join(file.name), facts);
    }
    files
}

/// The five files of a host's `paths.pki`.
pub fn papers(node: &NodeName, kind: Papers) -> Files {
    let (ca, age) = match kind {
        Papers::Fresh => (Ca::First, 0),
        Papers::Ageing => (Ca::First, 350),
        Papers::Expired => (Ca::First, 400),
        Papers::Foreign => (Ca::Stranger, 0),
    };
    LEAVES[&(node.clone(), ca, age)].clone()
}

/// Certificates that name other addresses than those of the stock: by host, CA and all that they name.
static MOVED: Mutex<Moved> = Mutex::new(BTreeMap::new());

type Moved = BTreeMap<(NodeName, Ca, Vec<Address>), Files>;

fn moved() -> MutexGuard<'static, Moved> {
    MOVED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn leaves(spec: &DesiredHost, ca: Ca) -> Files {
    let stock = &LEAVES[&(spec.name.clone(), ca, 0)];
    let sans = server_spec(&inventory([], V3_5), spec).sans;
    if stock.keys().all(|path| path.is_within(&spec.paths.pki)) && sans.iter().all(|san| stock_names(&spec.name, san)) {
        return stock.clone();
    }
    let known = moved().get(&(spec.name.clone(), ca, sans.clone())).cloned();
    known.unwrap_or_else(|| {
        let files = issue(spec, ca, 0);
        moved().entry((spec.name.clone(), ca, sans)).or_insert(files).clone()
    })
}

fn stock_names(node: &NodeName, san: &Address) -> bool {
    static NAMES: LazyLock<BTreeMap<NodeName, Vec<Address>>> = LazyLock::new(|| {
        let sans = |host: &DesiredHost| server_spec(&inventory([], V3_5), host).sans;
        (1..=MOST_HOSTS)
            .map(host)
            .map(|host| (host.name.clone(), sans(&host)))
            .collect()
    });
    NAMES.get(node).is_some_and(|names| names.contains(san))
}

/// Whether the peer certificate with this digest names an address.
pub fn names(sha256: &str, address: &Address) -> bool {
    let has = |files: &Files| files.values().any(|file| file.sha256 == sha256);
    let moved = moved();
    if let Some(((_, _, sans), _)) = moved.iter().find(|(_, files)| has(files)) {
        return sans.contains(address);
    }
    drop(moved);
    static OWNERS: LazyLock<BTreeMap<String, NodeName>> = LazyLock::new(|| {
        let of = |((node, ..), files): (&(NodeName, Ca, u32), &Files)| {
            let told = files.values().map(|file| (file.sha256.clone(), node.clone()));
            told.collect::<Vec<_>>()
        };
        LEAVES.iter().flat_map(of).collect()
    });
    OWNERS.get(sha256).is_some_and(|node| stock_names(node, address))
}

/// The five files that quorate puts there with these keys.
pub fn issued(host: &DesiredHost, keys: Keys) -> Files {
    let mut files = leaves(host, keys.signs);
    let text = crate::pki::host_bundle(&certificates(&keys.trusted()));
    let ca = files.get_mut(&host.paths.pki.join("ca.crt")).expect("five files");
    ca.sha256 = super::stock::sha256(&text);
    ca.content = Some(text);
    files
}

/// Who signed the peer or server certificate with this digest, and when it ends, in milliseconds of a world's clock.
pub fn signer(sha256: &str) -> Option<(Ca, i64)> {
    static SIGNERS: LazyLock<BTreeMap<String, (Ca, i64)>> = LazyLock::new(|| {
        let end = |age: u32| (i64::from(365) - i64::from(age)) * 86_400_000;
        let of = |((_, ca, age), files): (&(NodeName, Ca, u32), &Files)| {
            let told = files.values().map(|file| (file.sha256.clone(), (*ca, end(*age))));
            told.collect::<Vec<_>>()
        };
        LEAVES.iter().flat_map(of).collect()
    });
    SIGNERS.get(sha256).copied().or_else(|| {
        let moved = moved();
        let has = |files: &Files| files.values().any(|file| file.sha256 == sha256);
        let ((_, ca, _), _) = moved.iter().find(|(_, files)| has(files))?;
        Some((*ca, 365 * 86_400_000))
    })
}

/// The CAs in the `ca.crt` with this digest.
pub fn trusted_by(sha256: &str) -> &'static [Ca] {
    static BUNDLES: LazyLock<BTreeMap<String, Vec<Ca>>> = LazyLock::new(|| {
        let sets: [&[Ca]; 6] = [
            &[Ca::First],
            &[Ca::Second],
            &[Ca::Third],
            &[Ca::Stranger],
            &[Ca::First, Ca::Second],
            &[Ca::Second, Ca::Third],
        ];
        let text = |set: &[Ca]| crate::pki::host_bundle(&certificates(set));
        sets.iter()
            .map(|set| (super::stock::sha256(&text(set)), set.to_vec()))
            .collect()
    });
    BUNDLES.get(sha256).map_or(&[], Vec::as_slice)
}
