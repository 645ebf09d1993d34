//! `kube files`: a client certificate under the names, and the configuration in the form, that a consumer expects.

use std::path::PathBuf;

use super::super::args::Global;
use super::super::args::KubeFiles;
use super::super::error::{Exit, Failure};
use super::super::files::{nothing_is_replaced, with_lines, write, write_together};
use super::super::session::Session;
use crate::clients::kube::{Choices, Identity, files as rendered, gitignore, paths};
use crate::inventory::{AuthMode, Desired};
use crate::pki::{bundle_pem, client_spec};

/// Writes them below one directory; what is there already is replaced only when asked.
///
/// # Errors
/// When the consumer cannot have what was asked for, files would be replaced, or the CA cannot be opened; nothing is issued then.
pub async fn files(global: &Global, args: &KubeFiles) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let desired = session.desired();
    let consumer = args.consumer;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(consumer.name()));
    let choices = choices(desired, args)?;
    let user = args.user.as_deref().unwrap_or(consumer.user());
    may_log_in(desired, user)?;
    if !args.replace {
        nothing_is_replaced(&out, paths(consumer))?;
    }
    let ignored = with_lines(&out.join(".gitignore"), &gitignore(consumer))?;

    let validity = args.validity.unwrap_or(desired.pki.leaf_validity);
    let spec =
        client_spec(user, validity, desired.pki.key_type).map_err(|e| Failure::new(Exit::Usage, &e).hint(e.hint()))?;
    let name = args.name.as_deref().unwrap_or(user);
    let (trusted, issued) = session.vault().issue_client(name, &spec).await?;
    let ca = bundle_pem(&trusted);
    let identity = Identity {
        ca: &ca,
        cert: &issued.cert_pem,
        key: issued.key.expose_pem(),
    };
    let given = rendered(desired, &choices, identity).map_err(|e| Failure::new(Exit::Unexpected, &e).hint(e.hint()))?;
    // First, so that no key is ever there without it.
    write(&out, ".gitignore", 0o644, &ignored)?;
    let mode = |secret| if secret { 0o600 } else { 0o644 };
    write_together(
        &out,
        given
            .iter()
            .map(|file| (file.path, mode(file.secret), file.text.as_str())),
    )?;
    let (place, count) = (out.display().to_string(), given.len());
    session.finish(
        true,
        count,
        format!(
            "{count} files for {} in {place}, valid until {}; recorded in issued.yml as `{name}`: commit it. Next: {}",
            consumer.name(),
            issued.facts.not_after,
            consumer.next(&place)
        ),
    );
    Ok(Exit::Done)
}

fn choices(desired: &Desired, args: &KubeFiles) -> Result<Choices, Failure> {
    let consumer = args.consumer;
    if args.prefix.is_some() {
        consumer.takes_prefix().map_err(|why| {
            Failure::new(Exit::Usage, format!("{} cannot have --prefix: {why}", consumer.name()))
                .hint("use an etcd cluster of its own")
        })?;
    }
    let named = |typed: &Option<crate::inventory::ClusterName>, usual: &str| {
        typed.as_ref().map_or_else(|| usual.to_owned(), ToString::to_string)
    };
    Ok(Choices {
        consumer,
        prefix: args.prefix.clone(),
        kubernetes: named(&args.cluster_name, desired.cluster.as_str()),
        namespace: named(&args.namespace, "default"),
    })
}

/// With etcd's authentication on, a client that is no user gets nowhere.
fn may_log_in(desired: &Desired, user: &str) -> Result<(), Failure> {
    if desired.auth.mode != AuthMode::On || desired.auth.users.contains_key(user) {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Inventory,
        format!("etcd's authentication is on, and `{user}` is no user of it"),
    )
    .hint(
        "add it to `users` with a role that may read and write its prefix (for API servers `/registry/` and \
         `compact_rev_key`), run `quorate up`, then run this again",
    ))
}
