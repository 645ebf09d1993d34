//! What a cluster's certificates come from: its CA, with the key or without, and the certificates that members have now.

use std::path::Path;

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::super::args::Adopt;
use super::super::error::{Exit, Failure};
use super::super::session::Session;
use super::{clear, contents};
use crate::host::{Content, Directory, FactsQuery, Generation, GenerationFile, Owner, Push};
use crate::inventory::{DesiredHost, HostPath, NodeName};
use crate::ops::adopt::Hurdle;
use crate::ops::adopt::member::Member;
use crate::pki::{Certificate, HOST_FILES, SecretPem, Signer, bundle_pem, host_bundle};
use crate::report::chain;

/// The one CA that every member checks clients and peers against.
pub(super) async fn the_ca(session: &Session, members: &[Member]) -> Result<Certificate, Failure> {
    let mut found: Option<Certificate> = None;
    let mut hurdles = Vec::new();
    for member in members {
        let paths = member.trusted.iter().filter_map(|path| path.parse().ok()).collect();
        let texts = contents(session, &member.name, paths).await?;
        for path in &member.trusted {
            let bundle = texts.get(path).map(|text| Certificate::bundle_from_pem(text));
            let ca = match bundle {
                Some(Ok(bundle)) if bundle.len() == 1 => bundle.into_iter().next(),
                Some(Ok(bundle)) => {
                    hurdles.push(Hurdle::on(
                        &member.name,
                        format!("{path} has {} CA certificates", bundle.len()),
                        "leave the one that signed the certificates of members and clients, and restart the members one by one",
                    ));
                    continue;
                }
                Some(Err(error)) => {
                    hurdles.push(Hurdle::on(&member.name, format!("{path}: {error}"), "correct it"));
                    continue;
                }
                None => {
                    hurdles.push(Hurdle::on(&member.name, format!("{path} is not there"), "restore it"));
                    continue;
                }
            };
            match (&found, ca) {
                (Some(one), Some(ca)) if *one != ca => hurdles.push(Hurdle::on(
                    &member.name,
                    format!("{path} has another CA than the first member's for clients"),
                    "quorate has one CA for clients and peers: have the members trust one, and restart them one by one",
                )),
                (None, ca) => found = ca,
                _ => {}
            }
        }
    }
    clear(hurdles)?;
    found.ok_or_else(|| Failure::new(Exit::Blocked, "no CA was found").hint("see `trusted-ca-file` of the members"))
}

/// What members are asked with, and whether anything can be issued.
pub(super) enum Way<'a> {
    /// The CA's key.
    Key(&'a Path),
    /// A client's certificate and key.
    Borrowed(&'a Path, &'a Path),
}

impl<'a> Way<'a> {
    /// As it was typed: one of them is there.
    pub(super) fn typed(args: &'a Adopt) -> Result<Self, Failure> {
        match (&args.ca_key, &args.client_cert, &args.client_key) {
            (Some(key), _, _) => Ok(Way::Key(key)),
            (None, Some(certificate), Some(key)) => Ok(Way::Borrowed(certificate, key)),
            _ => Err(Failure::new(Exit::Usage, "nothing to ask the members with").hint(
                "pass the CA's key with --ca-key, or, where nobody has it, a client's certificate with --client-cert and --client-key",
            )),
        }
    }

    pub(super) fn is_keyless(&self) -> bool {
        matches!(self, Way::Borrowed(..))
    }
}

/// Takes the CA in: its key, or what is borrowed instead, sealed to the operators. What an earlier run has taken in stays.
pub(super) async fn take_in(session: &Session, way: &Way<'_>, ca: &Certificate) -> Result<(), Failure> {
    let vault = session.vault();
    if !vault.dir().status()?.is_empty() {
        let same = vault.dir().trusted()?.as_slice() == std::slice::from_ref(ca);
        return match same && vault.is_keyless() == way.is_keyless() {
            true => Ok(()),
            false => Err(Failure::new(
                Exit::Usage,
                format!("{} already has a CA", vault.dir().path().display()),
            )
            .hint("run this in an empty directory, or move that one away")),
        };
    }
    match way {
        Way::Key(path) => {
            let key = read(path, "pass the private key of the members' CA with --ca-key FILE")?;
            vault
                .take_in(&bundle_pem(std::slice::from_ref(ca)), SecretPem::new(key))
                .await?;
        }
        Way::Borrowed(certificate, key) => {
            let help = "pass a client certificate of the members' CA with --client-cert FILE, and its key with --client-key FILE";
            let text = read(certificate, help)?;
            let key = SecretPem::new(read(key, help)?);
            fits(&text, &key, ca).map_err(|why| Failure::new(Exit::Usage, why).hint(help))?;
            vault.borrow(ca, text.to_string(), key).await?;
        }
    }
    Ok(vault.dir().note_taken_over(ca)?)
}

fn read(path: &Path, help: &str) -> Result<Zeroizing<String>, Failure> {
    std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|error| Failure::new(Exit::Usage, format!("cannot read {}: {error}", path.display())).hint(help))
}

/// Whether members let whoever has this certificate and key in.
fn fits(text: &str, key: &SecretPem, ca: &Certificate) -> Result<(), String> {
    let signer = Signer::new(text, key).map_err(|error| chain(&error))?;
    let certificate = signer.certificate();
    let facts = certificate.facts();
    if !certificate.is_issued_by(ca) {
        return Err(format!(
            "the client certificate `{}` is not from the members' CA `{}`",
            facts.subject,
            ca.facts().subject
        ));
    }
    match Timestamp::now() < facts.not_after {
        true => Ok(()),
        false => Err(format!(
            "the client certificate `{}` expired at {}",
            facts.subject, facts.not_after
        )),
    }
}

/// The certificates that a member has now, with their keys, as quorate keeps them: copies, on the same host. Keys never
/// leave it.
pub(super) type Kept = Vec<(NodeName, Vec<GenerationFile>)>;

/// What each member goes on with while nothing can be issued.
///
/// # Errors
/// Every certificate that would not do.
pub(super) async fn certificates(session: &Session, members: &[Member], ca: &Certificate) -> Result<Kept, Failure> {
    let (mut kept, mut hurdles) = (Kept::new(), Vec::new());
    for member in members {
        let [[server, server_key], [peer, peer_key]] = &member.pairs;
        let named = [server, server_key, peer, peer_key];
        let paths: Vec<HostPath> = named.iter().filter_map(|path| path.parse().ok()).collect();
        let query = FactsQuery {
            contents: paths.clone(),
            ..FactsQuery::default()
        };
        let facts = session
            .fleet()
            .host(session.spec(&member.name)?)
            .await?
            .facts(&query)
            .await?;
        let mut files = vec![public("ca.crt", host_bundle(std::slice::from_ref(ca)))];
        for (name, path) in HOST_FILES[1..].iter().zip(named) {
            let found = paths
                .iter()
                .find(|p| p.as_str() == path)
                .and_then(|p| Some((p, facts.files.get(p)?)));
            let Some((path, file)) = found else {
                hurdles.push(Hurdle::on(&member.name, format!("{path} is not there"), "restore it"));
                continue;
            };
            if name.ends_with(".crt")
                && let Err(why) = will_do(file.content.as_deref().unwrap_or_default(), ca)
            {
                let help = "have it issued again by its CA first, or pass the CA's key with --ca-key";
                hurdles.push(Hurdle::on(&member.name, format!("{path} {why}"), help));
            }
            files.push(GenerationFile {
                name: (*name).to_owned(),
                mode: 0o640,
                sha256: file.sha256.clone(),
                content: Content::Existing(path.clone()),
            });
        }
        kept.push((member.name.clone(), files));
    }
    clear(hurdles)?;
    Ok(kept)
}

fn public(name: &str, text: String) -> GenerationFile {
    GenerationFile {
        name: name.to_owned(),
        mode: 0o640,
        sha256: hex::encode(Sha256::digest(&text)),
        content: Content::Plain(Bytes::from(text)),
    }
}

fn will_do(text: &str, ca: &Certificate) -> Result<(), String> {
    let leaf = Certificate::from_pem(text).map_err(|error| format!("cannot be read: {error}"))?;
    if !leaf.is_issued_by(ca) {
        return Err("is not directly from the CA that the members trust".into());
    }
    match Timestamp::now() < leaf.facts().not_after {
        true => Ok(()),
        false => Err(format!("expired at {}", leaf.facts().not_after)),
    }
}

/// Puts them where quorate keeps certificates. The process goes on with its own files until its turn comes.
pub(super) async fn keep(session: &Session, spec: &DesiredHost, files: Vec<GenerationFile>) -> Result<String, Failure> {
    let readers = spec.user.clone();
    let above = spec.paths.pki.parent().parse::<HostPath>().ok();
    let directory = |path, mode, owner| Directory { path, mode, owner };
    let own = directory(spec.paths.pki.clone(), 0o750, Some(Owner::Readers(readers.clone())));
    let push = Push {
        directories: above
            .map(|path| directory(path, 0o755, None))
            .into_iter()
            .chain([own])
            .collect(),
        generations: vec![Generation {
            dir: spec.paths.pki.clone(),
            readers: Some(readers),
            salt: String::new(),
            files,
        }],
        ..Push::default()
    };
    session.fleet().host(spec).await?.push(&push, &|_, _| {}).await?;
    Ok(format!("copied on the host to {}", spec.paths.pki))
}
