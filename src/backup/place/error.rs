//! What can go wrong with a place.

use std::io;
use std::path::PathBuf;

use crate::bounds::Exceeded;

/// Why a backup could not be put somewhere, or be read there.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum PlaceError {
    /// Who we are there is not known.
    #[error("{place}: there are no credentials for S3: {why}")]
    Credentials { place: String, why: String },
    /// The place does not do what it is asked.
    #[error("{place}: {operation}: {why}")]
    Refused {
        place: String,
        operation: &'static str,
        why: String,
    },
    /// Somebody has filled it.
    #[error("there are {files} files with the name of a backup; the limit is {most}")]
    Crowded { files: usize, most: usize },
    /// Many answers, each of them slow.
    #[error("reading the first lines of what is there: {exceeded}")]
    Slow { exceeded: Exceeded },
    /// A file of that name is there.
    #[error("{place} already has {name}")]
    Exists { place: String, name: String },
    /// No such file.
    #[error("{place} has no {name}")]
    Missing { place: String, name: String },
    /// What arrived is not what was sent.
    #[error("{place}: {name} arrived with {found} bytes instead of {sent}")]
    Short {
        place: String,
        name: String,
        sent: u64,
        found: u64,
    },
    /// The file here.
    #[error("cannot use {}", path.display())]
    Local { path: PathBuf, source: io::Error },
}

impl PlaceError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            PlaceError::Credentials { .. } => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or put them into ~/.aws/credentials (AWS_PROFILE names the \
                 profile)"
            }
            PlaceError::Refused { .. } => {
                "check the address, AWS_ENDPOINT_URL and AWS_REGION for storage that is not Amazon's, and the permissions of these \
                 credentials"
            }
            PlaceError::Crowded { .. } => "find out who put them there, and delete what is no backup of yours",
            PlaceError::Slow { .. } => "the place is slow, or has too many files: look at it, or use another prefix",
            PlaceError::Exists { .. } => "backups are never overwritten",
            PlaceError::Missing { .. } => "see `quorate backup list --at PLACE`",
            PlaceError::Short { .. } => "it does not count as a backup there: run this again",
            PlaceError::Local { .. } => "check the path and its permissions",
        }
        .to_owned()
    }
}
