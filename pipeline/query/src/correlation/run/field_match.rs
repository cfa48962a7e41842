//! Entries that share the value of a field: counted in one pass, gathered for what is shown in another.

use hashbrown::HashMap;
use logbraid_core::{EventTime, Id};
use logbraid_index::{EntryRef, Texts};

use super::{At, Clusters, RuleCluster, Run};
use crate::correlate_events::{ClusterEntry, FieldOf, virtual_id};
use crate::correlation::Side;
use crate::correlation::rules::{FileMatch, matcher};
use crate::{QuestionError, Window};

/// Values that are compared, by a hash of 64 bits; entries with others are counted.
const VALUES_MAX: usize = 1 << 20;

#[derive(Clone, Copy)]
struct Shared {
    source: u64,
    target: u64,
    both: u64,
    first: EventTime,
}

struct Reading<'q> {
    sides: [&'q Side; 2],
    files: [FileMatch; 2],
    fields: [FieldOf; 2],
}

impl Reading<'_> {
    /// The value of an entry on each side.
    fn values<'v>(&mut self, texts: &mut Texts<'v>, entry: EntryRef<'v>) -> Result<[Option<String>; 2], ()> {
        let [a, b] = &mut self.files;
        let takes = [a.takes(entry.input()), b.takes(entry.input())];
        let mut value = |side: usize| match self.fields.get(side) {
            Some(field) if takes[side] => field.value(texts, entry).map_err(|_| ()),
            _ => Ok(None),
        };
        let source = value(0)?;
        let same = takes == [true, true] && self.sides[0].field == self.sides[1].field;
        let target = if same { source.clone() } else { value(1)? };
        Ok([source, target])
    }
}

pub(super) fn run(
    question: &Run,
    window: &Window,
    at: At<'_>,
    sides: [&Side; 2],
    answer: &mut Clusters,
) -> Result<(), QuestionError> {
    let [source, target] = sides;
    let mut reading = Reading {
        sides,
        files: [matcher(source.file_pattern.as_deref())?, matcher(target.file_pattern.as_deref())?],
        fields: [FieldOf::new(&source.field), FieldOf::new(&target.field)],
    };
    let (mut texts, mut all): (_, HashMap<Id, Shared>) = (Texts::new(), HashMap::new());
    for entry in window.view().scan(&window.filter()) {
        let Ok(values) = reading.values(&mut texts, entry) else {
            answer.unreadable += 1;
            continue;
        };
        let same = values[0].is_some() && values[0] == values[1];
        for (side, value) in values.iter().enumerate() {
            let Some(value) = value else { continue };
            let key = Id::of(&[value]);
            if all.len() >= VALUES_MAX && !all.contains_key(&key) {
                answer.others += 1;
                continue;
            }
            let shared =
                all.entry(key).or_insert(Shared { source: 0, target: 0, both: 0, first: entry.time() });
            *(if side == 0 { &mut shared.source } else { &mut shared.target }) += 1;
            shared.both += u64::from(same && side == 0);
        }
    }
    let mut found: Vec<(Id, Shared)> = all
        .into_iter()
        .filter(|(_, shared)| shared.source > 0 && shared.target > 0 && shared.entries() > 1)
        .collect();
    found.sort_unstable_by(|a, b| a.1.first.cmp(&b.1.first).then(a.0.cmp(&b.0)));
    answer.total_clusters += found.len() as u64;
    answer.total_entries_correlated += found.iter().map(|(_, shared)| shared.entries()).sum::<u64>();
    found.truncate(Run::shown(question.limit));
    gather(question, window, at, &mut reading, &found, answer);
    Ok(())
}

impl Shared {
    const fn entries(self) -> u64 {
        self.source + self.target - self.both
    }
}

/// Reads the first entries of the clusters that are shown.
fn gather(
    question: &Run,
    window: &Window,
    at: At<'_>,
    reading: &mut Reading<'_>,
    found: &[(Id, Shared)],
    answer: &mut Clusters,
) {
    let places: HashMap<Id, usize> =
        found.iter().enumerate().map(|(place, (key, _))| (*key, place)).collect();
    let mut gathered: Vec<(String, Vec<ClusterEntry>)> = vec![Default::default(); found.len()];
    let mut texts = Texts::new();
    let most = Run::shown(question.entries);
    let mut left: u64 = found.iter().map(|(_, shared)| shared.entries().min(most as u64)).sum();
    for entry in window.view().scan(&window.filter()) {
        if left == 0 {
            break;
        }
        let Ok([source, target]) = reading.values(&mut texts, entry) else { continue };
        let other = if target == source { None } else { target };
        for value in [source, other].into_iter().flatten() {
            let Some(cluster) = places.get(&Id::of(&[&value])).and_then(|place| gathered.get_mut(*place))
            else {
                continue;
            };
            if cluster.1.len() < most {
                cluster.1.push(ClusterEntry::read(&mut texts, entry, None));
                left -= 1;
            }
            cluster.0 = value;
        }
    }
    for ((_, shared), (value, entries)) in found.iter().zip(gathered) {
        answer.clusters.push(RuleCluster {
            virtual_trace_id: virtual_id(at.group, at.rule, &value),
            group: at.group.to_owned(),
            rule: at.rule,
            rule_type: "field_match",
            entry_count: shared.entries(),
            shared_value: Some(value),
            source_field: Some(reading.sides[0].field.clone()),
            target_field: Some(reading.sides[1].field.clone()),
            source_count: Some(shared.source),
            target_count: Some(shared.target),
            anchor_timestamp: None,
            anchor_message: None,
            window: None,
            entries,
        });
    }
}
