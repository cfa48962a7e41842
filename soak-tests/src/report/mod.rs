//! What was measured, as people read it: figures with their spread, pages, charts.

pub mod chart;
pub mod machine;
pub mod page;
pub mod stats;
pub mod write;
