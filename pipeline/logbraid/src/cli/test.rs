//! `logbraid test`.

use std::fmt::Write as _;

use serde_json::json;

use super::args::{Colour, TestArgs};
use super::{Fault, Status, Terminal, print, tell};
use crate::problem::{Problem, Problems};
use crate::render::text::{counted, escaped};
use crate::{config, test_cases};

pub(super) fn test(args: &TestArgs, terminal: &Terminal) -> Result<Status, Fault> {
    let json = args.output.is_json();
    let style = terminal.style(if json { Colour::Never } else { args.color }, terminal.stdout);
    let registry = crate::registry();
    let mut problems = Problems::default();
    let (mut passed, mut failed) = (0_u64, 0_u64);
    for path in &args.config {
        let config = match config::load(path, &registry) {
            Ok(config) => config,
            Err(mut more) => {
                problems.list.append(&mut more.list);
                problems.text = if args.config.len() == 1 { more.text } else { None };
                continue;
            }
        };
        if config.tests.is_empty() {
            let problem = Problem::new("no_tests", format!("{} has no tests", config.file))
                .help("add a section `tests:` with cases of `name`, `input` and `expect`");
            problems.list.push(problem);
        }
        for case in &config.tests {
            let faults = test_cases::run(&config, case)
                .map_err(|error| Fault::Failure(format!("{}: {error}", case.name)))?;
            let ok = faults.is_empty();
            if ok {
                passed += 1;
            } else {
                failed += 1;
            }
            let text = if json {
                let mut result =
                    json!({ "type": "test", "config": config.file, "name": case.name, "ok": ok });
                if !ok {
                    result["faults"] = json!(faults);
                }
                format!("{result}\n")
            } else {
                let mark = if ok { style.good("ok    ") } else { style.error("FAILED") };
                let mut text =
                    format!("{mark} {}: {}\n", escaped(&config.file, true), escaped(&case.name, true));
                for line in faults.iter().flat_map(|fault| fault.lines()) {
                    let _ = writeln!(text, "  {line}");
                }
                text
            };
            print(text.as_bytes());
        }
    }
    if !problems.list.is_empty() {
        return Err(problems.into());
    }
    if !json {
        tell(&format!("{} passed, {} failed\n", counted(passed, "test", "tests"), failed));
    }
    Ok(if failed > 0 { Status::Found } else { Status::Done })
}
