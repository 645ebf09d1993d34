//! The program in an empty directory of its own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// An operator's directory.
pub struct Desk(TempDir);

impl Desk {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    /// One with this inventory.
    pub fn with(inventory: &str) -> Self {
        let desk = Self::new();
        desk.write("inventory.yml", inventory);
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("a file");
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file")
    }

    /// Runs quorate there.
    pub fn run(&self, arguments: &[&str]) -> Said {
        self.said(self.command(arguments))
    }

    /// Runs it there where a process may have only so many open files.
    pub fn limited(&self, open_files: u32, arguments: &[&str]) -> Said {
        let quorate = self.command(&[]);
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("ulimit -n {open_files} && exec \"$@\""), "sh"])
            .arg(quorate.get_program())
            .args(arguments)
            .current_dir(self.0.path())
            .env("NO_COLOR", "1");
        self.said(shell)
    }

    /// Runs it there with a standard output that nobody reads any more.
    pub fn piped_to_nobody(&self, arguments: &[&str]) -> Said {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = self.command(arguments);
        command.stdout(writer);
        self.said(command)
    }

    /// quorate there, to be run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .env("HOME", self.0.path())
            .env("NO_COLOR", "1");
        command
    }

    fn said(&self, mut command: Command) -> Said {
        let output = command.output().expect("quorate");
        Said {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

/// How it ended and what it said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    /// Passes it on when the exit code is `code`.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Everything, for a snapshot.
    pub fn whole(&self) -> String {
        // The ends of lines are miette's own padding.
        let text = {
            let Said { code, stdout, stderr } = self;
            format!(
                "exit code {}\n--- stdout\n{stdout}--- stderr\n{stderr}",
                code.unwrap_or(-1)
            )
        };
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }
}
