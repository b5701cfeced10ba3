//! Chat templates against transformers (fixtures/chat/make.py), and templates that misbehave.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use serde_json::{Value, json};
use stepladder::model::chat::{ChatTemplate, Conversation, Message};

fn template(text: &str) -> ChatTemplate {
    ChatTemplate::new(Path::new("chat_template.jinja"), text, "<s>", "</s>", 1_795_000_000)
}

#[test]
fn conversations_read_as_in_transformers() {
    let fixture: Value = serde_json::from_str(include_str!("fixtures/chat/chat.json")).unwrap();
    let rows = fixture["rows"].as_array().unwrap();
    assert!(rows.len() > 30);
    for row in rows {
        let name = row["template"].as_str().unwrap();
        let mut chat = template(fixture["templates"][name].as_str().unwrap());
        for (variable, value) in row["variables"].as_object().unwrap() {
            chat.set_variable(variable, value.clone());
        }
        let messages: Vec<Message> = serde_json::from_value(row["messages"].clone()).unwrap();
        let got = chat.render(&messages, row["add_generation_prompt"].as_bool().unwrap());
        match row["text"].as_str() {
            Some(want) => assert_eq!(got.unwrap(), want, "{name}"),
            None => assert!(got.unwrap_err().to_string().contains("roles must alternate")),
        }
    }
}

#[test]
fn todays_date_is_the_given_one() {
    let chat = template("{{ strftime_now('%d %b %Y') }}");
    assert_eq!(chat.render(&[], false).unwrap(), "18 Nov 2026");
}

#[test]
fn bad_templates_are_named() {
    for (text, part) in [
        ("{% for %}", "chat_template"),
        ("{{ raise_exception('no system prompt') }}", "no system prompt"),
        ("{{ messages[0].content.frobnicate() }}", "frobnicate"),
        ("{{ strftime_now('%Q') }}", "%Q"),
        ("{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}", "too many steps"),
    ] {
        let messages = [Message::new("user", "x")];
        let error = template(text).render(&messages, true).unwrap_err().to_string();
        assert!(error.starts_with("chat_template.jinja: chat_template: "), "{error}");
        assert!(error.contains(part) && error.lines().count() == 1, "{error}");
    }
}

