//! Whole models that are exported as GGUF files: they say what PyTorch says, and a GGUF file keeps what it says of itself.

use std::collections::BTreeMap;
use std::path::Path;

use pollster::block_on;
use stepladder::model::config::ModelConfig;
use stepladder::model::family::window::SlidingWindow;
use stepladder::model::open::{self, OpenModel};
use stepladder::model::source::bytes::Memory;
use stepladder::model::source::raw_metadata;
use stepladder::model::to_gguf::describe::Description;
use stepladder::model::to_gguf::plan::GgufPlan;
use stepladder::model::to_gguf::quantisation::Quantisation;
use stepladder::train::files::read_adapter_for;
use stepladder::train::merge_gguf::{Types, write_gguf};
use stepladder::train::peft::AdapterFile;

use crate::fixture_models::checks::{self, max_error};
use crate::fixture_models::{Expected, FAMILIES, folder};
use crate::{converted, load};

fn of_folder(name: &str) -> OpenModel {
    open::open(&folder(name).display().to_string()).unwrap()
}

/// The bytes of the file and the types of its tensors.
fn export(
    opened: &mut OpenModel,
    adapter: Option<&AdapterFile>,
    raw: Option<Vec<(String, Vec<u8>)>>,
    way: &str,
) -> (Vec<u8>, Types) {
    let plan = GgufPlan::of(opened, Some("model"), raw, Quantisation::named(way).unwrap()).unwrap();
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    let (mut bytes, mut seen) = (Vec::new(), (0, 1));
    let (config, source) = (&opened.config, &mut *opened.source);
    let mut progress = |done, total| seen = (done, total);
    let types =
        write_gguf(config, source, adapter, &plan, Path::new("m"), &mut bytes, &mut progress).unwrap();
    assert_eq!(seen.0, seen.1);
    (bytes, types)
}

fn of_bytes(bytes: Vec<u8>) -> OpenModel {
    OpenModel::from_gguf("m.gguf", vec![Memory::new("m.gguf", bytes)], 0).unwrap()
}

/// Log-probabilities of the fixture's first text.
fn logprobs(opened: &mut OpenModel, name: &str) -> Vec<f32> {
    let model = load(opened);
    let tokens = &Expected::read(name).tokens[0];
    block_on(stepladder::model::score::logprobs(&model, None, tokens, &false.into())).unwrap()
}

#[test]
fn exported_files_say_what_pytorch_says() {
    for name in FAMILIES {
        let mut opened = of_folder(name);
        let (bytes, types) = export(&mut opened, None, None, "f32");
        assert_eq!(types.keys().collect::<Vec<_>>(), [&"F32"]);
        let mut again = of_bytes(bytes);
        for text in ["The quick brown fox, 12 of  them!", "für 日本 👍🏽\n\n"] {
            let tokens = |model: &OpenModel| model.tokenizer.encode(text, true).unwrap();
            assert_eq!(tokens(&again), tokens(&opened), "{name}");
        }
        let template = |model: &OpenModel| model.chat_template.as_ref().map(|chat| chat.text());
        assert_eq!(template(&again), template(&opened), "{name}");
        let mut ends = again.config.eos_token_ids.clone();
        assert_eq!(ends[0], opened.config.eos_token_ids[0], "{name}");
        ends.retain(|id| opened.config.eos_token_ids.contains(id));
        assert_eq!(ends.len(), opened.config.eos_token_ids.len(), "{name}");
        assert_eq!(again.config.bos_token_id, opened.config.bos_token_id, "{name}");
        let model = load(&mut again);
        block_on(checks::logprobs(&model, name)).unwrap();
        block_on(checks::gradients(&model, name, 512)).unwrap();
        block_on(checks::greedy(&model, name)).unwrap();
    }
}

#[test]
fn adapters_are_merged_and_blocks_are_near() {
    for name in FAMILIES {
        let mut opened = of_folder(name);
        let source = &mut *opened.source;
        let adapter = read_adapter_for(folder(name).join("adapter"), &opened.config, source).unwrap();
        let want = &Expected::read(name).tensors["logprobs.adapter.0"];
        for (way, least, most) in [
            ("f32", 0.0, 1e-3),
            ("f16", 0.0, 5e-3),
            ("q8_0", 1e-4, 0.1),
            ("q4_0", 1e-2, 2.0),
            ("q4_k_m", 1e-3, 2.0),
        ] {
            let (bytes, types) = export(&mut opened, Some(&adapter), None, way);
            let error = max_error(&logprobs(&mut of_bytes(bytes), name), want);
            println!("{name} {way}: {error:.1e} {types:?}");
            assert!((least..most).contains(&error), "{name} {way}: {error}");
        }
    }
}

/// Metadata and tensors of a GGUF file are the same afterwards, in other types too.
#[test]
fn a_gguf_file_keeps_what_it_says() {
    for name in FAMILIES {
        let original = converted(name);
        let raw = |bytes: &[u8]| raw_metadata(&mut Memory::new("m.gguf", bytes.to_vec())).unwrap();
        let stored = raw(&original);
        let (bytes, _) = export(&mut of_bytes(original.clone()), None, Some(stored.clone()), "f32");
        let mut kept: BTreeMap<_, _> = raw(&bytes).into_iter().collect();
        assert!(kept.remove("general.file_type").is_some(), "{name}");
        assert!(kept.remove("general.quantization_version").is_some(), "{name}");
        assert_eq!(kept, stored.into_iter().collect(), "{name}");
        let [mut first, mut second] = [of_bytes(original), of_bytes(bytes)];
        assert_eq!(first.config, second.config, "{name}");
        for index in 0..first.source.tensors().len() {
            let info = first.source.tensors()[index].clone();
            let other = second.source.tensors().iter().position(|other| *other == info).unwrap();
            let (mut want, mut got) = (Vec::new(), Vec::new());
            first.source.read(index, 0, info.rows(), &mut want).unwrap();
            second.source.read(other, 0, info.rows(), &mut got).unwrap();
            assert_eq!(got, want, "{name} {}", info.name);
        }
    }
}

#[test]
fn what_has_no_form_is_refused_by_name() {
    let config = of_folder("llama").config;
    let window = SlidingWindow { size: 16, layers: vec![true; config.num_layers] };
    let windowed = ModelConfig { sliding_window: Some(window), ..config.clone() };
    let scaled = ModelConfig { attention_scale: Some(0.5), ..config };
    for (config, word) in [(windowed, "sliding window"), (scaled, "scale of attention")] {
        let error = Description::of(&config).unwrap_err();
        assert!(error.code() == "usage" && error.to_string().contains(word), "{error}");
    }
    // A tokenizer that cuts nothing before it joins.
    let tiny = open::open("tiny").unwrap();
    let error = GgufPlan::of(&tiny, None, None, Quantisation::named("f16").unwrap()).unwrap_err();
    assert!(error.to_string().contains("no form for its tokenizer"), "{error}");
}
