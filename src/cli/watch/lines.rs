//! From the lines on a screen to other lines, as the bytes that change them: only what differs is written. Pure.

/// What takes a terminal from `old` to `new`, with the cursor at the start of the line below `old`, and then of that below
/// `new`.
pub(super) fn change(old: &[String], new: &[String]) -> String {
    if old == new {
        return String::new();
    }
    // Terminals that know it show the change as a whole; others ignore it.
    let mut bytes = String::from("\x1b[?2026h");
    if !old.is_empty() {
        bytes += &format!("\x1b[{}A\r", old.len());
    }
    for (at, line) in new.iter().enumerate() {
        if old.get(at) != Some(line) {
            bytes += line;
            bytes += "\x1b[K";
        }
        bytes += "\r\n";
    }
    if old.len() > new.len() {
        bytes += "\x1b[J";
    }
    bytes + "\x1b[?2026l"
}

/// The first `width` columns of a line; colours (`ESC [ ... m`) take no room and are ended.
pub(in crate::cli) fn clip(line: &str, width: usize) -> String {
    let mut out = String::with_capacity(line.len());
    let (mut columns, mut coloured) = (0, false);
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        if c == '\x1b' {
            coloured = true;
            out.push(c);
            for c in rest.by_ref() {
                out.push(c);
                if c == 'm' {
                    break;
                }
            }
        } else if columns == width {
            if coloured {
                out += "\x1b[0m";
            }
            break;
        } else {
            out.push(c);
            columns += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::columns_of;

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|line| (*line).to_owned()).collect()
    }

    /// A terminal, as far as the changes need one.
    #[derive(Default)]
    struct Terminal {
        rows: Vec<String>,
        row: usize,
        /// Characters that were written.
        written: usize,
    }

    impl Terminal {
        fn take(&mut self, bytes: &str) {
            let mut rest = bytes;
            while let Some(c) = rest.chars().next() {
                rest = &rest[c.len_utf8()..];
                self.rows.resize(self.rows.len().max(self.row + 1), String::new());
                match c {
                    '\n' => self.row += 1,
                    '\r' => {}
                    '\x1b' => {
                        let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                        let (code, after) = rest.split_at(end + 1);
                        rest = after;
                        match code {
                            "[K" | "[?2026h" | "[?2026l" => {}
                            "[J" => self.rows.truncate(self.row),
                            up => self.row -= up[1..up.len() - 1].parse::<usize>().unwrap(),
                        }
                    }
                    c => {
                        // Whoever writes to a row begins at its start.
                        let text: String = rest.chars().take_while(|c| *c != '\x1b').collect();
                        self.rows[self.row] = format!("{c}{text}");
                        self.written += 1 + text.len();
                        rest = &rest[text.len()..];
                    }
                }
            }
        }
    }

    #[test]
    fn only_lines_that_differ_are_written_and_the_screen_is_what_was_meant() {
        let mut terminal = Terminal::default();
        let frames = [
            lines(&["demo healthy", "n1 ok now", "n2 ok now"]),
            lines(&["demo healthy", "n1 ok now", "n2 ok 1 s ago"]),
            lines(&["demo UNKNOWN", "n1 ok now", "n2 no answer for 6 s", "? n2", "? why"]),
            lines(&["demo healthy", "n1 ok now"]),
        ];
        let mut old = Vec::new();
        for (new, written) in frames.into_iter().zip([30, 13, 41, 12]) {
            terminal.written = 0;
            terminal.take(&change(&old, &new));
            assert_eq!(terminal.rows[..new.len()], new);
            assert!(
                terminal.rows[new.len()..].iter().all(String::is_empty),
                "{:?}",
                terminal.rows
            );
            assert_eq!(terminal.row, new.len());
            assert_eq!(terminal.written, written);
            assert_eq!(change(&new, &new), "");
            old = new;
        }
    }

    #[test]
    fn lines_are_cut_by_columns_and_colours_are_ended() {
        assert_eq!(clip("plain", 9), "plain");
        assert_eq!(clip("plain", 3), "pla");
        assert_eq!(clip("\x1b[31mred\x1b[0m and more", 5), "\x1b[31mred\x1b[0m a\x1b[0m");
        assert_eq!(columns_of("\x1b[31mred\x1b[0m and"), 7);
    }
}
