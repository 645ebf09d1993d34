//! etcdctl on the host, for an operator whose own machine cannot run it.

use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};

use super::trouble::script_failed;
use super::{Host, HostError, Output, Running, scripts};
use crate::inventory::HostPath;

const OPERATION: &str = "running etcdctl";

/// What it runs with. Certificates and key travel inside the connection, to files that only root can read and that go with
/// etcdctl; everyone on the host can read `args`.
#[derive(Debug)]
pub struct Etcdctl<'a> {
    /// The program, on the host.
    pub program: &'a HostPath,
    /// Client URLs, separated by commas.
    pub endpoints: &'a str,
    /// Whom it trusts, PEM.
    pub ca_pem: &'a str,
    /// Who it is, PEM.
    pub cert_pem: &'a str,
    /// The key of that, PEM.
    pub key_pem: &'a SecretString,
    /// What it is told. No secret may be in here.
    pub args: Vec<String>,
}

/// An etcdctl that runs. It ends with the connection, or when this is dropped.
pub struct Sitting {
    host: Host,
    running: Running,
}

impl Host {
    /// Starts it.
    ///
    /// # Errors
    /// When the host cannot be reached. That it has no such program shows at the end.
    pub async fn etcdctl(&self, what: Etcdctl<'_>) -> Result<Sitting, HostError> {
        let files = [what.ca_pem, what.cert_pem, what.key_pem.expose_secret()];
        let mut args = vec![what.program.to_string(), what.endpoints.to_owned()];
        args.extend(files.map(|file| file.len().to_string()));
        args.extend(what.args);
        let mut sitting = Sitting {
            host: self.clone(),
            running: self.transport.spawn(&scripts::ETCDCTL.with(args)).await?,
        };
        for file in files {
            sitting.send(Bytes::copy_from_slice(file.as_bytes())).await;
        }
        Ok(sitting)
    }
}

impl Sitting {
    /// What it prints, as it comes; `None` when that was all. May be given up, and asked again.
    pub async fn said(&mut self) -> Option<Bytes> {
        self.running.stdout.recv().await
    }

    /// Has it read this.
    pub async fn feed(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.send(format!("data {}\n", bytes.len()).into()).await;
            self.send(Bytes::copy_from_slice(bytes)).await;
        }
    }

    /// Tells it that there is nothing more to read.
    pub async fn fed(&mut self) {
        self.send("end\n".into()).await;
    }

    /// Ends it where it still runs. What it left on standard error, and its exit status, are in the output.
    ///
    /// # Errors
    /// When the connection was lost, or the host does not have the program.
    pub async fn end(self) -> Result<Output, HostError> {
        let Some(ended) = self.running.end().await else {
            return Err(HostError::Lost {
                node: self.host.node.clone(),
                operation: OPERATION.to_owned(),
                why: "the script on the host did not finish".to_owned(),
            });
        };
        let output = ended?;
        // 70 is the script's own; etcdctl has none above 5, and 128 and more for signals.
        if output.status.is_none() || output.status == Some(70) {
            return Err(script_failed(&self.host.node, OPERATION, &output));
        }
        Ok(output)
    }

    /// Whoever ended says why at the end.
    async fn send(&mut self, bytes: Bytes) {
        let _ = self.running.stdin.send(bytes).await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::testbed::{Testbed, set_mode};
    use super::*;

    /// A program that is etcdctl as far as the script can tell.
    fn program(bed: &Testbed, text: &str) -> HostPath {
        let path = bed.path("etcdctl");
        bed.write(&path, &format!("#!/bin/sh\n{text}\n"));
        set_mode(&path, 0o755);
        path
    }

    async fn sitting(bed: &Testbed, program: &HostPath) -> Sitting {
        let key = SecretString::from("the key\n".to_owned());
        let what = Etcdctl {
            program,
            endpoints: "https://a:2379,https://b:2379",
            ca_pem: "the CA\n",
            cert_pem: "the certificate\n",
            key_pem: &key,
            args: vec!["put".to_owned(), "a key".to_owned()],
        };
        bed.host().etcdctl(what).await.unwrap()
    }

    async fn all(sitting: &mut Sitting) -> String {
        let mut text = Vec::new();
        while let Some(said) = sitting.said().await {
            text.extend_from_slice(&said);
        }
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn it_finds_its_certificate_reads_what_it_is_fed_and_nothing_stays() {
        let bed = Testbed::new();
        let told = "echo \"$ETCDCTL_ENDPOINTS $*\"; cat \"$ETCDCTL_CACERT\" \"$ETCDCTL_CERT\" \"$ETCDCTL_KEY\"; \
                    dirname \"$ETCDCTL_KEY\"; stat -c %a \"$(dirname \"$ETCDCTL_KEY\")\" \"$ETCDCTL_KEY\"; cat; exit 3";
        let mut sitting = sitting(&bed, &program(&bed, told)).await;
        sitting.feed(b"line\nend\ndata 5\n").await;
        sitting.feed(b"").await;
        sitting.feed(b"more").await;
        sitting.fed().await;
        let text = all(&mut sitting).await;
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..4],
            [
                "https://a:2379,https://b:2379 put a key",
                "the CA",
                "the certificate",
                "the key"
            ]
        );
        assert_eq!(lines[5..], ["700", "600", "line", "end", "data 5", "more"]);
        assert!(!std::path::Path::new(lines[4]).exists(), "{} is left", lines[4]);
        assert_eq!(sitting.end().await.unwrap().status, Some(3));
    }

    #[tokio::test]
    async fn one_that_waits_ends_with_the_operators_program_and_nothing_stays() {
        let bed = Testbed::new();
        let mut sitting = sitting(&bed, &program(&bed, "dirname \"$ETCDCTL_KEY\"; exec sleep 600")).await;
        let place = String::from_utf8(sitting.said().await.unwrap().to_vec()).unwrap();
        assert!(std::path::Path::new(place.trim()).exists());
        assert_eq!(sitting.end().await.unwrap().status, Some(128 + 15));
        assert!(!std::path::Path::new(place.trim()).exists(), "{place} is left");
    }

    #[tokio::test]
    async fn a_host_without_it_says_so() {
        let bed = Testbed::new();
        let mut sitting = sitting(&bed, &bed.path("none")).await;
        assert_eq!(all(&mut sitting).await, "");
        let error = sitting.end().await.unwrap_err();
        assert!(error.to_string().contains("there is no "), "{error}");
    }
}
