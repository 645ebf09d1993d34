//! Becoming root.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use quorate::host::ssh::{SshTransport, connect};
use quorate::host::{HostError, Transport as _};
use quorate::inventory::{SshTarget, Sudo};

use crate::server::{Given, Server, Setup, node, run, script, stdin, tool, within};

/// Stands in for sudo: reads its password byte by byte as sudo does, and writes down every line it took for one.
const FAKE: &str = r#"#!/bin/sh
ask=yes prompt='Password: '
while [ $# -gt 0 ]; do
  case $1 in
    -n) ask=never ;; -S|-k) ;; -p) shift; prompt=$1 ;; --) shift; break ;; *) break ;;
  esac
  shift
done
case $(cat DIR/mode) in
  free) exec "$@" ;;
  tty) echo 'sudo: sorry, you must have a tty to run sudo' >&2; exit 1 ;;
  never) echo 'sudo : interdit, quoi qu il arrive' >&2; exit 1 ;;
  french) prompt='Mot de passe : ' ;;
  rust) prompt="[sudo: $prompt] Password: " ;;
  expired) echo 'sudo: Account or password is expired, reset your password and try again' >&2; printf 'Current password: ' >&2
    while IFS= read -r line; do printf '%s\n' "$line" >> DIR/attempts; done; echo 'sudo: unable to change expired password' >&2; exit 1 ;;
esac
[ $ask = never ] && { echo 'sudo: a password is required' >&2; exit 1; }
for attempt in 1 2 3; do
  printf '%s' "$prompt" >&2
  IFS= read -r line || break
  printf '%s\n' "$line" >> DIR/attempts
  [ "$line" = "$(cat DIR/right)" ] && exec "$@"
  echo 'Sorry, try again.' >&2
done
echo "sudo: $attempt incorrect password attempts" >&2
exit 1"#;

const PASSWORD: &str = "it's a $(secret)";

/// A server whose `sudo` is the stand-in, and which says who `id -u` is.
fn server(mode: &str) -> Server {
    let server = Server::start();
    std::fs::create_dir(server.path("bin")).unwrap();
    let dir = server.dir.path().to_str().unwrap();
    for (name, text) in [("sudo", FAKE), ("id", "#!/bin/sh\necho 0")] {
        let path = server.path("bin").join(name);
        std::fs::write(&path, text.replace("DIR", dir)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    std::fs::write(server.path("mode"), mode).unwrap();
    std::fs::write(server.path("right"), PASSWORD).unwrap();
    server
}

async fn login(server: &Server, sudo: Sudo, secrets: &Arc<Given>) -> SshTransport {
    let target = SshTarget {
        sudo,
        ..server.target()
    };
    let bin = server.path("bin");
    let env = server.operator_with(|env| env.tools = format!("{}:/usr/bin:/bin", bin.display()));
    connect(&node(), &target, &env, secrets.clone()).await.unwrap()
}

fn attempts(server: &Server) -> String {
    std::fs::read_to_string(server.path("attempts")).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sudo_that_does_not_ask_costs_one_exchange_on_first_use() {
    let server = server("free");
    let secrets = Arc::new(Given {
        sudo: Some(PASSWORD),
        ..Given::default()
    });
    let host = login(&server, Sudo::Always, &secrets).await;
    for _ in 0..3 {
        let output = host
            .run(&script("cat; printf '%s' \"$1\"", &["a 'b'"]), stdin("in "))
            .await
            .unwrap();
        assert_eq!(output.stdout, b"in a 'b'");
    }
    assert_eq!(host.round_trips(), 4);
    assert!(secrets.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_goes_to_sudo_and_the_data_to_the_script() {
    let server = server("password");
    let secrets = Arc::new(Given {
        sudo: Some(PASSWORD),
        ..Given::default()
    });
    let host = login(&server, Sudo::Always, &secrets).await;
    let data = "first line\nquorate:open\n\0binary\n".repeat(100_000);
    let echo = script("cat; printf '%s' \"$1\"", &["-x"]);
    let output = within(60, host.run(&echo, stdin(data.clone()))).await.unwrap();
    assert!(
        output.stdout == format!("{data}-x").into_bytes(),
        "{} bytes",
        output.stdout.len()
    );

    let mut running = host
        .spawn(&script("read -r line; echo \"<$line>\"", &[]))
        .await
        .unwrap();
    running.stdin.send("hello\n".into()).await.unwrap();
    assert_eq!(within(10, running.stdout.recv()).await.unwrap(), "<hello>\n");
    assert!(running.done.await.unwrap().unwrap().ok());

    assert_eq!(secrets.asked(), ["sudo"]);
    assert_eq!(
        attempts(&server),
        format!("{PASSWORD}\n").repeat(3),
        "tried once, then used twice"
    );
}

/// Characters that shells, printf, sudo's prompt and regular expressions make something of.
const ODD: [&str; 7] = [
    r#"a;b&c$(x)'"\`  |<>*?[]{}!#~%s%n$HOME"#,
    "  blanks before, within  and behind  ",
    "Grüße, 日本 \u{202e}",
    "\\n\\0134\\",
    "-n",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "\t",
];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_password_is_made_of_it_arrives_or_is_refused_with_the_reason() {
    let server = server("password");
    for password in ODD {
        std::fs::write(server.path("right"), password).unwrap();
        let secrets = Arc::new(Given {
            sudo: Some(password),
            ..Given::default()
        });
        let host = login(&server, Sudo::Always, &secrets).await;
        let output = within(30, host.run(&script("cat", &[]), stdin("data"))).await;
        assert_eq!(
            output.unwrap_or_else(|error| panic!("{password:?}: {error}")).stdout,
            b"data"
        );

        std::fs::write(server.path("right"), "another").unwrap();
        let host = login(&server, Sudo::Always, &secrets).await;
        let error = within(30, run(&host, "true", &[])).await.unwrap_err();
        let shown = format!("{error} {:?}", error.hint());
        assert!(shown.contains("did not accept"), "{shown}");
        assert!(password.len() < 3 || !shown.contains(password.trim()), "{shown}");
    }
    let long: &'static str = "x".repeat(512).leak();
    for (password, why) in [
        ("two\nlines", "line break"),
        ("a\0b", "NUL"),
        (long, "longer than 511 bytes"),
    ] {
        let _ = std::fs::remove_file(server.path("attempts"));
        let secrets = Arc::new(Given {
            sudo: Some(password),
            ..Given::default()
        });
        let host = login(&server, Sudo::Always, &secrets).await;
        let error = within(30, run(&host, "true", &[])).await.unwrap_err();
        assert!(
            matches!(&error, HostError::Sudo { why: said, .. } if said.contains(why)),
            "{error}"
        );
        assert!(!error.to_string().contains("lines") && attempts(&server).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sudo_that_stops_asking_leaks_nothing_into_the_script() {
    let server = server("password");
    let secrets = Arc::new(Given {
        sudo: Some(PASSWORD),
        ..Given::default()
    });
    let host = login(&server, Sudo::Always, &secrets).await;
    run(&host, "exit 0", &[]).await.unwrap();
    std::fs::write(server.path("mode"), "free").unwrap();
    let output = host.run(&script("cat; env", &[]), stdin("data")).await.unwrap();
    let seen = String::from_utf8_lossy(&output.stdout);
    assert!(seen.starts_with("data") && !seen.contains("secret"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_tried_once_and_no_data_is_mistaken_for_another() {
    let server = server("password");
    let secrets = Arc::new(Given {
        sudo: Some("wrong"),
        ..Given::default()
    });
    let host = login(&server, Sudo::Always, &secrets).await;
    for _ in 0..3 {
        let error = host.run(&script("cat", &[]), stdin("data\ndata\n")).await.unwrap_err();
        assert!(
            matches!(&error, HostError::Sudo { why, .. } if why.contains("did not accept")),
            "{error}"
        );
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
    assert_eq!(attempts(&server), "wrong\n");
    assert_eq!(secrets.asked(), ["sudo"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_becomes_wrong_later_takes_no_data_with_it() {
    let server = server("password");
    let secrets = Arc::new(Given {
        sudo: Some(PASSWORD),
        ..Given::default()
    });
    let host = login(&server, Sudo::Always, &secrets).await;
    run(&host, "exit 0", &[]).await.unwrap();
    std::fs::write(server.path("mode"), "tty").unwrap();
    let error = within(10, host.run(&script("cat", &[]), stdin("data\n")))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, HostError::Sudo { why, .. } if why.contains("tty")),
        "{error}"
    );
    assert!(!attempts(&server).contains("data"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_of_root_is_said_with_what_to_do() {
    let asks = server("password");
    let silent = Arc::new(Given::default());
    let error = run(&login(&asks, Sudo::Always, &silent).await, "true", &[])
        .await
        .unwrap_err();
    assert!(
        matches!(&error, HostError::Sudo { hint, .. } if hint.contains("NOPASSWD")),
        "{error}"
    );

    let tty = server("tty");
    let error = run(&login(&tty, Sudo::Always, &silent).await, "true", &[])
        .await
        .unwrap_err();
    assert!(
        matches!(&error, HostError::Sudo { hint, .. } if hint.contains("requiretty")),
        "{error}"
    );

    let missing = server("free");
    std::fs::remove_file(missing.path("bin/sudo")).unwrap();
    let only_ours = missing.operator_with(|env| env.tools = missing.path("bin").display().to_string());
    let target = SshTarget {
        sudo: Sudo::Always,
        ..missing.target()
    };
    let host = connect(&node(), &target, &only_ours, silent.clone()).await.unwrap();
    let error = run(&host, "true", &[]).await.unwrap_err();
    assert!(
        matches!(&error, HostError::Sudo { hint, .. } if hint.contains("install sudo")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_root_needs_no_sudo_and_never_means_never() {
    let server = server("password");
    let silent = Arc::new(Given::default());
    for sudo in [Sudo::Auto, Sudo::Never] {
        assert!(
            run(&login(&server, sudo, &silent).await, "exit 0", &[])
                .await
                .unwrap()
                .ok()
        );
    }
    assert!(silent.asked().is_empty());
}

/// In French, and where PAM asks in words of its own, and as sudo-rs asks.
#[tokio::test(flavor = "multi_thread")]
async fn a_sudo_that_asks_in_other_words_is_answered_too() {
    for mode in ["french", "rust"] {
        let server = server(mode);
        let secrets = Arc::new(Given {
            sudo: Some(PASSWORD),
            ..Given::default()
        });
        let host = login(&server, Sudo::Always, &secrets).await;
        let output = within(20, host.run(&script("cat", &[]), stdin("data"))).await.unwrap();
        assert_eq!(output.stdout, b"data", "{mode}");
        assert_eq!(attempts(&server), format!("{PASSWORD}\n").repeat(2), "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sudo_that_never_asks_is_told_nothing() {
    let server = server("never");
    let secrets = Arc::new(Given {
        sudo: Some(PASSWORD),
        ..Given::default()
    });
    let host = login(&server, Sudo::Always, &secrets).await;
    let error = within(20, run(&host, "true", &[])).await.unwrap_err();
    assert!(
        matches!(&error, HostError::Sudo { why, .. } if why.contains("interdit")),
        "{error}"
    );
    assert_eq!(attempts(&server), "");
}

/// It wants the old password and then a new one: what was typed in goes there at most once, and no data at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_has_expired_is_said_to_and_not_changed() {
    let server = server("expired");
    let secrets = Arc::new(Given {
        sudo: Some(PASSWORD),
        ..Given::default()
    });
    let host = login(&server, Sudo::Always, &secrets).await;
    let error = within(20, host.run(&script("cat", &[]), stdin("data\ndata\n")))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, HostError::Sudo { why, hint, .. } if why.contains("expired") && hint.contains("passwd")),
        "{error}"
    );
    assert!(!attempts(&server).contains("data"), "{}", attempts(&server));
}

/// The real sudo, with a password, for an account that exists only in a mount namespace of the test's sshd.
///
/// Only root can make one; for others the stand-in above has to do.
#[tokio::test(flavor = "multi_thread")]
async fn the_real_sudo_takes_the_password_and_passes_the_data_on() {
    if tool("id", &["-u"]) != "0" {
        return;
    }
    assert!(std::path::Path::new("/usr/bin/sudo").exists(), "install sudo");
    for password in ["sesame open'$(id)"].into_iter().chain(ODD) {
        real_sudo(password).await;
    }
}

async fn real_sudo(password: &'static str) {
    let mut hash = std::process::Command::new("openssl");
    let hash = hash
        .args(["passwd", "-6", "-salt", "quoratetest", "--", password])
        .output()
        .unwrap();
    let hash = String::from_utf8(hash.stdout).unwrap();
    let hash = hash.trim();
    let wrapper = format!(
        r#"chmod 755 DIR && mkdir DIR/etc && cd DIR/etc && cp /etc/passwd /etc/shadow /etc/group . &&
        echo 'quorate-op:x:64321:64321::/:/bin/sh' >> passwd && echo 'quorate-op:x:64321:' >> group &&
        echo 'quorate-op:{hash}:19000:0:99999:7:::' >> shadow && chmod 600 shadow &&
        printf 'Defaults use_pty\nroot ALL=(ALL) ALL\nquorate-op ALL=(ALL) ALL\n' > sudoers && chmod 440 sudoers &&
        exec unshare --mount sh -c '
          for name in passwd shadow group sudoers; do mount --bind DIR/etc/$name /etc/$name || exit; done
          exec "$@"' sh "$@""#
    );
    let server = Server::with(Setup {
        config: String::new(),
        wrapper: Some(wrapper),
        ..Setup::default()
    });
    let target = SshTarget {
        user: Some("quorate-op".into()),
        sudo: Sudo::Auto,
        ..server.target()
    };
    let secrets = Arc::new(Given {
        sudo: Some(password),
        ..Given::default()
    });
    let host = connect(&node(), &target, &server.operator(), secrets).await;
    let host = host.unwrap_or_else(|error| panic!("{password:?}: {error}\n{}", server.log()));
    let data = vec![b'x'; 5 << 20];
    let counting = script("id -u; wc -c; printf '%s' \"$1\"; exit 9", &["a 'b'"]);
    let output = within(60, host.run(&counting, stdin(data)))
        .await
        .unwrap_or_else(|error| panic!("{password:?}: {error}\n{}", server.log()));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n5242880\na 'b'");
    assert_eq!(output.status, Some(9));
    let endless = Box::pin(tokio::io::repeat(7));
    let early = within(20, host.run(&script("head -c 10 | wc -c", &[]), endless))
        .await
        .unwrap();
    assert_eq!(early.stdout, b"10\n");

    let wrong = Arc::new(Given {
        sudo: Some("wrong"),
        ..Given::default()
    });
    let host = connect(&node(), &target, &server.operator(), wrong).await.unwrap();
    let error = within(30, run(&host, "true", &[])).await.unwrap_err();
    assert!(
        matches!(&error, HostError::Sudo { why, .. } if why.contains("incorrect password")),
        "{error}"
    );
}
