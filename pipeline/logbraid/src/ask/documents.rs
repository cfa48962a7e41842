//! Documents beside the logs that a question names, such as a file of rules.

use std::path::{Path, PathBuf};

use logbraid_query::{Documents, QuestionError};
use serde_json::Value;

use crate::config::node;

/// Documents are files.
pub(super) struct Files;

impl Documents for Files {
    fn read(&mut self, path: &str) -> Result<Value, QuestionError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            QuestionError::new("io", format!("`{path}` cannot be read: {}", error.kind()))
                .help("check the path; the file must be UTF-8")
        })?;
        let node = node::parse(&text).map_err(|problems| {
            let first = problems.into_iter().next();
            let (message, help) = first.map_or_else(Default::default, |problem| {
                let place = problem.place.map(|place| format!(":{}:{}", place.line, place.column));
                (format!("`{path}{}`: {}", place.unwrap_or_default(), problem.message), problem.help)
            });
            let error = QuestionError::new("config", message);
            match help {
                Some(help) => error.help(help),
                None => error,
            }
        })?;
        Ok(node.to_value())
    }

    fn find(&mut self, folder: Option<&str>, names: &[&str]) -> Option<String> {
        let folder = std::path::absolute(folder.unwrap_or(".")).ok()?;
        let here = |above: &Path| -> Option<PathBuf> {
            names.iter().map(|name| above.join(name)).find(|path| path.is_file())
        };
        folder.ancestors().find_map(here).map(|path| path.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_found_in_a_folder_above_and_read_as_yaml() {
        let folder = tempfile::tempdir().expect("there is room");
        let below = folder.path().join("a/b");
        std::fs::create_dir_all(&below).expect("there is room");
        std::fs::write(folder.path().join("rules.yaml"), "a: [1, two]\n").expect("there is room");
        let found = Files.find(below.to_str(), &["none.yaml", "rules.yaml"]).expect("it is there");
        assert_eq!(Files.read(&found), Ok(serde_json::json!({"a": [1, "two"]})));
        assert_eq!(Files.find(below.to_str(), &["none.yaml"]), None);
    }

    #[test]
    fn what_cannot_be_read_says_where_and_why() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("rules.yaml");
        let path = path.to_str().expect("the path is text");
        assert_eq!(Files.read(path).map_err(|error| error.code), Err("io"));
        std::fs::write(path, "a: 1\na: 2\n").expect("there is room");
        let error = Files.read(path).expect_err("a key occurs twice");
        assert!(error.message.contains("rules.yaml:2:1"), "{}", error.message);
    }
}
