//! Planning beside the screens: what takes seconds on a large cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kafka_shared::task;

use super::{broken, within};
use crate::model::ClusterSnapshot;
use crate::ui::event::{Answer, PlanWish};
use crate::ui::screens::ProposeWish;

/// Ends the work when whoever waits for it goes away, or has waited long enough.
struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Makes a proposal, and stops when this is dropped.
pub(super) async fn propose(wish: Box<ProposeWish>) -> Answer {
    let what = "propose a reassignment";
    let flag = Arc::new(AtomicBool::new(true));
    let wanted = Wanted(Arc::clone(&flag));
    let make = move || Box::new(wish.make(&|| flag.load(Ordering::Relaxed)));
    let work = task::spawn_blocking("ui-propose", make);
    let made = within(what, async { work.await.map_err(|_| broken(what)) }).await;
    drop(wanted);
    Answer::Proposed(made)
}

/// Plans a change.
pub(super) async fn plan(wish: PlanWish, snapshot: Box<ClusterSnapshot>) -> Answer {
    let what = "plan the change";
    let make = move || wish.plan(&snapshot).map(Box::new);
    let planned = task::spawn_blocking("ui-plan", make);
    Answer::Planned(match planned.await {
        Ok(planned) => planned,
        Err(_) => Err(broken(what)),
    })
}
