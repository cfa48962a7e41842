//! Marks of an event.

/// Marks of an event, a small bit set.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Flags(u32);

impl Flags {
    /// Several physical lines were joined.
    pub const MULTILINE: Self = Self(1);
    /// The line was longer than `max_line` and was cut.
    pub const TRUNCATED: Self = Self(1 << 1);
    /// The bytes were not valid UTF-8; bad ones became U+FFFD.
    pub const INVALID_UTF8: Self = Self(1 << 2);
    /// It came after its window had closed.
    pub const LATE: Self = Self(1 << 3);
    /// The record carried no usable time.
    pub const NO_TIMESTAMP: Self = Self(1 << 4);
    /// Its request was inferred from its thread.
    pub const ATTRIBUTED: Self = Self(1 << 5);
    /// Parser to assembler: a runtime cut the line here; the rest follows in the next record of the same stream.
    pub const PARTIAL: Self = Self(1 << 6);
    /// Parser to assembler: a container wrote it to its standard error.
    pub const STDERR: Self = Self(1 << 7);
    /// Parser to assembler: has no head of its own and continues a record.
    pub const CONTINUATION: Self = Self(1 << 8);
    /// Parser to assembler: has a head, but its message continues the record before it (one trace line per record).
    pub const HEADED_CONTINUATION: Self = Self(1 << 9);
    /// Parser to assembler: a stack trace may follow this record.
    pub const TRACE_HEAD: Self = Self(1 << 10);
    /// Assembler: joined to another record, no event of its own.
    pub const JOINED: Self = Self(1 << 11);
    /// Parser to assembler: the date had no year; the year was guessed.
    pub const NO_YEAR: Self = Self(1 << 12);
    /// Parser to assembler: day and month could be swapped.
    pub const AMBIGUOUS_DATE: Self = Self(1 << 13);
    /// Parser to assembler: the date shows that this source writes the day before the month.
    pub const DAY_FIRST: Self = Self(1 << 14);
    /// Parser to assembler: the date shows that this source writes the month before the day.
    pub const MONTH_FIRST: Self = Self(1 << 15);

    /// It was the first of its template.
    pub const NEW_TEMPLATE: Self = Self(1 << 16);
    /// It belongs to a request, which goes on as a group.
    pub const GROUPED: Self = Self(1 << 17);
    /// Its line ended with a carriage return and a line feed; if it has several, each of them did.
    pub const CRLF: Self = Self(1 << 18);
    /// An earlier run has told what it makes by itself.
    pub(super) const TOLD: Self = Self(1 << 19);
    /// Parser to assembler: another sender than that of the record before it sent it, so it continues nothing.
    pub const FRESH: Self = Self(1 << 20);

    const NAMES: [(Self, &'static str); 7] = [
        (Self::MULTILINE, "multiline"),
        (Self::TRUNCATED, "truncated"),
        (Self::INVALID_UTF8, "invalid_utf8"),
        (Self::LATE, "late"),
        (Self::NO_TIMESTAMP, "no_timestamp"),
        (Self::ATTRIBUTED, "attributed"),
        (Self::NEW_TEMPLATE, "new_template"),
    ];

    /// True when every mark of `other` is set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// True when any mark of `other` is set.
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
    /// Sets the marks of `other`.
    pub const fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }
    /// Clears the marks of `other`.
    pub const fn clear(&mut self, other: Self) {
        self.0 &= !other.0;
    }
    /// The marks that say what an event is, as bits; those between parser and assembler are left out.
    pub const fn bits(self) -> u32 {
        self.0 & Self::LASTING
    }
    /// The marks of [`Self::bits`].
    pub const fn of_bits(bits: u32) -> Self {
        Self(bits & Self::LASTING)
    }
    const LASTING: u32 = Self::MULTILINE.0
        | Self::TRUNCATED.0
        | Self::INVALID_UTF8.0
        | Self::LATE.0
        | Self::NO_TIMESTAMP.0
        | Self::ATTRIBUTED.0
        | Self::STDERR.0;
    /// The names of the marks that users see.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| name)
    }
}

impl std::ops::BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
