//! `logs` and `ssh`: straight to one host.

use std::process::Stdio;

use super::args::{Global, Logs, Ssh};
use super::error::{Exit, Failure};
use super::session::Session;
use crate::inventory::Connection;
use crate::report::print::say;
use crate::report::printable;

/// `logs`: the journal of the member's unit.
///
/// # Errors
/// When the host cannot be reached.
pub async fn logs(global: &Global, args: &Logs) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let host = session.fleet().host(session.spec(&args.node)?).await?;
    if !args.follow {
        for line in host.journal(args.lines).await? {
            say!("{}", printable(&line));
        }
        return Ok(Exit::Done);
    }
    let mut running = host.follow_journal(args.lines).await?;
    let mut lines = Whole::default();
    while let Some(chunk) = running.stdout.recv().await {
        for line in lines.of(&chunk) {
            say!("{}", printable(&line));
        }
    }
    if let Some(line) = lines.rest() {
        say!("{}", printable(&line));
    }
    Ok(Exit::Done)
}

/// Lines out of pieces that end anywhere.
#[derive(Default)]
struct Whole {
    begun: Vec<u8>,
}

impl Whole {
    /// A line of more bytes is broken.
    const LONGEST: usize = 1 << 20;

    fn of(&mut self, chunk: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.begun.len() > Self::LONGEST {
                lines.extend(self.rest());
            }
        }
        lines
    }

    /// What was begun, where the rest of it does not come.
    fn rest(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.begun);
        (!line.is_empty()).then(|| String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_whole_whatever_pieces_it_arrives_in() {
        let mut lines = Whole::default();
        assert_eq!(lines.of("one\ntw\u{f6}".as_bytes().split_last().unwrap().1), ["one"]);
        assert_eq!(lines.of(b"\xb6\n\nthree"), ["tw\u{f6}", ""]);
        assert_eq!(
            lines.of(&vec![b'x'; Whole::LONGEST]).len(),
            1,
            "an endless line is broken"
        );
        assert_eq!(lines.of(b"cut of"), [""; 0]);
        assert_eq!(
            lines.rest(),
            Some("cut of".to_owned()),
            "what came before the end is shown"
        );
        assert_eq!(lines.rest(), None);
    }
}
