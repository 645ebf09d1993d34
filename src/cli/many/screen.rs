//! One standard error for all clusters: whole lines, each with the cluster that it is about, and none while a question is
//! asked.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crate::report::print::tell;
use crate::report::{Event, Reporter};

/// Where lines go.
#[derive(Debug, Default)]
pub struct Screen(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    questions: usize,
    lines: Vec<String>,
}

impl Screen {
    /// Shows a line, now or once nobody is asked anything any more.
    pub fn line(&self, text: String) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match held.questions {
            0 => tell!("{text}"),
            _ => held.lines.push(text),
        }
    }
}

/// For those who ask: all that they need is quiet.
impl Reporter for Screen {
    fn event(&self, _: &Event) {}

    fn pause(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).questions += 1;
    }

    fn resume(&self) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.questions = held.questions.saturating_sub(1);
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
        assert_eq!(screen.0.lock().unwrap().lines, ["a: one", "a: two"]);
        screen.resume();
        assert!(screen.0.lock().unwrap().lines.is_empty(), "shown by now");
    }
}
