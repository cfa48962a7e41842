//! Finds files below a folder: all of them, or those that match a glob. Sorted by path; symbolic links are followed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::identity::FileId;

/// Most folders within each other that are searched.
const DEPTH_MAX: usize = 64;

/// What to look for, and where.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// As the user wrote it.
    text: String,
    base: PathBuf,
    /// Without one, every file counts.
    glob: Option<GlobMatcher>,
    depth: usize,
    hidden: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Folders and files that could not be looked at, and why.
    pub problems: Vec<String>,
}

/// True when `text` holds characters that mean something in a glob.
pub fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

impl Pattern {
    /// All files of a folder and of the folders in it.
    pub fn folder(path: &Path) -> Self {
        let text = path.display().to_string();
        Self { text, base: path.to_owned(), glob: None, depth: DEPTH_MAX, hidden: true }
    }

    /// The files that match a glob: `*` and `?` within a name, `**` across folders, `[a-z]`, `{a,b}`. Hidden files match
    /// only a pattern that names them with a dot, as in shells. The error says what is wrong with the glob.
    pub fn glob(text: &str) -> Result<Self, String> {
        let glob = GlobBuilder::new(text)
            .literal_separator(true)
            .build()
            .map_err(|error| error.kind().to_string())?
            .compile_matcher();
        let parts: Vec<Component<'_>> = Path::new(text).components().collect();
        let fixed = parts.iter().take_while(|part| !is_glob(&part.as_os_str().to_string_lossy())).count();
        let base: PathBuf = parts[..fixed.min(parts.len().saturating_sub(1))].iter().collect();
        let rest = &parts[base.components().count()..];
        // `{a/b,c}` may hold a separator, which `components` cannot see.
        let deep = text.contains("**") || text.contains('{');
        let depth = if deep { DEPTH_MAX } else { rest.len().saturating_sub(1) };
        let hidden = rest.iter().any(|part| part.as_os_str().to_string_lossy().starts_with('.'));
        Ok(Self { text: text.to_owned(), base, glob: Some(glob), depth, hidden })
    }

    /// The pattern as the user wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True when it stands for a whole folder.
    pub fn is_folder(&self) -> bool {
        self.glob.is_none()
    }

    /// Looks for regular files now.
    pub fn find(&self) -> Found {
        let mut found = Found::default();
        self.walk(&self.base, self.depth, &mut BTreeSet::new(), &mut found);
        found.files.sort();
        found
    }

    fn walk(&self, folder: &Path, depth: usize, seen: &mut BTreeSet<FileId>, found: &mut Found) {
        let shown = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let entries = match fs::read_dir(shown) {
            Ok(entries) => entries,
            // A glob may lead below what does not exist, or below a file.
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                return;
            }
            Err(error) => return found.problems.push(format!("{}: {error}", shown.display())),
        };
        for entry in entries {
            let name = match entry {
                Ok(entry) => entry.file_name(),
                Err(error) => {
                    found.problems.push(format!("{}: {error}", shown.display()));
                    continue;
                }
            };
            if !self.hidden && name.to_string_lossy().starts_with('.') {
                continue;
            }
            let path = folder.join(name);
            // A link that leads nowhere, or a file that has just gone, is none.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if metadata.is_dir() {
                // Links may lead back up: each folder is entered once.
                if depth > 0 && seen.insert(FileId::of(&metadata)) {
                    self.walk(&path, depth - 1, seen, found);
                }
            } else if metadata.is_file() && self.glob.as_ref().is_none_or(|glob| glob.is_match(&path)) {
                found.files.push(path);
            }
        }
    }
}
