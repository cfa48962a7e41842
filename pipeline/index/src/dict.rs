//! Dictionaries of texts, one per block and kind of text. They expire with their block and are found by hash order:
//! a look-up is a binary search, and no table is kept for it.
//!
//! ```text
//!  count u16 | fixed u32 (length of every text, or none) | [ends: a column] | bytes u32 | text…
//! ```

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::Corrupt;
use crate::bits::{self, Ints, Reader, len32};

/// Texts differ in length.
const MIXED: u32 = u32::MAX;

/// The hash under which dictionaries are ordered.
pub(crate) fn hash_of(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

/// Numbers texts from 1 on while a block is open; 0 is "none".
#[derive(Debug, Default)]
pub(crate) struct Interner {
    table: HashTable<u16>,
    entries: Vec<Entry>,
    text: String,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u64,
    start: u32,
    len: u32,
}

fn slot(code: u16) -> usize {
    usize::from(code).wrapping_sub(1)
}

impl Interner {
    /// The number of `text`. A block has far fewer texts than numbers.
    pub(crate) fn intern(&mut self, text: Option<&str>) -> u16 {
        let Some(text) = text else { return 0 };
        let hash = hash_of(text);
        let Self { table, entries, text: all } = self;
        let same = |code: &u16| {
            entries.get(slot(*code)).is_some_and(|entry| {
                entry.hash == hash
                    && all.get(entry.start as usize..(entry.start + entry.len) as usize) == Some(text)
            })
        };
        if let Some(code) = table.find(hash, same) {
            return *code;
        }
        let Ok(code) = u16::try_from(entries.len() + 1) else { return 0 };
        entries.push(Entry { hash, start: len32(all.len()), len: len32(text.len()) });
        all.push_str(text);
        table.insert_unique(hash, code, |code| entries.get(slot(*code)).map_or(0, |entry| entry.hash));
        code
    }
    pub(crate) fn text_bytes(&self) -> usize {
        self.text.len()
    }
    pub(crate) fn clear(&mut self) {
        self.table.clear();
        self.entries.clear();
        self.text.clear();
    }
    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> usize {
        self.table.allocation_size() + self.entries.capacity() * size_of::<Entry>() + self.text.capacity()
    }

    /// Writes the texts whose numbers occur in `used`, and sets `renumber[old] = new`.
    pub(crate) fn write(&self, used: impl Iterator<Item = u16>, renumber: &mut Vec<u16>, out: &mut Vec<u8>) {
        renumber.clear();
        renumber.resize(self.entries.len() + 1, 0);
        for code in used.filter(|code| *code != 0) {
            if let Some(mark) = renumber.get_mut(usize::from(code)) {
                *mark = 1;
            }
        }
        let get = |entry: &Entry| {
            self.text.get(entry.start as usize..(entry.start + entry.len) as usize).unwrap_or_default()
        };
        let mut order: Vec<(usize, &Entry)> = (1..)
            .zip(&self.entries)
            .filter(|(code, _)| renumber.get(*code).is_some_and(|mark| *mark != 0))
            .collect();
        order.sort_unstable_by(|(_, a), (_, b)| a.hash.cmp(&b.hash).then_with(|| get(a).cmp(get(b))));
        for ((old, _), new) in order.iter().zip(1_u16..) {
            if let Some(mark) = renumber.get_mut(*old) {
                *mark = new;
            }
        }
        out.extend_from_slice(&u16::try_from(order.len()).unwrap_or(u16::MAX).to_le_bytes());
        let first = order.first().map_or(0, |(_, entry)| entry.len);
        let fixed = order.iter().all(|(_, entry)| entry.len == first);
        out.extend_from_slice(&(if fixed { first } else { MIXED }).to_le_bytes());
        if !fixed {
            let mut end = 0;
            let ends: Vec<u64> = order
                .iter()
                .map(|(_, entry)| {
                    end += u64::from(entry.len);
                    end
                })
                .collect();
            bits::write(&ends, out);
        }
        let len: usize = order.iter().map(|(_, entry)| entry.len as usize).sum();
        out.extend_from_slice(&len32(len).to_le_bytes());
        for (_, entry) in &order {
            out.extend_from_slice(get(entry).as_bytes());
        }
    }
}

/// A dictionary within a block.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dict {
    count: u16,
    fixed: u32,
    ends: Ints,
    text: u32,
    len: u32,
}

impl Dict {
    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let count = reader.u16()?;
        let fixed = reader.u32()?;
        let ends = if fixed == MIXED { Ints::parse(reader, usize::from(count))? } else { Ints::default() };
        let len = reader.u32()?;
        let text = reader.place()?;
        std::str::from_utf8(reader.take(len as usize)?).map_err(|_| Corrupt("dictionary"))?;
        if fixed != MIXED && u64::from(fixed) * u64::from(count) != u64::from(len) {
            return Err(Corrupt("dictionary"));
        }
        Ok(Self { count, fixed, ends, text, len })
    }
    /// How many texts it has.
    pub(crate) const fn count(self) -> u16 {
        self.count
    }
    /// The text of a number from 1 on.
    pub(crate) fn get(self, bytes: &[u8], code: u16) -> Option<&str> {
        if code == 0 || code > self.count {
            return None;
        }
        let at = slot(code);
        let (start, end) = if self.fixed == MIXED {
            let end = |at: usize| usize::try_from(self.ends.get(bytes, at)).ok();
            (at.checked_sub(1).map_or(Some(0), end)?, end(at)?)
        } else {
            (at * self.fixed as usize, (at + 1) * self.fixed as usize)
        };
        let all = bytes.get(self.text as usize..)?.get(..self.len as usize)?;
        std::str::from_utf8(all.get(start..end)?).ok()
    }
    /// The number of `text`, whose hash is `hash`.
    pub(crate) fn find(self, bytes: &[u8], text: &str, hash: u64) -> Option<u16> {
        if self.fixed != MIXED && self.fixed as usize != text.len() {
            return None;
        }
        if self.count <= 8 {
            return (1..=self.count).find(|code| self.get(bytes, *code) == Some(text));
        }
        let (mut low, mut high) = (1, self.count + 1);
        while low < high {
            let middle = low.midpoint(high);
            let here = self.get(bytes, middle)?;
            match hash_of(here).cmp(&hash).then_with(|| here.cmp(text)) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_text_is_found_and_no_other(texts in proptest::collection::hash_set("[a-d]{0,3}|é|span-[0-9]{3}", 0..60)) {
            let mut interner = Interner::default();
            let codes: Vec<(u16, String)> = texts.iter().map(|text| (interner.intern(Some(text)), text.clone())).collect();
            let (mut bytes, mut renumber) = (Vec::new(), Vec::new());
            interner.write(codes.iter().map(|(code, _)| *code), &mut renumber, &mut bytes);
            bytes.extend_from_slice(&[0; bits::PAD]);
            let dict = Dict::parse(&mut Reader::new(&bytes)).unwrap();
            for (code, text) in &codes {
                let new = renumber[usize::from(*code)];
                prop_assert_eq!(dict.get(&bytes, new), Some(text.as_str()));
                prop_assert_eq!(dict.find(&bytes, text, hash_of(text)), Some(new));
            }
            prop_assert_eq!(dict.find(&bytes, "zzz", hash_of("zzz")), None);
            prop_assert_eq!(usize::from(dict.count()), texts.len());
        }
    }
}
