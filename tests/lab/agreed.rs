//! Between the plan on the screen and the answer: hosts change, another operator is faster, and an answer never comes.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use crate::harness::{Lab, bundle, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_quorate");
const ASKED: &str = "[y/N]";
const CHANGED: &str = "the hosts changed while the plan was being reviewed";

/// quorate at a terminal.
struct Terminal<'a> {
    lab: &'a Lab,
    child: Child,
    keys: ChildStdin,
}

impl<'a> Terminal<'a> {
    fn of(lab: &'a Lab, arguments: &str) -> Self {
        let shown = File::create(lab.dir().join("shown")).expect("a file");
        let mut command: Command = lab.as_operator("script");
        command
            .args(["--quiet", "--flush", "--return", "--command"])
            .arg(format!("{PROGRAM} {arguments}"))
            .arg("/dev/null")
            .env("QUORATE_BUNDLE", bundle())
            .env("TERM", "dumb")
            .stdin(Stdio::piped())
            .stdout(shown);
        let mut child = command.spawn().expect("script(1)");
        let keys = child.stdin.take().expect("a pipe");
        Self { lab, child, keys }
    }

    fn shown(&self) -> String {
        fs::read_to_string(self.lab.dir().join("shown")).expect("what was shown")
    }

    /// Waits until a question is on the screen for the `nth` time.
    #[track_caller]
    fn asks(&self, nth: usize) {
        wait_until("the question", Duration::from_secs(60), || {
            self.shown().matches(ASKED).count() >= nth
        });
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("keys");
    }

    /// How it ended, and everything that was on the screen.
    fn ends(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().expect("script(1)");
        (status.code(), self.shown())
    }
}

#[test]
fn what_is_agreed_to_is_what_is_done_or_it_is_asked_again() {
    let lab = Lab::cluster(1);
    let host = lab.host("n1");
    let one = || host.sh("rm /etc/etcd/etcd-config.etcdctl.env");
    let another = || host.sh("chmod 644 /etc/etcd/pki/current/server.key");

    // The hosts change: the new plan is shown, and only its own answer counts.
    one();
    let mut terminal = Terminal::of(&lab, "up");
    terminal.asks(1);
    another();
    terminal.types("y\n");
    terminal.asks(2);
    host.sh("test ! -e /etc/etcd/etcd-config.etcdctl.env");
    terminal.types("n\n");
    let (status, shown) = terminal.ends();
    assert_eq!(status, Some(130), "{shown}");
    assert!(
        shown.contains(CHANGED) && shown.contains("nothing was changed"),
        "{shown}"
    );
    host.sh("test ! -e /etc/etcd/etcd-config.etcdctl.env");

    // A saved plan is not made anew: it is stale.
    lab.quorate(&["plan", "--out", "saved.json"]).code(10);
    let mut terminal = Terminal::of(&lab, "up --plan saved.json");
    terminal.asks(1);
    host.sh("rm /opt/quorate/etcd/*/etcdutl");
    terminal.types("y\n");
    let (status, shown) = terminal.ends();
    assert_eq!(status, Some(7), "{shown}");
    host.sh("test ! -e /etc/etcd/etcd-config.etcdctl.env");

    // Another operator is faster, and nothing is left to do.
    let mut terminal = Terminal::of(&lab, "up");
    terminal.asks(1);
    lab.quorate(&["up", "--yes"]).ok();
    terminal.types("y\n");
    let (status, shown) = terminal.ends();
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains(CHANGED), "{shown}");

    // An answer never comes: nobody is kept out meanwhile, and the end of the terminal is the end of it.
    one();
    let terminal = Terminal::of(&lab, "up");
    terminal.asks(1);
    lab.quorate(&["up", "--yes"]).ok();
    let Terminal { keys, mut child, .. } = terminal;
    child.kill().expect("the terminal closes");
    child.wait().expect("script(1)");
    drop(keys);
    lab.assert_converged();
}
