//! The part of a terminal that is drawn on: the whole of it while somebody watches, or the lines below the cursor. Whatever
//! happens, it is given back as it was.

use std::io::{Write, stderr, stdin, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::lines::{change, clip};
use crate::host::Restored;
use crate::report::print::inert;
use crate::report::{Event, Lines, Reporter, wrapped};

/// Events that came meanwhile and are told afterwards; older ones are of no use any more.
const KEPT: usize = 20;

/// Shows the cursor, and the screen that was there before.
const CLOSE: &str = "\x1b[?25h\x1b[?1049l";

/// Whether the whole screen is drawn on now.
static ON_SCREEN: AtomicBool = AtomicBool::new(false);

/// What a panic says goes to the screen that stays, not to the one that is gone right afterwards.
fn a_panic_is_seen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if ON_SCREEN.swap(false, Ordering::Relaxed) {
                let _ = stdout().write_all(CLOSE.as_bytes()).and_then(|()| stdout().flush());
            }
            usual(panic);
        }));
    });
}

/// The terminal, and what is on it.
pub struct Display {
    whole_screen: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entered: bool,
    /// Somebody else has the terminal: a question is being asked.
    lent: bool,
    /// Nothing is drawn any more.
    ended: bool,
    shown: Vec<String>,
    size: (u16, u16),
    /// How the terminal was, and who says so when this program is killed.
    modes: Option<(Termios, Restored)>,
    held: Vec<Event>,
}

impl Display {
    /// The whole screen, with keys that are read one by one.
    pub fn whole_screen() -> Self {
        Self {
            whole_screen: true,
            state: Mutex::default(),
        }
    }

    /// The lines below the cursor, which are gone afterwards.
    pub fn below_the_cursor() -> Self {
        Self {
            whole_screen: false,
            state: Mutex::default(),
        }
    }

    /// Shows these lines, made for so many columns and rows.
    pub fn draw(&self, lines: impl FnOnce(usize, usize) -> Vec<String>) {
        let mut state = self.state();
        if state.lent || state.ended {
            return;
        }
        if !state.entered {
            self.enter(&mut state);
        } else if self.whole_screen && !ON_SCREEN.load(Ordering::Relaxed) {
            // Something panicked that goes on without its task, and said so on the screen of before.
            state.shown.clear();
            self.open_screen();
        }
        let size = tcgetwinsize(stdout()).map_or((80, 24), |size| (size.ws_col.max(20), size.ws_row.max(4)));
        if size != state.size && !state.shown.is_empty() {
            // Lines may have been broken anew: what is where is not known any more.
            if self.whole_screen {
                self.write("\x1b[H\x1b[2J");
            }
            state.shown.clear();
        }
        state.size = size;
        // The last column stays free, because some terminals wrap when it is written, and so does the last line.
        let (width, height) = (usize::from(size.0) - 1, usize::from(size.1) - 1);
        let all = lines(width, height);
        let text: Vec<String> = all
            .iter()
            .flat_map(|line| {
                let broken = wrapped(&inert(line), width, 4);
                broken.lines().map(|line| clip(line, width)).collect::<Vec<_>>()
            })
            .collect();
        let fit = fitting(text, height);
        self.write(&change(&state.shown, &fit));
        state.shown = fit;
    }

    /// The keys that were pressed since.
    pub fn keys(&self) -> Vec<u8> {
        let state = self.state();
        if !self.whole_screen || !state.entered || state.lent {
            return Vec::new();
        }
        // The terminal's modes say that a read returns at once.
        let mut keys = [0; 64];
        let read = rustix::io::read(stdin(), &mut keys).unwrap_or_default();
        keys[..read].to_vec()
    }

    /// Gives the terminal back.
    pub fn leave(&self) {
        self.give_back(&mut self.state());
    }

    fn enter(&self, state: &mut State) {
        state.entered = true;
        if !self.whole_screen {
            return;
        }
        if let Ok(modes) = tcgetattr(stdin()) {
            let restored = Restored::at_the_end();
            let mut ours = modes.clone();
            // Keys come one by one and are not shown; Ctrl-C still interrupts, and a screen cannot be put to sleep.
            ours.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            ours.special_codes[SpecialCodeIndex::VMIN] = 0;
            ours.special_codes[SpecialCodeIndex::VTIME] = 0;
            ours.special_codes[SpecialCodeIndex::VSUSP] = 0;
            if tcsetattr(stdin(), OptionalActions::Now, &ours).is_ok() {
                state.modes = Some((modes, restored));
            }
        }
        self.open_screen();
    }

    fn open_screen(&self) {
        a_panic_is_seen();
        ON_SCREEN.store(true, Ordering::Relaxed);
        self.write("\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J");
    }

    fn give_back(&self, state: &mut State) {
        if !std::mem::take(&mut state.entered) {
            return;
        }
        match self.whole_screen {
            true => {
                ON_SCREEN.store(false, Ordering::Relaxed);
                self.write(CLOSE);
            }
            false => self.write(&change(&state.shown, &[])),
        }
        state.shown.clear();
        if let Some((modes, _restored)) = state.modes.take() {
            // Keys that nobody has read are not for the shell.
            let _ = tcsetattr(stdin(), OptionalActions::Flush, &modes);
        }
    }

    /// A terminal that went away is no reason to fail.
    fn write(&self, bytes: &str) {
        let _ = match self.whole_screen {
            true => stdout().write_all(bytes.as_bytes()).and_then(|()| stdout().flush()),
            false => stderr().write_all(bytes.as_bytes()),
        };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What does not fit is counted in the last line.
fn fitting(mut lines: Vec<String>, height: usize) -> Vec<String> {
    if lines.len() > height {
        let more = lines.len() - height + 1;
        lines.truncate(height - 1);
        lines.push(format!("... {more} more lines: `quorate status` shows them all"));
    }
    lines
}

impl Reporter for Display {
    fn event(&self, event: &Event) {
        let mut state = self.state();
        if state.held.len() == KEPT {
            state.held.remove(0);
        }
        state.held.push(event.clone());
    }

    fn pause(&self) {
        let mut state = self.state();
        self.give_back(&mut state);
        state.lent = true;
    }

    fn resume(&self) {
        self.state().lent = false;
    }

    fn end(&self) {
        let mut state = self.state();
        self.give_back(&mut state);
        state.ended = true;
        let lines = Lines::new(stderr());
        state.held.drain(..).for_each(|event| lines.event(&event));
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_that_is_too_low_says_how_much_is_missing() {
        let lines: Vec<String> = (1..=6).map(|n| n.to_string()).collect();
        assert_eq!(fitting(lines.clone(), 6), lines);
        let cut = fitting(lines, 4);
        assert_eq!(cut[..3], ["1", "2", "3"]);
        assert!(cut[3].starts_with("... 3 more lines"), "{cut:?}");
    }
}
