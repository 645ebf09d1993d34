//! Talking to etcd itself: gRPC and HTTP with mutual TLS, over any byte stream (usually a tunnel).

pub mod model;

pub use model::*;
