//! The manager's screens: one owner of one state, pure drawing, effects elsewhere.
//!
//! [`app::App::update`] takes an event and returns effects; [`view::draw`] draws from the state and
//! changes nothing; effects run as tasks and come back as events.

pub mod app;
pub mod command;
pub mod cx;
pub mod dialogs;
pub mod event;
pub mod format;
mod main_loop;
pub mod runner;
pub mod screen;
pub mod screens;
pub mod terminal;
pub mod theme;
pub mod view;
pub mod widgets;

pub use main_loop::{Options, run};
pub use runner::SavedClusters;

#[cfg(test)]
mod tests;
