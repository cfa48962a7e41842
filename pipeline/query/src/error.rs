//! Why a question cannot be answered.

/// The asker's mistake, as `code`, `message` and `help` of an error document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QuestionError {
    /// What kind of mistake, for programs: `query`, `time`, `usage`, …
    pub code: &'static str,
    /// What is wrong, and where.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

impl QuestionError {
    /// A mistake.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None }
    }
    /// With a proposal.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
