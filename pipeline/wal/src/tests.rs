//! The promises, against a model and a file system that crashes at any operation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use crate::fake::Fake;
use crate::{Entry, Error, Folder, Log, Options, Replay, Storage};

const SMALL: Options = Options { segment_bytes: 40_000, disk_bytes_max: 400_000, record_bytes_max: 100_000 };

/// Bytes that tell which record they are, so that no mix-up passes.
fn payload(number: u64, length: usize) -> Vec<u8> {
    number.to_le_bytes().iter().copied().cycle().take(length).collect()
}

fn read_all<S: Storage>(replay: &mut Replay<S>) -> Vec<Entry> {
    std::iter::from_fn(|| replay.read().unwrap()).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Sync,
    Release,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<(Step, u32)>> {
    let length = prop_oneof![0..200_usize, 30_000..40_000_usize, 60_000..100_000_usize];
    let step = prop_oneof![
        6 => length.prop_map(Step::Append),
        3 => Just(Step::Sync),
        1 => Just(Step::Release),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec((step, 0..12_u32), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_was_acknowledged_is_there_after_any_crash_once_and_unchanged(
        steps in steps(), seed in any::<u64>(),
    ) {
        let disk = Fake::new(seed);
        let mut appended = BTreeMap::new();
        let mut holes = BTreeSet::new();
        // All below `acknowledged` is promised; all below `released` is needed no more.
        let (mut acknowledged, mut released, mut unique) = (0, 0, 0_u64);
        let (mut log, _) = Log::open(Arc::new(disk.clone()), SMALL, 0).unwrap();
        let calm = std::iter::once((Step::Crash, u32::MAX));
        for (step, crash_after) in steps.into_iter().chain(calm) {
            match step {
                Step::Append(length) => {
                    unique += 1;
                    let bytes = payload(unique, length);
                    let number = log.next();
                    match log.append(&bytes) {
                        Ok(sequence) => {
                            prop_assert_eq!(sequence, number);
                            prop_assert!(sequence >= acknowledged, "a promised number is used again");
                            appended.insert(sequence, bytes);
                        }
                        // It may be whole on disk all the same.
                        Err(Error::Io { .. }) => { appended.insert(number, bytes); }
                        Err(Error::Full { .. } | Error::Failed) => {}
                        Err(error) => prop_assert!(false, "{error}"),
                    }
                    prop_assert!(log.held() <= SMALL.disk_bytes_max);
                }
                Step::Sync => {
                    if log.sync().is_ok() {
                        acknowledged = log.next();
                    }
                    // A rotation makes durable, too.
                }
                Step::Release => {
                    released = released.max(u64::midpoint(released, acknowledged));
                    let _down = log.release(released);
                }
                Step::Crash => {
                    acknowledged = acknowledged.max(log.durable());
                    // The next run may crash while it opens the log, which must not matter.
                    disk.restart();
                    disk.crash_after(crash_after);
                    drop(Log::open(Arc::new(disk.clone()), SMALL, released));
                    disk.restart();
                    let (again, mut replay) = Log::open(Arc::new(disk.clone()), SMALL, released).unwrap();
                    log = again;
                    let read = read_all(&mut replay);
                    let numbers: Vec<u64> = read.iter().map(|entry| entry.sequence).collect();
                    // The disk may have kept a record that was never promised, and not the one before it.
                    holes.extend((acknowledged..log.next()).filter(|number| !numbers.contains(number)));
                    let there = (released..log.next()).filter(|number| !holes.contains(number));
                    prop_assert_eq!(numbers, there.collect::<Vec<_>>());
                    prop_assert_eq!(replay.lost(), holes.range(released..).count() as u64);
                    prop_assert!(log.next() >= acknowledged, "{} of {acknowledged}", log.next());
                    for entry in read {
                        prop_assert_eq!(Some(&entry.payload), appended.get(&entry.sequence));
                    }
                    // What was read again counts as appended; its numbers are not used again.
                    acknowledged = log.next();
                    disk.crash_after(crash_after.saturating_mul(3));
                }
            }
        }
    }

    #[test]
    fn a_damaged_byte_costs_few_records_and_all_of_them_are_counted(
        lengths in prop::collection::vec(0..20_000_usize, 2..30), seed in any::<u64>(),
    ) {
        let disk = Fake::new(seed);
        let (mut log, _) = Log::open(Arc::new(disk.clone()), SMALL, 0).unwrap();
        for (number, length) in (0..).zip(&lengths) {
            if log.append(&payload(number, *length)).is_err() { break; }
        }
        log.sync().unwrap();
        let count = log.next();
        // A first record of the next segment, so that damage to the last ones is not a torn tail.
        let (mut log, _) = Log::open(Arc::new(disk.clone()), SMALL, 0).unwrap();
        log.append(b"end").unwrap();
        log.sync().unwrap();
        let end = disk.names().pop().unwrap();
        let whole = disk.read(&end).unwrap();
        prop_assert!(disk.damage());
        disk.put(&end, &whole);
        let (log, mut replay) = Log::open(Arc::new(disk), SMALL, 0).unwrap();
        let read = read_all(&mut replay);
        prop_assert_eq!(read.len() as u64 + replay.lost(), count + 1);
        prop_assert_eq!(log.next(), count + 1);
        // At most what lies in one block of 32 KiB, and what reaches into it.
        let lost: Vec<u64> =
            (0..count).filter(|number| read.iter().all(|entry| entry.sequence != *number)).collect();
        let bytes: usize = lost.iter().map(|number| lengths[usize::try_from(*number).unwrap()]).sum();
        prop_assert!(bytes <= (32 << 10) + 2 * 20_000, "{} bytes", bytes);
        for entry in read.iter().filter(|entry| entry.sequence < count) {
            let length = lengths[usize::try_from(entry.sequence).unwrap()];
            prop_assert_eq!(&entry.payload, &payload(entry.sequence, length));
        }
    }

    #[test]
    fn any_bytes_in_a_segment_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..70_000)) {
        let disk = Fake::new(1);
        disk.put("00000000000000000000.wal", &bytes);
        let (log, mut replay) = Log::open(Arc::new(disk), SMALL, 0).unwrap();
        prop_assert_eq!(read_all(&mut replay), []);
        prop_assert_eq!(log.recovered().torn_bytes, bytes.len() as u64);
    }
}

#[test]
fn a_full_log_refuses_writes_nothing_and_takes_more_after_a_release() {
    let disk = Fake::new(3);
    let (mut log, _) = Log::open(Arc::new(disk.clone()), SMALL, 0).unwrap();
    let refused = (0..100).find_map(|number| log.append(&payload(number, 30_000)).err()).unwrap();
    assert!(matches!(refused, Error::Full { limit: 400_000, .. }), "{refused}");
    let held = disk.bytes();
    assert!(!log.fits(1, 30_000));
    assert!(log.append(&payload(0, 30_000)).is_err());
    assert_eq!((disk.bytes(), log.held()), (held, held));
    log.sync().unwrap();
    log.release(log.next()).unwrap();
    assert!(disk.bytes() < held / 4, "whole segments are gone");
    assert!(log.fits(1, 30_000) && log.fits(100, 3_000) && !log.fits(20_000, 30_000));
    log.append(&payload(0, 30_000)).unwrap();
}

#[test]
fn too_long_a_record_and_bounds_that_cannot_work_are_refused_with_numbers() {
    let (mut log, _) = Log::open(Arc::new(Fake::new(1)), SMALL, 0).unwrap();
    let error = log.append(&payload(0, 100_001)).unwrap_err().to_string();
    assert!(error.contains("100001") && error.contains("100000"), "{error}");
    assert_eq!(log.append(b"").unwrap(), 0, "nothing was written before");
    let tight = Options { disk_bytes_max: 100_000, ..SMALL };
    let error = Log::open(Arc::new(Fake::new(1)), tight, 0).err().unwrap().to_string();
    assert!(error.contains("at least 28"), "{error}");
}

#[test]
fn after_a_failed_sync_nothing_more_is_acknowledged() {
    let disk = Fake::new(1);
    let (mut log, _) = Log::open(Arc::new(disk.clone()), SMALL, 0).unwrap();
    log.append(b"one").unwrap();
    disk.crash_after(0);
    assert!(log.sync().is_err());
    disk.crash_after(100);
    assert!(matches!(log.sync(), Err(Error::Failed)), "a second sync proves nothing");
    assert!(matches!(log.append(b"two"), Err(Error::Failed)));
    assert_eq!(log.durable(), 0);
}

#[test]
fn numbers_go_on_after_the_resumed_position_even_if_the_end_of_the_log_is_gone() {
    let disk = Fake::new(1);
    disk.put("00000000000000000007.wal", b"rubbish");
    disk.put("notes.txt", b"not ours");
    let (log, mut replay) = Log::open(Arc::new(disk.clone()), SMALL, 12).unwrap();
    assert_eq!(log.next(), 12, "else new records would count as delivered");
    assert_eq!((read_all(&mut replay), replay.lost()), (vec![], 0));
    assert_eq!(disk.names(), ["00000000000000000012.wal", "notes.txt"]);
}

#[test]
fn a_folder_keeps_what_was_appended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wal");
    for run in 0..3_u64 {
        let storage = Arc::new(Folder::open(&path).unwrap());
        let (mut log, mut replay) = Log::open(storage, SMALL, run * 10).unwrap();
        let read = read_all(&mut replay);
        assert_eq!(read.len(), if run == 0 { 0 } else { 10 });
        for entry in read {
            assert_eq!(entry.payload, payload(entry.sequence, 9_000));
        }
        for number in 0..20 - if run == 0 { 0 } else { 10 } {
            let sequence = log.append(&payload(log.next(), 9_000)).unwrap();
            assert_eq!(sequence, number + if run == 0 { 0 } else { 10 + run * 10 });
        }
        log.sync().unwrap();
    }
}
