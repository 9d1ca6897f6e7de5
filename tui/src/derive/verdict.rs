//! Burrow's verdict on a consumer's partition, with the rule that fired.
//!
//! Over a window of the last commits, each with the lag at its time where that is known. The rules
//! and their order are Burrow's; a window that is too short is OK there, and says here that it is.
//!
//! Burrow: core/internal/evaluator/caching.go.

use serde::Serialize;

/// Commits that a window holds.
pub const WINDOW: usize = 10;

/// The rule of whoever has nothing to read.
pub const AT_END: &str = "it is at the end";

/// One commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowCommit {
    pub offset: i64,
    pub at_ms: i64,
    /// Records behind when it was made, where that is known.
    pub lag: Option<i64>,
}

/// How a partition's consumer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsumerVerdict {
    Ok,
    Warning,
    Rewind,
    Stall,
    Stop,
}

impl ConsumerVerdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Rewind => "rewind",
            Self::Stall => "stall",
            Self::Stop => "stop",
        }
    }

    /// Burrow reports these three of a group as ERR.
    pub fn is_error(self) -> bool {
        self >= Self::Rewind
    }
}

/// A verdict and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    pub verdict: ConsumerVerdict,
    /// The rule that fired, in words.
    pub rule: &'static str,
    /// How much of a whole window there is, from 0 to 1.
    pub complete: f64,
}

/// Judges a window of commits, oldest first. `ends` are end offsets that were seen of the
/// partition, the newest last.
pub fn verdict(commits: &[WindowCommit], ends: &[i64], now_ms: i64, allowed_lag: i64) -> Judged {
    let complete = (commits.len() as f64 / WINDOW as f64).min(1.0);
    let judged = |verdict, rule| Judged {
        verdict,
        rule,
        complete,
    };
    let (Some(first), Some(last), Some(end)) = (commits.first(), commits.last(), ends.last())
    else {
        return judged(ConsumerVerdict::Ok, "no commits or no end offset were seen");
    };
    if (end - last.offset).max(0) <= allowed_lag {
        return judged(ConsumerVerdict::Ok, AT_END);
    }
    let is_silent = now_ms - last.at_ms > last.at_ms - first.at_ms;
    let was_at_end = ends.iter().any(|end| *end <= last.offset);
    if is_silent && !was_at_end {
        let rule = "nothing was committed for longer than the whole window took";
        return judged(ConsumerVerdict::Stop, rule);
    }
    let goes_back = commits.windows(2).enumerate().any(|(at, pair)| {
        let [before, now] = pair else { return false };
        let mut later = commits.iter().skip(at + 1);
        now.offset < before.offset && later.all(|commit| commit.offset < before.offset)
    });
    if goes_back {
        return judged(
            ConsumerVerdict::Rewind,
            "an offset went back and was not reached again",
        );
    }
    let lag_is_small = |commit: &WindowCommit| commit.lag.is_some_and(|lag| lag <= allowed_lag);
    if commits.iter().any(lag_is_small) {
        return judged(ConsumerVerdict::Ok, "it was at the end within the window");
    }
    if commits.iter().all(|commit| commit.offset == first.offset) {
        return judged(
            ConsumerVerdict::Stall,
            "it commits the same offset while records wait",
        );
    }
    let lags: Vec<i64> = commits.iter().filter_map(|commit| commit.lag).collect();
    if lags.len() > 1 && lags.windows(2).all(|pair| pair[0] <= pair[1]) {
        return judged(ConsumerVerdict::Warning, "the lag never became smaller");
    }
    judged(
        ConsumerVerdict::Ok,
        "it goes on and the lag becomes smaller at times",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commits a second apart from 0 s on, as offset and lag.
    fn window(commits: &[(i64, i64)]) -> Vec<WindowCommit> {
        let commit = |(at, (offset, lag)): (usize, &(i64, i64))| WindowCommit {
            offset: *offset,
            at_ms: at as i64 * 1_000,
            lag: Some(*lag),
        };
        commits.iter().enumerate().map(commit).collect()
    }

    #[test]
    fn each_rule_fires_in_burrow_s_order() {
        use ConsumerVerdict::{Ok, Rewind, Stall, Stop, Warning};
        for (name, commits, ends, now_ms, wanted) in [
            (
                "at the end",
                &[(10, 5), (20, 0)][..],
                &[20][..],
                100_000,
                Ok,
            ),
            (
                "ahead of an old end",
                &[(10, 5), (30, 0)],
                &[20],
                100_000,
                Ok,
            ),
            (
                "silent",
                &[(10, 5), (20, 5), (30, 5)],
                &[40, 90],
                4_100,
                Stop,
            ),
            (
                "not yet silent",
                &[(10, 5), (20, 6), (30, 5)],
                &[40, 90],
                4_000,
                Ok,
            ),
            (
                "silent, but was at the end",
                &[(10, 5), (30, 5)],
                &[30, 90],
                99_000,
                Warning,
            ),
            (
                "stop comes before rewind",
                &[(30, 5), (10, 9)],
                &[40, 90],
                9_000,
                Stop,
            ),
            ("back", &[(30, 5), (10, 9), (20, 8)], &[90], 2_500, Rewind),
            (
                "back, there again, and back once more",
                &[(30, 5), (10, 9), (30, 8), (20, 9)],
                &[90],
                3_500,
                Rewind,
            ),
            (
                "back and there again",
                &[(30, 5), (10, 9), (30, 8)],
                &[90],
                2_500,
                Ok,
            ),
            (
                "once at the end",
                &[(30, 5), (40, 0), (40, 9)],
                &[90],
                2_500,
                Ok,
            ),
            (
                "the same again and again",
                &[(30, 5), (30, 7), (30, 9)],
                &[90],
                2_500,
                Stall,
            ),
            (
                "slower than the writers",
                &[(30, 5), (40, 7), (50, 7)],
                &[90],
                2_500,
                Warning,
            ),
            (
                "catching up",
                &[(30, 9), (40, 7), (50, 8)],
                &[90],
                2_500,
                Ok,
            ),
        ] {
            let judged = verdict(&window(commits), ends, now_ms, 0);
            assert_eq!(judged.verdict, wanted, "{name}: {}", judged.rule);
        }
    }

    #[test]
    fn an_allowed_lag_is_none_and_what_is_not_known_is_ok() {
        let commits = window(&[(30, 5), (30, 5), (30, 5)]);
        assert_eq!(
            verdict(&commits, &[35], 2_500, 5).verdict,
            ConsumerVerdict::Ok
        );
        assert_eq!(
            verdict(&commits, &[35], 2_500, 4).verdict,
            ConsumerVerdict::Stall
        );
        assert_eq!(verdict(&[], &[35], 0, 0).verdict, ConsumerVerdict::Ok);
        assert_eq!(verdict(&commits, &[], 0, 0).verdict, ConsumerVerdict::Ok);
        assert_eq!(verdict(&commits, &[35], 0, 0).complete, 0.3);
        // Lags that are not known make no trend.
        let mut unknown = window(&[(10, 0), (20, 0)]);
        unknown.iter_mut().for_each(|commit| commit.lag = None);
        assert_eq!(
            verdict(&unknown, &[90], 1_500, 0).verdict,
            ConsumerVerdict::Ok
        );
        // Between those that are known one is made: it never became smaller, or it did.
        for (last, wanted) in [(7, ConsumerVerdict::Warning), (3, ConsumerVerdict::Ok)] {
            let mut some = window(&[(10, 5), (20, 0), (30, last)]);
            some[1].lag = None;
            assert_eq!(verdict(&some, &[90], 2_500, 0).verdict, wanted, "{last}");
        }
        assert!(ConsumerVerdict::Stop.is_error() && !ConsumerVerdict::Warning.is_error());
    }
}
