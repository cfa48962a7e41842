//! Learns templates from messages, one at a time and in one pass.
//!
//! ```text
//!  message ─► pieces ─► shape ──known──► family ─► values of its slots ─► template
//!                         └──unknown: the family that it fits, else one of its own;
//!                            families that differ in one word only become one when the word has shown enough texts
//! ```
//!
//! The start is Drain (He et al., ICWS 2017): messages are told apart by their words, and what varies is masked. Drain
//! compares a message with the templates of a leaf and merges at a similarity; here a word varies once so many
//! different texts were seen *in otherwise equal messages*, which neither swallows short messages nor depends on a
//! threshold of similarity, and a known message costs one look into a hash table however many templates there are.
//! Values in slots (`user=root`) stay in the template until the slot has shown several, as in Spell and Brain the
//! frequent words do.
//!
//! A template's id is a hash of its text, so that two instances that saw the same messages in another order agree.

use hashbrown::HashMap;
use logbraid_core::{EventTime, Id};
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use super::scan::{Class, Scanner, Token};

/// Different texts that a slot shows before it varies.
const SLOT_TEXTS: usize = 5;
/// Different texts that a word shows before it varies, in messages with few other words and with many.
const WORD_TEXTS_FEW: usize = 4;
const WORD_TEXTS_MANY: usize = 3;
const MANY_WORDS: usize = 5;
/// Other words that a message must have for one of its words to vary at all.
const WORDS_MIN: usize = 2;
/// Words of a message that may turn out to vary.
const WORDS_MAX: usize = 48;
/// What a value counts for among the texts of a word.
const VALUE_TEXTS: usize = 2;
/// Shapes that are remembered for each template; they are only a shortcut.
const SHAPES_PER_TEMPLATE: usize = 8;
/// Renamed templates that are remembered.
const RENAMED_MAX: usize = 16_384;

/// A part of a family.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Mark(u8),
    Word(Box<str>),
    /// A value, by its looks.
    Loose,
    /// A word that varies.
    Wild,
    /// The next slot.
    Slot,
}

impl Part {
    const fn is_word(&self) -> bool {
        matches!(self, Self::Word(_))
    }
    const fn may_vary(&self) -> bool {
        matches!(self, Self::Word(_) | Self::Loose)
    }
}

#[derive(Clone, Debug, Default)]
struct Slot {
    texts: SmallVec<[u64; SLOT_TEXTS]>,
    varies: bool,
}

impl Slot {
    /// Takes note of a text; true when the slot varies from now on and did not before.
    fn see(&mut self, text: u64) -> bool {
        if self.varies || self.texts.contains(&text) {
            return false;
        }
        self.texts.push(text);
        self.varies = text == VARIES || self.texts.len() >= SLOT_TEXTS;
        self.varies
    }
}

/// Stands for the text of a value.
const VARIES: u64 = 0;

/// Messages that differ only in values and slots.
#[derive(Debug)]
struct Family {
    parts: Vec<Part>,
    slots: Vec<Slot>,
    /// Templates by the texts of the slots that do not vary.
    templates: HashMap<u64, u32>,
}

/// A template, and what is known of its messages.
#[derive(Clone, Debug)]
pub struct Template {
    /// The same template has the same id in every run.
    pub id: Id,
    /// Its text, with `<*>` for what varies.
    pub pattern: String,
    /// Messages so far.
    pub count: u64,
    /// The first message's time.
    pub first: EventTime,
    /// The newest message's time.
    pub last: EventTime,
    family: u32,
    texts: Vec<(u64, Box<str>)>,
    used: u64,
}

/// What a message was found to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Its template, for [`Miner::template`]; it holds until the next message.
    pub template: u32,
    /// True for the first message of its template.
    pub fresh: bool,
}

/// Bounds of a miner.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Templates that are kept; beyond, those that were not seen for the longest time leave.
    pub templates_max: usize,
    /// Bytes of memory for them.
    pub bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { templates_max: 10_000, bytes_max: 64 << 20 }
    }
}

/// Learns templates.
#[derive(Debug, Default)]
pub struct Miner {
    limits: Limits,
    scanner: Scanner,
    shape: Vec<u8>,
    texts: Vec<u64>,
    shapes: HashMap<u64, u32>,
    families: HashMap<u32, Family>,
    templates: HashMap<u32, Template>,
    /// Families by their marks and slots, words left out.
    frames: HashMap<u64, Vec<u32>>,
    /// Families by their parts without one word.
    others: HashMap<u64, Vec<u32>>,
    renamed: HashMap<Id, Id>,
    /// Renamed since the caller last asked.
    fresh_names: Vec<(Id, Id)>,
    by_id: HashMap<Id, u32>,
    next: u32,
    messages: u64,
    evicted: u64,
    bytes: usize,
}

impl Miner {
    /// A miner that knows nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes a message; only its first line counts.
    pub fn add(&mut self, message: &str, time: EventTime) -> Seen {
        self.messages += 1;
        let tokens = self.scanner.scan(message);
        shape_of(tokens, message, &mut self.shape, &mut self.texts);
        let shape = xxh3_64(&self.shape);
        let known = self.shapes.get(&shape).copied().filter(|family| self.families.contains_key(family));
        let family = known.unwrap_or_else(|| self.place(shape, message));
        self.settle(family, message, time)
    }

    /// The template behind a number; `None` once it was evicted or became part of another.
    pub fn template(&self, number: u32) -> Option<&Template> {
        self.templates.get(&number)
    }
    /// All templates, in no particular order.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        self.templates.values()
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.templates.len()
    }
    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.templates.is_empty()
    }
    /// Templates that had to leave.
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }
    /// Bytes that are held, about.
    pub fn bytes(&self) -> usize {
        self.bytes + self.shapes.capacity() * 16 + (self.renamed.capacity() + self.by_id.capacity()) * 24
    }
    /// The id under which a template goes on that was found to be part of a wider one; its own if it was not.
    pub fn renamed(&self, id: Id) -> Id {
        let mut id = id;
        // A chain of names ends; its length is bounded in case two hashes are equal.
        for _ in 0..64 {
            match self.renamed.get(&id) {
                Some(next) if *next != id => id = *next,
                _ => break,
            }
        }
        id
    }

    /// True when templates were renamed since [`Self::take_renamed`].
    pub const fn has_renamed(&self) -> bool {
        !self.fresh_names.is_empty()
    }
    /// The old and the new ids of templates that were found to be part of wider ones since the last call.
    pub fn take_renamed(&mut self) -> Vec<(Id, Id)> {
        std::mem::take(&mut self.fresh_names)
    }
    /// The text of a template; `None` when it was evicted.
    pub fn pattern(&self, id: Id) -> Option<&str> {
        let number = self.by_id.get(&id)?;
        self.templates.get(number).map(|template| template.pattern.as_str())
    }

    /// Takes note of a template that is known from before, as [`Template::pattern`] writes it. Returns its id.
    pub fn seed(&mut self, pattern: &str, count: u64, first: EventTime, last: EventTime) -> Id {
        // A digit stands for what varies: it is a value wherever it stands.
        let message = pattern.replace("<*>", "0");
        let tokens = self.scanner.scan(&message);
        shape_of(tokens, &message, &mut self.shape, &mut self.texts);
        let parts: Vec<Part> = parts_of(tokens, &message)
            .into_iter()
            .map(|part| if part == Part::Loose { Part::Wild } else { part })
            .collect();
        let family = match self.fitting(&parts) {
            Some(family) => family,
            None => self.found(parts),
        };
        let seen = self.settle(family, &message, first);
        if let Some(template) = self.templates.get_mut(&seen.template) {
            template.count = (template.count - 1).saturating_add(count);
            template.first = first;
            template.last = template.last.max(last);
        }
        self.fresh_names.clear();
        self.template(seen.template).map(|template| template.id).unwrap_or_default()
    }

    /// The family of a shape that is not known yet.
    fn place(&mut self, shape: u64, message: &str) -> u32 {
        let parts = parts_of(self.scanner.tokens(), message);
        let family = if let Some(family) = self.fitting(&parts) {
            family
        } else {
            let family = self.found(parts);
            self.learn(family)
        };
        if self.shapes.len() >= SHAPES_PER_TEMPLATE * self.limits.templates_max {
            self.shapes.clear();
        }
        self.shapes.insert(shape, family);
        family
    }

    /// The family that fits best: the one with the fewest words that vary.
    fn fitting(&self, parts: &[Part]) -> Option<u32> {
        let candidates = self.frames.get(&frame_of(parts))?;
        let fits = |family: &&u32| {
            self.families.get(*family).is_some_and(|family| {
                family.parts.len() == parts.len()
                    && family
                        .parts
                        .iter()
                        .zip(parts)
                        .all(|(known, part)| known == part || (*known == Part::Wild && part.may_vary()))
            })
        };
        let wild = |family: &&u32| {
            let parts = self.families.get(*family).map(|family| family.parts.as_slice());
            parts.unwrap_or_default().iter().filter(|part| **part == Part::Wild).count()
        };
        candidates.iter().filter(fits).min_by_key(wild).copied()
    }

    /// A new family.
    fn found(&mut self, parts: Vec<Part>) -> u32 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.frames.entry(frame_of(&parts)).or_default().push(number);
        let slots = parts.iter().filter(|part| **part == Part::Slot).count();
        self.bytes += bytes_of(&parts);
        let family = Family { parts, slots: vec![Slot::default(); slots], templates: HashMap::new() };
        self.families.insert(number, family);
        number
    }

    /// Compares a new family with those that differ from it in one word only, and joins them where the word varies.
    fn learn(&mut self, number: u32) -> u32 {
        let mut number = number;
        'again: loop {
            let Some(family) = self.families.get(&number) else { return number };
            let parts = family.parts.clone();
            let words = parts.iter().filter(|part| part.is_word()).count();
            let places = parts.iter().enumerate().filter(|(_, part)| part.may_vary()).take(WORDS_MAX);
            for (at, part) in places {
                let rest = words - usize::from(part.is_word());
                if rest < WORDS_MIN {
                    continue;
                }
                let others = self.others.entry(without(&parts, at)).or_default();
                if !others.contains(&number) {
                    others.push(number);
                }
                let others = others.clone();
                let values = others
                    .iter()
                    .filter(|other| {
                        self.families
                            .get(*other)
                            .is_some_and(|other| other.parts.get(at) == Some(&Part::Loose))
                    })
                    .count();
                let texts = others.len() + values * (VALUE_TEXTS - 1);
                let enough = if rest >= MANY_WORDS { WORD_TEXTS_MANY } else { WORD_TEXTS_FEW };
                if others.len() > 1 && texts >= enough {
                    number = self.join(&others, at);
                    continue 'again;
                }
            }
            return number;
        }
    }

    /// Makes one family of several that differ in the word at `at` only.
    fn join(&mut self, numbers: &[u32], at: usize) -> u32 {
        let mut parts = numbers
            .first()
            .and_then(|number| self.families.get(number))
            .map(|family| family.parts.clone())
            .unwrap_or_default();
        if let Some(part) = parts.get_mut(at) {
            *part = Part::Wild;
        }
        let joined = match self.fitting(&parts) {
            Some(joined) if !numbers.contains(&joined) => joined,
            _ => self.found(parts),
        };
        for number in numbers {
            let Some(family) = self.remove(*number) else { continue };
            if let Some(target) = self.families.get_mut(&joined) {
                for (mine, theirs) in target.slots.iter_mut().zip(&family.slots) {
                    theirs.texts.iter().for_each(|text| {
                        mine.see(*text);
                    });
                    mine.varies |= theirs.varies;
                }
                // Under a name that nothing else has; they are put in order below.
                for template in family.templates.into_values() {
                    target.templates.insert(u64::from(template), template);
                }
            }
        }
        let gone: hashbrown::HashSet<u32> = numbers.iter().copied().collect();
        for family in self.shapes.values_mut() {
            if gone.contains(family) {
                *family = joined;
            }
        }
        self.regroup(joined);
        joined
    }

    /// Takes a family out of everything but the shapes and the templates.
    fn remove(&mut self, number: u32) -> Option<Family> {
        let family = self.families.remove(&number)?;
        self.bytes = self.bytes.saturating_sub(bytes_of(&family.parts));
        drop_from(&mut self.frames, frame_of(&family.parts), number);
        let places = family.parts.iter().enumerate().filter(|(_, part)| part.may_vary()).take(WORDS_MAX);
        for (at, _) in places {
            drop_from(&mut self.others, without(&family.parts, at), number);
        }
        Some(family)
    }

    /// Names the templates of a family anew, after something in it began to vary; equal ones become one.
    fn regroup(&mut self, number: u32) {
        let Some(family) = self.families.get_mut(&number) else { return };
        let mut templates: Vec<u32> = std::mem::take(&mut family.templates).into_values().collect();
        templates.sort_unstable();
        for number_of in templates {
            let Some(mut template) = self.templates.remove(&number_of) else { continue };
            let key = key_of(&family.slots, template.texts.iter().map(|(text, _)| *text));
            let pattern = pattern_of(&family.parts, &family.slots, &template.texts);
            let id = Id::of(&[&pattern]);
            if template.id != id {
                if self.renamed.len() >= RENAMED_MAX {
                    self.renamed.clear();
                }
                self.renamed.insert(template.id, id);
                self.fresh_names.push((template.id, id));
                self.by_id.remove(&template.id);
            }
            self.bytes = self.bytes.saturating_sub(template_bytes(&template));
            (template.id, template.pattern, template.family) = (id, pattern, number);
            let same = family.templates.get(&key).and_then(|same| self.templates.get_mut(same));
            if let Some(same) = same {
                same.count += template.count;
                same.first = same.first.min(template.first);
                same.last = same.last.max(template.last);
                same.used = same.used.max(template.used);
            } else {
                family.templates.insert(key, number_of);
                self.bytes += template_bytes(&template);
                self.by_id.insert(id, number_of);
                self.templates.insert(number_of, template);
            }
        }
        // What was renamed to something is that from now on, not a name of the past.
        let current: Vec<Id> = family
            .templates
            .values()
            .filter_map(|number| self.templates.get(number))
            .map(|template| template.id)
            .collect();
        for id in current {
            self.renamed.remove(&id);
        }
    }

    /// Counts the message in its family.
    fn settle(&mut self, number: u32, message: &str, time: EventTime) -> Seen {
        let Some(family) = self.families.get_mut(&number) else {
            return Seen { template: u32::MAX, fresh: false };
        };
        let mut widened = false;
        for (slot, text) in family.slots.iter_mut().zip(&self.texts) {
            widened |= slot.see(*text);
        }
        let key = key_of(&family.slots, self.texts.iter().copied());
        if widened {
            self.regroup(number);
        }
        let Some(family) = self.families.get_mut(&number) else {
            return Seen { template: u32::MAX, fresh: false };
        };
        if let Some(known) = family.templates.get(&key)
            && let Some(template) = self.templates.get_mut(known)
        {
            template.count += 1;
            template.last = template.last.max(time);
            template.first = template.first.min(time);
            template.used = self.messages;
            return Seen { template: *known, fresh: false };
        }
        let texts = self
            .scanner
            .tokens()
            .iter()
            .filter(|token| matches!(token.class, Class::Slot | Class::Value))
            .zip(&self.texts)
            .map(|(token, text)| (*text, Box::from(if *text == VARIES { "" } else { token.text(message) })))
            .collect::<Vec<_>>();
        let pattern = pattern_of(&family.parts, &family.slots, &texts);
        let id = Id::of(&[&pattern]);
        let template = Template {
            id,
            pattern,
            count: 1,
            first: time,
            last: time,
            family: number,
            texts,
            used: self.messages,
        };
        let added = self.next;
        self.next = self.next.wrapping_add(1);
        family.templates.insert(key, added);
        self.bytes += template_bytes(&template);
        self.renamed.remove(&id);
        self.by_id.insert(id, added);
        self.templates.insert(added, template);
        if self.templates.len() > self.limits.templates_max || self.bytes > self.limits.bytes_max {
            self.evict();
        }
        Seen { template: added, fresh: true }
    }

    /// Lets the tenth part go that was not seen for the longest time.
    fn evict(&mut self) {
        let mut used: Vec<(u64, u32)> =
            self.templates.iter().map(|(number, template)| (template.used, *number)).collect();
        used.sort_unstable();
        used.truncate((used.len() / 10).max(1));
        for (used, number) in used {
            // The one that came last stays in any case.
            if used == self.messages {
                continue;
            }
            let Some(template) = self.templates.remove(&number) else { continue };
            self.bytes = self.bytes.saturating_sub(template_bytes(&template));
            self.evicted += 1;
            self.by_id.remove(&template.id);
            let empty = self.families.get_mut(&template.family).is_some_and(|family| {
                family.templates.retain(|_, known| *known != number);
                family.templates.is_empty()
            });
            if empty {
                self.remove(template.family);
            }
        }
        self.shapes.retain(|_, family| self.families.contains_key(family));
    }
}

fn drop_from(lists: &mut HashMap<u64, Vec<u32>>, key: u64, number: u32) {
    if let Some(list) = lists.get_mut(&key) {
        list.retain(|known| *known != number);
        if list.is_empty() {
            lists.remove(&key);
        }
    }
}

fn bytes_of(parts: &[Part]) -> usize {
    let words: usize =
        parts.iter().map(|part| if let Part::Word(word) = part { word.len() } else { 0 }).sum();
    let lists = parts.iter().filter(|part| part.may_vary()).count().min(WORDS_MAX) * 48;
    words + size_of_val(parts) + lists + size_of::<Family>() + 64
}

fn template_bytes(template: &Template) -> usize {
    let texts: usize = template.texts.iter().map(|(_, text)| text.len() + 24).sum();
    size_of::<Template>() + template.pattern.capacity() + texts + 48
}

/// Bytes in a shape that no message contributes: the scanner takes control characters for values.
const LOOSE: u8 = 1;
const SLOT: u8 = 2;

/// Writes what tells messages apart without a look at any template: words and marks as they are, values as one byte.
fn shape_of(tokens: &[Token], message: &str, shape: &mut Vec<u8>, texts: &mut Vec<u64>) {
    shape.clear();
    texts.clear();
    for token in tokens {
        match token.class {
            Class::Mark => shape.push(mark_of(token.text(message))),
            Class::Word => {
                shape.extend_from_slice(token.text(message).as_bytes());
                // Words do not run into each other where no mark stands between.
                shape.push(3);
            }
            Class::Loose => shape.push(LOOSE),
            Class::Slot => {
                shape.push(SLOT);
                texts.push(xxh3_64(token.text(message).as_bytes()).max(1));
            }
            Class::Value => {
                shape.push(SLOT);
                texts.push(VARIES);
            }
        }
    }
}

/// A mark's byte; all blanks are one.
fn mark_of(text: &str) -> u8 {
    match text.as_bytes().first() {
        Some(byte) if !byte.is_ascii_whitespace() => *byte,
        _ => b' ',
    }
}

fn parts_of(tokens: &[Token], message: &str) -> Vec<Part> {
    let part = |token: &Token| match token.class {
        Class::Mark => Part::Mark(mark_of(token.text(message))),
        // A word of signs alone is a mark that is longer.
        Class::Word => Part::Word(token.text(message).into()),
        Class::Loose => Part::Loose,
        Class::Slot | Class::Value => Part::Slot,
    };
    tokens.iter().map(part).collect()
}

/// What families have in common that may become one.
fn frame_of(parts: &[Part]) -> u64 {
    let byte = |part: &Part| match part {
        Part::Mark(mark) => *mark,
        Part::Word(_) | Part::Loose | Part::Wild => LOOSE,
        Part::Slot => SLOT,
    };
    let frame: SmallVec<[u8; 256]> = parts.iter().map(byte).collect();
    xxh3_64(&frame)
}

/// A hash of the parts but the one at `without`.
fn without(parts: &[Part], without: usize) -> u64 {
    let mut bytes: SmallVec<[u8; 512]> = SmallVec::new();
    for (at, part) in parts.iter().enumerate() {
        match part {
            _ if at == without => bytes.push(4),
            Part::Mark(mark) => bytes.push(*mark),
            Part::Word(word) => {
                bytes.extend_from_slice(word.as_bytes());
                bytes.push(3);
            }
            Part::Loose => bytes.push(LOOSE),
            Part::Wild => bytes.push(5),
            Part::Slot => bytes.push(SLOT),
        }
    }
    xxh3_64(&bytes)
}

fn key_of(slots: &[Slot], texts: impl Iterator<Item = u64>) -> u64 {
    let mut key = 0_u64;
    for (slot, text) in slots.iter().zip(texts) {
        let text = if slot.varies { VARIES } else { text };
        key = (key.rotate_left(5) ^ text).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    key
}

fn pattern_of(parts: &[Part], slots: &[Slot], texts: &[(u64, Box<str>)]) -> String {
    let mut pattern = String::new();
    let mut slots = slots.iter().zip(texts);
    for part in parts {
        match part {
            Part::Mark(mark) => pattern.push(char::from(*mark)),
            Part::Word(word) => pattern.push_str(word),
            Part::Loose | Part::Wild => pattern.push_str("<*>"),
            Part::Slot => match slots.next() {
                Some((slot, (_, text))) if !slot.varies => pattern.push_str(text),
                _ => pattern.push_str("<*>"),
            },
        }
    }
    pattern
}
