//! `traffic`: who is connected to the member, and how much went over each connection.

use std::net::{IpAddr, SocketAddr};

use super::trouble::not_understood;
use super::verbs::no_input;
use super::{Host, HostError, scripts};

/// An established connection, with the kernel's counters since it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The end on the host.
    pub here: SocketAddr,
    /// The other end.
    pub there: SocketAddr,
    /// Whose end it is on the host: name and process id, where the kernel shows it.
    pub process: Option<(String, u32)>,
    /// Bytes that the other end has acknowledged.
    pub sent: u64,
    /// Bytes that came.
    pub received: u64,
    /// Segments sent.
    pub segments: u64,
    /// Segments that had to be sent once more.
    pub again: u64,
}

impl Host {
    /// The connections to and from these two ports; `None` where the host has no `ss` (iproute2) to show them.
    ///
    /// # Errors
    /// When the host cannot be reached, or `ss` fails.
    pub async fn traffic(&self, ports: [u16; 2]) -> Result<Option<Vec<Connection>>, HostError> {
        let operation = "listing connections";
        let args = ports.iter().map(u16::to_string).collect();
        let output = self.call(operation, scripts::TRAFFIC, args, no_input()).await?;
        parse(&String::from_utf8_lossy(&output.stdout)).map_err(|why| not_understood(&self.node, operation, why))
    }
}

/// What `ss -tinp` prints: a line of addresses, and an indented line of counters behind it.
fn parse(text: &str) -> Result<Option<Vec<Connection>>, String> {
    let text = text.strip_suffix("done\n").ok_or("the host's answer was truncated")?;
    if text == "missing\n" {
        return Ok(None);
    }
    let mut connections: Vec<Connection> = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let counters = lines.next_if(|next| next.starts_with([' ', '\t'])).unwrap_or_default();
        connections.extend(connection(line, counters));
    }
    Ok(Some(connections))
}

fn connection(line: &str, counters: &str) -> Option<Connection> {
    let mut words = line.split_whitespace().skip(2);
    let (here, there) = (address(words.next()?)?, address(words.next()?)?);
    let counter = |name: &str| {
        let mut words = counters.split_whitespace();
        words.find_map(|word| word.strip_prefix(name)?.rsplit('/').next()?.parse().ok())
    };
    Some(Connection {
        here,
        there,
        process: words.next().and_then(process),
        // `bytes_sent` is missing before Linux 4.19; it also counts what was sent twice.
        sent: counter("bytes_acked:").unwrap_or_default(),
        received: counter("bytes_received:").unwrap_or_default(),
        segments: counter("segs_out:").unwrap_or_default(),
        // `retrans:0/12`: outstanding, and all in all.
        again: counter("retrans:").unwrap_or_default(),
    })
}

/// `10.0.0.1:2379`, `[fe80::1]%eth0:2379`, `[::ffff:10.0.0.1]:2379`.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.split('%').next()?.trim_start_matches('[').trim_end_matches(']');
    let ip: IpAddr = host.parse().ok()?;
    Some(SocketAddr::new(ip.to_canonical(), port.parse().ok()?))
}

/// `users:(("etcd",pid=253,fd=15))`.
fn process(text: &str) -> Option<(String, u32)> {
    let (name, rest) = text.strip_prefix("users:((\"")?.split_once("\",pid=")?;
    let pid = rest.split(',').next()?.parse().ok()?;
    Some((name.to_owned(), pid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testbed::Testbed;

    /// As iproute2 6.1 prints them, shortened.
    const TEXT: &str = "0      0      10.77.1.11:2379  10.77.1.12:36570 users:((\"etcd\",pid=253,fd=15))\n\
        \t bbr wscale:10,10 rto:204 rtt:2.841/5.613 bytes_sent:2400 bytes_retrans:39 bytes_acked:2361 bytes_received:2521 \
        segs_out:10 segs_in:13 retrans:0/3 minrtt:0.015\n\
        0      0      [::ffff:10.77.1.11]:2379  [::ffff:10.77.1.13]:33368\n\
        0      0      [fe80::1]%eth0:2380  [fe80::2]%eth0:9\n\
        \t cubic bytes_acked:7\n\
        ?\ndone\n";

    #[test]
    fn addresses_and_counters_are_read_and_the_rest_is_skipped() {
        let told = parse(TEXT).unwrap().unwrap();
        assert_eq!(told.len(), 3, "{told:?}");
        let first = Connection {
            here: "10.77.1.11:2379".parse().unwrap(),
            there: "10.77.1.12:36570".parse().unwrap(),
            process: Some(("etcd".into(), 253)),
            sent: 2361,
            received: 2521,
            segments: 10,
            again: 3,
        };
        assert_eq!(told[0], first);
        assert_eq!(told[1].there.to_string(), "10.77.1.13:33368");
        assert_eq!((told[2].there.to_string().as_str(), told[2].sent), ("[fe80::2]:9", 7));
    }

    #[test]
    fn no_program_to_show_them_is_not_nobody() {
        assert_eq!(parse("missing\ndone\n"), Ok(None));
        assert_eq!(parse("done\n"), Ok(Some(Vec::new())));
        assert!(parse("0 0 10.0").is_err());
    }

    #[tokio::test]
    async fn a_connection_of_this_machine_is_seen_from_both_ends() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let server = listener.accept().unwrap().0;
        let told = Testbed::new().host().traffic([port, port]).await.unwrap();
        drop((client, server));
        // Where this machine has no `ss`, that is what has to be said.
        match std::process::Command::new("ss").arg("-V").output() {
            Ok(_) => assert_eq!(told.map(|ends| ends.len()), Some(2)),
            Err(_) => assert_eq!(told, None),
        }
    }
}
