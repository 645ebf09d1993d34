//! Logins that are not a quiet POSIX shell: they print, they are another shell, they run something else, they set things.

use std::sync::Arc;
use std::time::Duration;

use quorate::host::ssh::{SshEnvironment, connect};
use quorate::host::{HostError, Transport as _};
use quorate::inventory::{SshTarget, Sudo};

use crate::server::{Given, Server, Setup, node, run, script, stdin, within};

/// A server that runs `login` whatever it is asked to run.
fn forced(login: &str) -> Server {
    Server::with(Setup {
        config: "ForceCommand DIR/login".into(),
        wrapper: Some(format!(
            "cat >DIR/login <<'END'\n#!/bin/bash\n{login}\nEND\nchmod 755 DIR/login; exec \"$@\""
        )),
        ..Setup::default()
    })
}

/// Gives up a login soon that does not come to what it is asked to run.
fn impatient(server: &Server) -> Arc<SshEnvironment> {
    server.operator_with(|env| env.connect_timeout = Duration::from_millis(500))
}

/// Prints in front and behind, on both outputs, and loses the exit status.
const CHATTY: &str = "echo 'Welcome to host 7!'; printf 'no newline' >&2; bash -c \"$SSH_ORIGINAL_COMMAND\"; \
                      printf 'Bye'; echo 'logged out' >&2";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_login_prints_is_no_part_of_an_answer() {
    let server = forced(CHATTY);
    let host = server.connect().await;
    for _ in 0..2 {
        let output = within(20, run(&host, "printf out; printf err >&2; exit 7", &[]))
            .await
            .unwrap();
        assert_eq!(
            (output.status, output.stdout.as_slice(), output.stderr.as_str()),
            (Some(7), &b"out"[..], "err")
        );
    }
    let data: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let echoed = within(60, host.run(&script("cat", &[]), stdin(data.clone())))
        .await
        .unwrap();
    assert!(echoed.stdout == data, "{} bytes came back", echoed.stdout.len());

    let mut running = host
        .spawn(&script(
            "echo locked; read -r line; printf '<%s>' \"$line\"; exit 3",
            &[],
        ))
        .await
        .unwrap();
    assert_eq!(within(10, running.stdout.recv()).await.unwrap(), "locked\n");
    running.stdin.send("hello\n".into()).await.unwrap();
    assert_eq!(within(10, running.stdout.recv()).await.unwrap(), "<hello>");
    assert_eq!(within(10, running.stdout.recv()).await, None);
    assert_eq!(within(10, running.done).await.unwrap().unwrap().status, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_login_shell_that_can_start_sh_will_do() {
    for shell in ["tcsh", "fish", "bash", "dash", "bash --posix"] {
        let server = forced(&format!("exec {shell} -c \"$SSH_ORIGINAL_COMMAND\""));
        let host = server.connect().await;
        let hostile = [
            "a b", "it's", "!", "!!", "\\", "a\nb", "$HOME", "`id`", "", "~", "%s\\n", "{a,b}", "^x^y",
        ];
        let text = "printf '%s|' \"$@\"\nif ! false; then\n  cat # it's\nfi\nexit 5";
        let output = within(20, host.run(&script(text, &hostile), stdin("data\n")))
            .await
            .unwrap_or_else(|error| panic!("{shell}: {error}"));
        let expected: String = hostile.iter().map(|arg| format!("{arg}|")).collect();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            format!("{expected}data\n"),
            "{shell}"
        );
        assert_eq!(output.status, Some(5), "{shell}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_login_has_set_changes_nothing() {
    let server = Server::with(Setup {
        env: "POSIXLY_CORRECT=1 IFS=/ TZ=Asia/Tokyo LC_ALL=fr_FR.UTF-8 LANG=fr_FR.UTF-8 BLOCK_SIZE=1M CDPATH=/ \
              SYSTEMD_COLORS=1 PATH=/usr/bin:/bin BASH_ENV=DIR/env ENV=DIR/env SHELLOPTS=xtrace LS_COLORS=x"
            .into(),
        ..Setup::default()
    });
    std::fs::write(server.path("env"), "echo fooled; alias cat=false").unwrap();
    let host = server.connect().await;
    let output = within(
        20,
        run(&host, "unset PWD OLDPWD SHLVL _; env; set -- a/b; echo $1", &[]),
    )
    .await
    .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/wrappers/bin:/run/current-system/sw/bin\n\
         LC_ALL=C\na/b\n"
    );
    assert_eq!(output.stderr, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_runs_something_else_is_said_to_and_is_told_nothing() {
    let secret = "-----BEGIN PRIVATE KEY-----";
    for (login, said) in [
        (
            "echo 'This account is currently not available.'; exit 1",
            "This account is currently not available.",
        ),
        ("echo \"$SSH_ORIGINAL_COMMAND\" >&2; exec tee DIR/typed", "sh -c"),
        ("tee -a DIR/typed | bash 2>&1", ""),
    ] {
        let server = forced(login);
        let env = impatient(&server);
        let host = server.connect_as(&server.target(), &env).await.unwrap();
        let error = within(20, host.run(&script("# Pushing\ncat", &[]), stdin(secret)))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, HostError::Script { why, hint, .. }
                if why.contains("runs something other than the given commands")
                    && why.contains(said) && hint.contains("ForceCommand")),
            "{login}: {error}"
        );
        let typed = std::fs::read_to_string(server.path("typed")).unwrap_or_default();
        assert!(!typed.contains(secret), "{login}: {typed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_that_takes_what_is_typed_for_commands_never_gets_the_password() {
    for login in [
        "tee -a DIR/typed | bash 2>&1",
        "echo \"$SSH_ORIGINAL_COMMAND\"; echo \"$SSH_ORIGINAL_COMMAND\" >&2; tee -a DIR/typed | bash",
        "echo quorate:asks; echo '[sudo] password for root: ' >&2; exec tee -a DIR/typed",
    ] {
        let server = forced(login);
        let env = impatient(&server);
        let secrets = Arc::new(Given {
            sudo: Some("hunter2hunter2"),
            ..Given::default()
        });
        let target = SshTarget {
            sudo: Sudo::Always,
            ..server.target()
        };
        let host = connect(&node(), &target, &env, secrets).await.unwrap();
        let error = within(60, run(&host, "true", &[])).await.unwrap_err();
        assert!(!format!("{error} {:?}", error.hint()).contains("hunter2"), "{error}");
        let typed = std::fs::read_to_string(server.path("typed")).unwrap_or_default();
        assert!(!typed.contains("hunter2"), "{login}: {typed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_waits_for_input_gets_none() {
    let server = forced("head -c 30 >/dev/null; exec bash -c \"$SSH_ORIGINAL_COMMAND\"");
    let env = impatient(&server);
    let host = server.connect_as(&server.target(), &env).await.unwrap();
    let error = within(20, host.run(&script("cat", &[]), stdin("x\n".repeat(1000))))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, HostError::Script { hint, .. } if hint.contains("wait for something")),
        "{error}"
    );
}
