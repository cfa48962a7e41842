//! Hands entries to the next stage, and lets those through that it handed back.
//!
//! ```text
//!  read first ─► thread ─► repartition ─► entries ─► a topic, by request ─┐
//!  correlate … ◄─ handed over ──┴──────◄─────────────────────────────────┘
//! ```

use logbraid_core::component::{Component, ConfigError, Context};
use logbraid_core::{Emit, Event, EventTime, Operator};

/// Settings of `repartition`; there are none.
#[derive(Debug, Clone, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {}

/// The operator.
#[derive(Debug)]
pub struct Repartition {
    watermark: EventTime,
    handed_over: u64,
    taken_back: u64,
}

impl Operator for Repartition {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn on_event(&mut self, event: Event, out: &mut Emit) {
        if event.is_handed_over() {
            self.taken_back += 1;
            out.event(event);
        } else {
            self.handed_over += 1;
            out.entry(event, self.watermark);
        }
    }
    fn on_watermark(&mut self, watermark: EventTime, _: &mut Emit) {
        self.watermark = watermark;
    }
    fn metrics(&self, report: &mut dyn FnMut(&'static str, u64)) {
        report("handed_over_total", self.handed_over);
        report("taken_back_total", self.taken_back);
    }
}

impl Component for Repartition {
    type Config = Config;
    const NAME: &'static str = "repartition";
    const DOCS: &'static str = include_str!("README.md");

    fn build(_: Config, _: &mut Context<'_>) -> Result<Self, ConfigError> {
        Ok(Self { watermark: EventTime::MIN, handed_over: 0, taken_back: 0 })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use logbraid_core::{Batch, Chain, Element, Origin, PartitionId, Record, Row, Source, Span};

    use super::*;

    /// The event at each second; those at `handed_over` came from an earlier stage.
    fn events(seconds: &[i64], handed_over: &[usize]) -> Vec<Element> {
        let source = Arc::new(Source::lines("t/0", PartitionId(0)));
        let mut batch = Batch::new(Arc::clone(&source));
        for (at, second) in seconds.iter().enumerate() {
            batch.rows.push(Row { time: EventTime::from_millis(second * 1000), ..Row::default() });
            let handed_over = handed_over.contains(&at);
            batch.origins.push(Origin { source: Arc::clone(&source), at: 0, handed_over, request: None });
        }
        let batch = Arc::new(batch);
        (0..seconds.len())
            .map(|at| Element::Event(Event::new(Arc::clone(&batch), u32::try_from(at).unwrap())))
            .collect()
    }

    #[test]
    fn entries_leave_as_records_and_those_handed_back_go_on() {
        let stage = Repartition { watermark: EventTime::MIN, handed_over: 0, taken_back: 0 };
        let mut chain = Chain::new(vec![Box::new(stage)], true, Span::from_seconds(60));
        let mut elements = events(&[10, 11, 12], &[1]);
        elements.push(Element::Watermark(EventTime::from_millis(20_000)));
        elements.extend(events(&[13], &[]));
        let mut out = Vec::new();
        chain.push(&mut elements, &mut out);
        let seen: Vec<(i64, bool)> = out
            .iter()
            .map(|due| match &due.record {
                Record::Entry(event) => (event.time().nanos() / 1_000_000_000, due.due == EventTime::MIN),
                other => panic!("{other:?}"),
            })
            .collect();
        // Nobody knows whether a late one was delivered before a restart: it is due at no time of its own.
        assert_eq!(seen, [(10, false), (12, false), (13, true), (11, false)]);
        let mut figures = Vec::new();
        chain.metrics(&mut |operator, name, value| figures.push(format!("{operator}_{name}={value}")));
        assert!(figures.contains(&"repartition_handed_over_total=3".to_owned()), "{figures:?}");
        assert!(figures.contains(&"repartition_taken_back_total=1".to_owned()), "{figures:?}");
    }
}
