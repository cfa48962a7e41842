//! Records as NDJSON: one JSON object a line, `type` first.

use std::sync::Arc;

use logbraid_core::Record;

/// Writes a record to the end of a buffer, with its line end.
pub type Encode = Box<dyn FnMut(&Record, &mut Vec<u8>) + Send>;
/// Makes an encoder; every sink has its own.
pub type MakeEncode = Arc<dyn Fn() -> Encode + Send + Sync>;

/// Writes a record as one line. A record that cannot be written as JSON leaves as an `error` record in its place.
pub fn encode(record: &Record, out: &mut Vec<u8>) {
    let start = out.len();
    if let Err(error) = sonic_rs::to_writer(&mut *out, record) {
        out.truncate(start);
        let text = serde_json::json!({
            "type": "error",
            "code": "encode",
            "message": format!("a record of type `{}` cannot be written as JSON: {error}", record.kind().name()),
            "id": record.id(),
        });
        out.extend_from_slice(text.to_string().as_bytes());
    }
    out.push(b'\n');
}

/// An encoder that writes NDJSON.
pub fn encoder() -> Encode {
    Box::new(encode)
}

#[cfg(test)]
mod tests {
    use crate::tests::finding;
    use logbraid_core::Record;

    #[test]
    fn every_record_is_one_line_of_valid_json_with_its_type_first() {
        let odd = "quote \" slash \\ line\nend\r tab\t nul\0 bell\u{7} del\u{7f} \u{2028} ä😀 </script>";
        let mut out = Vec::new();
        super::encode(&finding(odd), &mut out);
        assert!(out.starts_with(br#"{"type":"finding","#));
        assert_eq!(out.iter().position(|byte| *byte == b'\n'), Some(out.len() - 1));
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["title"], odd);
    }

    #[test]
    fn both_writers_of_json_agree() {
        let Record::Finding(mut finding) = finding("x") else { panic!("a finding") };
        for (at, number) in [0.1, 1e300, -0.0, 5e-324, 123_456_789.123].into_iter().enumerate() {
            finding.data.insert(format!("n{at}"), number.into());
        }
        finding.confidence = f64::NAN;
        let record = Record::Finding(finding);
        let mut out = Vec::new();
        super::encode(&record, &mut out);
        let ours: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(ours, serde_json::to_value(&record).unwrap());
    }
}
