//! A way to one member for a program of this machine: it speaks plain gRPC to a socket that this account alone reaches, and
//! quorate does the TLS. So the program needs no certificate, and no key lies in a file.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixListener};

use super::error::Failure;
use crate::etcd::{ClientTls, Dial, Endpoint, Stream, open_stream};

/// The longest path of a socket (`sun_path`, unix(7)), with its final zero.
const LONGEST: usize = 108;

/// Where a gate leads.
pub(super) struct Way {
    /// The member, for messages.
    pub name: String,
    /// How its client port is reached.
    pub dial: Arc<dyn Dial>,
    /// What its certificate must be valid for.
    pub endpoint: Endpoint,
    /// Who we are.
    pub tls: ClientTls,
    /// A failure was told already.
    pub told: AtomicBool,
}

impl Way {
    /// Listens on a socket in `dir`, which nobody else can enter; returns its URL.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn behind_socket(self, dir: &Path, number: usize) -> Result<String, Failure> {
        let named = dir.join(&self.name);
        let path = match named.as_os_str().len() < LONGEST {
            true => named,
            false => dir.join(number.to_string()),
        };
        let listener = UnixListener::bind(&path).map_err(cannot_listen)?;
        let way = Arc::new(self);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(way.clone().lead(near));
            }
        });
        Ok(format!("unix://{}", path.display()))
    }

    /// Listens on a port of loopback, and hangs up on every other account; returns its URL. For etcdctl 3.4, which sends the
    /// path of a socket as the name of the server, and no etcd takes that.
    ///
    /// # Errors
    /// When there is no port.
    pub(super) async fn behind_port(self) -> Result<String, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(cannot_listen)?;
        let own = listener.local_addr().map_err(cannot_listen)?;
        let way = Arc::new(self);
        tokio::spawn(async move {
            while let Ok((near, from)) = listener.accept().await {
                if owner(from, own) == Some(rustix::process::getuid().as_raw()) {
                    tokio::spawn(way.clone().lead(near));
                }
            }
        });
        Ok(format!("http://{own}"))
    }

    async fn lead(self: Arc<Self>, mut near: impl Stream) {
        match open_stream(self.dial.as_ref(), &self.endpoint, &self.tls).await {
            Ok(mut far) => {
                // Either side may hang up at any time: that is how connections end.
                let _ = copy_bidirectional(&mut near, &mut far).await;
            }
            // Told once: etcdctl tries again and again.
            Err(error) if !self.told.swap(true, Ordering::Relaxed) => {
                let why = crate::report::printable(&error.to_string());
                let line = format!("warning: {} cannot be reached: {why}\n", self.name);
                let _ = io::Write::write_all(&mut io::stderr(), line.as_bytes());
            }
            Err(_) => {}
        }
    }
}

fn cannot_listen(error: io::Error) -> Failure {
    Failure::unexpected("cannot listen for etcdctl", error)
}

/// The account that has the other end of a connection within this machine.
fn owner(from: SocketAddr, to: SocketAddr) -> Option<u32> {
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    owner_in(&table, from, to)
}

/// `sl local remote st queues timer retransmits uid ...`; addresses as the machine keeps them, ports as numbers.
fn owner_in(table: &str, from: SocketAddr, to: SocketAddr) -> Option<u32> {
    let (from, to) = (as_listed(from)?, as_listed(to)?);
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.get(1) == Some(&from.as_str()) && fields.get(2) == Some(&to.as_str());
        is_it.then(|| fields.get(7)?.parse().ok()).flatten()
    })
}

fn as_listed(address: SocketAddr) -> Option<String> {
    match address {
        SocketAddr::V4(v4) => Some(format!(
            "{:08X}:{:04X}",
            u32::from_ne_bytes(v4.ip().octets()),
            v4.port()
        )),
        SocketAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_ends_account_is_found_by_both_addresses() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let to = listener.local_addr().unwrap();
        let near = std::net::TcpStream::connect(to).unwrap();
        let (_far, from) = listener.accept().unwrap();
        assert_eq!(near.local_addr().unwrap(), from);
        assert_eq!(owner(from, to), Some(rustix::process::getuid().as_raw()));
        assert_eq!(owner_in("", from, to), None);
        let table = "  sl  local_address rem_address st tx_queue tr tm->when retrnsmt uid timeout inode\n";
        let others = |uid: u32| {
            let (from, to) = (as_listed(from).unwrap(), as_listed(to).unwrap());
            let line = |a: &str, b: &str, uid| format!("0: {a} {b} 01 0:0 00:0 0 {uid} 0 1 1\n");
            // Our own end is listed, too, the other way round.
            format!("{table}{}{}", line(&to, &from, 0), line(&from, &to, uid))
        };
        assert_eq!(owner_in(&others(65534), from, to), Some(65534));
    }
}
