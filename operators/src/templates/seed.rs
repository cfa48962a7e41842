//! Templates that are known from the beginning: written in the configuration, or read from a file.

use std::collections::BTreeMap;

use hashbrown::HashSet;
use logbraid_core::component::{ConfigError, ReadFile};
use logbraid_core::{EventTime, Id};
use serde::de::{Deserialize, Deserializer, Error};

use super::state::Known;
use super::{Config, Templates};

/// A record of a template, as sinks write them.
#[derive(serde::Deserialize)]
struct Record {
    template: Hex,
    pattern: String,
    service: Option<String>,
    #[serde(deserialize_with = "moment")]
    start: EventTime,
    #[serde(default)]
    renamed: Vec<Hex>,
}

/// An id as records write it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Hex(u64);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map(Self).map_err(|_| D::Error::custom(format!("`{text}` is no id")))
    }
}

fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EventTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    crate::filter::parse(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is not a moment")))
}

/// Templates to begin with.
#[derive(Default)]
pub(super) struct Seeds {
    /// Texts that are known of every service.
    texts: Vec<String>,
    /// What each service wrote before.
    records: Vec<Record>,
}

impl Seeds {
    /// Reads the settings `seeds` and `seed`.
    pub(super) fn read(config: &Config, read: ReadFile) -> Result<Self, ConfigError> {
        let mut seeds = Self { texts: config.seeds.clone(), records: Vec::new() };
        let Some(path) = &config.seed else { return Ok(seeds) };
        let bytes = read(path).map_err(|error| {
            ConfigError::new("seed", format!("`{path}` cannot be read: {error}"))
                .help("name a file of templates; an empty one will do")
        })?;
        let text = String::from_utf8_lossy(&bytes);
        let mut narrower: HashSet<Hex> = HashSet::new();
        for (at, line) in text.split_inclusive('\n').enumerate() {
            let whole = line.ends_with('\n');
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if !line.starts_with('{') {
                seeds.texts.push(line.to_owned());
                continue;
            }
            match serde_json::from_str::<Record>(line) {
                Ok(record) => {
                    narrower.extend(&record.renamed);
                    seeds.records.push(record);
                }
                // A program that was killed while it wrote leaves a part of a line.
                Err(_) if !whole => {}
                Err(error) => {
                    let message = format!("line {} of `{path}` is no template record: {error}", at + 1);
                    return Err(ConfigError::new("seed", message)
                        .help("write `template` records (`take: [templates]`), or one text a line"));
                }
            }
        }
        // What was found to be part of a wider template is known by the wider one.
        seeds.records.retain(|record| !narrower.contains(&record.template));
        Ok(seeds)
    }
}

impl Templates {
    /// Knows `seeds` from now on.
    pub(super) fn sow(&mut self, seeds: Seeds) {
        let mut ids = Vec::new();
        for text in &seeds.texts {
            ids.push(self.miner.seed(text, 0, EventTime::MIN, EventTime::MIN));
        }
        let mut known: Vec<(Id, &Record)> = Vec::new();
        for record in &seeds.records {
            known.push((self.miner.seed(&record.pattern, 0, record.start, record.start), record));
        }
        // A seed may have become part of a later one.
        self.seeded = ids.into_iter().map(|id| self.miner.renamed(id)).collect();
        let mut services: BTreeMap<Option<String>, Known> = BTreeMap::new();
        for (id, record) in known {
            let first = record.start.nanos();
            let service = services.entry(record.service.clone()).or_insert_with(|| Known {
                name: record.service.clone(),
                first,
                templates: Vec::new(),
            });
            service.first = service.first.min(first);
            service.templates.push((self.miner.renamed(id).0, self.part(record.start)));
        }
        for known in services.into_values() {
            self.know(known);
        }
    }
}
