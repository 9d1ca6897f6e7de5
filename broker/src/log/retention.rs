//! Which segments retention removes. Pure: sizes, times and offsets in, a count out.
//!
//! Segments go from the oldest on, until one has to stay. Nothing that is not below the high watermark goes,
//! and an empty active segment stays. Kafka: `UnifiedLog.deletableSegments` and its three conditions.

/// What the decision needs to know of a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentInfo {
    pub base_offset: i64,
    pub size: u64,
    /// The largest timestamp of its records, or the time of the last write when they have none.
    pub largest_ms: i64,
}

/// What the decision needs to know of a log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub log_start_offset: i64,
    pub high_watermark: i64,
    pub log_end_offset: i64,
    pub now_ms: i64,
    /// Negative: no limit.
    pub retention_ms: i64,
    /// Negative: no limit.
    pub retention_bytes: i64,
}

/// Number of oldest segments that lie below the log start offset.
pub(crate) fn below_log_start(segments: &[SegmentInfo], limits: &Limits) -> usize {
    count_while(segments, limits, |_, next| {
        next.is_some_and(|next| next.base_offset <= limits.log_start_offset)
    })
}

/// Number of oldest segments that are over the size limit. Never leaves less than the limit.
pub(crate) fn over_size(segments: &[SegmentInfo], limits: &Limits) -> usize {
    let total: u64 = segments.iter().map(|segment| segment.size).sum();
    let Ok(retention_bytes) = u64::try_from(limits.retention_bytes) else {
        return 0;
    };
    let Some(mut excess) = total.checked_sub(retention_bytes) else {
        return 0;
    };
    count_while(segments, limits, |segment, _| {
        match excess.checked_sub(segment.size) {
            Some(rest) => {
                excess = rest;
                true
            }
            None => false,
        }
    })
}

/// Number of oldest segments that are over the age limit.
pub(crate) fn over_age(segments: &[SegmentInfo], limits: &Limits) -> usize {
    if limits.retention_ms < 0 {
        return 0;
    }
    count_while(segments, limits, |segment, _| {
        limits.now_ms.saturating_sub(segment.largest_ms) > limits.retention_ms
    })
}

fn count_while(
    segments: &[SegmentInfo],
    limits: &Limits,
    mut deletable: impl FnMut(&SegmentInfo, Option<&SegmentInfo>) -> bool,
) -> usize {
    segments
        .iter()
        .enumerate()
        .take_while(|(index, segment)| {
            let next = segments.get(index + 1);
            let end = next.map_or(limits.log_end_offset, |next| next.base_offset);
            let is_empty_active = next.is_none() && segment.size == 0;
            limits.high_watermark >= end && deletable(segment, next) && !is_empty_active
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four segments of 100 records, 1000 bytes and an age of 40, 30, 20 and 10 ms; the last has 500 bytes.
    fn segments() -> Vec<SegmentInfo> {
        [
            (0, 1000, 60),
            (100, 1000, 70),
            (200, 1000, 80),
            (300, 500, 90),
        ]
        .map(|(base_offset, size, largest_ms)| SegmentInfo {
            base_offset,
            size,
            largest_ms,
        })
        .to_vec()
    }

    fn limits() -> Limits {
        Limits {
            log_start_offset: 0,
            high_watermark: 350,
            log_end_offset: 350,
            now_ms: 100,
            retention_ms: -1,
            retention_bytes: -1,
        }
    }

    #[test]
    fn size_removes_whole_segments_as_long_as_the_limit_is_kept() {
        let cases = [
            (-1, 0),
            (3500, 0),
            (2501, 0),
            (2500, 1),
            (1501, 1),
            (1500, 2),
            (500, 3),
            (0, 4),
        ];
        for (retention_bytes, expected) in cases {
            let limits = Limits {
                retention_bytes,
                ..limits()
            };
            assert_eq!(
                over_size(&segments(), &limits),
                expected,
                "{retention_bytes}"
            );
        }
    }

    #[test]
    fn age_counts_from_the_newest_record_of_a_segment() {
        for (retention_ms, expected) in
            [(-1, 0), (40, 0), (39, 1), (30, 1), (19, 3), (9, 4), (0, 4)]
        {
            let limits = Limits {
                retention_ms,
                ..limits()
            };
            assert_eq!(over_age(&segments(), &limits), expected, "{retention_ms}");
        }
    }

    #[test]
    fn the_log_start_removes_segments_that_end_below_it_but_never_the_active_one() {
        for (log_start_offset, expected) in
            [(0, 0), (99, 0), (100, 1), (299, 2), (300, 3), (350, 3)]
        {
            let limits = Limits {
                log_start_offset,
                ..limits()
            };
            assert_eq!(
                below_log_start(&segments(), &limits),
                expected,
                "{log_start_offset}"
            );
        }
    }

    #[test]
    fn what_is_not_replicated_stays() {
        for (high_watermark, expected) in [(0, 0), (100, 1), (299, 2), (349, 3), (350, 4)] {
            let limits = Limits {
                high_watermark,
                retention_ms: 0,
                ..limits()
            };
            assert_eq!(over_age(&segments(), &limits), expected, "{high_watermark}");
        }
    }

    #[test]
    fn an_empty_active_segment_stays() {
        let mut segments = segments();
        segments[3].size = 0;
        let limits = Limits {
            high_watermark: 300,
            log_end_offset: 300,
            retention_ms: 0,
            ..limits()
        };
        assert_eq!(over_age(&segments, &limits), 3);
    }
}
