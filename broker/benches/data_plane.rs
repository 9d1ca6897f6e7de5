//! How fast the broker appends and fetches without sockets: the replica manager, the log and the
//! page cache, on one thread.
//!
//! `cargo bench --features testing --bench data_plane` prints a line per case. Without `--bench`, as
//! `cargo test --benches` runs it, every case is done a few times only.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use kafka_broker::log::{AppendOrigin, FetchIsolation};
use kafka_broker::replica::append::AppendEntry;
use kafka_broker::replica::fetch::FetchParams;
use kafka_broker::replica::fetch_session::{FetchKey, FetchPartition, FetchTopic};
use kafka_broker::replica::testing::{World, batch, batch_of, topic_id};
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::record::compression::Compression;
use kafka_shared::time::{Clock as _, SystemClock};

struct Bench {
    clock: SystemClock,
    is_short: bool,
}

impl Bench {
    /// Times `work`, which handles `bytes` bytes, `n` times and prints a line.
    async fn run(&self, name: &str, n: u32, bytes: usize, mut work: impl AsyncFnMut(u32)) {
        let n = if self.is_short { 2 } else { n };
        let start = self.clock.monotonic();
        for i in 0..n {
            work(i).await;
        }
        let elapsed = self.clock.monotonic() - start;
        let ns = elapsed.as_nanos() / u128::from(n);
        let mb_per_s = bytes as f64 * f64::from(n) / elapsed.as_secs_f64() / 1e6;
        println!("{name:<44} {ns:>9} ns each {mb_per_s:>9.0} MB/s");
    }
}

fn records(n: usize, len: usize) -> Bytes {
    let value = "x".repeat(len);
    batch(&vec![value.as_str(); n])
}

async fn append(world: &World, partition: i32, acks: i16, records: Bytes) {
    let partition = world.replicas.partition_by_id(topic_id("t"), partition);
    let entries = [AppendEntry { partition, records }];
    let appended = world
        .replicas
        .append_records(acks, Duration::from_secs(1), AppendOrigin::Client, &entries)
        .await;
    assert_eq!(appended[0].error.0, 0, "{appended:?}");
}

async fn fetch(
    world: &World,
    partitions: std::ops::Range<i32>,
    offset: i64,
    max_bytes: usize,
) -> usize {
    let params = FetchParams {
        follower: None,
        place: None,
        requires_leader: false,
        isolation: FetchIsolation::HighWatermark,
        max_wait: Duration::ZERO,
        min_bytes: 1,
        max_bytes,
    };
    let wanted: Vec<(FetchKey, FetchPartition)> = partitions
        .map(|partition| {
            let wanted = FetchPartition {
                fetch_offset: offset,
                log_start_offset: -1,
                max_bytes: 1 << 20,
                current_leader_epoch: Some(0),
                last_fetched_epoch: None,
            };
            (
                FetchKey {
                    topic: FetchTopic::Id(topic_id("t")),
                    partition,
                },
                wanted,
            )
        })
        .collect();
    let fetched = world.replicas.fetch_records(params, &wanted).await;
    fetched
        .iter()
        .map(|fetched| black_box(fetched.records.size_in_bytes()))
        .sum()
}

async fn run(bench: &Bench) {
    let world = World::start();
    world.create_topic("t", 100);
    for (name, records, n) in [
        ("append 1 record of 100 B", records(1, 100), 50_000),
        (
            "append 160 records of 100 B (16 KiB)",
            records(160, 100),
            20_000,
        ),
        (
            "append 16 records of 1 KiB (16 KiB)",
            records(16, 1000),
            20_000,
        ),
        (
            "append 1000 records of 1 KiB (1 MiB)",
            records(1000, 1000),
            500,
        ),
    ] {
        let len = records.len();
        bench
            .run(name, n, len, async |_| {
                append(&world, 0, 1, records.clone()).await
            })
            .await;
    }
    let lz4 = {
        let value = "x".repeat(1000);
        let builder = BatchBuilder::new().with_compression(Compression::Lz4);
        batch_of(builder, &vec![value.as_str(); 1000])
    };
    let len = lz4.len();
    bench
        .run(
            "append 1000 records of 1 KiB, lz4",
            2_000,
            len,
            async |_| {
                append(&world, 1, 1, lz4.clone()).await;
            },
        )
        .await;
    let idempotent: Vec<Bytes> = (0..100)
        .map(|i| {
            batch_of(
                BatchBuilder::new().with_producer(9, 0, i),
                &["x".repeat(1000).as_str()],
            )
        })
        .collect();
    let len = idempotent[0].len();
    bench
        .run(
            "append 1 record of 1 KiB, idempotent, all",
            100,
            len,
            async |i| {
                append(&world, 2, -1, idempotent[i as usize].clone()).await;
            },
        )
        .await;

    for partition in 3..100 {
        append(&world, partition, 1, records(1, 100)).await;
    }
    for (name, partitions, max_bytes, n) in [
        ("fetch 1 MiB of 1 partition", 0..1, 1 << 20, 50_000),
        ("fetch 16 KiB of 1 partition", 0..1, 16 << 10, 50_000),
        ("fetch 97 partitions of 1 record", 3..100, 1 << 20, 2_000),
    ] {
        let bytes = fetch(&world, partitions.clone(), 0, max_bytes).await;
        bench
            .run(name, n, bytes, async |_| {
                fetch(&world, partitions.clone(), 0, max_bytes).await;
            })
            .await;
    }
    bench
        .run("fetch 97 partitions without news", 2_000, 0, async |_| {
            fetch(&world, 3..100, 1, 1 << 20).await;
        })
        .await;
}

fn main() {
    let bench = Bench {
        clock: SystemClock::new(),
        is_short: !std::env::args().any(|argument| argument == "--bench"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without I/O");
    runtime.block_on(run(&bench));
}
