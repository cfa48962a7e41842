//! Ranges of a text.

/// A range of a [`Batch`]'s or a group's text; [`Text::NONE`] is "absent", which differs from "empty".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Text {
    /// First byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Text {
    /// An absent text.
    pub const NONE: Self = Self { start: u32::MAX, len: 0 };

    /// True when there is a text, even an empty one.
    #[inline]
    pub const fn is_some(self) -> bool {
        self.start != u32::MAX
    }
    /// True when there is none.
    #[inline]
    pub const fn is_none(self) -> bool {
        self.start == u32::MAX
    }
    /// The range as indices. An absent text gives `0..0`.
    #[inline]
    pub const fn range(self) -> std::ops::Range<usize> {
        if self.is_none() {
            return 0..0;
        }
        self.start as usize..self.start as usize + self.len as usize
    }
    /// One past the last byte.
    pub const fn end(self) -> u32 {
        self.start.saturating_add(self.len)
    }
    /// True when `other` lies within this text.
    pub const fn contains(self, other: Self) -> bool {
        other.start >= self.start && other.end() <= self.end()
    }
    /// Looks the text up in the buffer it belongs to; `None` when absent.
    #[inline]
    pub fn get(self, buffer: &str) -> Option<&str> {
        if self.is_none() { None } else { buffer.get(self.range()) }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::NONE
    }
}
