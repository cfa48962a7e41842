//! The few things that the log asks of a file system, so that tests can crash it at each of them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A folder of files. Names are plain file names.
pub trait Storage: Send + Sync {
    /// A file that is being written.
    type Writer: Writer;
    /// All names, in any order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Begins `name` anew, empty. Its name is durable when this returns; its bytes are when [`Writer::sync`] does.
    fn create(&self, name: &str) -> io::Result<Self::Writer>;
    /// All bytes of `name`.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// Cuts `name` to `length` bytes; these are durable when this returns.
    fn cut(&self, name: &str, length: u64) -> io::Result<()>;
    /// Removes `name`; after a crash it may be there again.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// How long `name` is, in bytes.
    fn length(&self, name: &str) -> io::Result<u64>;
}

/// A file that is being written, from any thread.
pub trait Writer: Send + Sync {
    /// Writes all of `bytes` at the end. After an error any part of them may be there.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Makes durable what was appended before.
    fn sync(&self) -> io::Result<()>;
}

/// A folder of the system.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder at `path`, which is made if it is missing.
    ///
    /// # Errors
    /// When it can be neither found nor made.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(Self { path: path.to_owned() })
    }
}

impl Storage for Folder {
    type Writer = File;

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }
    fn create(&self, name: &str) -> io::Result<File> {
        let path = self.path.join(name);
        let file = OpenOptions::new().create(true).write(true).truncate(true).open(path)?;
        File::open(&self.path)?.sync_all()?;
        Ok(file)
    }
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path.join(name))
    }
    fn cut(&self, name: &str, length: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.path.join(name))?;
        file.set_len(length)?;
        file.sync_all()
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }
    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path.join(name))?.len())
    }
}

impl Writer for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }
    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
