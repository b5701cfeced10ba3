//! `generate` whose text is held to a form.

use fancy_regex::Regex;
use serde_json::Value;

use crate::bad_input::fails;
use crate::program::{Files, json, model, run};

/// The texts that ended by themselves, and all.
fn texts(args: &[&str]) -> (Vec<String>, usize) {
    let answer = json(&run(args));
    let completions = answer["completions"].as_array().unwrap();
    let ended = completions.iter().filter(|completion| completion["finish_reason"] == "stop");
    (ended.map(|completion| completion["text"].as_str().unwrap().to_owned()).collect(), completions.len())
}

#[test]
fn texts_keep_to_their_form() {
    let files = Files::new();
    let schema = r#"{"type": "object", "properties": {"sign": {"enum": ["+", "-"]}, "digits": {"type": "array",
        "items": {"type": "integer", "minimum": 0, "maximum": 9}, "minItems": 2, "maxItems": 3}},
        "required": ["sign", "digits"], "additionalProperties": false}"#;
    files.write("schema.json", schema);
    files.write("sum.lark", "start: NUMBER (\"+\" NUMBER)+\nNUMBER: /[1-9][0-9]{0,2}/\n");
    let (schema, sum) = (files.path("schema.json"), files.path("sum.lark"));
    // One vocabulary of bytes, and one of characters.
    for (model, prompt) in [(model("qwen2"), "Hi"), ("tiny".to_owned(), "?2*x=")] {
        let all = ["generate", "-m", &model, "-p", prompt, "-n", "6", "--max-tokens", "60", "--json"];
        let (made, count) = texts(&[&all[..], &["--regex", "[1-9]x(2|34)?"]].concat());
        let regex = Regex::new("^[1-9]x(2|34)?$").unwrap();
        assert!(made.len() == count && made.iter().all(|text| regex.is_match(text).unwrap()), "{made:?}");
        let (made, _) = texts(&[&all[..], &["--grammar", &sum]].concat());
        let regex = Regex::new(r"^[1-9][0-9]{0,2}(\+[1-9][0-9]{0,2})+$").unwrap();
        assert!(made.iter().all(|text| regex.is_match(text).unwrap()), "{made:?}");
    }
    let model = model("qwen2");
    let all = [
        "generate",
        "-m",
        &model,
        "-p",
        "Hi",
        "-n",
        "12",
        "--max-tokens",
        "200",
        "--json",
        "--schema",
        &schema,
    ];
    let (made, _) = texts(&all);
    assert!(made.len() > 3, "{made:?}");
    for text in made {
        let value: Value = serde_json::from_str(&text).unwrap();
        let digits = value["digits"].as_array().unwrap();
        assert!((2..=3).contains(&digits.len()) && digits.iter().all(|digit| digit.as_u64().unwrap() < 10));
        assert!(value["sign"] == "+" || value["sign"] == "-");
    }
}

#[test]
fn forms_that_cannot_be() {
    let files = Files::new();
    files.write("twice.json", r#"{"type": "object", "type": "array"}"#);
    files.write("bad.lark", "start: nowhere\n");
    files.write("list.json", "[]");
    let (twice, bad, list) = (files.path("twice.json"), files.path("bad.lark"), files.path("list.json"));
    let model = model("qwen2");
    let with = |option: &[&str], status: i32, words: &[&str]| {
        fails(&[&["generate", "-m", &model, "-p", "Hi"], option].concat(), status, words);
    };
    with(&["--schema", &twice], 1, &["twice.json", "schema", "`type`"]);
    with(&["--schema", &list], 2, &["--schema", "is no object"]);
    with(&["--grammar", &bad], 2, &["--grammar", "cannot be compiled", "nowhere"]);
    with(&["--regex", "a(b"], 2, &["--regex", "cannot be compiled"]);
}
