use serde_json::Value;

use super::tools;

#[test]
fn every_question_is_a_tool_with_a_name_that_clients_accept() {
    let all = tools::all();
    assert_eq!(all.len(), logbraid_query::QUESTIONS.len());
    for spec in &all {
        assert!(spec.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", spec.name);
        assert!(tools::find(spec.question.name).is_some_and(|found| found.name == spec.name));
    }
}

#[test]
fn schemas_hold_the_questions_own_options_and_those_of_all() {
    for spec in tools::all() {
        let tool = spec.tool(false);
        let properties = tool["inputSchema"]["properties"].as_object().expect("a request is an object");
        for name in ["after", "last", "max_bytes", "compact", "fields"] {
            assert!(properties.contains_key(name), "{}: {name}", spec.name);
        }
        assert!(!properties.contains_key("inputs"), "{}", spec.name);
        let hints = &tool["annotations"];
        assert!(hints["readOnlyHint"] == true && hints["destructiveHint"] == false, "{hints}");
        let text = tool["inputSchema"].to_string();
        for name in text.split("\"#/$defs/").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(tool["inputSchema"]["$defs"].get(name).is_some(), "{}: {name}", spec.name);
        }
    }
}

#[test]
fn a_server_without_inputs_asks_each_call_for_them() {
    let tool = tools::find("search").expect("there is a search").tool(true);
    let required = tool["inputSchema"]["required"].as_array().expect("something is required");
    assert!(required.contains(&Value::from("inputs")));
}
