use super::*;
use similar::{ChangeTag, TextDiff};

fn entry(name: &str, address: &str, ssh_host: Option<&str>) -> HostEntry {
    HostEntry {
        name: name.parse().unwrap(),
        address: address.parse().unwrap(),
        ssh_host: ssh_host.map(str::to_owned),
    }
}

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

/// The lines that differ, `-` before and `+` after, joined.
fn diff(old: &str, new: &str) -> String {
    let mut lines = String::new();
    for change in TextDiff::from_lines(old, new).iter_all_changes() {
        match change.tag() {
            ChangeTag::Delete => lines.push_str(&format!("-{change}")),
            ChangeTag::Insert => lines.push_str(&format!("+{change}")),
            ChangeTag::Equal => {}
        }
    }
    lines
}

const BLOCK: &str = "\
# The production cluster.
cluster: prod-a  # do not rename

etcd: {version: '3.5.30'}   # pinned
hosts:
  # rack 1
  - name: etcd-1
    address: 10.0.0.11   # eth0
    ssh:
      user: ops
  # rack 2
  - name:   \"etcd-2\"
    address: 10.0.0.12
    ssh: {host: 203.0.113.2}
    # keep this one on NVMe

  # rack 3
  - name: etcd-3
    address: 10.0.0.13

# The end.
pki:
  key_type: ed25519
";

#[test]
fn a_host_is_added_after_the_last_one() {
    let new = add_host(BLOCK, &entry("etcd-4", "fd00::4", Some("203.0.113.4"))).unwrap();
    assert_eq!(
        diff(BLOCK, &new),
        "+  - name: etcd-4\n+    address: \"fd00::4\"\n+    ssh: {host: 203.0.113.4}\n"
    );
    assert!(new.contains("10.0.0.13\n  - name: etcd-4"), "{new}");
}

#[test]
fn a_removed_host_takes_its_comment_along_and_nothing_else() {
    let new = remove_host(BLOCK, &name("etcd-2")).unwrap();
    assert_eq!(
        diff(BLOCK, &new),
        "-  # rack 2\n-  - name:   \"etcd-2\"\n-    address: 10.0.0.12\n-    ssh: {host: 203.0.113.2}\n\
         -    # keep this one on NVMe\n"
    );
    let new = remove_host(BLOCK, &name("etcd-3")).unwrap();
    assert_eq!(
        diff(BLOCK, &new),
        "-  # rack 3\n-  - name: etcd-3\n-    address: 10.0.0.13\n"
    );
    let new = remove_host(BLOCK, &name("etcd-1")).unwrap();
    assert!(new.contains("# rack 1"), "a comment above the first host is the list's");
}

#[test]
fn added_and_removed_again_is_the_same_text() {
    let added = add_host(BLOCK, &entry("etcd-4", "10.0.0.14", None)).unwrap();
    assert_eq!(remove_host(&added, &name("etcd-4")).unwrap(), BLOCK);
}

#[test]
fn a_replaced_host_keeps_its_place_and_its_other_keys() {
    let new = replace_host(
        BLOCK,
        &name("etcd-2"),
        &entry("etcd-9", "10.0.0.19", Some("203.0.113.9")),
    )
    .unwrap();
    assert_eq!(
        diff(BLOCK, &new),
        "-  - name:   \"etcd-2\"\n-    address: 10.0.0.12\n-    ssh: {host: 203.0.113.2}\n\
         +  - name:   \"etcd-9\"\n+    address: 10.0.0.19\n+    ssh: {host: 203.0.113.9}\n"
    );
    // SSH to the new address where the old host's differed and the new one's is not known to.
    let new = replace_host(BLOCK, &name("etcd-2"), &entry("etcd-9", "10.0.0.19", None)).unwrap();
    assert!(new.contains("ssh: {host: 10.0.0.19}"), "{new}");
    // A new SSH host where there was none, into an existing block and as a new key.
    let new = replace_host(BLOCK, &name("etcd-1"), &entry("etcd-1", "10.0.0.11", Some("b"))).unwrap();
    assert_eq!(diff(BLOCK, &new), "+      host: b\n");
    let new = replace_host(BLOCK, &name("etcd-3"), &entry("etcd-3", "10.0.0.13", Some("c"))).unwrap();
    assert_eq!(diff(BLOCK, &new), "+    ssh: {host: c}\n");
}

#[test]
fn the_version_keeps_its_quotes() {
    let new = set_version(BLOCK, Version::new(3, 5, 33)).unwrap();
    assert_eq!(
        diff(BLOCK, &new),
        "-etcd: {version: '3.5.30'}   # pinned\n+etcd: {version: '3.5.33'}   # pinned\n"
    );
    let plain = "etcd:\n  version: 3.5.30 # x\n";
    assert_eq!(
        set_version(plain, Version::new(3, 6, 1)).unwrap(),
        "etcd:\n  version: 3.6.1 # x\n"
    );
}

#[test]
fn every_style_of_list_stays_in_its_style() {
    let four = entry("d", "10.0.0.4", None);
    for (old, added) in [
        (
            "hosts:\n- name: a\n  address: 10.0.0.1\n- name: b\n  address: 10.0.0.2\n",
            "+- name: d\n+  address: 10.0.0.4\n",
        ),
        (
            "hosts:\n  -   name: a\n      address: 10.0.0.1\n  -   name: b\n      address: 10.0.0.2\nx: 1\n",
            "+  -   name: d\n+      address: 10.0.0.4\n",
        ),
        (
            "hosts:\n  - {name: a, address: 10.0.0.1}\n  - {name: b, address: 10.0.0.2} # two\n",
            "+  - {name: d, address: 10.0.0.4}\n",
        ),
        (
            "hosts:\n  - { name: a, address: 10.0.0.1 }\n  - { name: b,\n      address: 10.0.0.2 }\n",
            "+  - { name: d, address: 10.0.0.4 }\n",
        ),
        (
            "hosts:\r\n  - name: a\r\n    address: 10.0.0.1\r\n  - name: b\r\n    address: 10.0.0.2\r\n",
            "+  - name: d\r\n+    address: 10.0.0.4\r\n",
        ),
        (
            "hosts:\n  -\n    name: a\n    address: 10.0.0.1\n  -\n    address: 10.0.0.2\n    name: b\n",
            "+  - name: d\n+    address: 10.0.0.4\n",
        ),
        (
            "hosts: [{name: a, address: 10.0.0.1}, {name: b, address: 10.0.0.2}]\n",
            "-hosts: [{name: a, address: 10.0.0.1}, {name: b, address: 10.0.0.2}]\n\
             +hosts: [{name: a, address: 10.0.0.1}, {name: b, address: 10.0.0.2}, {name: d, address: 10.0.0.4}]\n",
        ),
        (
            "hosts: [\n  {name: a, address: 10.0.0.1},\n  {name: b, address: 10.0.0.2},  # \"}\n]\n",
            "+  {name: d, address: 10.0.0.4},\n",
        ),
    ] {
        let new = add_host(old, &four).unwrap_or_else(|e| panic!("{e}: {old}"));
        assert_eq!(diff(old, &new), added, "{old}");
        for gone in ["a", "b", "d"] {
            let less = remove_host(&new, &name(gone)).unwrap_or_else(|e| panic!("{e}: {new}"));
            assert!(!less.contains(&format!("name: {gone}")), "{less}");
        }
        let swapped = replace_host(&new, &name("b"), &entry("e", "10.0.0.5", Some("x"))).unwrap();
        assert!(
            swapped.contains("name: e") && swapped.contains("{host: x}"),
            "{swapped}"
        );
    }
}

#[test]
fn a_file_without_a_last_newline_is_extended_properly() {
    let old = "hosts:\n  - name: a\n    address: 10.0.0.1";
    let new = add_host(old, &entry("b", "10.0.0.2", None)).unwrap();
    assert_eq!(new, format!("{old}\n  - name: b\n    address: 10.0.0.2"));
}

#[test]
fn names_that_yaml_would_read_otherwise_are_quoted() {
    let old = "hosts:\n  - name: a\n    address: 10.0.0.1\n";
    for odd in ["no", "1e3", "12", "null", "0x1f", "y"] {
        let new = add_host(old, &entry(odd, "10.0.0.2", None)).unwrap();
        assert!(new.contains(&format!("name: \"{odd}\"")), "{new}");
    }
    let new = replace_host(old, &name("a"), &entry("no", "::5", None)).unwrap();
    assert_eq!(new, "hosts:\n  - name: \"no\"\n    address: \"::5\"\n");
}

#[test]
fn edits_that_make_no_sense_are_refused() {
    assert_eq!(
        add_host(BLOCK, &entry("etcd-3", "10.0.0.9", None)),
        Err(EditError::NameTaken(name("etcd-3")))
    );
    assert_eq!(
        remove_host(BLOCK, &name("etcd-8")),
        Err(EditError::NoSuchHost(name("etcd-8")))
    );
    let one = "hosts:\n  - name: a\n    address: 10.0.0.1\n";
    assert_eq!(remove_host(one, &name("a")), Err(EditError::LastHost(name("a"))));
    let taken = replace_host(BLOCK, &name("etcd-1"), &entry("etcd-2", "10.0.0.1", None));
    assert_eq!(taken, Err(EditError::NameTaken(name("etcd-2"))));
    for broken in ["", "hosts: 5", "hosts:\n\t- a", "a: [", "\u{feff}hosts: []"] {
        assert!(
            matches!(add_host(broken, &entry("a", "b", None)), Err(EditError::Unreadable(_))),
            "{broken:?}"
        );
    }
}

#[test]
fn what_cannot_be_edited_for_sure_is_left_alone() {
    let aliased = "x: &h {name: b, address: 10.0.0.2}\nhosts:\n  - name: a\n    address: 10.0.0.1\n  - *h\n";
    let replaced = replace_host(aliased, &name("b"), &entry("c", "10.0.0.3", None));
    assert_eq!(replaced, Err(EditError::Layout { edit: "replace a host" }));
    // Two hosts that share their text by a merge: the change would hit both.
    let merged = "hosts:\n  - &a {name: a, address: 10.0.0.1}\n  - {<<: *a, name: b}\n";
    let replaced = replace_host(merged, &name("a"), &entry("c", "10.0.0.3", None));
    assert_eq!(replaced, Err(EditError::Layout { edit: "replace a host" }));
    let flow_over_lines = "hosts:\n  - {name: a,\naddress: 10.0.0.1}\n  - {name: b, address: 10.0.0.2}\n";
    let removed = remove_host(flow_over_lines, &name("a"));
    assert_eq!(removed, Err(EditError::Layout { edit: "remove a host" }));
}

#[test]
fn a_version_that_was_shared_becomes_the_inventorys_own() {
    let set = |text: &str| set_version(text, "3.6.16".parse().unwrap());
    let hosts = "hosts: [{name: a, address: 10.0.0.1}]\n";
    for (text, lines) in [
        (format!("cluster: a  # ours\n{hosts}"), "+etcd:\n+  version: 3.6.16\n"),
        (
            format!("{hosts}cluster: a"),
            "-cluster: a\n+cluster: a\n+etcd:\n+  version: 3.6.16\n",
        ),
        (
            format!("cluster: a\netcd:\n    # quick\n    config: {{}}\n{hosts}"),
            "+    version: 3.6.16\n",
        ),
        (
            format!("cluster: a\netcd: {{user: e}}\n{hosts}"),
            "-etcd: {user: e}\n+etcd: {version: 3.6.16, user: e}\n",
        ),
    ] {
        assert_eq!(diff(&text, &set(&text).unwrap()), lines, "{text}");
    }
    for text in [
        format!("cluster: a\netcd: {{}}\n{hosts}"),
        "{cluster: a, hosts: []}\n".to_owned(),
    ] {
        assert!(matches!(set(&text), Err(EditError::Layout { .. })), "{text}");
    }
    assert!(matches!(set("[]\n"), Err(EditError::Unreadable(_))));
}
