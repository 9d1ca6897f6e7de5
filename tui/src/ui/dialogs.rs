//! Boxes over the screens: help, palette, jump list, plans, texts.

mod help;
pub mod jump;
mod palette;
mod plan;
mod text;

pub use help::{Help, refusal};
pub use jump::Jump;
pub use palette::Palette;
pub use plan::PlanDialog;
pub use text::TextDialog;
