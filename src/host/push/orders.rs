//! What `push.sh` is told: lines of words, `-` for nothing, each `file` line followed by its bytes.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{Content, Directory, Generation, Push, PushFile};
use crate::host::Unpacker;
use crate::inventory::{HostPath, ServiceManager, UserName};

/// How many generations before the current one stay on the host.
const OLD_GENERATIONS: u32 = 2;

/// One order: its line, and the bytes that follow it.
pub(super) struct Order {
    pub(super) line: String,
    pub(super) payload: Option<Content>,
}

impl Order {
    fn line(line: String) -> Self {
        Order { line, payload: None }
    }
}

/// The orders for `push`, in order.
pub(super) fn of(push: &Push, unit: &str, manager: ServiceManager) -> Vec<Order> {
    let mut orders = Vec::new();
    if let Some(account) = &push.account {
        orders.push(Order::line(format!("account {} {}", account.name, account.home)));
    }
    orders.extend(push.directories.iter().map(directory));
    orders.extend(push.gauge.iter().map(|dir| Order::line(format!("gauge {dir}"))));
    // The last one has no next file to be unpacked beside.
    let last = push
        .files
        .iter()
        .rposition(|wanted| encoding(&wanted.content) == "gzip");
    for (place, wanted) in push.files.iter().enumerate() {
        let encoding = match encoding(&wanted.content) {
            "gzip" if Some(place) != last => "aside",
            encoding => encoding,
        };
        orders.push(file(wanted, encoding));
    }
    for set in &push.generations {
        generation(set, &mut orders);
    }
    if let Some(binary) = &push.prove {
        orders.push(Order::line(format!("prove {binary}")));
    }
    orders.extend(push.remember.iter().map(|dir| Order::line(format!("remember {dir}"))));
    if manager == ServiceManager::Systemd {
        match push.enable {
            // Both make systemd read its files again.
            Some(true) => orders.push(Order::line(format!("systemctl enable {unit}"))),
            Some(false) => orders.push(Order::line(format!("systemctl disable {unit}"))),
            None if push.daemon_reload => orders.push(Order::line("systemctl daemon-reload".to_owned())),
            None => {}
        }
    }
    orders.push(Order::line("end".to_owned()));
    orders
}

fn word(owner: Option<&UserName>) -> &str {
    owner.map_or("-", UserName::as_str)
}

fn directory(wanted: &Directory) -> Order {
    let Directory { path, mode, owner } = wanted;
    Order::line(format!("directory {path} {mode:04o} {}", word(owner.as_ref())))
}

/// How the host makes the file of its bytes.
fn encoding(content: &Content) -> &'static str {
    match content {
        Content::Stream { unpacker, .. } => unpacker.map_or("plain", Unpacker::tool),
        Content::Plain(_) | Content::Secret(_) | Content::Existing(_) => "plain",
    }
}

fn file(wanted: &PushFile, encoding: &str) -> Order {
    let PushFile {
        path,
        mode,
        owner,
        sha256,
        content,
        keep_previous,
    } = wanted;
    let owner = word(owner.as_ref());
    let bytes = match content {
        Content::Plain(bytes) => bytes.len() as u64,
        Content::Secret(bytes) => bytes.len() as u64,
        Content::Stream { len, .. } => *len,
        Content::Existing(from) => return Order::line(format!("copy {path} {mode:04o} {owner} {sha256} {from}")),
    };
    let keep = u8::from(*keep_previous);
    Order {
        line: format!("file {path} {mode:04o} {owner} {sha256} {keep} {bytes} {encoding}"),
        payload: Some(content.clone()),
    }
}

/// Files into a directory of their own first; the links that make it current come after everything is in place.
fn generation(set: &Generation, orders: &mut Vec<Order>) {
    let name = set.name();
    let dir = set.dir.join(&name);
    orders.push(directory(&Directory {
        path: dir.clone(),
        mode: 0o755,
        owner: set.owner.clone(),
    }));
    let put = |name: &str, mode, sha256: &str, content| PushFile {
        path: dir.join(name),
        mode,
        owner: set.owner.clone(),
        sha256: sha256.to_owned(),
        content,
        keep_previous: false,
    };
    for wanted in &set.files {
        let wanted = put(&wanted.name, wanted.mode, &wanted.sha256, wanted.content.clone());
        orders.push(file(&wanted, encoding(&wanted.content)));
    }
    let manifest: String = set
        .files
        .iter()
        .map(|file| format!("{}  {}\n", file.sha256, file.name))
        .collect();
    let hash = hex::encode(Sha256::digest(&manifest));
    let content = Content::Plain(Bytes::from(manifest));
    orders.push(file(&put("MANIFEST", 0o644, &hash, content), "plain"));
    let link = |path: HostPath, target: &str| Order::line(format!("link {path} {target}"));
    orders.push(link(set.dir.join("current"), &name));
    for wanted in &set.files {
        orders.push(link(set.dir.join(&wanted.name), &format!("current/{}", wanted.name)));
    }
    orders.push(Order::line(format!("prune {} {OLD_GENERATIONS}", set.dir)));
}
