//! etcd's gRPC calls. Each has its own deadline; each answer carries its [`Header`], because behind a tunnel a valid
//! certificate does not prove which member answered.

mod auth;
mod cluster;
mod kv;
mod lease;
mod maintenance;

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tonic::Status;
use tonic::transport::{Channel, Uri};

pub use auth::PasswordAnswer;
pub use kv::end_of_prefix;
pub use maintenance::DowngradeStep;

use super::connect::accepted;
use super::error::Asked;
use super::tls::HTTP2;
use super::way::Way;
use super::{Answer, ClientTls, Dial, Endpoint, EtcdError, Header, pb};
use crate::inventory::{ClusterId, MemberId};

/// The deadline of calls that go through raft. etcd itself gives up after 5 s + 2 election timeouts (7 s by default)
/// and says why; a shorter deadline would hide that.
pub const RAFT_LIMIT: Duration = Duration::from_secs(9);

/// No answer is longer: status, lists, a key. Snapshots come in pieces of 32 KiB.
pub(super) const LARGEST_MESSAGE: usize = 4 << 20;

/// Dead tunnels are noticed after two of these. etcd forbids more than one ping per 5 s.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// One member of a cluster, to talk to. Cheap to clone; clones share one HTTP/2 connection, which is opened at the
/// first call and again after it broke.
#[derive(Debug, Clone)]
pub struct EtcdClient {
    channel: Channel,
    endpoint: Endpoint,
    way: Way,
}

impl EtcdClient {
    /// Prepares a client; nothing is dialled yet. Needs a Tokio runtime around it.
    ///
    /// # Errors
    /// [`EtcdError::Tls`] when certificates, key or the endpoint's name cannot be used.
    pub fn connect(dial: Arc<dyn Dial>, endpoint: Endpoint, tls: &ClientTls) -> Result<EtcdClient, EtcdError> {
        let config = tls.config(&endpoint, HTTP2)?;
        let name = endpoint.server_name()?;
        let uri = |scheme: &str| {
            let text = format!("{scheme}://{endpoint}");
            text.parse::<Uri>()
                .map_err(|e| endpoint.tls_error(format!("`{text}` is not a URL: {e}")))
        };
        let way = Way::default();
        let dial = way.of(dial);
        let connector = tower::service_fn(move |_: Uri| {
            let (dial, config, name) = (Arc::clone(&dial), Arc::clone(&config), name.clone());
            async move { accepted(&*dial, config, name).await.map(TokioIo::new) }
        });
        // The connector secures the stream itself, so tonic must see a plain scheme there; requests must say https,
        // because etcd looks at the client certificate only then.
        let channel = Channel::builder(uri("http")?)
            .origin(uri("https")?)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .connect_with_connector_lazy(connector);
        Ok(EtcdClient { channel, endpoint, way })
    }

    /// The port this client talks to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn asked(&self, operation: &'static str, limit: Duration) -> Asked<'_> {
        Asked {
            way: Some(&self.way),
            operation,
            endpoint: &self.endpoint,
            limit,
            member: None,
        }
    }
}

impl Asked<'_> {
    /// The same, about one member.
    fn about(self, member: MemberId) -> Self {
        Self {
            member: Some(member),
            ..self
        }
    }

    /// Waits for an answer, no longer than the limit.
    async fn answer<T>(&self, call: impl Future<Output = Result<tonic::Response<T>, Status>>) -> Result<T, EtcdError> {
        let answer = self.within(call).await?;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| self.status(&status))
    }

    fn header(&self, header: Option<pb::ResponseHeader>) -> Result<Header, EtcdError> {
        let header = header.ok_or_else(|| self.malformed("it has no header"))?;
        Ok(Header {
            cluster_id: ClusterId(header.cluster_id),
            member_id: MemberId(header.member_id),
            revision: header.revision,
            raft_term: header.raft_term,
        })
    }

    fn with<T>(&self, header: Option<pb::ResponseHeader>, value: T) -> Result<Answer<T>, EtcdError> {
        Ok(Answer {
            header: self.header(header)?,
            value,
        })
    }
}
