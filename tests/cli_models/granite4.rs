//! Granite 4's safetensors: the numbers of Granite's fixture under the names of a mixture of experts that has none.

use serde_json::{Value, json as value};

use crate::bad_input::fails;
use crate::forms::{Tensors, read, set, variant_of, write};
use crate::program::{Files, json, model, run, text};
use crate::stored::TEXT;
use crate::{assert_close, score};

/// The tensors of Granite's layers as Granite 4 has them: the rows of gate and up one behind the other. In an adapter whose A is
/// the same for both, B alone is so.
fn renamed(tensors: &mut Tensors, ends: [&str; 3]) {
    let names: Vec<String> = tensors.keys().filter(|name| name.contains("mlp.gate_proj")).cloned().collect();
    for gate in names.iter().filter(|name| name.ends_with(ends[0])) {
        let (dtype, mut shape, mut bytes) = tensors.remove(gate).unwrap();
        let (_, more, up) = tensors.remove(&gate.replace("gate_proj", "up_proj")).unwrap();
        shape[0] += more[0];
        bytes.extend(up);
        tensors.insert(gate.replace("mlp.gate_proj", "shared_mlp.input_linear"), (dtype, shape, bytes));
    }
    for gate in names.iter().filter(|name| name.ends_with(ends[1])) {
        let a = tensors.remove(gate).unwrap();
        tensors.remove(&gate.replace("gate_proj", "up_proj")).unwrap();
        tensors.insert(gate.replace("mlp.gate_proj", "shared_mlp.input_linear"), a);
    }
    let names: Vec<String> = tensors.keys().filter(|name| name.contains("mlp.down_proj")).cloned().collect();
    for down in names {
        let tensor = tensors.remove(&down).unwrap();
        tensors.insert(down.replace("mlp.down_proj", "shared_mlp.output_linear"), tensor);
    }
}

/// Granite's fixture as a Granite 4.
fn granite4(files: &Files, name: &str) -> String {
    let path = variant_of(files, &model("granite"), name, |tensors| renamed(tensors, [".weight", "-", "-"]));
    for (key, to) in [
        ("architectures", value!(["GraniteMoeHybridForCausalLM"])),
        ("model_type", value!("granitemoehybrid")),
        ("shared_intermediate_size", value!(64)),
        // Of experts that are not there.
        ("intermediate_size", value!(48)),
        ("layer_types", value!(["attention", "attention"])),
        ("num_local_experts", value!(0)),
        ("num_experts_per_tok", value!(0)),
        ("position_embedding_type", value!("rope")),
        ("normalization_function", value!("rmsnorm")),
        ("init_method", value!("mup")),
        ("router_aux_loss_coef", value!(0.01)),
        ("mamba_n_heads", value!(128)),
        ("mamba_conv_bias", value!(true)),
    ] {
        set(files, name, key, to);
    }
    path
}

/// Granite's adapter with the same A for gate and up, and with their B's one behind the other.
fn adapters(files: &Files) -> [String; 2] {
    let from = model("granite") + "/adapter";
    let [same, joined] = ["same", "joined"].map(|name| files.copy(&from, name));
    let mut tensors = read(&format!("{same}/adapter_model.safetensors"));
    let ups: Vec<String> = tensors.keys().filter(|name| name.contains("up_proj.lora_A")).cloned().collect();
    assert!(!ups.is_empty());
    for up in ups {
        let gate = tensors[&up.replace("up_proj", "gate_proj")].clone();
        tensors.insert(up, gate);
    }
    write(&format!("{same}/adapter_model.safetensors"), &tensors);
    renamed(&mut tensors, ["lora_B.weight", "lora_A.weight", "-"]);
    write(&format!("{joined}/adapter_model.safetensors"), &tensors);
    let path = format!("{joined}/adapter_config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["target_modules"] =
        value!(["q_proj", "k_proj", "v_proj", "o_proj", "input_linear", "output_linear"]);
    std::fs::write(path, config.to_string()).unwrap();
    [same, joined]
}

#[test]
fn granite_4_has_the_numbers_of_granite() {
    let files = Files::new();
    let (granite, four) = (model("granite"), granite4(&files, "four"));
    assert_close(&score(&["-m", &four], TEXT), &score(&["-m", &granite], TEXT));
    let [same, joined] = adapters(&files);
    let want = score(&["-m", &granite, "--adapter", &same], TEXT);
    assert_close(&score(&["-m", &four, "--adapter", &joined], TEXT), &want);
    // What is merged has Granite 4's names and is one.
    let merged = files.path("merged");
    json(&run(&["export", "-m", &four, "--adapter", &joined, "--output", &merged, "--json"]));
    assert_close(&score(&["-m", &merged], TEXT), &want);
    assert!(read(&format!("{merged}/model.safetensors")).keys().any(|name| name.contains("input_linear")));
    // What is trained has its names too, in both files, and is read again.
    let data = files.write("data.jsonl", "{\"text\": \"Hello, World!\"}\n");
    let trained = files.path("trained");
    let train = ["train", "-m", &four, "--data", &data, "--steps", "2", "--held-out", "0", "--no-samples"];
    let output = run(&[&train[..], &["--json", "--output", &trained]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let losses = text(&output.stdout).lines().filter_map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["loss"].as_f64()
    });
    let losses: Vec<f64> = losses.collect();
    assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
    let config = std::fs::read_to_string(format!("{trained}/adapter_config.json")).unwrap();
    let mut targets: Vec<String> =
        serde_json::from_value(serde_json::from_str::<Value>(&config).unwrap()["target_modules"].clone())
            .unwrap();
    targets.sort_unstable();
    assert_eq!(targets, ["input_linear", "k_proj", "o_proj", "output_linear", "q_proj", "v_proj"]);
    let names = read(&format!("{trained}/adapter_model.safetensors"));
    assert!(names.contains_key("base_model.model.model.layers.1.shared_mlp.input_linear.lora_B.weight"));
    let got = score(&["-m", &four, "--adapter", &trained], TEXT);
    assert!(got.iter().zip(&score(&["-m", &four], TEXT)).any(|(a, b)| (a - b).abs() > 1e-5), "{got:?}");
    let gguf = files.path("model.gguf");
    let export = ["export", "-m", &four, "--format", "gguf", "--output", &gguf];
    fails(&export, 2, &["granitemoehybrid", "GGUF"]);
}

#[test]
fn granite_4_with_other_layers_is_refused_by_name() {
    let files = Files::new();
    for (key, to) in [
        ("layer_types", value!(["attention", "mamba"])),
        ("layer_types", Value::Null),
        ("num_local_experts", value!(8)),
        ("num_local_experts", Value::Null),
        ("position_embedding_type", value!("nope")),
        ("position_embedding_type", Value::Null),
        ("normalization_function", value!("layernorm")),
        ("attention_bias", value!(true)),
        ("shared_intermediate_size", Value::Null),
    ] {
        let path = granite4(&files, "four");
        set(&files, "four", key, to);
        fails(&["score", "-m", &path, "--text", TEXT], 1, &[key]);
    }
}
