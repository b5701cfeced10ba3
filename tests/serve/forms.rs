//! What requests ask of the text: answers that keep to a schema, biases and penalties.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value, json};

use crate::schemas::{Dice, check, schema};
use crate::server::{Server, random_model};

const TEXT: &str = "/v1/completions";
const CHAT: &str = "/v1/chat/completions";
const SCHEMAS: usize = 300;

/// The random model's token of a byte, as its vocabulary writes it.
pub(crate) fn token(written: &str) -> u64 {
    let text = std::fs::read_to_string(format!("{}/tokenizer.json", random_model())).unwrap();
    let tokenizer: Value = serde_json::from_str(&text).unwrap();
    tokenizer["model"]["vocab"][written].as_u64().unwrap()
}

/// Biases by which random weights end texts, lists and objects before the context ends.
fn ending() -> Value {
    let ends = ["\"", "}", "]", ","].map(|written| (token(written).to_string(), json!(4)));
    Value::Object(Map::from_iter(ends))
}

fn asked(schema: &Value) -> Value {
    json!({
        "messages": [{"role": "user", "content": "Hi"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": true, "schema": schema}},
        "logit_bias": ending(),
        "max_tokens": 200,
    })
}

/// The text of an answer, and why it ended.
fn told(answer: &Value) -> (String, String) {
    let choice = &answer["choices"][0];
    let text = choice["message"]["content"].as_str().unwrap();
    (text.to_owned(), choice["finish_reason"].as_str().unwrap().to_owned())
}

#[test]
fn finished_answers_keep_to_their_schemas() {
    let server = Server::start(&random_model(), &[]);
    let mut dice = Dice(7);
    let schemas: Vec<Value> = (0..SCHEMAS).map(|_| schema(&mut dice)).collect();
    let (next, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(schema) = schemas.get(index) else { break };
            let mut body = asked(schema);
            body["seed"] = json!(index);
            let (text, finish) = told(&server.answer(CHAT, body));
            match finish.as_str() {
                "stop" => {
                    let value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
                    check(&value, schema, schema).unwrap();
                    ended.fetch_add(1, Ordering::Relaxed);
                }
                // It is the beginning of an answer.
                finish => {
                    assert!(finish == "length" && text.trim_start().starts_with('{'), "{finish}: {text}")
                }
            }
        }
    };
    std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(work))));
    // Most end, though weights are random: what is checked is not an exception.
    let ended = ended.into_inner();
    assert!(ended * 4 >= SCHEMAS * 3, "{ended} of {SCHEMAS} ended");
}

#[test]
fn forms_whole_streamed_and_cut() {
    let server = Server::start(&random_model(), &[]);
    let messages = json!([{"role": "user", "content": "Hi"}]);
    let object = json!({"messages": messages, "response_format": {"type": "json_object"}, "logit_bias": ending(),
        "max_tokens": 200, "seed": 4});
    let (text, finish) = told(&server.answer(CHAT, object.clone()));
    assert!(finish == "stop" && serde_json::from_str::<Value>(&text).unwrap().is_object(), "{text}");
    let events = server.events(CHAT, object.clone());
    let streamed: String =
        events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(streamed, text);
    let wanted = json!({"type": "object", "properties": {"a": {"const": "some long text"}}, "required": ["a"],
        "additionalProperties": false});
    let mut cut = asked(&wanted);
    cut["max_tokens"] = json!(5);
    let (text, finish) = told(&server.answer(CHAT, cut));
    assert!(finish == "length" && text.starts_with('{'), "{text}");
    // A row with a form and rows without say what each says alone.
    let plain = json!({"prompt": "Greedy text", "temperature": 0, "max_tokens": 40});
    let alone = server.answer(TEXT, plain.clone())["choices"].clone();
    std::thread::scope(|scope| {
        let held = scope.spawn(|| server.answer(CHAT, asked(&wanted)));
        (0..3).for_each(|_| assert_eq!(server.answer(TEXT, plain.clone())["choices"], alone));
        let (text, finish) = told(&held.join().unwrap());
        assert_eq!(
            (serde_json::from_str::<Value>(&text).unwrap(), finish.as_str()),
            (json!({"a": "some long text"}), "stop")
        );
    });
    server.wait_for("running_rows", 0.0);
}

#[test]
fn biases_and_penalties() {
    let server = Server::start(&random_model(), &[]);
    let ask = |more: Value| {
        let mut body = json!({"prompt": "Greedy text", "temperature": 0, "max_tokens": 40, "logprobs": 0});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = server.answer(TEXT, body);
        let tokens = answer["choices"][0]["logprobs"]["tokens"].as_array().unwrap().clone();
        tokens.into_iter().map(|token| token.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let plain = ask(json!({}));
    assert_eq!(
        ask(
            json!({"logit_bias": {}, "presence_penalty": 0, "frequency_penalty": 0, "repetition_penalty": 1})
        ),
        plain
    );
    let forced = ask(json!({"logit_bias": {token("Z").to_string(): 100}}));
    assert!(forced.iter().all(|token| token == "Z"), "{forced:?}");
    let without = ask(
        json!({"logit_bias": {token("Z").to_string(): 100, token("Y").to_string(): 99}, "frequency_penalty": 2}),
    );
    assert_eq!(without[..4], ["Z", "Y", "Z", "Y"], "{without:?}");
    let once = ask(
        json!({"logit_bias": {token("Z").to_string(): 100, token("Y").to_string(): 99.9, token("e").to_string(): 99.5},
        "presence_penalty": 2}),
    );
    let mut three = once[..3].to_vec();
    three.sort_unstable();
    assert_eq!(three, ["Y", "Z", "e"], "{once:?}");
    assert_ne!(ask(json!({"repetition_penalty": 5})), plain);
}
