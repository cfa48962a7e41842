use std::sync::Arc;

use clap::ArgMatches;
use logbraid_core::{Chain, EventTime, Span};
use logbraid_operators::index::Index;
use logbraid_query::{Formats, QUESTIONS, QuestionSpec};
use logbraid_runtime::admin::{Asked, Questions};
use logbraid_runtime::clock::FakeClock;
use serde_json::{Value, json};

use super::{Live, commands};

/// The command line of a question with no more words than it needs.
fn bare(spec: &QuestionSpec) -> Option<ArgMatches> {
    let command = commands::page(spec).no_binary_name(true);
    command.try_get_matches_from(Vec::<String>::new()).ok()
}

#[test]
fn the_command_line_is_well_formed() {
    crate::cli::program().debug_assert();
}

#[test]
fn defaults_are_the_same_through_every_door() {
    let mut compared = 0;
    for spec in QUESTIONS {
        let Some(matches) = bare(spec) else { continue };
        let typed = (spec.from_matches)(&matches).unwrap().to_json().unwrap();
        let sent = (spec.from_json)(&json!({})).unwrap().to_json().unwrap();
        assert_eq!(typed, sent, "{}", spec.name);
        let again = (spec.from_json)(&typed).unwrap().to_json().unwrap();
        assert_eq!(again, typed, "{} survives being sent", spec.name);
        compared += 1;
    }
    assert!(compared > 10);
}

#[test]
fn every_question_has_a_summary_an_example_and_no_name_twice() {
    let mut names: Vec<&str> = QUESTIONS.iter().map(|spec| spec.name).collect();
    for spec in QUESTIONS {
        let (summary, _) = commands::summary(spec.docs);
        assert!(summary.ends_with('.') && summary.len() < 200, "{}: {summary}", spec.name);
        let examples = super::list::examples(spec.docs);
        assert!(!examples.is_empty(), "{} has no example", spec.name);
        for example in examples {
            assert!(example.starts_with(&format!("logbraid {}", spec.name)), "{example}");
        }
    }
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn the_list_for_programs_has_schemas_of_requests_and_answers() {
    let list: Value = serde_json::from_str(&super::list(true)).unwrap();
    let questions = list["questions"].as_array().unwrap();
    assert_eq!(questions.len(), QUESTIONS.len());
    for question in questions {
        let request = &question["request"]["properties"];
        assert!(request.is_object() || question["request"]["type"] == "object", "{question}");
        assert!(question["answer"]["properties"].is_object(), "{}", question["name"]);
    }
}

#[test]
fn more_questions_than_can_wait_are_told_to_come_again() {
    let clock = Arc::new(FakeClock::at(EventTime::from_nanos(0)));
    let readers = super::Readers::default();
    let chain = Chain::new(vec![Box::new(Index::batch(1 << 20))], false, Span::from_seconds(60));
    let _chain = readers.of(super::load::once(chain))().unwrap();
    let live = Live::new(readers, clock, Formats::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = || live.answer(Asked { question: "stats".to_owned(), parameters: Vec::new(), body: None });
    assert_eq!(runtime.block_on(ask()).status, 200);
    let held = live.hold();
    let busy = runtime.block_on(ask());
    assert_eq!(busy.status, 503);
    assert!(busy.headers.contains(&("retry-after", "1".to_owned())));
    drop(held);
    // Those that waited are done, or will be soon.
    while runtime.block_on(ask()).status == 503 {
        std::thread::yield_now();
    }
}

#[test]
fn a_manuals_paragraphs_are_lines_that_the_terminal_wraps() {
    let manual = "# q\n\nWhat it does\nin short.\n\nOne thing\nand another.\n- a list\n- of two\n\n```sh\na\nb\n```\nThe end\nof it.\n";
    let (about, rest) = commands::summary(manual);
    assert_eq!(about, "What it does in short.");
    assert_eq!(rest, "One thing and another.\n- a list\n- of two\n\n  a\n  b\nThe end of it.");
}
