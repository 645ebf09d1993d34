//! etcd's own users and roles, as an inventory can want them and as etcd can have them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// The user and the role that etcd demands before authentication can be switched on. quorate is this user, by the common
/// name of its certificate; the role may do everything.
pub const ROOT: &str = "root";

/// What etcd's own authentication should be: `etcd.auth`, `users` and `roles`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthPolicy {
    /// `etcd.auth`.
    pub mode: AuthMode,
    /// The roles of each user. Its name is the common name of its certificate, or what it logs in with. Never [`ROOT`].
    pub users: BTreeMap<String, BTreeSet<String>>,
    /// The users that log in with a password, which lies sealed beside the CA.
    #[serde(default)]
    pub passwords: BTreeSet<String>,
    /// What each role may do. Never [`ROOT`].
    pub roles: BTreeMap<String, BTreeSet<Permission>>,
}

/// `etcd.auth`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthMode {
    /// Not set: whatever etcd has is left as it is, and not even looked at.
    #[default]
    LeftAlone,
    /// `false`: everybody with a certificate may do everything.
    Off,
    /// `true`: everybody is a user, and may do what its roles allow.
    On,
}

/// What a role may do with a range of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Access {
    Read,
    Write,
    ReadWrite,
}

/// One permission of a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Permission {
    /// What it allows.
    pub access: Access,
    /// First key of the range.
    pub key: Vec<u8>,
    /// End of the range, exclusive; empty for the single key, `\0` for all keys from `key` on.
    pub range_end: Vec<u8>,
}

impl Permission {
    /// For one key.
    pub fn key(access: Access, key: &str) -> Self {
        Self::range(access, key, "")
    }

    /// For all keys that begin with `prefix`; all keys there are, when it is empty. As `etcdctl role grant-permission
    /// --prefix` writes it (`clientv3.GetPrefixRangeEnd`).
    pub fn prefix(access: Access, prefix: &str) -> Self {
        let mut end = prefix.as_bytes().to_vec();
        while end.last() == Some(&0xff) {
            end.pop();
        }
        match end.last_mut() {
            Some(last) => *last += 1,
            None => end.push(0),
        }
        let key = if prefix.is_empty() { "\0" } else { prefix };
        Self {
            access,
            key: key.as_bytes().to_vec(),
            range_end: end,
        }
    }

    /// For the keys from `from` up to, and without, `to`.
    pub fn range(access: Access, from: &str, to: &str) -> Self {
        Self {
            access,
            key: from.as_bytes().to_vec(),
            range_end: to.as_bytes().to_vec(),
        }
    }

    /// Whether both are about the same keys.
    pub fn same_keys(&self, other: &Permission) -> bool {
        (&self.key, &self.range_end) == (&other.key, &other.range_end)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match self.access {
            Access::Read => "read",
            Access::Write => "write",
            Access::ReadWrite => "readwrite",
        };
        let text = |key: &[u8]| String::from_utf8_lossy(key).escape_debug().to_string();
        let (key, end) = (text(&self.key), text(&self.range_end));
        let prefix = std::str::from_utf8(&self.key).is_ok_and(|key| Self::prefix(self.access, key) == *self);
        match (self.key.as_slice(), self.range_end.as_slice()) {
            (_, []) => write!(f, "{access} {key}"),
            ([0], [0]) => write!(f, "{access} all keys"),
            (_, [0]) => write!(f, "{access} {key} and all keys after it"),
            _ if prefix => write!(f, "{access} {key}*"),
            _ => write!(f, "{access} {key} to {end}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_that_etcdctl_would_grant() {
        let prefix = |text: &str| {
            let permission = Permission::prefix(Access::Read, text);
            (permission.key, permission.range_end)
        };
        assert_eq!(prefix("/app/"), (b"/app/".to_vec(), b"/app0".to_vec()));
        assert_eq!(prefix(""), (b"\0".to_vec(), b"\0".to_vec()));
        assert_eq!(Permission::key(Access::Write, "/x").range_end, b"");
    }

    #[test]
    fn a_person_can_read_them() {
        let shown = |permission: Permission| permission.to_string();
        assert_eq!(
            shown(Permission::prefix(Access::ReadWrite, "/app/")),
            "readwrite /app/*"
        );
        assert_eq!(shown(Permission::prefix(Access::Read, "")), "read all keys");
        assert_eq!(shown(Permission::key(Access::Write, "/x")), "write /x");
        assert_eq!(shown(Permission::range(Access::Read, "a", "m")), "read a to m");
        let from_on = Permission {
            range_end: vec![0],
            ..Permission::key(Access::Read, "a")
        };
        assert_eq!(shown(from_on), "read a and all keys after it");
    }
}
