//! Backups in other places: a directory, a directory of another host, and a real S3 server (moto) that works, refuses,
//! hangs or breaks off.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Lab, Outcome, S3_PORT, Server, current, plain_inventory, s3};

/// One member, n1; n2 keeps backups.
fn lab() -> Lab {
    let lab = Lab::start(2);
    lab.inventory(|hosts| plain_inventory(&current(), &hosts[..1]));
    lab.quorate(&["trust", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
    lab
}

fn with_s3(lab: &Lab, port: u16, arguments: &[&str]) -> Outcome {
    let change = |command: &mut Command| {
        command.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"));
        command.env("AWS_REGION", "us-east-1");
    };
    lab.quorate_with(arguments, change, b"")
}

fn names(listed: &Outcome) -> Vec<String> {
    let listed = listed.json();
    let backups = listed["backups"].as_array().expect("a list");
    let name = |backup: &Value| backup["file"].as_str().expect("a name").to_owned();
    backups.iter().map(name).collect()
}

#[test]
fn backups_are_put_listed_fetched_and_pruned_in_s3_over_ssh_and_in_a_directory() {
    let lab = lab();
    let _moto = s3(&lab);
    let keeper = lab.host("n2");
    lab.knows(keeper);
    let ssh = format!("ssh://root@{}/srv/backups", keeper.address);
    let places = ["s3://backups/etcd/lab", &ssh, "far"];
    let create = |reason: &str| {
        let to = places.iter().flat_map(|place| ["--to", place]);
        let all: Vec<&str> = ["--output", "json", "backup", "create", "--reason", reason]
            .into_iter()
            .chain(to)
            .collect();
        let told = with_s3(&lab, S3_PORT, &all).ok().events_of("backup").remove(0);
        lab.dir().join(told["file"].as_str().expect("a path"))
    };
    let first = create("first");
    let second = create("second");
    let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
    let sealed = fs::read(&second).expect("the backup");
    for place in places {
        let listed = with_s3(&lab, S3_PORT, &["--output", "json", "backup", "list", "--at", place]).ok();
        assert_eq!(names(&listed), [name(&second), name(&first)], "newest first in {place}");
        let here = lab.dir().join("fetched.qbackup");
        with_s3(
            &lab,
            S3_PORT,
            &["backup", "fetch", "--at", place, "--out", "fetched.qbackup"],
        )
        .ok();
        assert!(fs::read(&here).expect("fetched") == sealed, "the newest, byte for byte");
        fs::remove_file(&here).expect("fetched");
        with_s3(
            &lab,
            S3_PORT,
            &["backup", "fetch", "nothing.qbackup", "--at", place, "--out", "x"],
        )
        .says(&["nothing.qbackup"]);
        assert!(!lab.dir().join("x").exists());
        with_s3(
            &lab,
            S3_PORT,
            &["backup", "prune", "--at", place, "--keep-last", "1", "--yes"],
        )
        .ok();
        let left = with_s3(&lab, S3_PORT, &["--output", "json", "backup", "list", "--at", place]).ok();
        assert_eq!(names(&left), [name(&second)]);
    }
    assert!(first.exists(), "pruning there leaves what is here");
    assert_eq!(
        keeper.sh("ls -A /srv/backups").trim(),
        name(&second),
        "nothing half-made"
    );
    with_s3(&lab, S3_PORT, &["backup", "create", "--plain", "--to", "far"]).code(2);
}

#[test]
fn a_place_that_refuses_hangs_or_breaks_off_leaves_the_backup_here_and_no_half_of_it_there() {
    let lab = lab();
    let _moto = s3(&lab);
    // More than one part, so that there is a middle.
    let host = lab.host("n1");
    host.sh("head -c 1000000 /dev/urandom >/run/value");
    for n in 0..12 {
        host.etcdctl(&format!("put big/{n} </run/value")).ok();
    }
    let fails = |port: u16, place: &str, why: &str| {
        let before = kept(&lab);
        let all = ["backup", "create", "--reason", why, "--to", place];
        let failed = with_s3(&lab, port, &all).code(6).says(&["it is kept here"]);
        assert_eq!(kept(&lab), before + 1, "{failed}");
        failed
    };
    fails(S3_PORT, "s3://nobodys/etcd", "no-such-bucket").says(&["NoSuchBucket"]);
    fails(5556, "s3://backups/etcd", "refused");
    // A port that takes connections and never says a word.
    let mut silent = lab.as_operator("python3");
    silent.args([
        "-c",
        "import socket,time\ns=socket.create_server(('127.0.0.1',5557),backlog=50)\nheld=[]\nwhile True: held.append(s.accept())",
    ]);
    let _silent = Server::start(&lab, &mut silent, 5557);
    fails(5557, "s3://backups/etcd", "hangs");
    // Passes everything on, and breaks off after 3 MB.
    let mut breaks = lab.as_operator("python3");
    let cut = lab.dir().join("cut");
    breaks.args(["-c", BREAKS, &S3_PORT.to_string(), cut.to_str().expect("a path")]);
    let _breaks = Server::start(&lab, &mut breaks, 5558);
    fails(5558, "s3://backups/etcd", "breaks-off");
    assert!(cut.exists(), "it broke off in the middle");

    let listed = with_s3(
        &lab,
        S3_PORT,
        &["--output", "json", "backup", "list", "--at", "s3://backups/etcd"],
    )
    .ok();
    assert!(names(&listed).is_empty(), "{listed}");
    with_s3(&lab, S3_PORT, &["backup", "create", "--to", "s3://backups/etcd"]).ok();
    // Without credentials nothing is asked of anybody.
    fs::remove_file(lab.home().join(".aws/credentials")).expect("credentials");
    with_s3(&lab, S3_PORT, &["backup", "list", "--at", "s3://backups/etcd"])
        .code(2)
        .says(&["no credentials", "AWS_ACCESS_KEY_ID"]);
}

/// How many backups are here.
fn kept(lab: &Lab) -> usize {
    fs::read_dir(lab.dir().join("backups")).map_or(0, Iterator::count)
}

/// Arguments: the real server's port, and the file that tells that a connection was cut.
const BREAKS: &str = "
import socket, sys, threading
def passes(a, b, limit):
    done = 0
    try:
        while True:
            data = a.recv(65536)
            done += len(data)
            if done > limit: open(sys.argv[2], 'w').close()
            if not data or done > limit: break
            b.sendall(data)
    except OSError: pass
    for s in (a, b):
        try: s.shutdown(socket.SHUT_RDWR)
        except OSError: pass
server = socket.create_server(('127.0.0.1', 5558), backlog=50)
while True:
    client, _ = server.accept()
    upstream = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
    threading.Thread(target=passes, args=(client, upstream, 3000000), daemon=True).start()
    threading.Thread(target=passes, args=(upstream, client, 10**12), daemon=True).start()
";
