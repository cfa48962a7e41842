//! The laws of cutting: the reads do not matter, positions are right, memory is bounded.

use proptest::prelude::*;

use super::*;

/// Feeds `bytes` in reads of the sizes in `cuts`, over and over; joins what comes out line by line.
fn cut(mut cutter: LineCutter, bytes: &[u8], cuts: &[usize]) -> Vec<(u64, u64, Vec<u8>)> {
    let mut rest = bytes;
    let mut lines = Vec::new();
    for size in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at((*size).clamp(1, rest.len()));
        cutter
            .fill(|text| {
                text.extend_from_slice(now);
                Ok(())
            })
            .unwrap();
        rest = later;
        drain(&mut cutter, &mut lines);
    }
    cutter.finish();
    drain(&mut cutter, &mut lines);
    lines
}

fn drain(cutter: &mut LineCutter, lines: &mut Vec<(u64, u64, Vec<u8>)>) {
    while let Some(run) = cutter.pop() {
        let (mut offset, mut number) = (run.offset, run.line);
        for line in run.bytes.split_inclusive(|byte| *byte == b'\n') {
            lines.push((offset, number, line.to_vec()));
            offset += line.len() as u64;
            number += 1;
        }
    }
}

/// The plain meaning of the rules, for UTF-8 without a byte order mark.
fn expected(bytes: &[u8], max_line: usize) -> Vec<(u64, u64, Vec<u8>)> {
    let mut lines = Vec::new();
    let mut offset = 0;
    for (number, line) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        let mut kept = line.to_vec();
        if content.len() > max_line + 1 {
            kept = content[..=max_line].to_vec();
            kept.push(b'\n');
        }
        lines.push((offset, number, kept));
        offset += line.len() as u64;
    }
    lines
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => Just(b"\n".to_vec()),
        1 => Just(b"\r\n".to_vec()),
        1 => Just("ä€😀".as_bytes().to_vec()),
        3 => proptest::collection::vec(any::<u8>(), 0..12),
        3 => "[a-z]{1,20}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_reads_do_not_matter(
        bytes in text(), cuts in proptest::collection::vec(1_usize..40, 1..8), max_line in 1_usize..24
    ) {
        let whole = cut(LineCutter::new(max_line), &bytes, &[usize::MAX]);
        prop_assert_eq!(&cut(LineCutter::new(max_line), &bytes, &[1]), &whole);
        prop_assert_eq!(&cut(LineCutter::new(max_line), &bytes, &cuts), &whole);
        if !matches!(bytes.as_slice(), [0xEF, 0xBB, 0xBF, ..] | [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]) {
            prop_assert_eq!(whole, expected(&bytes, max_line));
        }
    }

    #[test]
    fn a_mark_after_any_line_resumes_with_the_next(
        bytes in text(), cuts in proptest::collection::vec(1_usize..40, 1..8), max_line in 1_usize..24, at in any::<proptest::sample::Index>()
    ) {
        prop_assume!(!matches!(bytes.as_slice(), [0xEF | 0xFE | 0xFF, ..]) && bytes.contains(&b'\n'));
        let whole = cut(LineCutter::new(max_line), &bytes, &[usize::MAX]);
        let at = at.index(whole.len());
        // The mark as the parser computes it: after the bytes that it was given.
        let (offset, line, content) = &whole[at];
        prop_assume!(content.ends_with(b"\n"));
        let mark = Mark { offset: offset + content.len() as u64, line: line + 1, ..Mark::START };
        let resumed = cut(LineCutter::leaving_out(max_line, mark), &bytes, &cuts);
        prop_assert_eq!(&resumed, &whole[at + 1..]);
        let offset = usize::try_from(mark.offset).unwrap();
        let before = &bytes[offset.saturating_sub(max_line + 1)..offset];
        let resumed = cut(LineCutter::at(max_line, mark, before), &bytes[offset..], &cuts);
        prop_assert_eq!(&resumed, &whole[at + 1..]);
    }

    #[test]
    fn utf16_is_decoded_however_it_is_cut(text in "[a-zä€😀\n]{0,60}", big in any::<bool>(), size in 1_usize..9) {
        let mut bytes = if big { vec![0xFE, 0xFF] } else { vec![0xFF, 0xFE] };
        for unit in text.encode_utf16() {
            bytes.extend(if big { unit.to_be_bytes() } else { unit.to_le_bytes() });
        }
        prop_assert_eq!(cut(LineCutter::new(1000), &bytes, &[size]), expected(text.as_bytes(), 1000));
    }
}

#[test]
fn a_utf8_mark_is_left_out_and_counted() {
    let lines = cut(LineCutter::new(100), b"\xEF\xBB\xBFone\r\ntwo", &[1]);
    assert_eq!(lines, [(3, 1, b"one\r\n".to_vec()), (8, 2, b"two".to_vec())]);
}

#[test]
fn what_only_begins_like_a_mark_is_text() {
    for bytes in [&b"\xEF"[..], b"\xEF\xBB", b"\xFF", b"\xEF\n\xBB"] {
        let joined: Vec<u8> =
            cut(LineCutter::new(100), bytes, &[1]).into_iter().flat_map(|line| line.2).collect();
        assert_eq!(joined, bytes);
    }
}

#[test]
fn broken_utf16_is_shown_as_such() {
    // A low surrogate alone, a high one before a letter, half a unit at the end.
    let bytes = [0xFF, 0xFE, 0x00, 0xDC, 0x00, 0xD8, b'a', 0, b'b'];
    let lines = cut(LineCutter::new(100), &bytes, &[1]);
    assert_eq!(lines[0].2, "\u{FFFD}\u{FFFD}a\u{FFFD}".as_bytes());
}

#[test]
fn a_line_of_ten_megabytes_keeps_memory_bounded_and_the_next_line_whole() {
    let max_line = 1 << 20;
    let mut bytes = vec![b'x'; 10 << 20];
    bytes.extend_from_slice(b"\nnext\n");
    let mut cutter = LineCutter::new(max_line);
    let mut lines = Vec::new();
    for part in bytes.chunks(1 << 16) {
        cutter
            .fill(|text| {
                text.extend_from_slice(part);
                Ok(())
            })
            .unwrap();
        assert!(cutter.text.capacity() <= 4 << 20, "{}", cutter.text.capacity());
        drain(&mut cutter, &mut lines);
    }
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0].2.len(), max_line + 2);
    assert_eq!(lines[1], ((10 << 20) + 1, 2, b"next\n".to_vec()));
}
