//! The generated reference is what the program is.

use std::path::Path;

#[test]
fn the_reference_is_not_stale() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/reference");
    let files = logbraid::reference::files(&logbraid::registry());
    let update = std::env::var_os("LOGBRAID_UPDATE").is_some_and(|value| value == "1");
    if update {
        std::fs::create_dir_all(&folder).unwrap();
    }
    let mut stale = Vec::new();
    for (name, text) in &files {
        let path = folder.join(name);
        if std::fs::read_to_string(&path).ok().as_ref() != Some(text) {
            if update {
                std::fs::write(&path, text).unwrap();
            } else {
                stale.push(name.clone());
            }
        }
    }
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if !files.contains_key(&name) {
            stale.push(format!("{name} (belongs to nothing)"));
        }
    }
    assert!(stale.is_empty(), "run `LOGBRAID_UPDATE=1 cargo test -p logbraid --test reference`: {stale:?}");
}

#[test]
fn every_reference_in_the_schemas_leads_somewhere() {
    fn references(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(map) => {
                if let Some(path) = map.get("$ref").and_then(|path| path.as_str()) {
                    found.push(path.to_owned());
                }
                map.values().for_each(|value| references(value, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let registry = logbraid::registry();
    for schema in [logbraid::reference::config_schema(&registry), logbraid::reference::records_schema()] {
        let mut found = Vec::new();
        references(&schema, &mut found);
        assert!(!found.is_empty());
        for path in found {
            assert!(schema.pointer(path.trim_start_matches('#')).is_some(), "{path}");
        }
    }
}
