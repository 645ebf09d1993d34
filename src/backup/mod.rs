//! Backups: taken from a living member, sealed, checked, and read again for a restore.
//!
//! | file | what |
//! |---|---|
//! | [`manifest`] | what a backup says of itself |
//! | [`signature`], [`trust`] | who says so, and whether that counts |
//! | [`format`] | how a `.qbackup` is laid out |
//! | [`mod@write`] | the file as it grows: `.part`, synced, renamed |
//! | [`mod@take`] | from a member's snapshot stream to a file |
//! | [`source`](mod@source) | what a restore accepts, told apart and opened |
//! | [`mod@check`] | the checks that the bytes pass on the way out |
//! | `database` | what a bbolt file tells of itself |
//! | [`mod@list`], [`retention`] | the backups of a directory, and which of them to keep |
//! | [`tool`], [`mod@drill`] | which program restores, and the proof that it can |
//! | [`schedule`] | backups that the members take by themselves |
//! | [`place`] | where sealed backups are kept besides `backups/` |
//! | [`error`] | what can be wrong with any of it, and what to do |

pub mod check;
mod database;
pub mod drill;
pub mod error;
pub mod format;
pub mod list;
pub mod manifest;
pub mod place;
pub mod retention;
pub mod schedule;
pub mod signature;
pub mod source;
pub mod take;
pub mod tool;
pub mod trust;
pub mod write;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod trust_tests;

/// No backup is larger: a snapshot of the largest size, sealed.
pub const LARGEST_BACKUP: u64 = crate::etcd::LARGEST_SNAPSHOT + (1 << 30);

pub use drill::{DrillError, Findings, Programs, drill};
pub use error::BackupError;
pub use list::{Entry, Listing, list};
pub use manifest::{KeyspaceHash, Manifest, ManifestMember, SnapshotDigest};
pub use retention::{Candidate, Keep, expired};
#[cfg(test)]
pub(crate) use source::manifest_in;
pub use source::{Kind, Source, Unlocked, damage};
pub use take::{About, take};
pub use tool::RestoreTool;
pub use trust::{Doubt, SignedBy, Standing, Trust};
pub use write::{Seal, new_file};
