//! Settings that are passed through to a client library under its own names.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use crate::component::ConfigError;

/// Names and values for a client library. A name that ends in `_file` names a file whose content is the value of the
/// name before it, so that a secret need not stand in a configuration. Values never appear in `Debug`.
///
/// ```
/// use logbraid_core::Properties;
/// let written = serde_json::json!({ "sasl.username": "reader", "sasl.password_file": "/run/secret", "linger.ms": 5 });
/// let properties: Properties = serde_json::from_value(written).unwrap();
/// let resolved = properties.resolve(&|path| Ok(format!("from {path}\n"))).unwrap();
/// assert_eq!(resolved[1], ("sasl.password".to_owned(), "from /run/secret".to_owned()));
/// assert!(!format!("{properties:?}").contains("reader"));
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Properties(BTreeMap<String, String>);

/// The end of a name whose value is in a file.
const FILE: &str = "_file";

impl Properties {
    /// The names, without values.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
    /// The value of `name`, if it is written out.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
    /// Asks `refuses` why a setting cannot stand, if it cannot. What is in files is not looked at.
    ///
    /// # Errors
    /// The first setting that is refused.
    pub fn check(&self, refuses: impl Fn(&str, &str) -> Option<String>) -> Result<(), ConfigError> {
        let written = self.0.iter().filter(|(name, _)| !name.ends_with(FILE));
        for (name, value) in written {
            if let Some(why) = refuses(name, value) {
                return Err(ConfigError {
                    path: format!("properties.{name}"),
                    message: format!("`properties.{name}`: {why}"),
                    help: Some("see librdkafka's list of settings for names and values".to_owned()),
                });
            }
        }
        Ok(())
    }
    /// Names and values in order of name, with files read by `read`; their last line end is left out.
    ///
    /// # Errors
    /// The name at fault and what `read` said of its file.
    pub fn resolve(
        &self,
        read: &dyn Fn(&str) -> std::io::Result<String>,
    ) -> Result<Vec<(String, String)>, (String, std::io::Error)> {
        self.0
            .iter()
            .map(|(name, value)| match name.strip_suffix(FILE) {
                None => Ok((name.clone(), value.clone())),
                Some(short) => match read(value) {
                    Ok(text) => Ok((short.to_owned(), text.trim_end_matches(['\n', '\r']).to_owned())),
                    Err(error) => Err((name.clone(), error)),
                },
            })
            .collect()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Properties {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(pairs: T) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.keys().map(|name| (name, "…"))).finish()
    }
}

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Numbers and booleans need no quotes in YAML.
        let written = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let plain = |(name, value): (String, Value)| match value {
            Value::String(text) => Ok((name, text)),
            Value::Number(number) => Ok((name, number.to_string())),
            Value::Bool(value) => Ok((name, value.to_string())),
            _ => Err(D::Error::custom(format!("`{name}` must be a text, a number, `true` or `false`"))),
        };
        written.into_iter().map(plain).collect::<Result<BTreeMap<_, _>, _>>().map(Self)
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl schemars::JsonSchema for Properties {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Properties".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "description": "names and values for librdkafka; `NAME_file` names a file that holds the value of `NAME`",
            "additionalProperties": { "type": ["string", "number", "boolean"] },
        })
    }
}
