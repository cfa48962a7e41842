//! The doors of a running program, each as whoever comes through it: a browser, an agent, a person at a terminal.

#[path = "../common/mod.rs"]
mod common;
mod mcp;
mod operations;
mod page;
mod running;
mod top;
