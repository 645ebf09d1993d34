//! Ansible's ranges of hosts: `node[01:03]`, `db-[a:f]`, `[1:9:2].example.com`.

/// More is a slip of the finger.
const MOST: usize = 1000;

/// Every name that a pattern stands for; itself, when it has no range.
///
/// # Errors
/// A sentence and what to do.
pub(super) fn expand(pattern: &str) -> Result<Vec<String>, (String, &'static str)> {
    let mut names = vec![String::new()];
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('[') {
        let Some((inside, beyond)) = after.split_once(']') else {
            break;
        };
        let pieces: Vec<String> = match values(inside) {
            Some(values) => values.map_err(|(wrong, help)| (format!("`{}` {wrong}", pattern.escape_debug()), help))?,
            // An IPv6 address has brackets as well.
            None => vec![format!("[{inside}]")],
        };
        if names.len().saturating_mul(pieces.len()) > MOST {
            return Err((
                format!("`{}` stands for more than {MOST} hosts", pattern.escape_debug()),
                "an etcd cluster has 3 or 5: name those, or put them into a group of their own and pass `--group`",
            ));
        }
        names = names
            .iter()
            .flat_map(|name| pieces.iter().map(move |piece| format!("{name}{before}{piece}")))
            .collect();
        rest = beyond;
    }
    Ok(names.into_iter().map(|name| name + rest).collect())
}

type Values = Result<Vec<String>, (&'static str, &'static str)>;

/// The values of `01:03` or `a:f:2`; `None` when that is no range.
fn values(text: &str) -> Option<Values> {
    let parts: Vec<&str> = text.split(':').collect();
    let (first, last, step) = match parts.as_slice() {
        [first, last] => (*first, *last, "1"),
        [first, last, step] => (*first, *last, *step),
        _ => return None,
    };
    let first = if first.is_empty() { "0" } else { first };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let letter = |text: &str| text.len() == 1 && text.bytes().all(|b| b.is_ascii_alphabetic());
    let is_range = (digits(first) && digits(last) || letter(first) && letter(last)) && digits(step);
    is_range.then(|| counted(first, last, step))
}

fn counted(first: &str, last: &str, step: &str) -> Values {
    const HELP: &str = "write it like `node[01:03]`, both ends with as many digits";
    let Some(step) = step.parse::<usize>().ok().filter(|step| *step > 0) else {
        return Err(("counts in steps that are no number", HELP));
    };
    if let ([from], [to], false) = (first.as_bytes(), last.as_bytes(), first.as_bytes()[0].is_ascii_digit()) {
        return match from <= to {
            true => Ok((*from..=*to).step_by(step).map(|c| char::from(c).to_string()).collect()),
            false => Err(("counts backwards", HELP)),
        };
    }
    let (Ok(from), Ok(to)) = (first.parse::<u32>(), last.parse::<u32>()) else {
        return Err(("counts too far", HELP));
    };
    let padded = first.len() > 1 && first.starts_with('0');
    if padded && first.len() != last.len() {
        return Err(("has ends of different lengths", HELP));
    }
    if from > to {
        return Err(("counts backwards", HELP));
    }
    let width = if padded { first.len() } else { 0 };
    // One more than the limit is enough to see that it is passed.
    Ok((from..=to)
        .step_by(step)
        .take(MOST + 1)
        .map(|n| format!("{n:0width$}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_what_ansible_makes_of_them() {
        assert_eq!(expand("etcd-1").unwrap(), ["etcd-1"]);
        assert_eq!(expand("node[08:11]").unwrap(), ["node08", "node09", "node10", "node11"]);
        assert_eq!(expand("n[1:5:2].lab").unwrap(), ["n1.lab", "n3.lab", "n5.lab"]);
        assert_eq!(expand("r[a:b]-[1:2]").unwrap(), ["ra-1", "ra-2", "rb-1", "rb-2"]);
        assert_eq!(expand("[2001:db8::1]:22").unwrap(), ["[2001:db8::1]:22"]);
        assert_eq!(expand("odd[").unwrap(), ["odd["]);
    }

    #[test]
    fn a_range_that_is_a_mistake_is_one() {
        for (pattern, why) in [
            ("n[3:1]", "backwards"),
            ("n[c:a]", "backwards"),
            ("n[01:100]", "lengths"),
            ("n[1:3:0]", "steps"),
            ("n[0:4294967295]", "more than 1000"),
            ("n[0:99999999999]", "too far"),
            ("n[1:999]-[1:999]-[1:999]", "more than 1000"),
        ] {
            let (wrong, _) = expand(pattern).unwrap_err();
            assert!(wrong.contains(why), "{pattern}: {wrong}");
        }
    }
}
