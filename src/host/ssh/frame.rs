//! The frame around what a script says. What a login prints outside of it is chatter and no answer.
//!
//! The loader (see `command`) prints marks in front of the script's output and behind it, on both outputs. A mark carries
//! a number that is new for every command, and a command line holds it in two halves only: a login that prints what it
//! was asked to run makes no frame.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};

use bytes::Bytes;

/// Chatter is kept up to this length, for a login that never comes to the frame.
const MOST_CHATTER: usize = 16 << 10;

/// A number that is new for every command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Nonce {
    pub(super) first: String,
    pub(super) second: String,
}

impl Nonce {
    pub(super) fn new() -> Self {
        // The standard library's hasher is seeded by the system: chance enough, without another dependency.
        let chance = || RandomState::new().build_hasher().finish();
        Self {
            // A capital letter is rare enough that looking for the mark costs next to nothing.
            first: format!("Q{:016x}", chance()),
            second: format!("{:016x}", chance()),
        }
    }

    /// `WORD` behind the whole number.
    pub(super) fn mark(&self, word: &str) -> Vec<u8> {
        format!("{self}:{word}").into_bytes()
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.first, self.second)
    }
}

/// Both outputs of one command.
#[derive(Debug)]
pub(super) struct Frame {
    out: Pane,
    err: Pane,
    /// Printed on standard error right before sudo takes over.
    sudo: Vec<u8>,
    /// What sudo is told to ask with.
    pub(super) prompt: String,
}

/// How a script ended, by the loader's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// With this status.
    Status(i32),
    /// It was not run: its text did not arrive as it was sent.
    Cut,
}

impl Frame {
    pub(super) fn new(nonce: &Nonce) -> Self {
        Self {
            out: Pane::new(nonce.mark("begin;"), nonce.mark("end ")),
            err: Pane::new(nonce.mark("hear;"), nonce.mark("over ")),
            sudo: nonce.mark("sudo;"),
            prompt: format!("{nonce}:password"),
        }
    }

    /// What of `data` on standard output the script has said.
    pub(super) fn out(&mut self, data: Bytes) -> Bytes {
        self.out.feed(data)
    }

    /// The same for standard error.
    pub(super) fn err(&mut self, data: Bytes) -> Bytes {
        self.err.feed(data)
    }

    /// Whether the loader runs.
    pub(super) fn begun(&self) -> bool {
        !matches!(self.out.state, State::Before)
    }

    /// How the script ended, once it has.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        match self.out.state {
            State::After(verdict) => Some(verdict),
            State::Before | State::Inside => None,
        }
    }

    /// What sudo has said so far, in front of the frame; `None` when it does not run (any more).
    pub(super) fn said_by_sudo(&self) -> Option<String> {
        let [_, err] = self.chatter();
        let at = find(err, &self.sudo)? + self.sudo.len();
        Some(String::from_utf8_lossy(&err[at..]).into_owned())
    }

    /// What was printed in front of the frame, on standard output and standard error.
    pub(super) fn chatter(&self) -> [&[u8]; 2] {
        [&self.out, &self.err].map(|pane| match pane.state {
            State::Before => pane.held.as_slice(),
            State::Inside | State::After(_) => &[],
        })
    }
}

#[derive(Debug)]
struct Pane {
    begin: Vec<u8>,
    end: Vec<u8>,
    state: State,
    /// Not judged yet: chatter, or what may be the beginning of a mark.
    held: Vec<u8>,
}

#[derive(Debug)]
enum State {
    Before,
    Inside,
    After(Verdict),
}

impl Pane {
    fn new(begin: Vec<u8>, end: Vec<u8>) -> Self {
        Self {
            begin,
            end,
            state: State::Before,
            held: Vec::new(),
        }
    }

    fn feed(&mut self, data: Bytes) -> Bytes {
        match self.state {
            State::Before => self.look_for_begin(&data),
            State::Inside if self.held.is_empty() => self.look_for_end(data),
            State::Inside => {
                self.held.extend_from_slice(&data);
                let all = std::mem::take(&mut self.held);
                self.look_for_end(all.into())
            }
            State::After(_) => Bytes::new(),
        }
    }

    fn look_for_begin(&mut self, data: &[u8]) -> Bytes {
        self.held.extend_from_slice(data);
        if let Some(at) = find(&self.held, &self.begin) {
            let rest = self.held.split_off(at + self.begin.len());
            self.held.clear();
            self.state = State::Inside;
            return self.look_for_end(rest.into());
        }
        // Its end is kept: the mark may come in pieces, and a shell's last words say most.
        let excess = self.held.len().saturating_sub(MOST_CHATTER);
        self.held.drain(..excess);
        Bytes::new()
    }

    fn look_for_end(&mut self, mut data: Bytes) -> Bytes {
        let Some(at) = find(&data, &self.end) else {
            self.held = data.split_off(data.len() - begun(&data, &self.end)).to_vec();
            return data;
        };
        let mark = data.split_off(at);
        match verdict(&mark[self.end.len()..]) {
            Some(verdict) => self.state = State::After(verdict),
            None => self.held = mark.to_vec(),
        }
        data
    }
}

/// `7;` or `cut;`; `None` while it is incomplete.
fn verdict(text: &[u8]) -> Option<Verdict> {
    let word = &text[..text.iter().position(|byte| *byte == b';')?];
    let status = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
    Some(status.map_or(Verdict::Cut, Verdict::Status))
}

/// Where `mark` stands in `data`.
fn find(data: &[u8], mark: &[u8]) -> Option<usize> {
    let first = *mark.first()?;
    let mut from = 0;
    while let Some(next) = data[from..].iter().position(|byte| *byte == first) {
        if data[from + next..].starts_with(mark) {
            return Some(from + next);
        }
        from += next + 1;
    }
    None
}

/// How many bytes at the end of `data` may be the beginning of `mark`.
fn begun(data: &[u8], mark: &[u8]) -> usize {
    let longest = mark.len().min(data.len() + 1);
    (1..longest)
        .rev()
        .find(|length| data.ends_with(&mark[..*length]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nonce() -> Nonce {
        Nonce {
            first: "Qab".into(),
            second: "cd".into(),
        }
    }

    fn said(chunks: &[&[u8]]) -> (Vec<u8>, Option<Verdict>) {
        let mut frame = Frame::new(&nonce());
        let said = chunks.iter().flat_map(|chunk| frame.out(Bytes::copy_from_slice(chunk)));
        (said.collect(), frame.verdict())
    }

    #[test]
    fn what_is_outside_the_frame_is_not_said() {
        let (text, verdict) = said(&[b"Welcome Qabcd\nQabcd:begin;out\nQabcd:end 7;Bye Qabcd:end 0;"]);
        assert_eq!((text.as_slice(), verdict), (&b"out\n"[..], Some(Verdict::Status(7))));
    }

    #[test]
    fn a_command_line_that_is_printed_makes_no_frame() {
        let (text, verdict) = said(&[b"sh -c printf %s%s:begin; Qab cd begin;"]);
        assert_eq!((text.as_slice(), verdict), (&b""[..], None));
    }

    #[test]
    fn a_line_is_passed_on_as_soon_as_it_has_come() {
        let mut frame = Frame::new(&nonce());
        assert_eq!(frame.out(Bytes::from_static(b"Qabcd:begin;locked\n")), "locked\n");
        assert_eq!(frame.out(Bytes::from_static(b"more Q")), "more ");
        assert_eq!(frame.out(Bytes::from_static(b"uite\n")), "Quite\n");
        assert_eq!(frame.verdict(), None);
    }

    #[test]
    fn a_text_that_did_not_arrive_whole_is_told_apart() {
        assert_eq!(said(&[b"Qabcd:begin;Qabcd:end cut;"]).1, Some(Verdict::Cut));
    }

    #[test]
    fn endless_chatter_takes_no_memory() {
        let mut frame = Frame::new(&nonce());
        for _ in 0..100 {
            frame.out(Bytes::from(vec![b'Q'; 10_000]));
        }
        assert_eq!(frame.chatter()[0].len(), MOST_CHATTER);
        assert_eq!(frame.out(Bytes::from_static(b"Qabcd:begin;x")), "x");
    }

    proptest! {
        #[test]
        fn a_frame_is_found_however_it_is_cut(body in proptest::collection::vec(prop_oneof![Just(b'Q'), Just(b'a'), any::<u8>()], 0..60),
                                              cuts in proptest::collection::vec(1..9_usize, 1..80)) {
            let mut whole = b"chatter QabQabcd:begin;".to_vec();
            whole.extend(&body);
            whole.extend(b"Qabcd:end 12;bye");
            let mut rest = whole.as_slice();
            let mut chunks = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (chunk, more) = rest.split_at((*cut).min(rest.len()));
                chunks.push(chunk);
                rest = more;
            }
            prop_assert_eq!(said(&chunks), (body, Some(Verdict::Status(12))));
        }
    }
}
