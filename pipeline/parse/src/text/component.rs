//! Loggers, components and tags: the last item of most heads.

use super::head::{Head, Step};
use super::words::{is_name, names_an_id};
use crate::level::{level_word, upper};

impl<'a> Head<'a> {
    /// A logger, a component or a tag, which a colon or a dash ends.
    pub(super) fn component(&mut self, word: &'a str, next: Option<u8>) -> Option<Step> {
        let start = self.pos;
        let rest = &self.piece.text[start..];
        // `Tag( 1234): text`
        if self.letter
            && let Some((tag, after)) = rest.split_once('(')
            && !tag.contains(' ')
            && let Some((pid, _)) = after.split_once("): ")
            && pid.trim().bytes().all(|b| b.is_ascii_digit())
        {
            self.logger = Some(tag);
            self.thread = Some(pid.trim());
            self.pos = start + tag.len() + 1 + pid.len() + 2;
            return Some(Step::Last);
        }
        // `logger:message` after `LEVEL:`, as Python's default writes it.
        if start > 0
            && self.bytes[start - 1] == b':'
            && self.time.is_none()
            && self.gap == 0
            && let Some((name, _)) = rest.split_once(':')
            && is_name(name)
        {
            self.logger = Some(name);
            self.pos = start + name.len() + 1;
            return Some(Step::Last);
        }
        if let Some(name) = word.strip_suffix(':')
            && matches!(next, None | Some(b' ' | b'\t'))
            && !name.is_empty()
            && self.logger.is_none()
        {
            // A sentence may begin so, too; an exception's name always does.
            let bare = name.rsplit('.').next().unwrap_or(name);
            if bare.ends_with("Exception") || bare.ends_with("Error") || !is_name(name) || names_an_id(name) {
                return None;
            }
            self.take_name(name);
            self.pos = start + word.len();
            return Some(self.level_after());
        }
        // Tabs separate columns.
        if next == Some(b'\t')
            && self.level.is_some()
            && self.logger.is_none()
            && is_name(word)
            && word.bytes().any(|b| matches!(b, b'.' | b'/' | b':'))
        {
            self.take_name(word);
            self.pos = start + word.len();
            return Some(Step::Last);
        }
        let blanks = rest.as_bytes()[word.len()..].iter().take_while(|b| **b == b' ').count();
        let behind = rest.get(word.len() + blanks..).unwrap_or_default();
        if blanks > 0 && is_name(word) {
            // `c.e.demo.Controller     : text`, `logger - text`
            let dash = behind.starts_with("- ") || behind == "-";
            let colon = behind.starts_with(": ") && (blanks > 1 || self.dashes);
            let plain = word.bytes().all(|b| b.is_ascii_lowercase());
            let shaped = plain
                || word
                    .bytes()
                    .any(|b| matches!(b, b'.' | b'_' | b'/' | b':' | b'@' | b'$') || b.is_ascii_digit())
                || word.get(1..).is_some_and(|tail| tail.bytes().any(|b| b.is_ascii_uppercase()));
            if colon || dash && shaped {
                self.take_name(word);
                self.pos = start + word.len() + blanks + 1;
                return Some(self.level_after());
            }
            // `chrome.exe *64 - text`
            if shaped
                && word.contains('.')
                && self.level.is_none()
                && let Some((flag, _)) = behind.split_once(" - ")
                && flag.len() <= 6
                && flag.starts_with('*')
            {
                self.take_name(word);
                self.pos = start + word.len() + blanks + flag.len() + 3;
                return Some(Step::Last);
            }
            // A column of its own: blanks fill it up on both sides.
            if self.level.is_some() && self.gap > 1 && blanks > 1 {
                self.take_name(word);
                self.pos = start + word.len();
                return Some(Step::Last);
            }
        }
        None
    }

    pub(super) fn take_name(&mut self, name: &'a str) {
        // Columns before it were columns indeed.
        if let Some(pid) = self.words.iter().rev().find(|word| word.bytes().all(|b| b.is_ascii_digit()))
            && !self.bracketed
        {
            self.thread = Some(pid);
        }
        self.words.clear();
        // `sshd[123]`
        if let Some((program, pid)) = name.strip_suffix(']').and_then(|rest| rest.split_once('['))
            && pid.bytes().all(|b| b.is_ascii_digit())
        {
            if !self.bracketed {
                self.thread = Some(pid);
            }
            self.logger = Some(program);
            return;
        }
        self.logger = Some(name);
    }

    /// After a logger the head ends, unless a level follows (`logger - INFO - text`).
    fn level_after(&mut self) -> Step {
        if self.level.is_some() {
            return Step::Last;
        }
        let rest = self.piece.text.get(self.pos..).unwrap_or_default();
        let trimmed = rest.trim_start_matches([' ', '-']);
        let letters = trimmed.bytes().take_while(u8::is_ascii_alphabetic).count();
        let name = trimmed.get(..letters).unwrap_or_default();
        let behind = trimmed.get(letters..).unwrap_or_default();
        let bounded = behind.starts_with(" - ") || behind.starts_with(": ") || behind.starts_with(" [");
        if (upper(name) || bounded)
            && let Some(level) = level_word(name)
            && (bounded || behind.starts_with(' '))
        {
            self.level = Some(level);
            self.pos += rest.len() - trimmed.len() + letters;
            let dash = behind.strip_prefix(" -").map_or(0, |_| 2);
            self.pos += if behind.starts_with(": ") { 1 } else { dash };
        }
        Step::Last
    }
}
