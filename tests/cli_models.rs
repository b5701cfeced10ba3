//! Every command that runs a model, as its users meet it: JSON fields, numbers, messages, Ctrl-C.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "cli_models/program.rs"]
mod program;

#[path = "cli_models/bad_input.rs"]
mod bad_input;
#[cfg(unix)]
#[path = "cli_models/checker.rs"]
mod checker;
#[path = "cli_models/export.rs"]
mod export;
#[path = "cli_models/floats8.rs"]
mod floats8;
#[path = "cli_models/forms.rs"]
mod forms;
#[path = "cli_models/granite4.rs"]
mod granite4;
#[path = "cli_models/groups.rs"]
mod groups;
#[path = "cli_models/held.rs"]
mod held;
#[path = "cli_models/interrupt.rs"]
mod interrupt;
#[path = "cli_models/killed.rs"]
mod killed;
#[path = "cli_models/ladder.rs"]
mod ladder;
#[path = "cli_models/lesson_kinds.rs"]
mod lesson_kinds;
#[path = "cli_models/lesson_study.rs"]
mod lesson_study;
#[path = "cli_models/lessons.rs"]
mod lessons;
#[path = "cli_models/lessons_bad.rs"]
mod lessons_bad;
#[path = "cli_models/normal4.rs"]
mod normal4;
#[path = "cli_models/outputs.rs"]
mod outputs;
#[path = "cli_models/packed.rs"]
mod packed;
#[path = "cli_models/resume.rs"]
mod resume;
#[path = "cli_models/shots.rs"]
mod shots;
#[path = "cli_models/stored.rs"]
mod stored;
#[cfg(target_os = "linux")]
#[path = "cli_models/terminal.rs"]
mod terminal;
#[path = "cli_models/texts.rs"]
mod texts;
#[path = "cli_models/train.rs"]
mod train;
#[path = "cli_models/tuning.rs"]
mod tuning;

use program::{Files, json, json_lines, model, run, run_with_input, steps, text};
use serde_json::Value;

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn assert_close(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    let error = got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(error < 1e-3, "{error}: {got:?}, expected {want:?}");
}

fn score(args: &[&str], text: &str) -> Vec<f64> {
    let args = [&["score", "--json", "--text", text], args].concat();
    let answer = json(&run(&args));
    assert_eq!(answer["tokens"].as_array().unwrap().len(), answer["logprobs"].as_array().unwrap().len() + 1);
    floats(&answer["logprobs"])
}

#[test]
fn info_lists_adapters_and_plans() {
    let answer = json(&run(&["info", "--json"]));
    assert!(answer["fit"].is_null());
    let first = &answer["adapters"][0];
    assert!(first["name"].is_string() && first["features"].is_array() && first["max_buffer_size"].is_u64());

    let answer = json(&run(&["info", "--json", "-m", "tiny", "--rank", "4", "--batch-size", "2"]));
    let described = &answer["model"];
    assert_eq!((described["name"].as_str(), described["family"].as_str()), (Some("tiny"), Some("llama")));
    assert!(
        described["parameters"].as_u64().unwrap() > 100_000 && described["formats"][0].is_string(),
        "{described}"
    );
    let small = answer["fit"].clone();
    for field in ["weights", "kv", "activations", "optimizer", "adapter", "total"] {
        assert!(small[field].as_u64().is_some_and(|bytes| bytes > 0), "{field}: {small}");
    }
    assert_eq!((small["rank"].as_u64(), small["fits"].as_bool()), (Some(4), Some(true)));
    let large =
        json(&run(&["info", "--json", "-m", "tiny", "--rank", "8", "--batch-size", "4"]))["fit"].clone();
    assert!(large["optimizer"].as_u64() > small["optimizer"].as_u64());
    assert!(large["kv"].as_u64() > small["kv"].as_u64());
    assert_eq!(large["weights"], small["weights"]);
    let none = json(&run(&["info", "--json", "-m", "tiny", "--memory-limit", "1KB"]))["fit"].clone();
    assert_eq!(none["fits"], false);
    assert!(none["problem"].as_str().unwrap().contains("--memory-limit"), "{none}");
}

#[test]
fn generate_is_greedy_as_pytorch_and_scored_alike() {
    let expected = std::fs::read_to_string(model("llama") + "/expected.json").unwrap();
    let expected: Value = serde_json::from_str(&expected).unwrap();
    let (llama, adapter) = (model("llama"), model("llama") + "/adapter");
    for (kind, extra) in [("base", vec![]), ("adapter", vec!["--adapter", &adapter])] {
        let common =
            ["generate", "-m", &llama, "-p", "Greedy text", "--temperature", "0", "--max-tokens", "24"];
        let args = [&common[..], &extra, &["--json"]].concat();
        let answer = json(&run(&args));
        assert_eq!(answer["completions"][0]["tokens"], expected["greedy"][kind]["tokens"], "{kind}");
        assert_eq!(answer, json(&run(&args)), "the same call gives the same answer");
        assert_eq!(answer["completions"][0]["finish_reason"], "length");
    }

    let args =
        ["generate", "-m", "tiny", "-p", "?2*x=", "--temperature", "0", "--max-tokens", "20", "--json"];
    let completion = json(&run(&args))["completions"][0].clone();
    assert_eq!(completion["finish_reason"], "stop");
    let (text, logprobs) = (completion["text"].as_str().unwrap(), floats(&completion["logprobs"]));
    let scores = score(&["-m", "tiny"], &format!("?2*x={text}"));
    let piped = ["generate", "-m", "tiny", "-p", "-", "--temperature", "0", "--max-tokens", "20", "--json"];
    assert_eq!(json(&run_with_input(&piped, "?2*x=\n"))["completions"][0], completion);
    // The end token is not part of the text.
    assert_close(&logprobs[..logprobs.len() - 1], &scores[scores.len() + 1 - logprobs.len()..]);
}

#[test]
fn generate_streams_text_and_samples_several() {
    let sampled = ["generate", "-m", "tiny", "-p", "?x^3=", "-n", "3", "--seed", "5", "--max-tokens", "12"];
    let answer = json(&run(&[&sampled[..], &["--json"]].concat()));
    let texts: Vec<&str> =
        answer["completions"].as_array().unwrap().iter().map(|c| c["text"].as_str().unwrap()).collect();
    assert_eq!(texts.len(), 3);
    let plain = run(&sampled);
    assert_eq!(plain.status.code(), Some(0), "{}", text(&plain.stderr));
    assert_eq!(text(&plain.stdout), texts.join("\n---\n") + "\n");
}

#[test]
fn chat_uses_the_template_and_ends_with_its_input() {
    let qwen = model("qwen2");
    let once =
        ["generate", "-m", &qwen, "-p", "Hi", "--chat", "--temperature", "0", "--max-tokens", "5", "--json"];
    let answer = json(&run(&once))["completions"][0]["text"].clone();
    let args = ["chat", "-m", &qwen, "--temperature", "0", "--max-tokens", "5", "--json"];
    for input in ["Hi\n\nand?\n", "Hi\nand?\n/exit\nnever read\n", "x\n/clear\nHi\n"] {
        let lines = json_lines(&run_with_input(&args, input));
        assert_eq!(lines.len(), 2, "{input:?}");
        let turn = if input.starts_with('x') { 1 } else { 0 };
        assert_eq!(lines[turn]["content"], answer, "{input:?}");
        assert!(lines.iter().all(|line| line["finish_reason"].is_string()));
        let [first, second] = [0, 1].map(|turn| {
            let usage = &lines[turn]["usage"];
            ["prompt_tokens", "cached_tokens", "completion_tokens"].map(|name| usage[name].as_u64().unwrap())
        });
        assert_eq!((first[1], first[2]), (0, 5), "{input:?}");
        match turn {
            0 => assert!((first[0]..second[0]).contains(&second[1]), "{input:?}: {first:?} {second:?}"),
            // Of what was cleared the template's beginning is left.
            _ => assert!((1..first[0]).contains(&second[1]), "{input:?}: {first:?} {second:?}"),
        }
    }
}

#[test]
fn a_cache_in_16_bits_takes_half_and_says_the_same() {
    let ask = |format: &str| {
        let args =
            ["generate", "-m", "tiny", "-p", "?2*x=", "--temperature", "0", "--max-tokens", "20", "--json"];
        json(&run(&[&args[..], &["--kv-cache", format]].concat()))["completions"][0].clone()
    };
    let (exact, halves) = (ask("f32"), ask("f16"));
    assert_eq!(exact["text"], halves["text"]);
    assert_ne!(exact["logprobs"], halves["logprobs"]);
    let plan =
        |format: &str| json(&run(&["info", "-m", "tiny", "--json", "--kv-cache", format]))["fit"].clone();
    let (exact, halves) = (plan("f32"), plan("f16"));
    assert_eq!(
        (&halves["kv_cache"], exact["kv"].as_u64()),
        (&"f16".into(), halves["kv"].as_u64().map(|kv| 2 * kv))
    );
    let output = run(&["generate", "-m", "tiny", "-p", "x", "--kv-cache", "f8"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("f32") && text(&output.stderr).contains("--kv-cache"));
}

#[test]
fn the_profile_names_kernels_and_the_trace_says_when_they_ran() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trace.json");
    let output =
        run(&["score", "-m", "tiny", "--text", "?2*x=x^2", "--json", "--trace", file.to_str().unwrap()]);
    json(&output);
    let table = text(&output.stderr);
    assert!(table.contains("GFLOP/s") && table.lines().any(|line| line.starts_with("product/")), "{table}");
    let trace: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let of = |name: &str| events.iter().filter(|event| event["name"] == name).count();
    assert!(of("embed/forward") == 1 && of("swiglu/forward") > 1, "{trace}");
    for event in events {
        assert!(event["ph"] == "X" && event["ts"].as_f64() >= Some(0.0), "{event}");
        assert!(event["dur"].as_f64() > Some(0.0), "{event}");
    }
}

#[test]
fn weights_are_stored_as_asked_for() {
    let exact = score(&["-m", "tiny"], "?2*x=x^2");
    let small = score(&["-m", "tiny", "--weights", "q8"], "?2*x=x^2");
    let error = exact.iter().zip(&small).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(error > 0.0 && error < 0.3, "{exact:?} {small:?}");
}

const EXAMPLES: &str = r#"{"prompt": "?9*x^8=", "completion": "x^9"}
{"prompt": "?x+cos(x)=", "completion": "x^2/2+sin(x)"}
{"text": "?8=8*x"}

{"prompt": "?7*x^6=", "completion": "x^7"}
"#;

#[test]
fn training_lowers_the_loss_and_export_keeps_what_was_learnt() {
    let files = Files::new();
    let data = files.write("data.jsonl", EXAMPLES);
    let output = files.path("adapter");
    let common =
        ["train", "-m", "tiny", "--data", &data, "--json", "--batch-size", "4", "--learning-rate", "0.01"];
    let args = [
        &common[..],
        &["--output", &output, "--steps", "8", "--rank", "4", "--warmup-steps", "2", "--schedule", "linear"],
    ];
    let lines = steps(json_lines(&run(&args.concat())));
    assert_eq!(lines.len(), 8);
    for field in ["step", "loss", "grad_norm", "learning_rate", "tokens", "tokens_per_second"] {
        assert!(lines.iter().all(|line| line[field].is_number()), "{field}");
    }
    let value = |step: usize, field: &str| lines[step][field].as_f64().unwrap();
    assert!(value(7, "loss") < 0.7 * value(0, "loss"), "{lines:?}");
    assert!(value(0, "learning_rate") < value(2, "learning_rate"));
    assert!(value(7, "learning_rate") < value(2, "learning_rate"));
    assert_eq!(files.names("adapter"), ["adapter_config.json", "adapter_model.safetensors"]);

    let (text_scored, base) = ("?9*x^8=x^9", score(&["-m", "tiny"], "?9*x^8=x^9"));
    let learnt = score(&["-m", "tiny", "--adapter", &output], text_scored);
    assert!(learnt.iter().sum::<f64>() > base.iter().sum::<f64>() + 0.1, "{learnt:?} {base:?}");

    // Going on from an adapter begins where it ended.
    let again = files.path("again");
    let args = [&common[..], &["--output", &again, "--steps", "1", "--adapter", &output, "--no-shuffle"]];
    let lines = json_lines(&run(&args.concat()));
    assert!(lines[0]["loss"].as_f64().unwrap() < 0.7 * value(0, "loss"), "{lines:?}");

    let merged = files.path("merged");
    let answer = json(&run(&["export", "-m", "tiny", "--adapter", &output, "--output", &merged, "--json"]));
    for file in answer["files"].as_array().unwrap() {
        assert!(std::path::Path::new(file.as_str().unwrap()).exists(), "{file}");
    }
    assert_close(&score(&["-m", &merged], text_scored), &learnt);
}

#[test]
fn exports_are_equal_to_the_adapter() {
    let files = Files::new();
    for name in ["llama", "qwen2", "qwen3", "gemma3"] {
        let (base, adapter, merged) = (model(name), model(name) + "/adapter", files.path(name));
        json(&run(&["export", "-m", &base, "--adapter", &adapter, "--output", &merged, "--json"]));
        let text = "f(x) = 3*x^2 + 1";
        assert_close(&score(&["-m", &merged], text), &score(&["-m", &base, "--adapter", &adapter], text));
    }
    let (llama, adapter) = (model("llama"), model("llama") + "/adapter");
    let (gguf, copy) = (files.path("a.gguf"), files.path("copy"));
    let answer = json(&run(&["export", "-m", &llama, "--adapter", &adapter, "--output", &gguf, "--json"]));
    assert_eq!(answer["files"], serde_json::json!([gguf]));
    assert_eq!(&std::fs::read(&gguf).unwrap()[..4], b"GGUF");
    json(&run(&[
        "export",
        "-m",
        &llama,
        "--adapter",
        &adapter,
        "--output",
        &copy,
        "--adapter-only",
        "--json",
    ]));
    assert_close(
        &score(&["-m", &llama, "--adapter", &copy], "abc"),
        &score(&["-m", &llama, "--adapter", &adapter], "abc"),
    );
}

#[test]
fn eval_ttrl_and_variants_answer_as_promised() {
    let files = Files::new();
    let problems =
        files.write("p.jsonl", "{\"problem\": \"2*x\", \"level\": 1}\n{\"problem\": \"x*exp(x)\"}\n");
    let eval = ["eval", "-m", "tiny", "--task", "integral", "--problems", &problems, "--samples", "2"];
    let answer = json(&run(&[&eval[..], &["--max-tokens", "24", "--json"]].concat()));
    assert_eq!(answer["n"], 2);
    assert!(answer["pass_at"]["1"].is_number() && answer["pass_at"]["2"].is_number());
    assert_eq!(answer["ci95"].as_array().unwrap().len(), 2);
    for problem in answer["problems"].as_array().unwrap() {
        assert!(problem["problem"].is_string() && problem["correct"].is_u64());
        assert_eq!(problem["samples"].as_array().unwrap().len(), 2);
    }

    let variants = ["variants", "-m", "tiny", "--task", "integral", "--problem", "x*exp(x)", "--json"];
    let nodes = json(&run(&variants))["nodes"].as_array().unwrap().clone();
    assert!(nodes.len() > 1, "{nodes:?}");
    assert_eq!((&nodes[0]["id"], &nodes[0]["kind"]), (&Value::from(0), &Value::from("root")));
    for node in &nodes {
        assert!(node["problem"].is_string() && node["kind"].is_string());
        assert_eq!(node["valid"] == true, node["reason"].is_null(), "{node}");
        assert!(node["parent"].is_u64() || node["id"] == 0, "{node}");
    }

    let ttrl = ["ttrl", "-m", "tiny", "--task", "integral", "--problem", "x*exp(x)", "--steps", "1"];
    let small = ["--group-size", "2", "--prompts-per-step", "2", "--max-tokens", "16", "--json"];
    let lines = json_lines(&run(&[&ttrl[..], &small].concat()));
    let (last, events) = lines.split_last().unwrap();
    assert_eq!(events[0]["type"], "started");
    assert!(events.iter().any(|event| event["type"] == "step"));
    assert!(last.get("answer").is_some() && last.get("verdict").is_some(), "{last}");
}
