//! The key files that the operator's configuration names: those that log in may also open what is sealed.

use std::path::PathBuf;

use super::environment::{self, SshEnvironment};
use super::route::usual_files;
use super::tokens::Tokens;
use crate::inventory::SshTarget;

/// The key files that log in to `targets`, each once: typed ones, then `IdentityFile`s of the configuration, then the
/// usual ones. Whether they exist is another question. Blocks for as long as `ssh -G` takes.
pub fn identity_files<'a>(targets: impl IntoIterator<Item = &'a SshTarget>, env: &SshEnvironment) -> Vec<PathBuf> {
    let targets: Vec<&SshTarget> = targets.into_iter().collect();
    let typed = targets.iter().flat_map(|target| target.identity.iter().cloned());
    let configured = targets.iter().flat_map(|target| configured(target, env));
    let mut files: Vec<PathBuf> = Vec::new();
    for file in typed.chain(configured).chain(usual_files(&env.home)) {
        if !files.contains(&file) {
            files.push(file);
        }
    }
    files
}

fn configured(target: &SshTarget, env: &SshEnvironment) -> Vec<PathBuf> {
    if !target.use_config || !target.identity.is_empty() {
        return Vec::new();
    }
    let user = target.user.as_deref();
    // A configuration that cannot be read is told where it leads to a host.
    let Ok(settings) = environment::look_up(&env.home, &env.system, &target.host, user, target.port) else {
        return Vec::new();
    };
    let tokens = Tokens {
        home: &env.home,
        typed: &target.host,
        host: settings.hostname.as_deref().unwrap_or(&target.host),
        port: target.port.or(settings.port).unwrap_or(22),
        user: user.or(settings.user.as_deref()).unwrap_or("root"),
        alias: settings.host_key_alias.as_deref(),
    };
    settings
        .identity
        .iter()
        .filter_map(|file| tokens.path(file).ok())
        .collect()
}
