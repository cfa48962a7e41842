//! Files on disk: rotation, crashes, and errors that can be mended.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};

use super::*;
use crate::tests::{context, finding, lines};

struct Folder {
    folder: tempfile::TempDir,
    seconds: Arc<AtomicI64>,
}

impl Folder {
    fn new() -> Self {
        // Later than the modification times of files that tests write: a clock that runs on from today.
        Self { folder: tempfile::tempdir().unwrap(), seconds: Arc::new(AtomicI64::new(5_000_000_000)) }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
    fn build(&self, mut settings: Value) -> Result<File, ConfigError> {
        settings["path"] = json!(self.path(settings["path"].as_str().unwrap_or("out")));
        let seconds = Arc::clone(&self.seconds);
        let now = Arc::new(move || EventTime::from_millis(seconds.load(Ordering::Relaxed) * 1000));
        File::build(logbraid_core::component::settings(&settings)?, &Context { now, ..context() })
    }
    fn lines(&self, name: &str) -> Vec<String> {
        fs::read(self.path(name)).map_or_else(|_| vec!["no file".to_owned()], |text| lines(&text))
    }
}

async fn write(sink: &mut File, titles: &[&str]) -> Result<(), SinkError> {
    let records: Vec<Record> = titles.iter().map(|title| finding(title)).collect();
    sink.write(&records.iter().collect::<Vec<_>>()).await?;
    sink.flush().await
}

fn counter(sink: &File, wanted: &str) -> u64 {
    let mut found = 0;
    sink.metrics(&mut |name, value| found += if name == wanted { value } else { 0 });
    found
}

#[tokio::test]
async fn records_are_appended_to_what_is_there() {
    let folder = Folder::new();
    write(&mut folder.build(json!({})).unwrap(), &["a", "b"]).await.unwrap();
    write(&mut folder.build(json!({})).unwrap(), &["c"]).await.unwrap();
    assert_eq!(folder.lines("out"), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_file_that_is_full_is_rotated_and_the_oldest_goes() {
    let folder = Folder::new();
    let mut sink = folder.build(json!({ "rotate": { "size": 600, "keep": 2 } })).unwrap();
    for title in ["1", "2", "3", "4", "5", "6", "7"] {
        write(&mut sink, &[title]).await.unwrap();
    }
    assert_eq!(folder.lines("out"), ["7"]);
    assert_eq!(folder.lines("out.1"), ["5", "6"]);
    assert_eq!(folder.lines("out.2"), ["3", "4"]);
    assert_eq!(folder.lines("out.3"), ["no file"]);
    assert_eq!(counter(&sink, "rotations"), 3);
}

#[tokio::test]
async fn one_write_is_never_torn_even_when_it_alone_is_too_large() {
    let folder = Folder::new();
    let mut sink = folder.build(json!({ "rotate": { "size": 10 } })).unwrap();
    write(&mut sink, &["a", "b"]).await.unwrap();
    write(&mut sink, &["c", "d"]).await.unwrap();
    assert_eq!(folder.lines("out.1"), ["a", "b"]);
    assert_eq!(folder.lines("out"), ["c", "d"]);
}

#[tokio::test]
async fn a_new_file_begins_with_each_whole_hour_also_after_a_restart() {
    let folder = Folder::new();
    let settings = json!({ "rotate": { "every": "1h" } });
    let hour = 5_000_000_000 / 3600 * 3600;
    let mut sink = folder.build(settings.clone()).unwrap();
    for (second, title) in [(10, "a"), (3599, "b"), (3600, "c"), (3601, "d")] {
        folder.seconds.store(hour + second, Ordering::Relaxed);
        write(&mut sink, &[title]).await.unwrap();
    }
    assert_eq!(
        (folder.lines("out.1"), folder.lines("out")),
        (vec!["a".into(), "b".into()], vec!["c".into(), "d".into()])
    );
    drop(sink);
    // The file was last written when it was, by the file system's clock: long before this hour.
    let mut sink = folder.build(settings).unwrap();
    write(&mut sink, &["e"]).await.unwrap();
    assert_eq!(folder.lines("out"), ["e"]);
}

#[tokio::test]
async fn a_record_that_a_crash_tore_is_cut_and_foreign_text_is_kept() {
    let folder = Folder::new();
    write(&mut folder.build(json!({})).unwrap(), &["a", "b"]).await.unwrap();
    let text = fs::read(folder.path("out")).unwrap();
    for cut in [1, 30, text.len() / 2 - 4] {
        fs::write(folder.path("out"), &text[..text.len() - cut]).unwrap();
        let mut sink = folder.build(json!({})).unwrap();
        write(&mut sink, &["b"]).await.unwrap();
        assert_eq!(folder.lines("out"), ["a", "b"]);
        assert_eq!(counter(&sink, "partial_lines_cut"), 1);
    }
    fs::write(folder.path("notes"), "precious").unwrap();
    write(&mut folder.build(json!({ "path": "notes" })).unwrap(), &["a"]).await.unwrap();
    let notes = fs::read_to_string(folder.path("notes")).unwrap();
    assert!(notes.starts_with("precious\n{\"type\""), "{notes}");
}

#[tokio::test]
async fn a_file_that_somebody_moves_is_left_to_them() {
    let folder = Folder::new();
    let mut sink = folder.build(json!({})).unwrap();
    write(&mut sink, &["a"]).await.unwrap();
    fs::rename(folder.path("out"), folder.path("moved")).unwrap();
    write(&mut sink, &["b"]).await.unwrap();
    fs::remove_file(folder.path("out")).unwrap();
    write(&mut sink, &["c"]).await.unwrap();
    assert_eq!((folder.lines("moved"), folder.lines("out")), (vec!["a".into()], vec!["c".into()]));
}

#[tokio::test]
async fn errors_name_the_path_and_the_mend() {
    let folder = Folder::new();
    let fatal = async |settings: Value| match write(&mut folder.build(settings).unwrap(), &["a"]).await {
        Err(SinkError::Fatal(text)) => text.replace(&folder.folder.path().display().to_string(), "@"),
        other => format!("{other:?}"),
    };
    let text = fatal(json!({ "path": "none/out" })).await;
    assert!(
        text.starts_with("`@/none/out` cannot be opened: ") && text.contains("set `mkdir: true`"),
        "{text}"
    );
    assert_eq!(fatal(json!({ "path": "none/out", "mkdir": true })).await, "Ok(())");
    assert!(fatal(json!({ "path": "none" })).await.contains("set `path` to a file"));
    let mut holder = folder.build(json!({})).unwrap();
    write(&mut holder, &["a"]).await.unwrap();
    assert!(fatal(json!({})).await.contains("another logbraid writes to it"));
    fs::create_dir(folder.path("locked")).unwrap();
    fs::set_permissions(folder.path("locked"), fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(folder.path("locked/probe"), "").is_err() {
        assert!(fatal(json!({ "path": "locked/out" })).await.contains("allow this user"));
    }
}

#[tokio::test]
async fn a_full_disk_is_tried_again_and_devices_are_written_as_they_are() {
    let folder = Folder::new();
    // A device that is always full.
    let mut sink = folder.build(json!({ "path": "/dev/full" })).unwrap();
    let Err(SinkError::Retry(text)) = write(&mut sink, &["a"]).await else { panic!("retry") };
    assert!(text.contains("`/dev/full` cannot be written") && text.contains("free some space"), "{text}");
    write(&mut folder.build(json!({ "path": "/dev/null", "rotate": { "size": 1 } })).unwrap(), &["a"])
        .await
        .unwrap();
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let folder = Folder::new();
    let error = |settings: Value| match folder.build(settings) {
        Ok(_) => "no error".to_owned(),
        Err(error) => error.path,
    };
    assert_eq!(error(json!({ "rotate": {} })), "rotate");
    assert_eq!(error(json!({ "rotate": { "size": 0 } })), "rotate.size");
    assert_eq!(error(json!({ "rotate": { "every": "1ms" } })), "rotate.every");
    assert_eq!(error(json!({ "rotate": { "size": 1, "keep": 0 } })), "rotate.keep");
    assert_eq!(error(json!({ "rotate": { "siez": 1 } })), "rotate.siez");
    assert!(!folder.path("out").exists(), "building touches nothing");
}
