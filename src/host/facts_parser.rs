//! Turns what `observe.sh` prints into facts. Pure; survives any input.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::observe::{FactsQuery, Sent};
use super::service_parser::service;
use super::{
    DataFacts, DataState, DiskFacts, Elsewhere, Exposed, FileFacts, HostFacts, Listener, LockHolder, MemberUnit,
    Obstacle, ServiceFacts, SystemFacts,
};
use crate::inventory::{Arch, HostPath, Version};

/// What the script printed, sorted by key: values in order, blocks with their lines.
#[derive(Default)]
pub(super) struct Answer<'a> {
    lines: Vec<(&'a str, &'a str)>,
    blocks: Vec<(&'a str, Vec<&'a str>)>,
}

impl<'a> Answer<'a> {
    /// # Errors
    /// When the answer was cut off.
    pub(super) fn read(text: &'a str) -> Result<Self, String> {
        let mut answer = Answer::default();
        let mut lines = text.lines();
        let mut complete = false;
        while let Some(line) = lines.next() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            match key {
                "content" | "df" | "inodes" | "inside" | "marker" | "show" => {
                    let block = lines.by_ref().take_while(|line| *line != ".").collect();
                    answer.blocks.push((line, block));
                }
                _ => answer.lines.push((key, value)),
            }
            complete = line == "done";
        }
        if complete {
            Ok(answer)
        } else {
            Err("the host's answer was truncated".to_owned())
        }
    }

    pub(super) fn all<'s>(&'s self, key: &'s str) -> impl Iterator<Item = &'a str> + 's {
        self.lines
            .iter()
            .filter(move |(k, _)| *k == key)
            .map(|(_, value)| *value)
    }

    pub(super) fn text(&self, key: &str) -> String {
        self.all(key).next().unwrap_or("").trim().to_owned()
    }

    pub(super) fn number<T: std::str::FromStr + Default>(&self, key: &str) -> T {
        self.all(key)
            .next()
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or_default()
    }

    fn block(&self, heading: &str) -> Option<&[&'a str]> {
        let found = self.blocks.iter().find(|(h, _)| *h == heading);
        found.map(|(_, lines)| lines.as_slice())
    }

    /// The properties that systemd showed of each unit, in the order asked.
    pub(super) fn units(&self) -> Vec<BTreeMap<&'a str, &'a str>> {
        let lines = self.block("show").unwrap_or_default();
        let unit = |lines: &[&'a str]| lines.iter().filter_map(|line| line.split_once('=')).collect();
        lines.split(|line| line.is_empty()).map(unit).collect()
    }

    /// Hashes in `sha256sum`'s format, by path.
    fn hashes(&self) -> BTreeMap<&'a str, &'a str> {
        let hashes = self.lines.iter().filter(|(hash, _)| is_sha256(hash));
        hashes.map(|(hash, path)| (path.trim_start(), *hash)).collect()
    }
}

pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The facts in the answer to `query`.
///
/// # Errors
/// When the answer was cut off, or something that is there could not be read.
pub(super) fn host_facts(text: &str, bin: &HostPath, query: &FactsQuery, sent: Sent) -> Result<HostFacts, String> {
    let answer = Answer::read(text)?;
    let inside = inside(&answer)?;
    let told_inside = Answer::read(&inside)?;
    Ok(HostFacts {
        system: system(&answer, query, sent)?,
        files: all_files(&answer, &told_inside)?,
        service: service(&answer, bin),
        data: data(&told_inside),
        releases: releases(&answer, bin),
        lock: lock(&answer),
        loose: answer.all("loose").filter_map(|path| path.parse().ok()).collect(),
        exposed: answer.all("exposed").filter_map(exposed).collect(),
        obstacles: obstacles(&answer),
    })
}

/// The facts in the answer of `member_status.sh`.
///
/// # Errors
/// When the answer was cut off.
pub(super) fn member_facts(text: &str, bin: &HostPath) -> Result<(ServiceFacts, DataFacts), String> {
    let answer = Answer::read(text)?;
    let inside = inside(&answer)?;
    Ok((service(&answer, bin), data(&Answer::read(&inside)?)))
}

/// What was said as the account of the member's data: of what it is asked about, and of nothing else.
fn inside(answer: &Answer<'_>) -> Result<String, String> {
    let lines = answer
        .block("inside")
        .ok_or("the host did not say what is in the data directory")?;
    let bytes = STANDARD
        .decode(lines.concat())
        .map_err(|_| "what is in the data directory arrived damaged")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Those in root's directories by root's word; those that the member's account could exchange by its own.
fn all_files(answer: &Answer<'_>, inside: &Answer<'_>) -> Result<BTreeMap<HostPath, FileFacts>, String> {
    let apart: BTreeSet<&str> = answer.all("apart").collect();
    let mut files = files(inside)?;
    files.retain(|path, _| apart.contains(path.as_str()));
    files.extend(self::files(answer)?);
    Ok(files)
}

/// `closed ABOVE PATH`, `link PATH TARGET`, `noexec MOUNT`, and a unit that is masked: by a link to /dev/null in place of its file, or, until
/// the next boot, in /run.
fn obstacles(answer: &Answer<'_>) -> Vec<Obstacle> {
    let closed = answer.all("closed").filter_map(|line| {
        let (above, path) = line.split_once(' ')?;
        Some(Obstacle::Closed {
            above: above.to_owned(),
            path: path.parse().ok()?,
        })
    });
    let links = answer.all("link").filter_map(|line| {
        let (path, target) = line.split_once(' ')?;
        Some(Obstacle::Link {
            path: path.parse().ok()?,
            target: target.to_owned(),
        })
    });
    let units = answer.units();
    let masked = answer.all("masked").next().is_some()
        || units
            .first()
            .is_some_and(|unit| unit.get("LoadState") == Some(&"masked"));
    let noexec = answer.all("noexec").map(|at| Obstacle::NoExec { at: at.to_owned() });
    closed
        .chain(links)
        .chain(noexec)
        .chain(masked.then_some(Obstacle::Masked))
        .collect()
}

/// `ABOVE PATH`.
fn exposed(line: &str) -> Option<Exposed> {
    let (above, path) = line.split_once(' ')?;
    Some(Exposed {
        above: above.to_owned(),
        path: path.parse().ok()?,
    })
}

fn system(answer: &Answer<'_>, query: &FactsQuery, sent: Sent) -> Result<SystemFacts, String> {
    let (offset, uncertainty) = clock(answer, sent)?;
    let time_service = answer
        .units()
        .iter()
        .skip(1)
        .find(|unit| unit.get("ActiveState") == Some(&"active"))
        .and_then(|unit| unit.get("Id")?.strip_suffix(".service").map(str::to_owned));
    Ok(SystemFacts {
        hostname: answer.text("hostname"),
        machine_id: answer.text("machine_id"),
        arch: Arch::from_uname(&answer.text("machine")),
        os: answer.text("os").trim_matches(['"', '\'']).to_owned(),
        kernel: answer.text("kernel"),
        systemd: systemd_version(&answer.text("systemd")),
        root: answer.text("uid") == "0",
        clock_offset_seconds: offset,
        clock_uncertainty_seconds: uncertainty,
        boot_id: answer.text("boot_id"),
        disks: disks(answer, query)?,
        memory: answer.number::<u64>("memory_kb").saturating_mul(1024),
        swap: answer.number::<u64>("swap_kb").saturating_mul(1024),
        listeners: answer.all("listen").filter_map(listener).collect(),
        other_etcd: answer.all("etcd").map(|line| line.trim().to_owned()).collect(),
        member_units: answer.all("unit").filter_map(member_unit).collect(),
        unprivileged_port: answer
            .all("unprivileged_port")
            .next()
            .and_then(|port| port.parse().ok()),
        libc: answer.all("libc").next().and_then(|version| version.parse().ok()),
        missing_tools: answer.all("missing").map(str::to_owned).collect(),
        time_service,
    })
}

/// `etcd.service # Written by quorate for member NAME of cluster CLUSTER.`
fn member_unit(line: &str) -> Option<MemberUnit> {
    let (unit, comment) = line.split_once(' ')?;
    let (member, cluster) = comment.strip_prefix(UNIT_OF)?.split_once(" of cluster ")?;
    Some(MemberUnit {
        service: unit.strip_suffix(".service")?.to_owned(),
        member: member.to_owned(),
        // (That of a timer's service goes on, and is none of a member.)
        cluster: cluster.strip_suffix('.').filter(|name| !name.contains(':'))?.to_owned(),
    })
}

/// How the units of members begin (templates/etcd.service.tera).
const UNIT_OF: &str = "# Written by quorate for member ";

/// `systemd 252 (252.39-1~deb12u2)`.
fn systemd_version(line: &str) -> Option<u32> {
    let number = line.strip_prefix("systemd ")?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The host's clock minus the operator's, and how wrong that may be, from four times as NTP does: question sent,
/// script began, script ended, answer received. The time the script itself took cancels out.
fn clock(answer: &Answer<'_>, sent: Sent) -> Result<(f64, f64), String> {
    let ((began, coarse), (ended, _)) = (time_of_day(answer, "clock")?, time_of_day(answer, "clock_end")?);
    let offset = ((began - sent.at) + (ended - sent.answered)) / 2.0;
    let uncertainty = ((sent.answered - sent.at) - (ended - began)) / 2.0;
    Ok((offset, uncertainty.max(0.0) + coarse))
}

/// Seconds since 1970, and how wrong they may be: a `date` without nanoseconds prints whole seconds and rubbish.
fn time_of_day(answer: &Answer<'_>, key: &str) -> Result<(f64, f64), String> {
    let text = answer.text(key);
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let whole: u32 = whole
        .parse()
        .map_err(|_| format!("`{}` is not a time of day", text.escape_debug()))?;
    let digits = fraction.len() == 9 && fraction.bytes().all(|b| b.is_ascii_digit());
    Ok(match fraction.parse::<f64>() {
        Ok(nanoseconds) if digits => (f64::from(whole) + nanoseconds / 1e9, 0.0),
        _ => (f64::from(whole) + 0.5, 0.5),
    })
}

fn disks(answer: &Answer<'_>, query: &FactsQuery) -> Result<BTreeMap<HostPath, DiskFacts>, String> {
    let rows: Vec<&&str> = answer.block("df").unwrap_or_default().iter().skip(1).collect();
    if rows.len() != query.disks.len() {
        return Err("`df` did not report the free space of every path".to_owned());
    }
    let writable: BTreeMap<&str, bool> = answer
        .all("disk")
        .filter_map(|line| line.split_once(' '))
        .map(|(writable, path)| (path, writable == "1"))
        .collect();
    let inodes: Vec<&&str> = answer.block("inodes").unwrap_or_default().iter().skip(1).collect();
    let disk = |(at, (path, row)): (usize, (&HostPath, &&&str))| {
        let columns: Vec<&str> = row.split_whitespace().collect();
        let kib = |at: usize| columns.get(at)?.parse::<u64>().ok()?.checked_mul(1024);
        let facts = DiskFacts {
            free_bytes: kib(4)?,
            total_bytes: kib(2)?,
            writable: writable.get(path.as_str()).copied().unwrap_or(false),
            filesystem: (*columns.get(1)?).to_owned(),
            free_inodes: inodes.get(at).and_then(|row| free_inodes(row)),
        };
        Some((path.clone(), facts))
    };
    let read: Option<BTreeMap<_, _>> = query.disks.iter().zip(&rows).enumerate().map(disk).collect();
    read.ok_or_else(|| "`df` printed something that is not a table of disks".to_owned())
}

/// A row of `df -P -i`; `None` where a file system makes inodes as it needs them, as btrfs does, and says 0 of 0.
fn free_inodes(row: &str) -> Option<u64> {
    let columns: Vec<&str> = row.split_whitespace().collect();
    let total: u64 = columns.get(1)?.parse().ok()?;
    let free = columns.get(3)?.parse().ok()?;
    (total > 0).then_some(free)
}

/// `PORT HEXADDRESS ours` or `PORT HEXADDRESS other NAME (pid N)`.
fn listener(line: &str) -> Option<Listener> {
    let mut words = line.splitn(4, ' ');
    let port = words.next()?.parse().ok()?;
    let address = words.next()?;
    let ours = words.next()? == "ours";
    let process = words.next().filter(|name| *name != "?").map(str::to_owned);
    Some(Listener {
        port,
        address: socket_address(address).unwrap_or_else(|| address.to_owned()),
        ours,
        process,
    })
}

/// An address of /proc/net/tcp: groups of four bytes, each in the machine's byte order (little-endian on all that etcd
/// is released for but s390x, where this shows the groups reversed).
pub(super) fn socket_address(hex_text: &str) -> Option<String> {
    let mut bytes = hex::decode(hex_text).ok()?;
    bytes.chunks_mut(4).for_each(<[u8]>::reverse);
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).to_string()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string()),
        _ => None,
    }
}

fn files(answer: &Answer<'_>) -> Result<BTreeMap<HostPath, FileFacts>, String> {
    let hashes = answer.hashes();
    let mut files = BTreeMap::new();
    for line in answer.all("file") {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let [mode, owner, number, path] = words[..] else {
            continue;
        };
        let (Ok(mode), Ok(path)) = (u32::from_str_radix(mode, 8), path.parse::<HostPath>()) else {
            continue;
        };
        let Some(sha256) = hashes.get(path.as_str()) else {
            return Err(format!("{path} is there but cannot be read"));
        };
        let content = answer
            .block(&format!("content {path}"))
            .map(|lines| {
                let bytes = STANDARD.decode(lines.concat());
                bytes.map_err(|_| format!("the content of {path} arrived damaged"))
            })
            .transpose()?;
        let facts = FileFacts {
            sha256: (*sha256).to_owned(),
            mode,
            owner: if owner == "UNKNOWN" { number } else { owner }.to_owned(),
            content: content.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        };
        files.insert(path, facts);
    }
    Ok(files)
}

fn releases(answer: &Answer<'_>, bin: &HostPath) -> BTreeMap<Version, BTreeMap<String, String>> {
    let mut releases: BTreeMap<Version, BTreeMap<String, String>> = answer
        .all("release")
        .filter_map(|name| Some((name.parse().ok()?, BTreeMap::new())))
        .collect();
    for (path, hash) in answer.hashes() {
        let below = path.strip_prefix(bin.as_str()).and_then(|rest| rest.strip_prefix('/'));
        let Some((version, name)) = below.and_then(|rest| rest.split_once('/')) else {
            continue;
        };
        if let Ok(version) = version.parse() {
            releases
                .entry(version)
                .or_default()
                .insert(name.to_owned(), hash.to_owned());
        }
    }
    releases
}

fn data(answer: &Answer<'_>) -> DataFacts {
    let seen = answer.text("data");
    let mut flags = seen.split(' ').map(|flag| flag == "1");
    let mut flag = || flags.next().unwrap_or(false);
    let (member, foreign, wal) = (flag(), flag(), flag());
    let state = match (wal, foreign, member) {
        // A stray file does not make a running member's data foreign.
        (true, _, _) => DataState::Bootstrapped,
        (_, true, _) => DataState::Foreign,
        (_, _, true) => DataState::Aborted,
        _ => DataState::Empty,
    };
    let used = answer
        .all("used_kb")
        .filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let marker = answer
        .block("marker")
        .and_then(|lines| STANDARD.decode(lines.concat()).ok());
    DataFacts {
        state,
        bytes: used.fold(0, u64::saturating_add).saturating_mul(1024),
        db_bytes: answer.number("db_bytes"),
        marker: marker.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        set_aside: answer
            .all("aside")
            .filter(|path| is_plain(path))
            .map(str::to_owned)
            .collect(),
        elsewhere: Elsewhere {
            data: answer.all("data_elsewhere").next().map(str::to_owned),
            log: answer.all("log_elsewhere").next().map(str::to_owned),
            unmounted: answer
                .all("unmounted")
                .filter(|path| is_plain(path))
                .map(str::to_owned)
                .collect(),
        },
    }
}

/// Whether a path can stand in a command that people copy. etcd's account names what it likes; what quorate makes is plain.
fn is_plain(path: &str) -> bool {
    path.starts_with('/')
        && path
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._/-+@=~".contains(c))
}

/// `ALIVE JSON`. A lock that cannot be read is still a lock.
fn lock(answer: &Answer<'_>) -> Option<LockHolder> {
    let (alive, json) = answer.all("lock").next()?.split_once(' ')?;
    Some(lock_holder(json, alive == "1"))
}

/// The holder that `json` describes, or one that is only known to be there.
pub(super) fn lock_holder(json: &str, alive: bool) -> LockHolder {
    let holder = serde_json::from_str(json).unwrap_or_else(|_| LockHolder {
        id: "?".to_owned(),
        who: "unknown".to_owned(),
        pid: 0,
        since: "an unknown time".to_owned(),
        doing: "?".to_owned(),
        alive,
    });
    LockHolder { alive, ..holder }
}

#[cfg(test)]
#[path = "facts_parser_tests.rs"]
mod tests;
