//! A security token as an agent shows it: a key of FIDO's kind that nobody can copy. Every signature says that a person
//! touched it.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{Algorithm, PrivateKey};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

const KIND: &str = "sk-ssh-ed25519@openssh.com";
const APPLICATION: &str = "ssh:";

// PROTOCOL.agent of OpenSSH.
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
const FAILURE: u8 = 5;

/// An agent at `socket` with one key, whose public half goes to `public`. Ends with the test.
pub async fn plug_in(socket: &Path, public: &Path) -> PathBuf {
    let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap();
    let blob = blob(&key);
    std::fs::write(public, format!("{KIND} {} token\n", STANDARD.encode(&blob))).unwrap();
    let listener = UnixListener::bind(socket).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, key.clone(), blob.clone()));
        }
    });
    socket.to_owned()
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
    out.extend(bytes);
}

/// PROTOCOL.u2f: type, public key, application.
fn blob(key: &PrivateKey) -> Vec<u8> {
    let KeypairData::Ed25519(pair) = key.key_data() else {
        unreachable!("it was made as one");
    };
    let mut blob = Vec::new();
    string(&mut blob, KIND.as_bytes());
    string(&mut blob, pair.public.as_ref());
    string(&mut blob, APPLICATION.as_bytes());
    blob
}

async fn serve(mut stream: UnixStream, key: PrivateKey, blob: Vec<u8>) {
    while let Ok(length) = stream.read_u32().await {
        let mut request = vec![0; length as usize];
        stream.read_exact(&mut request).await.unwrap();
        let answer = match request[0] {
            REQUEST_IDENTITIES => {
                let mut answer = vec![IDENTITIES_ANSWER, 0, 0, 0, 1];
                string(&mut answer, &blob);
                string(&mut answer, b"token");
                answer
            }
            SIGN_REQUEST => {
                let (_, rest) = taken(&request[1..]);
                let (data, _) = taken(rest);
                let mut answer = vec![SIGN_RESPONSE];
                string(&mut answer, &signature(&key, data));
                answer
            }
            _ => vec![FAILURE],
        };
        let mut message = Vec::new();
        string(&mut message, &answer);
        stream.write_all(&message).await.unwrap();
    }
}

fn taken(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = bytes.split_at(4);
    rest.split_at(u32::from_be_bytes(length.try_into().unwrap()) as usize)
}

/// PROTOCOL.u2f: the token signs hashes of application and data, a byte that says "touched", and its counter.
fn signature(key: &PrivateKey, data: &[u8]) -> Vec<u8> {
    let (touched, counter) = (1_u8, 7_u32);
    let mut signed = Sha256::digest(APPLICATION).to_vec();
    signed.push(touched);
    signed.extend(counter.to_be_bytes());
    signed.extend(Sha256::digest(data));
    let made = key.key_data().try_sign(&signed).unwrap();
    let mut signature = Vec::new();
    string(&mut signature, KIND.as_bytes());
    string(&mut signature, made.as_bytes());
    signature.push(touched);
    signature.extend(counter.to_be_bytes());
    signature
}
