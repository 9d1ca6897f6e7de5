//! Points in time as people read and type them, in the zone of this machine.

/// A time of the wall clock in the local zone, with milliseconds.
pub fn timestamp_ms(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(at) if ms >= 0 => {
            let zoned = at.to_zoned(time_zone());
            zoned.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
        }
        _ => "–".to_owned(),
    }
}

/// The zone of this machine; in tests the same everywhere.
pub fn time_zone() -> jiff::tz::TimeZone {
    if cfg!(test) {
        jiff::tz::TimeZone::UTC
    } else {
        jiff::tz::TimeZone::system()
    }
}

/// The time of day alone.
pub fn clock_ms(ms: i64) -> String {
    let text = timestamp_ms(ms);
    text.get(11..19).map_or(text.clone(), str::to_owned)
}

/// A point in time as a person types it, in milliseconds since the epoch: `10m` ago, `13:45` today,
/// a date, a date and time, or a timestamp as Kafka writes it.
pub fn parse_time(text: &str, now_ms: i64) -> Option<i64> {
    let text = text.trim();
    let (number, unit) = text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    );
    let unit_ms = match unit {
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    if let (Ok(n), Some(unit_ms)) = (number.parse::<i64>(), unit_ms) {
        return now_ms.checked_sub(n.checked_mul(unit_ms)?);
    }
    // A long number is a timestamp as Kafka writes it.
    if unit.is_empty() && number.len() >= 12 {
        return number.parse().ok();
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(at.as_millisecond());
    }
    let zone = time_zone();
    let today = jiff::Timestamp::from_millisecond(now_ms)
        .ok()?
        .to_zoned(zone.clone())
        .date();
    let civil = match text.parse::<jiff::civil::DateTime>() {
        Ok(civil) => civil,
        Err(_) => match text.parse::<jiff::civil::Time>() {
            Ok(time) => today.to_datetime(time),
            Err(_) => text
                .parse::<jiff::civil::Date>()
                .ok()?
                .to_datetime(jiff::civil::Time::midnight()),
        },
    };
    Some(civil.to_zoned(zone).ok()?.timestamp().as_millisecond())
}
