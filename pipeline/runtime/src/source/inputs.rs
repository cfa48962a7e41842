//! What a user wrote, as inputs: paths, globs, folders, `-`, `sqlite:PATH#TABLE`, and `NAME=INPUT` labels.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::decode::{self, Compression};
use super::identity::{self, FileId};
use super::kafka::range::{self, Range};
use super::sqlite;
use super::walk::{self, Pattern};

/// One thing to read.
#[derive(Clone, Debug)]
pub struct Input {
    /// What it is.
    pub kind: InputKind,
    /// The service to assume for its entries.
    pub label: Option<String>,
    /// The input as records show it.
    pub name: String,
}

/// The kinds of inputs.
#[derive(Clone, Debug)]
pub enum InputKind {
    /// The standard input.
    Stdin,
    /// A regular file, perhaps compressed. When inputs are followed, it may not exist yet.
    File {
        /// Where it is.
        path: PathBuf,
    },
    /// A named pipe or a character device.
    Pipe {
        /// Where it is.
        path: PathBuf,
    },
    /// A table of an SQLite database.
    Sqlite {
        /// Where the database is.
        path: PathBuf,
        /// The table, and what its columns mean.
        table: sqlite::Table,
    },
    /// Files that may come later: a glob or a folder that is followed. What is there already has inputs of its own.
    Watch {
        /// What to look for.
        pattern: Pattern,
    },
    /// A stretch of a Kafka topic.
    Kafka {
        /// Which.
        range: Range,
    },
}

/// Inputs, and what the user should know about what was left out.
#[derive(Debug, Default)]
pub struct Resolved {
    /// The inputs in the order in which they were written, those of a glob or a folder by path; each file once.
    pub inputs: Vec<Input>,
    /// What was left out, and why.
    pub notices: Vec<String>,
}

/// An input that cannot be read, and how to mend that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InputError {
    /// What is wrong, with the input's name.
    pub message: String,
    /// A proposal.
    pub help: Option<String>,
}

impl InputError {
    pub(super) fn new(message: String) -> Self {
        Self { message, help: None }
    }
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The scheme of an input that is not a file, such as `kafka` in `kafka://localhost/topic` or `sqlite` in `sqlite:logs.db`.
pub fn scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    let named = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    (named && (rest.starts_with("//") || scheme == "sqlite")).then_some(scheme)
}

/// Splits `NAME=INPUT`. A path that exists, or a glob that matches, is taken as a whole although it contains `=`.
pub fn split_label(text: &str) -> (Option<&str>, &str) {
    let Some((label, input)) = text.split_once('=') else { return (None, text) };
    let named = !label.is_empty()
        && !input.is_empty()
        && !label.starts_with('.')
        && label.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c));
    if !named || fs::symlink_metadata(text).is_ok() {
        return (None, text);
    }
    let whole = walk::is_glob(text) && Pattern::glob(text).is_ok_and(|glob| !glob.find().files.is_empty());
    if whole { (None, text) } else { (Some(label), input) }
}

/// Resolves `texts`. With `follow`, files and matches that do not exist yet are waited for instead of being an error.
pub fn resolve<S: AsRef<str>>(texts: &[S], follow: bool) -> Result<Resolved, InputError> {
    let mut resolver =
        Resolver { follow, resolved: Resolved::default(), seen: BTreeMap::new(), stdin: false };
    for text in texts {
        let (label, input) = split_label(text.as_ref());
        resolver.add(input, label)?;
    }
    Ok(resolver.resolved)
}

struct Resolver {
    follow: bool,
    resolved: Resolved,
    /// Where each file is in the list of inputs.
    seen: BTreeMap<FileId, usize>,
    stdin: bool,
}

impl Resolver {
    fn add(&mut self, text: &str, label: Option<&str>) -> Result<(), InputError> {
        if text.is_empty() {
            return Err(InputError::new("an input is empty".to_owned())
                .help("name a file, a folder, a glob, or `-` for the standard input"));
        }
        if text == "-" {
            if !std::mem::replace(&mut self.stdin, true) {
                self.push(InputKind::Stdin, label, "stdin".to_owned());
            }
            return Ok(());
        }
        if text.starts_with(range::SCHEME) {
            let range = Range::parse(text)
                .map_err(|error| InputError { message: error.message, help: error.help })?;
            self.push(InputKind::Kafka { range }, label, text.to_owned());
            return Ok(());
        }
        let path = Path::new(text);
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.add_matches(Pattern::folder(path), label),
            Ok(metadata) => self.add_path(text, path, &metadata, label),
            Err(error) if is_missing(&error) => self.add_missing(text, path, label),
            Err(error) => Err(unreadable(text, &error)),
        }
    }

    fn add_path(
        &mut self,
        text: &str,
        path: &Path,
        metadata: &fs::Metadata,
        label: Option<&str>,
    ) -> Result<(), InputError> {
        let kind = metadata.file_type();
        if kind.is_fifo() || kind.is_char_device() {
            self.push_once(metadata, InputKind::Pipe { path: path.to_owned() }, label, text.to_owned());
            return Ok(());
        }
        if kind.is_socket() {
            return Err(InputError::new(format!("`{text}` is a socket, which cannot be read like a file"))
                .help(format!("connect to it with another program: `socat -u UNIX:{text} - | logbraid`")));
        }
        if !kind.is_file() {
            return Err(InputError::new(format!("`{text}` is a block device, not a log"))
                .help("name a file, a folder, a glob, or `-` for the standard input"));
        }
        let head = read_head(path).map_err(|error| unreadable(text, &error))?;
        if let Some((format, command)) = Compression::unsupported(&head) {
            return Err(InputError::new(format!(
                "`{text}` is compressed with {format}, which is not decoded here"
            ))
            .help(format!("decode it before: `{command} {text} | logbraid`; gzip and zstd are decoded")));
        }
        if head.starts_with(sqlite::MAGIC) {
            return self.add_database(path, None, label);
        }
        self.push_once(metadata, InputKind::File { path: path.to_owned() }, label, text.to_owned());
        Ok(())
    }

    /// Each table of a database is an input of its own.
    fn add_database(
        &mut self,
        path: &Path,
        table: Option<&str>,
        label: Option<&str>,
    ) -> Result<(), InputError> {
        let found = sqlite::find(path, table)?;
        self.resolved.notices.extend(found.notices);
        for table in found.tables {
            let name = format!("sqlite:{}#{}", path.display(), table.name());
            if self.resolved.inputs.iter().all(|input| input.name != name) {
                self.push(InputKind::Sqlite { path: path.to_owned(), table }, label, name);
            }
        }
        Ok(())
    }

    fn add_missing(&mut self, text: &str, path: &Path, label: Option<&str>) -> Result<(), InputError> {
        if let Some(database) = text.strip_prefix("sqlite:") {
            let (path, table) = sqlite::split(database);
            if path.is_file() {
                return self.add_database(path, table, label);
            }
            let error = InputError::new(format!("`{text}`: no such file"));
            return Err(match nearest(path) {
                Some(near) => error.help(format!("there is `{near}`")),
                None => error.help("it is written `sqlite:PATH` or `sqlite:PATH#TABLE`"),
            });
        }
        if let Some(scheme) = scheme(text) {
            return Err(InputError::new(format!("`{text}`: inputs of kind `{scheme}` are not known"))
                .help("an input is a path, a glob, a folder, `-` for the standard input, `kafka://HOST:PORT/TOPIC`, or `sqlite:PATH`"));
        }
        if walk::is_glob(text) {
            let pattern = Pattern::glob(text).map_err(|error| {
                InputError::new(format!("`{text}` is not a glob: {error}"))
                    .help("`*` and `?` match within a name, `**` across folders, `[a-z]` and `{a,b}` choose")
            })?;
            return self.add_matches(pattern, label);
        }
        if self.follow {
            self.push(InputKind::File { path: path.to_owned() }, label, text.to_owned());
            return Ok(());
        }
        let error = InputError::new(format!("`{text}`: no such file"));
        Err(match nearest(path) {
            Some(near) => error.help(format!("there is `{near}`")),
            None => error.help(match parent(path) {
                folder if folder.is_dir() => format!("look at what is in `{}`", folder.display()),
                folder => format!("there is no folder `{}` either", folder.display()),
            }),
        })
    }

    fn add_matches(&mut self, pattern: Pattern, label: Option<&str>) -> Result<(), InputError> {
        let found = pattern.find();
        self.resolved.notices.extend(found.problems);
        let mut readable = 0;
        for path in &found.files {
            let name = path.display().to_string();
            let looked = fs::metadata(path).and_then(|metadata| Ok((metadata, read_head(path)?)));
            match looked {
                Ok((_, head)) if pattern.is_folder() && decode::is_binary(&head) => {
                    self.resolved.notices.push(format!("`{name}` was left out: it does not hold text"));
                }
                Ok((metadata, _)) => {
                    readable += 1;
                    self.push_once(&metadata, InputKind::File { path: path.clone() }, label, name);
                }
                Err(error) => self.resolved.notices.push(format!("`{name}` was left out: {error}")),
            }
        }
        let text = pattern.text().to_owned();
        if self.follow {
            self.push(InputKind::Watch { pattern }, label, text);
        } else if readable == 0 {
            let folder = pattern.is_folder();
            return Err(if folder {
                InputError::new(format!("the folder `{text}` holds no file to read"))
                    .help("name another folder, or follow it with `-f` to wait for files")
            } else {
                InputError::new(format!("`{text}` matches no file to read"))
                    .help("`*` matches within a name and `**` across folders; `-f` waits for files")
            });
        }
        Ok(())
    }

    fn push_once(&mut self, metadata: &fs::Metadata, kind: InputKind, label: Option<&str>, name: String) {
        let next = self.resolved.inputs.len();
        let at = *self.seen.entry(FileId::of(metadata)).or_insert(next);
        if at == next {
            self.push(kind, label, name);
        } else if let (Some(input), Some(label)) = (self.resolved.inputs.get_mut(at), label) {
            // The same file again, as by a folder and by name: what was said about it once holds.
            input.label.get_or_insert_with(|| label.to_owned());
        }
    }

    fn push(&mut self, kind: InputKind, label: Option<&str>, name: String) {
        self.resolved.inputs.push(Input { kind, label: label.map(str::to_owned), name });
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename
    )
}

fn unreadable(text: &str, error: &io::Error) -> InputError {
    let plain = InputError::new(format!("`{text}` cannot be read: {error}"));
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            plain.help("ask for the right to read it, or pipe it in: `sudo cat FILE | logbraid`")
        }
        _ => plain,
    }
}

/// The first bytes of a regular file; looking at them shows that it can be read.
pub(super) fn read_head(path: &Path) -> io::Result<Vec<u8>> {
    identity::bytes_at(&File::open(path)?, 0, 1024)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The name in the same folder that is most like the one that is missing.
fn nearest(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_string_lossy();
    let entries = fs::read_dir(parent(path)).ok()?;
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
    let mut best = (0.8, None);
    for name in names.take(10_000) {
        let like = strsim::jaro_winkler(&wanted, &name);
        if like > best.0 || (like >= best.0 && best.1.as_ref().is_some_and(|before| name < *before)) {
            best = (like, Some(name));
        }
    }
    Some(path.with_file_name(best.1?).display().to_string())
}

#[cfg(test)]
#[path = "inputs_tests.rs"]
mod tests;
