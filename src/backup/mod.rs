//! Backups: taken from a living member, sealed, checked, and read again for a restore.
//!
//! | file | what |
//! |---|---|
//! | [`manifest`] | what a backup says of itself |
//! | [`format`] | how a `.qbackup` is laid out |
//! | [`mod@write`] | the file as it grows: `.part`, synced, renamed |
//! | [`mod@take`] | from a member's snapshot stream to a file |
//! | [`error`] | what can be wrong with any of it, and what to do |

pub mod error;
pub mod format;
pub mod manifest;
pub mod take;
pub mod write;

pub use error::BackupError;
pub use manifest::{KeyspaceHash, Manifest, ManifestMember, SnapshotDigest};
pub use take::{About, take};
pub use write::{Seal, file_name};
