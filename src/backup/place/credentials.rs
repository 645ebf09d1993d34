//! S3 credentials from the usual places: the environment, then `~/.aws/credentials`. Never from the command line.

use std::path::Path;

/// A pair of keys, and a token where they are temporary ones. Not shown by `Debug`: it holds a secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Keys {
    pub id: String,
    pub secret: String,
    pub token: Option<String>,
}

/// Finds keys. `environment` gives the value of a variable; `None` stands for keys that the library finds by itself
/// (the environment, a web identity, the instance's role).
///
/// # Errors
/// When a profile was named and does not hold any.
pub(super) fn find(environment: &dyn Fn(&str) -> Option<String>, home: Option<&Path>) -> Result<Option<Keys>, String> {
    let by_library = [
        "AWS_ACCESS_KEY_ID",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ];
    let profile = environment("AWS_PROFILE");
    if profile.is_none() && by_library.iter().any(|name| environment(name).is_some()) {
        return Ok(None);
    }
    let file = environment("AWS_SHARED_CREDENTIALS_FILE")
        .map(Into::into)
        .or_else(|| home.map(|home| home.join(".aws/credentials")))
        .ok_or("there is neither AWS_ACCESS_KEY_ID nor a home directory")?;
    let text = std::fs::read_to_string(&file)
        .map_err(|error| format!("AWS_ACCESS_KEY_ID is not set, and {}: {error}", file.display()))?;
    let profile = profile.unwrap_or_else(|| "default".to_owned());
    match parse(&text, &profile) {
        Some(keys) => Ok(Some(keys)),
        None => Err(format!("{} has no keys for the profile {profile}", file.display())),
    }
}

/// The keys of a profile.
fn parse(text: &str, profile: &str) -> Option<Keys> {
    let (mut id, mut secret, mut token) = (None, None, None);
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = name.trim() == profile;
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| inside && !line.starts_with('#')) else {
            continue;
        };
        let value = Some(value.trim().to_owned());
        match key.trim() {
            "aws_access_key_id" => id = value,
            "aws_secret_access_key" => secret = value,
            "aws_session_token" => token = value,
            _ => {}
        }
    }
    Some(Keys {
        id: id?,
        secret: secret?,
        token,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[default]\naws_access_key_id = A\naws_secret_access_key=B\n# x = y\n\n[ other ]\n\
                        aws_access_key_id = C\naws_secret_access_key = D=E\naws_session_token = F\n[empty]\n";

    #[test]
    fn each_profile_has_its_own_keys() {
        let keys = parse(FILE, "default").unwrap();
        assert!((keys.id, keys.secret, keys.token) == ("A".into(), "B".into(), None));
        let keys = parse(FILE, "other").unwrap();
        assert!((keys.id, keys.secret, keys.token) == ("C".into(), "D=E".into(), Some("F".into())));
        assert!(parse(FILE, "empty").is_none() && parse(FILE, "none").is_none());
    }

    #[test]
    fn the_environment_comes_first_unless_a_profile_is_named() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        std::fs::write(home.path().join(".aws/credentials"), FILE).unwrap();
        let with = |set: &'static [(&str, &str)]| {
            let environment = |name: &str| {
                set.iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| (*value).to_owned())
            };
            find(&environment, Some(home.path()))
        };
        assert!(with(&[("AWS_ACCESS_KEY_ID", "X")]).unwrap().is_none());
        assert!(with(&[]).unwrap().unwrap().id == "A");
        assert!(
            with(&[("AWS_PROFILE", "other"), ("AWS_ACCESS_KEY_ID", "X")])
                .unwrap()
                .unwrap()
                .id
                == "C"
        );
        assert!(with(&[("AWS_PROFILE", "none")]).is_err_and(|why| why.contains("none")));
        assert!(find(&|_| None, None).is_err());
    }
}
