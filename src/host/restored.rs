//! The terminal as it was, whatever ends this program while it has changed its modes: Ctrl-C, a signal, SIGKILL. A process that was
//! killed restores nothing, so another one waits for its end.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// Waits until its input ends. Without a line before that, the one who held it is gone, and the terminal gets its modes back.
/// It is in a group of its own, which keys do not reach, and may set modes from the background.
const WATCH: &str = r#"trap "" INT QUIT HUP TERM TSTP TTIN TTOU
modes=$(stty -g </dev/tty) || exit 0
echo ready
read -r done || stty "$modes" </dev/tty"#;

/// For as long as it lives, the end of this program restores the modes that the terminal has now.
#[must_use = "the terminal is left to itself as soon as this is dropped"]
pub struct Restored(Option<Child>);

impl Restored {
    /// Comes back when somebody watches. Where there is no terminal, or no shell, nobody does.
    pub fn at_the_end() -> Self {
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", WATCH])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut watch = shell.spawn().ok();
        if let Some(said) = watch.as_mut().and_then(|child| child.stdout.as_mut()) {
            // Its one word; or its end, when there is no terminal.
            let _ = said.read(&mut [0; 8]);
        }
        Self(watch)
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        let Some(child) = &mut self.0 else { return };
        if let Some(mut input) = child.stdin.take() {
            let _ = input.write_all(b"done\n");
        }
        let _ = child.wait();
    }
}
