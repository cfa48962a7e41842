//! The doors of a running program, each as whoever comes through it: a browser, an agent, a person at a terminal.

mod mcp;
mod page;
mod running;
mod top;
