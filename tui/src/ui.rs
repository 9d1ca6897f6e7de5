//! The manager's screens: one owner of one state, pure drawing, effects elsewhere.
//!
//! `update` takes an event and returns effects; `view` draws from the state and changes nothing;
//! effects run on the runtime's workers and come back as events.

pub mod command;
pub mod cx;
pub mod format;
pub mod theme;
pub mod widgets;
