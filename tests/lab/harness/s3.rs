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

/// What `docs/backups.md` gives the hosts' user, as it stands there.
fn documented_policy() -> String {
    let docs = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/backups.md")).expect("the docs");
    let (_, after) = docs.split_once("```json\n").expect("a policy");
    after.split_once("```").expect("its end").0.to_owned()
}

/// A real S3 server that holds its users to their policies; the credentials in the operator's `~/.aws` are those of one who has
/// the policy of `docs/backups.md`. Returns their secret, too.
pub fn s3_that_only_adds(lab: &Lab) -> (Server, String) {
    let program = moto_program();
    let mut command = lab.as_operator(program.to_str().expect("a path"));
    // Making the bucket, the user, the policy and the key is free; from then on everything is looked at.
    command.args(["-H", "0.0.0.0", "-p", &S3_PORT.to_string()]);
    command.env("INITIAL_NO_AUTH_ACTION_COUNT", "4");
    let server = Server::start(lab, &mut command, S3_PORT);
    let make = format!(
        "import boto3, sys\n\
         at = dict(endpoint_url='http://127.0.0.1:{S3_PORT}', region_name='us-east-1', aws_access_key_id='a', aws_secret_access_key='b')\n\
         boto3.client('s3', **at).create_bucket(Bucket='backups')\n\
         iam = boto3.client('iam', **at)\n\
         iam.create_user(UserName='hosts')\n\
         iam.put_user_policy(UserName='hosts', PolicyName='add', PolicyDocument=sys.argv[1])\n\
         key = iam.create_access_key(UserName='hosts')['AccessKey']\n\
         print(key['AccessKeyId'], key['SecretAccessKey'])"
    );
    let python = program.with_file_name("python");
    let made = lab
        .as_operator(python.to_str().expect("a path"))
        .args(["-c", &make, &documented_policy()])
        .output()
        .expect("python");
    let said = String::from_utf8(made.stdout).expect("text");
    let (id, secret) = said
        .trim()
        .split_once(' ')
        .unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&made.stderr)));
    let aws = lab.home().join(".aws");
    fs::create_dir(&aws).expect("a directory");
    let text = format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    fs::write(aws.join("credentials"), text).expect("credentials");
    (server, secret.to_owned())
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
