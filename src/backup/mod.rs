//! Backups: taken from a living member, sealed, checked, and read again for a restore.
//!
//! | file | what |
//! |---|---|
//! | [`manifest`] | what a backup says of itself |
//! | [`format`] | how a `.qbackup` is laid out |
//! | [`mod@write`] | the file as it grows: `.part`, synced, renamed |
//! | [`mod@take`] | from a member's snapshot stream to a file |
//! | [`source`](mod@source) | what a restore accepts, told apart and opened |
//! | [`mod@check`] | the checks that the bytes pass on the way out |
//! | `database` | what a bbolt file tells of itself |
//! | [`error`] | what can be wrong with any of it, and what to do |

pub mod check;
mod database;
pub mod error;
pub mod format;
pub mod manifest;
pub mod source;
pub mod take;
pub mod write;

#[cfg(test)]
mod tests;

pub use error::BackupError;
pub use manifest::{KeyspaceHash, Manifest, ManifestMember, SnapshotDigest};
pub use source::{Kind, Source, Unlocked, damage};
pub use take::{About, take};
pub use write::{Seal, file_name};
