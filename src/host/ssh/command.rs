//! A script as one line that any login shell can start, and as one line of input that carries it.
//!
//! The login shell gets no more than a loader: words that are plain or in single quotes, without a line break, a quote,
//! a backslash or an exclamation mark inside them, which sh, bash, zsh, ksh, tcsh and fish read alike. The loader runs in
//! an environment of our own, says that it is there (see `frame`), and takes the script from its input.

use std::time::Duration;

use bytes::Bytes;

use super::frame::Nonce;
use crate::host::Script;

/// Longest script with its arguments. The host's `sh` gets it as one argument, and Linux allows 128 KiB for one.
const LONGEST: usize = 120 * 1024;

/// Runs with the two halves of the number, and the seconds that the script may take where nobody waits for it (or nothing):
/// the host ends it by itself then, with all that it has started.
///
/// Takes the line that begins with the number, one in front of it at most being somebody else's (sudo's password, where
/// sudo did not read it), runs what it says, and frames what that prints.
const LOADER: &str = concat!(
    r#"a=$1 z=$2; printf "%s%s:hear;" "$a" "$z" >&2; printf "%s%s:begin;" "$a" "$z"; "#,
    r#"IFS= read -r l; case $l in "$a$z:"*) ;; *) IFS= read -r l ;; esac; "#,
    r#"case $l in "$a$z:"*) l=$(printf %b "${l#*:}"); t=; "#,
    r#"if [ -n "$3" ] && timeout -k 1 1 true 2>/dev/null; then t="timeout -k 10 $3"; fi; "#,
    r#"$t /bin/sh -c "$l" quorate; s=$? ;; *) s=cut ;; esac; "#,
    r#"printf "%s%s:end %s;" "$a" "$z" "$s"; printf "%s%s:over %s;" "$a" "$z" "$s" >&2"#,
);

/// Gives what comes behind sudo the same environment again: sudo and PAM add to it.
const CLEAN: &str = r#"exec /usr/bin/env -i PATH="$0" LC_ALL=C /bin/sh -c "$@""#;

/// `text` as one word of a POSIX shell (sh, bash, dash, ksh, zsh), whatever is in it.
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The line that starts the loader: as the login's own user, or through `sudo`, a script that ends in running its
/// arguments as root and gets the number's halves as its first two.
pub(super) fn line(nonce: &Nonce, tools: &str, sudo: Option<&str>, there: Option<Duration>) -> String {
    let path = format!("PATH={tools}");
    let (first, second) = (nonce.first.as_str(), nonce.second.as_str());
    let mut words = vec!["/usr/bin/env", "-i", &path, "LC_ALL=C", "/bin/sh", "-c"];
    if let Some(sudo) = sudo {
        words.extend([sudo, "quorate", first, second, "sh", "-c", CLEAN, tools]);
    }
    let there = there
        .map(|limit| limit.as_secs().max(1).to_string())
        .unwrap_or_default();
    words.extend([LOADER, "quorate", first, second, &there]);
    words.into_iter().map(quote).collect::<Vec<_>>().join(" ")
}

/// The line of input that carries `script`, or why it cannot be sent.
pub(super) fn input(nonce: &Nonce, script: &Script) -> Result<Bytes, String> {
    let args: Vec<String> = script.args.iter().map(|arg| quote(arg)).collect();
    let program = format!("set -- {}\n{}", args.join(" "), script.text);
    if program.contains('\0') {
        return Err("an argument contains a NUL byte, which a command line cannot".to_owned());
    }
    if program.len() > LONGEST {
        let kib = program.len() / 1024;
        return Err(format!(
            "the script and its values are {kib} KiB long; a host accepts {} KiB",
            LONGEST / 1024
        ));
    }
    let escaped = program.replace('\\', "\\0134").replace('\n', "\\0012");
    Ok(Bytes::from(format!("{nonce}:{escaped}\n")))
}

/// Longest name of an operation; a longer comment explains something else.
const LONGEST_NAME: usize = 60;

/// What the script is called in errors: its first line where that is a short comment.
pub(super) fn operation(script: &Script) -> String {
    let first = script.text.trim_start().lines().next().unwrap_or_default();
    let name = first.strip_prefix("# ").map(|text| text.trim_end_matches('.'));
    name.filter(|text| (1..=LONGEST_NAME).contains(&text.len()))
        .unwrap_or("running a command")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn script(text: &'static str, args: Vec<String>) -> Script {
        Script {
            text,
            args,
            limits: crate::bounds::Limits::answer(1 << 20, 60),
        }
    }

    /// What a real shell makes of a quoted word.
    fn through_a_shell(word: &str) -> String {
        let script = format!("printf '%s|' {}", quote(word));
        let output = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
        assert!(output.status.success(), "{word:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_shell_gives_back_hostile_words_unchanged() {
        let hostile = [
            "",
            "'",
            "''",
            "\"",
            "a b",
            "-rf",
            "--",
            "$(touch /tmp/x)",
            "`id`",
            "${HOME}",
            "a\nb",
            "\n",
            "\\",
            "\\'",
            "*",
            "~",
            "#x",
            "é\u{202e}漢",
            "a;b",
            "a&b",
            "|",
            "!!",
            "\t",
            "=",
            "a=b",
            "\u{1b}[31m",
            "%s%n",
        ];
        for word in hostile {
            assert_eq!(through_a_shell(word), format!("{word}|"), "{word:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_shell_gives_back_any_word_unchanged(word in "[^\0]{0,40}") {
            prop_assert_eq!(through_a_shell(&word), format!("{word}|"));
        }
    }

    #[test]
    fn what_no_command_line_can_carry_is_refused_before_it_is_sent() {
        let input = |arg: String| {
            let args = vec![arg];
            input(&Nonce::new(), &script("true", args))
        };
        assert!(input("a\0b".into()).unwrap_err().contains("NUL"));
        assert!(input("x".repeat(200_000)).unwrap_err().contains("KiB"));
    }

    #[test]
    fn the_line_is_one_that_every_login_shell_reads_alike() {
        let nonce = Nonce::new();
        for sudo in [
            None,
            Some(crate::host::ssh::sudo::FREE),
            Some(crate::host::ssh::sudo::ASK),
        ] {
            let line = line(&nonce, crate::host::TOOLS, sudo, Some(Duration::from_secs(90)));
            assert!(!line.contains(['\n', '\\', '!', '`']), "{line}");
            assert!(
                !line.contains(&nonce.to_string()),
                "a shell that prints it would make a frame: {line}"
            );
        }
        for text in [LOADER, CLEAN, crate::host::ssh::sudo::FREE, crate::host::ssh::sudo::ASK] {
            assert!(!text.contains('\''), "{text}");
        }
    }

    /// The loader, fed `input` by a plain shell.
    fn loaded(nonce: &Nonce, input: &[u8]) -> String {
        use std::io::Write as _;
        use std::process::{Command, Stdio};
        let line = line(nonce, crate::host::TOOLS, None, Some(Duration::from_secs(90)));
        let mut child = Command::new("sh")
            .args(["-c", &line])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let said = child.wait_with_output().unwrap().stdout;
        String::from_utf8(said).unwrap().replace(&nonce.to_string(), "#")
    }

    #[test]
    fn the_loader_runs_what_it_is_given_and_passes_the_rest_on() {
        let nonce = Nonce::new();
        let script = script(
            "printf '%s|' \"$@\" \"\\\\0101\"; cat; exit 3",
            vec!["a\nb".into(), "\\n".into()],
        );
        let mut text = input(&nonce, &script).unwrap().to_vec();
        text.extend(b"data\n");
        let framed = "#:begin;a\nb|\\n|\\0101|data\n#:end 3;";
        assert_eq!(loaded(&nonce, &text), framed);
        // A password that sudo did not read is dropped.
        assert_eq!(loaded(&nonce, &[b"hunter2\n", text.as_slice()].concat()), framed);
    }

    #[test]
    fn what_does_not_arrive_as_it_was_sent_is_not_run() {
        let nonce = Nonce::new();
        let text = input(&nonce, &script("echo run", vec![])).unwrap();
        assert_eq!(loaded(&nonce, &text[5..]), "#:begin;#:end cut;");
        assert_eq!(loaded(&nonce, b"hunter2\n"), "#:begin;#:end cut;");
    }

    #[test]
    fn a_leading_comment_names_the_operation() {
        let name = |text| operation(&script(text, vec![]));
        assert_eq!(name("\n# Reading the host's facts.\nid"), "Reading the host's facts");
        assert_eq!(name("id"), "running a command");
        let prose = "# The head of every script: strict mode, stable tool output, and more that is no name\nid";
        assert_eq!(name(prose), "running a command");
    }
}
