//! What `push.sh` is told: lines of words, `-` for nothing, each `file` line followed by its bytes.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{Content, Directory, Generation, Push, PushFile};
use crate::inventory::{HostPath, ServiceManager, UserName};

/// How many generations before the current one stay on the host.
const OLD_GENERATIONS: u32 = 2;

/// One order: its line, and the bytes that follow it.
pub(super) struct Order {
    pub(super) line: String,
    pub(super) payload: Option<Content>,
    /// Unpack the payload before it is sent.
    pub(super) unpack: bool,
}

impl Order {
    fn line(line: String) -> Self {
        Order {
            line,
            payload: None,
            unpack: false,
        }
    }
}

/// How a host takes what is compressed.
#[derive(Clone, Copy)]
enum Unpacking {
    /// It cannot: unpack it here.
    Here,
    /// As it arrives.
    Arriving,
    /// While the next file arrives.
    Aside,
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
        .rposition(|file| matches!(file.content, Content::Gzip { .. }));
    for (place, wanted) in push.files.iter().enumerate() {
        orders.push(match push.gzip {
            false => file(wanted, Unpacking::Here),
            true if Some(place) == last => file(wanted, Unpacking::Arriving),
            true => file(wanted, Unpacking::Aside),
        });
    }
    for set in &push.generations {
        let unpacking = if push.gzip {
            Unpacking::Arriving
        } else {
            Unpacking::Here
        };
        generation(set, unpacking, &mut orders);
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

fn file(wanted: &PushFile, unpacking: Unpacking) -> Order {
    let PushFile {
        path,
        mode,
        owner,
        sha256,
        content,
        keep_previous,
    } = wanted;
    let owner = word(owner.as_ref());
    let (bytes, encoding, unpack) = match content {
        Content::Plain(bytes) => (bytes.len() as u64, "plain", false),
        Content::Secret(bytes) => (bytes.len() as u64, "plain", false),
        Content::Gzip { gz_len, len, .. } => match unpacking {
            Unpacking::Here => (*len, "plain", true),
            Unpacking::Arriving => (*gz_len, "gzip", false),
            Unpacking::Aside => (*gz_len, "aside", false),
        },
        Content::Stream { len, .. } => (*len, "plain", false),
        Content::Existing(from) => return Order::line(format!("copy {path} {mode:04o} {owner} {sha256} {from}")),
    };
    let keep = u8::from(*keep_previous);
    Order {
        line: format!("file {path} {mode:04o} {owner} {sha256} {keep} {bytes} {encoding}"),
        payload: Some(content.clone()),
        unpack,
    }
}

/// Files into a directory of their own first; the links that make it current come after everything is in place.
fn generation(set: &Generation, unpacking: Unpacking, orders: &mut Vec<Order>) {
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
        orders.push(file(&wanted, unpacking));
    }
    let manifest: String = set
        .files
        .iter()
        .map(|file| format!("{}  {}\n", file.sha256, file.name))
        .collect();
    let hash = hex::encode(Sha256::digest(&manifest));
    let content = Content::Plain(Bytes::from(manifest));
    orders.push(file(&put("MANIFEST", 0o644, &hash, content), unpacking));
    let link = |path: HostPath, target: &str| Order::line(format!("link {path} {target}"));
    orders.push(link(set.dir.join("current"), &name));
    for wanted in &set.files {
        orders.push(link(set.dir.join(&wanted.name), &format!("current/{}", wanted.name)));
    }
    orders.push(Order::line(format!("prune {} {OLD_GENERATIONS}", set.dir)));
}
