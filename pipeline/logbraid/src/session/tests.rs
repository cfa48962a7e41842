use std::sync::Arc;

use serde_json::json;

use super::state::STEPS_MAX;
use super::*;

const AT: &str = "2024-01-15T10:00:00Z";

fn session(id: &str) -> Session {
    Session {
        session_id: id.to_owned(),
        name: Some("shop".to_owned()),
        created_at: AT.to_owned(),
        files: vec!["/var/log/shop".to_owned()],
        db_path: None,
        status: State::Active,
        log: Vec::new(),
        undone: Vec::new(),
    }
}

fn note(text: &str) -> Action {
    Action::Note { text: text.to_owned() }
}

fn conclusion() -> Action {
    let conclusion = Conclusion {
        summary: "the pool is too small".to_owned(),
        root_cause: Some("20 slots".to_owned()),
        confidence: 0.9,
        concluded_at: AT.to_owned(),
    };
    Action::Conclude { conclusion }
}

fn query(document: &Value) -> Asked {
    let typed = Typed {
        question: "search".to_owned(),
        words: ["search", "--query", "it's late"].map(str::to_owned).to_vec(),
        request: json!({"query": "it's late"}),
        options: json!({}),
        inputs: Vec::new(),
    };
    Asked::of(typed, true, document)
}

fn told<T>(result: Result<T, Fault>) -> String {
    match result {
        Ok(_) => "done".to_owned(),
        Err(Fault::Mistake(problems)) => problems.to_string(),
        Err(Fault::Failure(message)) => message,
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(Some(folder.path().to_owned())).unwrap();
    (folder, store)
}

#[test]
fn two_writers_lose_nothing() {
    let (_folder, store) = store();
    assert!(store.create(&session("sess_0a1b")).unwrap());
    let store = Arc::new(store);
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let store = Arc::clone(&store);
            std::thread::spawn(move || {
                for at in 0..20 {
                    let text = format!("{writer}-{at}");
                    store
                        .change("sess_0a1b", |session| Ok(session.add(AT.to_owned(), note(&text))?))
                        .unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    let session = store.read("sess_0a1b").unwrap();
    assert_eq!(session.log.len(), 160);
    assert!(session.log.iter().enumerate().all(|(at, step)| step.step == at + 1));
    for writer in 0..8 {
        let beginning = format!("{writer}-");
        let of = |step: &state::Step| matches!(&step.action, Action::Note { text } if text.starts_with(&beginning));
        assert_eq!(session.log.iter().filter(|step| of(step)).count(), 20, "of writer {writer}");
    }
}

#[test]
fn a_change_that_fails_writes_nothing() {
    let (_folder, store) = store();
    store.create(&session("sess_0a1b")).unwrap();
    let failed = store.change("sess_0a1b", |session| {
        session.add(AT.to_owned(), note("half"))?;
        Err::<(), _>(Fault::Failure("no".to_owned()))
    });
    assert_eq!(told(failed), "no");
    assert_eq!(store.read("sess_0a1b").unwrap(), session("sess_0a1b"));
}

#[test]
fn what_is_read_back_is_what_was_written() {
    let (_folder, store) = store();
    let mut session = session("sess_0a1b");
    let document = json!({"total": 2, "results": [{"message": "x", "correlation_id": "req-1"}]});
    session.add(AT.to_owned(), Action::Query(Box::new(query(&document)))).unwrap();
    session.add(AT.to_owned(), note("a")).unwrap();
    session.undo();
    session.add(AT.to_owned(), conclusion()).unwrap();
    store.create(&session).unwrap();
    assert_eq!(store.read("sess_0a1b").unwrap(), session);
    assert!(!store.create(&session).unwrap(), "an id is given once");
}

#[test]
fn steps_are_undone_and_done_again_in_order() {
    let mut session = session("sess_0a1b");
    for text in ["a", "b", "c"] {
        session.add(AT.to_owned(), note(text)).unwrap();
    }
    session.undo();
    session.undo();
    let again = session.redo().cloned().unwrap();
    assert_eq!((again.step, again.action), (2, note("b")));
    session.add(AT.to_owned(), note("d")).unwrap();
    assert!(session.redo().is_none(), "a new step ends what was undone");
    let texts: Vec<_> = session.log.iter().map(|step| (step.step, step.action.clone())).collect();
    assert_eq!(texts, [(1, note("a")), (2, note("b")), (3, note("d"))]);
}

#[test]
fn a_concluded_session_takes_no_steps_until_the_conclusion_is_undone() {
    let mut session = session("sess_0a1b");
    session.add(AT.to_owned(), conclusion()).unwrap();
    let refused = session.add(AT.to_owned(), note("late")).unwrap_err();
    assert_eq!(refused.message, "the session 'sess_0a1b' is concluded");
    assert_eq!(session.log.len(), 1);
    session.undo();
    session.add(AT.to_owned(), note("late")).unwrap();
    assert!(session.conclusion().is_none());
}

#[test]
fn a_step_keeps_where_entries_were_read_and_whose_they_were() {
    let entry = |line: usize| {
        let id = format!("req-{}", line % 3);
        json!({"message": "x", "correlation_id": id, "source": {"input": "/a.log", "line": line}})
    };
    let document = json!({
        "summary": {"total_matches": 500, "level": ["ERROR"]},
        "truncated": true,
        "results": (1..=500).map(entry).collect::<Vec<_>>(),
    });
    let asked = query(&document);
    assert_eq!((asked.sources.len(), asked.total_sources), (100, 500));
    assert_eq!(asked.sources[0], json!({"input": "/a.log", "line": 1}));
    assert_eq!(asked.correlation_ids, ["req-1", "req-2", "req-0"]);
    assert_eq!(Value::Object(asked.summary.clone()), json!({"truncated": true, "total_matches": 500}));
    let mut other = document.clone();
    other["results"][499]["message"] = json!("y");
    assert_ne!(query(&other).answer, asked.answer, "the fingerprint is of the whole answer");
    assert_eq!(query(&document).answer, asked.answer);
}

#[test]
fn a_session_has_a_bounded_number_of_steps() {
    let mut session = session("sess_0a1b");
    for _ in 0..STEPS_MAX {
        session.add(AT.to_owned(), note("a")).unwrap();
    }
    assert!(session.add(AT.to_owned(), note("a")).unwrap_err().message.contains("has 10000 steps already"));
}

#[test]
fn sessions_are_found_by_id_by_its_beginning_and_by_name() {
    let (folder, store) = store();
    for id in ["sess_0a1b2c", "sess_0a1bff", "sess_ffff"] {
        let name = (id == "sess_ffff").then(|| "checkout".to_owned());
        store.create(&Session { name, ..session(id) }).unwrap();
    }
    assert_eq!(store.find("sess_0a1b2c").unwrap(), "sess_0a1b2c");
    assert_eq!(store.find("sess_0a1b2").unwrap(), "sess_0a1b2c");
    assert_eq!(store.find("checkout").unwrap(), "sess_ffff");
    assert!(told(store.find("sess_0a1b")).contains("2 sessions are meant by 'sess_0a1b'"));
    assert!(told(store.find("chekout")).contains("there is no session 'chekout'"));
    // No name leads out of the folder.
    std::fs::write(folder.path().join("../sess_beef.json"), "{}").ok();
    assert!(told(store.find("../sess_beef")).contains("there is no session"));
    std::fs::remove_file(folder.path().join("../sess_beef.json")).ok();
}

#[test]
fn what_is_no_session_is_told_and_hides_no_other() {
    let (folder, store) = store();
    store.create(&session("sess_0a1b")).unwrap();
    std::fs::write(folder.path().join("sess_dead.json"), "{\"session_id\": 7}").unwrap();
    std::fs::write(folder.path().join("sess_beef.json"), b"\xff\xfe").unwrap();
    assert!(told(store.read("sess_dead")).contains("is not a session"));
    assert!(told(store.read("sess_beef")).contains("cannot read"));
    assert_eq!(store.find("shop").unwrap(), "sess_0a1b");
    store.delete("sess_0a1b").unwrap();
    assert!(told(store.find("sess_0a1b")).contains("there is no session"));
}

#[test]
fn a_report_tells_every_step_and_executes_nothing() {
    let mut session = session("sess_0a1b");
    let document = json!({"total": 2, "results": [{"message": "x", "correlation_id": "req-1",
        "source": {"input": "/var/log/shop/a.log", "line": 7}}]});
    session.add(AT.to_owned(), Action::Query(Box::new(query(&document)))).unwrap();
    session.add(AT.to_owned(), note("look \u{1b}[31m`here`")).unwrap();
    session.add(AT.to_owned(), conclusion()).unwrap();
    insta::assert_snapshot!(report::write(&session, true), @r"
    # Investigation: shop

    - session `sess_0a1b`, concluded, created 2024-01-15T10:00:00Z
    - input `/var/log/shop`

    ## Conclusion

    the pool is too small

    - root cause: 20 slots
    - confidence: 90 %

    ## Steps

    1. 2024-01-15T10:00:00Z — `search --query 'it'\''s late'`
       - found total=2
       - `/var/log/shop/a.log:7`
    2. 2024-01-15T10:00:00Z — note: look ␛[31m`here`
    3. 2024-01-15T10:00:00Z — concluded: the pool is too small

    ## Requests

    - `req-1`
    ");
    assert!(report::write(&session, false).contains("\nCONCLUSION\n"));
}

#[test]
fn inputs_are_kept_as_any_folder_and_any_day_understands_them() {
    let here = std::env::current_dir().unwrap();
    let here = here.display();
    assert_eq!(lasting("logs/*.log").unwrap(), format!("{here}/logs/*.log"));
    assert_eq!(lasting("api=a.log").unwrap(), format!("api={here}/a.log"));
    assert_eq!(lasting("sqlite:a.db#t").unwrap(), format!("sqlite:{here}/a.db#t"));
    assert_eq!(lasting("kafka://h/t").unwrap(), "kafka://h/t");
    assert!(lasting("-").unwrap_err().message.contains("the standard input cannot be kept"));
    assert!(lasting("http://localhost:9600").is_err());
}
