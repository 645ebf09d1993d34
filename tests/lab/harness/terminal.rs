//! quorate at a terminal of its own (script(1) of util-linux): for what it asks a person.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use super::etcd::bundle;
use super::lab::{Lab, PROGRAM};
use super::wait::wait_until;

/// The end of every question that is answered by yes or no.
const ASKED: &str = "[y/N]";

/// quorate at a terminal.
#[derive(Debug)]
pub struct Terminal<'a> {
    lab: &'a Lab,
    child: Child,
    keys: ChildStdin,
    /// How much of what was shown has been looked at.
    seen: usize,
}

impl<'a> Terminal<'a> {
    /// Starts it.
    #[track_caller]
    pub fn of(lab: &'a Lab, arguments: &str) -> Self {
        Self::starts(lab, &format!("{PROGRAM} {arguments}"), "dumb")
    }

    /// The same on one of so many columns and rows, which can move its cursor.
    #[track_caller]
    pub fn sized(lab: &'a Lab, columns: u16, rows: u16, arguments: &str) -> Self {
        // Ctrl-C goes to the shell as well: without the trap it ends before it tells how the terminal was left.
        let line =
            format!("trap : INT; stty cols {columns} rows {rows}; {PROGRAM} {arguments}; code=$?; stty -a; exit $code");
        Self::starts(lab, &line, "xterm")
    }

    #[track_caller]
    fn starts(lab: &'a Lab, line: &str, kind: &str) -> Self {
        let shown = File::create(lab.dir().join("shown")).expect("a file");
        let mut command: Command = lab.as_operator("script");
        command
            .args(["--quiet", "--flush", "--return", "--command"])
            .arg(line)
            .arg("/dev/null")
            .env("QUORATE_BUNDLE", bundle())
            .env("TERM", kind)
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(shown);
        let mut child = command.spawn().expect("script(1)");
        let keys = child.stdin.take().expect("a pipe");
        Self {
            lab,
            child,
            keys,
            seen: 0,
        }
    }

    /// What has been on the screen so far.
    fn shown(&self) -> String {
        fs::read_to_string(self.lab.dir().join("shown")).expect("what was shown")
    }

    /// Waits until a question is on the screen for the `nth` time.
    #[track_caller]
    pub fn asks(&self, nth: usize) {
        wait_until("the question", Duration::from_secs(60), || {
            self.shown().matches(ASKED).count() >= nth
        });
    }

    /// Waits until all of this has been written since the last `sees`; the screen is what was written last in each place.
    #[track_caller]
    pub fn sees(&mut self, texts: &[&str]) {
        let since = self.seen;
        wait_until(&format!("{texts:?}"), Duration::from_secs(60), || {
            let shown = self.shown();
            texts.iter().all(|text| shown[since..].contains(text))
        });
        self.seen = self.shown().len();
    }

    /// Types.
    pub fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("keys");
    }

    /// How it ended, and everything that was on the screen.
    pub fn ends(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().expect("script(1)");
        (status.code(), self.shown())
    }

    /// The window is closed.
    pub fn closes(mut self) {
        self.child.kill().expect("the terminal closes");
        self.child.wait().expect("script(1)");
    }
}
