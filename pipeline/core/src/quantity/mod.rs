//! Measured numbers in messages and fields, their units converted: `took=1.5s`, `size: 12 KiB`, `{"latency_ms": 12}`.

mod fields;
mod text;
mod unit;

pub use fields::{DEPTH_MAX, each_number, leaf_paths, text_quantity};
pub use text::{is_id, numbers};
pub use unit::{Unit, quantity};
