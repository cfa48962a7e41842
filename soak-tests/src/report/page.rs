//! A page of several parts, each between markers, so that one part can be measured and written anew alone.

use std::fs;
use std::io;
use std::path::Path;

const HEAD: &str = "# Benchmarks\n\nEach part is written by the command that it names, between markers, and can be \
                    taken anew alone. Absolute numbers\nare those of the machine named beside them.\n";

fn begin(name: &str) -> String {
    format!("<!-- part: {name} -->\n")
}

fn end(name: &str) -> String {
    format!("<!-- end: {name} -->\n")
}

/// `page` with the part `name` replaced, or added at its end.
pub fn with_part(page: &str, name: &str, text: &str) -> String {
    let (begin, end) = (begin(name), end(name));
    let part = format!("{begin}\n{}\n\n{end}", text.trim());
    if let Some((before, rest)) = page.split_once(&begin)
        && let Some((_, after)) = rest.split_once(&end)
    {
        return format!("{before}{part}{after}");
    }
    let head = if page.trim().is_empty() { HEAD } else { page };
    format!("{}\n\n{part}", head.trim_end())
}

/// Writes the part `name` of the page at `path`; the rest of the page stays.
///
/// # Errors
/// When the page cannot be read or written.
pub fn write(path: &Path, name: &str, text: &str) -> io::Result<()> {
    let page = match fs::read_to_string(path) {
        Ok(page) => page,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    fs::write(path, with_part(&page, name, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_replaced_and_the_others_stay() {
        let page = with_part(&with_part("# Mine\n", "a", "one"), "b", "two");
        let again = with_part(&page, "a", "three");
        assert_eq!(again, page.replace("one", "three"));
        assert!(again.starts_with("# Mine\n") && again.contains("two"));
        assert_eq!(with_part(&again, "a", "three"), again);
    }
}
