//! Components: what has a name, a manual and a configuration, and can be built from it.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::event::Fields;
use crate::operator::Operator;
use crate::progress::TimeSettings;
use crate::reading::Misread;
use crate::time::Span;

/// What is wrong with a component's configuration, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// The setting, as a dotted path within the component's configuration, such as `rules.0.value`; may be empty.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// A proposal.
    pub help: Option<String>,
}

impl ConfigError {
    /// An error at `path`.
    pub fn new(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), message: message.into(), help: None }
    }
    /// Adds a proposal.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Refuses a setting unless `holds`: says what it must be, and proposes a value after `; try`.
pub fn ensure(holds: bool, path: &str, must: &str) -> Result<(), ConfigError> {
    if holds {
        return Ok(());
    }
    let (must, help) = must.split_once("; ").map_or((must, None), |(must, help)| (must, Some(help)));
    Err(ConfigError {
        path: path.to_owned(),
        message: format!("`{path}` {must}"),
        help: help.map(str::to_owned),
    })
}

/// What building a component may look at.
pub struct Context<'a> {
    /// The fields that the parser extracts; ask for others here.
    pub fields: &'a mut Fields,
    /// The stream's settings of time.
    pub time: TimeSettings,
    /// How long an attribution by thread may last before an event, anywhere in the chain.
    pub carry: Span,
    /// True when an operator of the chain hands on the bytes of requests as they came; see [`Component::ORIGINALS`].
    pub originals: bool,
    /// Reads a file that a setting names; operators themselves read none.
    pub read: ReadFile,
}

/// Reads a whole file by its path. Fails when it cannot, or when the file is too large to be a setting.
pub type ReadFile = fn(&str) -> std::io::Result<Vec<u8>>;

/// A [`ReadFile`] that finds none.
pub fn no_files(_: &str) -> std::io::Result<Vec<u8>> {
    Err(std::io::ErrorKind::NotFound.into())
}

/// An operator that can be configured by name.
pub trait Component: Operator + Sized + 'static {
    /// Its settings.
    type Config: DeserializeOwned + schemars::JsonSchema;
    /// Its name in configurations.
    const NAME: &'static str;
    /// Its manual, in Markdown.
    const DOCS: &'static str;
    /// True when it needs the raw lines of requests: groups then keep them, at the cost of their memory.
    const ORIGINALS: bool = false;
    /// Builds it.
    fn build(config: Self::Config, context: &mut Context<'_>) -> Result<Self, ConfigError>;
}

/// Builds an operator from its settings.
pub type BuildOperator = fn(&Value, &mut Context<'_>) -> Result<Box<dyn Operator>, ConfigError>;

/// An operator as the registry lists it.
pub struct OperatorSpec {
    /// Its name in configurations.
    pub name: &'static str,
    /// Its manual, in Markdown.
    pub docs: &'static str,
    /// True when it needs the raw lines of requests.
    pub originals: bool,
    /// The JSON Schema of its settings.
    pub schema: fn() -> schemars::Schema,
    /// Builds it.
    pub build: BuildOperator,
}

impl OperatorSpec {
    /// The specification of operator `C`.
    pub const fn of<C: Component>() -> Self {
        Self {
            name: C::NAME,
            docs: C::DOCS,
            originals: C::ORIGINALS,
            schema: crate::schema_of::<C::Config>,
            build: |value, context| Ok(Box::new(C::build(settings(value)?, context)?)),
        }
    }
}

/// Reads settings; an error names the setting at fault.
pub fn settings<T: DeserializeOwned>(value: &Value) -> Result<T, ConfigError> {
    // `- error_flow:` without settings means the defaults.
    let empty = Value::Object(serde_json::Map::new());
    let value = if value.is_null() { &empty } else { value };
    crate::reading::read(value).map_err(|Misread { path, message }| {
        let path = if path == "." { String::new() } else { path };
        ConfigError::new(&path, message)
    })
}
