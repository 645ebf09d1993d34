//! Certificates: which must exist, making them, reading them, and the CA key that only the operators can open.
//!
//! [`spec`] and [`mod@audit`] decide (pure), [`authority`] issues, [`certificate`] and [`facts`] read, and
//! [`layout`] says which files a host gets. The CA key is sealed ([`sealed`]) to [`recipient`]s, opened with
//! the operator's own key files ([`identity`], [`ssh_key`]) and kept beside the inventory ([`store`]). A CA gives way to
//! the next in three turns ([`rotation`]); [`issued`] remembers what clients got, [`crl`] takes it back; [`viewers`] are
//! operators who only look, [`passwords`] those of etcd's users that need one; [`external`]
//! puts a company's CA above it. [`signing`] signs what has to be told from forgeries later, [`retired`]
//! remembers the CAs that such signatures may come from, [`taken_over`] is a CA that something else made.
//!
//! The clock is always handed in.

pub mod audit;
pub mod authority;
pub mod certificate;
pub mod crl;
pub mod external;
pub mod facts;
pub mod identity;
pub mod issued;
pub mod layout;
pub mod operators;
pub mod passwords;
pub mod recipient;
pub mod retired;
pub mod rotation;
pub mod sealed;
pub mod secret;
pub mod signing;
pub mod spec;
pub mod ssh_key;
pub mod store;
pub mod taken_over;
pub mod throwaway;
mod trial;
pub mod viewers;

#[cfg(test)]
mod handshake_tests;
#[cfg(test)]
mod retired_tests;
#[cfg(test)]
mod rotation_tests;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod test_keys;

pub use audit::{AuditContext, LeafFinding, audit, must_reissue};
pub use authority::{Authority, AuthorityError, Issued};
pub use certificate::{CertError, Certificate, bundle_pem};
pub use external::{Expectations, Imported};
pub use facts::CertFacts;
pub use identity::{AskPassphrase, FittingKey, OpenError, Tried};
pub use issued::{IssuedList, IssuedRecord};
pub use layout::{FileContent, HOST_FILES, PkiFile, host_bundle, host_files};
pub use recipient::{Recipient, RecipientError};
pub use retired::Retired;
pub use rotation::{Rotation, Stage};
pub use secret::SecretPem;
pub use signing::{Signer, SignerError};
pub use spec::{
    LeafRole, LeafSpec, OPERATOR_SIGNER, SpecError, client_spec, nobody_spec, operator_spec, peer_common_name,
    peer_spec, server_spec, signer_spec,
};
pub use store::{CaStatus, PkiDir, StoreError};
pub use throwaway::Throwaway;
pub use viewers::{Viewer, Viewers};
