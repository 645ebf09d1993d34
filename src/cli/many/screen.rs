//! One standard error for all clusters: whole lines, each with the cluster that it is about, and none while a question is
//! asked.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::report::print::tell;
use crate::report::{Event, Reporter};

/// Lines that came while the whole screen was drawn on, and are told afterwards; older ones are of no use any more.
const KEPT: usize = 20;

/// Where lines go.
#[derive(Default)]
pub struct Screen {
    held: Mutex<Held>,
    /// What is drawn on the terminal meanwhile, where something is.
    above: Option<Arc<dyn Reporter>>,
}

#[derive(Debug, Default)]
struct Held {
    questions: usize,
    lines: Vec<String>,
}

impl Screen {
    /// One that is drawn on: lines wait for [`Screen::end`].
    pub fn below(above: Arc<dyn Reporter>) -> Self {
        Self {
            held: Mutex::default(),
            above: Some(above),
        }
    }

    /// Shows a line, now or once nobody is asked anything any more.
    pub fn line(&self, text: String) {
        let mut held = self.held();
        match (held.questions, &self.above) {
            (0, None) => tell!("{text}"),
            (_, None) => held.lines.push(text),
            // A cluster is looked at again and again, and says the same each time.
            (_, Some(_)) if held.lines.contains(&text) => {}
            (_, Some(_)) => {
                if held.lines.len() == KEPT {
                    held.lines.remove(0);
                }
                held.lines.push(text);
            }
        }
    }

    /// Nothing is drawn any more: shows what was held back.
    pub fn end(&self) {
        self.held().lines.drain(..).for_each(|line| tell!("{line}"));
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For those who ask: all that they need is quiet.
impl Reporter for Screen {
    fn event(&self, _: &Event) {}

    fn pause(&self) {
        self.held().questions += 1;
        if let Some(above) = &self.above {
            above.pause();
        }
    }

    fn resume(&self) {
        let mut held = self.held();
        held.questions = held.questions.saturating_sub(1);
        match (&self.above, held.questions) {
            (Some(above), 0) => return above.resume(),
            (Some(_), _) => return,
            (None, _) => {}
        }
        if held.questions == 0 {
            held.lines.drain(..).for_each(|line| tell!("{line}"));
        }
    }
}

/// What one cluster has to say: whole lines with its name.
pub struct Label {
    /// The cluster's name.
    pub cluster: String,
    /// Where they go.
    pub screen: Arc<Screen>,
    /// A line that has not ended yet.
    pub begun: Vec<u8>,
}

impl Write for Label {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun.extend_from_slice(bytes);
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            let text = String::from_utf8_lossy(&line[..end]);
            if !text.is_empty() {
                self.screen.line(format!("{}: {text}", self.cluster));
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_while_somebody_is_asked() {
        let screen = Arc::new(Screen::default());
        let mut label = Label {
            cluster: "a".into(),
            screen: screen.clone(),
            begun: Vec::new(),
        };
        screen.pause();
        screen.pause();
        label.write_all(b"one\n\ntw").unwrap();
        label.write_all(b"o\nthr").unwrap();
        screen.resume();
        assert_eq!(screen.held().lines, ["a: one", "a: two"]);
        screen.resume();
        assert!(screen.held().lines.is_empty(), "shown by now");
    }
}
