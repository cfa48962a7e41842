//! Reads a time off the start of a text by the shape of its digits and letters.

use logbraid_core::Flags;

use super::{Context, DAY, DayOrder, Found, SECOND, civil, epoch, zone};

/// Which layouts count where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allow {
    /// A bare number since 1970.
    pub(crate) epoch: bool,
    /// A time of day without a date.
    pub(crate) time_only: bool,
    /// A date without a time of day.
    pub(crate) date_only: bool,
    /// A month and day in digits without a year, `03-17 16:13:38`.
    pub(crate) short_date: bool,
}

impl Allow {
    /// At the head of a line.
    pub(crate) const HEAD: Self = Self { epoch: true, time_only: true, date_only: false, short_date: true };
    /// Further right, where numbers may be anything.
    pub(crate) const INSIDE: Self =
        Self { epoch: false, time_only: false, date_only: false, short_date: false };
    /// After columns of a table.
    pub(crate) const COLUMN: Self =
        Self { epoch: true, time_only: false, date_only: false, short_date: false };
    /// The value of a field that is known to be a time.
    pub(crate) const VALUE: Self = Self { epoch: true, time_only: false, date_only: true, short_date: true };
}

/// A date as far as it was written.
#[derive(Clone, Copy)]
struct Date {
    year: Option<i64>,
    month: i64,
    day: i64,
    flags: Flags,
}

impl Date {
    fn new(year: i64, month: i64, day: i64) -> Option<Self> {
        civil(year, month, day)?;
        Some(Self { year: Some(year), month, day, flags: Flags::default() })
    }
    fn without_year(month: i64, day: i64) -> Option<Self> {
        civil(2000, month, day)?;
        Some(Self { year: None, month, day, flags: Flags::NO_YEAR })
    }
}

struct Clock {
    seconds: i64,
    nanos: i64,
    end: usize,
}

/// A run of digits: its value (of the first 19) and its length.
fn digits(bytes: &[u8], at: usize) -> (i64, usize) {
    let mut value = 0_i64;
    let mut len = 0;
    while let Some(digit) = bytes.get(at + len).filter(|b| b.is_ascii_digit()) {
        value = value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
        len += 1;
        if len > 19 {
            return (0, len);
        }
    }
    (value, len)
}

fn month(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    const NAMES: [&[u8; 3]; 12] =
        [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];
    const LONG: [&[u8]; 12] = [
        b"january",
        b"february",
        b"march",
        b"april",
        b"may",
        b"june",
        b"july",
        b"august",
        b"september",
        b"october",
        b"november",
        b"december",
    ];
    let word = bytes.get(at..at + 3)?;
    let found = NAMES.iter().position(|name| name.eq_ignore_ascii_case(word))?;
    let len = bytes[at..].iter().take(10).take_while(|b| b.is_ascii_alphabetic()).count();
    let rest = bytes.get(at..at + len)?;
    let fits = len == 3 || LONG[found].eq_ignore_ascii_case(rest) || rest.eq_ignore_ascii_case(b"sept");
    let number = i64::try_from(found).ok()? + 1;
    fits.then_some((number, len))
}

/// The length of a weekday's name with the comma and blanks after it; 0 when there is none.
fn weekday(bytes: &[u8]) -> usize {
    const NAMES: [&[u8; 3]; 7] = [b"mon", b"tue", b"wed", b"thu", b"fri", b"sat", b"sun"];
    let Some(word) = bytes.get(..3) else { return 0 };
    if !NAMES.iter().any(|name| name.eq_ignore_ascii_case(word)) {
        return 0;
    }
    let mut at = bytes.iter().take(10).take_while(|b| b.is_ascii_alphabetic()).count();
    if bytes.get(at) == Some(&b',') {
        at += 1;
    }
    let blanks = blanks(bytes, at);
    if blanks == 0 { 0 } else { at + blanks }
}

fn blanks(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..).unwrap_or_default().iter().take(3).take_while(|b| **b == b' ').count()
}

fn boundary(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_none_or(|b| !b.is_ascii_alphanumeric() && *b != b'_')
}

/// Reads a time that begins with the first byte.
pub(crate) fn scan(bytes: &[u8], context: &Context, allow: Allow) -> Option<Found> {
    let first = *bytes.first()?;
    if first.is_ascii_digit() {
        return numeric(bytes, context, allow);
    }
    if !first.is_ascii_alphabetic() {
        return None;
    }
    let start = weekday(bytes);
    if let Some((month, len)) = month(bytes, start) {
        return month_first(bytes, context, month, start + len);
    }
    if start > 0 && bytes.get(start)?.is_ascii_digit() {
        // `Mon, 15 Jan 2024 10:00:00 GMT`
        let rest = scan(&bytes[start..], context, Allow::INSIDE)?;
        return Some(Found { end: rest.end + start, ..rest });
    }
    None
}

fn numeric(bytes: &[u8], context: &Context, allow: Allow) -> Option<Found> {
    let (value, len) = digits(bytes, 0);
    let next = bytes.get(len).copied().unwrap_or(b' ');
    match (len, next) {
        (4, b'-' | b'/' | b'.' | b':' | b'_' | b' ') if (1970..2262).contains(&value) => {
            let (m, m_len) = match month(bytes, 5) {
                Some(named) if next != b':' => named,
                _ => digits(bytes, 5),
            };
            if !(1..=9).contains(&m_len) || next == b' ' && month(bytes, 5).is_none() {
                return None;
            }
            let at = 5 + m_len;
            if bytes.get(at) != Some(&next) {
                return None;
            }
            let (d, d_len) = digits(bytes, at + 1);
            if !(1..=2).contains(&d_len) {
                return None;
            }
            with_clock(bytes, Date::new(value, m, d)?, at + 1 + d_len, context, allow)
        }
        (8, _) if value > 19_700_000 => {
            with_clock(bytes, Date::new(value / 10_000, value / 100 % 100, value % 100)?, 8, context, allow)
        }
        (14 | 17, _) if boundary(bytes, len) => {
            let (value, millis) = if len == 17 { (value / 1000, value % 1000) } else { (value, 0) };
            let (date, clock) = (value / 1_000_000, value % 1_000_000);
            let date = Date::new(date / 10_000, date / 100 % 100, date % 100)?;
            let seconds = of_day(clock / 10_000, clock / 100 % 100, clock % 100)?;
            finish(bytes, date, Clock { seconds, nanos: millis * 1_000_000, end: len }, context)
        }
        (6, b' ') => {
            let date = Date::new(short_year(value / 10_000), value / 100 % 100, value % 100)?;
            let start = 6 + blanks(bytes, 6);
            let (clock, clock_len) = digits(bytes, start);
            if clock_len == 6 && boundary(bytes, start + 6) {
                let seconds = of_day(clock / 10_000, clock / 100 % 100, clock % 100)?;
                return finish(bytes, date, Clock { seconds, nanos: 0, end: start + 6 }, context);
            }
            let clock = clock_at(bytes, start, true)?;
            finish(bytes, date, clock, context)
        }
        (10 | 13 | 16 | 19, _) if allow.epoch => epoch_at(bytes, value, len),
        (1 | 2, b'/' | b'-' | b'.') => short(bytes, context, allow, value, len, next),
        (1 | 2, b' ') => {
            // `15 Jan 2024 10:00:00`
            let (m, m_len) = month(bytes, len + 1)?;
            day_month(bytes, context, allow, value, m, len + 1 + m_len)
        }
        (1 | 2, b':') if allow.time_only => {
            let clock = clock_at(bytes, 0, true)?;
            let today = context.ingest.div_euclid(SECOND * DAY);
            let at = |day: i64| {
                let local = day * DAY + clock.seconds;
                zoned(bytes, clock.end, context, local)
            };
            // The newest day on which this is not more than an hour ahead.
            let (seconds, end) =
                [1, 0, -1, -2].into_iter().map(|day| at(today + day)).find(|(seconds, _)| {
                    seconds.saturating_mul(SECOND) <= context.ingest.saturating_add(3600 * SECOND)
                })?;
            let nanos = seconds.checked_mul(SECOND)?.checked_add(clock.nanos)?;
            Some(Found { nanos, end, flags: Flags::NO_YEAR, epoch: false })
        }
        _ => None,
    }
}

/// `15/01/2024`, `15/Jan/2024`, `17/06/09`, `03-17`: one or two digits, then a separator.
fn short(
    bytes: &[u8],
    context: &Context,
    allow: Allow,
    first: i64,
    len: usize,
    separator: u8,
) -> Option<Found> {
    let at = len + 1;
    if let Some((m, m_len)) = month(bytes, at) {
        return day_month(bytes, context, allow, first, m, at + m_len);
    }
    let (second, second_len) = digits(bytes, at);
    if !(1..=2).contains(&second_len) {
        return None;
    }
    let at = at + second_len;
    if bytes.get(at) == Some(&separator) {
        let (third, third_len) = digits(bytes, at + 1);
        let end = at + 1 + third_len;
        let date = match third_len {
            4 => swapped(first, second, third, separator, context.order)?,
            2 if len == 2 && second_len == 2 => Date::new(short_year(first), second, third)
                .or_else(|| swapped(first, second, short_year(third), separator, context.order))?,
            2 => swapped(first, second, short_year(third), separator, context.order)?,
            _ => return None,
        };
        return with_clock(bytes, date, end, context, allow);
    }
    if !allow.short_date || !matches!(bytes.get(at), Some(b' ' | b'T' | b'-' | b'_')) {
        return None;
    }
    let date = Date::without_year(first, second).or_else(|| Date::without_year(second, first))?;
    let clock = clock_at(bytes, at + blanks(bytes, at).max(1), true)?;
    finish(bytes, date, clock, context)
}

/// Day and month in digits before a year: which is which shows in the numbers, or in what the source wrote before.
fn swapped(first: i64, second: i64, year: i64, separator: u8, order: DayOrder) -> Option<Date> {
    let (day_first, month_first) = (Date::new(year, second, first), Date::new(year, first, second));
    let mark = |date: Option<Date>, flags: Flags| date.map(|date| Date { flags, ..date });
    match (day_first, month_first) {
        (Some(_), None) => mark(day_first, Flags::DAY_FIRST),
        (None, Some(_)) => mark(month_first, Flags::MONTH_FIRST),
        (Some(_), Some(_)) if first == second => day_first,
        // Nobody writes the month first with dots.
        (Some(_), Some(_)) if separator == b'.' => day_first,
        (Some(_), Some(_)) => {
            let month_is_first = match order {
                DayOrder::Unknown => separator == b'/',
                order => order == DayOrder::MonthFirst,
            };
            mark(if month_is_first { month_first } else { day_first }, Flags::AMBIGUOUS_DATE)
        }
        (None, None) => None,
    }
}

/// After a day and a month's name: `15/Jan/2024:10:00:00`, `15 Jan 10:00:00`.
fn day_month(
    bytes: &[u8],
    context: &Context,
    allow: Allow,
    day: i64,
    month: i64,
    at: usize,
) -> Option<Found> {
    let skip = usize::from(matches!(bytes.get(at), Some(b'/' | b'-' | b' ' | b'.' | b',')));
    let start = at + skip + usize::from(bytes.get(at) == Some(&b',')) * blanks(bytes, at + 1);
    let (year, year_len) = digits(bytes, start);
    match year_len {
        4 => with_clock(bytes, Date::new(year, month, day)?, start + 4, context, allow),
        2 if bytes.get(start + 2) != Some(&b':') => {
            with_clock(bytes, Date::new(short_year(year), month, day)?, start + 2, context, allow)
        }
        1 | 2 => finish(bytes, Date::without_year(month, day)?, clock_at(bytes, start, true)?, context),
        _ => None,
    }
}

/// After a month's name: `Jan 15 10:00:00`, `Jan 15, 2024 10:00:00 AM`, `Jan 15 10:00:00 2024`.
fn month_first(bytes: &[u8], context: &Context, month: i64, at: usize) -> Option<Found> {
    let start = at + blanks(bytes, at);
    let (day, day_len) = digits(bytes, start);
    if start == at || !(1..=2).contains(&day_len) {
        return None;
    }
    let mut at = start + day_len;
    if bytes.get(at) == Some(&b',') {
        at += 1;
    }
    let start = at + blanks(bytes, at);
    let (year, year_len) = digits(bytes, start);
    if year_len == 4 && (1970..2262).contains(&year) {
        let found = with_clock(bytes, Date::new(year, month, day)?, start + 4, context, Allow::INSIDE)?;
        return Some(found);
    }
    if start == at {
        return None;
    }
    let clock = clock_at(bytes, start, true)?;
    // ctime: the year comes last, after a zone or not.
    let mut after = clock.end + blanks(bytes, clock.end);
    let named = zone::abbreviation(bytes.get(after..).unwrap_or_default())
        .or_else(|| zone::offset(bytes.get(after..).unwrap_or_default()));
    if let Some((_, len)) = named {
        after += len;
        after += blanks(bytes, after);
    }
    let (year, year_len) = digits(bytes, after);
    if after > clock.end && year_len == 4 && (1970..2262).contains(&year) && boundary(bytes, after + 4) {
        let date = Date::new(year, month, day)?;
        let local = civil(year, date.month, date.day)? * DAY + clock.seconds;
        let seconds = match named {
            Some((offset, _)) => local - i64::from(offset),
            None => context.zone.to_utc(local),
        };
        let nanos = seconds.checked_mul(SECOND)?.checked_add(clock.nanos)?;
        return Some(Found { nanos, end: after + 4, flags: Flags::default(), epoch: false });
    }
    finish(bytes, Date::without_year(month, day)?, clock, context)
}

fn short_year(year: i64) -> i64 {
    if year < 70 { 2000 + year } else { 1900 + year }
}

fn epoch_at(bytes: &[u8], value: i64, len: usize) -> Option<Found> {
    let number = u64::try_from(value).ok()?;
    let mut nanos = epoch(number)?;
    // 1990 to 2100: other ten-digit numbers are telephone numbers and ids.
    if !(631_152_000..4_102_444_800).contains(&nanos.div_euclid(SECOND)) {
        return None;
    }
    let mut end = len;
    if len < 19 && bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        let (fraction, fraction_len) = fraction(bytes, end + 1);
        let unit = match len {
            10 => 1,
            13 => 1_000,
            _ => 1_000_000,
        };
        nanos = nanos.checked_add(fraction / unit)?;
        end += 1 + fraction_len;
    }
    let closed =
        bytes.get(end).is_none_or(|b| matches!(b, b' ' | b']' | b'|' | b',' | b':' | b'"' | b')' | b'\t'));
    closed.then_some(Found { nanos, end, flags: Flags::default(), epoch: true })
}

/// Digits after a decimal sign as nanoseconds, and how many there are.
fn fraction(bytes: &[u8], at: usize) -> (i64, usize) {
    let mut nanos = 0;
    let mut scale = SECOND;
    let mut len = 0;
    while let Some(digit) = bytes.get(at + len).filter(|b| b.is_ascii_digit()) {
        scale /= 10;
        nanos += scale * i64::from(digit - b'0');
        len += 1;
    }
    (nanos, len)
}

fn of_day(hour: i64, minute: i64, second: i64) -> Option<i64> {
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

/// A date and what may follow it: separators and a time of day.
fn with_clock(bytes: &[u8], date: Date, end: usize, context: &Context, allow: Allow) -> Option<Found> {
    let mut at = end;
    match bytes.get(at) {
        Some(b'T' | b't' | b'_' | b':' | b'-' | b'.') => at += 1,
        Some(b',') => at += 1 + blanks(bytes, at + 1),
        Some(b' ') => at += blanks(bytes, at),
        _ => {}
    }
    if at > end
        && let Some(clock) = clock_at(bytes, at, false)
    {
        return finish(bytes, date, clock, context);
    }
    if allow.date_only && boundary(bytes, end) {
        return finish(bytes, date, Clock { seconds: 0, nanos: 0, end }, context);
    }
    None
}

/// A time of day: `10:00:00`, `10.00.00`, `100000`, with a fraction; without seconds unless `seconds` are needed.
fn clock_at(bytes: &[u8], at: usize, seconds: bool) -> Option<Clock> {
    let (hour, hour_len) = digits(bytes, at);
    if hour_len == 6 || hour_len == 9 {
        let (clock, millis) = if hour_len == 9 { (hour / 1000, hour % 1000) } else { (hour, 0) };
        let end = at + hour_len;
        let day = of_day(clock / 10_000, clock / 100 % 100, clock % 100)?;
        return tail(bytes, Clock { seconds: day, nanos: millis * 1_000_000, end });
    }
    if !(1..=2).contains(&hour_len) {
        return None;
    }
    let separator = *bytes.get(at + hour_len).filter(|b| matches!(b, b':' | b'.'))?;
    let at = at + hour_len + 1;
    let (minute, minute_len) = digits(bytes, at);
    if !(1..=2).contains(&minute_len) {
        return None;
    }
    let end = at + minute_len;
    if bytes.get(end) != Some(&separator) {
        // `10:00` alone is a time only after a full date.
        let plain = !seconds && separator == b':' && minute_len == 2;
        let closed =
            bytes.get(end).is_none_or(|b| matches!(b, b' ' | b'Z' | b'+' | b'-' | b']' | b'|' | b','));
        let day = of_day(hour, minute, 0)?;
        return if plain && closed { twelve(bytes, Clock { seconds: day, nanos: 0, end }) } else { None };
    }
    let (second, second_len) = digits(bytes, end + 1);
    if !(1..=2).contains(&second_len) {
        return None;
    }
    tail(bytes, Clock { seconds: of_day(hour, minute, second)?, nanos: 0, end: end + 1 + second_len })
}

/// The fraction of a second and AM or PM.
fn tail(bytes: &[u8], mut clock: Clock) -> Option<Clock> {
    match bytes.get(clock.end) {
        Some(b'.' | b',') => {
            let (nanos, len) = fraction(bytes, clock.end + 1);
            if len > 0 {
                clock.nanos = nanos;
                clock.end += 1 + len;
            }
        }
        Some(b':') => {
            // Milliseconds after a colon are a count, not digits of a fraction: `:6` is 6 ms.
            let (millis, len) = digits(bytes, clock.end + 1);
            if (1..=3).contains(&len) && boundary(bytes, clock.end + 1 + len) {
                clock.nanos = millis * 1_000_000;
                clock.end += 1 + len;
            }
        }
        _ => {}
    }
    twelve(bytes, clock)
}

fn twelve(bytes: &[u8], mut clock: Clock) -> Option<Clock> {
    let at = clock.end + usize::from(bytes.get(clock.end) == Some(&b' '));
    if let Some([half @ (b'A' | b'a' | b'P' | b'p'), b'M' | b'm']) = bytes.get(at..at + 2)
        && boundary(bytes, at + 2)
    {
        let hour = clock.seconds / 3600;
        if hour == 0 || hour > 12 {
            return None;
        }
        clock.seconds -= hour * 3600;
        clock.seconds += (hour % 12 + if half.eq_ignore_ascii_case(&b'p') { 12 } else { 0 }) * 3600;
        clock.end = at + 2;
    }
    Some(clock)
}

/// Applies the zone that follows, or else the default one: UTC seconds, and one past the last byte.
fn zoned(bytes: &[u8], end: usize, context: &Context, local: i64) -> (i64, usize) {
    let rest = bytes.get(end..).unwrap_or_default();
    let near = match rest.first() {
        Some(b'Z' | b'z') if boundary(rest, 1) => Some((0, 1)),
        Some(b'+' | b'-') => zone::offset(rest),
        Some(b'A'..=b'Y') => zone::abbreviation(rest),
        Some(b' ') => match rest.get(1) {
            // A lone `-05` after a blank is a number or a dash of the text.
            Some(b'+' | b'-') => zone::offset(&rest[1..]).filter(|(_, len)| *len > 3),
            Some(b'A'..=b'Z') => zone::abbreviation(&rest[1..]),
            _ => None,
        }
        .map(|(offset, len)| (offset, len + 1)),
        _ => None,
    };
    match near {
        Some((offset, len)) => (local - i64::from(offset), end + len),
        None => (context.zone.to_utc(local), end),
    }
}

fn finish(bytes: &[u8], date: Date, clock: Clock, context: &Context) -> Option<Found> {
    let at = |year: i64| {
        let local = civil(year, date.month, date.day)? * DAY + clock.seconds;
        Some(zoned(bytes, clock.end, context, local))
    };
    let (seconds, end) = if let Some(year) = date.year {
        at(year)?
    } else {
        let limit = context.ingest.saturating_add(DAY * SECOND);
        let days = context.ingest.div_euclid(SECOND * DAY);
        let guess = 1970 + days / 365;
        // Nine years back reach a leap year even around 2100.
        (-9..=1)
            .rev()
            .filter_map(|back| at(guess + back))
            .find(|(seconds, _)| seconds.checked_mul(SECOND).is_some_and(|nanos| nanos <= limit))?
    };
    let nanos = seconds.checked_mul(SECOND)?.checked_add(clock.nanos)?;
    Some(Found { nanos, end, flags: date.flags, epoch: false })
}
