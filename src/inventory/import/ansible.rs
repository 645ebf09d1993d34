//! Ansible's groups, hosts and variables, whichever syntax they came in, and what of them is said about hosts for etcd.

use std::collections::{BTreeMap, BTreeSet};

use super::super::leaf::all_of;
use super::super::problem::Place;
use super::ansible_ssh_args::{SshArgs, read};
use super::{Candidate, Gathered, Login, Typed};

/// Variables that mean something here, and the older names that Ansible still takes.
const HOST: [&str; 2] = ["ansible_host", "ansible_ssh_host"];
const USER: [&str; 2] = ["ansible_user", "ansible_ssh_user"];
const PORT: [&str; 2] = ["ansible_port", "ansible_ssh_port"];
const KEY: [&str; 2] = ["ansible_ssh_private_key_file", "ansible_private_key_file"];
const ARGS: [&str; 2] = ["ansible_ssh_common_args", "ansible_ssh_extra_args"];
const BECOME: [&str; 1] = ["ansible_become"];
const CONNECTION: [&str; 1] = ["ansible_connection"];
/// Kubespray's: the address between hosts, and the member's name.
const IP: [&str; 1] = ["ip"];
const MEMBER: [&str; 1] = ["etcd_member_name"];

/// A variable; `None`: its value is no single one.
pub(super) type Variables = BTreeMap<String, (Place, Option<Typed>)>;

/// A group of hosts.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Hosts that are listed in it itself.
    pub(super) hosts: BTreeSet<String>,
    /// Groups in it.
    pub(super) children: Vec<Typed>,
    /// Its variables.
    pub(super) vars: Variables,
    /// It has a section of hosts or variables, not only a mention among children.
    pub(super) declared: bool,
}

/// An inventory of Ansible's.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// By name; `all` is there for its variables.
    pub(super) groups: BTreeMap<String, Group>,
    /// Every host, in the order of the file, and where it stands first.
    pub(super) hosts: Vec<Typed>,
    /// What is said of each host alone.
    pub(super) host_vars: BTreeMap<String, Variables>,
    /// Ansible itself has put together what holds for each host, from all of its files.
    pub(super) complete: bool,
}

impl Inventory {
    /// The group, made when it is new.
    pub(super) fn group(&mut self, name: &str) -> &mut Group {
        self.groups.entry(name.to_owned()).or_default()
    }

    /// Lists a host in a group, with its variables.
    pub(super) fn host(&mut self, group: &str, host: Typed, vars: Variables) {
        self.group(group).hosts.insert(host.text.clone());
        self.host_vars.entry(host.text.clone()).or_default().extend(vars);
        if !self.hosts.iter().any(|known| known.text == host.text) {
            self.hosts.push(host);
        }
    }

    /// The hosts of `group` as candidates.
    pub(super) fn gather(&self, group: Option<&str>, gathered: &mut Gathered) {
        let Some(depths) = self.depths(gathered) else { return };
        let members: BTreeMap<&str, BTreeSet<&str>> =
            self.groups.keys().map(|g| (g.as_str(), self.within(g))).collect();
        let Some(chosen) = self.chosen(group, &members, gathered) else {
            return;
        };
        let mut unused = BTreeSet::new();
        for host in self.hosts.iter().filter(|host| chosen.contains(host.text.as_str())) {
            let vars = self.variables(&host.text, &depths, &members);
            candidate(host, &vars, gathered);
            let used = |name: &str| {
                [&HOST[..], &USER, &PORT, &KEY, &ARGS, &BECOME, &CONNECTION, &IP, &MEMBER]
                    .iter()
                    .any(|names| names.contains(&name))
            };
            unused.extend(vars.keys().copied().filter(|name| !used(name)));
        }
        if !unused.is_empty() {
            let names: Vec<String> = unused.iter().map(|name| name.escape_debug().to_string()).collect();
            let shown: Vec<&str> = names.iter().take(8).map(String::as_str).collect();
            let more = match names.len() - shown.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            gathered.note(format!("variables that were not taken over: {}{more}", all_of(&shown)));
        }
        if !self.complete {
            gathered.note("files in group_vars/ and host_vars/ were not read");
        }
    }

    /// The hosts in a group and in those below it.
    fn within(&self, group: &str) -> BTreeSet<&str> {
        if group == "all" {
            return self.hosts.iter().map(|host| host.text.as_str()).collect();
        }
        let mut seen = BTreeSet::from([group]);
        let mut next = vec![group];
        let mut hosts = BTreeSet::new();
        while let Some(name) = next.pop() {
            let Some(group) = self.groups.get(name) else { continue };
            hosts.extend(group.hosts.iter().map(String::as_str));
            next.extend(
                group
                    .children
                    .iter()
                    .map(|child| child.text.as_str())
                    .filter(|child| seen.insert(child)),
            );
        }
        hosts
    }

    /// Which hosts are meant. Without a group that is clear only where there is nothing to choose.
    fn chosen<'a>(
        &self,
        group: Option<&str>,
        members: &BTreeMap<&str, BTreeSet<&'a str>>,
        gathered: &mut Gathered,
    ) -> Option<BTreeSet<&'a str>> {
        let all = members.get("all").cloned().unwrap_or_default();
        let named: Vec<&str> = members
            .keys()
            .copied()
            .filter(|name| !matches!(*name, "all" | "ungrouped"))
            .collect();
        let listed: Vec<String> = named
            .iter()
            .map(|name| format!("{} ({})", name.escape_debug(), members[name].len()))
            .collect();
        match group {
            Some(group) if members.contains_key(group) => members.get(group).cloned(),
            Some(group) => {
                gathered.problem(
                    Place::START,
                    format!("there is no group `{}`", group.escape_debug()),
                    match listed.as_slice() {
                        [] => "it has none: omit `--group`".to_owned(),
                        listed => format!("these are there, with their hosts: {}", listed.join(", ")),
                    },
                );
                None
            }
            None if named
                .iter()
                .all(|name| members[name].is_empty() || members[name] == all) =>
            {
                Some(all)
            }
            None => {
                gathered.problem(
                    Place::START,
                    "it has several groups: which hosts are for etcd?",
                    format!("pass `--group NAME`: {}, or `all` ({})", listed.join(", "), all.len()),
                );
                None
            }
        }
    }

    /// How far below `all` each group is; `None` when one is within itself.
    fn depths(&self, gathered: &mut Gathered) -> Option<BTreeMap<&str, usize>> {
        let mut depths: BTreeMap<&str, usize> = self
            .groups
            .keys()
            .map(|g| (g.as_str(), usize::from(g != "all")))
            .collect();
        for _ in 0..=self.groups.len() {
            let mut deeper = false;
            for (name, group) in &self.groups {
                let depth = depths[name.as_str()] + 1;
                for child in &group.children {
                    if let Some(known) = depths.get_mut(child.text.as_str()).filter(|known| **known < depth) {
                        (*known, deeper) = (depth, true);
                    }
                }
            }
            if !deeper {
                return Some(depths);
            }
        }
        let at = self.groups.iter().find_map(|(name, group)| {
            let back = |child: &&Typed| self.reaches(&child.text, name);
            group.children.iter().find(back)
        });
        if let Some(child) = at {
            gathered.problem(
                child.at,
                format!("the group `{}` is within itself", child.text.escape_debug()),
                "remove it from the children of one of the groups",
            );
        }
        None
    }

    /// Whether one group is `to`, or has it somewhere below.
    fn reaches(&self, from: &str, to: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut next = vec![from];
        while let Some(name) = next.pop() {
            if name == to {
                return true;
            }
            let children = self.groups.get(name).map(|group| &group.children);
            next.extend(
                children
                    .into_iter()
                    .flatten()
                    .map(|c| c.text.as_str())
                    .filter(|c| seen.insert(*c)),
            );
        }
        false
    }

    /// What holds for a host: `all`, then groups from outer to inner, and by name among equals, then its own.
    fn variables<'a>(
        &'a self,
        host: &str,
        depths: &BTreeMap<&str, usize>,
        members: &BTreeMap<&str, BTreeSet<&str>>,
    ) -> BTreeMap<&'a str, &'a (Place, Option<Typed>)> {
        let mut groups: Vec<(usize, &str, &Group)> = self
            .groups
            .iter()
            .filter(|(name, _)| members[name.as_str()].contains(host))
            .map(|(name, group)| (depths[name.as_str()], name.as_str(), group))
            .collect();
        groups.sort_by_key(|(depth, name, _)| (*depth, *name));
        let own = self.host_vars.get(host);
        let all = groups.iter().map(|(_, _, group)| &group.vars).chain(own);
        all.flatten().map(|(name, value)| (name.as_str(), value)).collect()
    }
}

/// The variables of one host, read for a purpose.
struct Told<'a> {
    host: &'a Typed,
    vars: &'a BTreeMap<&'a str, &'a (Place, Option<Typed>)>,
}

impl Told<'_> {
    /// The first of these that is set to a single value without a template.
    fn value(&self, names: &[&str], gathered: &mut Gathered) -> Option<Typed> {
        let (name, (at, value)) = names.iter().find_map(|name| Some((name, self.vars.get(name)?)))?;
        let host = self.host.text.escape_debug();
        let Some(value) = value else {
            gathered.problem(
                *at,
                format!("`{name}` of `{host}` is not a single value"),
                "write one value, or remove it",
            );
            return None;
        };
        if value.text.contains("{{") || value.text.contains("{%") {
            gathered.problem(
                value.at,
                format!("`{name}` of `{host}` is a template, which only Ansible can fill in"),
                "write the value itself, in a copy of the file if need be",
            );
            return None;
        }
        (!value.text.is_empty()).then(|| value.clone())
    }
}

fn candidate(host: &Typed, vars: &BTreeMap<&str, &(Place, Option<Typed>)>, gathered: &mut Gathered) {
    let told = Told { host, vars };
    let shown = host.text.escape_debug().to_string();
    if let Some(how) = told.value(&CONNECTION, gathered) {
        let ssh = [
            "ssh",
            "smart",
            "paramiko",
            "paramiko_ssh",
            "ansible.builtin.ssh",
            "ansible.builtin.paramiko_ssh",
        ];
        match how.text.as_str() {
            "local" | "ansible.builtin.local" => gathered.note(format!(
                "`{shown}` is this machine for Ansible: set `connection: local` for it, or check its address"
            )),
            how_text if ssh.contains(&how_text) => {}
            _ => gathered.problem(
                how.at,
                format!("`{shown}` is not reached over SSH (`ansible_connection`)"),
                "quorate needs SSH: leave the host out, with a group of its own and `--group`",
            ),
        }
    }
    let (bare, port_of_name) = without_port(host);
    let mut reached = told.value(&HOST, gathered).unwrap_or_else(|| bare.clone());
    reached.text = without_brackets(&reached.text).to_owned();
    let ip = told.value(&IP, gathered);
    if ip.as_ref().is_some_and(|ip| ip.text != reached.text) {
        gathered.note("`ip` became the address that members and clients dial, `ansible_host` is for SSH");
    }
    let user = told.value(&USER, gathered);
    let mut login = Login {
        host: Some(reached.clone()),
        port: told.value(&PORT, gathered).or(port_of_name),
        identity: told.value(&KEY, gathered),
        sudo: told
            .value(&BECOME, gathered)
            .is_some_and(|told| becomes(&told, &shown, gathered))
            && user.as_ref().is_none_or(|user| user.text != "root"),
        user,
        ..Login::default()
    };
    for name in ARGS {
        let Some(args) = told.value(&[name], gathered) else {
            continue;
        };
        let SshArgs {
            jump,
            user,
            port,
            left_out,
        } = read(&args);
        login.jump.extend(jump);
        login.user = login.user.or(user);
        login.port = login.port.or(port);
        if !left_out.is_empty() {
            let names: Vec<&str> = left_out.iter().map(String::as_str).collect();
            gathered.note(format!("options of ssh that were not taken over: {}", all_of(&names)));
        }
    }
    let name = told.value(&MEMBER, gathered).unwrap_or(bare);
    gathered.candidates.push(Candidate {
        name: Some(name),
        address: ip.unwrap_or(reached),
        login,
    });
}

/// Whether `ansible_become` says yes.
fn becomes(told: &Typed, host: &str, gathered: &mut Gathered) -> bool {
    match told.text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" | "y" | "t" => true,
        "false" | "no" | "off" | "0" | "n" | "f" => {
            gathered
                .note("`ansible_become: false` was not taken over: quorate needs root, and uses sudo for other logins");
            false
        }
        _ => {
            gathered.problem(
                told.at,
                format!("`ansible_become` of `{host}` is neither yes nor no"),
                "write `true` or `false`",
            );
            false
        }
    }
}

/// A host may be listed with its port: `db1:2222`, `[2001:db8::1]:2222`.
fn without_port(host: &Typed) -> (Typed, Option<Typed>) {
    let text = host.text.as_str();
    let alone = |text: &str| Typed {
        text: without_brackets(text).to_owned(),
        at: host.at,
    };
    match text.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            let port = Typed {
                text: port.to_owned(),
                at: host.at,
            };
            (alone(name), Some(port))
        }
        _ => (alone(text), None),
    }
}

fn without_brackets(text: &str) -> &str {
    text.strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text)
}
