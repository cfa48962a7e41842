//! A file system that can lose everything a real one may lose.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::storage::{Storage, Writer};

#[derive(Clone, Default)]
struct File {
    bytes: Vec<u8>,
    /// How many bytes a crash must leave.
    synced: usize,
}

#[derive(Default)]
struct Disk {
    files: BTreeMap<String, File>,
    /// Removed, but a crash may bring them back.
    removed: BTreeMap<String, File>,
    /// Operations until everything fails.
    left: Option<u32>,
    random: u64,
}

impl Disk {
    fn draw(&mut self, below: usize) -> usize {
        // Xorshift64 (Marsaglia 2003).
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 11).unwrap_or(0) % below.max(1)
    }
    /// False when the machine crashes before this operation.
    fn step(&mut self) -> io::Result<()> {
        match &mut self.left {
            Some(0) => Err(io::Error::other("the machine is down")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// The disk outlives each run that uses it.
#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<Mutex<Disk>>);

impl Fake {
    pub(crate) fn new(seed: u64) -> Self {
        let fake = Self::default();
        fake.disk().random = seed | 1;
        fake
    }
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap()
    }
    /// Everything fails after `operations` more.
    pub(crate) fn crash_after(&self, operations: u32) {
        self.disk().left = Some(operations);
    }
    /// What the next run finds: of bytes that were not synced any part, some of it garbled; of removals any number.
    pub(crate) fn restart(&self) {
        let mut disk = self.disk();
        disk.left = None;
        for (name, file) in std::mem::take(&mut disk.removed) {
            if disk.draw(2) == 0 {
                disk.files.entry(name).or_insert(file);
            }
        }
        let names: Vec<String> = disk.files.keys().cloned().collect();
        for name in names {
            let File { mut bytes, synced } = disk.files[&name].clone();
            let keep = synced + disk.draw(bytes.len() - synced + 1);
            bytes.truncate(keep);
            if keep > synced && disk.draw(2) == 0 {
                let from = synced + disk.draw(keep - synced);
                let to = from + disk.draw(keep - from) + 1;
                let with = u8::try_from(disk.draw(256)).unwrap();
                bytes[from..to].fill(with);
            }
            disk.files.insert(name, File { synced: bytes.len(), bytes });
        }
    }
    /// Changes one durable byte somewhere; false when there is none.
    pub(crate) fn damage(&self) -> bool {
        let mut disk = self.disk();
        let lengths: Vec<(String, usize)> =
            disk.files.iter().map(|(name, file)| (name.clone(), file.bytes.len())).collect();
        let total: usize = lengths.iter().map(|(_, length)| length).sum();
        let mut at = disk.draw(total);
        for (name, length) in lengths {
            if at < length {
                disk.files.get_mut(&name).unwrap().bytes[at] ^= 0x20;
                return true;
            }
            at -= length;
        }
        false
    }
    pub(crate) fn names(&self) -> Vec<String> {
        self.disk().files.keys().cloned().collect()
    }
    pub(crate) fn bytes(&self) -> u64 {
        self.disk().files.values().map(|file| file.bytes.len() as u64).sum()
    }
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        self.disk().files.insert(name.to_owned(), File { bytes: bytes.to_vec(), synced: bytes.len() });
    }
}

fn missing() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl Storage for Fake {
    type Writer = FakeWriter;

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk().step()?;
        Ok(self.names())
    }
    fn create(&self, name: &str) -> io::Result<FakeWriter> {
        let mut disk = self.disk();
        disk.step()?;
        disk.removed.remove(name);
        disk.files.insert(name.to_owned(), File::default());
        Ok(FakeWriter { disk: self.clone(), name: name.to_owned() })
    }
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut disk = self.disk();
        disk.step()?;
        disk.files.get(name).map(|file| file.bytes.clone()).ok_or_else(missing)
    }
    fn cut(&self, name: &str, length: u64) -> io::Result<()> {
        let mut disk = self.disk();
        disk.step()?;
        let file = disk.files.get_mut(name).ok_or_else(missing)?;
        file.bytes.truncate(usize::try_from(length).unwrap());
        file.synced = file.bytes.len();
        Ok(())
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.disk();
        disk.step()?;
        let file = disk.files.remove(name).ok_or_else(missing)?;
        disk.removed.insert(name.to_owned(), file);
        Ok(())
    }
    fn length(&self, name: &str) -> io::Result<u64> {
        let mut disk = self.disk();
        disk.step()?;
        disk.files.get(name).map(|file| file.bytes.len() as u64).ok_or_else(missing)
    }
}

/// A file of [`Fake`].
pub(crate) struct FakeWriter {
    disk: Fake,
    name: String,
}

impl Writer for FakeWriter {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.disk.disk();
        let result = disk.step();
        // A write that is interrupted may have written a part.
        let written = if result.is_ok() { bytes.len() } else { disk.draw(bytes.len() + 1) };
        if let Some(file) = disk.files.get_mut(&self.name) {
            file.bytes.extend_from_slice(&bytes[..written]);
        }
        result
    }
    fn sync(&self) -> io::Result<()> {
        let mut disk = self.disk.disk();
        disk.step()?;
        if let Some(file) = disk.files.get_mut(&self.name) {
            file.synced = file.bytes.len();
        }
        Ok(())
    }
}
