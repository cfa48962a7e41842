//! Entries that stand near certain entries.

use logbraid_core::Span;
use logbraid_index::{LevelSet, Texts};

use super::{At, Clusters, RuleCluster, Run};
use crate::correlate_events::{ClusterEntry, FieldOf, Sweep, anchor_message, virtual_id};
use crate::correlation::Anchor;
use crate::correlation::rules::matcher;
use crate::{QuestionError, Window};

pub(super) fn run(
    question: &Run,
    window: &Window,
    at: At<'_>,
    anchor: &Anchor,
    span: Span,
    answer: &mut Clusters,
) -> Result<(), QuestionError> {
    let levels = anchor.level.map_or(LevelSet::ALL, |level| level.0);
    let mut files = matcher(anchor.file_pattern.as_deref())?;
    let text = anchor.text()?;
    let field = anchor.field.as_deref().map(FieldOf::new);
    let everything = window.filter();
    let mut sweep = Sweep::new(window.view(), &everything, None, span);
    let (mut texts, mut shown) = (Texts::new(), 0);
    // Anchors and what lies around them are met in the order of time: one pass of each.
    for entry in window.view().scan(&window.filter().levels(levels)) {
        if !entry.time().is_known() || !files.takes(entry.input()) {
            continue;
        }
        let matches = text.as_ref().map_or(Ok(true), |text| text.matches(&mut texts, entry));
        let matches = matches.and_then(|matches| match &field {
            Some(field) if matches => {
                let value = field.value(&mut texts, entry)?;
                Ok(value.is_some_and(|value| {
                    anchor.condition.is_none_or(|condition| {
                        value.trim().parse::<f64>().is_ok_and(|number| condition.holds(number))
                    })
                }))
            }
            _ => Ok(matches),
        });
        match matches {
            Ok(true) => {}
            Ok(false) => continue,
            Err(_) => {
                answer.unreadable += 1;
                continue;
            }
        }
        let around = sweep.around(entry.time());
        if around.count < 2 {
            continue;
        }
        answer.total_clusters += 1;
        answer.total_entries_correlated += around.new;
        if shown >= Run::shown(question.limit) {
            continue;
        }
        shown += 1;
        let message = anchor_message(&mut texts, entry);
        let key = format!("{}:{}", entry.time(), message.as_deref().unwrap_or_default());
        let entries = sweep.nearest(&around, Run::shown(question.entries));
        answer.clusters.push(RuleCluster {
            virtual_trace_id: virtual_id(at.group, at.rule, &key),
            group: at.group.to_owned(),
            rule: at.rule,
            rule_type: "temporal",
            entry_count: around.count,
            shared_value: None,
            source_field: None,
            target_field: None,
            source_count: None,
            target_count: None,
            anchor_timestamp: Some(entry.time()),
            anchor_message: message,
            window: Some(span),
            entries: entries
                .into_iter()
                .map(|near| ClusterEntry::read(&mut texts, near, Some(entry.time())))
                .collect(),
        });
    }
    Ok(())
}
