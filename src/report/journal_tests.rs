//! Each row with a line as etcd or systemd really writes it.

use super::*;

/// A line, and the beginning of what it should be taken for.
#[rustfmt::skip]
const SEEN: &[(&str, &str)] = &[
    (r#"{"level":"fatal","msg":"discovery failed","error":"listen tcp 127.0.0.41:22380: bind: address already in use"}"#, "another process listens"),
    (r#"{"level":"fatal","msg":"discovery failed","error":"listen tcp 10.99.99.99:22380: bind: cannot assign requested address"}"#, "the address to listen on"),
    (r#"etcdmain: error verifying flags, expected IP in URL for binding (http://myhost.example:22380). See 'etcd --help'."#, "etcd listens only on IP"),
    (r#"{"level":"fatal","msg":"discovery failed","error":"member 8e9e05c52164694d has already been bootstrapped"}"#, "the cluster lists this member"),
    (r#"{"level":"panic","msg":"tocommit(9) is out of range [lastIndex(0)]. Was the raft log corrupted, truncated, or lost?"}"#, "the member has lost data"),
    (r#"{"level":"error","msg":"the member has been permanently removed from the cluster"}"#, "this member was removed"),
    (r#"{"level":"warn","msg":"request cluster ID mismatch","local-member-cluster-id":"a","remote-cluster-id":"b"}"#, "this member and the others"),
    (r#"{"level":"warn","msg":"request sent was ignored by remote peer due to cluster ID mismatch"}"#, "this member and the others"),
    (r#"{"level":"fatal","msg":"discovery failed","error":"error validating peerURLs {ClusterID:1 Members:[]}: member count is unequal"}"#, "`initial-cluster` does not match"),
    (r#"{"level":"fatal","msg":"discovery failed","error":"error validating peerURLs: PeerURLs: no match found for existing member (1, [https://a:2380])"}"#, "`initial-cluster` does not match"),
    (r#"{"level":"fatal","msg":"discovery failed","error":"couldn't find local name \"m1\" in the initial cluster configuration"}"#, "`initial-cluster` does not name"),
    (r#"{"level":"fatal","error":"--initial-cluster has m1=http://127.0.0.42:22380 but missing from --initial-advertise-peer-urls=http://127.0.0.41:22380"}"#, "`initial-cluster` and this member's"),
    (r#"{"level":"panic","msg":"membership: too many learner members in cluster"}"#, "the cluster has as many learners"),
    (r#"{"level":"fatal","msg":"invalid downgrade; server version is lower than determined cluster version"}"#, "this etcd is older"),
    (r#"{"level":"fatal","msg":"discovery failed","error":"incompatible with current running cluster"}"#, "this etcd is more than one minor"),
    (r#"panic: removed all voters"#, "this data is too old"),
    (r#"error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string into Go struct field configYAML.Config.quota-backend-bytes of type int64"#, "a value in the configuration"),
    (r#"{"level":"warn","msg":"failed to verify flags","error":"error unmarshaling JSON: while decoding JSON: unexpected end of JSON input"}"#, "the configuration file is not what"),
    (r#"{"level":"warn","msg":"failed to verify flags","error":"error converting YAML to JSON: yaml: line 3: did not find expected key"}"#, "the configuration file is not valid"),
    (r#"{"level":"warn","msg":"failed to verify flags","error":"unrecognized feature gate: Nope"}"#, "`feature-gates` names"),
    (r#"cannot set --experimental-corrupt-check-time and --corrupt-check-time at the same time, please use --corrupt-check-time only"#, "an option is set by its old"),
    (r#"etcdmain: error verifying flags, --election-timeout[1000ms] should be at least as 5 times as --heartbeat-interval[300ms]. See 'etcd --help'."#, "`election-timeout` must"),
    (r#"flag provided but not defined: -enable-v2"#, "etcd was started with a flag"),
    (r#"{"level":"fatal","msg":"listener failed","error":"tls: private key does not match public key"}"#, "a certificate and its key"),
    (r#"{"level":"fatal","msg":"listener failed","error":"tls: failed to find any PEM data in certificate input"}"#, "a certificate or key file is empty"),
    (r#"{"level":"fatal","msg":"listener failed","error":"open /etc/etcd/pki/server.crt: no such file or directory"}"#, "a certificate file is missing"),
    (r#"{"level":"fatal","msg":"listener failed","error":"open /etc/etcd/pki/server.key: no such file or directory"}"#, "a key file is missing"),
    (r#"{"level":"warn","msg":"rejected connection on peer endpoint","error":"tls: failed to verify certificate: x509: certificate has expired or is not yet valid"}"#, "a certificate has expired"),
    (r#"{"level":"warn","msg":"prober detected unhealthy status","error":"x509: certificate signed by unknown authority"}"#, "members trust different CAs"),
    (r#"{"level":"warn","error":"x509: certificate is valid for 127.0.0.1, not 127.0.0.41"}"#, "a certificate does not include"),
    (r#"{"level":"warn","error":"x509: cannot validate certificate for 127.0.0.41 because it doesn't contain any IP SANs"}"#, "a certificate does not include"),
    (r#"{"level":"warn","error":"tls: \"10.0.0.5\" does not match any of DNSNames [\"a\"] (lookup a: no such host)"}"#, "a peer connects from"),
    (r#"{"level":"warn","error":"tls: failed to verify certificate: x509: certificate specifies an incompatible key usage"}"#, "a certificate is not allowed"),
    (r#"{"level":"fatal","error":"write /var/lib/etcd/member/wal/0.tmp: no space left on device"}"#, "the disk is full"),
    (r#"{"level":"fatal","error":"write /var/lib/etcd/member/wal/0.tmp: disk quota exceeded"}"#, "the account's disk quota"),
    (r#"{"level":"fatal","error":"cannot access data directory: mkdir /srv/etcd: read-only file system"}"#, "etcd may not write there"),
    (r#"{"level":"info","msg":"db file is flocked by another process, or taking too long","path":"/var/lib/etcd/member/snap/db"}"#, "another etcd already runs"),
    (r#"{"level":"fatal","msg":"failed to read WAL","error":"walpb: crc mismatch"}"#, "the write-ahead log is damaged"),
    (r#"{"level":"fatal","msg":"failed to open WAL","error":"wal: crc mismatch"}"#, "the write-ahead log is damaged"),
    (r#"{"level":"fatal","msg":"failed to open WAL","error":"wal: file not found"}"#, "a part of the write-ahead log"),
    (r#"{"level":"warn","msg":"failed to load","error":"snap: crc mismatch"}"#, "a raft snapshot file"),
    (r#"{"level":"panic","msg":"failed to open database","error":"invalid database"}"#, "the database file is damaged"),
    (r#"panic: invalid freelist page: 0, page type is unknown<00>"#, "the database file is damaged"),
    (r#"{"level":"fatal","msg":"checkInitialHashKV failed"}"#, "this member's data differs"),
    (r#"{"level":"fatal","error":"8e9e found data inconsistency with peers"}"#, "this member's data differs"),
    (r#"{"level":"fatal","msg":"failed to list data directory","dir":"/var/lib/etcd","error":"open /var/lib/etcd: permission denied"}"#, "etcd's account may not"),
    (r#"{"level":"fatal","error":"cannot access data directory: mkdir /proc/none: no such file or directory"}"#, "the data directory cannot be reached"),
    (r#"systemd[1]: etcd.service: Failed to execute /opt/quorate/etcd/3.5.30/etcd: Exec format error"#, "the etcd binary is for another"),
    (r#"sh: /opt/quorate/etcd/3.5.30/etcd: cannot execute binary file"#, "the etcd binary is for another"),
    (r#"/opt/quorate/etcd/3.5.30/etcd: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found"#, "the etcd binary needs a newer"),
    (r#"etcd: error while loading shared libraries: libx.so: cannot open shared object file"#, "the etcd binary needs libraries"),
    (r#"fatal error: runtime: cannot allocate memory"#, "the host has too little memory"),
    (r#"systemd[1]: etcd.service: Failed with result 'oom-kill'."#, "the kernel killed etcd"),
    (r#"sh[80]: sha256sum: /etc/etcd/etcd-config.yml: No such file or directory"#, "a file that quorate manages"),
    (r#"systemd[1]: etcd.service: Main process exited, code=exited, status=217/USER"#, "etcd's account does not exist"),
    (r#"systemd[1]: etcd.service: Main process exited, code=exited, status=216/GROUP"#, "the group of etcd's"),
    (r#"systemd[1]: etcd.service: Control process exited, code=exited, status=226/NAMESPACE"#, "systemd could not build"),
    (r#"systemd[1]: etcd.service: Main process exited, code=exited, status=203/EXEC"#, "the etcd binary is missing"),
    (r#"systemd[1]: etcd.service: Main process exited, code=exited, status=201/NICE"#, "the host does not let etcd have a higher"),
    (r#"systemd[1]: etcd.service: Main process exited, code=exited, status=205/LIMITS"#, "the host does not let etcd have its limits"),
    (r#"systemd[1]: etcd.service: Main process exited, code=exited, status=228/SECCOMP"#, "the kernel does not support"),
    (r#"systemd[1]: etcd.service: Main process exited, code=exited, status=233/RUNTIME_DIRECTORY"#, "systemd could not make"),
    (r#"{"level":"warn","msg":"failed to publish local member to cluster through raft","error":"etcdserver: request timed out"}"#, "the member runs, but finds no quorum"),
    (r#"systemd[1]: etcd.service: Failed with result 'timeout'."#, "etcd was not ready in time"),
];

fn cause_of(lines: &[&str]) -> Option<Cause> {
    likely_cause(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
}

#[test]
fn every_known_line_is_recognised() {
    for (line, what) in SEEN {
        let found = cause_of(&[
            "systemd[1]: Starting etcd...",
            line,
            "systemd[1]: Failed to start etcd.",
        ]);
        assert!(
            found.is_some_and(|cause| cause.what.starts_with(what)),
            "{line}: {found:?}"
        );
    }
}

#[test]
fn every_row_has_a_line_that_it_explains() {
    for row in MESSAGES.iter().chain(STAGES) {
        let lower: Vec<String> = SEEN.iter().map(|(line, _)| line.to_lowercase()).collect();
        let hit = lower
            .iter()
            .any(|line| row.needles.iter().all(|needle| line.contains(needle)));
        assert!(hit, "no line for {:?}", row.needles);
        assert!(
            row.needles.iter().all(|needle| *needle == needle.to_lowercase()),
            "{:?}",
            row.needles
        );
    }
}

#[test]
fn the_last_words_win_and_a_message_says_more_than_an_exit_status() {
    let cause = cause_of(&[
        r#"{"level":"warn","msg":"rejected connection on peer endpoint","error":"x509: certificate signed by unknown authority"}"#,
        r#"{"level":"fatal","error":"write 0.tmp: no space left on device"}"#,
        "systemd[1]: etcd.service: Main process exited, code=exited, status=203/EXEC",
    ]);
    assert_eq!(cause.unwrap().what, "the disk is full");
}

#[test]
fn nothing_is_made_up() {
    assert_eq!(cause_of(&[]), None);
    assert_eq!(
        cause_of(&["systemd[1]: etcd.service: Main process exited, code=exited, status=1/FAILURE"]),
        None
    );
}

#[test]
fn a_panic_does_not_push_its_reason_out_of_sight() {
    let lines = [
        r#"etcd[159]: {"level":"panic","msg":"failed to create WAL","error":"mkdir /srv/wal.tmp: read-only file system","stacktrace":"a\n"}"#,
        "etcd[159]: panic: failed to create WAL",
        "etcd[159]: goroutine 1 [running]:",
        "etcd[159]: main.main()",
        "etcd[159]:         go.etcd.io/etcd/server/main.go:31 +0x28",
        "systemd[1]: etcd.service: Main process exited, code=exited, status=2/INVALIDARGUMENT",
    ]
    .map(str::to_owned);
    assert_eq!(
        without_stack_traces(&lines),
        [
            r#"etcd[159]: {"level":"panic","msg":"failed to create WAL","error":"mkdir /srv/wal.tmp: read-only file system""#,
            "etcd[159]: panic: failed to create WAL",
            "systemd[1]: etcd.service: Main process exited, code=exited, status=2/INVALIDARGUMENT",
        ]
    );
    assert!(
        likely_cause(&lines)
            .unwrap()
            .what
            .starts_with("etcd may not write there")
    );
}
