//! Elasticsearch's bulk format: a line that says what to do, and mostly a line with the document.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::super::lines::Lines;
use super::routes::Problem;

#[derive(Deserialize)]
struct Target {
    #[serde(rename = "_index")]
    index: Option<String>,
    #[serde(rename = "_id")]
    id: Option<String>,
}

/// What is answered for each item, and the documents to keep.
pub(super) struct Bulk {
    pub(super) lines: Lines,
    /// True when an item was refused.
    pub(super) errors: bool,
    /// The list of items of the answer, as JSON.
    pub(super) items: String,
}

/// Reads a bulk body. A document that is no JSON object, and an action other than `create` and `index`, is refused by
/// itself; only an action that cannot be understood refuses all, as what follows it cannot be told apart.
pub(super) fn read(body: &[u8], default_index: &str, received: i64) -> Result<Bulk, Problem> {
    let mut bulk = Bulk { lines: Lines::default(), errors: false, items: "[".to_owned() };
    let mut lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
    while let Some((number, line)) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let malformed =
            |why: String| Problem::new(400, format!("line {} of the bulk body: {why}", number + 1));
        let action: BTreeMap<String, Target> =
            serde_json::from_slice(line).map_err(|error| malformed(format!("not an action: {error}")))?;
        let mut actions = action.into_iter();
        let (Some((action, target)), None) = (actions.next(), actions.next()) else {
            return Err(malformed("an action is one of `create` and `index`, with its settings".to_owned()));
        };
        let document = match action.as_str() {
            "create" | "index" | "update" => Some(
                lines
                    .next()
                    .map(|(_, document)| document)
                    .filter(|document| !document.is_empty())
                    .ok_or_else(|| malformed(format!("`{action}` has no document after it")))?,
            ),
            "delete" => None,
            _ => return Err(malformed(format!("`{action}` is not an action; send `create` or `index`"))),
        };
        let index = target.index.as_deref().unwrap_or(default_index);
        let refused = match document {
            Some(document) if action != "update" => match check(document) {
                Ok(()) => {
                    bulk.lines.push(document, received);
                    None
                }
                Err(why) => Some(("document_parsing_exception", why)),
            },
            _ => {
                let why =
                    format!("`{action}` is not possible: what was logged stays; send `create` or `index`");
                Some(("illegal_argument_exception", why))
            }
        };
        let mut item = json!({ "_index": index });
        if let Some(id) = &target.id {
            item["_id"] = json!(id);
        }
        if let Some((kind, reason)) = refused {
            bulk.errors = true;
            item["status"] = json!(400);
            item["error"] = json!({ "type": kind, "reason": reason });
        } else {
            item["result"] = json!("created");
            item["status"] = json!(201);
        }
        if bulk.items.len() > 1 {
            bulk.items.push(',');
        }
        bulk.items.push_str(&json!({ action: item }).to_string());
    }
    bulk.items.push(']');
    Ok(bulk)
}

fn check(document: &[u8]) -> Result<(), String> {
    if document.first() != Some(&b'{') {
        return Err("a document is a JSON object on one line".to_owned());
    }
    match serde_json::from_slice::<IgnoredAny>(document) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("not JSON: {error}")),
    }
}
