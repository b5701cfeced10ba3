//! What tests of weights that are stored in several tensors have in common: the llama fixture in some form, beside the same
//! values in F32.

use safetensors::tensor::Dtype;
use serde_json::Value;

use crate::forms::{Tensors, set, variant};
use crate::program::{Files, model, run, text};
use crate::{assert_close, score};

pub(crate) const TEXT: &str = "The quick brown fox";
/// A matrix that every form stores.
pub(crate) const UP: &str = "model.layers.0.mlp.up_proj";

/// The matrices of blocks: name without `.weight`, shape, values.
pub(crate) fn matrices(tensors: &Tensors) -> Vec<(String, [usize; 2], Vec<f32>)> {
    let of_blocks = tensors.iter().filter(|(name, tensor)| name.contains("layers") && tensor.1.len() == 2);
    let matrix = |(name, (_, shape, bytes)): (&String, &(Dtype, Vec<usize>, Vec<u8>))| {
        let values = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        (name.strip_suffix(".weight").unwrap().to_owned(), [shape[0], shape[1]], values)
    };
    of_blocks.map(matrix).collect()
}

/// An F32 tensor.
pub(crate) fn singles(shape: &[usize], values: &[f32]) -> (Dtype, Vec<usize>, Vec<u8>) {
    (Dtype::F32, shape.to_vec(), values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// The model in a form as `config` says, and its values in F32; `form` makes both of the tensors of the fixture.
pub(crate) fn pair(
    files: &Files,
    name: &str,
    config: Value,
    form: impl FnOnce(&Tensors) -> (Tensors, Tensors),
) -> [String; 2] {
    let mut values = Tensors::new();
    let stored = variant(files, name, |tensors| (*tensors, values) = form(tensors));
    set(files, name, "quantization_config", config);
    [stored, variant(files, &format!("{name}-plain"), |tensors| *tensors = values)]
}

/// Checks that both give the same log-probs, which are not those of the fixture.
pub(crate) fn score_alike([stored, plain]: &[String; 2]) {
    let (got, want) = (score(&["-m", stored], TEXT), score(&["-m", plain], TEXT));
    assert_close(&got, &want);
    let base = score(&["-m", &model("llama")], TEXT);
    let moved = got.iter().zip(&base).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(moved > 1e-4, "{stored} must change something: {moved}");
}

/// Checks that the model is exported as what it stands for, which is said to be `named`, and trains as that does.
pub(crate) fn export_and_train_alike(files: &Files, [stored, plain]: &[String; 2], named: &str) {
    let adapter = model("llama") + "/adapter";
    let merged = files.path("merged");
    let export = ["export", "-m", stored, "--adapter", &adapter, "--overwrite", "--output", &merged];
    let output = run(&export);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains(named), "{}", text(&output.stderr));
    let with_adapter = score(&["-m", plain, "--adapter", &adapter], TEXT);
    assert_close(&score(&["-m", &merged], TEXT), &with_adapter);
    let data = files.write("data.jsonl", "{\"text\": \"Hello, World!\"}\n");
    let losses = |model: &str| {
        let output = files.path("trained");
        let train = ["train", "-m", model, "--data", &data, "--steps", "2", "--held-out", "0", "--json"];
        let output = run(&[&train[..], &["--no-samples", "--overwrite", "--output", &output]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let lines = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap());
        lines.filter_map(|line: Value| line["loss"].as_f64()).collect::<Vec<f64>>()
    };
    let (got, want) = (losses(stored), losses(plain));
    assert!(!got.is_empty());
    assert_close(&got, &want);
}
