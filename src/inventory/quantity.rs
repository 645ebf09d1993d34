//! Durations and sizes as people write them: `8h`, `1h30m`, `10y`, `8GiB`, `8589934592`.

use std::time::Duration;

/// The units of durations, largest first, in seconds. A year is 365 days.
const DURATION_UNITS: [(&str, u64); 6] = [
    ("y", 365 * 86_400),
    ("w", 7 * 86_400),
    ("d", 86_400),
    ("h", 3_600),
    ("m", 60),
    ("s", 1),
];
/// The units below a second, in nanoseconds.
const SMALL_UNITS: [(&str, u64); 3] = [("ms", 1_000_000), ("us", 1_000), ("ns", 1)];

/// Reads `8h`, `1h30m`, `30d`, `10y`, `250ms`. A number without a unit means nothing here.
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = &rest[..letters];
        rest = rest[letters..].trim_start();
        let step = DURATION_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, seconds)| number.checked_mul(*seconds).map(Duration::from_secs))
            .or_else(|| {
                let (_, nanos) = SMALL_UNITS.iter().find(|(name, _)| *name == unit)?;
                Some(number.checked_mul(*nanos).map(Duration::from_nanos))
            })??;
        total = total.checked_add(step)?;
    }
    Some(total)
}

/// Writes a duration in the form [`duration`] reads, with the largest units that are exact.
pub fn show_duration(duration: Duration) -> String {
    if duration.is_zero() {
        return "0s".to_owned();
    }
    let mut text = String::new();
    let mut seconds = duration.as_secs();
    for (name, length) in DURATION_UNITS {
        let count = seconds / length;
        // Weeks are read but not written: `30d` says more than `4w2d`.
        if count > 0 && name != "w" {
            text.push_str(&format!("{count}{name}"));
            seconds %= length;
        }
    }
    let mut nanos = u64::from(duration.subsec_nanos());
    for (name, length) in SMALL_UNITS {
        if nanos >= length {
            text.push_str(&format!("{}{name}", nanos / length));
            nanos %= length;
        }
    }
    text
}

/// Reads `8GiB`, `512MiB`, `1500MB`, `8589934592`: bytes.
pub fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim_start() {
        "" | "B" => 1,
        "KiB" | "Ki" | "K" => 1 << 10,
        "MiB" | "Mi" | "M" => 1 << 20,
        "GiB" | "Gi" | "G" => 1 << 30,
        "TiB" | "Ti" | "T" => 1 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn human_forms_are_read_and_anything_else_is_not() {
        assert_eq!(duration("8h"), Some(Duration::from_secs(28_800)));
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5_400)));
        assert_eq!(duration("1h 30m"), Some(Duration::from_secs(5_400)));
        assert_eq!(duration("10y"), Some(Duration::from_secs(10 * 365 * 86_400)));
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        for bad in [
            "",
            "8",
            "h",
            "-1h",
            "1.5h",
            "8 hours",
            "1h30",
            "99999999999999999999h",
            "9999999999999y",
            "1é",
        ] {
            assert_eq!(duration(bad), None, "{bad:?}");
        }
        assert_eq!(size("8GiB"), Some(8_589_934_592));
        assert_eq!(size("8589934592"), Some(8_589_934_592));
        assert_eq!(size("1500 MB"), Some(1_500_000_000));
        for bad in ["", "GiB", "-1", "1.5GiB", "8 gib", "99999999999TiB", "8é"] {
            assert_eq!(size(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(nanos in any::<u64>()) {
            let value = Duration::from_nanos(nanos);
            prop_assert_eq!(duration(&show_duration(value)), Some(value));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = (duration(&text), size(&text));
        }
    }
}
