//! Where a release of etcd is tried: on the operator's machine where it can run there, else on a host.

use std::sync::Arc;

use super::bench::{Bench, TrialError};
use crate::bundle::{Bundle, Packing, Program};
use crate::host::{Host, HostFacts, LocalTransport, Transport, TrialProgram, Unpacker};
use crate::inventory::{Arch, DesiredHost, KeyType, NodeName, ServiceManager, Version};

/// What this machine is called where a host's name is expected.
const HERE: &str = "this-machine";

/// The bundle's etcd on this machine.
///
/// # Errors
/// Why it cannot run here: the bundle has none for this machine, or it does not run.
pub async fn here(bundle: &Bundle, version: Version, key_type: KeyType) -> Result<Bench, String> {
    let (os, this) = (std::env::consts::OS, std::env::consts::ARCH);
    let program = Arch::of_this_machine().and_then(|arch| sent(bundle, version, arch, &[]));
    let Some(program) = program else {
        return Err(format!(
            "the bundle has no etcd {version} that runs on this machine ({os} {this})"
        ));
    };
    let node: NodeName = HERE.parse().expect("a good name");
    let transport = Arc::new(LocalTransport::new(node.clone()));
    set_up(&node, transport, None, &program, key_type).await
}

/// The same on a host, as etcd's account; with the program that it has, where that is the bundle's.
///
/// # Errors
/// Why it cannot run there.
pub async fn on_host(
    spec: &DesiredHost,
    host: &Host,
    facts: &HostFacts,
    bundle: Option<&Bundle>,
    version: Version,
    key_type: KeyType,
) -> Result<Bench, String> {
    let unpackers = Unpacker::ALL.map(|unpacker| facts.system.has(unpacker).then_some(unpacker));
    let unpackers: Vec<Unpacker> = unpackers.into_iter().flatten().collect();
    let arch = facts.system.arch;
    let wanted = arch.and_then(|arch| {
        bundle?
            .file(version, arch, Program::Etcd)
            .ok()
            .map(|file| file.sha256.to_string())
    });
    let there = facts
        .releases
        .get(&version)
        .and_then(|files| files.get(Program::Etcd.as_str()));
    let program = match there {
        Some(there) if wanted.as_ref().is_none_or(|wanted| wanted == there) => Some(TrialProgram::Installed(
            spec.paths.release(version).join(Program::Etcd.as_str()),
        )),
        _ => arch.and_then(|arch| sent(bundle?, version, arch, &unpackers)),
    };
    let Some(program) = program else {
        return Err(format!(
            "neither the bundle nor {} has an etcd {version} for this trial",
            spec.name
        ));
    };
    let account = (spec.service_manager == ServiceManager::Systemd && facts.system.root).then_some(&spec.user);
    set_up(&spec.name, host.transport().clone(), account, &program, key_type).await
}

async fn set_up(
    node: &NodeName,
    transport: Arc<dyn Transport>,
    account: Option<&crate::inventory::UserName>,
    program: &TrialProgram,
    key_type: KeyType,
) -> Result<Bench, String> {
    let made = Bench::set_up(node, transport, account, program, key_type).await;
    made.map_err(|error: TrialError| crate::report::chain(&error))
}

/// The bundle's program, packed so that one of `unpackers` opens it; plain where there is none.
fn sent(bundle: &Bundle, version: Version, arch: Arch, unpackers: &[Unpacker]) -> Option<TrialProgram> {
    let file = *bundle.file(version, arch, Program::Etcd).ok()?;
    let packing = unpackers.first().map(|unpacker| match unpacker {
        Unpacker::Zstd => Packing::Zstd,
        Unpacker::Gzip => Packing::Gzip,
    });
    let bundle = bundle.clone();
    Some(TrialProgram::Sent {
        sha256: file.sha256.to_string(),
        len: packing.map_or(file.size, |packing| file.packed(packing).size),
        unpacker: unpackers.first().copied(),
        open: Arc::new(move || match packing {
            Some(packing) => bundle
                .open_packed(version, arch, Program::Etcd, packing)
                .map(|packed| Box::new(packed) as Box<dyn std::io::Read + Send>),
            None => bundle.open_program(version, arch, Program::Etcd),
        }),
    })
}
