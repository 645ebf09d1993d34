//! What a file is, told by what stands in it.

use super::super::problem::{Place, Problem};
use super::super::tree::{Kind, Node};
use super::{Format, ansible_ini, is_ini, tree};

const HELP: &str = "name it with `--format`: ansible, terraform, kubernetes or ssh-config";

/// The format of a text.
///
/// # Errors
/// When it is none of them, or could be several.
pub fn recognise(text: &str) -> Result<Format, Problem> {
    if significant(text).next().is_none() {
        return Err(Problem::error(Place::START, "the file is empty", "check what wrote it"));
    }
    if significant(text).any(is_ssh_keyword) && !significant(text).any(ansible_ini::is_section) {
        return Ok(Format::SshConfig);
    }
    if is_ini(text) && !is_json_list(text) {
        let is_ansible = significant(text).any(|line| ansible_ini::is_section(line) || line.contains("ansible_"));
        return match is_ansible {
            true => Ok(Format::Ansible),
            false => Err(Problem::error(
                Place::START,
                "it is not clear what kind of file this is",
                HELP,
            )),
        };
    }
    of_tree(&tree(text)?)
}

fn of_tree(tree: &Node) -> Result<Format, Problem> {
    if let Some(kind) = tree.get("kind").and_then(|kind| kind.value.text()) {
        return match kind {
            "Config" | "List" | "NodeList" | "Node" => Ok(Format::Kubernetes),
            _ => Err(Problem::error(
                tree.at,
                format!("a `{}` of Kubernetes has no hosts", kind.escape_debug()),
                "pass what `kubectl get nodes -o json` prints",
            )),
        };
    }
    if tree.get("terraform_version").is_some() {
        return Err(Problem::error(
            tree.at,
            "this is Terraform's state or plan",
            "pass what `terraform output -json` prints",
        ));
    }
    let Kind::Map(entries) = &tree.kind else {
        return match &tree.kind {
            Kind::List(_) => Ok(Format::Terraform),
            _ => Err(Problem::error(
                tree.at,
                "it is not clear what kind of file this is",
                HELP,
            )),
        };
    };
    let has = |keys: &[&str]| {
        entries
            .iter()
            .any(|entry| keys.iter().any(|key| entry.value.get(key).is_some()))
    };
    if tree.get("_meta").is_some() || tree.get("all").is_some() || has(&["hosts", "children"]) {
        return Ok(Format::Ansible);
    }
    if tree.get("plugin").is_some() {
        return Ok(Format::Ansible);
    }
    match has(&["value", "address", "private_ip", "ip"]) || entries.iter().all(|entry| is_ip(&entry.value)) {
        true => Ok(Format::Terraform),
        false => Err(Problem::error(
            tree.at,
            "it is not clear what kind of file this is",
            HELP,
        )),
    }
}

fn is_ip(node: &Node) -> bool {
    node.text().is_some_and(|text| text.parse::<std::net::IpAddr>().is_ok())
}

/// The lines that say something.
pub(super) fn significant(text: &str) -> impl Iterator<Item = &str> {
    let lines = super::super::parse::without_bom(text).lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with(['#', ';']) && *line != "---")
}

fn is_json_list(text: &str) -> bool {
    let mut chars = super::super::parse::without_bom(text).trim_start().chars();
    chars.next() == Some('[') && chars.find(|c| !c.is_whitespace()).is_some_and(|c| "{\"]".contains(c))
}

/// `Host NAME` and `Match ...` open a block of `~/.ssh/config`.
fn is_ssh_keyword(line: &str) -> bool {
    let mut words = line.split([' ', '\t', '=']).filter(|word| !word.is_empty());
    let keyword = words.next().unwrap_or_default().to_ascii_lowercase();
    let value = words.next().unwrap_or_default();
    matches!(keyword.as_str(), "host" | "match") && !value.is_empty() && !line.contains("ansible_")
}
