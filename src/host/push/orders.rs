//! What `push.sh` is told: lines of words, `-` for nothing, each `file` line followed by its bytes.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{Content, Directory, Generation, Note, Owner, Push, PushFile};
use crate::host::Unpacker;
use crate::inventory::{HostPath, ServiceManager};

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
    orders.extend(
        push.adopt
            .iter()
            .map(|(dir, of)| Order::line(format!("adopt {dir} :{of}"))),
    );
    orders.extend(push.note.iter().map(note));
    orders.extend(push.gauge.iter().map(|dir| Order::line(format!("gauge {dir}"))));
    // The last one has no next file to be unpacked beside.
    let last = push.files.iter().rposition(unpacks_slowly);
    for (place, wanted) in push.files.iter().enumerate() {
        orders.push(file(wanted, Some(place) != last && unpacks_slowly(wanted)));
    }
    for set in &push.generations {
        generation(set, &mut orders);
    }
    if let Some(binary) = &push.prove {
        orders.push(Order::line(format!("prove {binary}")));
    }
    orders.extend(push.remember.iter().map(|dir| Order::line(format!("remember {dir}"))));
    orders.extend(push.absent.iter().map(|path| Order::line(format!("absent {path}"))));
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

/// `:NAME`: root, with the group of NAME.
fn word(owner: Option<&Owner>) -> String {
    match owner {
        None => "-".to_owned(),
        Some(Owner::Account(name)) => name.to_string(),
        Some(Owner::Root) => ":root".to_owned(),
        Some(Owner::Readers(name)) => format!(":{name}"),
    }
}

fn directory(wanted: &Directory) -> Order {
    let Directory { path, mode, owner } = wanted;
    Order::line(format!("directory {path} {mode:04o} {}", word(owner.as_ref())))
}

fn note(wanted: &Note) -> Order {
    let Note { dir, name, text } = wanted;
    Order {
        line: format!("note {dir} {name} {}", text.len()),
        payload: Some(Content::Plain(Bytes::from(text.clone()))),
    }
}

/// zstd keeps up with what arrives.
fn unpacks_slowly(wanted: &PushFile) -> bool {
    wanted.content.unpacker() == Some(Unpacker::Gzip)
}

/// `aside`: it is unpacked while the next file arrives.
fn file(wanted: &PushFile, aside: bool) -> Order {
    let PushFile {
        path,
        mode,
        owner,
        sha256,
        content,
        keep_previous,
    } = wanted;
    let owner = word(owner.as_ref());
    if let Content::Existing(from) = content {
        return Order::line(format!("copy {path} {mode:04o} {owner} {sha256} {from}"));
    }
    let (keep, bytes) = (u8::from(*keep_previous), content.sent());
    let encoding = match content.unpacker() {
        Some(_) if aside => "aside",
        Some(unpacker) => unpacker.tool(),
        None => "plain",
    };
    Order {
        line: format!("file {path} {mode:04o} {owner} {sha256} {keep} {bytes} {encoding}"),
        payload: Some(content.clone()),
    }
}

/// Files into a directory of their own first; the links that make it current come after everything is in place.
fn generation(set: &Generation, orders: &mut Vec<Order>) {
    let name = set.name();
    let dir = set.dir.join(&name);
    let owner = set.readers.clone().map(Owner::Readers);
    let mode = if owner.is_some() { 0o750 } else { 0o755 };
    orders.push(Order::line(format!("fresh {dir} {mode:04o} {}", word(owner.as_ref()))));
    let put = |name: &str, mode, sha256: &str, content| PushFile {
        path: dir.join(name),
        mode,
        owner: owner.clone(),
        sha256: sha256.to_owned(),
        content,
        keep_previous: false,
    };
    for wanted in &set.files {
        let wanted = put(&wanted.name, wanted.mode, &wanted.sha256, wanted.content.clone());
        orders.push(file(&wanted, false));
    }
    let manifest: String = set
        .files
        .iter()
        .map(|file| format!("{}  {}\n", file.sha256, file.name))
        .collect();
    let hash = hex::encode(Sha256::digest(&manifest));
    let content = Content::Plain(Bytes::from(manifest));
    let mode = if owner.is_some() { 0o640 } else { 0o644 };
    orders.push(file(&put("MANIFEST", mode, &hash, content), false));
    let link = |path: HostPath, target: &str| Order::line(format!("link {path} {target}"));
    orders.push(link(set.dir.join("current"), &name));
    for wanted in &set.files {
        orders.push(link(set.dir.join(&wanted.name), &format!("current/{}", wanted.name)));
    }
    orders.push(Order::line(format!("prune {} {OLD_GENERATIONS}", set.dir)));
}
