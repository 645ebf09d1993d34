//! What can be found, each with an id that stays: the page of findings and `doctor --explain` are made of this table.

use std::fmt;

use serde::Serialize;

use super::Topic;

/// `Variant = "id", topic, "what it means"`, in the order of the page.
macro_rules! kinds {
    ($($kind:ident = $id:literal, $topic:ident, $means:literal;)*) => {
        /// What a finding is an instance of.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        #[allow(missing_docs)]
        pub enum Kind {
            $(#[serde(rename = $id)] $kind,)*
        }

        impl Kind {
            /// All there are, in the order of the page.
            pub const ALL: &'static [Kind] = &[$(Kind::$kind),*];

            /// The id: an anchor, a value in JSON, an argument of `doctor --explain`. It does not change.
            pub fn id(self) -> &'static str {
                match self { $(Kind::$kind => $id,)* }
            }

            /// What it is about.
            pub fn topic(self) -> Topic {
                match self { $(Kind::$kind => Topic::$topic,)* }
            }

            /// What it means, by which measure, and what is behind the way out that the finding names.
            pub fn means(self) -> &'static str {
                match self { $(Kind::$kind => $means,)* }
            }
        }
    };
}

kinds! {
    NoCluster = "no-cluster", Cluster, "No host has data of a member, and none runs. If this cluster was up once, do not create it \
        again: its disks may not be mounted.";
    ClusterUnknown = "cluster-unknown", Cluster, "Hosts could not be inspected, and those that could do not show whether the cluster \
        works. etcd may be healthy: fix the login or the network first. Nothing is restored or recovered while this stands.";
    ClusterStopped = "cluster-stopped", Cluster, "The cluster was stopped on purpose, or is being destroyed. Notes on the hosts say \
        since when and by whom.";
    SeveralClusters = "several-clusters", Cluster, "The hosts hold members, or data, of different clusters. Clients may be \
        connected to either. Nothing is read or written through quorate until one of them is stopped.";
    ClusterDown = "cluster-down", Cluster, "Every host was inspected, and no quorum answers. Members that can start are started \
        first; restoring or recovering gives up writes and comes last.";
    NoLeader = "no-leader", Cluster, "The members that answer name different leaders, or none. An election takes about a second; if \
        this stays, members cannot hear each other, or their disks stall.";
    OneVoter = "one-voter", Cluster, "A cluster of one voter survives no failure, and each restart is an outage.";
    EvenVoters = "even-voters", Cluster, "Four voters need three for a quorum, like five, and survive one failure, like three. The \
        additional voter only adds one more that can fail.";
    Alarm = "alarm", Cluster, "NOSPACE: a database reached its quota, and etcd rejects writes until the alarm is disarmed. CORRUPT: \
        the members' data differs, and etcd rejects everything. The cause has to go first: `quorate alarm disarm` sees to that.";
    UnfinishedRestore = "unfinished-restore", Cluster, "A restore or a recovery was interrupted. Some hosts have the new data and \
        some the old: everything but the command that finishes it is refused.";
    BetweenReleases = "between-releases", Cluster, "A downgrade to the previous minor release is enabled in etcd, or the members run \
        two minor releases. Choose a direction and finish it.";
    MixedReleases = "mixed-releases", Cluster, "An upgrade stopped on the way. etcd works with two releases of the same or of \
        neighbouring minor versions, but not for good: new features stay off.";
    BadRelease = "bad-release", Cluster, "This release of etcd is known to lose or corrupt data. The source is in the finding.";
    OldRelease = "old-release", Cluster, "This release works, and has known faults that a later one of the same minor version fixes.";
    Elections = "elections", Cluster, "The leader changed during the measurement. Each change stops writes for about an election \
        timeout.";
    KubernetesTooNew = "kubernetes-too-new", Cluster, "What that release of Kubernetes requires of etcd is not known to this quorate. \
        It was checked as the newest one that is.";
    KubernetesAuthentication = "kubernetes-authentication", Cluster, "Kubernetes does not support etcd's own authentication. An API \
        server works only as a user that may read and write its whole prefix.";
    MemberUnhealthy = "member-unhealthy", Member, "The member is in the list and does not serve: it is down, has no leader, or its \
        answers are those of a member that is left behind.";
    MemberUnknown = "member-unknown", Member, "Its host could be inspected, but the member could not be queried, for lack of a \
        certificate or a way to it. It counts neither as healthy nor as down.";
    MemberUnreachable = "member-unreachable", Member, "Its host cannot be reached, and the leader has heard nothing from the member: \
        it is down.";
    MemberMissing = "member-missing", Member, "The inventory lists the host, and the cluster does not: a join was interrupted, or has \
        not been done.";
    MemberNotListed = "member-not-listed", Member, "The cluster has a member that no host of the inventory is. It has a vote, and \
        nobody looks after it.";
    MemberElsewhere = "member-elsewhere", Member, "The address or port in the inventory is not the one in the member list. A member \
        that runs is moved with its data, one at a time.";
    Learner = "learner", Member, "A learner has no vote and serves no clients. A join was interrupted before it was promoted.";
    ApplyBacklog = "apply-backlog", Member, "From 5000 entries on that are committed and not applied, a member rejects writes with \
        `too many requests` (`maxGapBetweenApplyAndCommitIndex` in etcd).";
    LeaderChanges = "leader-changes", Member, "More than three elections since the member was started, and more than one an hour. \
        etcd's own alert warns of four in a quarter of an hour. Disks that stall and lost heartbeats are the usual causes.";
    MetricsUnread = "metrics-unread", Member, "The member answers clients but not for its metrics, so its disk, streams and round \
        trips could not be judged.";
    FollowsFromSlowness = "follows-from-slowness", Member, "Late heartbeats, waiting or failed proposals, slow reads and slow applies \
        are consequences. They name nobody; the culprit is listed above them, or nothing was slow for long enough to be named.";
    KubernetesTooOld = "kubernetes-too-old", Member, "kubeadm of that release refuses an etcd that is older.";
    NoReadsFromCache = "no-reads-from-cache", Member, "API servers need etcd's progress notifications to serve consistent lists from \
        their watch cache. One endpoint without them turns that off for all.";
    NoStreamedLists = "no-streamed-lists", Member, "API servers from 1.37 on stream long lists from etcd 3.7. Older members work, \
        with the usual reads.";
    HostUnknown = "host-unknown", Host, "No login, no sudo, no network: the reason is in the finding. What runs there is unknown, \
        which is not the same as down.";
    ClockOff = "clock-off", Host, "More than one second off, after the time of the round trip is allowed for; etcd's peers complain \
        from there on. Certificates are checked against this clock, and leases run by it.";
    NoTimeService = "no-time-service", Host, "Neither chrony nor systemd-timesyncd nor another known service is active.";
    NewerMark = "newer-mark", Host, "A newer version of quorate has written a marker or a note there whose format this one does not \
        know. Only looking works with this version.";
    MemoryTooSmall = "memory-too-small", Host, "etcd maps its database into memory. Once the database is larger, reads wait for the disk.";
    SwapOn = "swap-on", Host, "A member that is swapped out misses heartbeats, and an election follows.";
    ShortOfMemory = "short-of-memory", Host, "Pressure stall information (PSI): for 10 % of the time or more, something in the unit \
        waited for memory.";
    ShortOfProcessor = "short-of-processor", Host, "Pressure stall information (PSI): for 30 % of the time or more, something in the \
        unit waited for a processor; for 10 % if its syncs are too long and it waits less for the disk. Or the hypervisor gives \
        20 % to others.";
    InMaintenance = "in-maintenance", Host, "`quorate maintain` stopped it. No other member is stopped until it is back.";
    StoppedOnPurpose = "stopped-on-purpose", Host, "The whole cluster was stopped with `quorate stop`, and this member has not been \
        started again.";
    NotRunning = "not-running", Host, "The unit is stopped, failed, missing, or restarts again and again. Where the journal shows a \
        known cause, it is named.";
    NotEnabled = "not-enabled", Host, "It runs, and would not come back after a reboot.";
    OutdatedProcess = "outdated-process", Host, "The process was started before files that it reads only at its start were changed. A \
        rolling restart makes it what the files say.";
    Restarted = "restarted", Host, "systemd started the unit again after etcd ended by itself. The journal has the reason.";
    UnitChanged = "unit-changed", Host, "Drop-ins, links or environment variables that quorate did not write change what runs. etcd \
        ignores `ETCD_*` variables when it has a configuration file.";
    SecondManager = "second-manager", Host, "The unit or the configuration that quorate wrote was replaced by something that manages \
        etcd as well: what installed the cluster before `quorate adopt`, or a tool that was told to. Each undoes what the other does, \
        and a member that starts with the other's files may have certificates that nobody trusts any more.";
    DiskReadOnly = "disk-read-only", Disk, "The file system rejects writes. Mostly the kernel remounted it after an I/O error: do not \
        just remount it, look at `dmesg`.";
    DiskInMemory = "disk-in-memory", Disk, "tmpfs or ramfs: after a reboot the member has lost its data, and must not come back under \
        its old identity.";
    DiskOnNetwork = "disk-on-network", Disk, "NFS, CIFS, Ceph and the like. Every write of etcd waits for an fsync, and here for a network.";
    DiskFull = "disk-full", Disk, "A defragmentation writes a second database before it drops the first, and a snapshot needs its own \
        room. What is free must be the size of the database, or 256 MiB.";
    DiskBeforeQuota = "disk-before-quota", Disk, "A reached quota can be cleared online. A full disk stops etcd, and it may not start again.";
    DiskSlow = "disk-slow", Disk, "The 99th percentile of WAL syncs should stay below 10 ms and of commits below 25 ms (etcd's FAQ). \
        From 500 ms and 250 ms on, where etcd's own alerts begin, it is a problem. `doctor --for` judges the window alone, and names \
        every disk above the lower limits.";
    OldDataAside = "old-data-aside", Disk, "quorate moves data aside where it could delete it. Nothing uses it; it only takes up space.";
    NoStream = "no-stream", Network, "Both members are healthy, and one has no open connection for raft messages from the other. \
        Mostly a peer certificate lacks the address from which a member connects. It shows when another member stops.";
    RoundTrips = "round-trips", Network, "etcd's tuning guide: `election-timeout` should be at least ten round trips, or a slow \
        moment costs an election.";
    NetworkSlow = "network-slow", Network, "Round trips of 10 ms or more that also reach `heartbeat-interval` or ten times the median \
        of all pairs.";
    NetworkLossy = "network-lossy", Network, "2 % or more of the TCP segments of a connection between members were sent again, and \
        20 at least.";
    SendFailures = "send-failures", Network, "The member could not hand messages to a peer. It is a consequence, mostly of a network \
        that is cut or a peer that is overloaded.";
    KubernetesLoopback = "kubernetes-loopback", Network, "API servers on other machines cannot reach an address of the loopback interface.";
    NoQuota = "no-quota", Database, "Without `quota-backend-bytes` nothing stops the database before the disk is full.";
    QuotaTooLarge = "quota-too-large", Database, "etcd warns at its start of more than 8 GiB: restarts, snapshots and \
        defragmentation take ever longer.";
    QuotaSmall = "quota-small", Database, "2 GiB is etcd's default. A large Kubernetes cluster reaches it, and then every write fails.";
    NearlyFull = "nearly-full", Database, "Over 80 % of the quota. At the quota, etcd raises the alarm NOSPACE and rejects writes.";
    WorthDefragmenting = "worth-defragmenting", Database, "Less than half of the file is in use, and 200 MiB or more would return to \
        the disk.";
    NeverCompacted = "never-compacted", Database, "More than 10 000 revisions, and none was ever compacted: every old value of every \
        key is still there.";
    NotCompared = "not-compared", Database, "Whether all members hold the same data was not checked, for the reason given.";
    DataDiffers = "data-differs", Database, "etcd's own hash of all data at one revision is not the same on all members. Reads depend \
        on which member answers.";
    RequestsTooSmall = "requests-too-small", Database, "Kubernetes writes objects of up to 1.5 MiB, and etcd would reject them.";
    HeavyClient = "heavy-client", Clients, "One address or program was sent half of all that clients are sent, and that is 12.5 MB/s \
        or more: a tenth of the gigabit that etcd's hardware guide asks for.";
    Certificates = "certificates", Certificates, "What `quorate pki show` complains about: a certificate expires soon or has expired, \
        is from another CA, lacks a name or address, or is not the one that was issued.";
    CertificatePresented = "certificate-presented", Certificates, "What a port really presents, or accepts, is not what is on the \
        disk: the process reads other files, or takes clients without a certificate.";
    KubernetesCertificate = "kubernetes-certificate", Certificates, "A member rejects the client certificate that API servers are given.";
    NoSchedule = "no-schedule", Backups, "The inventory has no section `backup`. Snapshots before upgrades are taken all the same, and \
        are no backups.";
    BackupFailing = "backup-failing", Backups, "A host has no timer, its last run failed, or no backup is as young as `max_age` requires.";
    BackupUnknown = "backup-unknown", Backups, "The timers or the places of backups could not be inspected.";
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}
