//! Moments as people type them.

use logbraid_core::EventTime;

use crate::problem::Problem;

/// A moment, as [`logbraid_query::moment`] reads it.
pub(crate) fn moment(option: &str, text: &str, now: EventTime) -> Result<EventTime, Problem> {
    logbraid_query::moment(option, text, now).map_err(Problem::from)
}
