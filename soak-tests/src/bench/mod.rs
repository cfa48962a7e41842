//! How fast and how large, as ratios taken in one run.

pub mod bare;
pub mod stages;
pub mod stream;
pub mod table;
