//! What `templates` has learned, as text that outlasts a restart.

use hashbrown::HashMap;
use logbraid_core::{EventTime, Id};
use serde::{Deserialize, Serialize};

use super::{SERVICES_MAX, Service, Templates};

/// The layout of the text.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct State {
    version: u32,
    /// Patterns with the times of their first and newest message, in nanoseconds.
    templates: Vec<(String, i64, i64)>,
    services: Vec<Known>,
}

/// What is known of a service.
#[derive(Serialize, Deserialize)]
pub(super) struct Known {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) name: Option<String>,
    /// When it was first seen, in nanoseconds.
    pub(super) first: i64,
    /// Templates and the parts of time in which they were last seen.
    pub(super) templates: Vec<(u64, i64)>,
}

impl Templates {
    pub(super) fn to_text(&self) -> Option<String> {
        // What the next run sees again it finds to be new again, and what was told of it is not told twice.
        let mut again: HashMap<(usize, Id), Option<i64>> = HashMap::new();
        for told in &self.recent {
            again.entry((told.service as usize, told.template)).or_insert(told.before);
        }
        let mut templates: Vec<_> = self
            .miner
            .templates()
            .map(|template| (template.pattern.clone(), template.first.nanos(), template.last.nanos()))
            .collect();
        templates.sort();
        let known = |(number, service): (usize, &Service)| {
            let mut templates: Vec<(u64, i64)> = service
                .known
                .iter()
                .filter_map(|(id, part)| match again.get(&(number, *id)) {
                    Some(before) => Some((id.0, (*before)?)),
                    None => Some((id.0, *part)),
                })
                .collect();
            templates.sort_unstable();
            Known { name: service.name.clone(), first: service.first.nanos(), templates }
        };
        let services = self.services.iter().enumerate().map(known).collect();
        serde_json::to_string(&State { version: VERSION, templates, services }).ok()
    }

    pub(super) fn take_text(&mut self, text: &str) -> bool {
        let Ok(state) = serde_json::from_str::<State>(text) else { return false };
        if state.version != VERSION {
            return false;
        }
        for (pattern, first, last) in state.templates {
            self.miner.seed(&pattern, 0, EventTime::from_nanos(first), EventTime::from_nanos(last));
        }
        for known in state.services {
            self.know(known);
        }
        true
    }

    /// Takes over what is known of a service.
    pub(super) fn know(&mut self, known: Known) {
        let first = EventTime::from_nanos(known.first);
        let number = match self.by_name.get(&known.name) {
            Some(number) => *number as usize,
            None if self.services.len() >= SERVICES_MAX => return,
            None => {
                let number = u32::try_from(self.services.len()).unwrap_or(u32::MAX);
                self.services.push(Service { name: known.name.clone(), first, known: HashMap::new() });
                self.by_name.insert(known.name, number);
                number as usize
            }
        };
        let Some(service) = self.services.get_mut(number) else { return };
        service.first = service.first.min(first);
        for (id, part) in known.templates {
            let part_of = service.known.entry(Id(id)).or_insert(part);
            *part_of = part.max(*part_of);
        }
    }
}
