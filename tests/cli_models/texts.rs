//! What people bring as text: templates, conversations with tools, tokens that the model cannot see.

use std::process::Output;

use serde_json::{Value, json};

use crate::bad_input::fails;
use crate::program::{Files, model, run, text};

/// A call that must work; what it told on standard error.
fn told(args: &[&str]) -> String {
    let output: Output = run(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
    text(&output.stderr).to_string()
}

/// A copy of the small Qwen2 with another chat template.
fn with_template(files: &Files, template: &str) -> String {
    let path = files.copy(&model("qwen2"), "model");
    let old = std::fs::read_to_string(format!("{path}/tokenizer_config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&old).unwrap();
    config["chat_template"] = json!(template);
    files.write("model/tokenizer_config.json", config.to_string());
    path
}

const TURNS: &str =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";

#[test]
fn a_template_matters_only_where_it_is_used() {
    let files = Files::new();
    let path = with_template(&files, "{% frobnicate %}");
    told(&["score", "-m", &path, "--text", "hello"]);
    let chat = ["generate", "-m", &path, "--chat", "-p", "hello", "--max-tokens", "1"];
    fails(&chat, 1, &["tokenizer_config.json", "chat_template", "frobnicate", "original chat template"]);
    let marked = TURNS.replace("{{ m.content }}", "{% generation %}{{ m.content }}{% endgeneration %}");
    with_template(&files, &marked);
    assert!(!told(&chat).contains("eos_token_id"));
    with_template(&files, "{% for m in messages %}{{ m.content }}[end]\n{% endfor %}");
    let warning = told(&chat);
    assert!(warning.contains("[end]") && warning.contains("eos_token_id"), "{warning}");
}

/// Templates that go by names are part of the model, as transformers keeps them.
#[test]
fn an_export_keeps_named_templates() {
    let files = Files::new();
    let path = with_template(&files, TURNS);
    std::fs::create_dir(files.path("model/additional_chat_templates")).unwrap();
    files.write("model/additional_chat_templates/tool_use.jinja", "{{ messages[0].content }}");
    let (adapter, output) = (model("qwen2") + "/adapter", files.path("merged"));
    let export = ["export", "-m", &path, "--adapter", &adapter, "--output", &output, "--json"];
    for more in [&[][..], &["--overwrite"]] {
        let answer: Value = serde_json::from_slice(&run(&[&export[..], more].concat()).stdout).unwrap();
        let copied = files.path("merged/additional_chat_templates/tool_use.jinja");
        assert!(answer["files"].as_array().unwrap().contains(&json!(copied)), "{answer}");
        assert_eq!(std::fs::read_to_string(&copied).unwrap(), "{{ messages[0].content }}");
    }
}

#[test]
fn conversations_are_learnt_as_the_template_writes_them() {
    let files = Files::new();
    let path = with_template(&files, TURNS);
    let output = files.path("out");
    let turns = |answer: &str| {
        format!(
            r#"[{{"role": "user", "content": "Rome?"}}, {{"role": "assistant", "content": "a"{answer}}}]"#
        )
    };
    let train = |row: &str| {
        let data = files.write("data.jsonl", row);
        ["train", "-m", &path, "--data", &data, "--output", &output, "--steps", "1"].map(str::to_owned)
    };
    let call = r#", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]"#;
    for (row, word) in [
        (format!(r#"{{"tools": [{{"name": "f"}}], "messages": {}}}"#, turns("")), "`tools`"),
        (format!(r#"{{"messages": {}}}"#, turns(call)), "`tool_calls`"),
        (format!(r#"{{"functions": [{{"name": "f"}}], "messages": {}}}"#, turns("")), "`functions`"),
        (format!(r#"{{"messages": {}}}"#, turns(r#", "weight": 0"#)), "weight 0"),
        (r#"{"instruction": "a", "output": "b"}"#.into(), "`completion`"),
    ] {
        let args = train(&row);
        fails(&args.each_ref().map(String::as_str), 1, &["data.jsonl", "line 1", word]);
    }
    let thinking =
        format!("{TURNS}{{% if add_generation_prompt %}}<|im_start|>assistant\n<think>\n{{% endif %}}");
    with_template(&files, &thinking);
    let args = train(&format!(r#"{{"messages": {}}}"#, turns("")));
    let notes = told(&args.each_ref().map(String::as_str));
    assert!(notes.contains("1 assistant turns") && notes.contains("<think>"), "{notes}");
}

#[test]
fn what_the_model_cannot_see_is_told() {
    let files = Files::new();
    let note = told(&["score", "-m", "tiny", "--text", "?3.5*Grüße="]);
    assert!(note.contains("\"ü\"") && note.contains("\".\"") && note.contains("<unk>"), "{note}");
    assert!(!told(&["score", "-m", "tiny", "--text", "?3*x="]).contains("vocabulary"));
    let data =
        files.write("data.jsonl", format!("{{\"text\": \"{}\"}}\n{{\"text\": \"ü\"}}\n", "x".repeat(300)));
    let output = files.path("out");
    let args =
        ["train", "-m", "tiny", "--data", &data, "--output", &output, "--steps", "1", "--max-length", "5000"];
    let notes = told(&args);
    assert!(notes.contains("1 examples were cut at the context (256 tokens)"), "{notes}");
    assert!(notes.contains("1 text has characters that the model's vocabulary lacks: \"ü\""), "{notes}");

    let path = files.copy(&model("llama"), "padded");
    let old = std::fs::read_to_string(format!("{path}/tokenizer.json")).unwrap();
    let mut tokenizer: Value = serde_json::from_str(&old).unwrap();
    let mut pad = tokenizer["added_tokens"][0].clone();
    (pad["id"], pad["content"]) = (json!(259), json!("[PAD]"));
    tokenizer["added_tokens"].as_array_mut().unwrap().push(pad);
    files.write("padded/tokenizer.json", tokenizer.to_string());
    told(&["score", "-m", &path, "--text", "hello"]);
    fails(&["score", "-m", &path, "--text", "a[PAD]"], 2, &["`[PAD]`", "token 259", "259 rows"]);
}
