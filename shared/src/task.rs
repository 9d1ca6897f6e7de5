//! The only place that starts tasks. A task has a name; a panic in it is written to the log with
//! that name and stays inside the task: its `JoinHandle` gives the panic to whoever waits.

use std::future::Future;
use std::panic::{self, AssertUnwindSafe};

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tracing::Instrument;

/// Runs `future` as a task on the current runtime.
///
/// # Panics
/// When called outside a tokio runtime.
#[allow(
    clippy::disallowed_methods,
    reason = "this is the one place that starts tasks"
)]
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let span = tracing::debug_span!("task", task = name);
    let guarded = async move {
        match AssertUnwindSafe(future).catch_unwind().await {
            Ok(output) => output,
            Err(panic) => report(name, panic),
        }
    };
    tokio::spawn(guarded.instrument(span))
}

/// Runs `work` on a thread where it may block: files, fsync, compression of large data.
///
/// # Panics
/// When called outside a tokio runtime.
#[allow(
    clippy::disallowed_methods,
    reason = "this is the one place that starts tasks"
)]
pub fn spawn_blocking<F, T>(name: &'static str, work: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let span = tracing::debug_span!("task", task = name);
    tokio::task::spawn_blocking(move || {
        let _entered = span.entered();
        match panic::catch_unwind(AssertUnwindSafe(work)) {
            Ok(output) => output,
            Err(panic) => report(name, panic),
        }
    })
}

/// Logs the panic and lets it go on, so that the `JoinHandle` still tells it.
fn report(name: &'static str, payload: Box<dyn std::any::Any + Send>) -> ! {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    tracing::error!(task = name, panic = text, "a task panicked");
    panic::resume_unwind(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_stays_inside_its_task_and_is_told_to_who_waits() {
        let bad = spawn("bad", async { panic!("as the test wants") });
        let worse = spawn_blocking("worse", || panic!("as the test wants"));
        assert!(bad.await.unwrap_err().is_panic());
        assert!(worse.await.unwrap_err().is_panic());
        assert_eq!(spawn("good", async { 1 }).await.unwrap(), 1);
        assert_eq!(spawn_blocking("good", || 2).await.unwrap(), 2);
    }
}
