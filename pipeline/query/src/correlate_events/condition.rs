//! Comparisons of a field with a number.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A comparison with a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Condition {
    accepts: [bool; 3],
    number: f64,
}

impl Condition {
    /// True when `value` is what the condition asks for.
    pub fn holds(self, value: f64) -> bool {
        let [less, equal, greater] = self.accepts;
        match value.partial_cmp(&self.number) {
            Some(Ordering::Less) => less,
            Some(Ordering::Equal) => equal,
            Some(Ordering::Greater) => greater,
            None => false,
        }
    }
}

impl std::str::FromStr for Condition {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let signs = [
            ("<=", [true, true, false]),
            (">=", [false, true, true]),
            ("==", [false, true, false]),
            ("!=", [true, false, true]),
            ("<", [true, false, false]),
            (">", [false, false, true]),
            ("=", [false, true, false]),
        ];
        let text = text.trim();
        let wrong =
            || format!("`{text}` is not a condition; write it like `>500`, `<=1.5`, `==0` or `!=200`");
        let (rest, accepts) = signs
            .iter()
            .find_map(|(sign, accepts)| text.strip_prefix(sign).map(|rest| (rest, *accepts)))
            .ok_or_else(wrong)?;
        let number: f64 = rest.trim().parse().map_err(|_| wrong())?;
        if number.is_nan() { Err(wrong()) } else { Ok(Self { accepts, number }) }
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = match self.accepts {
            [true, true, _] => "<=",
            [_, true, true] => ">=",
            [true, _, true] => "!=",
            [true, ..] => "<",
            [_, _, true] => ">",
            _ => "==",
        };
        write!(f, "{sign}{}", self.number)
    }
}

impl Serialize for Condition {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Condition {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Condition".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "`<`, `<=`, `>`, `>=`, `==` or `!=`, and a number"
        })
    }
}
