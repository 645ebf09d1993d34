//! The clusters of a fleet: every inventory below a directory. There is no register of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::cli::error::{Exit, Failure};
use crate::inventory::shared::DEFAULTS;
use crate::inventory::{self, Connection, Desired, DesiredHost, Jump, ServiceManager};
use crate::ops::plan::count;

/// So much of a file is read to tell whether it is an inventory.
const BEGINNING: u64 = 256 << 10;

/// Deeper than anybody nests directories on purpose.
const DEEPEST: usize = 32;

/// Everything that was found.
#[derive(Debug, Default)]
pub struct Clusters {
    /// Those that can be worked on, by path.
    pub whole: Vec<Cluster>,
    /// Files and directories that cannot be read, or that no cluster can be made of.
    pub broken: Vec<Broken>,
}

/// One cluster: what has to be known of it besides its inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Its inventory.
    pub path: PathBuf,
    /// The machines that its members are on.
    pub machines: BTreeSet<String>,
    /// How many hosts it has: a connection each.
    pub hosts: usize,
    /// The Kubernetes that it serves, where the inventory says.
    pub kubernetes: Option<String>,
    /// What it has for itself there: a machine, and a port, a unit or a path.
    claims: BTreeSet<(String, String)>,
}

/// What looks like an inventory and cannot be used.
#[derive(Debug)]
pub struct Broken {
    /// What it calls its cluster, as far as that can be told; else its path.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Every mistake in it.
    pub failure: Failure,
}

/// Finds them.
///
/// # Errors
/// When there is no such directory, or no inventory below it.
pub fn find(dir: &Path) -> Result<Clusters, Failure> {
    let unusable = |why: String| {
        Failure::new(Exit::Usage, why).hint("pass the directory that the inventories of the clusters are below")
    };
    if !dir.is_dir() {
        return Err(unusable(format!("{} is not a directory", dir.display())));
    }
    let mut found = Clusters::default();
    walk(dir, 0, &mut found);
    let found = found.by_path();
    if found.whole.is_empty() && found.broken.is_empty() {
        return Err(unusable(format!("there is no inventory below {}", dir.display())));
    }
    Ok(found)
}

/// Links are not followed, so that no file is found twice and no way leads in a circle; hidden directories hold other things.
fn walk(dir: &Path, depth: usize, found: &mut Clusters) {
    let entries = match fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) if depth < DEEPEST => entries,
        Ok(_) => return found.unreadable(dir, &io::Error::other("directories are nested too deeply")),
        Err(error) => return found.unreadable(dir, &error),
    };
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name());
        let hidden = name.to_string_lossy().starts_with('.');
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !hidden => walk(&path, depth + 1, found),
            Ok(kind) if kind.is_file() && !hidden && is_yaml(&path) && name != DEFAULTS => match beginning(&path) {
                Ok(text) if is_inventory(&text) => found.take(path, &text),
                Ok(_) => {}
                Err(error) => found.unreadable(&path, &error),
            },
            Ok(_) => {}
            Err(error) => found.unreadable(&path, &error),
        }
    }
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "yml" || kind == "yaml")
}

fn beginning(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BEGINNING).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// An inventory has `cluster` at the beginning of a line, or, where that is forgotten or mistyped, `hosts` and another key of
/// inventories: which one there is depends on what is shared.
fn is_inventory(text: &str) -> bool {
    let has = |key: &str| top_level(text, key).is_some();
    let other = ["etcd", "pki", "ssh", "bundle", "backup", "kubernetes"];
    has("cluster") || (has("hosts") && other.into_iter().any(has))
}

/// What stands behind a key at the beginning of a line.
fn top_level<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    lines.find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':'))
}

impl Clusters {
    /// Takes a file that is one whatever is in it.
    pub fn named(&mut self, path: PathBuf) {
        let text = beginning(&path).unwrap_or_default();
        self.take(path, &text);
    }

    /// In the order in which they have their turns.
    pub fn by_path(mut self) -> Self {
        self.whole.sort_by(|a, b| a.path.cmp(&b.path));
        self.broken.sort_by(|a, b| a.path.cmp(&b.path));
        self
    }

    /// How many hosts so many of them have at most.
    pub fn most_hosts(&self, clusters: usize) -> usize {
        let mut hosts: Vec<usize> = self.whole.iter().map(|cluster| cluster.hosts).collect();
        hosts.sort_unstable_by(|a, b| b.cmp(a));
        hosts.into_iter().take(clusters).sum()
    }

    fn take(&mut self, path: PathBuf, text: &str) {
        match inventory::load(&path) {
            Ok(loaded) => self.whole.push(Cluster::of(&loaded.desired, path)),
            Err(error) => {
                let named = top_level(text, "cluster").and_then(|name| name.split('#').next());
                let named = named.map(|name| name.trim().trim_matches(['"', '\'']));
                self.broken.push(Broken {
                    name: match named {
                        Some(name) if !name.is_empty() => name.to_owned(),
                        _ => path.display().to_string(),
                    },
                    path,
                    failure: error.into(),
                });
            }
        }
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        let failure = Failure::new(Exit::Inventory, format!("cannot read {}: {error}", path.display()))
            .hint("let this account read it, or move it elsewhere: clusters below it are not known");
        self.broken.push(Broken {
            name: path.display().to_string(),
            path: path.to_owned(),
            failure,
        });
    }

    /// Leaves out clusters by name.
    ///
    /// # Errors
    /// When there is none of such a name.
    pub fn without(mut self, names: &[inventory::ClusterName]) -> Result<Self, Failure> {
        for name in names {
            self.known(name.as_str(), "--skip")?;
        }
        let skipped = |called: &str| names.iter().any(|name| name.as_str() == called);
        self.whole.retain(|cluster| !skipped(&cluster.name));
        self.broken.retain(|broken| !skipped(&broken.name));
        Ok(self)
    }

    /// Whether there is a cluster of this name.
    ///
    /// # Errors
    /// When there is none, with the nearest name.
    pub fn known(&self, name: &str, flag: &str) -> Result<(), Failure> {
        let whole = self.whole.iter().map(|cluster| cluster.name.as_str());
        let names: Vec<&str> = whole.chain(self.broken.iter().map(|b| b.name.as_str())).collect();
        if names.contains(&name) {
            return Ok(());
        }
        let failure = Failure::new(Exit::Usage, format!("the fleet has no cluster `{name}` ({flag})"));
        Err(match inventory::leaf::nearest(name, names) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure.hint("see `quorate status --fleet DIR` for their names"),
        })
    }

    /// Clusters that cannot both be meant, a sentence each: two of one name, or with the same port, unit or path of a machine.
    pub fn clashes(&self) -> Vec<String> {
        let mut by_name: BTreeMap<&str, Vec<&Cluster>> = BTreeMap::new();
        let mut by_claim: BTreeMap<&(String, String), Vec<usize>> = BTreeMap::new();
        for (at, cluster) in self.whole.iter().enumerate() {
            by_name.entry(&cluster.name).or_default().push(cluster);
            for claim in &cluster.claims {
                by_claim.entry(claim).or_default().push(at);
            }
        }
        let mut said: Vec<String> = by_name
            .iter()
            .filter(|(_, those)| those.len() > 1)
            .map(|(name, those)| {
                let files: Vec<String> = those.iter().map(|c| c.path.display().to_string()).collect();
                let all = if files.len() == 2 { "both" } else { "all" };
                format!("{} are {all} the cluster `{name}`", files.join(" and "))
            })
            .collect();
        let mut by_pair: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
        for ((machine, what), those) in by_claim {
            for pair in those.windows(2) {
                let claimed = by_pair.entry((pair[0], pair[1])).or_default();
                claimed.push(format!("{what} on {machine}"));
            }
        }
        said.extend(by_pair.into_iter().map(|((one, other), claimed)| {
            let files = [one, other].map(|at| self.whole[at].path.display().to_string());
            let more = match claimed.len() - 1 {
                0 => String::new(),
                more => format!(" and {}", count(more, "other thing")),
            };
            format!("{} both claim {}{more}", files.join(" and "), claimed[0])
        }));
        said
    }
}

impl Cluster {
    /// What a cluster has on its machines.
    pub fn of(desired: &Desired, path: PathBuf) -> Self {
        let mut cluster = Self {
            name: desired.cluster.to_string(),
            path,
            machines: BTreeSet::new(),
            hosts: desired.hosts.len(),
            kubernetes: desired.kubernetes.clone(),
            // A CA is of one cluster: its key is sealed with the cluster's name.
            claims: BTreeSet::from([("this machine".to_owned(), desired.pki.dir.display().to_string())]),
        };
        for host in desired.hosts.values() {
            let machine = machine(host);
            let claims = claims(host).into_iter().map(|what| (machine.clone(), what));
            cluster.claims.extend(claims);
            cluster.machines.insert(machine);
        }
        cluster
    }

    /// One with nothing but a name.
    #[cfg(test)]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            path: PathBuf::from(name).join("inventory.yml"),
            machines: BTreeSet::new(),
            hosts: 0,
            kubernetes: None,
            claims: BTreeSet::new(),
        }
    }

    /// Whether both have members on one machine, or serve one Kubernetes: its API servers would lose a member of each.
    pub fn shares_with(&self, other: &Self) -> bool {
        let kubernetes = self.kubernetes.is_some() && self.kubernetes == other.kubernetes;
        kubernetes || !self.machines.is_disjoint(&other.machines)
    }
}

/// The machine as it is logged in to. The same private address behind two bastions is two machines.
fn machine(host: &DesiredHost) -> String {
    let Connection::Ssh(target) = &host.connection else {
        return "this machine".to_owned();
    };
    let port = |port: Option<u16>| port.filter(|port| *port != 22).map(|port| format!(":{port}"));
    let jump = |jump: &Jump| format!("{}{}", jump.host, port(jump.port).unwrap_or_default());
    let jumps: Vec<String> = target.jump.iter().map(jump).collect();
    let via = match jumps.is_empty() {
        true => String::new(),
        false => format!(" via {}", jumps.join(", ")),
    };
    format!(
        "{}{}{via}",
        target.host.to_ascii_lowercase(),
        port(target.port).unwrap_or_default()
    )
}

/// What no two members on a machine can both have.
fn claims(host: &DesiredHost) -> Vec<String> {
    let mut claims = vec![
        format!("port {} of {}", host.client_port, host.address),
        format!("port {} of {}", host.peer_port, host.address),
    ];
    claims.extend(host.metrics.map(|m| format!("port {} of {}", m.port, m.address)));
    if host.service_manager == ServiceManager::Systemd {
        claims.push(format!("the unit {}", host.service));
    }
    let paths = [&host.paths.config, &host.paths.pki, &host.paths.data];
    claims.extend(paths.into_iter().chain(&host.paths.wal).map(ToString::to_string));
    claims
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn cluster(name: &str, more: &str, hosts: &str) -> String {
        format!("cluster: {name}\netcd:\n  version: \"3.6.16\"\n{more}hosts:\n{hosts}")
    }

    const AT_ONE: &str = "  - {name: n1, address: 10.0.0.1}\n";

    fn names(found: &Clusters) -> (Vec<&str>, Vec<&str>) {
        (
            found.whole.iter().map(|c| c.name.as_str()).collect(),
            found.broken.iter().map(|b| b.name.as_str()).collect(),
        )
    }

    #[test]
    fn every_inventory_is_found_and_broken_ones_hide_no_other() {
        let dir = tree(&[
            ("eu/a/inventory.yml", &cluster("a", "", AT_ONE)),
            ("eu/b.yaml", &cluster("beta", "", AT_ONE)),
            ("us/broken.yml", "cluster: 'broken' # soon\nhosts: []\n"),
            (
                "us/nameless.yml",
                &cluster("x", "", AT_ONE).replace("cluster", "clutser"),
            ),
            ("us/garbled.yml", "cluster: {\n"),
            ("us/pki/issued.yml", "- name: app\n"),
            ("us/values.yml", "image:\n  cluster: c\n"),
            ("us/notes.txt", &cluster("text", "", AT_ONE)),
            (".git/old.yml", &cluster("old", "", AT_ONE)),
        ]);
        std::os::unix::fs::symlink(dir.path(), dir.path().join("circle")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("eu/b.yaml"), dir.path().join("again.yml")).unwrap();
        let found = find(dir.path()).unwrap();
        let nameless = dir.path().join("us/nameless.yml").display().to_string();
        assert_eq!(names(&found), (vec!["a", "beta"], vec!["broken", "{", &nameless]));
        assert!(found.broken[0].failure.spans.is_some(), "mistakes with their places");
        let left = found
            .without(&["a".parse().unwrap(), "broken".parse().unwrap()])
            .unwrap();
        assert_eq!(names(&left), (vec!["beta"], vec!["{", &nameless]));
        let refused = left.without(&["beat".parse().unwrap()]).unwrap_err();
        assert_eq!(refused.hint.as_deref(), Some("did you mean `beta`?"));
        assert!(find(&dir.path().join("us/pki")).is_err(), "nothing is no fleet");
    }

    #[test]
    fn two_clusters_may_share_a_machine_but_nothing_on_it() {
        let elsewhere = "  client_port: 2479\n  peer_port: 2480\n  service: etcd-b\n  paths: {config: /etc/b/b.yml, pki: /etc/b/pki, data: /srv/b}\npki: {dir: pki-b}\n";
        let clashes = |two: &str| {
            let dir = tree(&[("a.yml", &cluster("a", "", AT_ONE)), ("b.yml", two)]);
            let found = find(dir.path()).unwrap();
            assert!(found.broken.is_empty(), "{found:?}");
            let [a, b] = &found.whole[..] else { panic!("{found:?}") };
            let said = found
                .clashes()
                .join("\n")
                .replace(&format!("{}/", dir.path().display()), "");
            (a.shares_with(b), said)
        };
        assert_eq!(clashes(&cluster("b", elsewhere, AT_ONE)), (true, String::new()));
        assert_eq!(
            clashes(&cluster("b", &elsewhere.replace("2480", "2379"), AT_ONE)),
            (
                true,
                "a.yml and b.yml both claim port 2379 of 10.0.0.1 on 10.0.0.1".to_owned()
            )
        );
        let (shares, said) = clashes(&cluster("b", "", AT_ONE));
        assert!(shares && said.ends_with("and 6 other things"), "{said}");
        let (_, said) = clashes(&cluster("a", elsewhere, AT_ONE));
        assert_eq!(said, "a.yml and b.yml are both the cluster `a`");
        // The same address behind another bastion is another machine; another address may be the same one.
        let far = "  - {name: n1, address: 10.0.0.1, ssh: {jump: [bastion-b]}}\n";
        let (shares, said) = clashes(&cluster("b", "", far));
        assert!(
            !shares && said.ends_with("both claim pki on this machine"),
            "one CA for both: {said}"
        );
        assert_eq!(
            clashes(&cluster("b", "pki: {dir: pki-b}\n", far)),
            (false, String::new())
        );
        let near = "  - {name: n1, address: 10.0.9.9, ssh: {host: 10.0.0.1, port: 22}}\n";
        assert!(clashes(&cluster("b", elsewhere, near)).0);
    }
}
