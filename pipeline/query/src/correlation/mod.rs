//! `correlation list` and `correlation run`: entries that rules put together.

mod rules;

pub mod list;
pub mod run;

pub use rules::{Anchor, Group, Rule, Rules, Side};

/// Where rules are looked for, in the working folder and those above it.
pub(crate) const FILES: [&str; 1] = [".logbraid/correlations.yaml"];

#[cfg(test)]
mod tests;
