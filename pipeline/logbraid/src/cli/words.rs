//! The words before clap sees them: which of them is the command.

use std::ffi::OsString;

use clap::{CommandFactory, ValueEnum};

use super::Terminal;
use super::args::{COMMANDS, Cli};
use crate::problem::{Problem, nearest};
use crate::render::sink::Output;

/// Puts `run` before the arguments when they name no command. The first word that is neither an option nor its value is
/// a command, or an input; `exists` tells inputs from misspelt commands.
pub(super) fn with_command(
    mut words: Vec<OsString>,
    exists: &dyn Fn(&str) -> bool,
) -> Result<Vec<OsString>, Problem> {
    let Some(first) = words.get(1).map(|word| word.to_string_lossy().into_owned()) else {
        words.push("run".into());
        return Ok(words);
    };
    if commands().any(|name| name == first) || matches!(first.as_str(), "-h" | "--help" | "-V" | "--version")
    {
        // A file that is called like a command is read as `./run`.
        return Ok(words);
    }
    let unknown = !first.starts_with('-') && looks_like_a_word(&first) && !exists(&first);
    if unknown && let Some(name) = nearest(&first, commands()) {
        let message = format!("'{first}' is neither a command nor a file");
        return Err(Problem::new("unknown_command", message).help(format!("did you mean `{name}`?")));
    }
    if let Some(late) = late_command(&words)
        && !exists(&late)
    {
        return Err(Problem::new("usage", format!("the command '{late}' stands after options"))
            .help(format!("put it first: `logbraid {late} …`")));
    }
    words.insert(1, "run".into());
    Ok(words)
}

/// Every command, questions included.
fn commands() -> impl Iterator<Item = &'static str> {
    COMMANDS.into_iter().chain(crate::ask::names())
}

/// True for what could be a misspelt command: letters and dashes.
fn looks_like_a_word(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphabetic() || c == '-')
}

/// A command after options, as in `logbraid -c x check`.
fn late_command(words: &[OsString]) -> Option<String> {
    let cli = Cli::command();
    let run = cli.find_subcommand("run")?;
    let takes_value = |word: &str| {
        !word.contains('=')
            && run.get_arguments().any(|arg| {
                let named = arg.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long))
                    || arg
                        .get_short()
                        .is_some_and(|short| word.strip_prefix('-') == Some(&short.to_string()));
                named && arg.get_action().takes_values()
            })
    };
    let mut words = words.iter().skip(1).map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        if word == "--" {
            return None;
        }
        if !word.starts_with('-') {
            return commands().any(|name| name == word).then(|| word.into_owned());
        }
        if takes_value(&word) {
            words.next();
        }
    }
    None
}

/// What `--output` says, before anything else is known: errors in the arguments themselves follow it, too. Questions
/// whose answers nobody watches are answered in JSON.
pub(super) fn output(words: &[OsString], terminal: &Terminal) -> Option<Output> {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let value = words.iter().enumerate().find_map(|(at, word)| {
        if word == "--output" { words.get(at + 1).map(AsRef::as_ref) } else { word.strip_prefix("--output=") }
    });
    let named = value.and_then(|value| Output::from_str(value, true).ok());
    let answers = |name: &str| name == "session" || crate::ask::names().any(|known| known == name);
    let question = words.get(1).is_some_and(|first| {
        // Who misspells a question reads the answer in the same way.
        answers(first) || looks_like_a_word(first) && nearest(first, commands()).is_some_and(answers)
    });
    match named {
        None | Some(Output::Auto) if question && !terminal.stdout => Some(Output::Json),
        named => named,
    }
}

/// What `--max-bytes` says: errors keep to it, too.
pub(super) fn max_bytes(words: &[OsString]) -> Option<usize> {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let value = words.iter().enumerate().find_map(|(at, word)| {
        if word == "--max-bytes" {
            words.get(at + 1).map(AsRef::as_ref)
        } else {
            word.strip_prefix("--max-bytes=")
        }
    })?;
    value.parse::<logbraid_core::ByteSize>().ok().map(logbraid_core::ByteSize::as_usize)
}
