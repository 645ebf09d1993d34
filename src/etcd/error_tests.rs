use std::sync::Arc;

use rustls::pki_types::ServerName;
use tonic::{Code, Status};

use super::*;
use crate::etcd::EtcdError as E;

fn endpoint() -> Endpoint {
    Endpoint {
        host: "10.0.0.1".to_owned(),
        port: 2379,
    }
}

fn asked(endpoint: &Endpoint) -> Asked<'_> {
    Asked {
        way: None,
        operation: "test",
        endpoint,
        limit: Duration::from_secs(9),
        member: Some(MemberId(0xabc)),
    }
}

fn refusal(code: Code, text: &str) -> EtcdError {
    asked(&endpoint()).status(&Status::new(code, text))
}

#[test]
fn what_may_be_tried_again_is_unavailable_whatever_its_code() {
    for (code, text) in [
        (Code::Unavailable, "etcdserver: request timed out"),
        (
            Code::Unavailable,
            "etcdserver: request timed out, possibly due to previous leader failure",
        ),
        (Code::Unavailable, "etcdserver: no leader"),
        (Code::Unavailable, "etcdserver: leader changed"),
        (Code::Unavailable, "etcdserver: server stopped"),
        (Code::Unknown, "raft proposal dropped"),
        (Code::Unknown, "context deadline exceeded"),
        (Code::ResourceExhausted, "etcdserver: too many requests"),
    ] {
        let error = refusal(code, text);
        assert!(
            matches!(&error, E::Unavailable { message, .. } if message == text),
            "{text}: {error:?}"
        );
    }
}

#[test]
fn what_etcd_refuses_is_refused_whatever_its_code() {
    for (code, text) in [
        (Code::Unavailable, "etcdserver: unhealthy cluster"),
        (
            Code::Unknown,
            "etcdserver: re-configuration failed due to not enough started members",
        ),
        (
            Code::FailedPrecondition,
            "etcdserver: re-configuration failed due to not enough started members",
        ),
        (
            Code::FailedPrecondition,
            "etcdserver: too many learner members in cluster",
        ),
        (Code::FailedPrecondition, "etcdserver: Peer URLs already exists"),
        (Code::FailedPrecondition, "etcdserver: bad leader transferee"),
        (
            Code::FailedPrecondition,
            "etcdserver: can only promote a learner member",
        ),
        (Code::Unavailable, "etcdserver: rpc not supported for learner"),
        (Code::FailedPrecondition, "etcdserver: rpc not supported for learner"),
        (Code::FailedPrecondition, "etcdserver: root user does not exist"),
    ] {
        let error = refusal(code, text);
        assert!(
            matches!(&error, E::Refused { message, .. } if message == text),
            "{text}: {error:?}"
        );
    }
}

#[test]
fn what_callers_act_upon_has_a_variant_of_its_own() {
    let cases = [
        (
            Code::FailedPrecondition,
            "etcdserver: can only promote a learner member which is in sync with leader",
            E::LearnerNotReady,
        ),
        (
            Code::NotFound,
            "etcdserver: member not found",
            E::NoSuchMember(MemberId(0xabc)),
        ),
        (Code::FailedPrecondition, "etcdserver: not leader", E::NotLeader),
        (
            Code::OutOfRange,
            "etcdserver: mvcc: required revision has been compacted",
            E::Compacted { operation: "test" },
        ),
        (
            Code::ResourceExhausted,
            "etcdserver: mvcc: database space exceeded",
            E::NoSpace { operation: "test" },
        ),
        (
            Code::DataLoss,
            "etcdserver: corrupt cluster",
            E::Corrupt { operation: "test" },
        ),
    ];
    for (code, text, expected) in cases {
        assert_eq!(refusal(code, text), expected, "{text}");
    }
}

#[test]
fn denials_come_in_four_shapes() {
    for (code, text) in [
        (Code::PermissionDenied, "etcdserver: permission denied"),
        (Code::Unknown, "auth: permission denied"),
        (Code::Unknown, "auth: user not found"),
        (Code::Unauthenticated, "etcdserver: invalid auth token"),
        (Code::InvalidArgument, "etcdserver: user name is empty"),
    ] {
        assert!(matches!(refusal(code, text), E::Denied { .. }), "{text}");
    }
}

#[test]
fn the_rest_keeps_its_code_and_text() {
    let error = refusal(
        Code::OutOfRange,
        "etcdserver: mvcc: required revision is a future revision",
    );
    assert_eq!(
        error.to_string(),
        "test: OutOfRange: etcdserver: mvcc: required revision is a future revision"
    );
    let silent = refusal(Code::DeadlineExceeded, "Timeout expired");
    assert_eq!(silent.to_string(), "10.0.0.1:2379 did not answer test within 9 s");
}

fn handshake(error: rustls::Error) -> String {
    let failure = ConnectFailure::Handshake(io::Error::new(io::ErrorKind::InvalidData, error));
    asked(&endpoint()).connect(&failure).to_string()
}

#[test]
fn tls_trouble_is_told_in_plain_words() {
    use rustls::{CertificateError as C, Error as T};
    let name_mismatch = C::NotValidForNameContext {
        expected: ServerName::try_from("10.0.0.1").unwrap(),
        presented: vec!["10.0.0.2".to_owned()],
    };
    for (error, reason) in [
        (T::InvalidCertificate(C::Expired), "the server's certificate expired"),
        (
            T::InvalidCertificate(C::UnknownIssuer),
            "not issued by this cluster's CA",
        ),
        (
            T::InvalidCertificate(name_mismatch),
            "is not for 10.0.0.1 but for 10.0.0.2",
        ),
        (
            T::AlertReceived(AlertDescription::CertificateExpired),
            "the server refused our certificate: it expired",
        ),
        (
            T::AlertReceived(AlertDescription::BadCertificate),
            "the server refused our certificate: it expired, or its CA",
        ),
        (
            T::AlertReceived(AlertDescription::UnknownCA),
            "the server refused our certificate: its CA",
        ),
        (
            T::InvalidMessage(rustls::InvalidMessage::InvalidContentType),
            "does not speak TLS",
        ),
    ] {
        let text = handshake(error);
        assert!(
            text.starts_with("TLS with 10.0.0.1:2379 failed: ") && text.contains(reason),
            "{text}"
        );
    }
}

#[test]
fn a_hang_up_in_the_handshake_names_both_things_it_can_mean() {
    let failure = ConnectFailure::Handshake(io::ErrorKind::UnexpectedEof.into());
    let text = asked(&endpoint()).connect(&failure).to_string();
    assert!(
        text.contains("revoked") && text.contains("does not speak TLS"),
        "{text}"
    );
}

#[test]
fn causes_are_found_however_deep_they_are_wrapped() {
    let endpoint = endpoint();
    let closed_port = ConnectFailure::Dial(io::Error::new(io::ErrorKind::ConnectionRefused, "Connection refused"));
    let mut status = Status::unavailable("transport error");
    status.set_source(Arc::new(io::Error::other(closed_port)));
    assert_eq!(
        asked(&endpoint).status(&status).to_string(),
        "cannot reach 10.0.0.1:2379: Connection refused"
    );

    let alert = io::Error::other(rustls::Error::AlertReceived(AlertDescription::BadCertificate));
    assert!(matches!(asked(&endpoint).transport(&alert), E::Tls { .. }));

    let broken = io::Error::other(io::Error::from(io::ErrorKind::ConnectionReset));
    assert!(matches!(asked(&endpoint).transport(&broken), E::Unavailable { .. }));
    let slow = io::Error::from(io::ErrorKind::TimedOut);
    assert!(matches!(asked(&endpoint).transport(&slow), E::Silent { .. }));
}
