//! `export`: whole models as GGUF files.

use crate::bad_input::fails;
use crate::program::{Files, json, model, run, text};
use crate::{assert_close, score};

const TEXT: &str = "The quick brown fox";

#[test]
fn a_model_goes_out_as_gguf_and_comes_back() {
    let files = Files::new();
    let (llama, adapter) = (model("llama"), model("llama") + "/adapter");
    let with_adapter = score(&["-m", &llama, "--adapter", &adapter], TEXT);
    let exact = files.path("exact.gguf");
    let merge = ["export", "-m", &llama, "--adapter", &adapter, "--format", "gguf", "--output"];
    let answer = json(&run(&[&merge[..], &[&exact, "--quantize", "f32", "--json"]].concat()));
    assert_eq!(answer["files"][0], exact.as_str());
    assert_eq!(answer["tensors"]["F32"], 20);
    assert_close(&score(&["-m", &exact], TEXT), &with_adapter);

    // Without an adapter and without a type, from a file that is quantised: words say so.
    let (small, again) = (files.path("small.gguf"), files.path("again.gguf"));
    json(&run(&[
        "export",
        "-m",
        &exact,
        "--format",
        "gguf",
        "--quantize",
        "q8_0",
        "--output",
        &small,
        "--json",
    ]));
    let output = run(&["export", "-m", &small, "--format", "gguf", "--output", &again]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("5 F32") && text(&output.stdout).contains("F16"));
    let words = text(&output.stderr);
    assert!(words.contains("the base is quantised (Q8_0)"), "{words}");
    let (small, again) = (score(&["-m", &small], TEXT), score(&["-m", &again], TEXT));
    let error = again.iter().zip(&small).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(error < 2e-2, "{error}");
    let folder = files.path("folder");
    json(&run(&["export", "-m", &llama, "--output", &folder, "--json"]));
    assert_close(&score(&["-m", &folder], TEXT), &score(&["-m", &llama], TEXT));
}

#[test]
fn what_contradicts_itself_is_refused() {
    let files = Files::new();
    let (llama, adapter) = (model("llama"), model("llama") + "/adapter");
    let (file, folder) = (files.path("x.gguf"), files.path("x"));
    let base = ["export", "-m", &llama, "--output"];
    let with = |more: &[&'static str]| more.to_vec();
    for (output, more, words) in [
        (&file, with(&[]), &["--format gguf", "no --adapter"][..]),
        (&folder, with(&["--format", "gguf"]), &["--output", ".gguf"]),
        (&folder, with(&["--quantize", "q8_0"]), &["--quantize", "--format gguf"]),
    ] {
        fails(&[&base[..], &[output], &more].concat(), 2, words);
    }
    let alone = ["--adapter", &adapter, "--quantize", "f16"];
    fails(&[&base[..], &[&file], &alone].concat(), 2, &["--quantize", "whole models"]);
    fails(&["export", "-m", "tiny", "--format", "gguf", "--output", &file], 2, &["--model", "tokenizer"]);
    assert!(!files.exists("x.gguf") && !files.exists("x"));
}
