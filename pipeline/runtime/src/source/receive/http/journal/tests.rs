use proptest::prelude::*;
use serde_json::{Value, json};

use super::decode;

const MAX: usize = 64 << 10;

fn binary(name: &str, value: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b"\n", &(value.len() as u64).to_le_bytes(), value, b"\n"].concat()
}

fn read(bytes: &[u8]) -> Vec<Value> {
    let lines = decode(bytes, MAX, bytes.len()).unwrap_or_else(|error| panic!("{error}"));
    lines.iter().map(|line| serde_json::from_slice(line).expect("a line is JSON")).collect()
}

fn refused(bytes: &[u8]) -> String {
    decode(bytes, MAX, bytes.len().max(1)).expect_err("it is refused")
}

#[test]
fn entries_are_lines_of_json_as_journalctl_writes_them() {
    let first = [
        b"__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=1790000000000000\nPRIORITY=6\nMESSAGE=a=b \"\\\t\x1b\0 \xc3\xa9\n".to_vec(),
        binary("COREDUMP", b"\xff\x00\x80"),
        binary("CODE", b"two\nlines"),
        b"OBJECT_PID=1\nOBJECT_PID=2\n".to_vec(),
        binary("OBJECT_PID", b"\xfe"),
        b"_EMPTY=\n\n".to_vec(),
    ];
    let bytes = [first.concat(), b"\n\nMESSAGE=second\n\n".to_vec()].concat();
    let expected = json!({
        "__CURSOR": "s=1;i=2", "__REALTIME_TIMESTAMP": "1790000000000000", "PRIORITY": "6",
        "MESSAGE": "a=b \"\\\t\u{1b}\u{0} é", "COREDUMP": [255, 0, 128], "CODE": "two\nlines",
        "OBJECT_PID": ["1", "2", [254]], "_EMPTY": "",
    });
    assert_eq!(read(&bytes), [expected, json!({ "MESSAGE": "second" })]);
    let line = decode(&bytes, MAX, MAX).expect("it is read").remove(0);
    assert!(
        line.starts_with(b"{\"__CURSOR\":\"s=1;i=2\",\"__REALTIME_TIMESTAMP\""),
        "in the order in which they came"
    );
}

#[test]
fn an_entry_may_end_with_the_body_and_a_field_may_not() {
    assert_eq!(read(b""), [] as [Value; 0]);
    assert_eq!(read(b"\n\n"), [] as [Value; 0]);
    assert_eq!(read(b"MESSAGE=x\n"), [json!({ "MESSAGE": "x" })]);
    let whole = [b"MESSAGE=x\n".to_vec(), binary("B", b"abc")].concat();
    for end in 11..whole.len() {
        assert!(refused(&whole[..end]).contains("in the middle"), "{end}");
    }
    assert_eq!(read(&whole), [json!({ "MESSAGE": "x", "B": "abc" })]);
}

#[test]
fn what_is_no_journal_is_refused_at_its_first_line_and_what_breaks_off_where_it_does() {
    for bytes in
        [&b"{\"__CURSOR\":\"s=1\"}\n"[..], b"GET / HTTP/1.1\n", b"a=b\n", b"\0\0\0\0", b"1A=x\n", b"=x\n"]
    {
        assert!(refused(bytes).contains("journalctl -o export"), "{bytes:?}");
    }
    let endless = vec![b'A'; 100_000];
    assert!(refused(&endless).contains("journalctl -o export"));
    for (rest, why) in [
        (b"no name\n".to_vec(), "neither"),
        (vec![b'A'; 100], "in the middle"),
        ([&b"B\n"[..], &(1_u64 << 63).to_le_bytes()].concat(), "9223372036854775808 bytes"),
        ([&b"B\n"[..], &u64::MAX.to_le_bytes(), b"x\n"].concat(), "18446744073709551615 bytes"),
        ([&b"B\n"[..], &2_u64.to_le_bytes(), b"abc\n"].concat(), "does not end with a newline"),
        ([&b"B\n"[..], &(1_u64 << 30).to_le_bytes(), b"abc\n"].concat(), "in the middle"),
    ] {
        let bytes = [b"MESSAGE=x\n".to_vec(), rest].concat();
        let said = refused(&bytes);
        assert!(said.contains(why), "{why}: {said}");
    }
}

#[test]
fn a_field_with_a_name_that_is_not_allowed_is_left_out() {
    let long = "A".repeat(65);
    let bytes =
        format!("MESSAGE=x\nlower=1\n{long}=2\n=3\nA B=4\n\u{0}=5\n9=6\n{}=7\n\nodd=1\n\nB=2\n", &long[1..]);
    assert_eq!(read(bytes.as_bytes()), [json!({ "MESSAGE": "x", &long[1..]: "7" }), json!({ "B": "2" })]);
}

#[test]
fn an_entry_that_is_too_long_is_cut_and_what_follows_is_whole() {
    for value in ["x", "é", "\u{1}", "\"", "\u{1}é"].map(|text| text.repeat(9000)) {
        let bytes = format!("A=1\nMESSAGE={value}\n_PID=7\n\nMESSAGE=next\n\n");
        for part in [1, 7, bytes.len()] {
            let lines = decode(bytes.as_bytes(), 4096, part).expect("it is read");
            assert_eq!(lines.len(), 2);
            assert!(lines[0].len() <= 4096 && lines[0].len() > 3500, "{}", lines[0].len());
            let entry: Value = serde_json::from_slice(&lines[0]).expect("JSON");
            assert!(value.starts_with(entry["MESSAGE"].as_str().expect("a text")));
            assert_eq!(entry["_PID"], "7", "a long field leaves something to those behind it");
            assert_eq!(lines[1], b"{\"MESSAGE\":\"next\"}");
        }
    }
    let bytes = [binary("B", &[0xff; 9000]), b"C=1\n\n".to_vec()].concat();
    let line = decode(&bytes, 4096, 5).expect("it is read").remove(0);
    assert!(line.len() <= 4096);
    let many: Vec<u8> = (0..3000).flat_map(|at| format!("F{at}=x\n").into_bytes()).collect();
    assert_eq!(read(&many)[0].as_object().expect("an object").len(), 1024);
}

fn entry() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "\\PC{0,40}".prop_map(String::into_bytes),
        prop::collection::vec(0..32_u8, 0..300),
    ];
    let field = ("[A-Z_]{1,3}", value).prop_map(|(name, value)| {
        if value.contains(&b'\n') {
            binary(&name, &value)
        } else {
            [name.as_bytes(), b"=", &value, b"\n"].concat()
        }
    });
    prop::collection::vec(field, 1..20).prop_map(|fields| [fields.concat(), b"\n".to_vec()].concat())
}

proptest! {
    #[test]
    fn cuts_do_not_matter(entries in prop::collection::vec(entry(), 1..5), max in 64..2000_usize) {
        let bytes = entries.concat();
        let whole = decode(&bytes, max, bytes.len());
        for part in [1, 2, 3, 7, 64] {
            prop_assert_eq!(decode(&bytes, max, part), whole.clone());
        }
        for line in whole.expect("it is read") {
            prop_assert!(line.len() <= max, "{} of {max}", line.len());
            prop_assert!(serde_json::from_slice::<Value>(&line).is_ok_and(|line| line.is_object()));
        }
    }
    #[test]
    fn any_bytes_end_without_a_panic_and_the_same_in_parts(
        bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0..60_usize,
    ) {
        prop_assert_eq!(decode(&bytes, 200, 1), decode(&bytes, 200, 300));
        let mut changed = [b"MESSAGE=x\n".to_vec(), binary("B", b"\xff\n"), b"C=\n\nD=1\n\n".to_vec()].concat();
        for (offset, byte) in bytes.iter().take(3).enumerate() {
            let length = changed.len();
            changed[(at + offset * 7) % length] = *byte;
        }
        prop_assert_eq!(decode(&changed, 200, 1), decode(&changed, 200, 300));
    }
}
