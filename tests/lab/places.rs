//! Backups in other places: a directory, a directory of another host, and a real S3 server (moto) that works, refuses,
//! hangs or breaks off.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Lab, Outcome, plain_inventory, release, wait_until};

/// One member, n1; n2 keeps backups.
fn lab() -> Lab {
    let lab = Lab::start(2);
    lab.inventory(|hosts| plain_inventory(&release("3.5"), &hosts[..1]));
    lab.quorate(&["trust", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
    let aws = lab.home().join(".aws");
    fs::create_dir(&aws).expect("a directory");
    fs::write(
        aws.join("credentials"),
        "[default]\naws_access_key_id = TESTKEY\naws_secret_access_key = testsecret\n",
    )
    .expect("credentials");
    lab
}

/// A program in the operator's network for as long as it is held.
struct Server(Child);

impl Server {
    fn start(lab: &Lab, command: &mut Command, port: u16) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a server");
        let server = Self(child);
        wait_until("the server to listen", Duration::from_secs(30), || {
            let mut probe = lab.as_operator("bash");
            probe.args(["-c", &format!("exec 3<>/dev/tcp/127.0.0.1/{port}")]);
            probe.stderr(Stdio::null()).status().expect("bash").success()
        });
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn moto_program() -> PathBuf {
    let fetched = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/lab/fetch-s3"))
        .output()
        .expect("lab/fetch-s3");
    assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
    PathBuf::from(String::from_utf8(fetched.stdout).expect("a path").trim())
}

/// A real S3 server with one bucket, `backups`.
fn moto(lab: &Lab) -> Server {
    let program = moto_program();
    let mut command = lab.as_operator(program.to_str().expect("a path"));
    command.args(["-H", "127.0.0.1", "-p", "5555"]);
    let server = Server::start(lab, &mut command, 5555);
    python(
        lab,
        "import urllib.request as r; r.urlopen(r.Request('http://127.0.0.1:5555/backups', method='PUT'))",
    );
    server
}

fn python(lab: &Lab, text: &str) {
    let done = lab.as_operator("python3").args(["-c", text]).status();
    assert!(done.expect("python3").success());
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
    let _moto = moto(&lab);
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
        let told = with_s3(&lab, 5555, &all).ok().events_of("backup").remove(0);
        lab.dir().join(told["file"].as_str().expect("a path"))
    };
    let first = create("first");
    let second = create("second");
    let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
    let sealed = fs::read(&second).expect("the backup");
    for place in places {
        let listed = with_s3(&lab, 5555, &["--output", "json", "backup", "list", "--at", place]).ok();
        assert_eq!(names(&listed), [name(&second), name(&first)], "newest first in {place}");
        let here = lab.dir().join("fetched.qbackup");
        with_s3(
            &lab,
            5555,
            &["backup", "fetch", "--at", place, "--out", "fetched.qbackup"],
        )
        .ok();
        assert!(fs::read(&here).expect("fetched") == sealed, "the newest, byte for byte");
        fs::remove_file(&here).expect("fetched");
        with_s3(
            &lab,
            5555,
            &["backup", "fetch", "nothing.qbackup", "--at", place, "--out", "x"],
        )
        .says(&["nothing.qbackup"]);
        assert!(!lab.dir().join("x").exists());
        with_s3(
            &lab,
            5555,
            &["backup", "prune", "--at", place, "--keep-last", "1", "--yes"],
        )
        .ok();
        let left = with_s3(&lab, 5555, &["--output", "json", "backup", "list", "--at", place]).ok();
        assert_eq!(names(&left), [name(&second)]);
    }
    assert!(first.exists(), "pruning there leaves what is here");
    assert_eq!(
        keeper.sh("ls -A /srv/backups").trim(),
        name(&second),
        "nothing half-made"
    );
    with_s3(&lab, 5555, &["backup", "create", "--plain", "--to", "far"]).code(2);
}

#[test]
fn a_place_that_refuses_hangs_or_breaks_off_leaves_the_backup_here_and_no_half_of_it_there() {
    let lab = lab();
    let _moto = moto(&lab);
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
    fails(5555, "s3://nobodys/etcd", "no-such-bucket").says(&["NoSuchBucket"]);
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
    breaks.args(["-c", BREAKS]);
    let _breaks = Server::start(&lab, &mut breaks, 5558);
    fails(5558, "s3://backups/etcd", "breaks-off");

    let listed = with_s3(
        &lab,
        5555,
        &["--output", "json", "backup", "list", "--at", "s3://backups/etcd"],
    )
    .ok();
    assert!(names(&listed).is_empty(), "{listed}");
    with_s3(&lab, 5555, &["backup", "create", "--to", "s3://backups/etcd"]).ok();
    // Without credentials nothing is asked of anybody.
    fs::remove_file(lab.home().join(".aws/credentials")).expect("credentials");
    with_s3(&lab, 5555, &["backup", "list", "--at", "s3://backups/etcd"])
        .code(2)
        .says(&["no credentials", "AWS_ACCESS_KEY_ID"]);
}

/// How many backups are here.
fn kept(lab: &Lab) -> usize {
    fs::read_dir(lab.dir().join("backups")).map_or(0, Iterator::count)
}

const BREAKS: &str = "
import socket, threading
def passes(a, b, limit):
    done = 0
    try:
        while True:
            data = a.recv(65536)
            done += len(data)
            if not data or done > limit: break
            b.sendall(data)
    except OSError: pass
    for s in (a, b):
        try: s.shutdown(socket.SHUT_RDWR)
        except OSError: pass
server = socket.create_server(('127.0.0.1', 5558), backlog=50)
while True:
    client, _ = server.accept()
    upstream = socket.create_connection(('127.0.0.1', 5555))
    threading.Thread(target=passes, args=(client, upstream, 3000000), daemon=True).start()
    threading.Thread(target=passes, args=(upstream, client, 10**12), daemon=True).start()
";
