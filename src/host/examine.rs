//! A snapshot in the eyes of etcd's own tool on the host, for an operator whose own machine cannot run it.

use serde::Deserialize;

use super::push::input_from;
use super::trouble::not_understood;
use super::{Host, HostError, Opener, scripts};
use crate::inventory::{HostPath, ServiceManager, UserName};

const OPERATION: &str = "examining the snapshot";

/// What is to be looked at, and with what.
#[derive(Clone)]
pub struct Examine<'a> {
    /// etcdutl, or the etcdctl of 3.4, on the host.
    pub program: &'a HostPath,
    /// Whom it runs as: the account of the members.
    pub account: &'a UserName,
    /// SHA-256 (hex) of the plain snapshot.
    pub sha256: String,
    /// Its bytes.
    pub size: u64,
    /// Opens it. What it reads is held against the two above on the host.
    pub open: Opener,
    /// The revision up to which all keys are hashed; `None` where the program cannot.
    pub revision: Option<i64>,
}

/// What the program says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// The newest revision in it.
    pub revision: i64,
    /// The hash of the file as the program counts it (`snapshot status`).
    pub file_hash: u32,
    /// Hash of all keys up to the revision that was asked for, and what was compacted away before (`hashkv`).
    pub keys_hash: Option<(u32, i64)>,
}

#[derive(Deserialize)]
struct Status {
    hash: u32,
    revision: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HashKv {
    hash: u32,
    compact_revision: i64,
}

impl Host {
    /// Sends the snapshot to a directory of root's own, has the program read it, and removes it again.
    ///
    /// # Errors
    /// When there is no room, something else arrives, or the program cannot read it.
    pub async fn examine(&self, what: Examine<'_>) -> Result<Examined, HostError> {
        let account = match self.manager {
            ServiceManager::Systemd => what.account.to_string(),
            // There is no second account.
            ServiceManager::Process => "-".to_owned(),
        };
        let args = vec![
            account,
            what.program.to_string(),
            what.sha256,
            what.size.to_string(),
            what.revision.map_or("-".to_owned(), |revision| revision.to_string()),
        ];
        let output = self
            .call(OPERATION, scripts::EXAMINE, args, input_from(what.open))
            .await?;
        let text = String::from_utf8_lossy(&output.stdout);
        read(&text, what.revision.is_some()).ok_or_else(|| {
            not_understood(
                &self.node,
                OPERATION,
                format!("{} printed something else than it should", what.program),
            )
        })
    }
}

fn read(text: &str, hashed: bool) -> Option<Examined> {
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let status: Status = serde_json::from_str(line("status ")?).ok()?;
    let keys_hash = match hashed {
        true => {
            let told: HashKv = serde_json::from_str(line("hashkv ")?).ok()?;
            Some((told.hash, told.compact_revision))
        }
        false => None,
    };
    Some(Examined {
        revision: status.revision,
        file_hash: status.hash,
        keys_hash,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sha2::{Digest as _, Sha256};

    use super::super::testbed::{Testbed, set_mode};
    use super::*;

    #[test]
    fn what_etcdutl_prints() {
        // etcdutl 3.6.16.
        let status =
            "status {\"hash\":1097104414,\"revision\":4,\"totalKey\":2,\"totalSize\":20480,\"version\":\"3.6.0\"}\n";
        let hashkv = "hashkv {\"hash\":2063754368,\"hashRevision\":4,\"compactRevision\":3}\n";
        let seen = read(&format!("{status}{hashkv}"), true).unwrap();
        assert_eq!(
            (seen.revision, seen.file_hash, seen.keys_hash),
            (4, 1097104414, Some((2063754368, 3)))
        );
        assert_eq!(read(status, false).unwrap().keys_hash, None);
        assert_eq!(read(status, true), None);
        assert_eq!(read("status what?\n", false), None);
    }

    #[tokio::test]
    async fn the_snapshot_is_there_while_it_is_looked_at_and_gone_afterwards() {
        let bed = Testbed::new();
        let program = bed.path("etcdutl");
        let note = bed.path("note");
        let text = format!(
            "#!/bin/sh\ncase $1 in snapshot) file=$3 ;; *) file=$2; echo \"$@\" >>{note} ;; esac\necho \"$file\" >>{note}\n\
             cat \"$file\" >>{note}\necho '{{\"hash\":7,\"revision\":9,\"compactRevision\":-1}}'\n"
        );
        bed.write(&program, &text);
        set_mode(&program, 0o755);
        let bytes = b"a snapshot\n";
        let what = |sent: &'static [u8]| Examine {
            program: &program,
            account: &bed.desired.user,
            sha256: hex::encode(Sha256::digest(bytes)),
            size: bytes.len() as u64,
            open: Arc::new(move || Ok(Box::new(sent))),
            revision: Some(8),
        };
        let seen = bed.host().examine(what(bytes)).await.unwrap();
        assert_eq!((seen.revision, seen.keys_hash), (9, Some((7, -1))));
        let noted = bed.read(&note);
        let lines: Vec<&str> = noted.lines().collect();
        assert_eq!((lines[1], lines[4]), ("a snapshot", "a snapshot"), "{noted}");
        assert!(lines[2].ends_with("--rev 8 -w json"), "{noted}");
        let place = std::path::Path::new(lines[0]).parent().unwrap();
        assert!(!place.exists(), "{} is left", place.display());

        let error = bed.host().examine(what(b"b snapshot\n")).await.unwrap_err();
        assert!(error.to_string().contains("is not what was sent"), "{error}");
    }
}
