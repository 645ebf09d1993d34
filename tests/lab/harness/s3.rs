//! Servers in the operator's network; one of them a real S3 server (moto).

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Lab, wait_until};

/// Where [`s3`] listens, on every address of the operator.
pub const S3_PORT: u16 = 5555;

/// A program in the operator's network for as long as it is held.
pub struct Server(Child);

impl Server {
    /// Starts it and waits until it listens on `port`.
    pub fn start(lab: &Lab, command: &mut Command, port: u16) -> Self {
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

/// A real S3 server with one bucket, `backups`, and credentials for it in the operator's `~/.aws`.
pub fn s3(lab: &Lab) -> Server {
    let aws = lab.home().join(".aws");
    fs::create_dir(&aws).expect("a directory");
    fs::write(
        aws.join("credentials"),
        "[default]\naws_access_key_id = TESTKEY\naws_secret_access_key = testsecret\n",
    )
    .expect("credentials");
    let program = moto_program();
    let mut command = lab.as_operator(program.to_str().expect("a path"));
    command.args(["-H", "0.0.0.0", "-p", &S3_PORT.to_string()]);
    let server = Server::start(lab, &mut command, S3_PORT);
    let bucket = format!("http://127.0.0.1:{S3_PORT}/backups");
    let make = format!("import urllib.request as r; r.urlopen(r.Request('{bucket}', method='PUT'))");
    let done = lab.as_operator("python3").args(["-c", &make]).status();
    assert!(done.expect("python3").success());
    server
}
