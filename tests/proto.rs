//! `proto/etcd.proto` and the client code made from it belong together.
//!
//! The generated file is committed, so that building quorate needs neither protoc nor a build script.
//! After changing the proto: `UPDATE_PROTO=1 cargo test --test proto`.

use std::path::Path;

const GENERATED: &str = "src/etcd/generated/etcdserverpb.rs";

fn generate() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().unwrap();
    let descriptors = protox::compile([root.join("proto/etcd.proto")], [root.join("proto")]).unwrap();
    tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .bytes("etcdserverpb.SnapshotResponse.blob")
        .out_dir(out.path())
        .compile_fds(descriptors)
        .unwrap();
    std::fs::read_to_string(out.path().join("etcdserverpb.rs")).unwrap()
}

#[test]
fn the_committed_client_is_what_the_proto_file_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(GENERATED);
    let fresh = generate();
    if std::env::var_os("UPDATE_PROTO").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == fresh,
        "{GENERATED} is not what proto/etcd.proto gives; run UPDATE_PROTO=1 cargo test --test proto"
    );
}
