//! What is left of a member whose cluster is gone: its raft log, and its data on a private etcd.

use flate2::read::GzDecoder;

use super::data::Idle;
use super::trouble::not_understood;
use super::verbs::no_input;
use super::{Host, HostError, Running, scripts};
use crate::bounds;
use crate::inventory::{HostPath, NodeName};

/// No segment is longer: 64 MB, and the last entries.
const LONGEST: u64 = 128 << 20;

/// The newest WAL segment of a member.
#[derive(Debug, Clone)]
pub struct WalSegment {
    /// `SEQUENCE-FIRSTINDEX.wal`.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A private etcd on a copy of a member's data.
#[derive(Debug, Clone)]
pub struct PrivateMember<'a> {
    /// The directory for the copy, on the file system of the data.
    pub work: &'a HostPath,
    /// The program.
    pub etcd: &'a HostPath,
    /// The member's certificates.
    pub pki: &'a HostPath,
    /// Ports of the host's loopback: client, peer.
    pub ports: (u16, u16),
}

impl Host {
    /// Reads the newest WAL segment, whether the member runs or not.
    ///
    /// # Errors
    /// When there is none.
    pub async fn newest_wal(&self) -> Result<WalSegment, HostError> {
        let operation = "reading the raft log";
        let args = [self.paths.wal_files().to_string()];
        let output = self
            .call_as_owner(operation, Idle::NotNeeded, scripts::WAL, &args, no_input())
            .await?;
        let odd = |why: &str| not_understood(&self.node, operation, why);
        let mut parts = output.stdout.splitn(3, |byte| *byte == b'\n');
        let (Some(name), Some(packing), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(odd("the host did not report which segment it is"));
        };
        let read = match packing {
            b"gzip" => bounds::read(GzDecoder::new(rest), LONGEST),
            _ => bounds::read(rest, LONGEST),
        };
        let bytes = read.map_err(|error| odd(&error.to_string()))?;
        Ok(WalSegment {
            name: String::from_utf8_lossy(name).into_owned(),
            bytes,
        })
    }

    /// Starts a private etcd on a copy of the stopped member's data. It makes itself the only member of its copy
    /// (`--force-new-cluster`), listens on loopback alone and lets in nobody without a certificate. It ends, and the
    /// copy goes, when the returned standard input is dropped or the connection is lost.
    ///
    /// # Errors
    /// When the host cannot be reached. What keeps it from running is the script's own end.
    pub async fn start_private(&self, private: &PrivateMember<'_>) -> Result<Running, HostError> {
        let script = self.as_owner(Idle::Required, scripts::RESCUE, &self.private_args(private));
        self.transport.spawn(&script).await
    }

    fn private_args(&self, private: &PrivateMember<'_>) -> Vec<String> {
        let url = |port: u16| format!("https://127.0.0.1:{port}");
        let (client, peer) = (url(private.ports.0), url(private.ports.1));
        let mut args = vec![
            self.paths.data.to_string(),
            self.wal_word(),
            private.work.to_string(),
            private.etcd.to_string(),
        ];
        let mut flag = |name: &str, value: String| args.extend([format!("--{name}"), value]);
        flag("name", self.node.to_string());
        flag("logger", "zap".to_owned());
        flag("log-level", "warn".to_owned());
        flag("listen-client-urls", client.clone());
        flag("advertise-client-urls", client);
        flag("listen-peer-urls", peer.clone());
        flag("initial-advertise-peer-urls", peer.clone());
        flag("initial-cluster", initial(&self.node, &peer));
        for (side, pair) in [("", "server"), ("peer-", "peer")] {
            flag(
                &format!("{side}trusted-ca-file"),
                private.pki.join("ca.crt").to_string(),
            );
            flag(
                &format!("{side}cert-file"),
                private.pki.join(&format!("{pair}.crt")).to_string(),
            );
            flag(
                &format!("{side}key-file"),
                private.pki.join(&format!("{pair}.key")).to_string(),
            );
        }
        args.extend(["--client-cert-auth", "--peer-client-cert-auth", "--force-new-cluster"].map(str::to_owned));
        args
    }
}

fn initial(node: &NodeName, url: &str) -> String {
    format!("{node}={url}")
}
