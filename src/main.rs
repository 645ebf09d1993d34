//! The command-line program.

use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, setrlimit};

#[tokio::main]
async fn main() -> ExitCode {
    write_no_core_files();
    quorate::cli::main().await
}

/// The CA's key is in this process's memory. A limit of one byte is the one that Linux also keeps where core files go to
/// a program instead of a file (`coredump_pipe`, fs/coredump.c); programs that are started from here inherit it.
fn write_no_core_files() {
    let one = Rlimit {
        current: Some(1),
        maximum: Some(1),
    };
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // A hard limit of 0 that was set before cannot be raised, and need not be.
    if setrlimit(Resource::Core, one).is_err() {
        let _ = setrlimit(Resource::Core, none);
    }
}
