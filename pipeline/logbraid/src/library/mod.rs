//! What other programs hold: a window that is read once and asked often, and the records of a run as they come.
//!
//! ```text
//!  inputs ─► the chain of questions, to the end ─► Window ─ ask ─► Answer, as often as it pleases
//!  http://… ─────────────────────────────────────► Window ─ ask ─► Answer of a running logbraid
//!  inputs ─► the chain of a run ─► Records: one after the other
//!  http://… ─ what it finds ─────► Records
//! ```

mod live;
mod records;
mod window;

pub use self::records::{Next, Records};
pub use self::window::{Answer, Window};

use std::path::PathBuf;

use logbraid_core::ByteSize;

use crate::cli::Terminal;

/// How inputs are read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The configuration that says how lines are understood, and which operators find what.
    pub config: Configured,
    /// The format of all inputs, instead of what the configuration says.
    pub format: Option<String>,
    /// Most memory for the index, in bytes; beyond it the oldest entries leave, and answers say so.
    pub memory: ByteSize,
}

impl Default for Reading {
    fn default() -> Self {
        Self { config: Configured::BuiltIn, format: None, memory: ByteSize::from_bytes(2 << 30) }
    }
}

/// Where a configuration stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Configured {
    /// Nowhere: the built-in one counts.
    #[default]
    BuiltIn,
    /// In a file.
    File(PathBuf),
    /// In this text, YAML or JSON.
    Text(String),
}

impl From<Option<PathBuf>> for Configured {
    fn from(path: Option<PathBuf>) -> Self {
        path.map_or(Self::BuiltIn, Self::File)
    }
}

/// A program's streams are its own: nothing is asked of them, and nothing is told there.
const NO_TERMINAL: Terminal =
    Terminal { stdin: false, stdout: false, stderr: false, width: 80, colourless: true };
