//! The only way out to a person. Whatever a host, etcd, a bucket or a certificate said comes through here on its way to the
//! terminal, and cannot steer it: of all control characters only line ends, tabs and this program's own colours are let
//! through. That nothing in `cli` and `report` prints otherwise is held by `tests/printing.rs`.

use std::fmt::{Arguments, Write as _};

use super::text::steers;

/// Prints a line on standard output.
macro_rules! say {
    ($($text:tt)*) => { $crate::report::print::out(format_args!($($text)*), "\n") };
}

/// Prints on standard output; the text has its own line ends.
macro_rules! say_all {
    ($($text:tt)*) => { $crate::report::print::out(format_args!($($text)*), "") };
}

/// Prints a line on standard error.
macro_rules! tell {
    ($($text:tt)*) => { $crate::report::print::err(format_args!($($text)*), "\n") };
}

/// Prints on standard error; the text has its own line ends.
macro_rules! tell_all {
    ($($text:tt)*) => { $crate::report::print::err(format_args!($($text)*), "") };
}

pub(crate) use {say, say_all, tell, tell_all};

/// For [`say`].
pub(crate) fn out(text: Arguments<'_>, end: &str) {
    anstream::print!("{}{end}", inert(&text.to_string()));
}

/// For [`tell`].
pub(crate) fn err(text: Arguments<'_>, end: &str) {
    anstream::eprint!("{}{end}", inert(&text.to_string()));
}

/// Prints one line of JSON on standard output.
pub(crate) fn data(json: &str) {
    println!("{}", inert_json(json));
}

/// JSON that says the same, with what could steer a terminal escaped. Outside of strings there is nothing of the kind.
pub(crate) fn inert_json(json: &str) -> String {
    escaped(json, steers, |out, c| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    })
}

/// `text` without what could steer a terminal but colours.
pub(crate) fn inert(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        out.push_str(&harmless(&rest[..at]));
        match colour(&rest[at..]) {
            Some(sequence) => {
                out.push_str(sequence);
                rest = &rest[at + sequence.len()..];
            }
            None => {
                out.push_str("\\u{1b}");
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(&harmless(rest));
    out
}

fn harmless(text: &str) -> String {
    let steers = |c| c != '\n' && c != '\t' && steers(c);
    escaped(text, steers, |out, c| out.extend(c.escape_unicode()))
}

fn escaped(text: &str, bad: impl Fn(char) -> bool, escape: impl Fn(&mut String, char)) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match bad(c) {
            true => escape(&mut out, c),
            false => out.push(c),
        }
    }
    out
}

/// The colour (SGR) sequence that `text` begins with. 8, which conceals, is none.
fn colour(text: &str) -> Option<&str> {
    let parameters = text.strip_prefix("\x1b[")?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    let conceals = parameters[..end].split(';').any(|p| p.trim_start_matches('0') == "8");
    let is_colour = parameters[end..].starts_with('m') && !conceals;
    is_colour.then(|| &text[..2 + end + 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_colours_pass() {
        for kept in [
            "plain\n\ttext",
            "\x1b[31mred\x1b[0m",
            "\x1b[1;38;5;208mx\x1b[39m",
            "naïve 日本",
        ] {
            assert_eq!(inert(kept), kept);
        }
        for (steers, shown) in [
            ("\x1b[2Jx", "\\u{1b}[2Jx"),
            ("\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"),
            ("\x1b[8mhidden", "\\u{1b}[8mhidden"),
            ("\x1b[0;08mhidden", "\\u{1b}[0;08mhidden"),
            ("\x1b", "\\u{1b}"),
            ("ok\rFAILED", "ok\\u{d}FAILED"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("etcd-1\u{202e}1-dcte", "etcd-1\\u{202e}1-dcte"),
            ("a\u{200b}b\u{2028}c", "a\\u{200b}b\\u{2028}c"),
        ] {
            assert_eq!(inert(steers), shown);
        }
    }

    #[test]
    fn json_stays_json_and_says_the_same() {
        let hostile = "a\x1b[2J\u{9b}\u{202e}\n日本";
        let text = inert_json(&serde_json::to_string(hostile).unwrap());
        assert!(text.chars().all(|c| !steers(c)), "{text}");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), hostile);
    }
}
