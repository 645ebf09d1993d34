use proptest::prelude::*;

use super::*;
use crate::host::ServiceState;
use crate::host::service_parser::service_facts;

const QUERY_PATH: &str = "/var/lib/etcd";

fn query() -> FactsQuery {
    FactsQuery {
        disks: vec![QUERY_PATH.parse().unwrap()],
        ..FactsQuery::default()
    }
}

fn sent() -> Sent {
    Sent {
        at: 1000.0,
        answered: 1001.0,
    }
}

fn bin() -> HostPath {
    "/opt/quorate/etcd".parse().unwrap()
}

fn parse(text: &str) -> Result<HostFacts, String> {
    host_facts(text, &bin(), &query(), sent())
}

/// What is said as the account of the member's data.
fn inside(said: &str) -> String {
    format!("inside\n{}\n.\n", STANDARD.encode(said))
}

/// What a host with a running member answers.
fn healthy() -> String {
    let inside =
        inside("data 1 0 1\nused_kb 12\t/var/lib/etcd/member\nused_kb 3\t/wal\nmarker\nY2x1c3Rlcg==\n.\ndone\n");
    let zeros = "0".repeat(64);
    let ones = "1".repeat(64);
    format!(
        "clock 1010.400000000\nhostname h1\nmachine_id abc\nkernel 6.1\nboot_id b\nmachine x86_64\nuid 0\n\
         os \"Debian GNU/Linux 12 (bookworm)\"\nmemory_kb 1000\nswap_kb 0\nsystemd systemd 252 (252.39)\nmissing gzip\n\
         show\nId=etcd.service\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\n\
         NeedDaemonReload=yes\nMainPID=77\nNRestarts=3\nActiveEnterTimestampMonotonic=60000000\n\
         ExecMainExitTimestampMonotonic=0\nExecMainCode=0\nExecMainStatus=0\nResult=success\n\nId=chrony.service\n\
         ActiveState=inactive\n\nId=systemd-timesyncd.service\nActiveState=active\n.\npid 77\n\
         exe /opt/quorate/etcd/3.5.30/etcd (deleted)\nstarted {zeros} /etc/etcd/etcd-config.yml\nstarted x /y\n\
         uptime 100.5\nfile 600 UNKNOWN 998 /etc/etcd/pki/server.key\n{ones}  /etc/etcd/pki/server.key\nrelease 3.5.30\n\
         release tmp\n{zeros}  /opt/quorate/etcd/3.5.30/etcd\ndisk 1 /var/lib/etcd\ndf\nFilesystem Type 1024-blocks Used \
         Available Capacity Mounted on\n/dev/vda ext4 100 60 40 60% /\n.\nlisten 2379 0100007F ours\n\
         listen 2380 00000000000000000000000001000000 other nginx (pid 4)\netcd 5 etcd --name x \n\
         unit etcd-b.service # Written by quorate for member h1 of cluster b.\n\
         unit b.service # Written by quorate for member h1 of cluster b: `quorate backup schedule` puts it back.\n\
         {inside}lock 1 {{\"broken\nclock_end 1010.600000000\n\
         done\n"
    )
}

#[test]
fn a_running_member_is_read_in_full() {
    let facts = parse(&healthy()).unwrap();
    let system = &facts.system;
    assert_eq!(
        (system.arch, system.systemd, system.root),
        (Some(Arch::Amd64), Some(252), true)
    );
    assert_eq!(system.os, "Debian GNU/Linux 12 (bookworm)");
    assert_eq!(system.time_service.as_deref(), Some("systemd-timesyncd"));
    assert_eq!(system.missing_tools, ["gzip"]);
    assert_eq!(system.disks[&QUERY_PATH.parse().unwrap()].free_bytes, 40 * 1024);
    // Sent at 1000, answered at 1001; the host's clock said 1010.4 to 1010.6: 10 s ahead, known to 0.4 s.
    assert!((system.clock_offset_seconds - 10.0).abs() < 1e-9, "{system:?}");
    assert!((system.clock_uncertainty_seconds - 0.4).abs() < 1e-9, "{system:?}");
    assert_eq!(system.other_etcd, ["5 etcd --name x"]);
    let [unit] = system.member_units.as_slice() else {
        panic!("{:?}", system.member_units)
    };
    assert_eq!(
        (unit.service.as_str(), unit.member.as_str(), unit.cluster.as_str()),
        ("etcd-b", "h1", "b")
    );
    assert_eq!(system.listeners[0].address, "127.0.0.1");
    assert_eq!(system.listeners[1].address, "::1");
    assert_eq!(system.listeners[1].process.as_deref(), Some("nginx (pid 4)"));

    let service = &facts.service;
    assert_eq!(
        (service.state, service.pid, service.restarts),
        (ServiceState::Running, Some(77), 3)
    );
    assert!(service.enabled && service.needs_reload);
    assert_eq!(service.running_version, Some(Version::new(3, 5, 30)));
    assert_eq!((service.active_seconds, &service.last_exit), (Some(40), &None));
    assert_eq!(service.started_with.len(), 1);

    assert_eq!(facts.files.values().next().unwrap().owner, "998");
    assert_eq!(facts.releases[&Version::new(3, 5, 30)].len(), 1);
    assert_eq!(
        (facts.data.state, facts.data.bytes),
        (DataState::Bootstrapped, 15 * 1024)
    );
    assert_eq!(facts.data.marker.as_deref(), Some("cluster"));
    // Unreadable, but somebody's.
    assert!(facts.lock.unwrap().alive);
}

/// The account of the data may have put there whatever it likes, and may stop and continue whoever looks as that account.
#[test]
fn what_is_said_inside_passes_for_nothing_else() {
    let ones = "1".repeat(64);
    let claims = format!(
        "data 1 0 1\nuid 1000\nlock 1 {{}}\nloose /etc\nexposed /etc /etc\nrelease 9.9.9\nclock_end soon\n\
         file 644 root 0 /etc/etcd/pki/ca.crt\n{ones}  /etc/etcd/pki/ca.crt\n\
         file 644 root 0 /var/lib/etcd-backup/last-run.json\n{ones}  /var/lib/etcd-backup/last-run.json\n\
         file 777 etcd 998 /etc/etcd/pki/server.key\n{ones}  /etc/etcd/pki/server.key\n\
         aside /var/lib/etcd/.quorate-aside/1\naside /var/lib/etcd/.quorate-aside/x;reboot\naside /x|reboot\naside $(reboot)\n\
         unmounted /data;reboot\nunmounted /data&reboot\ndone\n"
    );
    let lines = healthy();
    let (before, rest) = lines.split_once("inside\n").unwrap();
    let (_, after) = rest.split_once("\n.\n").unwrap();
    let text = format!(
        "{before}apart /var/lib/etcd-backup/last-run.json\n{}{after}",
        inside(&claims)
    );
    let facts = parse(&text).unwrap();
    assert!(facts.system.root && facts.loose.is_empty() && facts.exposed.is_empty());
    assert_eq!(facts.lock.as_ref().map(|lock| lock.who.as_str()), Some("unknown"));
    assert_eq!(facts.releases.len(), 1);
    // What people are told to copy into a shell.
    assert_eq!(facts.data.set_aside, ["/var/lib/etcd/.quorate-aside/1"]);
    assert!(facts.data.elsewhere.unmounted.is_empty());
    let files: Vec<(&str, u32)> = facts
        .files
        .iter()
        .map(|(path, file)| (path.as_str(), file.mode))
        .collect();
    assert_eq!(
        files,
        [
            ("/etc/etcd/pki/server.key", 0o600),
            ("/var/lib/etcd-backup/last-run.json", 0o644),
        ]
    );
    // Without its last line it was cut off.
    let cut = text.replace(&inside(&claims), &inside(claims.trim_end_matches("done\n")));
    assert!(parse(&cut).is_err());
}

#[test]
fn what_is_in_a_members_way_is_read() {
    let healthy = healthy();
    let with = |lines: &str| healthy.replacen("hostname h1\n", &format!("hostname h1\n{lines}"), 1);
    assert_eq!(parse(&healthy).unwrap().obstacles, []);
    let facts = parse(&with(
        "closed /srv/closed /srv/closed/etcd\nlink /var/lib/etcd ../real\nmasked /etc/systemd/system/etcd.service\n\
         noexec /opt\n\
         unprivileged_port 1024\nlibc 2.31\ninodes\nFilesystem Inodes IUsed IFree IUse% Mounted on\n\
         /dev/vda 20 1 19 5% /\n.\n",
    ))
    .unwrap();
    let path = |text: &str| text.parse::<HostPath>().unwrap();
    let closed = Obstacle::Closed {
        above: "/srv/closed".to_owned(),
        path: path("/srv/closed/etcd"),
    };
    let link = Obstacle::Link {
        path: path(QUERY_PATH),
        target: "../real".to_owned(),
    };
    let noexec = Obstacle::NoExec { at: "/opt".to_owned() };
    assert_eq!(facts.obstacles, [closed, link, noexec, Obstacle::Masked]);
    assert_eq!(facts.system.unprivileged_port, Some(1024));
    assert_eq!(facts.system.libc.map(|libc| libc.to_string()).as_deref(), Some("2.31"));
    assert_eq!(facts.system.disks[&path(QUERY_PATH)].free_inodes, Some(19));
    // btrfs makes them as it needs them; busybox may know no `df -i`.
    let free = |table: &str| parse(&with(table)).unwrap().system.disks[&path(QUERY_PATH)].free_inodes;
    assert_eq!(free("inodes\nheading\n/dev/vda 0 0 0 - /\n.\n"), None);
    assert_eq!(free("inodes\n.\n"), None);
    // Masked until the next boot: by systemd's word.
    let masked = healthy.replacen("LoadState=loaded", "LoadState=masked", 1);
    assert_eq!(parse(&masked).unwrap().obstacles, [Obstacle::Masked]);
}

#[test]
fn a_date_without_nanoseconds_is_known_to_half_a_second() {
    let text = healthy()
        .replace("1010.400000000", "1010.%N")
        .replace("1010.600000000", "1010.");
    let system = parse(&text).unwrap().system;
    assert!((system.clock_offset_seconds - 10.0).abs() < 1e-9, "{system:?}");
    assert!((system.clock_uncertainty_seconds - 1.0).abs() < 1e-9, "{system:?}");
}

#[test]
fn units_that_fail_or_wait_for_their_next_try_are_failed() {
    let show = |load: &str, active: &str, sub: &str| {
        let text = format!(
            "show\nLoadState={load}\nActiveState={active}\nSubState={sub}\nExecMainExitTimestampMonotonic=5\n\
             ExecMainCode=2\nExecMainStatus=9\n.\ndone"
        );
        service_facts(&text, &bin()).unwrap()
    };
    assert_eq!(show("loaded", "activating", "auto-restart").state, ServiceState::Failed);
    assert_eq!(
        show("loaded", "failed", "failed").last_exit.as_deref(),
        Some("signal 9")
    );
    assert_eq!(show("loaded", "activating", "start").state, ServiceState::Starting);
    assert_eq!(show("loaded", "inactive", "dead").state, ServiceState::Stopped);
    assert_eq!(show("not-found", "inactive", "dead").state, ServiceState::Missing);
    // Removed from disk while it runs: it runs.
    assert_eq!(show("not-found", "active", "running").state, ServiceState::Running);
}

#[test]
fn what_is_there_but_unreadable_is_an_error() {
    let text = healthy().replace(&format!("{}  /etc/etcd/pki/server.key\n", "1".repeat(64)), "");
    let said = parse(&text).unwrap_err();
    assert_eq!(said, "/etc/etcd/pki/server.key is there but cannot be read");
    assert!(parse(&healthy().replace("/dev/vda ext4 100 60 40 60% /\n", "")).is_err());
    assert!(parse(&healthy().replace("clock_end 1010.600000000", "clock_end soon")).is_err());
}

#[test]
fn an_answer_that_was_cut_off_anywhere_is_refused() {
    let whole = healthy();
    let whole = whole.trim_end();
    for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        assert!(parse(&whole[..end]).is_err(), "cut at {end}");
    }
}

proptest! {
    #[test]
    fn garbage_never_panics(text in "(?s).{0,400}") {
        let _ = parse(&text);
        let _ = parse(&format!("{text}\ndone"));
    }

    #[test]
    fn damaged_answers_never_panic(at in 0usize..2000, with in "[ -~\\n]{0,8}", drop in 0usize..40) {
        let mut text = healthy();
        let at = at.min(text.len());
        let end = (at + drop).min(text.len());
        text.replace_range(at..end, &with);
        let _ = parse(&text);
    }
}
