//! The records of a run, as Python's iterators take them.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use logbraid::library::{self, Next};
use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;

use crate::errors::exception;
use crate::window::reading;

/// A run that goes on while its records are taken.
#[pyclass(frozen, module = "logbraid._native")]
pub(crate) struct Records(Mutex<library::Records>);

/// How long a record is waited for before Python may look whether somebody pressed Ctrl-C.
const WAIT: Duration = Duration::from_millis(100);

#[pymethods]
impl Records {
    #[new]
    #[pyo3(signature = (inputs, take, follow=false, config=None, settings=None, format=None))]
    fn new(
        py: Python<'_>,
        inputs: Vec<String>,
        take: Vec<String>,
        follow: bool,
        config: Option<PathBuf>,
        settings: Option<String>,
        format: Option<String>,
    ) -> PyResult<Self> {
        let reading = reading(config, settings, format, None);
        let records = py.detach(|| library::Records::of(&inputs, &reading, follow, &take));
        Ok(Self(Mutex::new(records.map_err(|fault| exception(py, fault))?)))
    }

    /// The next record as JSON; waits for it. At the end of the run, `StopIteration`.
    fn next(&self, py: Python<'_>) -> PyResult<String> {
        loop {
            match self.poll(py)? {
                Some(record) => return Ok(record),
                None => py.check_signals()?,
            }
        }
    }

    /// The next record, if one comes soon; for those who may not wait.
    fn poll(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let next = py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).next(WAIT));
        match next {
            Next::Record(record) => Ok(Some(record)),
            Next::Nothing => Ok(None),
            Next::End(Ok(())) => Err(PyStopIteration::new_err(())),
            Next::End(Err(fault)) => Err(exception(py, fault)),
        }
    }

    /// Ends the run; what is open is closed, and its records come still.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).stop());
    }

    /// Gives up the run and what has not come yet.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).close());
    }
}
