//! A request as a record: its entries and its tree.

use std::cell::Cell;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::Millis;
use super::entry::Names;
use super::place::Place;
use crate::event::{Flags, Row, TimeFrom};
use crate::group::{Group, Phase};
use crate::time::EventTime;
use crate::tree::{Hierarchy, Node};

pub(super) fn serialize_timeline<S: Serializer>(group: &Group, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("type", "timeline")?;
    map.serialize_entry("id", &group.id)?;
    map.serialize_entry("revision", &group.revision)?;
    map.serialize_entry("key", &group.key)?;
    map.serialize_entry("ids", &Ids(&group.ids))?;
    map.serialize_entry("start", &group.start())?;
    map.serialize_entry("end", &group.end())?;
    map.serialize_entry("duration_ms", &Millis(group.duration().millis()))?;
    if let Phase::Closed(by) = group.phase {
        map.serialize_entry("closed_by", &by)?;
    }
    map.serialize_entry("outcome", &group.outcome())?;
    map.serialize_entry("services", &group.services())?;
    map.serialize_entry("entries", &group.entries())?;
    map.serialize_entry("omitted", &group.omitted)?;
    map.serialize_entry("levels", &group.levels)?;
    map.serialize_entry("events", &Events(group))?;
    if let Some(parent) = group.parents.first() {
        map.serialize_entry("parent_key", parent)?;
    }
    if !group.children.is_empty() {
        map.serialize_entry("child_keys", &group.children)?;
    }
    if let Some(tree) = &group.hierarchy {
        map.serialize_entry("hierarchy", &Tree(tree))?;
    }
    if let Some(flow) = &group.error_flow {
        map.serialize_entry("error_flow", flow)?;
    }
    if let Some(sampled) = &group.sampled {
        map.serialize_entry("sampled", sampled)?;
    }
    map.end()
}

struct Ids<'a>(&'a [(String, Vec<String>)]);

impl Serialize for Ids<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(kind, values)| (kind, values)))
    }
}

struct Events<'a>(&'a Group);

impl Serialize for Events<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stamp = Cell::new((EventTime::MIN, [0; 30]));
        serializer.collect_seq(self.0.rows.iter().map(|row| GroupEvent(self.0, row, &stamp)))
    }
}

/// One entry of a timeline.
struct GroupEvent<'a>(&'a Group, &'a Row, &'a Cell<Stamp>);

/// The last time that was written, and how: entries that follow each other share most of it.
type Stamp = (EventTime, [u8; 30]);

impl Serialize for GroupEvent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(group, row, stamp) = *self;
        let mut map = serializer.serialize_map(None)?;
        let (last, mut text) = stamp.get();
        map.serialize_entry("timestamp", row.time.write_rfc3339_after(last, &mut text))?;
        stamp.set((row.time, text));
        map.serialize_entry("relative_ms", &Millis(row.time.since(group.start()).millis()))?;
        if let Some(service) = group.service(row) {
            map.serialize_entry("service", service)?;
        }
        if let Some(thread) = group.get(row.thread) {
            map.serialize_entry("thread_id", thread)?;
        }
        if let Some(span) = group.get(row.span) {
            map.serialize_entry("span_id", span)?;
        }
        if let Some(level) = row.level {
            map.serialize_entry("level", level.name())?;
        }
        map.serialize_entry("message", group.message(row))?;
        if row.time_from != TimeFrom::Event {
            map.serialize_entry("timestamp_from", &row.time_from)?;
        }
        if row.flags.names().next().is_some() {
            map.serialize_entry("flags", &Names(row.flags))?;
        }
        if row.flags.has(Flags::ATTRIBUTED) {
            map.serialize_entry("confidence", &(f64::from(row.confidence) / 100.0))?;
        }
        if let Some(source) = group.source(row) {
            map.serialize_entry("source", &Place(source, row))?;
        }
        map.end()
    }
}

struct Tree<'a>(&'a Hierarchy);

impl Serialize for Tree<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tree = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("roots", &Nodes(tree, &tree.roots))?;
        map.serialize_entry("nodes", &tree.nodes.len())?;
        map.serialize_entry("depth", &tree.depth())?;
        map.serialize_entry("methods", &Methods(tree))?;
        let path: Vec<&str> = tree
            .critical_path
            .iter()
            .filter_map(|at| tree.nodes.get(*at))
            .map(|node| node.id.as_str())
            .collect();
        map.serialize_entry("critical_path", &path)?;
        if let Some(bottleneck) = &tree.bottleneck {
            map.serialize_entry("bottleneck", &BottleneckView(bottleneck))?;
        }
        map.serialize_entry("concurrency_max", &tree.concurrency_max)?;
        if tree.missing_parents > 0 {
            map.serialize_entry("missing_parents", &tree.missing_parents)?;
        }
        if !tree.cycles_cut.is_empty() {
            map.serialize_entry("cycles_cut", &tree.cycles_cut)?;
        }
        map.end()
    }
}

struct BottleneckView<'a>(&'a crate::tree::Bottleneck);

impl Serialize for BottleneckView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("node", &self.0.node)?;
        map.serialize_entry("self_ms", &Millis(self.0.self_ms))?;
        map.serialize_entry("share", &((self.0.share * 10_000.0).round() / 10_000.0))?;
        map.end()
    }
}

struct Methods<'a>(&'a Hierarchy);

impl Serialize for Methods<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.methods.iter().map(|(method, count)| (method.name(), count)))
    }
}

struct Nodes<'a>(&'a Hierarchy, &'a [usize]);

impl Serialize for Nodes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Chains deeper than this would overflow the stack of whoever reads them, too.
        let mut seq = serializer.serialize_seq(None)?;
        for at in self.1 {
            if let Some(node) = self.0.nodes.get(*at) {
                seq.serialize_element(&NodeView(self.0, node))?;
            }
        }
        seq.end()
    }
}

/// Deepest layer that is written out nested; what lies below is counted in `hidden`.
pub const DEPTH_MAX: usize = 60;

struct NodeView<'a>(&'a Hierarchy, &'a Node);

impl Serialize for NodeView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(tree, node) = *self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &node.id)?;
        map.serialize_entry("kind", &node.kind)?;
        if let Some(name) = &node.name {
            map.serialize_entry("name", name)?;
        }
        if let Some(service) = &node.service {
            map.serialize_entry("service", service)?;
        }
        map.serialize_entry("start", &node.start)?;
        map.serialize_entry("end", &node.end)?;
        map.serialize_entry("duration_ms", &Millis(node.duration_ms))?;
        map.serialize_entry("self_ms", &Millis(node.self_ms))?;
        map.serialize_entry("entries", &node.entries)?;
        map.serialize_entry("errors", &node.errors)?;
        map.serialize_entry("levels", &node.levels)?;
        map.serialize_entry("confidence", &node.confidence)?;
        map.serialize_entry("evidence", &node.evidence)?;
        if node.depth < DEPTH_MAX {
            map.serialize_entry("children", &Nodes(tree, &node.children))?;
        } else {
            map.serialize_entry("children", &[(); 0])?;
            map.serialize_entry("hidden", &node.children.len())?;
        }
        map.end()
    }
}
