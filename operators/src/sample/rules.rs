//! The rules of `sample`: what they look at, and with which probability they keep.

use hashbrown::HashMap;
use logbraid_core::component::ConfigError;
use logbraid_core::{EventTime, Flags, Group, Id, Span};
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

/// One rule, as a configuration writes it: `{keep: errors}`, `{keep: slower_than, value: 1s}`, `{rest: 1%}`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuleConfig {
    /// What the rule is for: `errors`, `slower_than`, `template`, `match`, `new_template`, `per_key` or `all`.
    pub keep: Option<String>,
    /// What it compares with: a span for `slower_than`, a template's id or a part of its text for `template`, a regular
    /// expression for `match`, requests a second for `per_key`.
    pub value: Option<serde_json::Value>,
    /// What `per_key` counts by: `service` (the first of the request), or the name of an id.
    pub by: Option<String>,
    /// How many instances or partitions share the target of `per_key`.
    pub shards: Option<u32>,
    /// Keeps this share of the requests that the rule is for, such as `10%` or `0.1`.
    pub rate: Option<serde_json::Value>,
    /// The last rule: keeps this share of what no other rule was for.
    pub rest: Option<serde_json::Value>,
}

/// What a rule is for.
#[derive(Debug)]
pub(super) enum Test {
    Errors,
    SlowerThan(Span),
    Template(String),
    Match(Regex),
    NewTemplate,
    PerKey(Box<PerKey>),
    All,
}

/// A rule, ready to be applied.
#[derive(Debug)]
pub(super) struct Rule {
    /// Its name in records.
    pub name: &'static str,
    pub test: Test,
    pub rate: f64,
}

/// Keeps a target number of requests a second for each key, whatever its traffic.
#[derive(Debug)]
pub(super) struct PerKey {
    by: String,
    /// Requests that may be kept of one key in a window, on average.
    quota: f64,
    keys: HashMap<String, Rate>,
}

#[derive(Debug, Clone, Copy)]
struct Rate {
    window: i64,
    count: u64,
    /// Requests in a window, as the last ones let expect.
    expected: f64,
}

/// How long traffic is counted before the probability follows it.
const WINDOW: Span = Span::from_seconds(10);
/// Keys whose traffic is counted one by one; the others share a count.
const KEYS_MAX: usize = 10_000;
/// How much of a sudden change of traffic the estimate follows at once.
const FOLLOW: f64 = 0.5;

impl PerKey {
    /// The probability for a request that was decided at `now`, and counts it.
    fn probability(&mut self, group: &Group, now: EventTime) -> f64 {
        let key = match self.by.as_str() {
            "service" => group.services().first().map_or_else(String::new, |name| (*name).to_owned()),
            by if group.key.kind == by => group.key.value.clone(),
            by => group
                .ids
                .iter()
                .find(|(kind, _)| kind == by)
                .and_then(|(_, values)| values.first().cloned())
                .unwrap_or_default(),
        };
        let window = now.nanos().div_euclid(WINDOW.nanos());
        let key =
            if self.keys.len() >= KEYS_MAX && !self.keys.contains_key(&key) { String::new() } else { key };
        let quota = self.quota;
        let rate = self.keys.entry(key).or_insert(Rate { window, count: 0, expected: 0.0 });
        if window > rate.window {
            rate.expected = FOLLOW.mul_add(rate.count as f64, (1.0 - FOLLOW) * rate.expected);
            // Windows without any request in between.
            let empty = i32::try_from((window - rate.window - 1).min(64)).unwrap_or(64);
            rate.expected *= (1.0 - FOLLOW).powi(empty);
            (rate.window, rate.count) = (window, 0);
        }
        rate.count += 1;
        // In a burst the window itself shows that more comes than was expected.
        let expected = rate.expected.max(rate.count as f64);
        (quota / expected).min(1.0)
    }

    /// Forgets keys that were silent for long.
    pub(super) fn forget(&mut self, now: EventTime) {
        let window = now.nanos().div_euclid(WINDOW.nanos());
        self.keys.retain(|_, rate| rate.window + 60 >= window);
    }
}

impl Rule {
    /// The probability with which the rule keeps the request; `None` when it is not for it.
    pub(super) fn applies(&mut self, group: &Group, now: EventTime) -> Option<f64> {
        let applies = match &mut self.test {
            Test::Errors => group.levels.errors() > 0,
            Test::SlowerThan(limit) => {
                let stated = group.rows.iter().map(|row| row.duration_ms).filter(|ms| !ms.is_nan());
                stated.fold(group.duration().millis(), f64::max) >= limit.millis()
            }
            Test::Template(wanted) => group.rows.iter().any(|row| {
                (row.template != Id::default() && row.template.to_string() == *wanted)
                    || group.message(row).contains(wanted.as_str())
            }),
            Test::Match(regex) => group.rows.iter().any(|row| regex.is_match(group.message(row))),
            Test::NewTemplate => group.rows.iter().any(|row| row.flags.has(Flags::NEW_TEMPLATE)),
            Test::PerKey(keys) => return Some(keys.probability(group, now) * self.rate),
            Test::All => true,
        };
        applies.then_some(self.rate)
    }
}

/// A share from 0 to 1, written like `1%` or `0.01`.
pub fn share(text: &str) -> Option<f64> {
    let share: f64 = match text.trim().strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok()? / 100.0,
        None => text.trim().parse().ok()?,
    };
    (0.0..=1.0).contains(&share).then_some(share)
}

/// The same, or a number.
fn share_of(value: &serde_json::Value) -> Option<f64> {
    match value {
        serde_json::Value::Number(number) => share(&number.to_string()),
        serde_json::Value::String(text) => share(text),
        _ => None,
    }
}

fn bad_share(path: &str) -> ConfigError {
    ConfigError::new(path, format!("`{path}` must be a share from 0 to 1"))
        .help("write it like `1%` or `0.01`")
}

/// Checks the rules.
pub(super) fn rules(configs: &[RuleConfig]) -> Result<Vec<Rule>, ConfigError> {
    if configs.is_empty() {
        return Err(ConfigError::new("rules", "`rules` must have at least one rule")
            .help("try `rules: [{keep: errors}, {rest: 1%}]`"));
    }
    let mut rules: Vec<Rule> = Vec::new();
    for (at, config) in configs.iter().enumerate() {
        if let Some(last) = rules.last()
            && matches!(last.test, Test::All)
            && (last.rate >= 1.0 || last.name == "rest")
        {
            let path = format!("rules.{at}");
            return Err(ConfigError::new(
                &path,
                format!("`{path}` is never reached: the rule before it is for everything"),
            )
            .help("write `rest` last"));
        }
        rules.push(rule(config, at)?);
    }
    Ok(rules)
}

fn rule(config: &RuleConfig, at: usize) -> Result<Rule, ConfigError> {
    let path = |name: &str| format!("rules.{at}.{name}");
    if let Some(rest) = &config.rest {
        if config.keep.is_some() {
            return Err(ConfigError::new(
                &path("rest"),
                format!("`{}` and `keep` are two rules", path("rest")),
            )
            .help("write them as two items of the list"));
        }
        let rate = share_of(rest).ok_or_else(|| bad_share(&path("rest")))?;
        return Ok(Rule { name: "rest", test: Test::All, rate });
    }
    let rate = match &config.rate {
        Some(rate) => share_of(rate).ok_or_else(|| bad_share(&path("rate")))?,
        None => 1.0,
    };
    let names = "errors, slower_than, template, match, new_template, per_key, all";
    let keep = config.keep.as_deref().ok_or_else(|| {
        let here = format!("rules.{at}");
        ConfigError::new(&here, format!("`{here}` must say what to `keep`, or the `rest`"))
            .help(format!("there are {names}"))
    })?;
    let value = |what: &str, example: &str| {
        let missing = || {
            ConfigError::new(&path("value"), format!("`{}` must be {what}", path("value")))
                .help(format!("try `{{keep: {keep}, value: {example}}}`"))
        };
        match &config.value {
            Some(serde_json::Value::String(text)) if !text.is_empty() => Ok(text.clone()),
            Some(serde_json::Value::Number(number)) => Ok(number.to_string()),
            _ => Err(missing()),
        }
    };
    let wrong = |what: &str, why: String| {
        ConfigError::new(&path("value"), format!("`{}` must be {what}: {why}", path("value")))
    };
    let (name, test) = match keep {
        "errors" => ("errors", Test::Errors),
        "slower_than" => {
            let text = value("a span", "1s")?;
            let span = text.parse::<Span>().map_err(|error| wrong("a span", error.to_string()))?;
            ("slower_than", Test::SlowerThan(span))
        }
        "template" => {
            ("template", Test::Template(value("a template's id or a part of its text", "9f2c17e0a1b2c3d4")?))
        }
        "match" => {
            let text = value("a regular expression", "'card .* declined'")?;
            let regex = Regex::new(&text).map_err(|error| {
                let why = error.to_string();
                wrong(
                    "a regular expression",
                    why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
                )
            })?;
            ("match", Test::Match(regex))
        }
        "new_template" => ("new_template", Test::NewTemplate),
        "per_key" => {
            let text = value("requests a second", "10")?;
            let target: f64 =
                text.parse().ok().filter(|target| *target > 0.0 && f64::is_finite(*target)).ok_or_else(
                    || wrong("requests a second, more than zero", format!("found `{text}`")).help("try `10`"),
                )?;
            let shards = f64::from(config.shards.unwrap_or(1).max(1));
            let by = config.by.clone().unwrap_or_else(|| "service".to_owned());
            let quota = target * WINDOW.millis() / 1000.0 / shards;
            ("per_key", Test::PerKey(Box::new(PerKey { by, quota, keys: HashMap::new() })))
        }
        "all" => ("all", Test::All),
        other => {
            return Err(ConfigError::new(
                &path("keep"),
                format!("`{}`: there is no rule `{other}`", path("keep")),
            )
            .help(format!("there are {names}")));
        }
    };
    Ok(Rule { name, test, rate })
}
