//! From the journal of a unit that did not start to the likely cause.
//!
//! Sources: etcd's own messages as seen on 3.4.23, 3.5.30 and 3.6.14, and systemd's exit statuses (systemd.exec(5),
//! "Process Exit Codes").

/// Why a unit probably did not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause {
    /// What is wrong, in words.
    pub what: &'static str,
    /// What to do about it.
    pub hint: &'static str,
    /// The member's data are not what they were: then there may be more to do than the hint says.
    pub lost: Option<DataLoss>,
}

/// What has become of a member's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataLoss {
    /// They are not there any more, or not all of them.
    Gone,
    /// They are there, and cannot be used.
    Damaged,
    /// They are not those of the other members.
    Differs,
}

/// A message and what it means. All needles must be in one line; they are in lower case.
struct Row {
    needles: &'static [&'static str],
    cause: Cause,
}

const fn row(needles: &'static [&'static str], what: &'static str, hint: &'static str) -> Row {
    Row {
        needles,
        cause: Cause { what, hint, lost: None },
    }
}

const fn data(needles: &'static [&'static str], what: &'static str, lost: DataLoss) -> Row {
    let hint = match lost {
        DataLoss::Gone => "never start it like this",
        DataLoss::Damaged => "keep a copy of the data directory",
        DataLoss::Differs => {
            "if all members but one say this, that one differs: stop its etcd, then run `quorate up` with `--limit` for each of the \
             others"
        }
    };
    let lost = Some(lost);
    Row {
        needles,
        cause: Cause { what, hint, lost },
    }
}

const INITIAL: &str = "run `quorate up` again: it takes `initial-cluster` from the cluster's own member list";
const OPTION: &str = "the line names the option: fix it under `etcd.config` in the inventory";
const RENEW: &str = "`quorate pki show` shows which; `quorate pki renew` reissues it";

/// Messages of etcd (and of what it calls) that name the cause themselves.
#[rustfmt::skip]
const MESSAGES: &[Row] = &[
    // Ports and addresses.
    row(&["address already in use"], "another process listens on one of the member's ports",
        "`ss -ltnp` on the host shows which: stop it, or give this member other ports in the inventory"),
    row(&["cannot assign requested address"], "the address to listen on is not an address of this host",
        "compare the host's `address` in the inventory with `ip address` on the host"),
    row(&["expected ip in url for binding"], "etcd listens only on IP addresses, but was given a name",
        "give the host an IP address to listen on in the inventory"),

    // Identity: whose data this is, and which cluster it belongs to.
    data(&["has already been bootstrapped"], "the cluster lists this member, but its data is gone", DataLoss::Gone),
    data(&["tocommit(", "is out of range"], "the member has lost data that the cluster knows it had", DataLoss::Gone),
    row(&["permanently removed from the cluster"], "this member was removed from its cluster and must not come back",
        "`quorate add-node` adds the host again, with an empty data directory"),
    row(&["cluster id mismatch"], "this member and the others belong to different clusters",
        "its data directory is from another cluster, or it was bootstrapped separately: `quorate status` shows the ids; \
         move the data aside only if you know that it is not needed"),
    row(&["member count is unequal"], "`initial-cluster` does not match the members that the cluster has", INITIAL),
    row(&["no match found for existing member"], "`initial-cluster` does not match the members that the cluster has", INITIAL),
    row(&["couldn't find local name"], "`initial-cluster` does not name this member", INITIAL),
    row(&["--initial-cluster has", "missing from"], "`initial-cluster` and this member's own peer URL differ", INITIAL),
    row(&["too many learner members"], "the cluster has as many learners as etcd allows",
        "finish or undo the other new member first: `quorate members` shows it"),

    // Versions.
    row(&["invalid downgrade"], "this etcd is older than the version the cluster has settled on",
        "reinstall the newer release (`quorate up`), or use `quorate downgrade` where etcd allows it"),
    row(&["incompatible with current running cluster"], "this etcd is more than one minor release away from the cluster",
        "join with the release that the cluster runs; upgrade one minor release at a time"),
    row(&["removed all voters"], "this data is too old for this etcd (a minor release was skipped)",
        "reinstall the older release and upgrade one minor release at a time"),

    // Configuration.
    row(&["cannot unmarshal"], "a value in the configuration file has the wrong type", OPTION),
    row(&["error unmarshaling json"], "the configuration file is not what etcd expects", OPTION),
    row(&["error converting yaml to json"], "the configuration file is not valid YAML", "`quorate up` writes it again"),
    row(&["unrecognized feature gate"], "`feature-gates` names a gate that this release does not know", OPTION),
    row(&["cannot set --experimental"], "an option is set by its old and its new name", OPTION),
    row(&["should be at least as 5 times"], "`election-timeout` must be at least five times `heartbeat-interval`", OPTION),
    row(&["flag provided but not defined"], "etcd was started with a flag that it does not know",
        "`systemctl cat` on the host shows where it comes from; quorate itself passes --config-file only"),

    // Certificates.
    row(&["private key does not match public key"], "a certificate and its key do not belong together", RENEW),
    row(&["failed to find any pem data"], "a certificate or key file is empty or damaged", RENEW),
    row(&["no such file or directory", ".crt"], "a certificate file is missing", "`quorate up` installs it"),
    row(&["no such file or directory", ".key"], "a key file is missing", "`quorate up` installs it"),
    row(&["certificate has expired or is not yet valid"], "a certificate has expired, or the clock of a host is wrong",
        "compare the clocks of this host and of the operator's machine, then `quorate pki renew`"),
    row(&["signed by unknown authority"], "members trust different CAs", RENEW),
    row(&["certificate is valid for"], "a certificate does not include the address it is used for", RENEW),
    row(&["doesn't contain any ip sans"], "a certificate does not include the address it is used for", RENEW),
    row(&["does not match any of dnsnames"], "a peer connects from an address that its certificate does not include",
        "if the host is behind NAT or has several addresses, add the source address to the host's `sans`, then run `quorate pki renew`"),
    row(&["incompatible key usage"], "a certificate is not allowed for this use (clientAuth or serverAuth is missing)", RENEW),

    // Disk.
    row(&["no space left on device"], "the disk is full", "free space on the file system of the data directory (or of `wal`)"),
    row(&["disk quota exceeded"], "the account's disk quota is used up", "raise the quota of etcd's account, or move the data"),
    row(&["read-only file system"], "etcd may not write there: the file system is read-only, or the path is outside `data` and `wal`",
        "see `mount` and `dmesg` on the host; the unit lets etcd write to `data` and `wal` only (logs go to the journal)"),
    row(&["flocked by another process"], "another etcd already runs on this data directory",
        "find it with `pgrep -a etcd` on the host and stop it, or give this member its own `data` path"),
    data(&["walpb: crc mismatch"], "the write-ahead log is damaged", DataLoss::Damaged),
    data(&["wal: crc mismatch"], "the write-ahead log is damaged", DataLoss::Damaged),
    data(&["wal: file not found"], "a part of the write-ahead log is missing", DataLoss::Damaged),
    data(&["snap: crc mismatch"], "a raft snapshot file is damaged", DataLoss::Damaged),
    data(&["invalid database"], "the database file is damaged", DataLoss::Damaged),
    data(&["invalid freelist page"], "the database file is damaged", DataLoss::Damaged),
    data(&["checkinitialhashkv failed"], "this member's data differs from that of the others", DataLoss::Differs),
    data(&["found data inconsistency with peers"], "this member's data differs from that of the others", DataLoss::Differs),
    row(&["permission denied"], "etcd's account may not read or write one of its files",
        "the line names it: `quorate up` restores owner and mode of its own files; for data, `chown -R` it to etcd's account"),

    row(&["cannot access data directory"], "the data directory cannot be reached", "`quorate up` creates it; is its disk mounted?"),

    // The program itself.
    row(&["exec format error"], "the etcd binary is for another kind of processor", "add a release for this host's architecture to the bundle"),
    row(&["cannot execute binary file"], "the etcd binary is for another kind of processor", "add a release for this host's architecture to the bundle"),
    row(&["glibc_", "not found"], "the etcd binary needs a newer system than this host", "use upstream's static release in the bundle"),
    row(&["error while loading shared libraries"], "the etcd binary needs libraries that this host lacks", "use upstream's static release in the bundle"),
    row(&["cannot allocate memory"], "the host has too little memory", "etcd needs more memory than its database has bytes"),
    row(&["oom-kill"], "the kernel killed etcd: the host has too little memory", "etcd needs more memory than its database has bytes"),
    row(&["sha256sum:", "no such file or directory"], "a file that quorate manages is missing", "`quorate up` installs it"),
];

/// What systemd says after the fact. Only when nothing in [`MESSAGES`] fits: these name the stage, not the cause.
#[rustfmt::skip]
const STAGES: &[Row] = &[
    row(&["status=217/user"], "etcd's account does not exist on the host", "`quorate up` creates it; a directory service must be up before etcd starts"),
    row(&["status=216/group"], "the group of etcd's account does not exist on the host", "`getent passwd` and `getent group` on the host show what is missing"),
    row(&["status=226/namespace"], "systemd could not build the unit's sandbox: a directory it may write to is missing",
        "`quorate up` creates `data` and `wal`; in a container, mount namespaces must be allowed"),
    row(&["status=203/exec"], "the etcd binary is missing or may not be run", "`quorate up` installs it; the file system of `bin` must not be mounted noexec"),
    row(&["status=201/nice"], "the host does not let etcd have a higher priority (an unprivileged container?)",
        "override it on the host: `systemctl edit` the unit with `[Service]` and `Nice=0`"),
    row(&["status=205/limits"], "the host does not let etcd have its limits (an unprivileged container?)",
        "override them on the host: `systemctl edit` the unit with `[Service]` and lower `Limit...=` values"),
    row(&["status=228/seccomp"], "the kernel does not support the unit's system call filter", "the host's kernel needs seccomp"),
    row(&["status=233/runtime_directory"], "systemd could not make the unit's directory below /run", "check for a full or read-only /run on the host"),
    row(&["failed to publish local member to cluster"], "the member runs, but finds no quorum", "start the other members, and let them reach each other's peer ports"),
    row(&["failed with result 'timeout'"], "etcd was not ready in time and systemd stopped it", "a drop-in of the unit limits the time: `systemctl cat` shows it"),
];

/// The likely cause of a failed start, from the last lines of the unit's journal (oldest first).
///
/// The last line that names a cause wins: a process that ends says why at its end.
pub fn likely_cause(journal_lines: &[String]) -> Option<Cause> {
    let lines: Vec<String> = journal_lines.iter().rev().map(|line| line.to_lowercase()).collect();
    let find = |rows: &[Row]| {
        let meaning = |line: &String| {
            rows.iter()
                .find(|row| row.needles.iter().all(|n| line.contains(n)))
                .map(|row| row.cause)
        };
        lines.iter().find_map(meaning)
    };
    find(MESSAGES).or_else(|| find(STAGES))
}

/// The lines that tell something: Go's stack traces after a panic push everything else out of sight.
pub(super) fn without_stack_traces(journal_lines: &[String]) -> Vec<&str> {
    let mut in_trace = false;
    let told = journal_lines.iter().filter(|line| {
        in_trace = match in_trace {
            // The manager's own lines come after the end of the process.
            true => !line.contains("systemd["),
            false => line.contains("goroutine ") && line.contains('['),
        };
        !in_trace
    });
    // zap puts the trace of a fatal error into the line itself.
    told.map(|line| line.split(",\"stacktrace\":").next().unwrap_or(line))
        .collect()
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
