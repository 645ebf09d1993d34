//! From the document's tree to the typed structs of [`raw`](super::raw), reporting every value that does not fit and
//! every key that does not exist, and carrying on.

use super::leaf::{Leaf, all_of, nearest};
use super::problem::{Place, Problem};
use super::raw::{
    Field, OneOrMany, RawBackup, RawBundle, RawEtcd, RawHost, RawInventory, RawKeep, RawOptions, RawPaths,
    RawPermission, RawPki, RawRole, RawSsh, RawUser,
};
use super::tree::{Entry, Kind, Node};

/// Something that can be read from a node. `None`: it could not, and the reason is among the problems.
pub trait FromNode: Sized {
    /// Reads it.
    fn from_node(node: &Node, problems: &mut Vec<Problem>) -> Option<Self>;
}

fn wrong_kind(node: &Node, wanted: &str, help: &str) -> Problem {
    Problem::error(node.at, format!("expected {wanted}, not {}", node.describe()), help)
}

impl<T: Leaf> FromNode for Field<T> {
    fn from_node(node: &Node, problems: &mut Vec<Problem>) -> Option<Self> {
        let Some(text) = node.text() else {
            problems.push(wrong_kind(
                node,
                "a single value",
                "write one value after the key, on the same line",
            ));
            return None;
        };
        match T::read(text) {
            Ok(value) => Some(Field { value, at: node.at }),
            Err(refusal) => {
                problems.push(Problem::error(node.at, refusal.message, refusal.help));
                None
            }
        }
    }
}

impl<T: Leaf> FromNode for OneOrMany<T> {
    fn from_node(node: &Node, problems: &mut Vec<Problem>) -> Option<Self> {
        let values = match &node.kind {
            Kind::List(items) => items
                .iter()
                .filter_map(|item| Field::from_node(item, problems))
                .collect(),
            _ => vec![Field::from_node(node, problems)?],
        };
        Some(OneOrMany(values))
    }
}

impl FromNode for RawOptions {
    fn from_node(node: &Node, problems: &mut Vec<Problem>) -> Option<Self> {
        let section = Section::open(node, "etcd's options", problems)?;
        Some(RawOptions(section.entries.into_iter().cloned().collect()))
    }
}

impl<T: FromNode> FromNode for Vec<T> {
    fn from_node(node: &Node, problems: &mut Vec<Problem>) -> Option<Self> {
        let Kind::List(items) = &node.kind else {
            problems.push(wrong_kind(node, "a list", "start each entry with `- `"));
            return None;
        };
        Some(items.iter().filter_map(|item| T::from_node(item, problems)).collect())
    }
}

/// A mapping while it is read: keys are taken out by name; those that nobody took do not exist.
struct Section<'a> {
    /// What this mapping describes, for messages.
    what: &'static str,
    at: Place,
    entries: Vec<&'a Entry>,
    known: Vec<&'static str>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Section<'a> {
    fn open(node: &'a Node, what: &'static str, problems: &'a mut Vec<Problem>) -> Option<Self> {
        let Kind::Map(all) = &node.kind else {
            let wanted = format!("a mapping ({what})");
            problems.push(wrong_kind(node, &wanted, "write `key: value` lines, indented below"));
            return None;
        };
        let mut entries: Vec<&Entry> = Vec::new();
        for entry in all {
            match entries.iter().find(|e| e.key == entry.key) {
                None => entries.push(entry),
                Some(first) => problems.push(
                    Problem::error(
                        entry.key_at,
                        format!("`{}` is set twice in {what}", entry.key.escape_debug()),
                        "keep one of the two",
                    )
                    .also(first.key_at, "first here", "again here"),
                ),
            }
        }
        let at = all.first().map_or(node.at, |first| first.key_at);
        Some(Self {
            what,
            at,
            entries,
            known: Vec::new(),
            problems,
        })
    }

    /// The value of `key`; `None` when it is absent, null, or cannot be used (which is reported).
    fn optional<T: FromNode>(&mut self, key: &'static str) -> Option<T> {
        self.known.push(key);
        let entry = self.entries.iter().find(|e| e.key == key)?;
        match entry.value.kind {
            Kind::Null => None,
            _ => T::from_node(&entry.value, self.problems),
        }
    }

    /// As [`Section::optional`], but its absence is a problem.
    fn required<T: FromNode>(&mut self, key: &'static str, example: &str) -> Option<T> {
        let place = match self.entries.iter().find(|e| e.key == key) {
            Some(entry) if entry.value.kind == Kind::Null => Some((entry.key_at, "has no value")),
            Some(_) => None,
            None => Some((self.at, "is missing")),
        };
        if let Some((at, wrong)) = place {
            let message = format!("`{key}` {wrong} in {}", self.what);
            self.problems
                .push(Problem::missing(at, message, format!("add `{key}: {example}`")));
        }
        self.optional(key)
    }

    /// Where `key` stands; the start of the mapping when it is absent.
    fn place(&self, key: &str) -> Place {
        self.entries.iter().find(|e| e.key == key).map_or(self.at, |e| e.key_at)
    }

    /// Reports the keys that nobody asked for.
    fn finish(self) {
        for entry in &self.entries {
            if self.known.contains(&entry.key.as_str()) {
                continue;
            }
            let help = match nearest(&entry.key, self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known keys: {}", all_of(&self.known)),
            };
            let message = format!("there is no key `{}` in {}", entry.key.escape_debug(), self.what);
            self.problems.push(Problem::error(entry.key_at, message, help));
        }
    }
}

impl FromNode for RawInventory {
    fn from_node(node: &Node, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut section = Section::open(node, "the inventory", problems)?;
        let raw = Self {
            cluster: section.required("cluster", "prod-a"),
            etcd: section.required("etcd", "{version: \"3.6.16\"}"),
            pki: section.optional("pki"),
            ssh: section.optional("ssh"),
            clients: section.optional("clients"),
            kubernetes: section.optional("kubernetes"),
            users: section.optional("users"),
            bundle: section.optional("bundle"),
            backup: section.optional("backup"),
            roles: section.optional("roles"),
            hosts: section.required("hosts", "[{name: etcd-1, address: 10.0.0.11}]"),
            hosts_at: section.place("hosts"),
        };
        section.finish();
        Some(raw)
    }
}

impl FromNode for RawEtcd {
    fn from_node(node: &Node, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut section = Section::open(node, "`etcd`", problems)?;
        let raw = Self {
            version: section.required("version", "\"3.6.16\""),
            config: section.optional("config"),
            auth: section.optional("auth"),
            client_port: section.optional("client_port"),
            peer_port: section.optional("peer_port"),
            metrics_port: section.optional("metrics_port"),
            metrics_address: section.optional("metrics_address"),
            service: section.optional("service"),
            user: section.optional("user"),
            paths: section.optional("paths"),
        };
        section.finish();
        Some(raw)
    }
}

impl FromNode for RawPaths {
    fn from_node(node: &Node, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut section = Section::open(node, "`paths`", problems)?;
        let raw = Self {
            config: section.optional("config"),
            pki: section.optional("pki"),
            data: section.optional("data"),
            wal: section.optional("wal"),
            bin: section.optional("bin"),
        };
        section.finish();
        Some(raw)
    }
}

impl FromNode for RawPki {
    fn from_node(node: &Node, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut section = Section::open(node, "`pki`", problems)?;
        let raw = Self {
            dir: section.optional("dir"),
            key_type: section.optional("key_type"),
            ca_validity: section.optional("ca_validity"),
            leaf_validity: section.optional("leaf_validity"),
            renew_before: section.optional("renew_before"),
            crl: section.optional("crl"),
            sans: section.optional("sans"),
            recipients: section.optional("recipients"),
        };
        section.finish();
        Some(raw)
    }
}

impl FromNode for RawBundle {
    fn from_node(node: &Node, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut section = Section::open(node, "`bundle`", problems)?;
        let raw = Self {
            sha256: section.optional("sha256"),
            signed_by: section.optional("signed_by"),
        };
        section.finish();
        Some(raw)
    }
}

impl FromNode for RawBackup {
    fn from_node(node: &Node, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut section = Section::open(node, "`backup`", problems)?;
        let raw = Self {
            schedule: section.required("schedule", "daily"),
            to: section.required("to", "s3://backups/etcd"),
            keep: section.optional("keep"),
            max_age: section.optional("max_age"),
            s3_credentials: section.optional("s3_credentials"),
            s3_endpoint: section.optional("s3_endpoint"),
            s3_region: section.optional("s3_region"),
            identity: section.optional("identity"),
        };
        section.finish();
        Some(raw)
    }
}

impl FromNode for RawKeep {
    fn from_node(node: &Node, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut section = Section::open(node, "`keep`", problems)?;
        let raw = Self {
            last: section.optional("last"),
            hourly: section.optional("hourly"),
            daily: section.optional("daily"),
            weekly: section.optional("weekly"),
            monthly: section.optional("monthly"),
        };
        section.finish();
        Some(raw)
    }
}

impl FromNode for RawUser {
    fn from_node(node: &Node, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut section = Section::open(node, "a user", problems)?;
        let raw = Self {
            at: section.at,
            name: section.required("name", "app"),
            roles: section.optional("roles"),
            password: section.optional("password"),
        };
        section.finish();
        Some(raw)
    }
}

impl FromNode for RawRole {
    fn from_node(node: &Node, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut section = Section::open(node, "a role", problems)?;
        let raw = Self {
            at: section.at,
            name: section.required("name", "app-writer"),
            permissions: section.optional("permissions"),
        };
        section.finish();
        Some(raw)
    }
}

impl FromNode for RawPermission {
    fn from_node(node: &Node, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut section = Section::open(node, "a permission", problems)?;
        let raw = Self {
            at: section.at,
            access: section.required("access", "readwrite"),
            key: section.optional("key"),
            prefix: section.optional("prefix"),
            from: section.optional("from"),
            to: section.optional("to"),
        };
        section.finish();
        Some(raw)
    }
}

impl FromNode for RawSsh {
    fn from_node(node: &Node, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut section = Section::open(node, "`ssh`", problems)?;
        let raw = Self {
            host: section.optional("host"),
            user: section.optional("user"),
            port: section.optional("port"),
            identity: section.optional("identity"),
            known_hosts: section.optional("known_hosts"),
            jump: section.optional("jump"),
            sudo: section.optional("sudo"),
            config: section.optional("config"),
        };
        section.finish();
        Some(raw)
    }
}

impl FromNode for RawHost {
    fn from_node(node: &Node, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut section = Section::open(node, "a host", problems)?;
        let raw = Self {
            at: section.at,
            name: section.required("name", "etcd-1"),
            address: section.required("address", "10.0.0.11"),
            connection: section.optional("connection"),
            service_manager: section.optional("service_manager"),
            ssh: section.optional("ssh"),
            listen: section.optional("listen"),
            sans: section.optional("sans"),
            client_port: section.optional("client_port"),
            peer_port: section.optional("peer_port"),
            metrics_port: section.optional("metrics_port"),
            metrics_address: section.optional("metrics_address"),
            service: section.optional("service"),
            user: section.optional("user"),
            paths: section.optional("paths"),
        };
        section.finish();
        Some(raw)
    }
}
