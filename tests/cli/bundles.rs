//! Bundles that are missing or no bundles: exit code 9. (Damaged ones need a real one: see tests/lab and the unit tests.)

use insta::assert_snapshot;

use crate::program::Desk;

const INVENTORY: &str = "cluster: a\netcd:\n  version: 3.5.30\nhosts:\n  - {name: etcd-1, address: 10.0.0.1}\n";

#[test]
fn without_a_bundle_nothing_is_begun() {
    let desk = Desk::with(INVENTORY);
    assert_snapshot!(desk.run(&["up", "--yes"]).whole(), @r#"
    exit code 9
    --- stdout
    --- stderr
    error: there is no bundle: none was given, this executable has none embedded, and there is no *.qbundle in .
    help: create one: quorate bundle create --out etcd.qbundle etcd-v3.6.16-linux-amd64.tar.gz
    "#);
    assert!(!desk.path("pki").exists());
}

#[test]
fn an_empty_file_and_another_file_are_no_bundles() {
    let desk = Desk::with(INVENTORY);
    desk.write("etcd.qbundle", "");
    assert_snapshot!(desk.run(&["check"]).whole(), @r#"
    exit code 9
    --- stdout
    --- stderr
    error: ./etcd.qbundle is not a bundle: it is empty
    help: copy the bundle again, or create one: quorate bundle create --out etcd.qbundle etcd-v3.6.16-linux-amd64.tar.gz
    "#);
    desk.write("etcd.qbundle", "PK\u{3}\u{4} something else entirely");
    assert_snapshot!(desk.run(&["up", "--yes"]).whole(), @r#"
    exit code 9
    --- stdout
    --- stderr
    error: ./etcd.qbundle is not a bundle: it is something else
    help: copy the bundle again, or create one: quorate bundle create --out etcd.qbundle etcd-v3.6.16-linux-amd64.tar.gz
    "#);
    assert_snapshot!(desk.run(&["bundle", "verify", "missing.qbundle"]).whole(), @r#"
    exit code 9
    --- stdout
    --- stderr
    error: cannot read missing.qbundle: No such file or directory (os error 2)
    help: check the path; a bundle is set with --bundle FILE or QUORATE_BUNDLE
    "#);
}

/// A bundle is a tar that begins with its manifest, which is all that is read of another quorate's.
fn bundle_of(desk: &Desk, name: &str, manifest: &str) {
    let mut tar = tar::Builder::new(std::fs::File::create(desk.path(name)).unwrap());
    let mut header = tar::Header::new_ustar();
    header.set_size(manifest.len() as u64);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    tar.append_data(&mut header, "manifest.json", manifest.as_bytes())
        .unwrap();
    tar.finish().unwrap();
}

#[test]
fn a_bundle_of_an_older_or_a_newer_quorate_says_which_one_reads_it() {
    let desk = Desk::with(INVENTORY);
    bundle_of(&desk, "etcd.qbundle", include_str!("../formats/bundle-1.json"));
    assert_snapshot!(desk.run(&["bundle", "verify", "etcd.qbundle"]).whole(), @r#"
    exit code 9
    --- stdout
    --- stderr
    error: etcd.qbundle: manifest.json cannot be used: it has format 1, but this quorate reads format 2
    help: create it again with this quorate: quorate bundle create --out etcd.qbundle etcd-v3.6.16-linux-amd64.tar.gz
    "#);
    assert_snapshot!(desk.run(&["up", "--yes"]).whole(), @r#"
    exit code 9
    --- stdout
    --- stderr
    error: ./etcd.qbundle: manifest.json cannot be used: it has format 1, but this quorate reads format 2
    help: create it again with this quorate: quorate bundle create --out etcd.qbundle etcd-v3.6.16-linux-amd64.tar.gz
    "#);
    let newer = r#"{"format": 3, "created_by": "quorate 9.0.0", "releases": {"new": "shape"}}"#;
    bundle_of(&desk, "etcd.qbundle", newer);
    assert_snapshot!(desk.run(&["bundle", "verify", "etcd.qbundle"]).whole(), @r#"
    exit code 9
    --- stdout
    --- stderr
    error: etcd.qbundle: manifest.json cannot be used: it has format 3, but this quorate reads format 2
    help: use the quorate that made it, or a newer one
    "#);
}

#[test]
fn two_bundles_beside_the_inventory_ask_which() {
    let desk = Desk::with(INVENTORY);
    desk.write("a.qbundle", "");
    desk.write("b.qbundle", "");
    assert_snapshot!(desk.run(&["up", "--yes"]).whole(), @r#"
    exit code 9
    --- stdout
    --- stderr
    error: there are several bundles: ./a.qbundle, ./b.qbundle
    help: choose one with --bundle FILE
    "#);
}

#[test]
fn sources_that_hold_no_etcd_make_no_bundle() {
    let desk = Desk::new();
    desk.write("etcd-v3.5.30-linux-amd64.tar.gz", "not a tarball");
    let arguments = [
        "bundle",
        "create",
        "--out",
        "etcd.qbundle",
        "etcd-v3.5.30-linux-amd64.tar.gz",
    ];
    assert_snapshot!(desk.run(&arguments).whole(), @r#"
    exit code 9
    --- stdout
    --- stderr
    note: reading etcd-v3.5.30-linux-amd64.tar.gz
    error: etcd-v3.5.30-linux-amd64.tar.gz cannot be packed: it is neither a .tar.gz, nor a .deb, nor a directory
    help: a source is an upstream release tarball (.tar.gz), a directory that holds etcd, etcdctl and etcdutl, or a .deb
    "#);
    assert!(!desk.path("etcd.qbundle").exists(), "no half bundle");
    assert_snapshot!(desk.run(&["bundle", "create", "--out", "etcd.qbundle", "."]).whole(), @r#"
    exit code 9
    --- stdout
    --- stderr
    note: reading .
    error: . contains none of etcd, etcdctl and etcdutl
    help: a source is an upstream release tarball (.tar.gz), a directory that holds etcd, etcdctl and etcdutl, or a .deb
    "#);
}
