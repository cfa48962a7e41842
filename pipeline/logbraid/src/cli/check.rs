//! `logbraid check`.

use super::args::CheckArgs;
use super::{Fault, Status, print};
use crate::config;

pub(super) fn check(args: &CheckArgs) -> Result<Status, Fault> {
    let config = config::load(&args.config, &crate::registry())?;
    let text = match args.graph {
        Some(picture) => config.picture(picture),
        None => config.to_yaml(),
    };
    Ok(print(text.as_bytes()))
}
