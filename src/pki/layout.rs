//! Which certificate files a host gets, below its `paths.pki`. Pure.

use super::authority::Issued;
use super::certificate::{Certificate, bundle_pem};
use super::secret::SecretPem;

/// One file below a host's `paths.pki`, owned by the account etcd runs as.
#[derive(Debug, Clone)]
pub struct PkiFile {
    /// Its name in the directory.
    pub name: &'static str,
    /// Its permissions.
    pub mode: u32,
    /// What is in it.
    pub content: FileContent,
}

/// A file's content, apart by whether it may be shown.
#[derive(Debug, Clone)]
pub enum FileContent {
    /// Certificates; may be diffed and printed.
    Public(String),
    /// A private key.
    Secret(SecretPem),
}

impl FileContent {
    /// The bytes to write, secret or not. For the code that puts the file on the host, and nothing else.
    pub fn expose_bytes(&self) -> &[u8] {
        match self {
            FileContent::Public(text) => text.as_bytes(),
            FileContent::Secret(key) => key.expose_pem().as_bytes(),
        }
    }
}

/// What a host trusts, as the text of its `ca.crt`: oldest CA first, whichever signs. etcd reads the file once, at its
/// start; in this order it does not change when the next CA takes over from the one before.
pub fn host_bundle(trusted: &[Certificate]) -> String {
    let mut sorted = trusted.to_vec();
    sorted.sort_by(|a, b| (a.facts().not_before, &a.facts().sha256).cmp(&(b.facts().not_before, &b.facts().sha256)));
    bundle_pem(&sorted)
}

/// The names of [`host_files`], in their order.
pub const HOST_FILES: [&str; 5] = ["ca.crt", "server.crt", "server.key", "peer.crt", "peer.key"];

/// The five files that belong together: etcd rereads a certificate and its key at every handshake and refuses a
/// mixed pair, so they go into a fresh directory and become current in one step. The CA's key is never among them.
pub fn host_files(trusted: &[Certificate], server: &Issued, peer: &Issued) -> [PkiFile; 5] {
    let public = |name, text: String| PkiFile {
        name,
        mode: 0o644,
        content: FileContent::Public(text),
    };
    let secret = |name, key: &SecretPem| PkiFile {
        name,
        mode: 0o600,
        content: FileContent::Secret(key.clone()),
    };
    [
        public("ca.crt", host_bundle(trusted)),
        public("server.crt", server.cert_pem.clone()),
        secret("server.key", &server.key),
        public("peer.crt", peer.cert_pem.clone()),
        secret("peer.key", &peer.key),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::KeyType;
    use crate::pki::test_keys::{authority, desired, host, now};
    use crate::pki::{peer_spec, server_spec};

    #[test]
    fn a_host_gets_five_files_and_never_the_ca_key() {
        let (old, new) = (authority(KeyType::EcdsaP256), authority(KeyType::EcdsaP256));
        let host = host("etcd-1", "10.0.0.1");
        let server = new.issue(&server_spec(&desired(), &host), now()).unwrap();
        let peer = new.issue(&peer_spec(&desired(), &host), now()).unwrap();
        let files = host_files(&[old.certificate().clone(), new.certificate().clone()], &server, &peer);

        let shape: Vec<_> = files.iter().map(|file| (file.name, file.mode)).collect();
        let expected = [
            ("ca.crt", 0o644),
            ("server.crt", 0o644),
            ("server.key", 0o600),
            ("peer.crt", 0o644),
            ("peer.key", 0o600),
        ];
        assert_eq!(shape, expected);
        for file in &files {
            let bytes = std::str::from_utf8(file.content.expose_bytes()).unwrap();
            assert!(!bytes.contains(new.key().expose_pem()));
            assert_eq!(bytes.contains("PRIVATE KEY"), file.mode == 0o600, "{}", file.name);
            assert!(!format!("{file:?}").contains("PRIVATE KEY"));
        }
        let trusted = std::str::from_utf8(files[0].content.expose_bytes()).unwrap();
        assert_eq!(Certificate::bundle_from_pem(trusted).unwrap().len(), 2);
    }
}
