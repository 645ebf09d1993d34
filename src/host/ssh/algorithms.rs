//! Which algorithms are agreed on: what is fast and sound first, then whatever the operator's OpenSSH would use too.

use std::borrow::Cow;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Preferred, cipher, compression, kex, mac};

use super::settings::Algorithms;

/// Key exchanges. RHEL's crypto policies offer all of them but ML-KEM and those on curve 25519 in FIPS mode, where the
/// curves of NIST and the groups of RFC 3526 are left; finite fields of 2048 bits come last.
const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_GEX_SHA256,
    kex::DH_G16_SHA512,
    kex::DH_G18_SHA512,
    kex::DH_G17_SHA512,
    kex::DH_G15_SHA512,
    kex::DH_G14_SHA256,
];

/// What is not an algorithm, but is told among the key exchanges.
const EXTENSIONS: &[kex::Name] = &[
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

/// Ciphers, fast ones first.
const CIPHERS: &[cipher::Name] = &[
    cipher::AES_256_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_128_GCM,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];

const MACS: &[mac::Name] = &[
    mac::HMAC_SHA512_ETM,
    mac::HMAC_SHA256_ETM,
    mac::HMAC_SHA512,
    mac::HMAC_SHA256,
];

/// For a host of which keys of the types `known` are pinned, and perhaps an `authority` that certifies its keys.
/// `allowed` is what the operator's OpenSSH would use: what is not among ours goes to the end.
pub(super) fn preferred(known: &[Algorithm], authority: bool, allowed: &Algorithms) -> Preferred {
    let same = |a: &Algorithm, b: &Algorithm| match (a, b) {
        (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
        _ => a == b,
    };
    let all = with(&host_key_types(), &allowed.host_keys, |name| name.parse().ok());
    // A host that is known by its RSA key would show its Ed25519 key otherwise, and look unknown.
    let (first, rest): (Vec<_>, Vec<_>) = all
        .iter()
        .cloned()
        .partition(|kind| known.iter().any(|known| same(kind, known)));
    let kex = with(KEX, &allowed.kex, |name| kex::Name::try_from(name).ok());
    let kex = kex.into_iter().chain(EXTENSIONS.iter().copied()).collect();
    Preferred {
        kex: Cow::Owned(kex),
        key: Cow::Owned([first, rest].concat()),
        host_key_certificates: Cow::Owned(if authority { host_key_types() } else { Vec::new() }),
        cipher: Cow::Owned(with(CIPHERS, &allowed.ciphers, |name| {
            cipher::Name::try_from(name).ok()
        })),
        mac: Cow::Owned(with(MACS, &allowed.macs, |name| mac::Name::try_from(name).ok())),
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}

/// `ours`, and what else there is of `names`, in their order.
fn with<T: PartialEq + Clone>(ours: &[T], names: &[String], known: impl Fn(&str) -> Option<T>) -> Vec<T> {
    let mut all = ours.to_vec();
    for one in names.iter().filter_map(|name| known(name)) {
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all
}

/// Ed25519 first; SHA-1 only where the operator's OpenSSH was told to.
fn host_key_types() -> Vec<Algorithm> {
    let ecdsa = |curve| Algorithm::Ecdsa { curve };
    let rsa = |hash| Algorithm::Rsa { hash: Some(hash) };
    vec![
        Algorithm::Ed25519,
        ecdsa(EcdsaCurve::NistP256),
        ecdsa(EcdsaCurve::NistP384),
        ecdsa(EcdsaCurve::NistP521),
        rsa(HashAlg::Sha512),
        rsa(HashAlg::Sha256),
    ]
}
