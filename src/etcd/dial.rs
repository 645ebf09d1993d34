//! How a byte stream to one etcd port comes about. The rest of the room neither knows nor cares whether it is a
//! socket or a channel of an SSH connection.

use std::io;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A byte stream in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Opens streams to one port of one member, again for every connection.
#[async_trait]
pub trait Dial: Send + Sync {
    /// Opens a fresh stream.
    ///
    /// # Errors
    /// When the port cannot be reached; the error's text is shown to the operator.
    async fn dial(&self) -> io::Result<Box<dyn Stream>>;
}

/// Opens after so long, and what is behind it says nothing.
#[cfg(test)]
pub(super) struct Slow(pub(super) std::time::Duration);

#[cfg(test)]
#[async_trait]
impl Dial for Slow {
    async fn dial(&self) -> io::Result<Box<dyn Stream>> {
        tokio::time::sleep(self.0).await;
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        // Dropped, it would be the end of the stream.
        std::mem::forget(theirs);
        Ok(Box::new(ours))
    }
}

/// Dials a TCP address directly, without a tunnel: for members on this machine.
#[derive(Debug, Clone)]
pub struct TcpDial {
    address: String,
    port: u16,
}

impl TcpDial {
    /// Dials `address` (an IP address or a name) at `port`.
    pub fn new(address: impl Into<String>, port: u16) -> Self {
        Self {
            address: address.into(),
            port,
        }
    }
}

#[async_trait]
impl Dial for TcpDial {
    async fn dial(&self) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect((self.address.as_str(), self.port)).await?;
        // Requests are small and waited for: sending them at once matters more than full packets.
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}
