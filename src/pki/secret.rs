//! A private key's text, which cannot be printed, logged or serialised by accident.

use std::fmt;

use zeroize::Zeroizing;

/// A private key in PEM. Wiped from memory when dropped; `Debug` shows `[secret]`; there is no `Display` and
/// no `Serialize`, so it cannot end up in an event, a plan or an error.
#[derive(Clone)]
pub struct SecretPem(Zeroizing<String>);

impl SecretPem {
    /// Takes over `pem`; the caller's buffer moves in, no copy is left behind.
    pub fn new(pem: Zeroizing<String>) -> Self {
        Self(pem)
    }

    /// The key itself. The only way to it: every use is a place to look at in a review.
    pub fn expose_pem(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_holds_the_key() {
        let secret = SecretPem::new(Zeroizing::new("-----BEGIN PRIVATE KEY-----".to_owned()));
        assert_eq!(format!("{secret:?}"), "[secret]");
        assert_eq!(format!("{:#?}", Some(&secret)), "Some(\n    [secret],\n)");
        assert_eq!(secret.expose_pem(), "-----BEGIN PRIVATE KEY-----");
    }
}
