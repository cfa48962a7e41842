//! Faults as Python's exceptions, in the same words.

use logbraid::cli::Fault;
use logbraid::problem::{Problem, Problems};
use pyo3::prelude::*;

/// The exception that stands for `fault`: `logbraid.Mistake` for what the caller can mend, `logbraid.Failure` for what
/// it cannot.
pub(crate) fn exception(py: Python<'_>, fault: Fault) -> PyErr {
    let (name, document) = match fault {
        Fault::Mistake(problems) => ("Mistake", problems.to_json()),
        Fault::Failure(message) => ("Failure", Problems::from(Problem::new("failure", message)).to_json()),
    };
    let raised = py
        .import("logbraid._errors")
        .and_then(|module| module.getattr(name))
        .and_then(|class| class.call1((document.to_string(),)));
    match raised {
        Ok(exception) => PyErr::from_value(exception),
        // Python's own error, such as an import that is broken, says more than ours could.
        Err(error) => error,
    }
}

/// A mistake of the caller that Rust found before it asked anything.
pub(crate) fn usage(py: Python<'_>, message: String) -> PyErr {
    exception(py, Problem::new("usage", message).into())
}
