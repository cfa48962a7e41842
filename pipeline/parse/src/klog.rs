//! Kubernetes klog and Google glog: `I0115 10:00:00.000000    1 file.go:12] message`.

use logbraid_core::Format;

use crate::draft::{Draft, Piece};
use crate::keys::Slot;
use crate::level::level_of;
use crate::parser::Engine;
use crate::time::{Allow, scan};
use crate::{ids, shape};

pub(crate) fn read(engine: &mut Engine, draft: &mut Draft, piece: Piece<'_>) -> bool {
    let text = piece.text;
    let bytes = text.as_bytes();
    if !matches!(bytes.first(), Some(b'I' | b'W' | b'E' | b'F' | b'D'))
        || !bytes.get(1).is_some_and(u8::is_ascii_digit)
    {
        return false;
    }
    let digits = bytes[1..].iter().take_while(|b| b.is_ascii_digit()).count();
    if !matches!(digits, 4 | 8) || bytes.get(1 + digits) != Some(&b' ') {
        return false;
    }
    let Some((head, message)) = text.split_once("] ") else { return false };
    // A date without separators, so that the scanner knows it: `01-15` or the eight digits as they are.
    let found = if digits == 8 {
        scan(&bytes[1..], &engine.context, Allow::HEAD)
    } else {
        let mut date = Vec::with_capacity(32);
        date.extend_from_slice(&bytes[1..3]);
        date.push(b'-');
        date.extend_from_slice(bytes.get(3..bytes.len().min(32)).unwrap_or_default());
        scan(&date, &engine.context, Allow::HEAD)
            .map(|found| crate::time::Found { end: found.end - 1, ..found })
    };
    let Some(found) = found else { return false };
    let rest = head.get(1 + found.end..).unwrap_or_default();
    let Some((number, place)) = rest.trim_start().split_once(' ') else { return false };
    if !number.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    draft.set_time(found, 10);
    if let Some(level) = level_of(&text[..1]) {
        draft.set_level(level, 10);
    }
    draft.set(Slot::Thread, 10, piece.range(number));
    draft.set(Slot::Logger, 10, piece.range(place.trim()));
    let message = message.trim();
    draft.set(Slot::Message, 10, piece.range(message));
    draft.format(Format::Klog);
    ids::in_text(draft, piece.part(message));
    draft.row.flags.set(shape::of_message(message, draft.row.level));
    true
}
