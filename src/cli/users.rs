//! `users`: those of etcd's users that log in with a password. Touches no host.

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::args::{Global, LoginReader, UsersCommand, UsersFiles, UsersPassword};
use super::error::{Exit, Failure};
use super::files::{nothing_is_replaced, with_lines, write, write_together};
use super::pki::{file_name, warn_if_cut};
use super::session::Session;
use crate::clients::login::{Login, patroni};
use crate::inventory::leaf::nearest;
use crate::inventory::{AuthMode, Desired};
use crate::pki::passwords::{fit, random};
use crate::pki::{AuthorityError, bundle_pem, nobody_spec};

/// The longest line that is read for a password; far more than one may have.
const LONGEST_INPUT: u64 = 4096;

/// `users ...`.
///
/// # Errors
/// See the exit codes.
pub async fn users(global: &Global, command: &UsersCommand) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    match command {
        UsersCommand::Password(args) => password(&session, args).await,
        UsersCommand::Files(args) => files(&session, args).await,
    }
}

/// Seals a new password; etcd has the one before until `up`.
async fn password(session: &Session, args: &UsersPassword) -> Result<Exit, Failure> {
    logs_in(session.desired(), &args.user)?;
    let password = match args.stdin {
        true => given()?,
        false => random().map_err(no_randomness)?,
    };
    let path = session.vault().seal_password(&args.user, &password).await?;
    session.finish(
        true,
        1,
        format!(
            "{} is sealed: commit it. `quorate up` sets the password in etcd, which refuses the one before from then on; `quorate \
             users files {} --replace` writes it for the clients",
            path.display(),
            args.user
        ),
    );
    Ok(Exit::Done)
}

fn no_randomness(error: AuthorityError) -> Failure {
    Failure::new(Exit::Unexpected, &error).hint(error.hint())
}

fn given() -> Result<SecretString, Failure> {
    if std::io::stdin().is_terminal() {
        return Err(Failure::new(
            Exit::Usage,
            "--stdin takes a password from a pipe or a file, not from a terminal",
        )
        .hint("leave `--stdin` out for a random one"));
    }
    let mut text = Zeroizing::new(String::with_capacity(LONGEST_INPUT as usize));
    let read = std::io::stdin().lock().take(LONGEST_INPUT).read_to_string(&mut text);
    read.map_err(|error| Failure::unexpected("cannot read standard input", error))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = Zeroizing::new(line.strip_suffix('\r').unwrap_or(line).to_owned());
    fit(line).map_err(|why| Failure::new(Exit::Usage, why).hint("leave `--stdin` out for a random one"))
}

/// Writes certificate, key and password of a user below one directory.
async fn files(session: &Session, args: &UsersFiles) -> Result<Exit, Failure> {
    let desired = session.desired();
    let user = file_name(&args.user)?;
    fits(session, args)?;
    if desired.auth.mode == AuthMode::On {
        logs_in(desired, user)?;
    }
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(user));
    let given = Given::of(user, args.reader);
    if !args.replace {
        nothing_is_replaced(&out, given.paths())?;
    }
    let password = sealed(session, user).await?;
    let password = password.as_ref().map(|secret| secret.expose_secret());
    let login = Login { user, password };
    let dir = args.dir.as_deref().unwrap_or("/etc/patroni/etcd");
    let text = match args.reader {
        LoginReader::Plain => login.password.map(|password| Zeroizing::new(format!("{password}\n"))),
        LoginReader::Patroni => {
            let text = patroni(desired, login, dir);
            Some(Zeroizing::new(
                text.map_err(|e| Failure::new(Exit::Unexpected, &e).hint(e.hint()))?,
            ))
        }
    };

    let validity = args.validity.unwrap_or(desired.pki.leaf_validity);
    let name = file_name(args.name.as_deref().unwrap_or(user))?;
    let spec =
        nobody_spec(name, validity, desired.pki.key_type).map_err(|e| Failure::new(Exit::Usage, &e).hint(e.hint()))?;
    let ignored = with_lines(&out.join(".gitignore"), &given.gitignore())?;
    let (trusted, issued) = session.vault().issue_client(name, &spec).await?;
    // First, so that no key is ever there without it.
    write(&out, ".gitignore", 0o644, &ignored)?;
    let ca = bundle_pem(&trusted);
    let mut written = vec![
        ("ca.crt", 0o644, ca.as_str()),
        (given.cert.as_str(), 0o644, issued.cert_pem.as_str()),
        (given.key.as_str(), 0o600, issued.key.expose_pem()),
    ];
    written.extend(text.as_ref().map(|text| (given.secret.as_str(), 0o600, text.as_str())));
    let count = written.len();
    write_together(&out, written)?;
    warn_if_cut(session, issued.facts.not_after, validity);
    session.finish(
        true,
        count,
        format!(
            "{count} files in {}, valid until {}; recorded in issued.yml as `{name}`: commit it. Key and password are readable to \
             you alone{}",
            out.display(),
            issued.facts.not_after,
            match args.reader {
                LoginReader::Plain => String::new(),
                LoginReader::Patroni => format!(
                    ". Next: copy the files to {dir} of every Patroni host, readable to its account only, and put {} into its \
                     configuration",
                    given.secret
                ),
            }
        ),
    );
    Ok(Exit::Done)
}

/// The files, by their names.
struct Given {
    cert: String,
    key: String,
    secret: String,
}

impl Given {
    fn of(user: &str, reader: LoginReader) -> Self {
        Self {
            cert: format!("{user}.crt"),
            key: format!("{user}.key"),
            secret: match reader {
                LoginReader::Plain => format!("{user}.password"),
                LoginReader::Patroni => "patroni-etcd3.yml".to_owned(),
            },
        }
    }

    fn paths(&self) -> [&str; 4] {
        ["ca.crt", &self.cert, &self.key, &self.secret]
    }

    fn gitignore(&self) -> String {
        format!(
            "# Keys. Written by `quorate users files`.\n/{}\n/{}\n",
            self.key, self.secret
        )
    }
}

/// The sealed password of a user that is to have one.
async fn sealed(session: &Session, user: &str) -> Result<Option<SecretString>, Failure> {
    let wanted = session.desired().auth.passwords.get(user).cloned();
    let opened = session.vault().passwords(&wanted.iter().cloned().collect()).await?;
    match (wanted, opened.into_values().next()) {
        (None, _) => Ok(None),
        (Some(_), Some(password)) => Ok(Some(password)),
        (Some(_), None) => Err(
            Failure::new(Exit::Usage, format!("no password is sealed for `{user}` yet")).hint(format!(
                "run `quorate up`, which makes one, or `quorate users password {user}`; then run this again"
            )),
        ),
    }
}

/// Only a user of the inventory that is to have a password has one.
fn logs_in(desired: &Desired, user: &str) -> Result<(), Failure> {
    let auth = &desired.auth;
    if auth.passwords.contains(user) {
        return Ok(());
    }
    if auth.users.contains_key(user) {
        return Err(Failure::new(
            Exit::Inventory,
            format!("`{user}` logs in with its certificate, not with a password"),
        )
        .hint("add `password: true` to its entry under `users`"));
    }
    let hint = match nearest(user, auth.passwords.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "add it under `users` with `password: true`, and set `etcd.auth: true`".to_owned(),
    };
    Err(Failure::new(
        Exit::Inventory,
        format!("the inventory has no user `{}`", user.escape_debug()),
    )
    .hint(hint))
}

/// Patroni speaks JSON; of the others nobody knows.
fn fits(session: &Session, args: &UsersFiles) -> Result<(), Failure> {
    let gateway = session.desired().gateway_is_on();
    match args.reader {
        LoginReader::Plain if args.dir.is_some() => Err(Failure::new(
            Exit::Usage,
            "`--dir` is written into Patroni's configuration only",
        )
        .hint("pass `--for patroni`, or leave `--dir` out")),
        LoginReader::Plain if !gateway => {
            session.note("etcd's gRPC gateway is off: clients that speak JSON would get 404 (`clients` in the inventory turns it on)");
            Ok(())
        }
        LoginReader::Plain => Ok(()),
        LoginReader::Patroni if gateway => Ok(()),
        LoginReader::Patroni => Err(Failure::new(
            Exit::Inventory,
            "members would answer 404 to Patroni: etcd's gRPC gateway is off",
        )
        .hint("add `clients: [patroni]` to the inventory, run `quorate up`, then run this again")),
    }
}
