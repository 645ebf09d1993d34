//! A script as one line for the login shell of the host: every value quoted.

use crate::host::Script;

/// Longest command line that is sent. The login shell gets it as one argument, and Linux allows 128 KiB for one.
const LONGEST: usize = 120 * 1024;

/// `text` as one word of a POSIX shell (sh, bash, dash, ksh, zsh), whatever is in it.
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `WORDS... sh -c TEXT quorate ARG...`, or why that cannot be sent.
pub(super) fn line(words: &[&str], script: &Script) -> Result<String, String> {
    let fixed = words.iter().copied().chain(["sh", "-c", script.text, "quorate"]);
    let all = fixed.chain(script.args.iter().map(String::as_str));
    let line = all.map(quote).collect::<Vec<_>>().join(" ");
    if line.contains('\0') {
        return Err("an argument holds a NUL byte, which no command line can carry".to_owned());
    }
    if line.len() > LONGEST {
        let kib = line.len() / 1024;
        return Err(format!(
            "the command line is {kib} KiB long; a host takes {} KiB",
            LONGEST / 1024
        ));
    }
    Ok(line)
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
        let script = |arg: String| Script {
            text: "true",
            args: vec![arg],
        };
        assert!(line(&[], &script("a\0b".into())).unwrap_err().contains("NUL"));
        assert!(line(&[], &script("x".repeat(200_000))).unwrap_err().contains("KiB"));
        assert_eq!(
            line(&["sudo", "-n", "--"], &script("a b".into())).unwrap(),
            "sudo -n -- sh -c true quorate 'a b'"
        );
    }

    #[test]
    fn a_leading_comment_names_the_operation() {
        let name = |text| operation(&Script { text, args: vec![] });
        assert_eq!(name("\n# Reading the host's facts.\nid"), "Reading the host's facts");
        assert_eq!(name("id"), "running a command");
        let prose = "# The head of every script: strict mode, stable tool output, and more that is no name\nid";
        assert_eq!(name(prose), "running a command");
    }
}
