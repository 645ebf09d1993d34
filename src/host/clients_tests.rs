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
    let text = "client 0500000A\nclient 0500000A\nclient 000080FE00000000000000000100000A\n\
                client 0100007F kube-apiserver (pid 812)\nclient 0100007F ?\ndone\n";
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
        parse("client 0500000A\n"),
        Err("the host's answer was truncated".into())
    );
}
