//! The four groups of the demo.

use std::time::Duration;

use kafka_shared::types::Endpoint;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::client;
use super::member::{MemberOptions, run_member};

/// One member's part in the demo.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemberPlan {
    client_id: &'static str,
    group: &'static str,
    topics: &'static [&'static str],
    records_per_second: Option<u64>,
    /// How long it stays and how long it is away, in milliseconds; `None`: it stays.
    comes_and_goes: Option<(u64, u64)>,
    /// Whether it goes without a word, as one whose machine has died.
    fails: bool,
}

const fn stays(client_id: &'static str, group: &'static str) -> MemberPlan {
    MemberPlan {
        client_id,
        group,
        topics: &["orders", "payments"],
        records_per_second: None,
        comes_and_goes: None,
        fails: false,
    }
}

/// All members. The times of those that come and go have no common measure, so that every mixture
/// of them occurs.
pub(super) const PLANS: [MemberPlan; 8] = [
    stays("billing-1", "billing"),
    stays("billing-2", "billing"),
    MemberPlan {
        topics: &["clicks"],
        records_per_second: Some(60),
        ..stays("clickstream-1", "clickstream")
    },
    MemberPlan {
        topics: &["clicks"],
        records_per_second: Some(60),
        ..stays("clickstream-2", "clickstream")
    },
    MemberPlan {
        topics: &["orders", "profiles"],
        ..stays("search-1", "search")
    },
    MemberPlan {
        topics: &["orders", "profiles"],
        comes_and_goes: Some((17_000, 11_000)),
        ..stays("search-2", "search")
    },
    MemberPlan {
        topics: &["orders", "profiles"],
        comes_and_goes: Some((23_000, 13_000)),
        ..stays("search-3", "search")
    },
    MemberPlan {
        topics: &["uploads"],
        comes_and_goes: Some((30_000, 45_000)),
        fails: true,
        ..stays("thumbnails-1", "thumbnails")
    },
];

/// Plays one member's part until `stop`.
pub(super) async fn run(bootstrap: Vec<Endpoint>, plan: MemberPlan, stop: CancellationToken) {
    let options = MemberOptions {
        group: plan.group.to_owned(),
        topics: plan
            .topics
            .iter()
            .map(|topic| (*topic).to_owned())
            .collect(),
        records_per_second: plan.records_per_second,
    };
    while !stop.is_cancelled() {
        let client = client(bootstrap.clone(), plan.client_id);
        let progress = Mutex::default();
        let leave = stop.child_token();
        let stay = run_member(&client, &options, &progress, &leave);
        let Some((stays_ms, away_ms)) = plan.comes_and_goes else {
            stay.await;
            return;
        };
        let timer = async {
            tokio::time::sleep(Duration::from_millis(stays_ms)).await;
            if !plan.fails {
                leave.cancel();
                // The member ends by itself now.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = stay => {}
            () = timer => {}
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(away_ms)) => {}
            () = stop.cancelled() => {}
        }
    }
}
