//! JSON Schemas of settings, requests and answers.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};

/// The JSON Schema (draft 2020-12) of `T`: a document of its own, whose `$defs` hold what it refers to.
///
/// The same as `schemars::schema_for!`, whose every use is a kilobyte and a half of program; a program with a hundred of
/// them feels that.
pub fn schema_of<T: JsonSchema>() -> Schema {
    document(T::json_schema, T::schema_name())
}

fn document(of: fn(&mut SchemaGenerator) -> Schema, name: Cow<'static, str>) -> Schema {
    let mut generator = SchemaGenerator::default();
    let mut schema = of(&mut generator);
    let definitions = generator.take_definitions(true);
    let meta = generator.settings().meta_schema.clone();
    let object = schema.ensure_object();
    object.entry("title").or_insert_with(|| name.into_owned().into());
    if let Some(meta) = meta {
        object.insert("$schema".to_owned(), meta.into_owned().into());
    }
    if !definitions.is_empty() {
        object.insert("$defs".to_owned(), definitions.into());
    }
    schema
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A part.
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is of interest")]
    struct Part {
        size: u8,
    }

    /// A whole.
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is of interest")]
    struct Whole {
        /// Its parts.
        parts: BTreeMap<String, Vec<Part>>,
        first: Option<Part>,
    }

    #[test]
    fn a_schema_is_the_one_that_the_library_makes() {
        assert_eq!(schema_of::<Whole>(), schemars::schema_for!(Whole));
        assert_eq!(schema_of::<u8>(), schemars::schema_for!(u8));
    }
}
