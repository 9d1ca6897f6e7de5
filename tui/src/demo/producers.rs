//! The producers of the demo: steady ones, and one that comes in bursts.

use std::fmt::Write as _;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cluster::ClusterClient;

/// Records are written in rounds of this length.
const ROUND_MS: u64 = 250;

/// A burst and the quiet after it, in rounds.
const BURST_ROUNDS: u64 = 20;
const QUIET_ROUNDS: u64 = 60;

/// What one producer writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub client_id: &'static str,
    topic: &'static str,
    records_per_second: u64,
    bursts: bool,
    /// Different keys; the same ones come again and again.
    keys: u64,
}

pub(super) const LOADS: [Load; 6] = [
    Load {
        client_id: "shop",
        topic: "orders",
        records_per_second: 40,
        bursts: false,
        keys: 500,
    },
    Load {
        client_id: "bank",
        topic: "payments",
        records_per_second: 16,
        bursts: false,
        keys: 500,
    },
    Load {
        client_id: "web",
        topic: "clicks",
        records_per_second: 600,
        bursts: true,
        keys: 5_000,
    },
    Load {
        client_id: "accounts",
        topic: "profiles",
        records_per_second: 4,
        bursts: false,
        keys: 50,
    },
    Load {
        client_id: "auditor",
        topic: "audit",
        records_per_second: 1,
        bursts: false,
        keys: 3,
    },
    Load {
        client_id: "camera",
        topic: "uploads",
        records_per_second: 12,
        bursts: false,
        keys: 200,
    },
];

/// Writes until `stop`.
pub(super) async fn run(client: ClusterClient, load: Load, stop: CancellationToken) {
    let mut n = 0u64;
    let mut debt_ms = 0u64;
    for round in 0.. {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(ROUND_MS)) => {}
            () = stop.cancelled() => return,
        }
        let is_quiet = load.bursts && round % (BURST_ROUNDS + QUIET_ROUNDS) >= BURST_ROUNDS;
        // A trickle remains in the quiet.
        let rate = if is_quiet {
            load.records_per_second / 20
        } else {
            load.records_per_second
        };
        debt_ms += rate * ROUND_MS;
        let count = debt_ms / 1_000;
        debt_ms %= 1_000;
        let records: Vec<(Vec<u8>, Vec<u8>)> = (n..n + count)
            .map(|n| record(&load, n, client.now().wall_ms))
            .collect();
        n += count;
        // A round that failed is lost: it is a demo's record, and the next one comes soon.
        let written = client.produce_many(load.topic, &records);
        tokio::select! {
            _ = written => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Bytes of one upload.
const UPLOAD_BYTES: usize = 16 * 1024;

/// Something that looks like a picture to whoever reads it: a signature, and bytes that no codec
/// makes smaller.
fn upload(seed: u64) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut state = seed | 1;
    while bytes.len() < UPLOAD_BYTES {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}

/// The n-th record: a key, and a small JSON document or an upload.
fn record(load: &Load, n: u64, now_ms: i64) -> (Vec<u8>, Vec<u8>) {
    // A multiplicative hash scatters the keys without a source of randomness.
    let scattered = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let key = format!("{}-{}", load.topic, scattered % load.keys);
    if load.topic == "uploads" {
        return (key.into_bytes(), upload(scattered));
    }
    let mut value = String::new();
    let amount = scattered % 10_000;
    // Writing into a String can't fail.
    let _ = match load.topic {
        "orders" => write!(
            value,
            r#"{{"order":{n},"customer":"{key}","items":{},"total":{}.{:02}}}"#,
            1 + scattered % 7,
            amount / 100,
            amount % 100
        ),
        "payments" => write!(
            value,
            r#"{{"payment":{n},"order":{},"method":"{}","amount":{}.{:02}}}"#,
            n / 2,
            ["card", "transfer", "invoice"][(scattered % 3) as usize],
            amount / 100,
            amount % 100
        ),
        "clicks" => write!(
            value,
            r#"{{"session":"{key}","page":"/{}","ms":{}}}"#,
            ["", "cart", "search", "product", "help"][(scattered % 5) as usize],
            scattered % 900
        ),
        "profiles" => write!(value, r#"{{"name":"{key}","visits":{n},"seen":{now_ms}}}"#),
        _ => write!(value, r#"{{"event":{n},"who":"{key}","at":{now_ms}}}"#),
    };
    (key.into_bytes(), value.into_bytes())
}
