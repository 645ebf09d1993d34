//! `pressure`: what the host and its member wait for, as the kernel counts it.

use super::facts_parser::Answer;
use super::trouble::not_understood;
use super::verbs::no_input;
use super::{Host, HostError, scripts};

/// Counters since the host's boot. What its kernel does not count is `None`, not zero.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pressure {
    /// The host's own clock, seconds since its boot: what the counters below are held against.
    pub uptime: f64,
    /// Tasks that run or want to, averaged over a minute.
    pub load: f64,
    /// Processors that are online.
    pub processors: u32,
    /// Processor time of all kinds, and of it what the hypervisor gave to others, in the kernel's ticks.
    pub ticks: Option<(u64, u64)>,
    /// Of the whole host.
    pub host: Waited,
    /// Of the member's unit alone (cgroup v2).
    pub member: Waited,
    /// For how long the member was not allowed to run, by a limit of its unit, microseconds.
    pub throttled: Option<u64>,
}

/// Microseconds in which some task waited for it (PSI, `some total`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waited {
    /// For a processor.
    pub cpu: Option<u64>,
    /// For a disk.
    pub io: Option<u64>,
    /// For memory.
    pub memory: Option<u64>,
}

impl Host {
    /// What the host and its member wait for. `pid` is the member's process, where it runs.
    ///
    /// # Errors
    /// When the host cannot be reached.
    pub async fn pressure(&self, pid: Option<u32>) -> Result<Pressure, HostError> {
        let operation = "reading the pressure";
        let args = vec![pid.unwrap_or_default().to_string()];
        let output = self.call(operation, scripts::PRESSURE, args, no_input()).await?;
        parse(&String::from_utf8_lossy(&output.stdout)).map_err(|why| not_understood(&self.node, operation, why))
    }
}

fn parse(text: &str) -> Result<Pressure, String> {
    let answer = Answer::read(text)?;
    let waited = |whose: &str| {
        let of = |what: &str| {
            let key = format!("{whose} {what} ");
            let mut lines = answer.all("pressure");
            lines.find_map(|line| line.strip_prefix(&key)?.trim().parse().ok())
        };
        Waited {
            cpu: of("cpu"),
            io: of("io"),
            memory: of("memory"),
        }
    };
    let ticks = answer.all("cpu").next().map(|line| {
        let each: Vec<u64> = line.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal; guests are in user and nice already.
        (each.iter().take(8).sum(), each.get(7).copied().unwrap_or_default())
    });
    Ok(Pressure {
        uptime: answer.number("uptime"),
        load: answer.number("load"),
        processors: answer.number("processors"),
        ticks,
        host: waited("host"),
        member: waited("member"),
        throttled: answer.all("throttled").next().and_then(|n| n.trim().parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testbed::Testbed;

    #[tokio::test]
    async fn this_machine_is_understood() {
        let here = Testbed::new().host().pressure(Some(std::process::id())).await.unwrap();
        assert!(here.uptime > 0.0 && here.processors > 0, "{here:?}");
        let (all, stolen) = here.ticks.unwrap();
        assert!(all > stolen, "{here:?}");
        let counted = std::fs::read_to_string("/proc/pressure/cpu").is_ok();
        assert_eq!(here.host.cpu.is_some(), counted, "{here:?}");
    }

    #[test]
    fn what_is_not_counted_is_not_zero() {
        let told = parse("uptime 5.5\nload 0.1\ncpu 1 2 3 4 5 6 7 8 9 10\nprocessors 2\npressure host io 70\ndone\n");
        let expected = Pressure {
            uptime: 5.5,
            load: 0.1,
            processors: 2,
            ticks: Some((36, 8)),
            host: Waited {
                io: Some(70),
                ..Waited::default()
            },
            ..Pressure::default()
        };
        assert_eq!(told, Ok(expected));
        assert!(parse("uptime 5.5\n").is_err(), "cut off");
    }
}
