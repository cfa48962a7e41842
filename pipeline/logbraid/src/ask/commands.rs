//! The questions as commands: one for each, those of two words below a command that gathers them.

use clap::{ArgMatches, Command};
use logbraid_query::{QUESTIONS, QuestionSpec};

use super::args;

/// Adds every question to the program's command.
pub fn augment(mut program: Command) -> Command {
    let mut gathered: Vec<(&str, Vec<&QuestionSpec>)> = Vec::new();
    for spec in QUESTIONS {
        match spec.name.split_once(' ') {
            None => program = program.subcommand(command(spec.name, spec)),
            Some((first, _)) => match gathered.iter_mut().find(|(name, _)| *name == first) {
                Some((_, specs)) => specs.push(spec),
                None => gathered.push((first, vec![spec])),
            },
        }
    }
    for (first, specs) in gathered {
        // A command of that name may gather more than questions.
        let existing = program.find_subcommand(first).is_some();
        let add = |parent: Command| {
            specs.iter().fold(parent, |parent, spec| {
                let word = spec.name.split_once(' ').map_or(spec.name, |(_, word)| word);
                parent.subcommand(command(word, spec))
            })
        };
        program = if existing {
            program.mut_subcommand(first, add)
        } else {
            let words: Vec<&str> =
                specs.iter().filter_map(|spec| Some(spec.name.split_once(' ')?.1)).collect();
            let about = format!("Questions about {first}s: {}", words.join(", "));
            let parent =
                Command::new(first).about(about).subcommand_required(true).arg_required_else_help(true);
            program.subcommand(add(parent))
        };
    }
    program.subcommand(super::follow::command())
}

/// The command of a question.
fn command(word: &'static str, spec: &QuestionSpec) -> Command {
    let (about, rest) = summary(spec.docs);
    // The request's own comment says what it holds, not what the question answers.
    let command = (spec.augment)(Command::new(word));
    let command = command.about(about.clone()).long_about(format!("{about}\n\n{rest}"));
    args::augment(command).help_template(TEMPLATE).max_term_width(100)
}

const TEMPLATE: &str = "{about-with-newline}\n{usage-heading} {usage}\n\n{all-args}{after-help}";

/// The first paragraph of a manual, and the rest as plain text: each paragraph is one line, for the terminal to wrap.
pub(crate) fn summary(docs: &str) -> (String, String) {
    let docs = docs.trim();
    let lines = docs.lines().skip_while(|line| line.starts_with('#') || line.trim().is_empty());
    let mut about: Vec<&str> = Vec::new();
    let mut rest: Vec<String> = Vec::new();
    let mut code = false;
    // True while the next line of text goes on with the last one.
    let mut open = false;
    for line in lines {
        let begins = line.trim().is_empty() || line.starts_with(['-', '*', '|', '#', ' ']);
        if line.starts_with("```") {
            code = !code;
            open = false;
        } else if rest.is_empty() && !code && !line.trim().is_empty() {
            about.push(line.trim());
        } else if code {
            rest.push(format!("  {line}"));
        } else if let (true, false, Some(last)) = (open, begins, rest.last_mut()) {
            last.push(' ');
            last.push_str(line);
        } else {
            open = !line.trim().is_empty();
            rest.push(line.to_owned());
        }
    }
    (about.join(" "), rest.join("\n").trim().to_owned())
}

/// The question that `name` and the words after it call, and its own words.
pub(super) fn find<'m>(
    name: &str,
    matches: &'m ArgMatches,
) -> Option<(&'static QuestionSpec, &'m ArgMatches)> {
    if let Some(spec) = logbraid_query::question(name) {
        return Some((spec, matches));
    }
    let (word, inner) = matches.subcommand()?;
    Some((logbraid_query::question(&format!("{name} {word}"))?, inner))
}

/// True when the command `name`, with the words that follow it, is a question.
pub fn is_question(name: &str, matches: &ArgMatches) -> bool {
    find(name, matches).is_some()
}

/// The first words of every question.
pub fn names() -> impl Iterator<Item = &'static str> {
    QUESTIONS.iter().map(|spec| spec.name.split_once(' ').map_or(spec.name, |(first, _)| first))
}

/// The command of a question for its page in the reference.
pub fn page(spec: &QuestionSpec) -> Command {
    let word = spec.name.rsplit(' ').next().unwrap_or(spec.name);
    command(word, spec).bin_name(format!("logbraid {}", spec.name))
}
