//! What the tokens of ssh_config(5) stand for in paths and commands: `%h`, `${NAME}`, `~`.

use std::path::{Path, PathBuf};

/// What a hop is, as far as tokens ask.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tokens<'a> {
    /// The operator's home directory.
    pub(super) home: &'a Path,
    /// The host as typed.
    pub(super) typed: &'a str,
    /// The host that is dialled.
    pub(super) host: &'a str,
    /// TCP port.
    pub(super) port: u16,
    /// Login there.
    pub(super) user: &'a str,
    /// `HostKeyAlias`.
    pub(super) alias: Option<&'a str>,
}

impl Tokens<'_> {
    /// A path of the configuration: `~`, `${NAME}` and tokens filled in.
    ///
    /// # Errors
    /// A token that means nothing here, a variable that is not set; as a sentence. OpenSSH ends there too.
    pub(super) fn path(&self, text: &str) -> Result<PathBuf, String> {
        let Some(rest) = text.strip_prefix('~') else {
            return self.fill(text, true).map(PathBuf::from);
        };
        let (account, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let home = match account {
            "" => self.home.to_owned(),
            account => home_of(account).ok_or_else(|| format!("`{text}`: there is no account `{account}`"))?,
        };
        Ok(home.join(self.fill(rest, true)?))
    }

    /// A command of the configuration. The shell that it is given to takes care of `~` and variables.
    ///
    /// # Errors
    /// A token that means nothing here, as a sentence.
    pub(super) fn command(&self, text: &str) -> Result<String, String> {
        self.fill(text, false)
    }

    /// In one pass: what a token or a variable stands for is not looked at again.
    fn fill(&self, text: &str, variables: bool) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['%', '$']) {
            filled.push_str(&rest[..at]);
            let (sign, after) = rest[at..].split_at(1);
            rest = after;
            if sign == "%" {
                let token = after
                    .chars()
                    .next()
                    .ok_or_else(|| format!("`{text}` ends with a single `%`"))?;
                let meaning = self
                    .meaning(token)
                    .ok_or_else(|| format!("`{text}`: quorate does not know the token `%{token}`"))?;
                filled.push_str(&meaning);
                rest = &after[token.len_utf8()..];
            } else if let (true, Some(name)) = (variables, after.strip_prefix('{')) {
                let (name, behind) = name
                    .split_once('}')
                    .ok_or_else(|| format!("`{text}`: `${{` has no `}}`"))?;
                let value = std::env::var(name).map_err(|_| format!("`{text}`: the variable `{name}` is not set"))?;
                filled.push_str(&value);
                rest = behind;
            } else {
                filled.push('$');
            }
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn meaning(&self, token: char) -> Option<String> {
        let name = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        Some(match token {
            '%' => "%".to_owned(),
            'd' => self.home.to_string_lossy().into_owned(),
            'h' => self.host.to_owned(),
            'i' => rustix::process::getuid().as_raw().to_string(),
            'k' => self.alias.unwrap_or(self.typed).to_owned(),
            'l' => name(),
            'L' => name().split('.').next().unwrap_or_default().to_owned(),
            'n' => self.typed.to_owned(),
            'p' => self.port.to_string(),
            'r' => self.user.to_owned(),
            'u' => local_user()?,
            _ => return None,
        })
    }
}

/// The account that runs this program: from its number, as OpenSSH does, and where the account comes from a directory
/// service, from the environment.
pub(super) fn local_user() -> Option<String> {
    let own = rustix::process::getuid().as_raw().to_string();
    let listed = account(|fields| (fields.get(2)? == &own).then(|| fields[0].to_owned()));
    listed
        .or_else(|| std::env::var("USER").ok())
        .or_else(|| std::env::var("LOGNAME").ok())
}

fn home_of(name: &str) -> Option<PathBuf> {
    account(|fields| (fields[0] == name).then(|| fields.get(5).map(PathBuf::from))?)
}

/// The first account of `/etc/passwd` that `pick` takes.
fn account<T>(pick: impl Fn(&[&str]) -> Option<T>) -> Option<T> {
    let text = std::fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| pick(&line.split(':').collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop() -> Tokens<'static> {
        Tokens {
            home: Path::new("/home/me"),
            typed: "web",
            host: "web.lan",
            port: 2022,
            user: "deploy",
            alias: None,
        }
    }

    #[test]
    fn tokens_variables_and_home_directories_are_filled_in_once() {
        let path = |text: &str| hop().path(text).unwrap().to_string_lossy().into_owned();
        assert_eq!(
            path("~/.ssh/%h-%n-%p-%r-%k"),
            "/home/me/.ssh/web.lan-web-2022-deploy-web"
        );
        assert_eq!(path("%d/%%h"), "/home/me/%h");
        assert_eq!(path("~root/key"), "/root/key");
        assert_eq!(
            path("${CARGO_MANIFEST_DIR}/k"),
            concat!(env!("CARGO_MANIFEST_DIR"), "/k")
        );
        assert_eq!(path("/a/%L").split('.').count(), 1);
        let alias = Tokens {
            alias: Some("fleet"),
            ..hop()
        };
        assert_eq!(alias.path("%k").unwrap(), Path::new("fleet"));
        assert_eq!(
            hop().command("nc -x ~/p ${P} %h %p").unwrap(),
            "nc -x ~/p ${P} web.lan 2022"
        );
    }

    #[test]
    fn what_stands_for_nothing_is_said() {
        for (text, why) in [
            ("%Z", "`%Z`"),
            ("x%", "single"),
            ("${QUORATE_NEVER_SET}/x", "QUORATE_NEVER_SET"),
            ("${x", "has no"),
            ("~no-such-account/x", "no account"),
        ] {
            let error = hop().path(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
