//! The only way out to a person. Whatever a host, etcd, a bucket or a certificate said comes through here on its way to the
//! terminal, and cannot steer it, nor pass for something of ours: of all control characters only tabs, line ends in texts of
//! several lines, and colours that this program has marked as its own are let through. That nothing in `cli` and `report` prints otherwise is held by `tests/printing.rs`.

use std::fmt::{Arguments, Write as _};

use super::text::{own_colour, own_colours, steers};

/// Prints one line on standard output: a line end in what is said is made visible.
macro_rules! say {
    ($($text:tt)*) => { $crate::report::print::out(&$crate::report::print::line(format_args!($($text)*))) };
}

/// Prints on standard output; the text has its own line ends, and nobody else's: what comes from elsewhere is in there as a
/// cell, `printable`, or indented.
macro_rules! say_all {
    ($($text:tt)*) => { $crate::report::print::out(&::std::format!($($text)*)) };
}

/// Prints one line on standard error, as `say`.
macro_rules! tell {
    ($($text:tt)*) => { $crate::report::print::err(&$crate::report::print::line(format_args!($($text)*))) };
}

/// Prints on standard error, as `say_all`.
macro_rules! tell_all {
    ($($text:tt)*) => { $crate::report::print::err(&::std::format!($($text)*)) };
}

pub(crate) use {say, say_all, tell, tell_all};

/// For [`say_all`].
pub(crate) fn out(text: &str) {
    anstream::print!("{}", inert(text));
}

/// For [`tell_all`].
pub(crate) fn err(text: &str) {
    anstream::eprint!("{}", inert(text));
}

/// For [`say`]: one line, whatever is in it.
pub(crate) fn line(text: Arguments<'_>) -> String {
    text.to_string().replace('\n', "\\n") + "\n"
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

/// The colours of a text in which nothing is foreign but the operator's own inventory, as a library paints it.
pub(crate) fn own(text: &str) -> String {
    own_colours(text)
}

/// `text` without what could steer a terminal but colours of our own, which become those of terminals.
pub(crate) fn inert(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        out.push_str(&harmless(&rest[..at]));
        match own_colour(&rest[at..]) {
            Some((parameters, length)) => {
                let _ = write!(out, "\x1b[{parameters}m");
                rest = &rest[at + length..];
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line() {
        let hostile = "ok\nerror: run this";
        assert_eq!(line(format_args!("n1: {hostile}")), "n1: ok\\nerror: run this\n");
    }

    #[test]
    fn only_our_own_colours_pass() {
        for kept in [
            "plain\n\ttext",
            "\x1b[31mred\x1b[0m",
            "\x1b[1;38;5;208mx\x1b[39m",
            "naïve 日本",
        ] {
            assert_eq!(inert(&own_colours(kept)), kept);
        }
        assert!(inert(&own_colours("\x1b[8mhidden")).starts_with("\\u{1b}["));
        for (steers, shown) in [
            ("\x1b[32mhealthy\x1b[0m", "\\u{1b}[32mhealthy\\u{1b}[0m"),
            (
                "\x1b[1234567890123456789;32mhealthy",
                "\\u{1b}[1234567890123456789;32mhealthy",
            ),
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
