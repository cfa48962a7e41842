//! The one writer: fills open blocks, seals them, publishes views, and lets go of what is too old or too much.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use logbraid_core::{Event, EventTime, Flags, Id, PartitionId, Source, Span};

use crate::block::{Block, ROWS_MAX};
use crate::encode::Encoder;
use crate::open::{Entry, OpenBlock};
use crate::origin::Origin;
use crate::pack::Packing;
use crate::template::Templates;
use crate::view::{Segment, Sizes, View};

/// Most blocks that are open at once, each for a slice of time of its own.
const OPEN_MAX: usize = 8;
/// Slices of a span: so much of it may stay too long.
const SLICES: i64 = 16;
/// Slices of an index without a span.
const DAY: Span = Span::from_seconds(86_400);
/// Less memory is not enough for the buffers of writing; [`Options::memory_bytes`] is raised to it.
pub const MEMORY_BYTES_MIN: usize = 4 << 20;
/// Sources that are remembered while no entry of theirs is stored.
const ORIGINS_MAX: usize = 1024;

/// Where text is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Backing {
    /// Compressed, in memory.
    #[default]
    Packed,
    /// In the files that sources are named after, where they are files that can be read again; else compressed.
    Files,
}

/// How much an index keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Entries this much older than the watermark expire, in sixteenths of it; `None` keeps all.
    pub span: Option<Span>,
    /// Most bytes that the index holds, views that readers keep not included; the oldest entries leave first.
    /// At least [`MEMORY_BYTES_MIN`]; [`usize::MAX`] is no bound.
    pub memory_bytes: usize,
    /// Where text is kept.
    pub backing: Backing,
}

impl Default for Options {
    fn default() -> Self {
        Self { span: None, memory_bytes: usize::MAX, backing: Backing::Packed }
    }
}

/// What an index holds and has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Metrics {
    /// Entries that are held.
    pub entries: u64,
    /// Blocks that are held.
    pub blocks: u64,
    /// Bytes of blocks, by what they are for.
    pub sizes: Sizes,
    /// Bytes of open blocks and of the writer's buffers.
    pub open_bytes: usize,
    /// Entries that expired by span.
    pub expired: u64,
    /// Entries that left because the memory was used up.
    pub evicted: u64,
    /// Entries that came when their time had expired already.
    pub too_old: u64,
    /// Entries that are held without their text, which was longer than an eighth of the memory.
    pub texts_left_out: u64,
    /// Fields beyond the 64 columns of a block that were not indexed.
    pub fields_left_out: u64,
    /// Views published.
    pub published: u64,
}

impl Metrics {
    /// All bytes that the index holds.
    pub const fn bytes(&self) -> usize {
        self.sizes.total() + self.open_bytes
    }
}

#[derive(Default)]
struct Shared {
    view: ArcSwap<View>,
    wanted: AtomicBool,
}

/// Takes views of an index, from any thread, without stopping its writer.
#[derive(Clone)]
pub struct IndexReader {
    shared: Arc<Shared>,
}

impl IndexReader {
    /// The view that was published last.
    pub fn view(&self) -> Arc<View> {
        self.shared.view.load_full()
    }
    /// Asks for a new view; [`View::number`] rises when it is there. A publication costs the writer about a
    /// millisecond at worst, so ask no more than some ten times a second.
    pub fn ask(&self) {
        self.shared.wanted.store(true, Ordering::Relaxed);
    }
    /// True while the writer has not looked at the last [`IndexReader::ask`]: nothing has moved since, as in a stream
    /// that is silent.
    pub fn is_waiting(&self) -> bool {
        self.shared.wanted.load(Ordering::Relaxed)
    }
}

/// A block that is being filled, and blocks of its rows so far for readers.
struct Open {
    slice: i64,
    block: OpenBlock,
    drafts: Vec<Arc<Block>>,
    /// Rows that are in drafts.
    covered: usize,
    touched: u64,
}

#[derive(Default)]
struct Slot {
    blocks: Vec<Arc<Block>>,
    bytes: usize,
    published: Option<Arc<Segment>>,
}

/// The writer of an index. Every entry that was pushed is in the next view that is published.
pub struct IndexWriter {
    options: Options,
    slice: Span,
    block_bytes_max: usize,
    slots: BTreeMap<i64, Slot>,
    open: Vec<Open>,
    /// Where the last entry went.
    current: usize,
    pushes: u64,
    spare: Vec<OpenBlock>,
    origins: HashMap<PartitionId, Arc<Origin>>,
    last_origin: Option<Arc<Origin>>,
    encoder: Encoder,
    templates: Templates,
    /// Slices before this one have expired.
    horizon: i64,
    from: EventTime,
    through: EventTime,
    newest: EventTime,
    drafts_bytes: usize,
    metrics: Metrics,
    shared: Arc<Shared>,
}

impl IndexWriter {
    /// An empty index.
    pub fn new(options: Options) -> Self {
        let memory_bytes = options.memory_bytes.max(MEMORY_BYTES_MIN);
        let slice = options.span.map_or(DAY, |span| Span::from_nanos((span.nanos() / SLICES).max(1_000_000)));
        Self {
            options: Options { memory_bytes, ..options },
            slice,
            block_bytes_max: (memory_bytes / 64).clamp(16 << 10, 8 << 20),
            slots: BTreeMap::new(),
            open: Vec::new(),
            current: 0,
            pushes: 0,
            spare: Vec::new(),
            origins: HashMap::new(),
            last_origin: None,
            encoder: Encoder::default(),
            templates: Templates::new(),
            horizon: i64::MIN,
            from: EventTime::MIN,
            through: EventTime::MIN,
            newest: EventTime::MIN,
            drafts_bytes: 0,
            metrics: Metrics::default(),
            shared: Arc::default(),
        }
    }

    /// For readers; give each its own clone.
    pub fn reader(&self) -> IndexReader {
        IndexReader { shared: Arc::clone(&self.shared) }
    }
    /// The view that was published last.
    pub fn view(&self) -> Arc<View> {
        self.shared.view.load_full()
    }
    /// True when some reader has asked for a new view; says so once.
    pub fn is_asked(&self) -> bool {
        self.shared.wanted.swap(false, Ordering::Relaxed)
    }
    /// Entries that were pushed since the last publication.
    pub fn unpublished(&self) -> usize {
        self.open.iter().map(|open| open.block.rows.len() - open.covered).sum()
    }

    /// Takes an entry; its template is found from its message.
    pub fn push(&mut self, event: &Event) {
        self.take(&Entry::of(event, None));
    }
    /// Takes an entry whose template is known.
    pub fn push_with_template(&mut self, event: &Event, template: Id) {
        self.take(&Entry::of(event, Some(template)));
    }

    fn take(&mut self, entry: &Entry<'_>) {
        let time = entry.row.time;
        let slice = self.slice_of(time);
        if slice < self.horizon {
            self.metrics.too_old += 1;
            return;
        }
        self.pushes += 1;
        let at = self.open_for(slice);
        let origin = self.origin(entry);
        let template = entry
            .template
            .unwrap_or_else(|| self.templates.id(entry.get(entry.row.message).unwrap_or_default()));
        let text_bytes = entry.row.raw.len as usize + entry.row.message.len as usize;
        let room = text_bytes <= self.options.memory_bytes / 8;
        if !room && origin.file().is_none() {
            self.metrics.texts_left_out += 1;
        }
        let Some(open) = self.open.get_mut(at) else { return };
        open.touched = self.pushes;
        let number = open.block.origin(&origin);
        self.last_origin = Some(origin);
        open.block.push(entry, number, template, room);
        self.newest = self.newest.max(time);
        self.metrics.entries += 1;
        let rows = open.block.rows.len();
        if rows >= ROWS_MAX
            || (rows % 32 == 0 || text_bytes > 4096) && open.block.filled() > self.block_bytes_max
        {
            self.seal(at);
            self.evict();
        } else if rows % 256 == 0 || text_bytes > 64 << 10 {
            self.evict();
        }
    }

    fn slice_of(&self, time: EventTime) -> i64 {
        time.nanos().div_euclid(self.slice.nanos())
    }

    /// The place of the open block of a slice.
    fn open_for(&mut self, slice: i64) -> usize {
        if self.open.get(self.current).is_some_and(|open| open.slice == slice) {
            return self.current;
        }
        if let Some(at) = self.open.iter().position(|open| open.slice == slice) {
            self.current = at;
            return at;
        }
        while self.open.len() >= OPEN_MAX {
            self.seal_oldest();
        }
        let block = self.spare.pop().unwrap_or_default();
        self.open.push(Open { slice, block, drafts: Vec::new(), covered: 0, touched: self.pushes });
        self.slots.entry(slice).or_default();
        self.current = self.open.len() - 1;
        self.current
    }

    fn origin(&mut self, entry: &Entry<'_>) -> Arc<Origin> {
        let same = |origin: &&Arc<Origin>| {
            Arc::ptr_eq(origin.source(), entry.source)
                || origin.source().partition == entry.source.partition
                    && origin.source().name == entry.source.name
        };
        if let Some(origin) = self.last_origin.take_if(|origin| same(&&*origin)) {
            return origin;
        }
        if let Some(origin) = self.origins.get(&entry.source.partition).filter(same) {
            return Arc::clone(origin);
        }
        let origin = Arc::new(match self.options.backing {
            Backing::Packed => Origin::packed(Arc::clone(entry.source)),
            Backing::Files => of_file(entry),
        });
        if self.origins.len() >= ORIGINS_MAX {
            self.origins.retain(|_, origin| Arc::strong_count(origin) > 1);
        }
        self.origins.insert(entry.source.partition, Arc::clone(&origin));
        origin
    }

    fn seal_oldest(&mut self) {
        let oldest = self.open.iter().enumerate().min_by_key(|(_, open)| open.touched).map(|(at, _)| at);
        if let Some(at) = oldest {
            self.seal(at);
        }
    }

    /// Turns an open block into columns for good.
    fn seal(&mut self, at: usize) {
        let mut open = self.open.swap_remove(at);
        self.current = 0;
        let rows = open.block.rows.len();
        for draft in open.drafts.drain(..) {
            self.drafts_bytes = self.drafts_bytes.saturating_sub(draft.bytes());
        }
        self.metrics.fields_left_out += std::mem::take(&mut open.block.extras_left_out);
        let slot = self.slots.entry(open.slice).or_default();
        slot.published = None;
        if let Some(block) = self.encoder.encode(&open.block, 0..rows, Packing::Tight) {
            slot.bytes += block.bytes();
            self.metrics.sizes.add(&block);
            self.metrics.blocks += 1;
            slot.blocks.push(Arc::new(block));
        } else {
            self.metrics.entries = self.metrics.entries.saturating_sub(rows as u64);
            self.metrics.evicted += rows as u64;
        }
        open.block.clear();
        if self.spare.len() < 2 {
            self.spare.push(open.block);
        }
    }

    /// All bytes that are held.
    fn used(&self) -> usize {
        self.metrics.sizes.total() + self.open_bytes()
    }

    fn open_bytes(&self) -> usize {
        let open: usize = self.open.iter().map(|open| open.block.bytes()).sum();
        let spare: usize = self.spare.iter().map(OpenBlock::bytes).sum();
        open + spare + self.drafts_bytes + self.encoder.bytes() + self.templates.bytes()
    }

    /// Lets the oldest entries go until the memory is enough.
    fn evict(&mut self) {
        let most = self.options.memory_bytes;
        while self.used() > most {
            if self.spare.pop().is_some() {
                continue;
            }
            let oldest = self.slots.iter().find(|(_, slot)| !slot.blocks.is_empty()).map(|(slice, _)| *slice);
            if let Some(slice) = oldest {
                self.evict_from(slice);
            } else if self.open.iter().any(|open| !open.block.rows.is_empty()) {
                self.seal_oldest();
            } else {
                return;
            }
        }
    }

    /// Lets go of a segment, or of its oldest block when it is much of what there is.
    fn evict_from(&mut self, slice: i64) {
        let small = self.options.memory_bytes / 8;
        let Some(slot) = self.slots.get_mut(&slice) else { return };
        slot.published = None;
        let gone: Vec<Arc<Block>> = if slot.bytes <= small {
            std::mem::take(&mut slot.blocks)
        } else {
            let oldest =
                slot.blocks.iter().enumerate().min_by_key(|(_, block)| block.last()).map(|(at, _)| at);
            oldest.map(|at| slot.blocks.remove(at)).into_iter().collect()
        };
        let is_open = self.open.iter().any(|open| open.slice == slice);
        let mut rows = 0;
        for block in gone {
            slot.bytes = slot.bytes.saturating_sub(block.bytes());
            self.metrics.sizes.remove(&block);
            self.metrics.blocks = self.metrics.blocks.saturating_sub(1);
            rows += u64::from(block.rows());
            self.from = self.from.max(block.last() + Span::from_nanos(1));
        }
        self.metrics.entries = self.metrics.entries.saturating_sub(rows);
        self.metrics.evicted += rows;
        if slot.blocks.is_empty() && !is_open {
            self.slots.remove(&slice);
        }
    }

    /// No entry earlier than `watermark` is expected any more; [`EventTime::MAX`] says that the input has ended.
    /// What is older than the span expires.
    pub fn advance(&mut self, watermark: EventTime) {
        self.through = self.through.max(watermark);
        let Some(span) = self.options.span.filter(|_| watermark.is_known()) else { return };
        let horizon = self.slice_of(watermark - span);
        if horizon <= self.horizon {
            return;
        }
        self.horizon = horizon;
        let mut rows = 0;
        while let Some(open) = self.open.iter().position(|open| open.slice < horizon) {
            let mut open = self.open.swap_remove(open);
            self.current = 0;
            rows += open.block.rows.len() as u64;
            for draft in &open.drafts {
                self.drafts_bytes = self.drafts_bytes.saturating_sub(draft.bytes());
            }
            open.block.clear();
            if self.spare.len() < 2 {
                self.spare.push(open.block);
            }
        }
        let kept = self.slots.split_off(&horizon);
        let gone = std::mem::replace(&mut self.slots, kept);
        for block in gone.values().flat_map(|slot| &slot.blocks) {
            self.metrics.sizes.remove(block);
            self.metrics.blocks = self.metrics.blocks.saturating_sub(1);
            rows += u64::from(block.rows());
        }
        if rows > 0 {
            self.from = self.from.max(EventTime::from_nanos(horizon.saturating_mul(self.slice.nanos())));
        }
        self.metrics.entries = self.metrics.entries.saturating_sub(rows);
        self.metrics.expired += rows;
    }

    /// Seals every open block: for an index that nothing will be added to. Publish afterwards.
    pub fn finish(&mut self) {
        while !self.open.is_empty() {
            self.seal_oldest();
        }
        self.spare.clear();
        self.encoder = Encoder::default();
        self.evict();
    }

    /// Lets readers see everything that was pushed. Costs as much as the entries that came since the last time.
    pub fn publish(&mut self) {
        for open in &mut self.open {
            let rows = open.block.rows.len();
            if open.covered == rows {
                continue;
            }
            // Like the digits of a binary counter: a draft takes in those before it that are no larger, so that there
            // are few of them and each entry is written few times.
            let mut start = open.covered;
            while let Some(last) = open.drafts.last()
                && usize::from(last.rows()) <= rows - start
            {
                start -= usize::from(last.rows());
                self.drafts_bytes = self.drafts_bytes.saturating_sub(last.bytes());
                open.drafts.pop();
            }
            if let Some(draft) = self.encoder.encode(&open.block, start..rows, Packing::Quick) {
                self.drafts_bytes += draft.bytes();
                open.drafts.push(Arc::new(draft));
            }
            open.covered = rows;
            if let Some(slot) = self.slots.get_mut(&open.slice) {
                slot.published = None;
            }
        }
        self.evict();
        let (open, mut entries) = (&self.open, 0);
        let segments = self.slots.iter_mut().map(|(slice, slot)| {
            let segment = slot.published.get_or_insert_with(|| {
                let drafts = open.iter().filter(|open| open.slice == *slice).flat_map(|open| &open.drafts);
                Arc::new(Segment { blocks: slot.blocks.iter().chain(drafts).map(Arc::clone).collect() })
            });
            entries += segment.blocks().map(|block| u64::from(block.rows())).sum::<u64>();
            Arc::clone(segment)
        });
        let segments = segments.collect();
        self.metrics.published += 1;
        let (from, through, newest, number) = (self.from, self.through, self.newest, self.metrics.published);
        self.shared.view.store(Arc::new(View { segments, from, through, newest, entries, number }));
    }

    /// What it holds and has done.
    pub fn metrics(&self) -> Metrics {
        Metrics { open_bytes: self.open_bytes(), ..self.metrics }
    }
}

/// The origin of a source whose text stays in its file, if the entry's first line proves that it is there.
fn of_file(entry: &Entry<'_>) -> Origin {
    let raw = entry.raw();
    let line = raw.split(['\n', '\u{fffd}']).next().unwrap_or_default();
    if line.is_empty() || entry.flags.has(Flags::INVALID_UTF8) && line.len() < 16 {
        return Origin::packed(Arc::clone(entry.source));
    }
    let source: &Arc<Source> = entry.source;
    Origin::of_file(Arc::clone(source), line, entry.row.offset)
}
