//! What is kept beside a committed offset, in the commit's metadata: `lb1 o=42 n=1705312800120000000 c=… t=… r=99`.
//!
//! The offset stands there once more: who resets a group's offsets by hand leaves the metadata of another position
//! behind, or none.

use std::fmt::Write as _;

use logbraid_core::EventTime;
use logbraid_core::progress::Mark;

/// The layout that this version writes; another one is not read.
const LAYOUT: &str = "lb1";

/// The most bytes that are written or read; a broker takes 4096 by default.
pub const METADATA_MAX: usize = 512;

/// Where a partition resumes, and what was delivered of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The position; its offset is the Kafka offset.
    pub mark: Mark,
    /// The watermark through which records were delivered.
    pub delivered_through: EventTime,
}

/// Why metadata could not be used; the position is then taken without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// Another program, or another version, wrote it.
    #[error("its metadata was not written by this version of logbraid")]
    Foreign,
    /// It belongs to another offset: somebody has moved the group.
    #[error("the group was moved to this offset by hand")]
    Moved,
}

impl Place {
    /// The place at `offset` of which nothing else is known.
    pub const fn fresh(offset: u64) -> Self {
        let mark = Mark { offset, line: 0, ..Mark::START };
        Self { mark, delivered_through: EventTime::MIN }
    }

    /// The metadata: at most 130 bytes.
    pub fn encode(&self) -> String {
        let mut text = format!("{LAYOUT} o={}", self.mark.offset);
        let times =
            [('n', self.mark.newest), ('c', self.mark.carried), ('t', self.delivered_through.nanos())];
        for (name, nanos) in times.into_iter().filter(|(_, nanos)| *nanos != i64::MIN) {
            // Writing to memory does not fail.
            let _written = write!(text, " {name}={nanos}");
        }
        if self.mark.taken > 0 {
            let _written = write!(text, " r={}", self.mark.taken);
        }
        text
    }

    /// The place that was committed as `offset` with `metadata`. Empty metadata says nothing and is no error.
    ///
    /// # Errors
    /// When the metadata cannot be used; [`Self::fresh`] is what is left then.
    pub fn decode(offset: u64, metadata: &str) -> Result<Self, PlaceError> {
        let mut place = Self::fresh(offset);
        if metadata.is_empty() {
            return Ok(place);
        }
        if metadata.len() > METADATA_MAX {
            return Err(PlaceError::Foreign);
        }
        let mut words = metadata.split(' ');
        if words.next() != Some(LAYOUT) {
            return Err(PlaceError::Foreign);
        }
        let mut written = None;
        for word in words {
            let (name, value) = word.split_once('=').ok_or(PlaceError::Foreign)?;
            if name == "o" {
                written = Some(value.parse::<u64>().map_err(|_| PlaceError::Foreign)?);
                continue;
            }
            if name == "r" {
                place.mark.taken = value.parse().map_err(|_| PlaceError::Foreign)?;
                continue;
            }
            let nanos = value.parse().map_err(|_| PlaceError::Foreign)?;
            match name {
                "n" => place.mark.newest = nanos,
                "c" => place.mark.carried = nanos,
                "t" => place.delivered_through = EventTime::from_nanos(nanos),
                _ => return Err(PlaceError::Foreign),
            }
        }
        if written == Some(offset) { Ok(place) } else { Err(PlaceError::Moved) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(offset in any::<u64>(), newest: i64, carried: i64, taken: u64, through: i64) {
            let mark = Mark { offset, line: 0, newest, carried, taken };
            let place = Place { mark, delivered_through: EventTime::from_nanos(through) };
            let text = place.encode();
            prop_assert!(text.len() <= METADATA_MAX);
            prop_assert_eq!(Place::decode(offset, &text), Ok(place));
            prop_assert_eq!(Place::decode(offset.wrapping_add(1), &text), Err(PlaceError::Moved));
        }
        #[test]
        fn rubbish_is_refused_without_a_panic(text in ".{0,600}", offset: u64) {
            let _any = Place::decode(offset, &text);
            let _any = Place::decode(offset, &format!("lb1 {text}"));
        }
    }

    #[test]
    fn metadata_of_others_is_not_taken_for_ours() {
        assert_eq!(Place::decode(7, ""), Ok(Place::fresh(7)));
        assert_eq!(Place::decode(7, "{\"a\":1}"), Err(PlaceError::Foreign));
        assert_eq!(Place::decode(7, "lb2 o=7"), Err(PlaceError::Foreign));
        assert_eq!(Place::decode(7, "lb1 o=7 x=1"), Err(PlaceError::Foreign));
        assert_eq!(Place::decode(7, "lb1"), Err(PlaceError::Moved));
        assert_eq!(Place::decode(7, "lb1 o=7"), Ok(Place::fresh(7)));
    }
}
