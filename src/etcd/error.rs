//! What gRPC, HTTP, TLS and streams report, turned into [`EtcdError`].
//!
//! etcd's texts and codes are those of `api/v3rpc/rpctypes/error.go`. The text decides before the code: several
//! refusals arrive as `Unknown`, and some codes changed between 3.5 and 3.6.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError};
use tonic::{Code, Status};

use super::client::LARGEST_MESSAGE;
use super::connect::{CONNECT_LIMIT, ConnectFailure};
use super::way::Way;
use super::{Endpoint, EtcdError};
use crate::bounds::Exceeded;
use crate::inventory::MemberId;

/// What was asked of whom, for the error's text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// Whose opening does not count against the limit.
    pub way: Option<&'a Way>,
    pub operation: &'static str,
    pub endpoint: &'a Endpoint,
    pub limit: Duration,
    /// The member the call is about, if it is about one.
    pub member: Option<MemberId>,
}

impl Asked<'_> {
    /// Waits for what is asked, no longer than the limit.
    pub async fn within<T>(&self, call: impl Future<Output = T>) -> Result<T, EtcdError> {
        let answer = match self.way {
            Some(way) => way.within(self.limit, call).await,
            None => tokio::time::timeout(self.limit, call).await.ok(),
        };
        answer.ok_or_else(|| self.silent())
    }

    /// The limit ran out.
    pub fn silent(&self) -> EtcdError {
        EtcdError::Silent {
            endpoint: self.endpoint.to_string(),
            operation: self.operation,
            seconds: self.limit.as_secs(),
        }
    }

    /// The answer is longer, or takes longer, than it may.
    pub fn passed(&self, exceeded: Exceeded) -> EtcdError {
        EtcdError::Passed {
            endpoint: self.endpoint.to_string(),
            operation: self.operation,
            exceeded,
        }
    }

    /// A list that is longer than any that makes sense is not gone through.
    pub fn no_more_than(&self, most: usize, there: usize) -> Result<(), EtcdError> {
        match there > most {
            true => Err(self.malformed(format!("{} lists {there}; the limit is {most}", self.endpoint))),
            false => Ok(()),
        }
    }

    /// The answer lacks what every etcd sends, or cannot be read.
    pub fn malformed(&self, message: impl Into<String>) -> EtcdError {
        EtcdError::Other {
            operation: self.operation,
            code: "malformed answer".to_owned(),
            message: message.into(),
        }
    }

    /// A gRPC status: from etcd, or made by the transport (then it has a source).
    pub fn status(&self, status: &Status) -> EtcdError {
        match status.source() {
            Some(source) => self.transport(source),
            None => self.refusal(status.code(), status.message()),
        }
    }

    /// Something below gRPC or HTTP broke; `error`'s chain of sources tells what.
    pub fn transport(&self, error: &(dyn Error + 'static)) -> EtcdError {
        for cause in chain(error) {
            if let Some(failure) = cause.downcast_ref::<ConnectFailure>() {
                return self.connect(failure);
            }
            if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
                return self.endpoint.tls_error(tls_reason(tls));
            }
            if let Some(io::ErrorKind::TimedOut) = cause.downcast_ref::<io::Error>().map(io::Error::kind) {
                return self.silent();
            }
        }
        let innermost = chain(error).last().map(ToString::to_string).unwrap_or_default();
        EtcdError::Unavailable {
            operation: self.operation,
            message: format!("the connection to {} broke: {innermost}", self.endpoint),
        }
    }

    /// No connection came about.
    pub fn connect(&self, failure: &ConnectFailure) -> EtcdError {
        match failure {
            ConnectFailure::Dial(error) => EtcdError::Unreachable {
                endpoint: self.endpoint.to_string(),
                why: error.to_string(),
            },
            ConnectFailure::Handshake(error) => {
                let cause = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
                let why = match (cause, error.kind()) {
                    (Some(tls), _) => tls_reason(tls),
                    (None, io::ErrorKind::TimedOut) => return self.silent(),
                    (None, kind) if is_hang_up(kind) => HUNG_UP.to_owned(),
                    (None, _) => error.to_string(),
                };
                self.endpoint.tls_error(why)
            }
            ConnectFailure::Silent => EtcdError::Silent {
                endpoint: self.endpoint.to_string(),
                operation: self.operation,
                seconds: CONNECT_LIMIT.as_secs(),
            },
        }
    }

    fn refusal(&self, code: Code, message: &str) -> EtcdError {
        let operation = self.operation;
        let says = |text: &str| message.contains(text);
        let message = message.to_owned();
        if says("request timed out")
            || says("etcdserver: no leader")
            || says("leader changed")
            || says("raft proposal dropped")
            || says("too many requests")
            // The server's own limit, sent as `Unknown` when there is no quorum.
            || says("context deadline exceeded")
        {
            return EtcdError::Unavailable { operation, message };
        }
        // Of tonic's own, about what it does not read any further (`codec/decode.rs`).
        if says("decoded message length too large") {
            return self.passed(Exceeded::Bytes(LARGEST_MESSAGE as u64));
        }
        if says("in sync with leader") {
            return EtcdError::LearnerNotReady;
        }
        if says("unhealthy cluster") || says("not enough started members") || says("not supported for learner") {
            return EtcdError::Refused { operation, message };
        }
        if says("etcdserver: not leader") {
            return EtcdError::NotLeader;
        }
        if says("has been compacted") {
            return EtcdError::Compacted { operation };
        }
        if says("database space exceeded") {
            return EtcdError::NoSpace { operation };
        }
        if says("auth: ") || says("permission denied") || says("user name is empty") {
            return EtcdError::Denied { operation, message };
        }
        match (code, self.member) {
            (Code::NotFound, Some(member)) if says("member not found") => EtcdError::NoSuchMember(member),
            (Code::DataLoss, _) => EtcdError::Corrupt { operation },
            (Code::Unavailable, _) => EtcdError::Unavailable { operation, message },
            (Code::FailedPrecondition, _) => EtcdError::Refused { operation, message },
            (Code::PermissionDenied | Code::Unauthenticated, _) => EtcdError::Denied { operation, message },
            (Code::DeadlineExceeded, _) => self.silent(),
            (code, _) => EtcdError::Other {
                operation,
                code: format!("{code:?}"),
                message,
            },
        }
    }
}

/// An error and everything below it. `io::Error` hides what it wraps from `source()`, so it is unwrapped here.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| below(*error))
}

fn below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// The TLS error inside a failed read or write, if that is what it was.
pub(super) fn tls_cause(error: &io::Error) -> Option<&rustls::Error> {
    chain(error).find_map(|cause| cause.downcast_ref())
}

/// The other side closed without a word.
pub(super) fn is_hang_up(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(
        kind,
        UnexpectedEof | ConnectionReset | BrokenPipe | ConnectionAborted | NotConnected
    )
}

/// What the reason for a connection that did not come about says where it may be our own certificate's.
pub const OUR_CERTIFICATE: &str = "our certificate";

/// etcd does this in two cases that cannot be told apart from here.
const HUNG_UP: &str = "the connection was closed without a reason: the port does not speak TLS, or our certificate is revoked (etcd gives no other reason in either \
                       case)";

/// One plain reason for a TLS error.
pub(super) fn tls_reason(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(reason) => server_certificate_reason(reason),
        rustls::Error::AlertReceived(alert) => alert_reason(*alert),
        rustls::Error::InvalidMessage(_) => "the port does not speak TLS".to_owned(),
        other => other.to_string(),
    }
}

fn server_certificate_reason(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate expired (or this machine's clock is wrong)".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet (or this machine's clock is wrong)".to_owned()
        }
        // A bad signature is what a CA of the same name with another key leaves behind.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the server's certificate was not issued by this cluster's CA".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "the server's certificate is not for {} but for {}",
            expected.to_str(),
            presented.join(", ")
        ),
        CertificateError::NotValidForName => "the server's certificate is for another name".to_owned(),
        other => format!("the server's certificate is not acceptable: {other}"),
    }
}

fn alert_reason(alert: AlertDescription) -> String {
    let why = match alert {
        AlertDescription::CertificateExpired => "it expired, or the server's clock is wrong",
        AlertDescription::UnknownCA => "its CA is not the one the server trusts",
        // Builds with an older Go say this for expired ones too.
        AlertDescription::BadCertificate => "it expired, or its CA or usages are not what the server trusts",
        AlertDescription::CertificateRequired => "none was presented",
        AlertDescription::CertificateRevoked => "it is revoked",
        AlertDescription::UnsupportedCertificate | AlertDescription::CertificateUnknown => "it is not acceptable",
        other => return format!("the server ended the handshake: {other:?}"),
    };
    format!("the server refused our certificate: {why}")
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
