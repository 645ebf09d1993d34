//! The version texts that servers send.

use crate::inventory::{NameError, Version};

/// Reads what a server says it is. Builds from source say `3.6.0-alpha.0` or `3.5.30+git`, of which the numbers count.
pub(super) fn server_version(text: &str) -> Result<Version, NameError> {
    text.split(['-', '+']).next().unwrap_or(text).parse()
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
    }
}
