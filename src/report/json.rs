//! One JSON object per line, for programs.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use jiff::{Timestamp, Unit};
use serde::Serialize;

use super::print::inert_json;
use super::{Event, Reporter};

/// Writes each event as one line and flushes it, so that a reader sees it at once. When the reader goes away, the rest is
/// dropped silently: the run itself goes on.
pub struct JsonLines<W: Write + Send> {
    out: Mutex<Option<W>>,
    cluster: Option<String>,
    now: fn() -> Timestamp,
}

/// An event as it is written.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    event: &'a Event,
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a str>,
}

impl<W: Write + Send> JsonLines<W> {
    /// Events, of this cluster where one is known, go to `out`.
    pub fn new(out: W, cluster: Option<String>) -> Self {
        Self {
            out: Mutex::new(Some(out)),
            cluster,
            now,
        }
    }
}

/// To a millisecond, in which it is read more easily.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    now.round(Unit::Millisecond).unwrap_or(now)
}

impl<W: Write + Send> Reporter for JsonLines<W> {
    fn event(&self, event: &Event) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(writer) = out.as_mut() else { return };
        let line = Line {
            event,
            at: (self.now)(),
            cluster: self.cluster.as_deref(),
        };
        // Events are plain data with text keys; there is no value in them that JSON lacks.
        let Ok(line) = serde_json::to_string(&line) else {
            return;
        };
        if writeln!(writer, "{}", inert_json(&line))
            .and_then(|()| writer.flush())
            .is_err()
        {
            *out = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn each_event_is_one_object_on_one_line() {
        let sink = JsonLines {
            now: || "2026-01-01T00:00:00.5Z".parse().unwrap(),
            ..JsonLines::new(Vec::new(), Some("prod-a".to_owned()))
        };
        sink.event(&Event::Note {
            text: "two\nlines".into(),
        });
        sink.event(&Event::PhaseFinished {
            phase: "plan".into(),
            seconds: 0.5,
        });
        let written = sink.out.into_inner().unwrap().unwrap();
        assert_eq!(
            String::from_utf8(written).unwrap(),
            "{\"event\":\"note\",\"text\":\"two\\nlines\",\"at\":\"2026-01-01T00:00:00.5Z\",\"cluster\":\"prod-a\"}\n\
             {\"event\":\"phase_finished\",\"phase\":\"plan\",\"seconds\":0.5,\"at\":\"2026-01-01T00:00:00.5Z\",\"cluster\":\"prod-a\"}\n"
        );
    }

    #[test]
    fn a_reader_that_went_away_is_no_reason_to_stop() {
        struct Closed(Arc<AtomicUsize>);
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                self.0.fetch_add(1, Ordering::Relaxed);
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let tries = Arc::new(AtomicUsize::new(0));
        let sink = JsonLines::new(Closed(tries.clone()), None);
        sink.event(&Event::Note { text: "a".into() });
        sink.event(&Event::Note { text: "b".into() });
        assert_eq!(tries.load(Ordering::Relaxed), 1);
    }
}
