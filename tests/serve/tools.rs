//! Tools: called, streamed, and told of in later turns, by the templates of three families.

use serde_json::{Map, Value, json};

use crate::forms::token;
use crate::program::Files;
use crate::server::{Server, random_model};

const CHAT: &str = "/v1/chat/completions";

/// A server of the random model with a family's template, and room for what that writes of tools.
pub(crate) fn server(files: &Files, template: &str) -> Server {
    let folder = files.copy(&random_model(), template);
    files.edit(
        &format!("{template}/config.json"),
        "\"max_position_embeddings\": 512",
        "\"max_position_embeddings\": 4096",
    );
    let path = format!("{}/tests/fixtures/chat/templates/{template}.jinja", env!("CARGO_MANIFEST_DIR"));
    let config = format!("{folder}/tokenizer_config.json");
    let mut value: Value = serde_json::from_str(&std::fs::read_to_string(&config).unwrap()).unwrap();
    value["chat_template"] = json!(std::fs::read_to_string(path).unwrap());
    value["bos_token"] = json!("<|endoftext|>");
    std::fs::write(&config, value.to_string()).unwrap();
    Server::start(&folder, &["--rows", "2", "--context", "4096"])
}

fn tools() -> Value {
    let digit = json!({"type": "integer", "minimum": 0, "maximum": 99});
    json!([
        {"type": "function", "function": {"name": "sum", "description": "Adds.", "parameters": {"type": "object",
            "properties": {"a": digit, "b": {"$ref": "#/$defs/digit"}}, "required": ["a", "b"],
            "additionalProperties": false, "$defs": {"digit": digit}}}},
        {"type": "function", "function": {"name": "is-odd", "parameters": {"type": "object",
            "properties": {"of": digit}, "required": ["of"], "additionalProperties": false}}},
    ])
}

/// A tool of these parameters.
fn function(parameters: &Value) -> Value {
    json!([{"type": "function", "function": {"name": "f", "parameters": parameters}}])
}

/// What is wrong with a call of one of [`tools`], if anything is.
#[track_caller]
fn check(call: &Value) {
    let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    let names = match call["function"]["name"].as_str().unwrap() {
        "sum" => vec!["a", "b"],
        "is-odd" => vec!["of"],
        other => panic!("{other}"),
    };
    assert_eq!(arguments.as_object().unwrap().len(), names.len(), "{call}");
    assert!(names.iter().all(|name| arguments[name].as_u64().is_some_and(|digit| digit < 100)), "{call}");
    assert!(call["type"] == "function" && call["id"].as_str().unwrap().len() == 9, "{call}");
}

#[test]
fn tools_of_three_families_go_round() {
    let files = Files::new();
    for template in ["qwen25_tools", "mistral_v3", "llama3_tools"] {
        let server = server(&files, template);
        let ask = |choice: Value, more: Value| {
            let mut body = json!({"messages": [{"role": "user", "content": "Add 2 and 3."}], "tools": tools(),
                "tool_choice": choice, "parallel_tool_calls": false, "max_tokens": 200, "seed": 5});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        let named = json!({"type": "function", "function": {"name": "is-odd"}});
        for choice in [json!("required"), named] {
            let answer = server.answer(CHAT, ask(choice.clone(), json!({})));
            let whole = &answer["choices"][0];
            assert_eq!(
                (&whole["finish_reason"], &whole["message"]["content"]),
                (&json!("tool_calls"), &Value::Null),
                "{answer}"
            );
            let calls = whole["message"]["tool_calls"].as_array().unwrap();
            assert_eq!(calls.len(), 1);
            check(&calls[0]);
            assert!(choice == "required" || calls[0]["function"]["name"] == "is-odd");

            let events = server.events(CHAT, ask(choice, json!({})));
            let deltas =
                events.iter().flat_map(|event| event["choices"][0]["delta"]["tool_calls"].as_array());
            let streamed: Vec<&Value> = deltas.flatten().collect();
            assert_eq!((streamed.len(), &streamed[0]["index"]), (1, &json!(0)));
            assert_eq!(streamed[0]["function"], calls[0]["function"]);
            assert_eq!(events.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");

            // The next turn tells of the call and of what came of it.
            let messages = json!([{"role": "user", "content": "Add 2 and 3."},
                {"role": "assistant", "content": null, "tool_calls": calls},
                {"role": "tool", "tool_call_id": calls[0]["id"], "content": "5"}]);
            let next =
                server.answer(CHAT, ask(json!("auto"), json!({"messages": messages, "max_tokens": 8})));
            let told = &next["choices"][0];
            assert!(
                told["message"]["content"].is_string() && told["message"].get("tool_calls").is_none(),
                "{next}"
            );
            let tokens = |answer: &Value| answer["usage"]["prompt_tokens"].as_u64().unwrap();
            assert!(tokens(&next) > tokens(&answer) + 20);
        }
        // Several calls at once, where the family writes them.
        let mut most = 0;
        // Between two calls there is a line's end or a comma, where the answer may end as well.
        let between = ["Ċ", ","].map(|written| (token(written).to_string(), json!(3)));
        let between = Value::Object(Map::from_iter(between));
        for seed in 0..6 {
            let more = json!({"parallel_tool_calls": true, "seed": seed, "max_tokens": 600,
                "logit_bias": between});
            let answer = server.answer(CHAT, ask(json!("required"), more));
            let calls = answer["choices"][0]["message"]["tool_calls"].as_array().cloned().unwrap_or_default();
            calls.iter().for_each(check);
            most = most.max(calls.len());
            if most > 1 {
                break;
            }
        }
        assert!(if template == "llama3_tools" { most == 1 } else { most > 1 }, "{template}: {most}");
        // A call that is cut is a text.
        let cut = server.answer(CHAT, ask(json!("required"), json!({"max_tokens": 12})));
        let cut = &cut["choices"][0];
        assert!(cut["finish_reason"] == "length" && cut["message"].get("tool_calls").is_none(), "{cut}");
        // Tools that must not be called are not told of.
        let without = server.answer(CHAT, ask(json!("none"), json!({"max_tokens": 2})));
        let bare = json!({"messages": [{"role": "user", "content": "Add 2 and 3."}], "max_tokens": 2});
        assert_eq!(without["usage"]["prompt_tokens"], server.answer(CHAT, bare)["usage"]["prompt_tokens"]);
    }
}

#[test]
fn tools_that_cannot_be_called() {
    let files = Files::new();
    let hi = json!([{"role": "user", "content": "Hi"}]);
    let refused = |server: &Server, body: Value, words: &str, param: &str| {
        let (status, answer) = server.post(CHAT, &body);
        let error = &answer["error"];
        assert!(status == 400 && error["message"].as_str().unwrap().contains(words), "{words}: {answer}");
        assert_eq!(error["param"], param, "{answer}");
    };
    let qwen = server(&files, "qwen25_tools");
    for (more, words, param) in [
        (json!({"tools": "sum"}), "is no list", "tools"),
        (json!({"tools": [{"type": "retrieval"}]}), "is no function", "tools[0]"),
        (
            json!({"tools": [{"type": "function", "function": {"name": "a b"}}]}),
            "is no name",
            "tools[0].function.name",
        ),
        (json!({"tools": tools(), "tool_choice": "perhaps"}), "is no choice", "tool_choice"),
        (
            json!({"tools": tools(), "tool_choice": {"type": "function", "function": {"name": "f"}}}),
            "names a tool that is not there",
            "tool_choice",
        ),
        (json!({"tool_choice": "required"}), "there are no tools", "tool_choice"),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f", "strict": true}}]}),
            "set tool_choice to required",
            "tools",
        ),
        (
            json!({"tools": function(&json!({"properties": {"a": {"type": "circle"}}})), "tool_choice": "required"}),
            "cannot be compiled",
            "tools",
        ),
        (
            json!({"tools": function(&json!({"type": "string"}))}),
            "is not that of an object",
            "tools[0].function.parameters",
        ),
        (
            json!({"tools": function(&json!({"const": 5})), "tool_choice": "required"}),
            "cannot be compiled",
            "tools",
        ),
        (
            json!({"tools": function(&json!({"x-guidance": {}}))}),
            "x-guidance",
            "tools[0].function.parameters",
        ),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f", "strict": "yes"}}]}),
            "neither true nor false",
            "tools[0].function.strict",
        ),
        (
            json!({"tools": tools(), "response_format": {"type": "json_object"}}),
            "one of the two",
            "response_format",
        ),
    ] {
        let mut body = json!({"messages": hi});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        refused(&qwen, body, words, param);
    }
    let broken = json!([{"role": "user", "content": "Hi"},
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}]);
    refused(&qwen, json!({"messages": broken}), "is no call", "messages[1].tool_calls[0]");
    // The fixture's own template, and one whose marks stand for another notation.
    let told = json!([{"role": "user", "content": "Hi"}, {"role": "tool", "content": "5"}]);
    for server in [Server::start(&random_model(), &[]), server(&files, "glm")] {
        refused(&server, json!({"messages": hi, "tools": tools()}), "no form that is known here", "tools");
        refused(&server, json!({"messages": told}), "no form that is known here", "messages[1]");
    }
}
