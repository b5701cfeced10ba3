//! One model in the forms that people have it in: other names and types of tensors, heads that are stored, indices that are
//! stale, weights that are broken.

use std::collections::BTreeMap;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json as value};

use crate::bad_input::fails;
use crate::program::{Files, json, model, run, text};
use crate::{assert_close, score};

const TEXT: &str = "The quick brown fox";
const HEAD: &str = "lm_head.weight";
const EMBEDDING: &str = "model.embed_tokens.weight";

/// The tensors of a file by name: type, shape, bytes.
pub(crate) type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

/// The tensors of a file.
pub(crate) fn read(path: &str) -> Tensors {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let entry = |(name, view): (String, TensorView<'_>)| {
        (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
    };
    file.tensors().into_iter().map(entry).collect()
}

/// Writes a file of these tensors.
pub(crate) fn write(path: &str, tensors: &Tensors) {
    let views = tensors.iter().map(|(name, (dtype, shape, bytes))| {
        (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// A copy of llama's fixture with its tensors changed.
pub(crate) fn variant(files: &Files, name: &str, change: impl FnOnce(&mut Tensors)) -> String {
    variant_of(files, &model("llama"), name, change)
}

/// A copy of the model `base` with its tensors changed.
pub(crate) fn variant_of(files: &Files, base: &str, name: &str, change: impl FnOnce(&mut Tensors)) -> String {
    let path = files.copy(base, name);
    let weights = format!("{path}/model.safetensors");
    let mut tensors = read(&weights);
    change(&mut tensors);
    write(&weights, &tensors);
    path
}

pub(crate) fn set(files: &Files, name: &str, field: &str, to: Value) {
    let path = files.path(name) + "/config.json";
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config[field] = to;
    std::fs::write(path, config.to_string()).unwrap();
}

fn other_head(tensors: &mut Tensors) {
    let (dtype, shape, bytes) = tensors[EMBEDDING].clone();
    let values = bytes.as_chunks().0.iter().rev().map(|&bytes| f32::from_le_bytes(bytes) * 0.5);
    tensors.insert(HEAD.into(), (dtype, shape, values.flat_map(f32::to_le_bytes).collect()));
}

fn differs(got: &[f64], other: &[f64]) -> bool {
    got.iter().zip(other).any(|(a, b)| (a - b).abs() > 0.1)
}

#[test]
fn a_stored_head_counts_whatever_the_flag_says() {
    let files = Files::new();
    let llama = model("llama");
    let base = score(&["-m", &llama], TEXT);
    let tied = variant(&files, "tied", other_head);
    let untied = variant(&files, "untied", other_head);
    set(&files, "untied", "tie_word_embeddings", value!(false));
    let own = score(&["-m", &untied], TEXT);
    assert!(differs(&own, &base));
    assert_close(&score(&["-m", &tied], TEXT), &own);
    // The merged model keeps the head, and its configuration says so.
    let (merged, adapter) = (files.path("merged"), format!("{llama}/adapter"));
    json(&run(&["export", "-m", &tied, "--adapter", &adapter, "--output", &merged, "--json"]));
    let with_adapter = score(&["-m", &untied, "--adapter", &adapter], TEXT);
    assert_close(&score(&["-m", &merged], TEXT), &with_adapter);
    assert!(read(&format!("{merged}/model.safetensors")).contains_key(HEAD));
    let config = std::fs::read(format!("{merged}/config.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&config).unwrap()["tie_word_embeddings"], false);

    // A copy of the embedding, also in another type, is tied; so is a head that stands alone.
    let same = variant(&files, "same", |tensors| {
        let copy = tensors[EMBEDDING].clone();
        tensors.insert(HEAD.into(), copy);
    });
    let half = variant(&files, "half", |tensors| {
        let (_, shape, bytes) = tensors[EMBEDDING].clone();
        let values = bytes.as_chunks().0.iter().map(|&bytes| half::f16::from_f32(f32::from_le_bytes(bytes)));
        tensors.insert(HEAD.into(), (Dtype::F16, shape, values.flat_map(half::f16::to_le_bytes).collect()));
    });
    let alone = variant(&files, "alone", |tensors| {
        let head = tensors.remove(EMBEDDING).unwrap();
        tensors.insert(HEAD.into(), head);
    });
    for path in [same, half, alone] {
        assert_close(&score(&["-m", &path], TEXT), &base);
    }
}

#[test]
fn tensors_below_another_module_are_found() {
    let files = Files::new();
    let base = score(&["-m", &model("llama")], TEXT);
    for (name, above) in [
        ("bare", ""),
        ("compiled", "_orig_mod.model."),
        ("peft", "base_model.model.model."),
        ("twice", "model.model."),
        ("parallel", "module.model."),
        ("transformer", "transformer."),
    ] {
        let path = variant(&files, name, |tensors| {
            *tensors = std::mem::take(tensors)
                .into_iter()
                .map(|(name, tensor)| (name.replacen("model.", above, 1), tensor))
                .collect();
        });
        assert_close(&score(&["-m", &path], TEXT), &base);
    }
    let strange = variant(&files, "strange", |tensors| {
        let norm = tensors.remove("model.norm.weight").unwrap();
        tensors.insert("other.norm.weight".into(), norm);
    });
    fails(&["score", "-m", &strange, "--text", TEXT], 1, &["model.norm.weight", "missing"]);
}

#[test]
fn buffers_are_no_weights_and_doubles_are_read() {
    let files = Files::new();
    let base = score(&["-m", &model("llama")], TEXT);
    let path = variant(&files, "buffers", |tensors| {
        for (name, dtype, shape, size) in [
            ("model.embed_tokens.position_ids", Dtype::I64, vec![1, 4], 32),
            ("model.layers.0.self_attn.masked_bias", Dtype::F32, vec![], 4),
            ("model.layers.0.self_attn.rotary_emb.inv_freq", Dtype::F32, vec![8], 32),
            ("model.layers.1.self_attn.rotary_emb.cos_cached", Dtype::F16, vec![1, 1, 8, 16], 256),
            ("model.layers.1.attn.bias", Dtype::BOOL, vec![1, 1, 8, 8], 64),
        ] {
            tensors.insert(name.into(), (dtype, shape, vec![1; size]));
        }
        for (dtype, _, bytes) in
            tensors.values_mut().filter(|tensor| tensor.0 == Dtype::F32 && tensor.1.len() == 1)
        {
            let values = bytes.as_chunks().0.iter().map(|&bytes| f64::from(f32::from_le_bytes(bytes)));
            (*dtype, *bytes) = (Dtype::F64, values.flat_map(f64::to_le_bytes).collect());
        }
    });
    assert_close(&score(&["-m", &path], TEXT), &base);
    let path = variant(&files, "bias", |tensors| {
        tensors.insert("model.layers.0.self_attn.bias".into(), (Dtype::F32, vec![64], vec![0; 256]));
    });
    fails(&["score", "-m", &path, "--text", TEXT], 1, &["self_attn.bias", "does not call for"]);
}

#[test]
fn an_index_beside_a_single_file_is_an_error_unless_nothing_is_left_of_its_shards() {
    let files = Files::new();
    let sharded = files.copy(&model("llama_bf16_sharded"), "both");
    let single = model("llama") + "/model.safetensors";
    std::fs::copy(&single, files.path("both/model.safetensors")).unwrap();
    let words = ["model.safetensors: ", "model.safetensors.index.json", "model-00001-of-00002.safetensors"];
    fails(&["score", "-m", &sharded, "--text", TEXT], 1, &words);
    for shard in 1..=2 {
        std::fs::remove_file(files.path(&format!("both/model-0000{shard}-of-00002.safetensors"))).unwrap();
    }
    assert_close(&score(&["-m", &sharded], TEXT), &score(&["-m", &model("llama")], TEXT));
    std::fs::remove_file(files.path("both/model.safetensors")).unwrap();
    fails(&["score", "-m", &sharded, "--text", TEXT], 1, &["index.json", "model-00001-of-00002", "missing"]);
}

/// Puts `value` into one place of a matrix.
fn broken(tensors: &mut Tensors, value: f32) {
    let (_, _, bytes) = tensors.get_mut("model.layers.0.mlp.up_proj.weight").unwrap();
    bytes[..4].copy_from_slice(&value.to_le_bytes());
}

#[test]
fn numbers_that_are_not_finite_stop_every_command() {
    let files = Files::new();
    let data = files.write("data.jsonl", "{\"text\": \"Hello, World!\"}\n");
    let problems = files.write("p.jsonl", "{\"problem\": \"2*x\"}\n");
    let output = files.path("out");
    let adapter = model("llama") + "/adapter";
    let nan = variant(&files, "nan", |tensors| broken(tensors, f32::NAN));
    let infinite = variant(&files, "infinite", |tensors| broken(tensors, f32::INFINITY));
    let large = variant(&files, "large", |tensors| broken(tensors, 1e30));
    // Each is a number that one can compute with, but the products of queries and keys overflow.
    let product = variant(&files, "product", |tensors| {
        for name in ["q_proj", "k_proj"] {
            let name = format!("model.layers.0.self_attn.{name}.weight");
            let (_, _, bytes) = tensors.get_mut(&name).unwrap();
            let values = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes) * 2.5e19);
            *bytes = values.flat_map(f32::to_le_bytes).collect();
        }
    });
    for (path, words) in [
        (&nan, &["model.layers.0.mlp.up_proj.weight", "not finite"][..]),
        (&infinite, &["model.layers.0.mlp.up_proj.weight", "not finite"]),
        (&large, &["model.layers.0.mlp.up_proj.weight", "so large"]),
        (&product, &["not a finite number", "original files"]),
    ] {
        let task = ["-m", path, "--task", "integral"];
        fails(&["score", "-m", path, "--text", "hello"], 1, words);
        fails(&["generate", "-m", path, "-p", "hello", "--max-tokens", "6", "--json"], 1, words);
        let small = ["--max-tokens", "6", "--json"];
        fails(&[&["eval", "--problems", &problems, "--samples", "2"], &task[..], &small].concat(), 1, words);
        let run_folder = files.path("run");
        let learn = ["--steps", "1", "--group-size", "2", "--prompts-per-step", "2", "--max-tokens", "6"];
        let ladder = ["ladder", "--problems", &problems, "--output", &run_folder];
        let train = ["train", "-m", path, "--data", &data, "--output", &output, "--steps", "4"];
        let ladder = [&ladder[..], &task, &learn].concat();
        let ttrl = [&["ttrl", "--problem", "2*x"][..], &task, &learn].concat();
        for command in [&train[..], &ladder, &ttrl] {
            let output = run(command);
            assert_eq!(output.status.code(), Some(1), "{command:?}");
            let message = text(&output.stderr);
            assert!(words.iter().all(|word| message.contains(word)), "{command:?}: {message}");
        }
        let _ = std::fs::remove_dir_all(&run_folder);
    }
    let merged = files.path("merged");
    let words = ["model.layers.0.mlp.up_proj.weight", "not finite"];
    fails(&["export", "-m", &nan, "--adapter", &adapter, "--output", &merged], 1, &words);
    assert!(!files.exists("merged"));
}

#[test]
fn adapters_in_the_forms_that_peft_writes() {
    let files = Files::new();
    let llama = model("llama");
    let plain = score(&["-m", &llama, "--adapter", &format!("{llama}/adapter")], TEXT);
    let embedding = read(&format!("{llama}/model.safetensors"))[EMBEDDING].clone();
    let with = |name: &str, change: &dyn Fn(&mut Tensors)| {
        let path = files.copy(&format!("{llama}/adapter"), name);
        let mut tensors = read(&format!("{path}/adapter_model.safetensors"));
        change(&mut tensors);
        write(&files.path(&format!("{name}/adapter_model.safetensors")), &tensors);
        path
    };
    let saved = format!("base_model.model.{EMBEDDING}");
    let equal = with("equal", &|tensors| {
        tensors.insert(saved.clone(), embedding.clone());
        tensors.insert(format!("base_model.model.{HEAD}"), embedding.clone());
    });
    assert_close(&score(&["-m", &llama, "--adapter", &equal], TEXT), &plain);
    let merged = files.path("merged");
    json(&run(&["export", "-m", &llama, "--adapter", &equal, "--output", &merged, "--json"]));
    assert_close(&score(&["-m", &merged], TEXT), &plain);
    let other = with("other", &|tensors| {
        let mut embedding = embedding.clone();
        embedding.2[0] ^= 1;
        tensors.insert(saved.clone(), embedding);
    });
    let words = [saved.as_str(), "differs from the base model's", "merge others with PEFT"];
    fails(&["score", "-m", &llama, "--adapter", &other, "--text", TEXT], 1, &words);
    let resized = with("resized", &|tensors| {
        let (dtype, shape, bytes) = embedding.clone();
        let longer = [bytes, vec![0; 4 * shape[1]]].concat();
        tensors.insert(saved.clone(), (dtype, vec![shape[0] + 1, shape[1]], longer));
    });
    fails(&["score", "-m", &llama, "--adapter", &resized, "--text", TEXT], 1, &words);

    let old = files.copy(&format!("{llama}/adapter"), "old");
    std::fs::rename(files.path("old/adapter_model.safetensors"), files.path("old/adapter_model.bin"))
        .unwrap();
    let words = ["adapter_model.bin", "pickle", "save_pretrained"];
    fails(&["score", "-m", &llama, "--adapter", &old, "--text", TEXT], 1, &words);
}

#[cfg(unix)]
#[test]
fn files_without_an_end_are_not_read() {
    let files = Files::new();
    for (name, adapter) in [
        ("config.json", false),
        ("tokenizer.json", false),
        ("model.safetensors", false),
        ("adapter_config.json", true),
    ] {
        let path = files.copy(&(model("llama") + if adapter { "/adapter" } else { "" }), name);
        let file = format!("{path}/{name}");
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
        let base = model("llama");
        let args = match adapter {
            true => vec!["score", "-m", &base, "--adapter", &path, "--text", TEXT],
            false => vec!["score", "-m", &path, "--text", TEXT],
        };
        fails(&args, 1, &[name, "not a regular file"]);
    }
}

#[test]
fn names_cannot_command_a_terminal() {
    let files = Files::new();
    let path = variant(&files, "escape", |tensors| {
        tensors.insert("\u{1b}[2J\u{1b}]0;owned\u{7}".into(), (Dtype::F32, vec![1], vec![0; 4]));
    });
    fails(&["score", "-m", &path, "--text", TEXT], 1, &[r"\u{1b}[2J\u{1b}]0;owned\u{7}"]);
}
