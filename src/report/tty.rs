//! The live display on a terminal: one line per host under the current phase, and what stays above it.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::live::Live;
use super::print::inert;
use super::table::terminal_width;
use super::{Event, Paint, Reporter, wrapped};

/// How often times and marks move on when nothing happens.
const TICK: Duration = Duration::from_millis(120);
/// When the terminal does not tell.
const USUAL_WIDTH: u16 = 80;

/// The live display. Dropping it takes its lines off the screen and leaves the cursor at the start of a line.
pub struct Tty {
    screen: Arc<Mutex<Screen>>,
    stop: Option<Sender<()>>,
    ticker: Option<JoinHandle<()>>,
}

struct Screen {
    live: Live,
    area: MultiProgress,
    rows: Vec<ProgressBar>,
    /// While somebody asks a question: the lines to show afterwards.
    held: Option<Vec<String>>,
}

impl Tty {
    /// On standard error.
    pub fn on_stderr(paint: Paint) -> Self {
        Self::new(ProgressDrawTarget::stderr(), paint)
    }

    fn new(target: ProgressDrawTarget, paint: Paint) -> Self {
        let screen = Arc::new(Mutex::new(Screen {
            live: Live::new(paint),
            area: MultiProgress::with_draw_target(target),
            rows: Vec::new(),
            held: None,
        }));
        let (stop, stopped) = channel::<()>();
        let shown = Arc::clone(&screen);
        let tick = move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                lock(&shown).draw();
            }
        };
        // Without the thread the display only moves when something happens, which is good enough.
        let ticker = std::thread::Builder::new().name("display".into()).spawn(tick).ok();
        Self {
            screen,
            stop: Some(stop),
            ticker,
        }
    }
}

impl Reporter for Tty {
    fn event(&self, event: &Event) {
        let mut screen = lock(&self.screen);
        let lines = screen.live.event(event, Instant::now());
        screen.print(lines);
        screen.draw();
    }

    fn pause(&self) {
        let mut screen = lock(&self.screen);
        screen.clear();
        screen.held.get_or_insert_default();
    }

    fn resume(&self) {
        let mut screen = lock(&self.screen);
        let held = screen.held.take().unwrap_or_default();
        screen.print(held);
        screen.draw();
    }

    fn end(&self) {
        let mut screen = lock(&self.screen);
        screen.end();
        screen.held = Some(Vec::new());
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(ticker) = self.ticker.take() {
            // It cannot have panicked in a way that matters now.
            let _ = ticker.join();
        }
        lock(&self.screen).end();
    }
}

impl Screen {
    /// Takes the live lines away and says what has not been said yet.
    fn end(&mut self) {
        let held = self.held.take().unwrap_or_default();
        self.clear();
        self.print(held);
        let last = self.live.last_words();
        self.print(last.into_iter().collect());
    }

    fn print(&mut self, lines: Vec<String>) {
        if let Some(held) = &mut self.held {
            held.extend(lines);
            return;
        }
        let width = width();
        for line in lines {
            // What follows below it (a journal, figures) has its own shape.
            let (first, below) = line.split_at(line.find('\n').unwrap_or(line.len()));
            let own = first.len() - first.trim_start_matches(' ').len();
            let text = wrapped(first, width, own + 2).trim_end_matches('\n').to_owned() + below;
            // A terminal that went away is no reason to stop the run.
            let _ = self.area.println(inert(text.trim_end_matches('\n')));
        }
    }

    fn draw(&mut self) {
        if self.held.is_some() {
            return;
        }
        let frame = self.live.frame(Instant::now(), width());
        if frame.is_empty() {
            // At once, and not with the next drawing: what is printed next comes from elsewhere.
            if !self.rows.is_empty() {
                self.clear();
            }
            return;
        }
        while self.rows.len() > frame.len() {
            if let Some(row) = self.rows.pop() {
                self.area.remove(&row);
            }
        }
        // Also because the display counts columns, and takes a colour that is marked as our own for text.
        for (at, line) in frame.iter().map(|line| inert(line)).enumerate() {
            match self.rows.get(at) {
                Some(row) if row.message() == line => {}
                Some(row) => row.set_message(line),
                None => {
                    let row = ProgressBar::no_length().with_style(one_message()).with_message(line);
                    let row = self.area.add(row);
                    row.tick();
                    self.rows.push(row);
                }
            }
        }
    }

    fn clear(&mut self) {
        for row in self.rows.drain(..) {
            self.area.remove(&row);
        }
        let _ = self.area.clear();
    }
}

/// The last column stays free: some terminals wrap when it is written.
fn width() -> usize {
    usize::from(terminal_width().unwrap_or(USUAL_WIDTH)).saturating_sub(1)
}

fn one_message() -> ProgressStyle {
    ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn lock(screen: &Mutex<Screen>) -> MutexGuard<'_, Screen> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::{quiet, story};
    use super::*;

    fn hidden() -> Tty {
        Tty::new(ProgressDrawTarget::hidden(), Paint::PLAIN)
    }

    #[test]
    fn what_comes_during_a_question_is_shown_after_it() {
        let tty = hidden();
        tty.event(&Event::PhaseStarted {
            phase: "connect".into(),
        });
        assert_eq!(lock(&tty.screen).rows.len(), 1);
        {
            let _quiet = quiet(&tty);
            tty.event(&Event::Note {
                text: "meanwhile".into(),
            });
            let screen = lock(&tty.screen);
            assert!(screen.rows.is_empty());
            assert_eq!(screen.held.as_deref(), Some(["- meanwhile".to_owned()].as_slice()));
        }
        let screen = lock(&tty.screen);
        assert_eq!(screen.held, None);
        assert_eq!(screen.rows.len(), 1);
    }

    /// The display knows terminals' colours and no others: of what is marked as ours it counts every digit as a column.
    #[test]
    fn a_live_row_is_as_wide_as_it_looks() {
        let paint = Paint {
            colour: true,
            unicode: true,
        };
        let tty = Tty::new(ProgressDrawTarget::hidden(), paint);
        let mut coloured = 0;
        for event in story::beginning() {
            tty.event(&event);
            for row in &lock(&tty.screen).rows {
                let shown = row.message();
                let plain: String = shown
                    .split("\x1b[")
                    .enumerate()
                    .map(|(i, part)| match i {
                        0 => part,
                        _ => {
                            coloured += 1;
                            let (colour, text) = part.split_once('m').expect("a colour");
                            assert!(colour.len() < 8, "not a terminal's colour: {shown:?}");
                            text
                        }
                    })
                    .collect();
                assert!(plain.chars().count() <= width(), "{shown:?}");
            }
        }
        assert!(coloured > 10, "nothing has a colour");
    }

    #[test]
    fn nothing_is_left_on_the_screen_at_the_end() {
        let tty = hidden();
        story::bootstrap().iter().for_each(|event| tty.event(event));
        assert!(lock(&tty.screen).rows.is_empty());
    }
}
