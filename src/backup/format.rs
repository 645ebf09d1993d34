//! The layout of a `.qbackup`.
//!
//! ```text
//! {"quorate_backup":2,...,"signature":{...}}           one line of JSON, spaces up to 16 KiB, newline
//! age-encryption.org/v1 ...                            binary age file of: the snapshot, then the JSON again, without the signature
//! ```
//!
//! The line is there to be read by people and by `backup list`. The copy inside is what counts: age authenticates it, and
//! a reader holds the line against it. Without quorate: `tail -n +2 FILE | age -d -i KEY | head -c SIZE > snapshot.db`.

use serde::Serialize;

use super::manifest::Manifest;
use super::signature::Signature;

/// Bytes from the file's beginning to the age stream: fixed, because the line is filled in last.
pub const HEAD: usize = 16 * 1024;

/// What a backup begins with, whatever its format number.
pub const MAGIC: &[u8] = b"{\"quorate_backup\":";

/// The manifest's bytes, as they stand inside the seal.
///
/// # Errors
/// When a value cannot be written as JSON.
pub fn json(manifest: &Manifest) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(manifest)
}

/// The manifest's bytes as they stand in front: with the signature behind.
///
/// # Errors
/// When a value cannot be written as JSON.
pub fn signed_json(manifest: &Manifest, signature: Option<&Signature>) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Signed<'a> {
        #[serde(flatten)]
        manifest: &'a Manifest,
        #[serde(skip_serializing_if = "Option::is_none")]
        signature: Option<&'a Signature>,
    }
    serde_json::to_vec(&Signed { manifest, signature })
}

/// The head of the file for these bytes of JSON; `None` when they do not fit.
pub fn head(json: &[u8]) -> Option<Vec<u8>> {
    if json.len() >= HEAD {
        return None;
    }
    let mut head = json.to_vec();
    head.resize(HEAD - 1, b' ');
    head.push(b'\n');
    Some(head)
}
