//! The patterns of OpenSSH's files: `*`, `?`, and lists with `!` in front of what is excluded.

/// Whether `text` matches `pattern`, in which `*` stands for any run of characters and `?` for one. ASCII case is ignored.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || c.eq_ignore_ascii_case(&text[t]) => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((star, from)) => {
                    p = star + 1;
                    t = from + 1;
                    retry = Some((star, t));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// Whether one of `patterns` matches and none that starts with `!` does.
pub(super) fn list_matches<'a>(patterns: impl IntoIterator<Item = &'a str>, text: &str) -> bool {
    let mut found = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(excluded) if matches(excluded, text) => return false,
            Some(_) => {}
            None => found |= matches(pattern, text),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_openssh_reads_them() {
        for (pattern, text) in [
            ("*", ""),
            ("a*c", "abbc"),
            ("10.0.0.?", "10.0.0.7"),
            ("*.Example.com", "a.example.COM"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("a", ""),
            ("10.0.0.?", "10.0.0.12"),
            ("*.example.com", "example.com"),
            ("a*b", "ac"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn an_exclusion_wins_over_every_match() {
        assert!(list_matches(["*.a", "!x.a"], "y.a"));
        assert!(!list_matches(["*.a", "!x.a"], "x.a"));
        assert!(!list_matches(["!x.a"], "y.a"));
    }
}
