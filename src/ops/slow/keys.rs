//! Which prefixes hold most, from a bounded sample.

use serde::Serialize;

/// What is stored, as far as it was looked at.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Keys {
    /// How many keys there are.
    pub keys: u64,
    /// Prefixes, the largest first.
    pub groups: Vec<Group>,
    /// There are more prefixes, which were not looked at.
    pub more: bool,
}

/// Keys that begin alike.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Group {
    /// How they begin: their first two segments.
    pub prefix: String,
    /// How many.
    pub keys: u64,
    /// Of how many the size was read.
    pub sampled: u64,
    /// Keys and values together, by the average of the sample.
    pub bytes: u64,
    /// The largest value in the sample.
    pub largest_bytes: u64,
    /// Its key.
    pub largest_key: String,
}

impl Keys {
    /// Everything that was looked at, by the averages of the samples.
    pub fn bytes(&self) -> u64 {
        self.groups.iter().map(|group| group.bytes).sum()
    }
}

impl Group {
    /// Of a prefix with `keys` keys, of which these are the first, with the lengths of their values.
    pub fn of(prefix: &[u8], keys: u64, sample: &[(Vec<u8>, u64)]) -> Group {
        let read: u64 = sample.iter().map(|(key, value)| key.len() as u64 + value).sum();
        let largest = sample.iter().max_by_key(|(_, value)| *value);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Group {
            prefix: text(prefix),
            keys,
            sampled: sample.len() as u64,
            bytes: read.saturating_mul(keys) / (sample.len() as u64).max(1),
            largest_bytes: largest.map_or(0, |(_, value)| *value),
            largest_key: largest.map(|(key, _)| text(key)).unwrap_or_default(),
        }
    }
}

/// The prefix that a key is counted under: its first two segments, `/registry/pods/`; less where it has less; and a name without
/// segments without the number at its end. Never empty for a key that is not.
pub fn group_of(key: &[u8]) -> &[u8] {
    let slashes = key.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/');
    if let Some((at, _)) = slashes.take(2).last() {
        return &key[..=at];
    }
    let name = key.iter().rposition(|byte| !byte.is_ascii_digit());
    &key[..name.map_or(1, |last| last + 1).min(key.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_counted_under_their_first_two_segments() {
        for (key, prefix) in [
            ("/registry/pods/default/a", "/registry/pods/"),
            ("/registry/ranges", "/registry/"),
            ("app/users/7", "app/users/"),
            ("app/7", "app/"),
            ("/lonely", "/lonely"),
            ("job-000123", "job-"),
            ("42", "4"),
            ("", ""),
        ] {
            assert_eq!(String::from_utf8_lossy(group_of(key.as_bytes())), prefix, "{key}");
        }
    }

    #[test]
    fn a_prefix_is_as_large_as_its_sample_times_its_keys() {
        let sample = [(b"a/1".to_vec(), 97), (b"a/2".to_vec(), 297)];
        let group = Group::of(b"a/", 1000, &sample);
        assert_eq!((group.bytes, group.largest_bytes, group.sampled), (200_000, 297, 2));
        assert_eq!(group.largest_key, "a/2");
        assert_eq!(Group::of(b"a/", 0, &[]).bytes, 0);
    }
}
