//! `users ...` as it is typed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::args::{parse_duration, plain_path};

/// `users ...`
#[derive(Debug, Subcommand)]
pub enum UsersCommand {
    /// Seal a new password for one of etcd's users; `up` sets it in etcd
    #[command(
        after_help = "At random, unless one is given. Sealed to the recipients of the CA key, in `passwords` in the pki directory. Changes\nno host.\n\nExamples:\n  quorate users password patroni\n  pass show patroni | quorate users password patroni --stdin"
    )]
    Password(UsersPassword),
    /// Issue a client certificate for a user that logs in with a password, and write it with the password
    #[command(
        after_help = "The certificate has no common name, since etcd's gateway refuses those once `etcd.auth` is on. Key and password have\nmode 0600, and a .gitignore names them. Changes no host.\n\nExamples:\n  quorate users files patroni --for patroni --out pg-1\n  quorate users files apisix --out apisix"
    )]
    Files(UsersFiles),
}

/// `users password`
#[derive(Debug, Args)]
pub struct UsersPassword {
    /// The user, as listed under `users` with `password: true`
    pub user: String,
    /// Read it from standard input, one line
    #[arg(long)]
    pub stdin: bool,
}

/// `users files`
#[derive(Debug, Args)]
pub struct UsersFiles {
    /// The user
    pub user: String,
    /// Who reads the files
    #[arg(long = "for", value_enum, default_value_t = LoginReader::Plain)]
    pub reader: LoginReader,
    /// Write them into this directory [default: the user's name]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace files that are there already
    #[arg(long)]
    pub replace: bool,
    /// The name in issued.yml; another one for each host that gets a certificate of its own [default: the user]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// How long the certificate is valid [default: `pki.leaf_validity` of the inventory]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub validity: Option<std::time::Duration>,
    /// With `--for patroni`: where the files will be on its hosts [default: /etc/patroni/etcd]
    #[arg(long, value_name = "DIR", value_parser = plain_path)]
    pub dir: Option<String>,
}

/// Who can be given the files of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LoginReader {
    /// Anybody: certificate, key and password, a file each.
    Plain,
    /// Patroni: certificate, key, and the section `etcd3` of its configuration.
    Patroni,
}
