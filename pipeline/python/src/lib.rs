//! logbraid for Python: binds the façade, and adds no logic of its own. Python's side is in `python/logbraid`.
//!
//! ```text
//!  investigate, Window, stream (Python) ─ requests as JSON ─► Window, Records, Table (here) ─► the façade
//! ```
//!
//! The interpreter is free for other threads while Rust reads, asks and waits.

mod errors;
mod records;
mod table;
mod window;

/// What `logbraid` imports.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use crate::records::Records;
    #[pymodule_export]
    use crate::table::Table;
    #[pymodule_export]
    use crate::table::table_of;
    #[pymodule_export]
    use crate::window::Window;
}
