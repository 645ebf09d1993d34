//! Asking OpenSSH itself what its configuration says of a host (`ssh -G`).

use std::io::ErrorKind;
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::settings::{Settings, Subject};

/// Stands for "no `User` anywhere": `ssh -G` would name the operator's own account then. No account can be called so.
const NO_USER: &str = "no:user";

/// OpenSSH's answer; `None` when this machine has no `ssh`.
///
/// # Errors
/// What `ssh` wrote when it could not read its configuration.
pub(super) async fn ask(
    subject: Subject<'_>,
    user: Option<&str>,
    port: Option<u16>,
) -> Result<Option<Settings>, String> {
    let mut command = Command::new("ssh");
    // The configuration comes on standard input, so that the last lines can tell "not mentioned" from a default.
    command.args(["-G", "-F", "/dev/stdin"]);
    if let Some(user) = user {
        command.args(["-l", user]);
    }
    if let Some(port) = port {
        command.args(["-p", &port.to_string()]);
    }
    command.args(["--", subject.host]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot start ssh: {error}")),
    };
    let wrapper = format!(
        "Include \"{}\"\nInclude /etc/ssh/ssh_config\nHost *\n  User {NO_USER}\n  IdentityFile none\n",
        subject.home.join(".ssh/config").display()
    );
    if let Some(mut stdin) = child.stdin.take() {
        // A child that is gone already tells why on standard error.
        let _ = stdin.write_all(wrapper.as_bytes()).await;
    }
    let output = child
        .wait_with_output()
        .await
        .map_err(|error| format!("cannot run ssh: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(said.trim().lines().next().unwrap_or("`ssh -G` failed").to_owned());
    }
    let mut settings = Settings::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some((keyword, rest)) = line.split_once(' ') else {
            continue;
        };
        // Only this keyword holds several values in one line; a path may hold spaces.
        let values: Vec<String> = match keyword {
            "userknownhostsfile" => rest.split_ascii_whitespace().map(str::to_owned).collect(),
            _ => vec![rest.to_owned()],
        };
        if (keyword, rest) != ("user", NO_USER) {
            settings.take(keyword, &values, subject)?;
        }
    }
    Ok(Some(settings))
}
