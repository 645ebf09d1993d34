//! Whether a certificate that a company's CA returned can be the cluster's CA: by what it says, and by issuing with it
//! and letting a TLS library judge the result against the company's root, since constraints can stand anywhere above.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::parse_x509_certificate;

use super::authority::Authority;
use super::certificate::{Certificate, bundle_pem};
use super::external::Expectations;
use super::sealed::CaSecret;
use super::spec::LeafSpec;

/// The cluster's CA among `bundle`, and those above it, root last.
///
/// # Errors
/// Every problem, in sentences.
pub(super) fn judge(
    bundle: &[Certificate],
    request: &CaSecret,
    expected: &Expectations<'_>,
) -> Result<(Certificate, Vec<Certificate>), Vec<String>> {
    let requested = &request.certificate.facts().spki_sha256;
    let Some(own) = bundle.iter().find(|cert| cert.facts().spki_sha256 == *requested) else {
        let subjects: Vec<&str> = bundle.iter().map(|cert| cert.facts().subject.as_str()).collect();
        return Err(vec![format!(
            "none of the {} certificates in it is for the key of the request (they are: {})",
            bundle.len(),
            subjects.join("; ")
        )]);
    };
    let mut problems = says(own, expected);
    let above = chain(own, bundle, expected.now, &mut problems);
    if problems.is_empty() {
        problems.extend(issues(own, &above, request, expected));
    }
    match problems.is_empty() {
        true => Ok((own.clone(), above)),
        false => Err(problems),
    }
}

/// What the certificate itself says.
fn says(own: &Certificate, expected: &Expectations<'_>) -> Vec<String> {
    let facts = own.facts();
    let mut problems = Vec::new();
    if !facts.ca {
        problems.push("it may not sign certificates: it needs CA:TRUE and the key usage keyCertSign".to_owned());
    }
    if !(facts.server_auth && facts.client_auth) {
        problems.push(
            "its extended key usages exclude serverAuth or clientAuth: etcd needs both, in one certificate".to_owned(),
        );
    }
    let now = expected.now;
    let outlives = now.checked_add(expected.leaf_validity).unwrap_or(Timestamp::MAX);
    if now < facts.not_before {
        problems.push(format!("it is not valid before {}", facts.not_before));
    } else if now >= facts.not_after {
        problems.push(format!("it expired at {}", facts.not_after));
    } else if facts.not_after < outlives {
        problems.push(format!(
            "it expires at {}, before certificates issued today (`pki.leaf_validity`)",
            facts.not_after
        ));
    }
    if own.is_issued_by(own) {
        problems.push("it is signed by its own key, not by the company's CA".to_owned());
    }
    problems
}

/// Those above it, up to a root, as far as they are there.
fn chain(own: &Certificate, bundle: &[Certificate], now: Timestamp, problems: &mut Vec<String>) -> Vec<Certificate> {
    let mut above: Vec<Certificate> = Vec::new();
    let mut last = own;
    while !last.is_issued_by(last) {
        let known = |cert: &&Certificate| last.is_issued_by(cert) && !above.contains(cert);
        let Some(issuer) = bundle.iter().find(known) else {
            problems.push(format!(
                "the certificate of its issuer `{}` is missing: include all of them, up to the root",
                last.facts().issuer
            ));
            return above;
        };
        let facts = issuer.facts();
        if now < facts.not_before || now >= facts.not_after {
            problems.push(format!(
                "`{}` above it is valid from {} to {} only",
                facts.subject, facts.not_before, facts.not_after
            ));
        }
        // A TLS library need not judge what the root says of itself; Go's does, and etcd is written in Go.
        if !facts.ca || path_length(issuer).is_some_and(|most| (most as usize) < above.len() + 1) {
            problems.push(format!("`{}` above it does not allow a CA below it", facts.subject));
        }
        if !(facts.server_auth && facts.client_auth) {
            problems.push(format!(
                "the extended key usages of `{}` above it exclude serverAuth or clientAuth",
                facts.subject
            ));
        }
        above.push(issuer.clone());
        last = issuer;
    }
    above
}

/// How many CAs may stand between a CA and the leaf, where that is limited.
fn path_length(ca: &Certificate) -> Option<u32> {
    let (_, x509) = parse_x509_certificate(ca.der()).ok()?;
    x509.basic_constraints().ok()??.value.path_len_constraint
}

/// Issues every certificate that hosts need, and has them checked from the root down.
fn issues(own: &Certificate, above: &[Certificate], request: &CaSecret, expected: &Expectations<'_>) -> Vec<String> {
    let authority = match Authority::load(
        &bundle_pem(std::slice::from_ref(own)),
        request.key.clone(),
        expected.now,
    ) {
        Ok(authority) => authority,
        Err(error) => return vec![error.to_string()],
    };
    let mut problems: Vec<String> = Vec::new();
    for leaf in expected.leaves {
        let verdict = authority
            .issue(leaf, expected.now)
            .map_err(|error| error.to_string())
            .and_then(|issued| Certificate::from_pem(&issued.cert_pem).map_err(|error| error.to_string()))
            .and_then(|made| holds(leaf, &made, own, above, expected.now));
        if let Err(why) = verdict {
            let problem = format!(
                "a certificate for {} that it issues is not accepted: {why}",
                leaf.common_name
            );
            problems.push(problem);
        }
    }
    problems
}

/// Whether somebody who trusts the root alone takes the leaf, as that of a server and as that of a client.
fn holds(
    spec: &LeafSpec,
    leaf: &Certificate,
    own: &Certificate,
    above: &[Certificate],
    now: Timestamp,
) -> Result<(), String> {
    let der = |cert: &Certificate| CertificateDer::from(cert.der().to_vec());
    let mut roots = RootCertStore::empty();
    let root = above.last().unwrap_or(own);
    roots.add(der(root)).map_err(|error| error.to_string())?;
    let roots = Arc::new(roots);
    let between: Vec<_> = std::iter::once(own).chain(above).map(der).collect();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));

    let server = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(|error| error.to_string())?;
    for san in &spec.sans {
        let name = ServerName::try_from(san.to_string()).map_err(|error| error.to_string())?;
        server
            .verify_server_cert(&der(leaf), &between, &name, &[], at)
            .map_err(|error| format!("{san}: {error}"))?;
    }
    WebPkiClientVerifier::builder_with_provider(roots, provider)
        .build()
        .map_err(|error| error.to_string())?
        .verify_client_cert(&der(leaf), &between, at)
        .map_err(|error| error.to_string())?;
    Ok(())
}
