//! Leaves out events by their time: what `--after`, `--before` and `--last` mean.
//!
//! ```text
//!  ──●──●──┬──●──●──●──┬──●──► time      events within [after, before) go on; the others are counted
//!        after       before
//! ```

use logbraid_core::component::{Component, ConfigError, Context, ensure};
use logbraid_core::{Emit, Event, EventTime, Operator, days_from_civil};

#[cfg(test)]
mod tests;

/// Settings of `filter`.
#[derive(Debug, Clone, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Events before this moment are left out, such as `2024-01-15T10:00:00Z`; without a zone it is UTC.
    pub after: Option<String>,
    /// Events at this moment and after are left out.
    pub before: Option<String>,
}

/// The operator.
#[derive(Debug)]
pub struct Filter {
    after: EventTime,
    before: EventTime,
    left_out: u64,
}

impl Operator for Filter {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn on_event(&mut self, event: Event, out: &mut Emit) {
        if (self.after..self.before).contains(&event.time()) {
            out.event(event);
        } else {
            self.left_out += 1;
        }
    }
    fn metrics(&self, report: &mut dyn FnMut(&'static str, u64)) {
        report("left_out_total", self.left_out);
    }
}

impl Component for Filter {
    type Config = Config;
    const NAME: &'static str = "filter";
    const DOCS: &'static str = include_str!("README.md");

    fn build(config: Config, _: &mut Context<'_>) -> Result<Self, ConfigError> {
        let moment = |path: &str, text: Option<&str>, default| match text {
            None => Ok(default),
            Some(text) => parse(text).ok_or_else(|| {
                ConfigError::new(path, format!("`{path}`: `{text}` is not a moment"))
                    .help("write it like `2024-01-15T10:00:00Z`")
            }),
        };
        let after = moment("after", config.after.as_deref(), EventTime::MIN)?;
        let before = moment("before", config.before.as_deref(), EventTime::MAX)?;
        ensure(after < before, "before", "must be later than `after`; swap them")?;
        Ok(Self { after, before, left_out: 0 })
    }
}

/// RFC 3339, with a space for `T` and without a zone, too: `2024-01-15T10:00:00[.5][Z|+01:00]`.
pub(crate) fn parse(text: &str) -> Option<EventTime> {
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse::<i64>().ok() } else { None }
    };
    let bytes = text.as_bytes();
    let separators = [(4, "-"), (7, "-"), (10, "Tt "), (13, ":"), (16, ":")];
    if !separators.iter().all(|(at, allowed)| bytes.get(*at).is_some_and(|b| allowed.as_bytes().contains(b)))
    {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let in_range = (1678..=2261).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !in_range {
        return None;
    }
    let mut rest = &text[19..];
    let mut nanos = 0;
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
        let digits = &fraction[..end];
        if digits.is_empty() {
            return None;
        }
        nanos = format!("{digits:0<9}").get(..9)?.parse().ok()?;
        rest = &fraction[end..];
    }
    let zone_seconds = match rest {
        "" | "Z" | "z" => 0,
        _ => {
            let sign = if rest.starts_with('-') { -1 } else { 1 };
            let (hours, minutes) = rest.strip_prefix(['+', '-'])?.split_once(':')?;
            let two =
                |text: &str| (text.len() == 2).then(|| text.parse::<u8>().ok()).flatten().map(i64::from);
            sign * (two(hours)? * 3600 + two(minutes)? * 60)
        }
    };
    let seconds =
        days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - zone_seconds;
    Some(EventTime::from_nanos(seconds.checked_mul(1_000_000_000)?.checked_add(nanos)?))
}
