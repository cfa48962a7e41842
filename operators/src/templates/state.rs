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

#[derive(Serialize, Deserialize)]
struct Known {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    name: Option<String>,
    first: i64,
    /// Templates and the parts of time in which they were last seen.
    templates: Vec<(u64, i64)>,
}

impl Templates {
    pub(super) fn to_text(&self) -> Option<String> {
        // What waits to be told is found again by the next run.
        let waits = |number: usize, id: &Id| {
            self.pending.iter().any(|p| p.service as usize == number && p.template == *id)
        };
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
                .filter(|(id, _)| !waits(number, id))
                .map(|(id, part)| (id.0, *part))
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
        for known in state.services.into_iter().take(SERVICES_MAX) {
            let number = u32::try_from(self.services.len()).unwrap_or(u32::MAX);
            let templates: HashMap<Id, i64> =
                known.templates.into_iter().map(|(id, part)| (Id(id), part)).collect();
            let first = EventTime::from_nanos(known.first);
            self.services.push(Service { name: known.name.clone(), first, known: templates });
            self.by_name.insert(known.name, number);
        }
        true
    }
}
