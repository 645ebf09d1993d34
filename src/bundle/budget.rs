//! Limits on what an archive may unpack to.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use super::archive::ArchiveError;

/// How much an archive may be. The defaults are several times what any etcd release needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Entries in all.
    pub entries: u64,
    /// Bytes of one program.
    pub program: u64,
    /// Bytes unpacked in all.
    pub total: u64,
    /// Unpacked bytes per packed byte.
    pub ratio: u64,
    /// Unpacked bytes before `ratio` counts: small archives of zeros harm nobody.
    pub ratio_from: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 20_000,
            program: super::manifest::LARGEST_PROGRAM,
            total: 1 << 30,
            ratio: 100,
            ratio_from: 16 << 20,
        }
    }
}

/// What one archive has used of its limits. Readers cannot carry a typed error through the decoders between them, so
/// the budget remembers which limit was passed.
#[derive(Default)]
pub(super) struct Budget {
    packed: Cell<u64>,
    unpacked: Cell<u64>,
    exceeded: Cell<bool>,
    /// Somebody asked for more than there was.
    ended: Cell<bool>,
    limits: Limits,
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Rc<Self> {
        Rc::new(Self {
            limits,
            ..Self::default()
        })
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts what is read from the packed side.
    pub(super) fn packed<R: Read>(self: &Rc<Self>, inner: R) -> impl Read + use<R> {
        let budget = Rc::clone(self);
        Tap {
            inner,
            saw: move |n| {
                budget.packed.set(budget.packed.get() + n);
                budget.ended.set(n == 0);
                Ok(())
            },
        }
    }

    /// Counts what comes out of the decoder, and stops it at the limits.
    pub(super) fn unpacked<R: Read>(self: &Rc<Self>, inner: R) -> impl Read + use<R> {
        let budget = Rc::clone(self);
        Tap {
            inner,
            saw: move |n| budget.spend(n),
        }
    }

    fn spend(&self, n: u64) -> io::Result<()> {
        let unpacked = self.unpacked.get() + n;
        self.unpacked.set(unpacked);
        self.ended.set(self.ended.get() || n == 0);
        let expands = unpacked > self.limits.ratio_from && unpacked / self.limits.ratio > self.packed.get();
        if unpacked > self.limits.total || expands {
            self.exceeded.set(true);
            return Err(io::Error::other("the archive unpacks to too much"));
        }
        Ok(())
    }

    /// Says what an error met while reading the archive really was.
    pub(super) fn explain(&self, error: &io::Error) -> ArchiveError {
        if self.exceeded.get() {
            return ArchiveError::Bomb {
                packed: self.packed.get(),
                unpacked: self.unpacked.get(),
            };
        }
        // Not every decoder says so by the kind of its error.
        if self.ended.get() || error.kind() == io::ErrorKind::UnexpectedEof {
            return ArchiveError::Truncated;
        }
        ArchiveError::Corrupt { why: error.to_string() }
    }
}

struct Tap<R, F> {
    inner: R,
    saw: F,
}

impl<R: Read, F: FnMut(u64) -> io::Result<()>> Read for Tap<R, F> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        (self.saw)(n as u64)?;
        Ok(n)
    }
}
