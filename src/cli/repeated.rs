//! Global flags that may be repeated, wherever they stand: `quorate --skip a up --skip b` leaves out both. Of a global flag clap
//! keeps what is nearest to the end, and forgets what stood before the command: there it would be changed.

use std::path::PathBuf;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::args::Global;

/// Which ones: every level of the command has a flag of its own for each ([`super::help::command`]).
pub const REPEATED: [&str; 4] = ["inventory", "limit", "skip", "canary"];

/// Puts together what was typed before and after the command's name.
pub fn gather(global: &mut Global, typed: &ArgMatches) {
    global.limit = all(typed, "limit");
    global.fleet.skip = all(typed, "skip");
    global.fleet.canary = all(typed, "canary");
    let named: Vec<PathBuf> = all(typed, "inventory");
    if !named.is_empty() {
        global.inventories = named;
    }
    global.inventory = global.inventories.first().cloned().unwrap_or_default();
}

/// Every value of a flag that was typed, in order.
pub fn all<T: Clone + Send + Sync + 'static>(typed: &ArgMatches, flag: &str) -> Vec<T> {
    let levels = std::iter::successors(Some(typed), |level| level.subcommand().map(|(_, below)| below));
    let mut values = Vec::new();
    for level in levels {
        // A level without the flag is an error, one that was not typed there has a default or the environment's.
        if let Ok(Some(here)) = level.try_get_many::<T>(flag)
            && level.value_source(flag) == Some(ValueSource::CommandLine)
        {
            values.extend(here.cloned());
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;
    use crate::cli::args::Cli;
    use crate::cli::help;

    fn typed(line: &str) -> Global {
        let matches = help::command().try_get_matches_from(line.split(' ')).unwrap();
        let mut global = Cli::from_arg_matches(&matches).unwrap().global;
        gather(&mut global, &matches);
        global
    }

    #[test]
    fn nothing_is_forgotten_wherever_it_stands() {
        for line in [
            "quorate --fleet f --skip a --canary c plan --skip b --canary d",
            "quorate --skip a --skip b --canary c --canary d up --fleet f",
        ] {
            let global = typed(line);
            let names =
                |names: &[crate::inventory::ClusterName]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
            assert_eq!(names(&global.fleet.skip), ["a", "b"], "{line}");
            assert_eq!(names(&global.fleet.canary), ["c", "d"], "{line}");
        }
        assert_eq!(typed("quorate --limit n1 up --limit n2").limit.len(), 2);
        assert_eq!(typed("quorate pki --limit n1 renew --limit n2").limit.len(), 2);
        let global = typed("quorate -i a.yml backup -i b.yml list -i c.yml");
        assert_eq!(global.inventories, ["a.yml", "b.yml", "c.yml"].map(PathBuf::from));
        assert_eq!(global.inventory, PathBuf::from("a.yml"));
        assert_eq!(typed("quorate status").inventory, PathBuf::from("inventory.yml"));
    }
}
