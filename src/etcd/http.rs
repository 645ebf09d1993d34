//! The HTTP/1.1 side of etcd. On the peer port `/members` and `/version` answer before there is a quorum, when the
//! client port is still silent; on the client port there are `/health` and `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::header::{HOST, HeaderMap};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::Deserialize;

use super::connect::secured;
use super::error::Asked;
use super::model::MOST_MEMBERS;
use super::tls::HTTP1;
use super::version::server_version;
use super::way::Way;
use super::{ClientTls, Counters, Dial, Endpoint, EtcdError, Member, Metrics};
use crate::bounds::Exceeded;
use crate::inventory::{ClusterId, MemberId, PeerUrl, Version};

/// Metrics of a large cluster are some hundred kilobytes; nothing else comes near.
const LARGEST_BODY: usize = 8 << 20;

/// One port of one member, asked over HTTP/1.1; each question takes its own connection.
pub struct EtcdHttp {
    dial: Arc<dyn Dial>,
    endpoint: Endpoint,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    way: Way,
}

/// What `/members` on a peer port says. It is this member's own view, without a quorum behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerMembers {
    /// The cluster that the member belongs to.
    pub cluster_id: ClusterId,
    /// The members it knows.
    pub members: Vec<Member>,
}

/// What `/version` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerVersion {
    /// The version of the running binary.
    pub server: Version,
    /// The version the whole cluster works at; `None` while that is not decided (`not_decided` shortly after a
    /// bootstrap).
    pub cluster: Option<Version>,
}

/// What `/health` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// True for status 200.
    pub healthy: bool,
    /// The HTTP status, 200 or 503.
    pub status: u16,
    /// etcd's reason: `ALARM NOSPACE`, `RAFT NO LEADER`, ...; empty when healthy and on 3.4.
    pub reason: String,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl EtcdHttp {
    /// Prepares; nothing is dialled yet. `dial` and `endpoint` name the client or the peer port, as the question needs.
    ///
    /// # Errors
    /// [`EtcdError::Tls`] when certificates, key or the endpoint's name cannot be used.
    pub fn new(dial: Arc<dyn Dial>, endpoint: Endpoint, tls: &ClientTls) -> Result<EtcdHttp, EtcdError> {
        let config = tls.config(&endpoint, HTTP1)?;
        let name = endpoint.server_name()?;
        let way = Way::default();
        Ok(EtcdHttp {
            dial: way.of(dial),
            endpoint,
            config,
            name,
            way,
        })
    }

    /// `/members` on a peer port.
    ///
    /// # Errors
    /// Any [`EtcdError`] of a connection; `Other` when the port gives another answer.
    pub async fn peer_members(&self, limit: Duration) -> Result<PeerMembers, EtcdError> {
        let asked = self.asked("peer members", limit);
        let reply = self.get(&asked, "/members").await?.expect_ok(&asked)?;
        let cluster_id = reply
            .headers
            .get("X-Etcd-Cluster-ID")
            .and_then(|id| id.to_str().ok()?.parse().ok())
            .ok_or_else(|| asked.malformed("it has no X-Etcd-Cluster-ID"))?;
        let members: Vec<PeerMember> = reply.json(&asked)?;
        asked.no_more_than(MOST_MEMBERS, members.len())?;
        Ok(PeerMembers {
            cluster_id,
            members: members.into_iter().map(Member::from).collect(),
        })
    }

    /// `/version` on either port.
    ///
    /// # Errors
    /// As [`EtcdHttp::peer_members`].
    pub async fn version(&self, limit: Duration) -> Result<ServerVersion, EtcdError> {
        let asked = self.asked("version", limit);
        let versions: Versions = self.get(&asked, "/version").await?.expect_ok(&asked)?.json(&asked)?;
        Ok(ServerVersion {
            server: server_version(&versions.etcdserver).map_err(|e| asked.malformed(e.to_string()))?,
            cluster: server_version(&versions.etcdcluster).ok(),
        })
    }

    /// `/health` on the client port: alarms, leader, and a read through the quorum (up to 7 s).
    ///
    /// # Errors
    /// As [`EtcdHttp::peer_members`]; being unhealthy is an answer, not an error.
    pub async fn health(&self, limit: Duration) -> Result<Health, EtcdError> {
        let asked = self.asked("health", limit);
        let reply = self.get(&asked, "/health").await?;
        let report: HealthReport = reply.json(&asked)?;
        Ok(Health {
            healthy: reply.status == StatusCode::OK && report.health == "true",
            status: reply.status.as_u16(),
            reason: report.reason,
        })
    }

    /// `/metrics` on the client port.
    ///
    /// # Errors
    /// As [`EtcdHttp::peer_members`].
    pub async fn metrics(&self, limit: Duration) -> Result<Metrics, EtcdError> {
        Ok(Metrics::parse(&self.metrics_text(limit).await?))
    }

    /// The same, with every counter as it is.
    ///
    /// # Errors
    /// As [`EtcdHttp::peer_members`].
    pub async fn counters(&self, limit: Duration) -> Result<Counters, EtcdError> {
        Ok(Counters::parse(&self.metrics_text(limit).await?))
    }

    async fn metrics_text(&self, limit: Duration) -> Result<String, EtcdError> {
        let asked = self.asked("metrics", limit);
        let reply = self.get(&asked, "/metrics").await?.expect_ok(&asked)?;
        Ok(String::from_utf8_lossy(&reply.body).into_owned())
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

    async fn get(&self, asked: &Asked<'_>, path: &str) -> Result<Reply, EtcdError> {
        asked.within(self.exchange(asked, path)).await?
    }

    async fn exchange(&self, asked: &Asked<'_>, path: &str) -> Result<Reply, EtcdError> {
        let stream = secured(&*self.dial, Arc::clone(&self.config), self.name.clone())
            .await
            .map_err(|failure| asked.connect(&failure))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| asked.transport(&e))?;
        let request = Request::get(path)
            .header(HOST, self.endpoint.to_string())
            .body(Empty::<Bytes>::new())
            .map_err(|e| asked.malformed(e.to_string()))?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(|e| asked.transport(&e))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, LARGEST_BODY).collect().await;
            let body = body.map_err(|error| match error.is::<LengthLimitError>() {
                true => asked.passed(Exceeded::Bytes(LARGEST_BODY as u64)),
                false => asked.transport(&*error),
            })?;
            Ok(Reply {
                status: parts.status,
                headers: parts.headers,
                body: body.to_bytes(),
            })
        };
        // The connection only moves while it is polled; with the answer in hand it is dropped.
        tokio::select! {
            biased;
            answer = answer => answer,
            Err(error) = connection => Err(asked.transport(&error)),
        }
    }
}

impl Reply {
    fn expect_ok(self, asked: &Asked<'_>) -> Result<Self, EtcdError> {
        if self.status == StatusCode::OK {
            return Ok(self);
        }
        Err(EtcdError::Other {
            operation: asked.operation,
            code: format!("HTTP {}", self.status.as_u16()),
            message: String::from_utf8_lossy(&self.body).trim().to_owned(),
        })
    }

    fn json<'a, T: Deserialize<'a>>(&'a self, asked: &Asked<'_>) -> Result<T, EtcdError> {
        serde_json::from_slice(&self.body).map_err(|e| asked.malformed(format!("HTTP {}: {e}", self.status.as_u16())))
    }
}

#[derive(Deserialize)]
struct Versions {
    etcdserver: String,
    etcdcluster: String,
}

#[derive(Deserialize)]
struct HealthReport {
    health: String,
    #[serde(default)]
    reason: String,
}

/// A member as etcd's peer handler writes it (`membership.Member`): ids are JSON numbers there, up to 2^64-1.
#[derive(Deserialize)]
struct PeerMember {
    id: u64,
    #[serde(rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(default, rename = "isLearner")]
    learner: bool,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "clientURLs")]
    client_urls: Vec<String>,
}

impl From<PeerMember> for Member {
    fn from(member: PeerMember) -> Member {
        Member {
            id: MemberId(member.id),
            name: member.name,
            peer_urls: member.peer_urls.into_iter().map(PeerUrl).collect(),
            client_urls: member.client_urls,
            learner: member.learner,
        }
    }
}
