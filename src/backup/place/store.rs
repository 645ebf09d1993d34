//! Directories and S3-compatible storage, through the crate `object_store`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ClientOptions, Error, GetOptions, ObjectStore, ObjectStoreExt, RetryConfig, WriteMultipart};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::credentials;
use super::error::PlaceError;
use super::{Address, Place, Progress, Stored, is_sealed_name};
use crate::backup::LARGEST_BACKUP;
use crate::bounds::{self, Exceeded, Pace};

/// Bytes as they come.
type Content<'a> = BoxStream<'a, Result<Bytes, PlaceError>>;

/// Bytes sent at a time; S3 takes no less than 5 MiB for a part, and at most 10000 of them.
const PART: usize = 8 << 20;
/// Parts on their way at the same time.
const UNDER_WAY: usize = 2;

/// How long a list may take, with all its pages.
const LISTING: Duration = Duration::from_secs(120);

/// How long a silent server is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a connection.
    pub connect: Duration,
    /// For an answer, the sending of a part included: two of 8 MiB at a time, so from some 300 kB/s on.
    pub silence: Duration,
    /// For one request with all its repetitions.
    pub patience: Duration,
    /// How often a request is repeated.
    pub retries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(60),
            patience: Duration::from_secs(60),
            retries: 3,
        }
    }
}

/// A directory of this machine, or a bucket.
pub struct StorePlace {
    store: Arc<dyn ObjectStore>,
    /// Where the files lie, of a place that is a directory.
    directory: Option<PathBuf>,
    prefix: String,
    label: String,
}

impl StorePlace {
    /// A directory, made where it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn directory(path: &Path) -> Result<Self, PlaceError> {
        let local = |source| PlaceError::Local {
            path: path.to_owned(),
            source,
        };
        std::fs::create_dir_all(path).map_err(local)?;
        let store = LocalFileSystem::new_with_prefix(path).map_err(|error| local(std::io::Error::other(error)))?;
        Ok(Self {
            store: Arc::new(store.with_fsync(true)),
            directory: Some(path.to_owned()),
            prefix: String::new(),
            label: path.display().to_string(),
        })
    }

    /// A bucket, with endpoint, region and credentials from the environment and `~/.aws/credentials`.
    ///
    /// # Errors
    /// When there are no credentials, or the settings contradict each other.
    pub fn s3(bucket: &str, prefix: &str, home: Option<&Path>, limits: Limits) -> Result<Self, PlaceError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let label = Address::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        }
        .to_string();
        let keys = credentials::find(&variable, home).map_err(|why| PlaceError::Credentials {
            place: label.clone(),
            why,
        })?;
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
        if let Some(keys) = keys {
            builder = builder.with_access_key_id(keys.id).with_secret_access_key(keys.secret);
            if let Some(token) = keys.token {
                builder = builder.with_token(token);
            }
        }
        let endpoint = variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL"));
        // Backups are sealed before they leave, and keys are never sent, so plain HTTP to one's own storage may be.
        let plain = endpoint.as_ref().is_some_and(|url| url.starts_with("http://"));
        if let Some(url) = endpoint {
            builder = builder.with_endpoint(url);
        }
        let options = ClientOptions::new()
            .with_connect_timeout(limits.connect)
            .with_read_timeout(limits.silence)
            .with_timeout_disabled()
            .with_allow_http(plain);
        let retry = RetryConfig {
            max_retries: limits.retries,
            retry_timeout: limits.patience,
            ..RetryConfig::default()
        };
        let store = builder
            .with_client_options(options)
            .with_retry(retry)
            .build()
            .map_err(|error| refused(&label, "setting up", &error))?;
        Ok(Self {
            store: Arc::new(store),
            directory: None,
            prefix: prefix.to_owned(),
            label,
        })
    }

    fn key(&self, name: &str) -> Key {
        match self.prefix.as_str() {
            "" => Key::from(name),
            prefix => Key::from(format!("{prefix}/{name}")),
        }
    }

    /// A pipe or a device under the name of a backup would be read for ever.
    fn is_file(&self, name: &str) -> bool {
        let Some(directory) = &self.directory else { return true };
        std::fs::metadata(directory.join(name)).is_ok_and(|found| found.is_file())
    }

    fn passed(&self, operation: &'static str, exceeded: Exceeded) -> PlaceError {
        PlaceError::Refused {
            place: self.label.clone(),
            operation,
            why: exceeded.to_string(),
        }
    }

    fn failed(&self, operation: &'static str, name: &str, error: &Error) -> PlaceError {
        match error {
            Error::NotFound { .. } if !name.is_empty() => PlaceError::Missing {
                place: self.label.clone(),
                name: name.to_owned(),
            },
            error => refused(&self.label, operation, error),
        }
    }

    /// The content of a file, or the first bytes of it, and how long it is in all.
    async fn content(&self, name: &str, first: Option<u64>) -> Result<(Content<'_>, u64), PlaceError> {
        if let Some(directory) = &self.directory {
            return self.content_of(&directory.join(name), name, first);
        }
        let name = name.to_owned();
        let range = GetOptions::new().with_range(first.map(|bytes| 0..bytes));
        let answer = self.store.get_opts(&self.key(&name), range).await;
        let answer = answer.map_err(|error| self.failed("reading", &name, &error))?;
        let size = answer.meta.size;
        let pieces = answer
            .into_stream()
            .map(move |piece| piece.map_err(|error| self.failed("reading", &name, &error)));
        Ok((pieces.boxed(), size))
    }

    /// The same of a directory here: not by a name that may lead to a pipe by now.
    fn content_of(&self, path: &Path, name: &str, first: Option<u64>) -> Result<(Content<'_>, u64), PlaceError> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => PlaceError::Missing {
                place: self.label.clone(),
                name: name.to_owned(),
            },
            _ => PlaceError::Refused {
                place: self.label.clone(),
                operation: "reading",
                why: format!("{name}: {error}"),
            },
        };
        let file = bounds::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let file = File::from_std(file).take(first.unwrap_or(u64::MAX));
        let (label, name) = (self.label.clone(), name.to_owned());
        let pieces = stream::try_unfold(file, move |mut file| {
            let (label, name) = (label.clone(), name.clone());
            async move {
                let mut piece = BytesMut::with_capacity(1 << 20);
                match file.read_buf(&mut piece).await {
                    Ok(0) => Ok(None),
                    Ok(_) => Ok(Some((piece.freeze(), file))),
                    Err(error) => Err(PlaceError::Refused {
                        place: label,
                        operation: "reading",
                        why: format!("{name}: {error}"),
                    }),
                }
            }
        });
        Ok((pieces.boxed(), size))
    }

    async fn send(&self, file: &Path, name: &str, size: u64, progress: Progress<'_>) -> Result<(), PlaceError> {
        let local = |source| PlaceError::Local {
            path: file.to_owned(),
            source,
        };
        let failed = |error: Error| refused(&self.label, "storing a backup there", &error);
        let mut input = File::open(file).await.map_err(local)?;
        let upload = self.store.put_multipart(&self.key(name)).await.map_err(failed)?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, PART);
        let mut buffer = vec![0; 1 << 20];
        let mut sent = 0;
        let outcome = loop {
            if let Err(error) = writer.wait_for_capacity(UNDER_WAY).await {
                break Err(failed(error));
            }
            match input.read(&mut buffer).await {
                Ok(0) => break Ok(()),
                Ok(read) => {
                    writer.write(&buffer[..read]);
                    sent += read as u64;
                    progress(sent, Some(size));
                }
                Err(error) => break Err(local(error)),
            }
        };
        match outcome {
            Ok(()) => writer.finish().await.map(drop).map_err(failed),
            Err(error) => {
                // The parts that arrived cost money until somebody takes them away; the first error counts.
                let _ = writer.abort().await;
                Err(error)
            }
        }
    }
}

#[async_trait]
impl Place for StorePlace {
    async fn put(&self, file: &Path, name: &str, progress: Progress<'_>) -> Result<(), PlaceError> {
        let key = self.key(name);
        match self.store.head(&key).await {
            Ok(_) => {
                return Err(PlaceError::Exists {
                    place: self.label.clone(),
                    name: name.to_owned(),
                });
            }
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(refused(&self.label, "looking at it", &error)),
        }
        let size = size_of(file)?;
        self.send(file, name, size, progress).await?;
        let there = self
            .store
            .head(&key)
            .await
            .map_err(|e| self.failed("verifying", name, &e))?;
        if there.size == size {
            return Ok(());
        }
        Err(PlaceError::Short {
            place: self.label.clone(),
            name: name.to_owned(),
            sent: size,
            found: there.size,
        })
    }

    async fn list(&self) -> Result<Vec<Stored>, PlaceError> {
        let prefix = (!self.prefix.is_empty()).then(|| Key::from(self.prefix.as_str()));
        let listing = tokio::time::timeout(LISTING, self.store.list_with_delimiter(prefix.as_ref())).await;
        let found = listing
            .map_err(|_| self.passed("listing it", Exceeded::Time(LISTING)))?
            .map_err(|error| refused(&self.label, "listing it", &error))?;
        let files = found.objects.into_iter().filter_map(|object| {
            let name = object.location.filename()?.to_owned();
            (is_sealed_name(&name) && self.is_file(&name)).then_some(Stored {
                name,
                bytes: object.size,
            })
        });
        Ok(files.collect())
    }

    async fn begins(&self, name: &str, bytes: u64) -> Result<Vec<u8>, PlaceError> {
        let (mut stream, size) = self.content(name, Some(bytes)).await?;
        let (mut pace, mut read) = (Pace::new(bytes.min(size)), Vec::new());
        let over = |exceeded| self.passed("reading", exceeded);
        while let Some(piece) = pace.wait(stream.next()).await.map_err(over)? {
            let piece = piece?;
            pace.count(piece.len()).map_err(over)?;
            read.extend_from_slice(&piece);
        }
        Ok(read)
    }

    async fn get(&self, name: &str, to: &Path, progress: Progress<'_>) -> Result<(), PlaceError> {
        let local = |source| PlaceError::Local {
            path: to.to_owned(),
            source,
        };
        let (mut stream, size) = self.content(name, None).await?;
        let mut output = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)
            .await
            .map_err(local)?;
        let over = |exceeded| self.passed("reading", exceeded);
        let mut pace = Pace::new(LARGEST_BACKUP);
        pace.hold_to(size);
        while let Some(chunk) = pace.wait(stream.next()).await.map_err(over)? {
            let chunk = chunk?;
            pace.count(chunk.len()).map_err(over)?;
            output.write_all(&chunk).await.map_err(local)?;
            progress(pace.came(), Some(size));
        }
        output.sync_all().await.map_err(local)
    }

    async fn delete(&self, name: &str) -> Result<(), PlaceError> {
        let deleted = self.store.delete(&self.key(name)).await;
        deleted.map_err(|error| self.failed("deleting", name, &error))
    }
}

fn size_of(file: &Path) -> Result<u64, PlaceError> {
    let metadata = std::fs::metadata(file).map_err(|source| PlaceError::Local {
        path: PathBuf::from(file),
        source,
    })?;
    Ok(metadata.len())
}

fn refused(place: &str, operation: &'static str, error: &Error) -> PlaceError {
    PlaceError::Refused {
        place: place.to_owned(),
        operation,
        why: crate::report::chain(error),
    }
}
