//! docs/inventory.md, written from the schema, so that it cannot fall behind.

use serde_json::Value;

use super::raw::schema;

const HEAD: &str = "\
# The inventory

One YAML file per cluster, kept in git. This page is generated from the schema (`quorate schema` prints it); regenerate it
with `QUORATE_WRITE_DOCS=1 cargo test --lib reference`.

```yaml
cluster: prod-a
etcd:
  version: \"3.6.16\"
  config:
    quota-backend-bytes: 8GiB
    auto-compaction-retention: 8h
hosts:
  - name: etcd-1
    address: 10.0.0.11
  - name: etcd-2
    address: 10.0.0.12
  - name: etcd-3
    address: 10.0.0.13
```

`examples/inventories/` has more examples. `quorate check` reports every mistake in a file at once, with its
line. Unknown keys are errors, and so are options that the chosen release of etcd does not have: etcd itself
silently ignores those. `quorate check --try` also starts etcd itself with the configuration.

`auto-compaction-retention` without `auto-compaction-mode` is `periodic` on every release, as etcd documents it; a
configuration file of 3.4 or 3.5 would not start with that, or never compact anything.

Durations are written `8h`, `30d`, `1y`, `1h30m` (a year is 365 days), sizes `8GiB`, `512MiB` or a number of bytes. A key with no value (`null`) counts as not
set, whatever [shared settings](fleet.md#shared-settings) say. For an editor's completion, save the schema and put
`# yaml-language-server: $schema=FILE` on the first line.

## From what there is already

`quorate init --from FILE` takes the hosts from a file that names them (`-`: standard input). The format is detected from the
content, or set with `--format`. All problems are reported at once, each with its line, and nothing is written then; names that
were changed and settings that were left out are reported. Lines of the file are not shown: passwords may be in them.

| `--format` | reads | `--group` chooses |
|---|---|---|
| `ansible` | an inventory, INI or YAML, or the output of `ansible-inventory --list`: groups, children, ranges (`node[01:03]`), `ansible_host`, `ansible_user`, `ansible_port`, `ansible_ssh_private_key_file`, `ansible_become`, jump hosts in `ansible_ssh_common_args`; Kubespray's `ip` and `etcd_member_name`. Not `group_vars/` and `host_vars/`, and no templates | a group; `all` for every host. Needed where there are several groups |
| `terraform` | `terraform output -json`, or one output with `terraform output -json NAME`: a list of objects with a `name` or `hostname`, a map of objects by name, or a map of addresses by name. The address is the first of `address`, `private_ip`, `private_ip_address`, `ip`, `ip_address`, `ipv4_address`, `access_ip_v4`, `public_ip`, `public_ip_address` that is set; SSH connects to `ssh_host` or a public address if there is one, as `ssh_user` or `user`, on `ssh_port` | an output. Needed for a sensitive one, and where several have hosts |
| `kubernetes` | `kubectl get nodes -o json` (or `-o yaml`): names and internal addresses of the control plane. A kubeconfig: the address of its current cluster, which may be a load balancer's | a role of nodes, or `all`; of a kubeconfig a cluster |
| `ssh-config` | `~/.ssh/config`: each `Host` without a wildcard, with `HostName`, `User`, `Port`, `IdentityFile`, `ProxyJump`, also from patterns that match it. Not `Match` and `Include` | a pattern of names, like `'etcd-*'` |

Names become DNS names in lower case (`Node_01`: `node-01`); a host that has only an IP address is called `etcd-1`, `etcd-2` and so
on. What all hosts have in common is written once, in the section `ssh`.
";

/// The text of docs/inventory.md.
pub fn reference_markdown() -> String {
    let schema = schema();
    let mut text = HEAD.to_owned();
    for (title, path) in [
        ("Top level", &[] as &[&str]),
        ("etcd", &["etcd"]),
        ("paths (below etcd, or a host)", &["etcd", "paths"]),
        ("pki", &["pki"]),
        ("ssh (at the top, or below a host)", &["ssh"]),
        ("users", &["users"]),
        ("roles", &["roles"]),
        ("permissions (below a role)", &["roles", "permissions"]),
        ("bundle", &["bundle"]),
        ("backup", &["backup"]),
        ("keep (below backup)", &["backup", "keep"]),
        ("hosts", &["hosts"]),
    ] {
        section(&mut text, title, section_schema(&schema, path), &schema);
    }
    text
}

/// The schema of the mapping that stands at `path`; for a list, of its entries.
pub(super) fn section_schema<'a>(schema: &'a Value, path: &[&str]) -> &'a Value {
    path.iter()
        .fold(schema, |object, key| mapping(schema, &object["properties"][key]))
}

/// The mapping behind references, lists and "or null".
fn mapping<'a>(schema: &'a Value, property: &'a Value) -> &'a Value {
    if let Some(reference) = property["$ref"].as_str() {
        return mapping(schema, &schema["$defs"][reference.trim_start_matches("#/$defs/")]);
    }
    match (&property["anyOf"], &property["items"]) {
        (Value::Array(choices), _) => choices.first().map_or(property, |choice| mapping(schema, choice)),
        (_, Value::Object(_)) => mapping(schema, &property["items"]),
        _ => property,
    }
}

fn section(text: &mut String, title: &str, object: &Value, schema: &Value) {
    text.push_str(&format!("\n## {title}\n\n{}\n\n", one_line(&object["description"])));
    text.push_str("| key | value | default | |\n|---|---|---|---|\n");
    let required: Vec<&str> = object["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let is_required = |key: &str| required.contains(&key);
    let mut properties: Vec<(&String, &Value)> = object["properties"].as_object().into_iter().flatten().collect();
    properties.sort_by_key(|(key, _)| !is_required(key));
    for (key, property) in properties {
        let default = match &property["default"] {
            _ if is_required(key) => "required".to_owned(),
            Value::Null => String::new(),
            Value::String(word) => format!("`{word}`"),
            value => format!("`{value}`"),
        };
        let row = [
            format!("`{key}`"),
            kind(property, schema),
            default,
            one_line(&property["description"]),
        ];
        text.push_str(&format!("| {} |\n", row.join(" | ")));
    }
}

fn one_line(description: &Value) -> String {
    description
        .as_str()
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

/// What a value may be, in words.
fn kind(property: &Value, schema: &Value) -> String {
    if let Some(reference) = property["$ref"].as_str() {
        return kind(&schema["$defs"][reference.trim_start_matches("#/$defs/")], schema);
    }
    if let Some(words) = property["enum"].as_array() {
        let words: Vec<String> = words
            .iter()
            .filter_map(Value::as_str)
            .map(|w| format!("`{w}`"))
            .collect();
        return words.join(", ");
    }
    if let Some(choices) = property["anyOf"].as_array().filter(|_| property["type"].is_null()) {
        let kinds: Vec<String> = choices
            .iter()
            .filter(|c| c["type"] != "null")
            .map(|choice| kind(choice, schema))
            .collect();
        return kinds.join(" or ");
    }
    let name = match &property["type"] {
        Value::Array(types) => types
            .iter()
            .filter_map(Value::as_str)
            .find(|t| *t != "null")
            .unwrap_or_default(),
        other => other.as_str().unwrap_or_default(),
    };
    match (name, property["minimum"].as_u64(), property["maximum"].as_u64()) {
        ("integer", Some(low), Some(high)) => format!("{low} to {high}"),
        ("integer", ..) => "number".to_owned(),
        ("boolean", ..) => "`true`, `false`".to_owned(),
        ("array", ..) => format!("list of: {}", kind(&property["items"], schema)),
        ("object", ..) => "mapping".to_owned(),
        _ => "text".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_reference_is_what_the_schema_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/inventory.md");
        if std::env::var_os("QUORATE_WRITE_DOCS").is_some() {
            std::fs::write(path, reference_markdown()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap();
        assert!(
            committed == reference_markdown(),
            "docs/inventory.md is not up to date: run `QUORATE_WRITE_DOCS=1 cargo test --lib reference`"
        );
    }
}
