//! Lag as time: how long ago the log ended where a consumer is, how long until it is at the end,
//! and until retention takes what it has not read.

use serde::Serialize;

/// Points that are kept of a partition.
pub const POINTS_MAX: usize = 60;

/// Up to so many points there is no room for more than there are: of a log that nobody writes to
/// there are two.
const SINGLY_MAX: usize = 4;

/// Where a partition's log ended at which times, oldest first.
///
/// As in kafka-lag-exporter: of an end that stays the same only the first and the last point are
/// kept. An end that goes back is another log, and the points of the old one are worth nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndSamples {
    /// Few, and there is such a list for each of many partitions: room is made for one by one at first.
    points: Vec<(i64, i64)>,
}

impl EndSamples {
    /// Adds the end offset of a time in milliseconds; an earlier time than the last is passed over.
    pub fn add(&mut self, offset: i64, at_ms: i64) {
        self.add_within(offset, at_ms, POINTS_MAX);
    }

    /// As [`Self::add`], keeping so many points.
    pub fn add_within(&mut self, offset: i64, at_ms: i64, max: usize) {
        let len = self.points.len();
        if let Some((last, last_ms)) = self.points.last().copied() {
            if at_ms <= last_ms {
                return;
            }
            if offset < last {
                self.points.clear();
            } else if offset == last
                && len > 1
                && self.points.get(len - 2).map(|p| p.0) == Some(last)
            {
                self.points.pop();
            }
        }
        let superfluous = (self.points.len() + 1).saturating_sub(max.max(2));
        self.points.drain(..superfluous);
        if self.points.len() < SINGLY_MAX {
            self.points.reserve_exact(1);
        }
        self.points.push((offset, at_ms));
    }

    pub fn ends(&self) -> Vec<i64> {
        self.points.iter().map(|(offset, _)| *offset).collect()
    }

    /// When the log ended at an offset: between the points around it, else on the line through the
    /// first and the last. `None` where the points don't tell.
    pub fn time_of(&self, offset: i64) -> Option<f64> {
        let last = self.points.last()?;
        if offset == last.0 {
            return Some(last.1 as f64);
        }
        let around = |a: &(i64, i64), b: &(i64, i64)| a.0 <= offset && offset <= b.0;
        let mut pairs = self.points.iter().zip(self.points.iter().skip(1)).rev();
        let ends = || Some((self.points.first()?, self.points.last()?));
        let (l, r) = pairs.find(|(a, b)| around(a, b)).or_else(ends)?;
        if l.0 == r.0 {
            return None;
        }
        let per_offset = (r.1 - l.1) as f64 / (r.0 - l.0) as f64;
        Some(r.1 as f64 - (r.0 - offset) as f64 * per_offset)
    }

    /// Where the log ended at a time, between the points around it; `None` outside of them.
    pub fn end_at(&self, at_ms: i64) -> Option<f64> {
        let around = |(a, b): &(&(i64, i64), &(i64, i64))| a.1 <= at_ms && at_ms <= b.1;
        let mut pairs = self.points.iter().zip(self.points.iter().skip(1));
        let (l, r) = pairs.find(around)?;
        let part = (at_ms - l.1) as f64 / (r.1 - l.1).max(1) as f64;
        Some(l.0 as f64 + part * (r.0 - l.0) as f64)
    }

    /// How long ago, before `now_ms`, the log ended at a committed offset; 0 at the end.
    pub fn lag_ms(&self, committed: i64, now_ms: i64) -> Option<i64> {
        let last = self.points.last()?;
        if committed >= last.0 {
            return Some(0);
        }
        let at = self.time_of(committed)?;
        Some((now_ms as f64 - at).max(0.0) as i64)
    }

    /// Records a second over all points.
    pub fn rate(&self) -> Option<f64> {
        let (first, last) = (self.points.first()?, self.points.last()?);
        rate(*first, *last)
    }
}

/// Records a second between two points of offset and milliseconds.
pub fn rate(from: (i64, i64), to: (i64, i64)) -> Option<f64> {
    (to.1 > from.1).then(|| (to.0 - from.0) as f64 * 1e3 / (to.1 - from.1) as f64)
}

/// When a consumer will be at the end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "drain", rename_all = "snake_case")]
pub enum Drain {
    AtEnd,
    In {
        ms: i64,
    },
    /// Others write at least as fast as it reads.
    Never,
}

/// How long a lag takes at these rates, in records a second.
pub fn drain(lag: i64, read_rate: f64, write_rate: f64) -> Drain {
    if lag <= 0 {
        return Drain::AtEnd;
    }
    let gained = read_rate - write_rate;
    if gained <= 0.0 || gained.is_nan() {
        return Drain::Never;
    }
    // More than a century is never in the life of a cluster.
    match lag as f64 / gained * 1e3 {
        ms if ms < 3.2e12 => Drain::In { ms: ms as i64 },
        _ => Drain::Never,
    }
}

/// Milliseconds until retention may remove the record that would be read next: 0 where it may now.
/// `None` where the topic keeps its records. Whole segments are removed, so it may take longer.
pub fn overtaken_in_ms(record_ms: i64, retention_ms: i64, now_ms: i64) -> Option<i64> {
    let deadline = record_ms.checked_add(retention_ms)?;
    (retention_ms >= 0 && record_ms >= 0).then(|| (deadline - now_ms).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(points: &[(i64, i64)]) -> EndSamples {
        let mut samples = EndSamples::default();
        for (offset, seconds) in points {
            samples.add(*offset, seconds * 1_000);
        }
        samples
    }

    #[test]
    fn time_is_told_between_points_and_beyond_them() {
        let table = samples(&[(100, 0), (200, 10), (300, 20)]);
        for (committed, lag_s) in [(150, 15), (0, 30), (300, 0), (250, 5), (100, 20), (400, 0)] {
            let lag = table.lag_ms(committed, 20_000);
            assert_eq!(lag, Some(lag_s * 1_000), "{committed}");
        }
        assert_eq!(table.time_of(0), Some(-10_000.0));
        assert_eq!(table.rate(), Some(10.0));
    }

    #[test]
    fn too_little_is_not_known_and_nothing_divides_by_zero() {
        assert_eq!(samples(&[]).lag_ms(1, 0), None);
        assert_eq!(samples(&[(100, 0)]).lag_ms(50, 9_000), None);
        assert_eq!(samples(&[(100, 0)]).lag_ms(100, 9_000), Some(0));
        let flat = samples(&[(100, 0), (100, 10)]);
        assert_eq!(flat.lag_ms(50, 10_000), None);
        assert_eq!(flat.rate(), Some(0.0));
    }

    #[test]
    fn a_flat_line_keeps_its_ends_and_a_log_made_anew_begins_anew() {
        let flat = samples(&[(100, 0), (100, 10), (100, 20), (100, 30), (200, 40)]);
        assert_eq!(flat, samples(&[(100, 0), (100, 30), (200, 40)]));
        assert_eq!(flat.lag_ms(150, 40_000), Some(5_000));
        let anew = samples(&[(100, 0), (200, 10), (5, 20), (9, 30)]);
        assert_eq!(anew, samples(&[(5, 20), (9, 30)]));
        assert_eq!(
            samples(&[(5, 20), (9, 10)]),
            samples(&[(5, 20)]),
            "time runs on"
        );
        let many: Vec<(i64, i64)> = (0..100).map(|n| (n * 10, n)).collect();
        assert_eq!(samples(&many).ends().len(), POINTS_MAX);
    }

    #[test]
    fn a_lag_drains_at_what_is_gained() {
        assert_eq!(drain(0, 0.0, 5.0), Drain::AtEnd);
        assert_eq!(drain(100, 15.0, 5.0), Drain::In { ms: 10_000 });
        assert_eq!(drain(100, 5.0, 5.0), Drain::Never);
        assert_eq!(drain(100, f64::NAN, 5.0), Drain::Never);
        assert_eq!(drain(i64::MAX, 1.0, 0.0), Drain::Never);
    }

    #[test]
    fn retention_counts_down_from_the_record_s_time() {
        assert_eq!(overtaken_in_ms(1_000, 5_000, 2_000), Some(4_000));
        assert_eq!(overtaken_in_ms(1_000, 5_000, 9_000), Some(0));
        assert_eq!(overtaken_in_ms(1_000, -1, 9_000), None, "kept for ever");
        assert_eq!(
            overtaken_in_ms(-1, 5_000, 9_000),
            None,
            "no time in the record"
        );
        assert_eq!(overtaken_in_ms(1_000, i64::MAX, 9_000), None);
    }
}
