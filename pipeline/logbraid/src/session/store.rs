//! Sessions as files: one document each, written anew as a whole and renamed into place, under a lock of its own.
//!
//! A change reads, changes and writes while it holds the lock, so that of two writers neither loses anything. Readers
//! need no lock: they see the document before a change or after it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::state::Session;
use crate::cli::Fault;
use crate::problem::{Problem, nearest};

/// Longest document that is read.
const BYTES_MAX: u64 = 256 << 20;

/// The folder of sessions.
#[derive(Debug, Clone)]
pub(super) struct Store {
    folder: PathBuf,
}

impl Store {
    /// The folder that was asked for, else the one of this user.
    pub(super) fn new(folder: Option<PathBuf>) -> Result<Self, Fault> {
        let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let state = || var("XDG_STATE_HOME").or_else(|| var("HOME").map(|home| home.join(".local/state")));
        let folder = folder.or_else(|| state().map(|state| state.join("logbraid/sessions")));
        folder.map(|folder| Self { folder }).ok_or_else(|| {
            let problem = Problem::new("session", "there is no folder for sessions: HOME is not set");
            problem.help("name one with `--state-dir FOLDER`").into()
        })
    }

    /// The file of a session.
    pub(super) fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    /// Ids of all sessions, in their own order.
    pub(super) fn ids(&self) -> Result<Vec<String>, Fault> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("cannot list", &self.folder, &error)),
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut ids: Vec<String> = names
            .filter_map(|name| Some(name.strip_suffix(".json")?.to_owned()))
            .filter(|id| is_id(id))
            .collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// The session that `typed` names: its id, the beginning of it, or its name.
    pub(super) fn find(&self, typed: &str) -> Result<String, Fault> {
        let ids = self.ids()?;
        if ids.iter().any(|id| id == typed) {
            return Ok(typed.to_owned());
        }
        let beginning: Vec<&String> =
            ids.iter().filter(|id| typed.len() > 5 && id.starts_with(typed)).collect();
        if let [one] = beginning.as_slice() {
            return Ok((*one).clone());
        }
        let named =
            ids.iter().filter(|id| self.read(id).is_ok_and(|session| session.name.as_deref() == Some(typed)));
        let named: Vec<&String> = named.collect();
        if let [one] = named.as_slice() {
            return Ok((*one).clone());
        }
        let several = beginning.len().max(named.len());
        let problem = if several > 1 {
            Problem::new("session", format!("{several} sessions are meant by '{typed}'"))
                .help("give the whole id; `logbraid session list` shows them")
        } else {
            let problem = Problem::new("session", format!("there is no session '{typed}'"));
            let names: Vec<String> = ids.iter().filter_map(|id| self.read(id).ok()?.name).collect();
            match nearest(typed, ids.iter().chain(&names).map(String::as_str)) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem.help("`logbraid session list` shows those that there are"),
            }
        };
        Err(problem.into())
    }

    /// Reads a session.
    pub(super) fn read(&self, id: &str) -> Result<Session, Fault> {
        read(&self.path(id))
    }

    /// Writes a session that is not there yet. False when one of this id is.
    pub(super) fn create(&self, session: &Session) -> Result<bool, Fault> {
        fs::create_dir_all(&self.folder)
            .map_err(|error| failed("cannot make the folder", &self.folder, &error))?;
        let path = self.path(&session.session_id);
        let _lock = self.lock(&session.session_id)?;
        if path.exists() {
            return Ok(false);
        }
        write(&path, session)?;
        Ok(true)
    }

    /// Changes a session; nobody else does in the meantime. Nothing is written when `change` fails.
    pub(super) fn change<T>(
        &self,
        id: &str,
        change: impl FnOnce(&mut Session) -> Result<T, Fault>,
    ) -> Result<(Session, T), Fault> {
        let _lock = self.lock(id)?;
        let path = self.path(id);
        let mut session = read(&path)?;
        let result = change(&mut session)?;
        write(&path, &session)?;
        Ok((session, result))
    }

    /// Deletes a session.
    pub(super) fn delete(&self, id: &str) -> Result<(), Fault> {
        let lock = self.lock(id)?;
        let path = self.path(id);
        fs::remove_file(&path).map_err(|error| failed("cannot delete", &path, &error))?;
        // Whoever waits for the lock finds no session and says so.
        let _gone = fs::remove_file(self.folder.join(format!("{id}.lock")));
        drop(lock);
        Ok(())
    }

    /// Waits until nobody else changes the session; the lock ends with the file's life.
    fn lock(&self, id: &str) -> Result<File, Fault> {
        let path = self.folder.join(format!("{id}.lock"));
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let locked = file.and_then(|file| file.lock().map(|()| file));
        locked.map_err(|error| failed("cannot lock", &path, &error))
    }
}

/// True for what `create` makes: `sess_` and hexadecimal digits, nothing that could lead to another folder.
fn is_id(text: &str) -> bool {
    text.strip_prefix("sess_").is_some_and(|rest| {
        (4..=32).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn read(path: &Path) -> Result<Session, Fault> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text));
    read.map_err(|error| failed("cannot read", path, &error))?;
    serde_json::from_str(&text).map_err(|error| {
        Problem::new("session", format!("'{}' is not a session: {error}", path.display()))
            .help("it was not written by logbraid, or by a later version; move it away")
            .into()
    })
}

/// Writes beside the file and renames, so that no reader and no crash sees half of it.
fn write(path: &Path, session: &Session) -> Result<(), Fault> {
    let text = serde_json::to_string_pretty(session).map_err(|error| Fault::Failure(error.to_string()))?;
    let beside = path.with_extension("json.new");
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    written.map_err(|error| failed("cannot write", path, &error))
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Fault {
    Fault::Failure(format!("{what} '{}': {error}", path.display()))
}
