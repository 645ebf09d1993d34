//! The command-line program.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    quorate::cli::main().await
}
