//! From a dialled stream to a secured one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::AsyncBufReadExt;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::tls::HTTP2;
use super::{ClientTls, Dial, Endpoint, Stream};

/// How long dialling and the handshake may take together. Before quorum etcd's client port accepts TCP and stays silent.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Why no secured stream came about.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectFailure {
    /// The stream itself could not be opened.
    #[error("{0}")]
    Dial(io::Error),
    /// TLS failed, or the stream broke under the handshake: the cause is inside.
    #[error("{0}")]
    Handshake(io::Error),
    /// Nothing came back within [`CONNECT_LIMIT`].
    #[error("no answer within {} s", CONNECT_LIMIT.as_secs())]
    Silent,
}

/// A stream to etcd's gRPC on which TLS is done already: whoever uses it speaks plain HTTP/2.
///
/// # Errors
/// When the port cannot be reached, or one side does not take the other's certificate; the text is for the operator.
pub async fn open_stream(dial: &dyn Dial, endpoint: &Endpoint, tls: &ClientTls) -> io::Result<Box<dyn Stream>> {
    let config = tls.config(endpoint, HTTP2).map_err(io::Error::other)?;
    let name = endpoint.server_name().map_err(io::Error::other)?;
    let opened = secured(dial, config, name).await.map_err(io::Error::other)?;
    Ok(Box::new(opened))
}

/// Dials and shakes hands.
pub(super) async fn secured(
    dial: &dyn Dial,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> Result<TlsStream<Box<dyn Stream>>, ConnectFailure> {
    let connecting = async {
        let stream = dial.dial().await.map_err(ConnectFailure::Dial)?;
        TlsConnector::from(config)
            .connect(name, stream)
            .await
            .map_err(ConnectFailure::Handshake)
    };
    timeout(CONNECT_LIMIT, connecting)
        .await
        .unwrap_or(Err(ConnectFailure::Silent))
}

/// As [`secured`], and waits for the server's first bytes.
///
/// In TLS 1.3 a server judges our certificate only after our side of the handshake is over. An HTTP/2 server speaks
/// first (its SETTINGS), so reading before writing tells acceptance from refusal here, with the reason intact; later
/// it would surface as an HTTP/2 error that has lost its cause.
pub(super) async fn accepted(
    dial: &dyn Dial,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> Result<TlsStream<Box<dyn Stream>>, ConnectFailure> {
    let mut stream = secured(dial, config, name).await?;
    match timeout(CONNECT_LIMIT, stream.fill_buf()).await {
        Err(_) => Err(ConnectFailure::Silent),
        Ok(Err(error)) => Err(ConnectFailure::Handshake(error)),
        Ok(Ok([])) => Err(ConnectFailure::Handshake(io::ErrorKind::UnexpectedEof.into())),
        Ok(Ok(_)) => Ok(stream),
    }
}
