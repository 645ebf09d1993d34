//! Programs on the host (etcdutl, ...) and files from it.

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::trouble::{passed, script_failed};
use super::{Host, HostError, Output, Running, Stdin, scripts};
use crate::bounds::Pace;
use crate::inventory::HostPath;

impl Host {
    /// Runs a program and waits for it. Its exit status is in the output; judging it is the caller's business.
    /// `argv` must not hold secrets: everyone on the host can read it.
    ///
    /// # Errors
    /// When the host cannot be reached.
    pub async fn run_program(&self, argv: &[String], stdin: Stdin) -> Result<Output, HostError> {
        self.transport
            .run(&scripts::RUN_PROGRAM.with(argv.to_vec()), stdin)
            .await
    }

    /// Copies a file of the host, of no more than `most` bytes, to `to`; returns how many there were.
    ///
    /// # Errors
    /// When it cannot be read to its end on the host, or not be written here.
    pub async fn receive_file(
        &self,
        path: &HostPath,
        most: u64,
        to: &mut (dyn AsyncWrite + Unpin + Send),
    ) -> Result<u64, HostError> {
        let operation = format!("reading {path}");
        let local = |error: std::io::Error| HostError::Lost {
            node: self.node.clone(),
            operation: operation.clone(),
            why: format!("cannot write it locally: {error}"),
        };
        let script = scripts::READ.with(vec![path.to_string()]);
        let mut running = self.transport.spawn(&script).await?;
        let mut pace = Pace::new(most);
        let over = |exceeded| passed(&self.node, &operation, exceeded);
        while let Some(chunk) = pace.wait(running.stdout.recv()).await.map_err(over)? {
            pace.count(chunk.len()).map_err(over)?;
            to.write_all(&chunk).await.map_err(local)?;
        }
        to.flush().await.map_err(local)?;
        let output = finished(self, &operation, running).await?;
        // Without a clean end the file may have been cut off.
        if output.ok() {
            Ok(pace.came())
        } else {
            Err(script_failed(&self.node, &operation, &output))
        }
    }
}

async fn finished(host: &Host, operation: &str, running: Running) -> Result<Output, HostError> {
    running.end().await.unwrap_or_else(|| {
        Err(HostError::Lost {
            node: host.node.clone(),
            operation: operation.to_owned(),
            why: "the script on the host did not finish".to_owned(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::testbed::Testbed;
    use super::super::verbs::{input, no_input};

    fn argv(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[tokio::test]
    async fn a_program_gets_its_arguments_and_input_unchanged() {
        let host = Testbed::new().host();
        let output = host
            .run_program(&argv(&["printf", "%s|", "a b", "$HOME;*"]), no_input())
            .await;
        assert_eq!(output.unwrap().stdout, b"a b|$HOME;*|");
        let output = host.run_program(&argv(&["cat"]), input("text")).await.unwrap();
        assert_eq!((output.stdout.as_slice(), output.status), (b"text".as_slice(), Some(0)));
        let missing = host
            .run_program(&argv(&["/no/such/program"]), no_input())
            .await
            .unwrap();
        assert_eq!(missing.status, Some(127));
    }

    #[tokio::test]
    async fn a_file_arrives_whole_or_as_an_error() {
        let bed = Testbed::new();
        let bytes: Vec<u8> = (0..700_000u32).map(|n| (n % 251) as u8).collect();
        std::fs::write(bed.path("snapshot").as_str(), &bytes).unwrap();
        let mut received = Vec::new();
        let count = bed
            .host()
            .receive_file(&bed.path("snapshot"), 1 << 20, &mut received)
            .await
            .unwrap();
        assert_eq!((count, received == bytes), (700_000, true));

        let error = bed
            .host()
            .receive_file(&bed.path("none"), 1 << 20, &mut Vec::new())
            .await
            .unwrap_err();
        assert!(error.to_string().contains("No such file"), "{error}");
    }
}
