//! The version texts that servers send.

use crate::inventory::{NameError, Version};

/// Reads what a server says it is. Builds from source say `3.6.0-alpha.0` or `3.5.30+git`, of which the numbers count.
pub(super) fn server_version(text: &str) -> Result<Version, NameError> {
    text.split(['-', '+']).next().unwrap_or(text).parse()
}

/// Reads the version of a form of storage, or of a whole cluster: only its minor counts, and `3.5` says as much as `3.5.0`.
pub(super) fn minor_version(text: &str) -> Result<Version, NameError> {
    match text.matches('.').count() {
        1 => server_version(&format!("{text}.0")),
        _ => server_version(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_count() {
        for text in ["3.6.0", "3.6.0-alpha.0", "3.6.0+git"] {
            assert_eq!(server_version(text), Ok(Version::new(3, 6, 0)));
        }
        assert!(server_version("not_decided").is_err());
        for text in ["3.5", "3.5.0"] {
            assert_eq!(minor_version(text), Ok(Version::new(3, 5, 0)));
        }
        assert!(minor_version("3").is_err());
    }
}
