//! Every configuration that is shipped loads, and its own tests pass.

use std::path::Path;

#[test]
fn every_shipped_configuration_works() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let config = logbraid::config::load(&path, &logbraid::registry())
            .unwrap_or_else(|problems| panic!("{problems}"));
        for case in &config.tests {
            let faults = logbraid::test_cases::run(&config, case).unwrap();
            assert!(faults.is_empty(), "{}: {}\n{}", path.display(), case.name, faults.join("\n"));
        }
    }
}
