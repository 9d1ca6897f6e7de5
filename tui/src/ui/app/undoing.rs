//! Undoing: the last change is looked for outside, and what takes it back is planned here.

use super::App;
use crate::model::Update;
use crate::ops::undo::Entry;
use crate::ui::cx::Cx;
use crate::ui::event::Effect;
use crate::ui::screen::Toast;

/// Looks for what undoes the last change.
pub(super) fn last_change(cx: &Cx<'_>) -> Effect {
    let metadata = cx.snapshot.metadata.get();
    Effect::LastChange {
        job: cx.new_job(),
        cluster_id: metadata.and_then(|m| m.cluster_id.as_deref().map(str::to_owned)),
    }
}

impl App {
    /// Shows the plan that takes a change back; `updates` were read for it.
    pub(super) fn undo(
        &mut self,
        found: Option<Box<Entry>>,
        updates: Vec<Update>,
        effects: &mut Vec<Effect>,
    ) {
        let now = self.world.now;
        for update in updates {
            self.on_update(update, now);
        }
        match found {
            None => self.say(Toast::info("there is nothing to undo")),
            Some(entry) => {
                let plan = entry.inverse.plan(Some(&entry.path), &self.world.snapshot);
                self.show_plan(plan, effects);
            }
        }
    }
}
