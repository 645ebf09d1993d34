//! Files as people have them, and files that are meant to hurt.

use super::*;
use crate::inventory::import::*;

/// Recognises and reads; `name address key=value...` for each host, and the notes.
fn read(text: &str, group: Option<&str>) -> Result<(Vec<String>, Vec<String>), Vec<Problem>> {
    let format = recognise(text).map_err(|problem| vec![problem])?;
    let found = gather(format, text, group, listed).hosts()?;
    let shown = found.hosts.iter().map(|host| {
        let ssh = host.ssh.iter().map(|(key, value)| format!(" {key}={value}"));
        format!("{} {}{}", host.name, host.address, ssh.collect::<String>())
    });
    Ok((shown.collect(), found.notes))
}

fn hosts(text: &str, group: Option<&str>) -> Vec<String> {
    read(text, group).unwrap_or_else(|problems| panic!("{problems:#?}")).0
}

/// The problems as `line: message`.
fn problems(text: &str, group: Option<&str>) -> Vec<String> {
    let problems = read(text, group).expect_err("something is wrong with it");
    for problem in &problems {
        assert!(!problem.help.is_empty(), "{problem:?}");
    }
    problems.iter().map(|p| format!("{}: {}", p.line, p.message)).collect()
}

const INI: &str = "\
# Everything
bastion ansible_host=192.0.2.1

[etcd]
node[01:02] ansible_user=admin   # Debian
node03 ansible_host=10.0.0.13 ansible_port=2222 ansible_ssh_private_key_file='~/keys/my key'

[web]
web1.example.com

[cluster:children]
etcd
web

[all:vars]
ansible_user=ubuntu
ansible_become=yes
ntp = 'a b'

[cluster:vars]
ansible_ssh_common_args='-o ProxyJump=ops@bastion.example.com:2222 -o StrictHostKeyChecking=no'
";

#[test]
fn an_ini_inventory_gives_the_hosts_of_a_group() {
    let (hosts, notes) = read(INI, Some("etcd")).unwrap();
    let jump = "jump=[\"ops@bastion.example.com:2222\"]";
    assert_eq!(
        hosts,
        [
            format!("node01 node01 {jump} sudo=always user=admin"),
            format!("node02 node02 {jump} sudo=always user=admin"),
            format!("node03 10.0.0.13 identity=\"~/keys/my key\" {jump} port=2222 sudo=always user=ubuntu"),
        ]
    );
    assert_eq!(
        notes,
        [
            "options of ssh that were not taken over: `StrictHostKeyChecking`",
            "variables that were not taken over: `ntp`",
            "files in group_vars/ and host_vars/ were not read",
        ]
    );
}

#[test]
fn a_group_has_to_be_chosen_where_there_is_a_choice() {
    assert_eq!(
        problems(INI, None),
        ["1: it has several groups: which hosts are for etcd?"]
    );
    let help = &read(INI, None).unwrap_err()[0].help;
    assert_eq!(
        help,
        "pass `--group NAME`: cluster (4), etcd (3), web (1), or `all` (5)"
    );
    assert_eq!(hosts(INI, Some("all")).len(), 5);
    assert_eq!(problems(INI, Some("ectd")), ["1: there is no group `ectd`"]);
    // One group is no choice.
    assert_eq!(hosts("[etcd]\na ansible_host=10.0.0.1\n", None), ["a 10.0.0.1"]);
}

#[test]
fn a_kubespray_inventory_keeps_members_names_and_inner_addresses() {
    let text = "\
[all]
node1 ansible_host=95.54.0.12 ip=10.3.0.1 etcd_member_name=etcd1
node2 ansible_host=95.54.0.13 ip=10.3.0.2 etcd_member_name=etcd2
[kube_node]
node2
[etcd]
node1
node2
";
    let (hosts, notes) = read(text, Some("etcd")).unwrap();
    assert_eq!(
        hosts,
        ["etcd1 10.3.0.1 host=95.54.0.12", "etcd2 10.3.0.2 host=95.54.0.13"]
    );
    assert!(notes[0].starts_with("`ip` became the address"), "{notes:?}");
}

const YAML: &str = "\
all:
  vars: {ansible_user: ubuntu, api_token: s3cret}
  children:
    db:
      hosts:
        etcd_[1:2].lan:
      vars:
        ansible_port: 2200
      children:
        special:
          hosts:
            ETCD-3:
              ansible_host: 2001:db8::3
              ansible_become: true
";

#[test]
fn a_yaml_inventory_means_the_same() {
    assert_eq!(
        hosts(YAML, Some("db")),
        [
            "etcd-1.lan etcd_1.lan port=2200 user=ubuntu",
            "etcd-2.lan etcd_2.lan port=2200 user=ubuntu",
            "etcd-3 2001:db8::3 port=2200 sudo=always user=ubuntu",
        ]
    );
}

#[test]
fn what_ansible_inventory_lists_is_read_as_well() {
    let text = r#"{
  "_meta": {"hostvars": {"a": {"ansible_host": "10.0.0.1"}, "b": {"ansible_host": "10.0.0.2"}}},
  "all": {"children": ["ungrouped", "etcd"]},
  "etcd": {"hosts": ["a", "b"]}
}"#;
    let found = vec!["a 10.0.0.1".to_owned(), "b 10.0.0.2".to_owned()];
    assert_eq!(read(text, None), Ok((found, vec![])));
}

#[test]
fn inner_groups_and_hosts_win_over_outer_ones() {
    let text = "\
[outer:children]
inner
[inner]
a ansible_host=10.0.0.1
b ansible_host=10.0.0.2 ansible_user=own
[all:vars]
ansible_user=everybody
[inner:vars]
ansible_user=inner
[outer:vars]
ansible_user=outer
";
    assert_eq!(
        hosts(text, Some("outer")),
        ["a 10.0.0.1 user=inner", "b 10.0.0.2 user=own"]
    );
}

#[test]
fn every_mistake_of_an_ansible_inventory_is_told_at_once() {
    let text = "\
[etcd]
a ansible_host=10.0.0.300
b ansible_host=10.0.0.2 ansible_port=ssh
c ansible_host=\"{{ lookup('x') }}\"
d ansible_connection=winrm
a-b.example.com ansible_host=10.0.0.2
[x:childs]
y
";
    assert_eq!(
        problems(text, None),
        [
            "2: `10.0.0.300` is not an address",
            "3: `ssh` is not a port",
            "4: `ansible_host` of `c` is a template, which only Ansible can fill in",
            "5: `d` is not reached over SSH (`ansible_connection`)",
            "6: two hosts are at the address `10.0.0.2`: the first is on line 3",
            "7: `[x:childs]` is not a section",
        ]
    );
    let syntax = "[etcd]\na 'open\nb word\nn[3:1]\n[g:children]\nnobody\n[g:vars]\nnothing\n";
    assert_eq!(
        problems(syntax, None),
        [
            "2: a quote is not closed",
            "3: behind `b` stands a word that is no `name=value`",
            "4: `n[3:1]` counts backwards",
            "6: there is no group `nobody`",
            "8: a line of `[g:vars]` is no `name=value`",
        ]
    );
    let yaml = "all:\n  hosts: [a, {b: c}]\n  children:\n    x: {host: {}}\n  vars: none\n";
    assert_eq!(
        problems(yaml, None),
        [
            "2: this is not a name",
            "4: there is no key `host` in a group",
            "5: expected a mapping of variables, not a single value",
        ]
    );
}

#[test]
fn groups_that_contain_each_other_end() {
    let text = "[a:children]\nb\n[b:children]\na\n[b]\nx ansible_host=10.0.0.1\n";
    let told = problems(text, Some("a"));
    assert!(told[0].ends_with("is within itself"), "{told:?}");
    assert_eq!(
        problems("[a]\nn[0:999999999]\n", None),
        ["2: `n[0:999999999]` stands for more than 1000 hosts"]
    );
    let plugin = "plugin: aws_ec2\nregions: [eu-west-1]\n";
    assert_eq!(
        problems(plugin, None),
        ["1: this file only tells Ansible where to ask for hosts (`plugin`)"]
    );
}

#[test]
fn secrets_are_repeated_nowhere() {
    for text in [
        "[etcd]\na ansible_host=10.0.0.1 ansible_password=hunter2 hunter2\n",
        "[etcd]\na ansible_host=10.0.0.1 ansible_become_pass='hunter2\n",
        "[etcd]\na ansible_host=10.0.0.1 ansible_ssh_common_args='-o ProxyCommand=\"x hunter2\" -ohunter=hunter2'\n",
        "[etcd]\na ansible_host=10.0.0.1\n[etcd:vars]\nansible_password=hunter2\n",
        "all:\n  hosts:\n    a: {ansible_host: 10.0.0.1, ansible_password: hunter2}\n  password: hunter2\n",
        "apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster: {server: 'https://u:hunter2@!bad/'}\nusers:\n- user: {token: hunter2}\n",
        r#"{"pw": {"sensitive": true, "type": "string", "value": "hunter2"}, "x": {"type": [], "value": [{"ip": "no", "password": "hunter2"}]}}"#,
        "Host a\n  HostName 10.0.0.1\n  ProxyCommand nc --token hunter2 %h %p\n",
    ] {
        let told = format!("{:?}", read(text, None));
        assert!(!told.contains("hunter2"), "{text}\n{told}");
    }
}

#[test]
fn terraform_outputs_are_read_in_every_documented_shape() {
    let wrapped = |value: &str| {
        format!(
            r#"{{"region": {{"sensitive": false, "type": "string", "value": "eu"}}, "etcd": {{"sensitive": false, "type": ["x"], "value": {value}}}}}"#
        )
    };
    let list = r#"[{"name": "etcd-1", "private_ip": "10.0.0.11", "public_ip": "192.0.2.1", "id": "i-1"},
                   {"name": "etcd-2", "private_ip": "10.0.0.12", "public_ip": null, "ssh_user": "admin"}]"#;
    let (found, notes) = read(&wrapped(list), None).unwrap();
    assert_eq!(
        found,
        ["etcd-1 10.0.0.11 host=192.0.2.1", "etcd-2 10.0.0.12 user=admin"]
    );
    assert_eq!(notes, ["outputs that are not hosts: `region`"]);
    // One value alone.
    assert_eq!(hosts(list, None), found);
    for value in [
        r#"{"etcd-1": {"ip": "10.0.0.11"}, "etcd-2": {"address": "10.0.0.12"}}"#,
        r#"{"etcd-1": "10.0.0.11", "etcd-2": "10.0.0.12"}"#,
        r#"["10.0.0.11", "10.0.0.12"]"#,
    ] {
        assert_eq!(
            hosts(&wrapped(value), None),
            ["etcd-1 10.0.0.11", "etcd-2 10.0.0.12"],
            "{value}"
        );
    }
}

#[test]
fn terraform_outputs_that_are_unclear_are_asked_about() {
    let two = r#"{"a": {"type": "x", "value": {"n": "10.0.0.1"}}, "b": {"type": "x", "value": {"m": "10.0.0.2"}}}"#;
    assert_eq!(
        problems(two, None),
        ["1: several outputs have hosts: which are for etcd?"]
    );
    assert_eq!(hosts(two, Some("b")), ["m 10.0.0.2"]);
    assert_eq!(problems(two, Some("c")), ["1: there is no output `c`"]);
    let sensitive = r#"{"a": {"sensitive": true, "type": "x", "value": {"n": "10.0.0.1"}}}"#;
    assert_eq!(
        problems(sensitive, None),
        ["1: no output is a list or map of hosts with addresses"]
    );
    assert_eq!(hosts(sensitive, Some("a")), ["n 10.0.0.1"]);
    let broken = "[\n {\"name\": \"a\", \"ip\": \"10.0.0.1\"},\n {\"name\": \"b\"},\n {\"name\": \"$(id)\", \"ip\": \"10.0.0.3\"}\n]";
    assert_eq!(
        problems(broken, None),
        ["3: the host has no address", "4: `$(id)` cannot name a host"]
    );
    assert_eq!(
        problems(r#"{"terraform_version": "1.9", "values": {}}"#, None),
        ["1: this is Terraform's state or plan"]
    );
}

const NODES: &str = r#"{"apiVersion": "v1", "kind": "List", "items": [
  {"kind": "Node", "metadata": {"name": "cp-1", "labels": {"node-role.kubernetes.io/control-plane": ""}},
   "status": {"addresses": [{"type": "ExternalIP", "address": "192.0.2.1"}, {"type": "InternalIP", "address": "10.0.0.1"}]}},
  {"kind": "Node", "metadata": {"name": "cp-2", "labels": {"node-role.kubernetes.io/master": ""}},
   "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.2"}, {"type": "InternalIP", "address": "fd00::2"}]}},
  {"kind": "Node", "metadata": {"name": "w-1", "labels": {"node-role.kubernetes.io/worker": ""}},
   "status": {"addresses": [{"type": "Hostname", "address": "w-1"}]}}
]}"#;

#[test]
fn kubernetes_nodes_of_the_control_plane_are_hosts() {
    let (found, notes) = read(NODES, None).unwrap();
    assert_eq!(found, ["cp-1 10.0.0.1", "cp-2 10.0.0.2"]);
    assert_eq!(
        notes,
        [
            "the node `cp-2` has several internal addresses: the first was taken",
            "1 node of another role was left out",
        ]
    );
    assert_eq!(
        problems(NODES, Some("worker")),
        ["6: the node `w-1` has no address of type `InternalIP`"]
    );
    assert_eq!(problems(NODES, Some("etcd")), ["1: no node has the role `etcd`"]);
    assert_eq!(
        problems("kind: Pod\nmetadata: {name: x}\n", None),
        ["1: a `Pod` of Kubernetes has no hosts"]
    );
}

#[test]
fn a_kubeconfig_has_one_address_and_that_is_said() {
    let text = "\
apiVersion: v1
kind: Config
current-context: b
contexts:
- {name: a, context: {cluster: one}}
- {name: b, context: {cluster: two}}
clusters:
- {name: one, cluster: {server: 'https://api.example.com:6443'}}
- {name: two, cluster: {server: 'https://[fd00::2]:6443/'}}
";
    let (found, notes) = read(text, None).unwrap();
    assert_eq!(found, ["etcd-1 fd00::2"]);
    assert!(notes.iter().any(|note| note.contains("load balancer")), "{notes:?}");
    assert_eq!(hosts(text, Some("one")), ["api.example.com api.example.com"]);
    assert_eq!(
        problems(text, Some("three")),
        ["1: the kubeconfig has no server of a cluster `three`"]
    );
}

const SSH: &str = "\
Include conf.d/*
Host etcd-1 etcd-2
  HostName %h.lan
Host etcd-2
  Port 2222
  ProxyJump ops@bastion,fd00::1
Host github.com
  User git
Host *.lan etcd-*
  User admin
  IdentityFile ~/.ssh/etcd
Match host etcd-1
  User nobody
";

#[test]
fn ssh_hosts_are_those_without_a_wildcard() {
    let (found, notes) = read(SSH, Some("etcd-*")).unwrap();
    assert_eq!(
        found,
        [
            "etcd-1 etcd-1.lan identity=\"~/.ssh/etcd\" user=admin",
            "etcd-2 etcd-2.lan identity=\"~/.ssh/etcd\" jump=[\"ops@bastion\", \"[fd00::1]\"] port=2222 user=admin",
        ]
    );
    assert_eq!(
        notes,
        [
            "patterns are no hosts: `*.lan`, `etcd-*`; what they set was taken over for the hosts that match",
            "not read: `Include` on line 1, `Match` on line 12; check the logins of the hosts",
        ]
    );
    assert_eq!(hosts(SSH, None).len(), 3);
    assert_eq!(problems(SSH, Some("db-*")), ["1: no `Host` matches `db-*`"]);
    assert_eq!(
        problems("Host a\n Port many\nHost b\n ProxyJump a:b\n User \"x\n", None),
        [
            "2: `Port many` is not a port",
            "4: `a:b` is not a jump host: write [user@]host[:port]",
            "5: unclosed double quote",
        ]
    );
}

#[test]
fn what_is_nothing_of_these_is_not_guessed_at() {
    for text in [
        "",
        "# only a comment\n",
        "hello world\n",
        "{}",
        "[]",
        "a: {b: c}\n",
        "\u{0}\u{1b}[2J",
        "{\"a\":",
    ] {
        let problems = read(text, None).expect_err(text);
        assert!(
            !problems.is_empty() && !format!("{problems:?}").contains('\u{1b}'),
            "{problems:?}"
        );
    }
    // A bomb of aliases, and one of brackets.
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        bomb += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(", "));
    }
    assert!(read(&bomb, None).is_err());
    assert!(read(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), None).is_err());
}

#[test]
fn hostile_names_and_values_are_refused_as_everywhere() {
    for hostile in [
        "$(reboot)",
        "a;reboot",
        "../../etc",
        "-oProxyCommand=id",
        "a\u{1b}[2J",
        "default",
    ] {
        let quoted = serde_json::Value::from(hostile).to_string();
        for text in [
            format!("[{{\"name\": {quoted}, \"ip\": \"10.0.0.1\"}}]"),
            format!("[{{\"name\": \"a\", \"ip\": \"10.0.0.1\", \"ssh_host\": {quoted}, \"ssh_port\": {quoted}}}]"),
            format!("all: {{hosts: {{{quoted}: {{ansible_host: 10.0.0.1}}}}}}\n"),
            format!("all: {{hosts: {{a: {{ansible_host: {quoted}, ansible_port: {quoted}}}}}}}\n"),
        ] {
            assert!(read(&text, None).is_err(), "{text}");
        }
    }
}

/// Whatever was taken over is an inventory, and says the same there.
#[test]
fn what_is_written_is_what_was_read() {
    use crate::inventory::{Connection, Sudo, init, parse};
    let found = gather(Format::Ansible, INI, Some("etcd"), listed).hosts().unwrap();
    let text = init::starter(
        &found.hosts,
        crate::inventory::Version::new(3, 6, 16),
        &"prod".parse().unwrap(),
    );
    let environment = crate::inventory::Environment {
        home: Some("/home/me".into()),
        state_dir: "/s".into(),
        user: "me".to_owned(),
        dir: "/work".into(),
        shared: Vec::new(),
    };
    let loaded = parse(std::path::Path::new("inventory.yml"), &text, &environment)
        .unwrap_or_else(|error| panic!("{:#?}\n{text}", error.problems()));
    let login =
        |name: &str| match &loaded.desired.hosts[&name.parse::<crate::inventory::NodeName>().unwrap()].connection {
            Connection::Ssh(target) => target.clone(),
            Connection::Local => panic!("{name}"),
        };
    let (one, three) = (login("node01"), login("node03"));
    assert_eq!(
        (one.user.as_deref(), one.port, one.sudo),
        (Some("admin"), None, Sudo::Always)
    );
    assert_eq!((three.user.as_deref(), three.port), (Some("ubuntu"), Some(2222)));
    assert_eq!(three.identity, [std::path::PathBuf::from("/home/me/keys/my key")]);
    assert_eq!(one.jump, three.jump);
    assert_eq!(one.jump[0].host, "bastion.example.com");
    // What all have in common stands once.
    assert_eq!(text.matches("jump:").count(), 1, "{text}");
}
