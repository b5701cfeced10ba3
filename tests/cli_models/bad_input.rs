//! What users get wrong: one line that names file or option, field and remedy, the right status, nothing half-written.

use safetensors::SafeTensors;

use crate::program::{Files, model, run, text};

/// Runs a call that must fail with `status` and one line that holds every one of `words`.
pub(crate) fn fails(args: &[&str], status: i32, words: &[&str]) {
    let output = run(args);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{args:?}: {message}");
    assert_eq!(text(&output.stdout), "", "{args:?}");
    assert_eq!(message.lines().count(), 1, "{args:?}: {message}");
    assert!(message.starts_with("stepladder: ") && message.contains("; "), "{args:?}: {message}");
    for word in words {
        assert!(message.contains(word), "{args:?}: {message}, expected `{word}`");
    }
}

fn score(model: &str, status: i32, words: &[&str]) {
    fails(&["score", "-m", model, "--text", "abc"], status, words);
}

#[test]
fn models_that_are_not_what_they_should_be() {
    let files = Files::new();
    let llama = model("llama");
    let path = files.copy(&llama, "unknown");
    files.edit("unknown/config.json", "LlamaForCausalLM", "MambaForCausalLM");
    score(
        &path,
        1,
        &["config.json", "architectures", "MambaForCausalLM", "LlamaForCausalLM", "Qwen3ForCausalLM"],
    );

    let path = files.copy(&llama, "missing");
    let bytes = std::fs::read(format!("{llama}/model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let name = "model.layers.1.mlp.up_proj.weight";
    let kept: Vec<_> = tensors.tensors().into_iter().filter(|(other, _)| other != name).collect();
    files.write("missing/model.safetensors", safetensors::serialize(kept, None).unwrap());
    score(&path, 1, &["missing", name, "take the complete model"]);
    files.write("missing/model.safetensors", &bytes[..bytes.len() - 100]);
    score(&path, 1, &["model.safetensors", "download"]);

    let path = files.copy(&llama, "tokenizer");
    files.write("tokenizer/tokenizer.json", std::fs::read(model("qwen2") + "/tokenizer.json").unwrap());
    score(&path, 1, &["tokenizer.json", "vocabulary", "take the tokenizer that belongs to the model"]);

    let path = files.copy(&llama, "contradiction");
    files.edit("contradiction/config.json", "\"hidden_size\": 64", "\"hidden_size\": 128");
    score(&path, 1, &["model.embed_tokens.weight", "config.json"]);

    score(&files.path("absent"), 2, &["--model", "absent", "hf:OWNER/NAME"]);
}

#[test]
fn adapters_that_do_not_fit() {
    let files = Files::new();
    let llama = model("llama");
    let with = |adapter: &str, words: &[&str]| {
        fails(&["score", "-m", &llama, "--adapter", adapter, "--text", "abc"], 1, words);
    };
    fails(
        &["score", "-m", "tiny", "--adapter", &(model("llama") + "/adapter"), "--text", "abc"],
        1,
        &["adapter_model.safetensors", "lora_A", "has shape", "use the model that"],
    );
    let rank = files.copy(&(model("llama") + "/adapter"), "rank");
    files.edit("rank/adapter_config.json", "\"r\": 4", "\"r\": 6");
    with(&rank, &["adapter_model.safetensors", "expected [6,", "rank 6"]);
    with(&files.path("absent"), &["adapter_config.json", "cannot read"]);

    let data = files.write("data.jsonl", "{\"text\": \"abc\"}\n");
    let output = files.path("out");
    let adapter = model("llama") + "/adapter";
    let train = ["train", "-m", &llama, "--data", &data, "--output", &output, "--steps", "1", "--adapter"];
    fails(
        &[&train[..], &[&adapter, "--rank", "8"]].concat(),
        1,
        &["adapter_config.json", "r: is 4", "--rank"],
    );
    let dropout = files.copy(&adapter, "dropout");
    files.edit("dropout/adapter_config.json", "\"lora_dropout\": 0.0", "\"lora_dropout\": 0.1");
    fails(&[&train[..], &[&dropout]].concat(), 1, &["adapter_config.json", "lora_dropout", "set it to 0"]);
    assert!(!files.exists("out"));
}

const CHAT: &str =
    r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}"#;

#[test]
fn training_data_and_problems_that_cannot_be_read() {
    let files = Files::new();
    let output = files.path("out");
    for (lines, words) in [
        ("", ["line 1", "no examples"]),
        ("{\"text\": \"?x=\"}\n{\"text\": \n", ["line 2", "is not JSON"]),
        ("{\"text\": \"?x=\"}\n\n{\"prompt\": \"a\"}\n", ["line 3", "completion"]),
        (CHAT, ["line 1", "chat template"]),
    ] {
        let data = files.write("data.jsonl", lines);
        let words = [&["data.jsonl"], &words[..]].concat();
        fails(&["train", "-m", "tiny", "--data", &data, "--output", &output], 1, &words);
    }
    for (lines, words) in [("", "data.jsonl"), ("{\"problem\": \"x\"}\n{\"problem\": 3}\n", "line 2")] {
        let data = files.write("data.jsonl", lines);
        fails(&["eval", "-m", "tiny", "--task", "integral", "--problems", &data], 1, &[words]);
    }
    fails(
        &["train", "-m", "tiny", "--data", &files.path("absent"), "--output", &output],
        1,
        &["absent", "cannot read"],
    );
    assert!(!files.exists("out"));
}

#[test]
fn texts_longer_than_the_context() {
    let long = "x".repeat(300);
    let words = ["300 tokens", "256", "--context"];
    fails(&["generate", "-m", "tiny", "-p", &long], 1, &words);
    fails(&["score", "-m", "tiny", "--text", &long], 1, &words);
    fails(&["generate", "-m", "tiny", "-p", "?x^2+3*x=", "--context", "5"], 1, &["holds 5", "--context"]);
    fails(
        &["ttrl", "-m", "tiny", "--task", "integral", "--problem", "x+x^2+x^3", "--context", "8"],
        1,
        &["holds 8"],
    );
    fails(&["generate", "-m", "tiny", "-p", "x", "--chat"], 2, &["chat template", "without --chat"]);
}

#[test]
fn devices_and_memory_that_are_not_there() {
    let files = Files::new();
    let data = files.write("data.jsonl", "{\"text\": \"?2*x=x^2\"}\n");
    let problems = files.write("p.jsonl", "{\"problem\": \"x*exp(x)\"}\n");
    let output = files.path("out");
    let long = "?x=".repeat(80);
    let calls: [&[&str]; 6] = [
        &["score", "-m", "tiny", "--text", &long],
        &["train", "-m", "tiny", "--data", &data, "--output", &output],
        &["ladder", "-m", "tiny", "--task", "integral", "--problems", &problems, "--output", &output],
        &["ttrl", "-m", "tiny", "--task", "integral", "--problem", "x*exp(x)"],
        &["eval", "-m", "tiny", "--task", "integral", "--problems", &problems],
        &["generate", "-m", "tiny", "-p", "?x="],
    ];
    for call in calls {
        fails(&[call, &["--gpu", "nonsense"]].concat(), 1, &["nonsense", "this machine has"]);
        // Enough for the weights, as they are or smaller, and for nothing else.
        fails(
            &[call, &["--memory-limit", "1500000"]].concat(),
            1,
            &["needs", "1500000 are available", "--memory-limit"],
        );
    }
    assert!(!files.exists("out"));
}

#[test]
fn places_that_cannot_be_written_to() {
    let files = Files::new();
    let data = files.write("data.jsonl", "{\"text\": \"?2*x=x^2\"}\n");
    let problems = files.write("p.jsonl", "{\"problem\": \"x*exp(x)\"}\n");
    let below_a_file = files.path("p.jsonl/out");
    fails(&["train", "-m", "tiny", "--data", &data, "--output", &below_a_file], 2, &["p.jsonl", "is a file"]);
    fails(
        &["ladder", "-m", "tiny", "--task", "integral", "--problems", &problems, "--output", &below_a_file],
        2,
        &["p.jsonl", "is a file"],
    );
    let (llama, adapter) = (model("llama"), model("llama") + "/adapter");
    let export = ["export", "-m", &llama, "--adapter", &adapter, "--output"];
    fails(&[&export[..], &[&below_a_file]].concat(), 2, &["p.jsonl", "is a file"]);
    fails(&[&export[..], &[&(below_a_file + ".gguf")]].concat(), 1, &["p.jsonl", "cannot"]);
    files.write("full/file", "x");
    fails(&[&export[..], &[&files.path("full")]].concat(), 2, &["--output", "not an empty folder"]);
    assert_eq!(files.names("full"), ["file"]);
    assert_eq!(files.names("."), ["data.jsonl", "full", "p.jsonl"]);
}
