//! Parts that screens are made of.

pub mod form;
pub mod frame;
pub mod list;
