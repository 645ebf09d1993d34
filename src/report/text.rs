//! Numbers and marks as people read them.

use std::collections::hash_map::RandomState;
use std::env;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::LazyLock;

use owo_colors::Style;

/// `n` bytes in binary units, as `27.1 MiB`.
pub fn human_bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would be shown as `1024.0`.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Milliseconds of a latency, without their unit: `0.4`, `12`.
pub fn human_millis(seconds: f64) -> String {
    match seconds * 1000.0 {
        small if small < 10.0 => format!("{small:.1}"),
        large => format!("{large:.0}"),
    }
}

/// A duration as `0.3 s`, `42 s`, `3 min 20 s`, `2 h 5 min`.
pub fn human_seconds(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        _ if seconds < 9.95 => format!("{:.1} s", seconds.max(0.0)),
        0..=99 => format!("{whole} s"),
        100..=5999 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Whether a terminal does something else with it than to show it where it stands: control characters, what turns the
/// direction of writing, and what is not seen at all.
pub(super) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// `text` on one line, with every control character made visible: what a host sends must not steer the terminal, nor end a
/// line and begin another that looks like one of ours.
pub fn printable(text: &str) -> String {
    printable_lines(text).replace('\n', "\\n")
}

/// `text` with every control character but line ends made visible: for sentences of ours that may have several lines. Who
/// prints them indents all but the first ([`wrapped`], [`indented`]), so that none passes for a line of its own.
pub fn printable_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push(c),
            '\t' => out.push_str("    "),
            c if steers(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// [`printable_lines`], all but the first indented by `indent`.
pub fn indented(text: &str, indent: usize) -> String {
    printable_lines(text.trim_end_matches('\n')).replace('\n', &format!("\n{}", " ".repeat(indent)))
}

/// This program's own colours carry a number that is new for every run: whoever sends a text with colours does not know it
/// (`print::inert`).
static OWN: LazyLock<String> = LazyLock::new(|| format!("\x1b[{};", RandomState::new().build_hasher().finish()));

/// Marks the colours in a text of this program's, which holds nothing of anybody else's, as its own.
pub(super) fn own_colours(text: &str) -> String {
    text.replace("\x1b[", &OWN)
}

/// The parameters of the colour sequence of our own that `text` begins with, and how long it is. 8, which conceals, is none.
pub(super) fn own_colour(text: &str) -> Option<(&str, usize)> {
    let parameters = text.strip_prefix(OWN.as_str())?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    let conceals = parameters[..end].split(';').any(|p| p.trim_start_matches('0') == "8");
    let is_colour = parameters[end..].starts_with('m') && !conceals;
    is_colour.then(|| (&parameters[..end], OWN.len() + end + 1))
}

/// `text` with its lines broken between words at `width` columns, every line but the first of each indented by
/// `indent`; ends with a line end, unless it is empty. Colours take no room. A command in backticks stays in one piece where a
/// line has room for it. A later line that is indented by itself is an
/// example to copy: it keeps that indentation and is not broken.
pub fn wrapped(text: &str, width: usize, indent: usize) -> String {
    let width = width.max(indent + 20);
    let mut out = String::with_capacity(text.len() + 64);
    for (i, line) in text.lines().enumerate() {
        let rest = line.trim_start_matches(' ');
        let own = line.len() - rest.len();
        if i > 0 && own > 0 {
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str(line);
            out.push('\n');
            continue;
        }
        let lead = if i == 0 { own } else { indent };
        out.extend(std::iter::repeat_n(' ', lead));
        let mut column = lead;
        for (j, word) in pieces(rest, width - indent).into_iter().enumerate() {
            let columns = columns_of(word);
            if j > 0 && column + 1 + columns > width {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent));
                column = indent;
            } else if j > 0 {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += columns;
        }
        out.push('\n');
    }
    out
}

/// What a line may not be broken inside of: its words, and what stands in backticks if that is not wider than `room`.
fn pieces(line: &str, room: usize) -> Vec<&str> {
    let (mut pieces, mut rest) = (Vec::new(), line);
    loop {
        let word = rest.find(' ').unwrap_or(rest.len());
        let quoted = end_of_quote(rest, word).filter(|end| columns_of(&rest[..*end]) <= room);
        let (piece, more) = rest.split_at(quoted.unwrap_or(word));
        pieces.push(piece);
        match more.strip_prefix(' ') {
            Some(more) => rest = more,
            None => return pieces,
        }
    }
}

/// Where the word ends that begins with `text`, if a quote in backticks that is open at `blank` is one word.
fn end_of_quote(text: &str, blank: usize) -> Option<usize> {
    let opened = text[..blank].matches('`').count() % 2 == 1;
    if !opened {
        return None;
    }
    let closing = blank + text[blank..].find('`')? + 1;
    Some(closing + text[closing..].find(' ').unwrap_or(text.len() - closing))
}

/// The columns that `text` takes: its characters but those of colour sequences (`ESC [ ... m`).
pub fn columns_of(text: &str) -> usize {
    let mut parts = text.split('\u{1b}');
    let plain = parts.next().unwrap_or_default().chars().count();
    plain
        + parts
            .map(|part| part.split_once('m').map_or(0, |(_, rest)| rest.chars().count()))
            .sum::<usize>()
}

/// `text` made printable, its lines joined: for places that have one line.
pub fn one_line(text: &str) -> String {
    let parts: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .map(printable)
        .collect();
    parts.join("; ")
}

/// How far a step is: `12.3 of 27.1 MiB`, `120 entries behind`.
pub(super) fn progress(unit: &str, done: u64, total: Option<u64>) -> String {
    match (unit, total) {
        ("bytes", Some(total)) => {
            let (done, total) = (human_bytes(done), human_bytes(total));
            let same_unit = done
                .rsplit_once(' ')
                .filter(|(_, unit)| total.ends_with(&format!(" {unit}")));
            format!("{} of {total}", same_unit.map_or(done.as_str(), |(number, _)| number))
        }
        ("bytes", None) => human_bytes(done),
        (unit, Some(total)) => format!("{done} of {total} {unit}"),
        (unit, None) => format!("{done} {unit}"),
    }
}

/// Which marks and colours the terminal can show. Everything stays legible with neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    /// ANSI colours.
    pub colour: bool,
    /// Characters beyond ASCII.
    pub unicode: bool,
}

impl Paint {
    /// Plain ASCII without colour.
    pub const PLAIN: Paint = Paint {
        colour: false,
        unicode: false,
    };

    /// What the environment allows on a terminal (`is_tty`): `NO_COLOR` and the locale are honoured.
    pub fn from_env(is_tty: bool) -> Self {
        let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(set)
            .unwrap_or_default()
            .to_lowercase();
        Self {
            colour: is_tty && set("NO_COLOR").is_none(),
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    /// Done, healthy.
    pub fn good(self, text: &str) -> String {
        self.with(Style::new().green(), text)
    }

    /// Worth a look.
    pub fn warn(self, text: &str) -> String {
        self.with(Style::new().yellow(), text)
    }

    /// Failed.
    pub fn bad(self, text: &str) -> String {
        self.with(Style::new().red().bold(), text)
    }

    /// At work.
    pub fn busy(self, text: &str) -> String {
        self.with(Style::new().cyan(), text)
    }

    /// Of less importance.
    pub fn dim(self, text: &str) -> String {
        self.with(Style::new().dimmed(), text)
    }

    /// Of more importance.
    pub fn strong(self, text: &str) -> String {
        self.with(Style::new().bold(), text)
    }

    /// `fancy` where the terminal has it, else `plain`.
    pub(super) fn mark<'a>(self, fancy: &'a str, plain: &'a str) -> &'a str {
        if self.unicode { fancy } else { plain }
    }

    /// `text` cut to `width` columns, with dots where something was cut. Counts characters: what is shown here is names,
    /// numbers and plain words.
    pub(super) fn cut(self, text: &str, width: usize) -> String {
        if text.chars().count() <= width {
            return text.to_owned();
        }
        let dots = self.mark("…", "...");
        let kept = text.chars().take(width.saturating_sub(dots.chars().count()));
        kept.chain(dots.chars()).take(width).collect()
    }

    fn with(self, style: Style, text: &str) -> String {
        if self.colour && !text.is_empty() {
            let painted = own_colours(&style.style('\0').to_string());
            painted.replace('\0', text)
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_read_naturally() {
        let sizes = [0, 1023, 1024, 28_416_000, 1 << 20, (1 << 30) - 1].map(human_bytes);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "27.1 MiB", "1.0 MiB", "1.0 GiB"]);
        let times = [0.04, 9.94, 9.96, 42.4, 200.0, 7500.0, -1.0].map(human_seconds);
        assert_eq!(
            times,
            ["0.0 s", "9.9 s", "10 s", "42 s", "3 min 20 s", "2 h 5 min", "0.0 s"]
        );
    }

    #[test]
    fn long_lines_break_between_words_and_colours_take_no_room() {
        let red = own_colours("\u{1b}[31merror:\u{1b}[0m");
        assert_eq!(
            wrapped(&format!("{red} one two three four five six"), 25, 7),
            format!("{red} one two three four\n       five six\n")
        );
        assert_eq!(wrapped("  a: one\ntwo", 80, 4), "  a: one\n    two\n");
        let long = "x".repeat(50);
        assert_eq!(
            wrapped(&format!("see {long} there"), 25, 2),
            format!("see\n  {long}\n  there\n")
        );
        assert_eq!(wrapped("as it is", usize::MAX, 2), "as it is\n");
        // A command is copied in one piece, unless it is wider than a line.
        assert_eq!(
            wrapped("then run it: `quorate up -v`, which", 25, 2),
            "then run it:\n  `quorate up -v`, which\n"
        );
        assert_eq!(
            wrapped("or `etcdctl endpoint health --cluster`", 25, 2),
            "or `etcdctl endpoint\n  health --cluster`\n"
        );
        assert_eq!(wrapped("an `open quote", 25, 2), "an `open quote\n");
    }

    #[test]
    fn progress_says_its_unit_once() {
        assert_eq!(progress("bytes", 14_208_000, Some(28_416_000)), "13.5 of 27.1 MiB");
        assert_eq!(progress("bytes", 900, Some(28_416_000)), "900 B of 27.1 MiB");
        assert_eq!(progress("entries behind", 12, None), "12 entries behind");
    }

    #[test]
    fn a_host_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\r\tc\nd"), "a\\u{1b}[2Jb\\r    c\\nd");
        assert_eq!(indented("a\nb\x1b\n", 4), "a\n    b\\u{1b}");
        assert_eq!(one_line("outer\n  inner\n\n"), "outer; inner");
        assert_eq!(Paint::PLAIN.cut("abcdef", 4), "a...");
        assert_eq!(Paint::PLAIN.cut("abcdef", 2), "..");
    }
}
