//! A place for backups that is a directory of another host.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::sync::mpsc;

use crate::backup::LARGEST_BACKUP;
use crate::backup::place::{Place, PlaceError, Progress, Stored, is_sealed_name};
use crate::bounds::{Exceeded, Pace};
use crate::host::{HostError, Shelf};

/// A directory on another host, over SSH.
pub struct RemotePlace {
    shelf: Shelf,
    label: String,
}

impl RemotePlace {
    /// The directory behind a connection; `label` is its address as typed.
    pub fn new(shelf: Shelf, label: String) -> Self {
        Self { shelf, label }
    }

    fn refused(&self, operation: &'static str, error: &HostError) -> PlaceError {
        PlaceError::Refused {
            place: self.label.clone(),
            operation,
            why: error.to_string(),
        }
    }
}

#[async_trait]
impl Place for RemotePlace {
    async fn put(&self, file: &Path, name: &str, progress: Progress<'_>) -> Result<(), PlaceError> {
        let local = |source| PlaceError::Local {
            path: file.to_owned(),
            source,
        };
        let (sha256, size) = digest(file).await.map_err(local)?;
        let (told, mut steps) = mpsc::unbounded_channel();
        let content = Counted {
            inner: File::open(file).await.map_err(local)?,
            done: 0,
            told,
        };
        let put = self.shelf.put(name, &sha256, Box::pin(content));
        let watch = async {
            while let Some(done) = steps.recv().await {
                progress(done, Some(size));
            }
        };
        let (put, ()) = tokio::join!(put, watch);
        match put.map_err(|error| self.refused("storing a backup there", &error))? {
            true => Ok(()),
            false => Err(PlaceError::Exists {
                place: self.label.clone(),
                name: name.to_owned(),
            }),
        }
    }

    async fn list(&self) -> Result<Vec<Stored>, PlaceError> {
        let found = self
            .shelf
            .list()
            .await
            .map_err(|error| self.refused("listing it", &error))?;
        let files = found.into_iter().map(|(bytes, name)| Stored { name, bytes });
        Ok(files.filter(|file| is_sealed_name(&file.name)).collect())
    }

    async fn begins(&self, name: &str, bytes: u64) -> Result<Vec<u8>, PlaceError> {
        let read = self.shelf.begins(name, bytes).await;
        read.map_err(|error| self.refused("reading", &error))
    }

    async fn get(&self, name: &str, to: &Path, progress: Progress<'_>) -> Result<(), PlaceError> {
        let local = |source| PlaceError::Local {
            path: to.to_owned(),
            source,
        };
        let failed = |error: HostError| self.refused("reading", &error);
        let mut running = self.shelf.get(name).await.map_err(failed)?;
        let mut output = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)
            .await
            .map_err(local)?;
        let mut pace = Pace::new(LARGEST_BACKUP);
        let over = |exceeded| failed(self.shelf.passed("reading a file", exceeded));
        while let Some(chunk) = pace.wait(running.stdout.recv()).await.map_err(over)? {
            pace.count(chunk.len()).map_err(over)?;
            output.write_all(&chunk).await.map_err(local)?;
            progress(pace.came(), None);
        }
        output.sync_all().await.map_err(local)?;
        let unfinished = || over(Exceeded::Time(Pace::IDLE));
        let ended = running.end().await.ok_or_else(unfinished)?.map_err(failed)?;
        match ended.ok() {
            true => Ok(()),
            false => Err(failed(self.shelf.failed("reading a file", &ended))),
        }
    }

    async fn delete(&self, name: &str) -> Result<(), PlaceError> {
        let deleted = self.shelf.delete(name).await;
        deleted.map_err(|error| self.refused("deleting", &error))
    }
}

/// SHA-256 (hex) and size of a file.
async fn digest(file: &Path) -> io::Result<(String, u64)> {
    let path = file.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let mut input = std::fs::File::open(path)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        let mut size = 0;
        loop {
            match io::Read::read(&mut input, &mut buffer)? {
                0 => return Ok((hex::encode(hash.finalize()), size)),
                read => {
                    hash.update(&buffer[..read]);
                    size += read as u64;
                }
            }
        }
    });
    read.await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// Tells how far a file has been read.
struct Counted {
    inner: File,
    done: u64,
    told: mpsc::UnboundedSender<u64>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        let read = buffer.filled().len() - before;
        if read > 0 {
            self.done += read as u64;
            // Nobody listens any more when the exchange is over.
            let _ = self.told.send(self.done);
        }
        polled
    }
}
