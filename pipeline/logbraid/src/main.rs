//! The program.

use std::process::ExitCode;

fn main() -> ExitCode {
    logbraid::cli::main(std::env::args_os().collect()).into()
}
