//! Variables: `${NAME}`, `${NAME:-default}` and `$$` in the scalars of a configuration that is already a tree, so that
//! no value can change the structure around it.

use super::node::{Data, Node};
use super::secrets;
use crate::problem::{Place, Problem};

/// Looks a variable up.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces the variables in every scalar below `node`. Keys are left as they are.
pub(super) fn substitute(node: &mut Node, lookup: Lookup<'_>, problems: &mut Vec<Problem>) {
    let place = node.place;
    match &mut node.data {
        Data::Scalar(text) => {
            if text.contains('$') {
                let mut secret = false;
                match expand(text, lookup, &mut secret) {
                    Ok(new) => *text = new,
                    Err(fault) => problems.push(fault.problem(place)),
                }
                node.secret |= secret;
            }
        }
        Data::List(items) => items.iter_mut().for_each(|item| substitute(item, lookup, problems)),
        Data::Map(entries) => entries.iter_mut().for_each(|(_, node)| substitute(node, lookup, problems)),
    }
}

enum Fault {
    Unset(String),
    Open,
    Name(String),
}

impl Fault {
    fn problem(self, place: Place) -> Problem {
        match self {
            Self::Unset(name) => {
                Problem::at("unset_variable", place, format!("the variable '{name}' is not set"))
                    .help(format!("set it, or give a default: `${{{name}:-value}}`"))
            }
            Self::Open => Problem::at("variable", place, "'${' without its '}'")
                .help("write `$${` for the two characters themselves"),
            Self::Name(name) => {
                Problem::at("variable", place, format!("'${{{name}}}' is not the name of a variable"))
                    .help("names are letters, digits and `_`; write `$${` for the two characters themselves")
            }
        }
    }
}

/// Replaces the variables of one text. A `$` before anything else stays, so that patterns need no care.
fn expand(text: &str, lookup: Lookup<'_>, secret: &mut bool) -> Result<String, Fault> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        if let Some(tail) = tail.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some(inner) = tail.strip_prefix('{') {
            let end = inner.find('}').ok_or(Fault::Open)?;
            let (name, default) = match inner[..end].split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (&inner[..end], None),
            };
            let well_formed = !name.starts_with(|c: char| c.is_ascii_digit())
                && !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !well_formed {
                return Err(Fault::Name(name.to_owned()));
            }
            *secret |= secrets::is_secret_name(name);
            // As in the shell, `:-` replaces an empty value too.
            let value = lookup(name).filter(|value| !value.is_empty() || default.is_none());
            match (value, default) {
                (Some(value), _) => out.push_str(&value),
                (None, Some(default)) => out.push_str(default),
                (None, None) => return Err(Fault::Unset(name.to_owned())),
            }
            rest = &inner[end + 1..];
        } else {
            out.push('$');
            rest = tail;
        }
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> String {
        let lookup = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${A}".to_owned()),
            _ => None,
        };
        expand(text, &lookup, &mut false).unwrap_or_else(|fault| fault.problem(Place::default()).message)
    }

    #[test]
    fn variables_are_replaced_once_and_other_dollars_stay() {
        assert_eq!(expanded("x${A}y${A}"), "x1y1");
        assert_eq!(expanded("${B:-two}"), "two");
        assert_eq!(expanded("${EMPTY:-two}${EMPTY}"), "two");
        assert_eq!(expanded("$${A} costs $5$"), "${A} costs $5$");
        assert_eq!(expanded("${NESTED}"), "${A}", "values are not looked through again");
        assert_eq!(expanded("${B}"), "the variable 'B' is not set");
        assert_eq!(expanded("${A"), "'${' without its '}'");
        assert_eq!(expanded("${a b}"), "'${a b}' is not the name of a variable");
    }
}
