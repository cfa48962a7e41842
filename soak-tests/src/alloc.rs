//! Counts what is allocated, per thread, so that counting costs no atomic operation.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use tikv_jemallocator::Jemalloc;

thread_local! {
    static COUNT: Cell<Count> = const { Cell::new(Count { calls: 0, bytes: 0, live: 0, live_max: 0 }) };
}

/// What a thread has allocated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Calls of the allocator.
    pub calls: u64,
    /// Bytes asked for, freed ones included.
    pub bytes: u64,
    /// Bytes asked for and not freed; may fall below zero on a thread that frees what others allocated.
    pub live: i64,
    /// The most of `live`.
    pub live_max: i64,
}

impl Count {
    /// What this thread has allocated so far.
    pub fn now() -> Self {
        COUNT.try_with(Cell::get).unwrap_or_default()
    }
    /// What was allocated since `before`; `live_max` stays that of the whole thread.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            calls: self.calls.saturating_sub(before.calls),
            bytes: self.bytes.saturating_sub(before.bytes),
            live: self.live - before.live,
            live_max: self.live_max,
        }
    }
}

/// What all threads together hold, counted from a moment on: for figures of memory. Counting it makes every allocation
/// touch a counter that all threads share, so it is off while speed is measured.
static WATCHED: AtomicBool = AtomicBool::new(false);
static HELD: AtomicI64 = AtomicI64::new(0);
static HELD_MAX: AtomicI64 = AtomicI64::new(0);

/// Counts what all threads hold from now on.
pub fn watch_process() {
    HELD.store(0, Ordering::Relaxed);
    HELD_MAX.store(0, Ordering::Relaxed);
    WATCHED.store(true, Ordering::Relaxed);
}

/// Bytes that were asked for since [`watch_process`] and not freed, and the most of them at any moment. What was asked for
/// earlier and freed since counts against them.
pub fn held() -> (i64, i64) {
    (HELD.load(Ordering::Relaxed), HELD_MAX.load(Ordering::Relaxed))
}

fn hold(bytes: i64) {
    if WATCHED.load(Ordering::Relaxed) {
        let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if bytes > 0 {
            HELD_MAX.fetch_max(held, Ordering::Relaxed);
        }
    }
}

fn add(size: usize) {
    hold(size as i64);
    // A thread that ends may allocate when its counter is gone already.
    let _ = COUNT.try_with(|count| {
        let mut now = count.get();
        now.calls += 1;
        now.bytes += size as u64;
        now.live += size as i64;
        now.live_max = now.live_max.max(now.live);
        count.set(now);
    });
}

fn remove(size: usize) {
    hold(-(size as i64));
    let _ = COUNT.try_with(|count| {
        let mut now = count.get();
        now.live -= size as i64;
        count.set(now);
    });
}

/// The binary's allocator with a counter.
#[derive(Debug)]
pub struct Counting;

#[expect(
    unsafe_code,
    reason = "an allocator cannot be written without; each call goes to jemalloc as it came"
)]
// SAFETY: every method hands its arguments on unchanged to `Jemalloc`, which keeps the contract of `GlobalAlloc`;
// the counters neither allocate nor panic.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's promise is jemalloc's.
        unsafe { Jemalloc.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: as above.
        unsafe { Jemalloc.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        remove(layout.size());
        // SAFETY: as above.
        unsafe { Jemalloc.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        remove(layout.size());
        add(size);
        // SAFETY: as above.
        unsafe { Jemalloc.realloc(at, layout, size) }
    }
}
