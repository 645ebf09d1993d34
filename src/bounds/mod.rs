//! How much another machine may say, and how long it may take for it.
//!
//! Nobody here waits for ever, and nobody keeps what has no end: [`Limits`] are what one answer may have, [`Pace`] judges a
//! stream, and [`read`] is the one way to read something whole. What was passed is an [`Exceeded`], which says the limit;
//! who it was and what was asked is for the caller to add. `tests/bounds.rs` finds readers that go around this room, and
//! docs/security.md has the table.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::OFlags;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::{Instant, sleep_until, timeout};

/// What one answer may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes.
    pub bytes: u64,
    /// How long it may take, from when everything that it needs has been taken; `None`: it ends with its input.
    pub time: Option<Duration>,
    /// How long the work goes on there at most when nobody here waits for it any more.
    pub there: Option<Duration>,
}

impl Limits {
    /// Of an answer to a question.
    pub const fn answer(bytes: u64, seconds: u64) -> Self {
        Self {
            bytes,
            time: Some(Duration::from_secs(seconds)),
            there: Some(Duration::from_secs(seconds + 30)),
        }
    }

    /// Of what takes data first, for as long as a slow line needs for them: each piece within `seconds`, and so much for the
    /// rest of the work.
    pub const fn delivery(bytes: u64, seconds: u64) -> Self {
        Self {
            bytes,
            time: Some(Duration::from_secs(seconds)),
            there: Some(Duration::from_secs(24 * 3600)),
        }
    }

    /// Of data of any size, which the listener judges by their [`Pace`].
    pub const STREAM: Self = Self {
        there: Some(Duration::from_secs(24 * 3600)),
        ..Self::ATTENDED
    };

    /// Of what is listened to as it comes: the listener has limits of its own, and closing its input ends it.
    pub const ATTENDED: Self = Self {
        bytes: u64::MAX,
        time: None,
        there: None,
    };
}

/// A limit that was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    /// More came than may.
    #[error("the answer is longer than {size}, which is the limit", size = size(*.0))]
    Bytes(u64),
    /// It did not end.
    #[error("it did not end within {} s, which is the limit", .0.as_secs_f32())]
    Time(Duration),
    /// A stream brought nothing.
    #[error("nothing came for {} s, which is the limit", .0.as_secs_f32())]
    Idle(Duration),
    /// A stream brings next to nothing.
    #[error("only {size} came in {} s; the limit is {least}", .0.within.as_secs(), size = size(.0.bytes), least = size(.0.least))]
    Slow(Slow),
}

/// How little a stream brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slow {
    /// Bytes that came.
    pub bytes: u64,
    /// Bytes that would have been enough.
    pub least: u64,
    /// In this time.
    pub within: Duration,
}

impl From<Exceeded> for io::Error {
    fn from(exceeded: Exceeded) -> Self {
        let kind = match exceeded {
            Exceeded::Bytes(_) => io::ErrorKind::FileTooLarge,
            Exceeded::Time(_) | Exceeded::Idle(_) | Exceeded::Slow(_) => io::ErrorKind::TimedOut,
        };
        io::Error::new(kind, exceeded)
    }
}

/// A number of bytes for people; limits are round.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let (mut shown, mut unit) = (bytes, 0);
    while shown >= 1024 && unit + 1 < UNITS.len() {
        shown /= 1024;
        unit += 1;
    }
    match (shown, unit) {
        (1, 0) => "1 byte".to_owned(),
        (shown, unit) => format!("{shown} {}", UNITS[unit]),
    }
}

/// Adds `more` to what is kept of an answer, as long as that is allowed.
///
/// # Errors
/// [`Exceeded::Bytes`].
pub fn keep(kept: &mut Vec<u8>, more: &[u8], most: u64) -> Result<(), Exceeded> {
    if (kept.len() + more.len()) as u64 > most {
        return Err(Exceeded::Bytes(most));
    }
    kept.extend_from_slice(more);
    Ok(())
}

/// Reads to the end of `source`, and no more than `most` bytes.
///
/// # Errors
/// [`Exceeded::Bytes`] inside an [`io::Error`], or what the source says.
pub fn read(source: impl io::Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(source, most.saturating_add(1)), &mut bytes)?;
    match bytes.len() as u64 > most {
        true => Err(Exceeded::Bytes(most).into()),
        false => Ok(bytes),
    }
}

/// Opens a plain file to read it: a pipe that was put in its place would be waited for, and a device has no end. It is looked at
/// once it is open, so that nothing else can be what is read.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for what is no file, or what the system says.
pub fn open(path: &Path) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file")),
    }
}

/// Reads to the end of `source`, and keeps the last `most` bytes.
///
/// # Errors
/// What the source says; what was read until then is kept.
pub async fn read_last(source: &mut (dyn AsyncRead + Unpin + Send), kept: &mut Vec<u8>, most: usize) -> io::Result<()> {
    let mut piece = [0; 8192];
    loop {
        let came = source.read(&mut piece).await?;
        if came == 0 {
            return Ok(());
        }
        kept.extend_from_slice(&piece[..came]);
        kept.drain(..kept.len().saturating_sub(most));
    }
}

/// A limit that starts again whenever the other side has taken something from us.
#[derive(Debug)]
pub struct Patience {
    limit: Option<Duration>,
    since: Mutex<Instant>,
}

impl Patience {
    /// Starts now.
    pub fn new(limit: Option<Duration>) -> Self {
        Self {
            limit,
            since: Mutex::new(Instant::now()),
        }
    }

    fn since(&self) -> MutexGuard<'_, Instant> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts again.
    pub fn renew(&self) {
        *self.since() = Instant::now();
    }

    /// Comes back when it has run out.
    pub async fn over(&self) -> Exceeded {
        let Some(limit) = self.limit else {
            return std::future::pending().await;
        };
        loop {
            let end = *self.since() + limit;
            if end <= Instant::now() {
                return Exceeded::Time(limit);
            }
            sleep_until(end).await;
        }
    }
}

/// Judges a stream while it comes: how much it is in all, that it does not pause, and that it does not trickle. Only the time
/// that is spent waiting for it counts: what is done with it here may take what it takes.
#[derive(Debug, Clone)]
pub struct Pace {
    most: u64,
    came: u64,
    recent: u64,
    waited: Duration,
}

impl Pace {
    /// The longest pause.
    pub const IDLE: Duration = Duration::from_secs(30);
    /// What is too little is judged after each so much of waiting.
    pub const WINDOW: Duration = Duration::from_secs(120);
    /// Bytes that have to come in that time: some 9 kB/s.
    pub const LEAST: u64 = 1 << 20;

    /// Of a stream of no more than `most` bytes.
    pub fn new(most: u64) -> Self {
        Self {
            most,
            came: 0,
            recent: 0,
            waited: Duration::ZERO,
        }
    }

    /// The stream has said how long it is, and is held to it.
    pub fn hold_to(&mut self, most: u64) {
        self.most = self.most.min(most);
    }

    /// How many bytes came.
    pub fn came(&self) -> u64 {
        self.came
    }

    /// Waits for the next piece of the stream.
    ///
    /// # Errors
    /// [`Exceeded::Idle`].
    pub async fn wait<T>(&mut self, piece: impl Future<Output = T>) -> Result<T, Exceeded> {
        let began = Instant::now();
        let came = timeout(Self::IDLE, piece)
            .await
            .map_err(|_| Exceeded::Idle(Self::IDLE))?;
        self.waited += began.elapsed();
        Ok(came)
    }

    /// Counts what came.
    ///
    /// # Errors
    /// [`Exceeded::Bytes`], [`Exceeded::Slow`].
    pub fn count(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.came += bytes as u64;
        self.recent += bytes as u64;
        if self.came > self.most {
            return Err(Exceeded::Bytes(self.most));
        }
        if self.waited < Self::WINDOW {
            return Ok(());
        }
        if self.recent < Self::LEAST {
            return Err(Exceeded::Slow(Slow {
                bytes: self.recent,
                least: Self::LEAST,
                within: self.waited,
            }));
        }
        (self.recent, self.waited) = (0, Duration::ZERO);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_is_read_up_to_its_limit() {
        let error = read(io::repeat(7), 1 << 20).unwrap_err();
        assert_eq!(error.to_string(), "the answer is longer than 1 MiB, which is the limit");
        assert_eq!(read(&[7; 9][..], 9).unwrap(), [7; 9]);
        let mut kept = Vec::new();
        assert_eq!(keep(&mut kept, &[1; 4], 4), Ok(()));
        assert_eq!(keep(&mut kept, &[1], 4), Err(Exceeded::Bytes(4)));
    }

    #[test]
    fn only_files_are_opened_and_nothing_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("file"), "text").unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        for name in ["file", "link"] {
            assert_eq!(read(open(&path(name)).unwrap(), 9).unwrap(), b"text");
        }
        let made = std::process::Command::new("mkfifo").arg(path("pipe")).status();
        assert!(made.unwrap().success());
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        for other in [path("pipe"), path("socket"), dir.path().to_owned(), "/dev/zero".into()] {
            assert!(open(&other).is_err(), "{}", other.display());
        }
    }

    #[tokio::test]
    async fn of_what_is_said_on_the_side_the_end_is_kept() {
        let mut kept = Vec::new();
        let said: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
        read_last(&mut said.as_slice(), &mut kept, 1000).await.unwrap();
        assert!(kept == said[99_000..]);
    }

    /// A stream that brings so many bytes each time, after a pause.
    async fn stream(pace: &mut Pace, bytes: usize, pause: Duration) -> Exceeded {
        loop {
            let waited = pace.wait(tokio::time::sleep(pause)).await;
            if let Err(exceeded) = waited.and_then(|()| pace.count(bytes)) {
                return exceeded;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_never_ends_pauses_or_trickles_is_given_up() {
        let start = Instant::now();
        let endless = stream(&mut Pace::new(1 << 30), 1 << 20, Duration::from_millis(1)).await;
        assert_eq!(
            endless.to_string(),
            "the answer is longer than 1 GiB, which is the limit"
        );
        let silent = stream(&mut Pace::new(1 << 30), 1 << 20, Duration::from_secs(3600)).await;
        assert_eq!(silent.to_string(), "nothing came for 30 s, which is the limit");
        let trickle = stream(&mut Pace::new(1 << 30), 1, Duration::from_secs(20)).await;
        assert_eq!(trickle.to_string(), "only 6 bytes came in 120 s; the limit is 1 MiB");
        assert!(start.elapsed() < Duration::from_secs(200), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_line_and_a_slow_reader_are_waited_for() {
        let mut pace = Pace::new(16 << 20);
        // 16 kB/s, to the end.
        let end = stream(&mut pace, 16 << 10, Duration::from_secs(1)).await;
        assert_eq!(end, Exceeded::Bytes(16 << 20));
        let mut pace = Pace::new(u64::MAX);
        for _ in 0..100 {
            pace.wait(std::future::ready(())).await.unwrap();
            pace.count(1).unwrap();
            // It is written to a slow disk.
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn patience_begins_again_with_all_that_was_taken() {
        let patience = Patience::new(Some(Duration::from_secs(10)));
        let start = Instant::now();
        let takes = async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(9)).await;
                patience.renew();
            }
        };
        let (over, ()) = tokio::join!(patience.over(), takes);
        assert_eq!(over, Exceeded::Time(Duration::from_secs(10)));
        assert_eq!(start.elapsed(), Duration::from_secs(55));
    }
}
