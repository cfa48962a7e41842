//! Tags: what a transport says of a record beside its bytes, such as the key and the headers of a Kafka message.
//!
//! ```text
//!  bytes    req-7 traceparent 00-4bf9… tenant acme      names and values of all records of a batch, one after another
//!           ▲     ▲           ▲        ▲      ▲
//!  tags     key   name        value    name   value     ranges, in the order of the message
//!  records  (0, 0..1) (3, 1..3)                         records without any tag take no room
//! ```

use std::sync::Arc;

/// The name under which a key becomes a field, unless the source names it.
pub const KEY_NAME: &str = "kafka.key";

/// Keys and headers of the records of one batch.
#[derive(Clone, Debug, Default)]
pub struct Tags {
    bytes: Vec<u8>,
    places: Vec<Place>,
    /// Records that have tags, by number, in rising order, with the number of their first tag.
    records: Vec<(u32, u32)>,
    /// Under which name keys become fields; [`KEY_NAME`] without it.
    key_name: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    start: u32,
    /// [`KEY`] for a key.
    name_len: u32,
    /// [`NULL`] for none.
    value_len: u32,
}

const KEY: u32 = u32::MAX;
const NULL: u32 = u32::MAX;

/// One tag of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag<'a> {
    /// The header's name; `None` for the record's key.
    pub name: Option<&'a str>,
    /// Its bytes, as they came; `None` for a header without a value.
    pub value: Option<&'a [u8]>,
}

impl<'a> Tag<'a> {
    /// The value, where it is text.
    pub fn text(&self) -> Option<&'a str> {
        self.value.and_then(|value| std::str::from_utf8(value).ok())
    }
}

impl Tags {
    /// No tags yet; keys become fields called `key_name`.
    pub fn new(key_name: Option<Arc<str>>) -> Self {
        Self { key_name, ..Self::default() }
    }
    /// True when no record has a tag.
    pub const fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
    /// Under which name keys become fields.
    pub fn key_name(&self) -> &str {
        self.key_name.as_deref().unwrap_or(KEY_NAME)
    }
    /// Names the field that keys become.
    pub fn name_key(&mut self, name: &str) {
        if self.key_name() != name {
            self.key_name = Some(name.into());
        }
    }
    /// The bytes of memory that it holds.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
            + self.places.len() * size_of::<Place>()
            + self.records.len() * size_of::<(u32, u32)>()
    }
    /// Adds a tag to record `number`; numbers never fall. A tag beyond 4 GiB of tags in one batch is left out: false.
    pub fn push(&mut self, number: u32, tag: Tag<'_>) -> bool {
        let (name, value) = (tag.name.unwrap_or_default(), tag.value.unwrap_or_default());
        let end = self.bytes.len().saturating_add(name.len()).saturating_add(value.len());
        let (Ok(start), Ok(first)) = (u32::try_from(self.bytes.len()), u32::try_from(self.places.len()))
        else {
            return false;
        };
        if end >= u32::MAX as usize {
            return false;
        }
        // Below 4 GiB, as the end is.
        let narrow = |len: usize| u32::try_from(len).unwrap_or(0);
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(value);
        self.places.push(Place {
            start,
            name_len: tag.name.map_or(KEY, |name| narrow(name.len())),
            value_len: tag.value.map_or(NULL, |value| narrow(value.len())),
        });
        if self.records.last().is_none_or(|(last, _)| *last != number) {
            self.records.push((number, first));
        }
        true
    }
    /// The tags of record `number`, in the order of its message.
    pub fn of(&self, number: u32) -> impl Iterator<Item = Tag<'_>> {
        let at = self.records.binary_search_by_key(&number, |(record, _)| *record).ok();
        let range = at.map_or(0..0, |at| {
            let first = self.records.get(at).map_or(0, |(_, first)| *first as usize);
            first..self.records.get(at + 1).map_or(self.places.len(), |(_, next)| *next as usize)
        });
        self.places.get(range).unwrap_or_default().iter().map(|place| self.tag(*place))
    }
    /// The tags of record `number` alone, as record 0.
    pub fn only(&self, number: u32) -> Self {
        let mut one = Self::new(self.key_name.clone());
        for tag in self.of(number) {
            one.push(0, tag);
        }
        one
    }
    /// Gives records the numbers that `number` says, which must rise as the old ones do; those without one lose their
    /// tags.
    pub fn renumber(&mut self, mut number: impl FnMut(u32) -> Option<u32>) {
        let mut kept = Self::new(self.key_name.clone());
        if self.records.iter().all(|(record, _)| number(*record) == Some(*record)) {
            return;
        }
        for (record, _) in &self.records {
            if let Some(number) = number(*record) {
                for tag in self.of(*record) {
                    kept.push(number, tag);
                }
            }
        }
        *self = kept;
    }

    fn tag(&self, place: Place) -> Tag<'_> {
        let start = place.start as usize;
        let name_len = if place.name_len == KEY { 0 } else { place.name_len as usize };
        let name = self.bytes.get(start..start + name_len).unwrap_or_default();
        let value = || self.bytes.get(start + name_len..start + name_len + place.value_len as usize);
        Tag {
            name: (place.name_len != KEY).then(|| std::str::from_utf8(name).unwrap_or_default()),
            value: if place.value_len == NULL { None } else { value() },
        }
    }
}

/// The tags of one record that was taken out of its batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnTags {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The headers, in order; a name may come more than once.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl<'a> FromIterator<Tag<'a>> for OwnTags {
    fn from_iter<T: IntoIterator<Item = Tag<'a>>>(tags: T) -> Self {
        let mut own = Self::default();
        for tag in tags {
            let value = tag.value.map(<[u8]>::to_vec);
            match tag.name {
                None => own.key = value,
                Some(name) => own.headers.push((name.to_owned(), value)),
            }
        }
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header<'a>(name: &'a str, value: &'a [u8]) -> Tag<'a> {
        Tag { name: Some(name), value: Some(value) }
    }

    #[test]
    fn every_record_has_its_own_tags_in_order() {
        let mut tags = Tags::default();
        assert!(tags.is_empty() && tags.of(0).next().is_none());
        let key = Tag { name: None, value: Some(b"k") };
        let null = Tag { name: Some("n"), value: None };
        for (number, tag) in [(1, key), (1, header("a", b"1")), (1, header("a", b"\xff")), (4, null)] {
            assert!(tags.push(number, tag));
        }
        assert_eq!(tags.of(1).collect::<Vec<_>>(), [key, header("a", b"1"), header("a", b"\xff")]);
        assert_eq!(tags.of(4).collect::<Vec<_>>(), [null]);
        assert_eq!(tags.of(2).count(), 0);
        assert_eq!(tags.only(4).of(0).collect::<Vec<_>>(), [null]);
        assert_eq!(tags.of(1).map(|tag| tag.text()).collect::<Vec<_>>(), [Some("k"), Some("1"), None]);
        let own: OwnTags = tags.of(1).collect();
        assert_eq!((own.key.as_deref(), own.headers.len()), (Some(&b"k"[..]), 2));
    }

    #[test]
    fn records_that_are_left_out_take_their_tags_with_them() {
        let mut tags = Tags::new(Some("request_id".into()));
        for number in 0..4 {
            tags.push(number, header("n", number.to_string().as_bytes()));
        }
        tags.renumber(|number| number.checked_sub(1).filter(|_| number != 2));
        let left: Vec<_> = (0..4).map(|number| tags.of(number).next().and_then(|tag| tag.text())).collect();
        assert_eq!(left, [Some("1"), None, Some("3"), None]);
        assert_eq!(tags.key_name(), "request_id");
    }
}
