//! `ctl` where this machine cannot run etcdctl: a host's own does it, with our standard input and output.

use std::io::{Read as _, Write as _};

use tokio::sync::mpsc;

use super::afar::{self, Tool};
use super::ctl_words::{Input, there};
use super::error::{Exit, Failure};
use super::interrupt::Endings;
use super::session::Session;
use crate::bundle::Program;
use crate::etcd::ClientTls;
use crate::host::{Etcdctl, HostFacts, Sitting};
use crate::inventory::NodeName;
use crate::report::print::tell;
use crate::report::printable;

/// How much of our standard input is sent on at once, bytes.
const PIECE: usize = 64 * 1024;

/// Runs it there. The operator's certificate goes along, through the connection, for as long as etcdctl runs.
///
/// # Errors
/// When no host has an etcdctl, or what it is told makes no sense there.
pub(super) async fn on_host(
    session: &Session,
    tls: &ClientTls,
    on: Option<NodeName>,
    why: &str,
    typed: &[String],
) -> Result<Exit, Failure> {
    let wanted = session.desired().version;
    let etcdctl = |facts: &HostFacts| {
        let has = |files: &std::collections::BTreeMap<_, _>| files.contains_key(Program::Etcdctl.as_str());
        let versions = facts
            .releases
            .iter()
            .filter(|(_, files)| has(files))
            .map(|(version, _)| *version);
        let version = versions.max_by_key(|version| (*version == wanted, *version))?;
        Some(Tool {
            version,
            program: Program::Etcdctl,
        })
    };
    let (host, spec, tool) = afar::any_host(session, on, etcdctl, why, "etcdctl").await?;
    let words = there(typed, spec.name.as_str())?;
    let endpoints: Vec<String> = session.within_limit().map(|spec| spec.client_url()).collect();
    let program = spec.paths.release(tool.version).join(Program::Etcdctl.as_str());
    let mut endings = Endings::listen()?;
    let sitting = host
        .etcdctl(Etcdctl {
            program: &program,
            endpoints: &endpoints.join(","),
            ca_pem: &tls.ca_pem,
            cert_pem: &tls.cert_pem,
            key_pem: &tls.key_pem,
            args: words.args,
        })
        .await?;
    attend(sitting, words.input, &mut endings).await
}

/// Until etcdctl ends; what ends us ends it, too.
async fn attend(mut sitting: Sitting, input: Input, endings: &mut Endings) -> Result<Exit, Failure> {
    let mut ours = match input {
        Input::Ours => Some(standard_input()),
        Input::Value(value) => {
            sitting.feed(value.as_bytes()).await;
            None
        }
        Input::None => None,
    };
    if ours.is_none() {
        sitting.fed().await;
    }
    loop {
        tokio::select! {
            said = sitting.said() => match said {
                // What etcdctl prints is the answer, byte by byte, as if it ran here.
                Some(bytes) if std::io::stdout().write_all(&bytes).and_then(|()| std::io::stdout().flush()).is_ok() => {}
                // A reader that has gone away: nothing more is wanted.
                _ => break,
            },
            piece = next(&mut ours) => match piece {
                Some(piece) => sitting.feed(&piece).await,
                None => {
                    ours = None;
                    sitting.fed().await;
                }
            },
            () = endings.next() => {
                sitting.end().await?;
                return Ok(Exit::Interrupted);
            }
        }
    }
    let output = sitting.end().await?;
    for line in output.stderr.lines() {
        tell!("{}", printable(line));
    }
    Ok(match output.ok() {
        true => Exit::Done,
        false => Exit::Unexpected,
    })
}

/// Never, where nothing is to be read.
async fn next(ours: &mut Option<mpsc::Receiver<Vec<u8>>>) -> Option<Vec<u8>> {
    match ours {
        Some(pieces) => pieces.recv().await,
        None => std::future::pending().await,
    }
}

/// Our standard input, read by a thread of its own: one that waits for a key must not keep the program from ending.
fn standard_input() -> mpsc::Receiver<Vec<u8>> {
    let (sender, pieces) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut piece = vec![0; PIECE];
        while let Ok(read @ 1..) = std::io::stdin().read(&mut piece) {
            if sender.blocking_send(piece[..read].to_vec()).is_err() {
                return;
            }
        }
    });
    pieces
}
