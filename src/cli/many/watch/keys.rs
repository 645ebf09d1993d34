//! What was pressed, from the bytes of a terminal. Pure.

/// A key that means something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// One up.
    Up,
    /// One down.
    Down,
    /// A screen up.
    PageUp,
    /// A screen down.
    PageDown,
    /// The first one.
    First,
    /// The last one.
    Last,
    /// Into what is chosen.
    Open,
    /// Out of it.
    Back,
    /// To the end.
    Quit,
}

/// Sequences of keys that have no letter: of xterm and its like, and those of the keypad's application mode.
const SEQUENCES: [(&[u8], Key); 16] = [
    (b"\x1b[A", Key::Up),
    (b"\x1bOA", Key::Up),
    (b"\x1b[B", Key::Down),
    (b"\x1bOB", Key::Down),
    (b"\x1b[C", Key::Open),
    (b"\x1bOC", Key::Open),
    (b"\x1b[D", Key::Back),
    (b"\x1bOD", Key::Back),
    (b"\x1b[5~", Key::PageUp),
    (b"\x1b[6~", Key::PageDown),
    (b"\x1b[H", Key::First),
    (b"\x1bOH", Key::First),
    (b"\x1b[1~", Key::First),
    (b"\x1b[F", Key::Last),
    (b"\x1bOF", Key::Last),
    (b"\x1b[4~", Key::Last),
];

/// The keys in what was read; what means nothing here is skipped, a sequence that is not known as a whole.
pub fn keys(mut bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        if let Some((sequence, key)) = SEQUENCES.iter().find(|(sequence, _)| bytes.starts_with(sequence)) {
            keys.push(*key);
            bytes = &bytes[sequence.len()..];
            continue;
        }
        if let (0x1b, Some((b'[' | b'O', parameters))) = (*first, rest.split_first()) {
            let end = parameters.iter().position(|byte| (0x40..=0x7e).contains(byte));
            bytes = end.map_or(&[][..], |end| &parameters[end + 1..]);
            continue;
        }
        bytes = rest;
        keys.extend(match first {
            b'k' | b'K' => Some(Key::Up),
            b'j' | b'J' => Some(Key::Down),
            b'g' => Some(Key::First),
            b'G' => Some(Key::Last),
            b' ' => Some(Key::PageDown),
            b'\r' | b'\n' | b'l' => Some(Key::Open),
            // Escape alone, backspace.
            0x1b | 0x7f | 0x08 | b'h' => Some(Key::Back),
            // q, Ctrl-D.
            b'q' | b'Q' | 0x04 => Some(Key::Quit),
            _ => None,
        });
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_from_sequences_and_what_is_unknown_is_skipped_as_a_whole() {
        assert_eq!(keys(b"\x1b[B\x1bOAj\r"), [Key::Down, Key::Up, Key::Down, Key::Open]);
        assert_eq!(keys(b"\x1b"), [Key::Back]);
        assert_eq!(
            keys(b"\x1b[6~\x1b[1;5Hq"),
            [Key::PageDown, Key::Quit],
            "Ctrl-Home is not known"
        );
        // A report of the mouse, a function key, a letter of another script, half of a sequence.
        assert_eq!(keys("\x1b[<0;10;20M\x1b[15~ü\x1b[1;".as_bytes()), []);
    }
}
