//! The command-line program.

use std::process::ExitCode;

#[cfg(unix)]
#[tokio::main]
async fn main() -> ExitCode {
    write_no_core_files();
    end_quietly_when_nobody_reads();
    quorate::cli::main().await
}

/// SSH agents, sockets, terminals, file modes: all that is Unix's. Inside WSL all of it is there.
#[cfg(not(unix))]
fn main() -> ExitCode {
    eprintln!(
        "error: quorate runs on Linux and macOS\n  help: on Windows, run the Linux program inside WSL (`wsl --install`)"
    );
    ExitCode::from(2)
}

/// A reader that has gone away (`quorate status | head -1`) ends the program without a word, and with the status of a program
/// that SIGPIPE ended: Rust ignores that signal, and printing panics instead.
#[cfg(unix)]
fn end_quietly_when_nobody_reads() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        if said.starts_with("failed printing to") && said.contains("Broken pipe") {
            std::process::exit(141);
        }
        usual(panic);
    }));
}

/// The CA's key is in this process's memory. A limit of one byte is the one that Linux also keeps where core files go to
/// a program instead of a file (`coredump_pipe`, fs/coredump.c); programs that are started from here inherit it.
#[cfg(unix)]
fn write_no_core_files() {
    use rustix::process::{Resource, Rlimit, setrlimit};

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
