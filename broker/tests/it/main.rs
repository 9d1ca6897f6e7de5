//! A whole broker in this process, over sockets.

#![allow(
    clippy::unwrap_used,
    reason = "all of this is tests: a failed unwrap is a failed test"
)]

mod admin;
mod data_plane;
mod departed;
mod hostile;
#[path = "../interop/load.rs"]
mod load;
mod program;
mod replication;
mod unserved;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// Runs a test on a runtime of its own. When it fails, a broker that it left running must not keep the
/// runtime, and with it the test, from ending.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(test)));
    runtime.shutdown_timeout(Duration::from_secs(1));
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}
