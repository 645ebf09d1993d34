//! `kubectl get nodes -o json` (or `-o yaml`): names and internal addresses; and a kubeconfig, which has one address.

use super::super::tree::{Kind, Node};
use super::{Candidate, Gathered, Login, Typed};

/// What kubeadm and others put on a node that runs the control plane; the second until Kubernetes 1.24.
const CONTROL_PLANE: [&str; 2] = ["control-plane", "master"];

/// Takes the control plane's nodes, or those of the role `group`; of a kubeconfig the cluster `group`, or the current one.
pub(super) fn gather(tree: &Node, group: Option<&str>, gathered: &mut Gathered) {
    match tree.get("kind").and_then(|kind| kind.value.text()) {
        Some("Config") => kubeconfig(tree, group, gathered),
        Some("Node") => nodes(std::slice::from_ref(tree), group, gathered),
        Some("List" | "NodeList") => match at(tree, &["items"]).map(|items| &items.kind) {
            Some(Kind::List(items)) => nodes(items, group, gathered),
            _ => gathered.problem(
                tree.at,
                "the list has no `items`",
                "pass what `kubectl get nodes -o json` prints",
            ),
        },
        _ => gathered.problem(
            tree.at,
            "this is neither a list of nodes nor a kubeconfig",
            "pass what `kubectl get nodes -o json` prints",
        ),
    }
}

fn nodes(items: &[Node], group: Option<&str>, gathered: &mut Gathered) {
    let mut others = 0;
    for node in items {
        if let Some(kind) = at(node, &["kind"]).and_then(Node::text).filter(|kind| *kind != "Node") {
            gathered.problem(
                node.at,
                format!("a `{}` is not a node", kind.escape_debug()),
                "pass what `kubectl get nodes -o json` prints",
            );
            continue;
        }
        let has = |role: &str| {
            at(
                node,
                &["metadata", "labels", &format!("node-role.kubernetes.io/{role}")],
            )
            .is_some()
        };
        let wanted = match group {
            Some("all") => true,
            Some(role) => has(role),
            None => CONTROL_PLANE.iter().any(|role| has(role)),
        };
        match wanted {
            true => self::node(node, gathered),
            false => others += 1,
        }
    }
    if gathered.candidates.is_empty() && gathered.problems.is_empty() {
        let role = group.unwrap_or(CONTROL_PLANE[0]);
        return gathered.problem(
            super::super::problem::Place::START,
            format!("no node has the role `{}`", role.escape_debug()),
            "choose another role with `--group ROLE`, or every node with `--group all`",
        );
    }
    match others {
        0 => {}
        1 => gathered.note("1 node of another role was left out"),
        others => gathered.note(format!("{others} nodes of other roles were left out")),
    }
}

fn node(node: &Node, gathered: &mut Gathered) {
    let name = at(node, &["metadata", "name"]).and_then(Typed::of);
    let shown = name.as_ref().map_or("without a name".to_owned(), |name| {
        format!("`{}`", name.text.escape_debug())
    });
    let addresses = match at(node, &["status", "addresses"]).map(|list| &list.kind) {
        Some(Kind::List(items)) => items.as_slice(),
        _ => &[],
    };
    let is_internal = |item: &&Node| at(item, &["type"]).and_then(Node::text) == Some("InternalIP");
    let internal: Vec<Typed> = addresses
        .iter()
        .filter(is_internal)
        .filter_map(|item| at(item, &["address"]).and_then(Typed::of))
        .collect();
    match internal.split_first() {
        Some((address, more)) => {
            if !more.is_empty() {
                gathered.note(format!(
                    "the node {shown} has several internal addresses: the first was taken"
                ));
            }
            gathered.candidates.push(Candidate {
                name,
                address: address.clone(),
                login: Login::default(),
            });
        }
        None => gathered.problem(
            node.at,
            format!("the node {shown} has no address of type `InternalIP`"),
            "pass the whole object (`kubectl get nodes -o json`), or list this host with `--host NAME=ADDRESS`",
        ),
    }
}

/// A kubeconfig knows no hosts, only where the API server is.
fn kubeconfig(tree: &Node, group: Option<&str>, gathered: &mut Gathered) {
    let current = at(tree, &["current-context"]).and_then(Node::text);
    let context = current.and_then(|current| named(tree, "contexts", current));
    let wanted = group.or_else(|| at(context?, &["context", "cluster"])?.text());
    let cluster = match wanted {
        Some(wanted) => named(tree, "clusters", wanted),
        None => items(tree, "clusters").first(),
    };
    let server = cluster
        .and_then(|cluster| at(cluster, &["cluster", "server"]))
        .and_then(Typed::of);
    let Some(server) = server else {
        return gathered.problem(
            tree.at,
            match group {
                Some(group) => format!("the kubeconfig has no server of a cluster `{}`", group.escape_debug()),
                None => "the kubeconfig has no server of its current cluster".to_owned(),
            },
            "pass what `kubectl get nodes -o json` prints: it has the hosts themselves",
        );
    };
    // Never the whole URL: it may have a password in it.
    let rest = server
        .text
        .split_once("://")
        .map_or(server.text.as_str(), |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => authority.split(':').next().unwrap_or_default(),
    };
    let address = Typed {
        text: host.to_owned(),
        at: server.at,
    };
    gathered.note(
        "a kubeconfig has one address, which may be a load balancer's: `kubectl get nodes -o json` has the hosts themselves",
    );
    gathered.candidates.push(Candidate {
        name: Some(address.clone()),
        address,
        login: Login::default(),
    });
}

fn items<'a>(tree: &'a Node, list: &str) -> &'a [Node] {
    match at(tree, &[list]).map(|list| &list.kind) {
        Some(Kind::List(items)) => items,
        _ => &[],
    }
}

fn named<'a>(tree: &'a Node, list: &str, name: &str) -> Option<&'a Node> {
    items(tree, list)
        .iter()
        .find(|item| at(item, &["name"]).and_then(Node::text) == Some(name))
}

fn at<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter().try_fold(node, |node, key| Some(&node.get(key)?.value))
}
