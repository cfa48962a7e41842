use super::one;

fn fields(line: &str) -> String {
    let event = one(line);
    let fields = event.source().reader.fields(event.row().format, event.raw());
    serde_json::to_string(&fields).unwrap()
}

#[test]
fn fields_are_what_the_entry_does_not_carry_by_name() {
    for (line, expected) in [
        (
            r#"{"timestamp":"2024-01-15T10:00:00Z","level":"info","msg":"m","user":{"id":1,"tags":["a"]},"fields":{"status":200,"request_id":"r"},"big":12345678901234567890}"#,
            r#"{"user":{"id":1,"tags":["a"]},"fields":{"status":200},"big":12345678901234567890}"#,
        ),
        (r#"{"msg":"m","correlation_id":"a","request_id":"b"}"#, r#"{"request_id":"b"}"#),
        (r#"{"msg":"m","service":{"name":"api","version":"2"}}"#, r#"{"service":{"version":"2"}}"#),
        (r#"{"msg":"m","duration_ms":7,"logger":"x"}"#, r#"{"duration_ms":7,"logger":"x"}"#),
        (
            r#"{"log":"{\"msg\":\"m\",\"user\":7}\n","stream":"stderr","time":"2024-01-15T10:00:00Z"}"#,
            r#"{"stream":"stderr","user":7}"#,
        ),
        (
            "level=info msg=a status=200 ratio=0.5 ok=true id=007 n=nan s=\"a \\\"b\\\"\"",
            r#"{"status":200,"ratio":0.5,"ok":true,"id":"007","n":"nan","s":"a \"b\""}"#,
        ),
        (
            "<165>1 2003-10-11T22:14:15.003Z h app - ID47 [ex@32473 iut=\"3\" q=\"a]\\\"b\"][two x=\"1\"] text",
            r#"{"facility":20,"msgid":"ID47","ex@32473":{"iut":"3","q":"a]\"b"},"two":{"x":"1"}}"#,
        ),
        (
            "1.2.3.4 - - [10/Oct/2000:13:55:36 -0700] \"GET /x HTTP/1.0\" 200 -",
            r#"{"remote_addr":"1.2.3.4","request":"GET /x HTTP/1.0","method":"GET","path":"/x","protocol":"HTTP/1.0","status":200,"size":"-"}"#,
        ),
        ("2024-01-15T10:00:00.1Z stdout F level=info msg=a n=1", r#"{"n":1,"stream":"stdout"}"#),
        (r#"{"msg":"m","x":1e999,"s":"1e999"}"#, r#"{"x":"1e999","s":"1e999"}"#),
        ("plain text", "{}"),
    ] {
        assert_eq!(fields(line), expected, "{line}");
    }
}
