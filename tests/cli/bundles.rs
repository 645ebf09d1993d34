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
