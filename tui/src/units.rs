//! Counts, bytes and rates of bytes as people read them, on the screens, in plans and in tables.

/// Bytes in binary units with three significant digits: `1.46 GiB`.
pub fn bytes(n: i64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value.abs() >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{n} B")
    } else {
        format!("{} {}", significant(value), UNITS[unit])
    }
}

/// Three digits that count.
pub(crate) fn significant(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// A limit of bytes a second in the unit that it was meant in: what is a whole number of MB or MiB
/// is told so, and anything else exactly.
pub fn byte_rate(per_second: i64) -> String {
    const UNITS: [(i64, &str); 6] = [
        (1 << 30, "GiB"),
        (1_000_000_000, "GB"),
        (1 << 20, "MiB"),
        (1_000_000, "MB"),
        (1 << 10, "KiB"),
        (1_000, "kB"),
    ];
    let mut units = UNITS.iter();
    match units.find(|(unit, _)| per_second > 0 && per_second % unit == 0) {
        Some((unit, name)) => format!("{} {name}/s", per_second / unit),
        None => format!("{per_second} B/s"),
    }
}

/// `1 message`, `2 messages`.
pub fn counted(n: impl TryInto<u64>, noun: &str) -> String {
    match n.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {noun}"),
        n => format!("{n} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        let told = [0_usize, 1, 2].map(|n| counted(n, "message"));
        assert_eq!(told, ["0 messages", "1 message", "2 messages"]);
    }

    #[test]
    fn a_limit_is_told_exactly_in_the_largest_unit() {
        for (rate, told) in [
            (20_000_000, "20 MB/s"),
            (10_485_760, "10 MiB/s"),
            (100_000, "100 kB/s"),
            (2_000, "2 kB/s"),
            (2_048, "2 KiB/s"),
            (1 << 30, "1 GiB/s"),
            (950_001, "950001 B/s"),
            (0, "0 B/s"),
        ] {
            assert_eq!(byte_rate(rate), told);
        }
    }
}
