//! What users write, and what it means.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[&str]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for file in files {
            folder.write(file, format!("2024-01-15 INFO {file}\n").as_bytes());
        }
        folder
    }
    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    /// What `texts` mean, with this folder for `@`: `label=name` per input, then the notices.
    fn resolve(&self, texts: &[&str], follow: bool) -> Result<Vec<String>, InputError> {
        let here = self.0.path().display().to_string();
        let texts: Vec<String> = texts.iter().map(|text| text.replace('@', &here)).collect();
        let resolved = super::resolve(&texts, follow)?;
        let short = |text: &str| text.replace(&format!("{here}/"), "").replace(&here, "@");
        let mut shown: Vec<String> = resolved
            .inputs
            .iter()
            .map(|input| {
                let label = input.label.as_ref().map_or(String::new(), |label| format!("{label}="));
                let kind = match input.kind {
                    InputKind::Stdin => "stdin ",
                    InputKind::Pipe { .. } => "pipe ",
                    InputKind::Watch { .. } => "watch ",
                    InputKind::Kafka { .. } => "kafka ",
                    InputKind::Sqlite { .. } => "table ",
                    InputKind::File { .. } => "",
                };
                format!("{kind}{label}{}", short(&input.name))
            })
            .collect();
        shown.extend(resolved.notices.iter().map(|notice| short(notice)));
        Ok(shown)
    }
    fn error(&self, text: &str) -> String {
        let error = self.resolve(&[text], false).unwrap_err();
        let text = format!("{error}; {}", error.help.clone().unwrap_or_default());
        text.replace(&format!("{}/", self.0.path().display()), "")
    }
}

#[test]
fn a_folder_means_all_its_text_files_by_path() {
    let folder = Folder::with(&["b.log", "a/z.log", "a/.hidden", "a/b/c"]);
    folder.write("a/program", b"\x7FELF\x02\x01\x01\0\0\0");
    folder.write("wide.log", b"\xFF\xFEa\0\n\0");
    let expected = ["a/.hidden", "a/b/c", "a/z.log", "b.log", "wide.log"];
    let mut expected = expected.map(str::to_owned).to_vec();
    expected.push("`a/program` was left out: it does not hold text".to_owned());
    assert_eq!(folder.resolve(&["@"], false).unwrap(), expected);
}

#[test]
fn globs_match_within_names_and_across_folders() {
    let folder = Folder::with(&["x.log", "a/y.log", "a/b/z.log", "a/b/z.txt", ".h/q.log"]);
    assert_eq!(folder.resolve(&["@/**/*.log"], false).unwrap(), ["a/b/z.log", "a/y.log", "x.log"]);
    assert_eq!(folder.resolve(&["@/*/*.log"], false).unwrap(), ["a/y.log"]);
    assert!(folder.resolve(&["@/*/.hidden/../*.log", "@/a/**"], false).is_err());
    assert_eq!(folder.resolve(&["@/a/**/z.{log,txt}"], false).unwrap(), ["a/b/z.log", "a/b/z.txt"]);
    assert_eq!(folder.resolve(&["@/.h/*.log"], false).unwrap(), [".h/q.log"]);
}

#[test]
fn a_file_is_read_once_however_often_it_is_named() {
    let folder = Folder::with(&["a.log", "b.log"]);
    fs::hard_link(folder.path("a.log"), folder.path("same.log")).unwrap();
    symlink(folder.path("b.log"), folder.path("link.log")).unwrap();
    symlink(folder.path(""), folder.path("loop")).unwrap();
    assert_eq!(folder.resolve(&["@", "api=@/a.log", "@/*.log"], false).unwrap(), ["api=a.log", "b.log"]);
    assert_eq!(folder.resolve(&["-", "-"], false).unwrap(), ["stdin stdin"]);
}

#[test]
fn a_label_names_the_service_unless_the_path_exists() {
    let folder = Folder::with(&["a.log", "date=2024/x.log"]);
    assert_eq!(folder.resolve(&["api=@/a.log"], false).unwrap(), ["api=a.log"]);
    assert_eq!(folder.resolve(&["api=-"], false).unwrap(), ["stdin api=stdin"]);
    assert_eq!(folder.resolve(&["@/date=2024/x.log"], false).unwrap(), ["date=2024/x.log"]);
    assert_eq!(folder.resolve(&["@/date=*/x.log"], false).unwrap(), ["date=2024/x.log"]);
    assert_eq!(split_label("kafka://host/topic?from=earliest"), (None, "kafka://host/topic?from=earliest"));
    assert_eq!(split_label("api=kafka://h/t?from=earliest"), (Some("api"), "kafka://h/t?from=earliest"));
    assert_eq!(split_label("=x"), (None, "=x"));
}

#[test]
fn errors_say_what_and_how_to_mend() {
    let folder = Folder::with(&["server.log"]);
    assert_eq!(folder.error("@/sever.log"), "`sever.log`: no such file; there is `server.log`");
    assert!(folder.error("@/no/such.log").contains("there is no folder `no`"));
    assert!(folder.error("@/*.txt").contains("matches no file"));
    assert!(folder.error("@/[.log").contains("is not a glob"));
    assert!(folder.error("s3://bucket/x").contains("inputs of kind `s3` are not known"));
    assert!(folder.error("gopher://logs").contains("inputs of kind `gopher`"));
    assert!(folder.error("").contains("an input is empty"));
    fs::create_dir(folder.path("empty")).unwrap();
    assert!(folder.error("@/empty").contains("holds no file"));
    let _socket = std::os::unix::net::UnixListener::bind(folder.path("s.sock")).unwrap();
    assert!(folder.error("@/s.sock").contains("is a socket"));
    folder.write("a.xz", b"\xFD7zXZ\0rest");
    assert!(folder.error("@/a.xz").contains("xz -dc"));
}

#[test]
fn what_may_not_be_read_is_an_error_by_name_and_a_notice_in_a_folder() {
    let folder = Folder::with(&["a.log", "secret.log"]);
    fs::set_permissions(folder.path("secret.log"), fs::Permissions::from_mode(0o0)).unwrap();
    if File::open(folder.path("secret.log")).is_ok() {
        return; // Whoever runs this may read everything.
    }
    assert!(folder.error("@/secret.log").contains("cannot be read"));
    assert!(folder.resolve(&["@"], false).unwrap()[1].contains("`secret.log` was left out"));
}

#[test]
fn what_is_followed_may_come_later() {
    let folder = Folder::with(&["a.log"]);
    let resolved = folder.resolve(&["@/later.log", "@/*.log", "x=@/none/**"], true).unwrap();
    assert_eq!(resolved, ["later.log", "a.log", "watch *.log", "watch x=none/**"]);
}

#[test]
fn pipes_and_character_devices_are_read_like_stdin() {
    let folder = Folder::with(&[]);
    assert_eq!(folder.resolve(&["/dev/null"], false).unwrap(), ["pipe /dev/null"]);
}

#[test]
fn schemes_are_told_from_paths() {
    assert_eq!(scheme("kafka://host:9092/topic"), Some("kafka"));
    assert_eq!(scheme("sqlite:a.db#logs"), Some("sqlite"));
    assert_eq!(scheme("logs/a:b.log"), None);
    assert_eq!(scheme("C://x"), None);
}
