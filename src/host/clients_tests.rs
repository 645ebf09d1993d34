use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use super::*;
use crate::host::testbed::Testbed;

/// A port that somebody serves.
struct Served {
    listener: TcpListener,
    accepted: Vec<TcpStream>,
}

impl Served {
    fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        Self {
            listener,
            accepted: Vec::new(),
        }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    fn connect(&mut self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port())).unwrap();
        self.accepted.push(self.listener.accept().unwrap().0);
        stream
    }

    async fn clients(&self) -> Vec<Client> {
        Testbed::new().host().clients(self.port()).await.unwrap()
    }
}

/// A process that holds these connections and nothing else; it ends with the test.
struct Process(Child);

impl Process {
    fn with(one: TcpStream, other: TcpStream) -> Self {
        let holds = |stream: TcpStream| Stdio::from(OwnedFd::from(stream));
        let mut sleep = Command::new("sleep");
        Self(sleep.arg("600").stdin(holds(one)).stdout(holds(other)).spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[tokio::test]
async fn processes_of_the_host_are_named_and_whoever_looks_does_not_count() {
    // For both families, as etcd listens where a host has a name: the other end is an IPv4 socket all the same.
    for address in ["127.0.0.1:0", "[::]:0"] {
        let mut served = Served::at(address);
        assert_eq!(served.clients().await, []);
        let own = served.connect();
        assert_eq!(served.clients().await, [], "this process looks, and talks to itself");
        let process = Process::with(served.connect(), served.connect());
        let client = Client {
            who: format!("sleep (pid {}) on the host itself", process.0.id()),
            connections: 2,
        };
        assert_eq!(served.clients().await, [client]);
        drop((own, process));
        assert_eq!(served.clients().await, [], "gone is gone");
    }
}

#[tokio::test]
async fn a_process_that_talks_to_itself_is_no_client() {
    let mut served = Served::at("127.0.0.1:0");
    let client = served.connect();
    let _gateway = Process::with(client, served.accepted.remove(0));
    assert_eq!(served.clients().await, []);
}

#[test]
fn connections_are_counted_by_where_they_come_from() {
    let text = "served 0500000A:9C40 0A00000A:094B 11\nserved 0500000A:9C41 0A00000A:094B 12\n\
                served 000080FE00000000000000000100000A:9C40 0A00000A:094B 13\n\
                served 0100007F:A001 0100007F:094B 14\nmade 0100007F:A001 0100007F:094B 24\n\
                served 0100007F:A002 0100007F:094B 15\nmade 0100007F:A002 0100007F:094B 25\n\
                served 0100007F:A003 0100007F:094B 16\nmade 0100007F:A003 0100007F:094B 26\n\
                served 0100007F:A004 0100007F:094B 17\nmade 0100007F:A004 0100007F:094B 27\n\
                socket 24 9001\nprocess 9001 sleep\nsocket 24 812\nprocess 812 kube-apiserver\nsocket 14 700\nprocess 700 etcd\n\
                socket 27 900\nprocess 900 sshd\n\
                still 0100007F:A002 0100007F:094B 25\ndone\n";
    let told: Vec<String> = parse(text).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "10.0.0.5 (2 connections)",
            "a process of the host itself (1 connection)",
            "fe80::a00:1 (1 connection)",
            "kube-apiserver (pid 812) on the host itself (1 connection)",
        ]
    );
    assert_eq!(
        parse("served 0500000A:9C40 0A00000A:094B 11\n"),
        Err("the host's answer was truncated".into())
    );
}

/// So many connections take as long as so many lines: with 74 of them, looking each up among all of them took
/// seven minutes.
#[tokio::test]
async fn hundreds_of_local_connections_are_listed_at_once() {
    let mut served = Served::at("127.0.0.1:0");
    let others: Vec<Process> = (0..5)
        .map(|_| Process::with(served.connect(), served.connect()))
        .collect();
    let own: Vec<TcpStream> = (0..400).map(|_| served.connect()).collect();
    let start = std::time::Instant::now();
    let clients = served.clients().await;
    assert_eq!(clients.len(), others.len(), "{clients:?}");
    assert!(
        start.elapsed().as_secs() < 20,
        "{:?} for {}",
        start.elapsed(),
        own.len()
    );
}
