//! Talking to etcd itself: gRPC and HTTP with mutual TLS, over any byte stream (usually a tunnel).
//!
//! | file | what |
//! |---|---|
//! | `model` | what etcd says, in quorate's own types |
//! | `dial`, `tls`, `connect` | a stream, what secures it, and the handshake on it |
//! | `client` | the gRPC calls, one deadline each |
//! | `snapshot` | the snapshot stream and its checksum |
//! | `http`, `metrics` | the HTTP/1.1 side: peer members, version, health, gauges |
//! | `counters` | two readings of the metrics, and what happened between them |
//! | `probe` | does a port really speak TLS and refuse strangers |
//! | `ids` | member and cluster ids as etcd computes them |
//! | `writer`, `tally` | writes under way while the cluster changes, and what they showed |
//! | `error` | gRPC, TLS and stream errors to [`EtcdError`] |

mod client;
mod connect;
mod counters;
mod dial;
mod error;
mod http;
mod ids;
mod metrics;
pub mod model;
mod probe;
mod replay;
mod snapshot;
mod tally;
mod tls;
mod version;
mod wal;
mod way;
mod writer;

/// Made from `proto/etcd.proto` by `tests/proto.rs`.
mod pb {
    #![allow(missing_docs, clippy::all)]
    include!("generated/etcdserverpb.rs");
}

pub use client::{DowngradeStep, EtcdClient, PasswordAnswer, RAFT_LIMIT, end_of_prefix};
pub use connect::open_stream;
pub use counters::{Counters, Span, Spread};
pub use dial::{Dial, Stream, TcpDial};
pub use error::OUR_CERTIFICATE;
pub use http::{EtcdHttp, Health, PeerMembers, ServerVersion};
pub use ids::{bootstrap_cluster_id, bootstrap_member_id};
pub use metrics::{Latency, Metrics};
pub use model::*;

pub use crate::inventory::{Access, Permission};
pub use probe::{PortSecurity, port_security};
pub use replay::{Replay, Segment};
pub use snapshot::{LARGEST_SNAPSHOT, SnapshotChecksum, SnapshotStream};
pub use tally::{Gap, ProbeFindings};
pub use tls::{ClientTls, Endpoint};
pub use wal::RaftLog;
pub use writer::{ProbeSettings, WriteProbe};
