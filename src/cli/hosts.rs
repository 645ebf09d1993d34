//! `logs` and `ssh`: straight to one host.

use std::io::Write;
use std::process::Stdio;

use super::args::{Global, Logs, Ssh};
use super::error::{Exit, Failure};
use super::session::Session;
use crate::inventory::Connection;

/// `logs`: the journal of the member's unit.
///
/// # Errors
/// When the host cannot be reached.
pub async fn logs(global: &Global, args: &Logs) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let host = session.fleet().host(session.spec(&args.node)?).await?;
    let mut out = std::io::stdout();
    if !args.follow {
        for line in host.journal(args.lines).await? {
            if writeln!(out, "{line}").is_err() {
                break;
            }
        }
        return Ok(Exit::Done);
    }
    let mut running = host.follow_journal(args.lines).await?;
    while let Some(chunk) = running.stdout.recv().await {
        if out.write_all(&chunk).and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    Ok(Exit::Done)
}

/// `ssh`: OpenSSH with the inventory's settings, for a person.
///
/// # Errors
/// When there is no `ssh` here.
pub async fn ssh(global: &Global, args: &Ssh) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let spec = session.spec(&args.node)?;
    let mut command = match &spec.connection {
        Connection::Local => {
            tokio::process::Command::new(std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into()))
        }
        Connection::Ssh(target) => {
            let mut command = tokio::process::Command::new("ssh");
            command.arg("-o").arg(format!(
                "UserKnownHostsFile={} ~/.ssh/known_hosts",
                target.known_hosts.display()
            ));
            command.arg("-o").arg("StrictHostKeyChecking=yes");
            if !target.use_config {
                command.arg("-F").arg("none");
            }
            for file in &target.identity {
                command.arg("-i").arg(file);
            }
            if let Some(port) = target.port {
                command.arg("-p").arg(port.to_string());
            }
            let jumps: Vec<String> = target.jump.iter().map(jump).collect();
            if !jumps.is_empty() {
                command.arg("-J").arg(jumps.join(","));
            }
            command.arg("-l").arg(target.user.as_deref().unwrap_or("root"));
            command.arg("--").arg(&target.host);
            command
        }
    };
    let status = command
        .args(&args.command)
        .stdin(Stdio::inherit())
        .status()
        .await
        .map_err(|e| Failure::unexpected("cannot run ssh", e))?;
    Ok(if status.success() { Exit::Done } else { Exit::Unexpected })
}

fn jump(jump: &crate::inventory::Jump) -> String {
    let user = jump.user.as_ref().map(|u| format!("{u}@")).unwrap_or_default();
    let port = jump.port.map(|p| format!(":{p}")).unwrap_or_default();
    format!("{user}{}{port}", jump.host)
}
