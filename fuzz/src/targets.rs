//! What is done with bytes from strangers: one function for each parser, for the fuzzer (`fuzz_targets/`) and for the
//! replay of the corpus (`tests/corpus.rs`). Each takes any bytes; an error is as good as a result, a panic is not.

use std::path::Path;

use stepladder::ladder::events::Event;
use stepladder::ladder::report;
use stepladder::ladder::run::RunCard;
use stepladder::ladder::settings::Settings;
use stepladder::ladder::state::Snapshot;
use stepladder::ladder::study::plan::Plan;
use stepladder::ladder::tree::Node;
use stepladder::model::chat::{ChatTemplate, Message};
use stepladder::model::config::ModelConfig;
use stepladder::model::config::json::generation;
use stepladder::model::hub::{Listing, blob_name};
use stepladder::model::open::OpenModel;
use stepladder::model::source::bytes::Memory;
use stepladder::model::source::folder::shard_files;
use stepladder::model::source::safetensors::SafeTensors;
use stepladder::model::source::{Dtype, TensorSource, quant};
use stepladder::model::tokenizer::Tokenizer;
use stepladder::model::tokenizer::config::TokenizerConfig;
use stepladder::settings::Tabled;
use stepladder::task::{self, Problem, PromptStyle, TaskOptions};
use stepladder::train::adapter;
use stepladder::train::checkpoint::State;
use stepladder::train::data::Record;
use stepladder::train::peft::AdapterFile;
use stepladder::train::sft::SftOptions;

/// A parser under test.
pub(crate) type Target = fn(&[u8]);

/// Every target with its name, which is that of its folder in `corpus/` and of its file in `fuzz_targets/`.
pub(crate) const TARGETS: [(&str, Target); 18] = [
    ("adapter", adapter_folder),
    ("config", config),
    ("countdown", countdown),
    ("events", events),
    ("gguf", gguf),
    ("hub", hub),
    ("index", index),
    ("integral", integral),
    ("jsonl", jsonl),
    ("problems", problems),
    ("quant", quant_blocks),
    ("records", records),
    ("safetensors", safetensors),
    ("settings", settings),
    ("state", state),
    ("study", study),
    ("template", template),
    ("tokenizer", tokenizer),
];

/// Texts that stand for what people write, and for what breaks tokenizers.
const TEXTS: [&str; 6] = [
    "",
    " ",
    "Hello, world! \u{1F642} caf\u{e9} \u{4e2d}\u{6587}\r\n\t  x",
    "<s></s><|im_end|>",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac",
    "\u{0}\u{feff}\u{fffd}\u{301}\u{301}",
];

/// The day that templates write.
const NOW: i64 = 1_700_000_000;

/// Does `work` on what is text; strangers' bytes that are none are refused before they come to a text's parser.
fn with_text(bytes: &[u8], work: impl FnOnce(&str)) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        work(text);
    }
}

fn file(name: &str) -> &Path {
    Path::new(name)
}

// ------------------------------------------------------------------------------------------------------ models

/// `config.json`, then as `generation_config.json`.
fn config(bytes: &[u8]) {
    with_text(bytes, |text| {
        if let Ok(config) = ModelConfig::from_json(file("config.json"), text) {
            drop((config.parameters(), config.inv_freq()));
        }
        drop(generation(file("generation_config.json"), text));
    });
}

/// `model.safetensors.index.json`.
fn index(bytes: &[u8]) {
    with_text(bytes, |text| drop(shard_files(file("model.safetensors.index.json"), text)));
}

/// A safetensors file.
fn safetensors(bytes: &[u8]) {
    if let Ok(mut source) = SafeTensors::open(Memory::new("model.safetensors", bytes.to_vec())) {
        read_ends(&mut source);
    }
}

/// A GGUF file, with all that its metadata hold.
fn gguf(bytes: &[u8]) {
    let file = Memory::new("model.gguf", bytes.to_vec());
    let Ok(mut model) = OpenModel::from_gguf("model.gguf", vec![file], NOW) else { return };
    drop((model.config.parameters(), model.config.inv_freq()));
    read_ends(&mut *model.source);
    use_tokenizer(&model.tokenizer);
    if let Some(template) = &model.chat_template {
        use_template(template);
    }
}

/// Reads the first and the last row of each tensor.
fn read_ends(source: &mut dyn TensorSource) {
    let mut out = Vec::new();
    for tensor in 0..source.tensors().len().min(64) {
        let rows = source.tensors()[tensor].rows();
        drop(source.read(tensor, 0, rows.min(1), &mut out));
        drop(source.read(tensor, rows.saturating_sub(1), 1, &mut out));
    }
}

/// Blocks of the type that the first byte names.
fn quant_blocks(bytes: &[u8]) {
    const TYPES: [Dtype; 11] = [
        Dtype::F32,
        Dtype::F16,
        Dtype::BF16,
        Dtype::Q8_0,
        Dtype::Q4_0,
        Dtype::Q4_1,
        Dtype::Q5_0,
        Dtype::Q5_1,
        Dtype::Q4K,
        Dtype::Q5K,
        Dtype::Q6K,
    ];
    let Some((first, rest)) = bytes.split_first() else { return };
    let dtype = TYPES[usize::from(*first) % TYPES.len()];
    let (values, size) = dtype.block();
    let mut out = vec![0.0; rest.len() / size * values];
    drop(quant::dequantize(dtype, rest, &mut out));
    drop(quant::dequantize(dtype, &rest[..rest.len() / size * size], &mut out));
}

/// `tokenizer.json`.
fn tokenizer(bytes: &[u8]) {
    if let Ok(tokenizer) = Tokenizer::from_bytes(file("tokenizer.json"), bytes) {
        use_tokenizer(&tokenizer);
    }
}

fn use_tokenizer(tokenizer: &Tokenizer) {
    for text in TEXTS {
        if let Ok(ids) = tokenizer.encode(text, true) {
            drop(tokenizer.decode(&ids));
            let mut stream = tokenizer.stream();
            for id in ids {
                drop(stream.push(id));
            }
            drop(stream.finish());
        }
        drop(tokenizer.encode_continuation(None, text));
    }
    drop(tokenizer.decode(&[0, 1, 2, u32::MAX]));
    drop(tokenizer.to_json());
}

/// A chat template, or a `tokenizer_config.json` that holds some.
fn template(bytes: &[u8]) {
    with_text(bytes, |text| {
        let folder = file("model");
        let template = match TokenizerConfig::parse(folder, Some(text), Some(text), Some(text)) {
            Ok(config) => {
                let named = config.templates.into_iter();
                let templates = named.map(|(name, text)| (name, folder.join("tokenizer_config.json"), text));
                ChatTemplate::named(templates, config.named_tokens, NOW)
            }
            Err(_) => ChatTemplate::new(&folder.join("chat_template.jinja"), text, "<s>", "</s>", NOW),
        };
        use_template(&template);
    });
}

fn use_template(template: &ChatTemplate) {
    let messages = [
        Message::new("system", "s"),
        Message::user("hi \u{1F642}"),
        Message::new("assistant", "yes"),
        Message::user(""),
    ];
    for add_generation_prompt in [true, false] {
        drop(template.render(&messages, add_generation_prompt));
    }
}

/// A hub's list of files, and tags that would become names.
fn hub(bytes: &[u8]) {
    with_text(bytes, |text| {
        drop(Listing::parse(text));
        for line in text.lines() {
            if let Some(name) = blob_name(line) {
                assert!(!name.contains(['/', '\\', ':', '.']) && !name.is_empty(), "{name:?}");
            }
        }
    });
}

// ---------------------------------------------------------------------------------------------------- training

/// The two files of a PEFT folder: the length of the first as four bytes, then both.
fn adapter_folder(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk() else { return };
    let length = (u32::from_le_bytes(*length) as usize).min(rest.len());
    let (config, weights) = rest.split_at(length);
    let text = include_str!("../../tests/fixtures/models/llama/config.json");
    let Ok(model) = ModelConfig::from_json(file("config.json"), text) else { return };
    if let Ok(adapter) = AdapterFile::from_bytes(config, weights, file("adapter"), &adapter::dims(&model)) {
        drop(adapter.to_bytes());
    }
}

/// A checkpoint of a run.
fn state(bytes: &[u8]) {
    if let Ok(state) = State::from_bytes(bytes, file("state.safetensors")) {
        drop(Snapshot::from_state(state, file("state.safetensors")));
    }
}

/// Lines of a training file.
fn records(bytes: &[u8]) {
    with_text(bytes, |text| text.lines().for_each(|line| drop(Record::parse(line))));
}

// ------------------------------------------------------------------------------------------------------- tasks

/// A problems file, and what tasks make of its problems.
fn problems(bytes: &[u8]) {
    with_text(bytes, |text| {
        for problem in task::parse_problems(file("problems.jsonl"), text).into_iter().flatten().take(4) {
            for name in ["integral", "countdown", "jsonl"] {
                judge(name, &problem, &problem.problem);
            }
        }
    });
}

/// A problem and an answer on the next lines.
fn integral(bytes: &[u8]) {
    problem_and_answer("integral", bytes);
}

/// The same for countdown.
fn countdown(bytes: &[u8]) {
    problem_and_answer("countdown", bytes);
}

/// The known answer and the one given on the next lines.
fn jsonl(bytes: &[u8]) {
    problem_and_answer("jsonl", bytes);
}

fn problem_and_answer(name: &str, bytes: &[u8]) {
    with_text(bytes, |text| {
        let (problem, answer) = text.split_once('\n').unwrap_or((text, ""));
        let known = Some(problem.to_string());
        judge(name, &Problem { problem: problem.to_string(), id: None, level: None, answer: known }, answer);
    });
}

fn judge(name: &str, problem: &Problem, answer: &str) {
    let Ok(task) = task::create(name, &TaskOptions::new()) else { return };
    drop(task.prompt(&problem.problem, PromptStyle::Terse));
    drop(task.canonical(&problem.problem));
    drop(task.solvable(&problem.problem));
    drop(task.parse_variants(answer));
    task.is_restatement(&problem.problem, answer);
    task.same_answer(problem, answer, &problem.problem);
    drop(task.verify(problem, answer));
}

// -------------------------------------------------------------------------------------------------------- runs

/// Lines of `--set`.
fn settings(bytes: &[u8]) {
    with_text(bytes, |text| {
        let Ok(preset) = "tiny".parse() else { return };
        let (mut settings, mut training) = (Settings::preset(preset), SftOptions::default());
        for (path, value) in text.lines().filter_map(|line| line.split_once('=')).take(64) {
            drop(settings.set(path, value));
            drop(training.set(path, value));
        }
        if settings.check().is_ok() {
            drop(serde_json::to_string(&settings));
        }
    });
}

/// `run.json` on one line, then lines of `events.jsonl` and `tree.jsonl`, and the report of them all.
fn events(bytes: &[u8]) {
    with_text(bytes, |text| {
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let events: Vec<Event> = rest.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let nodes: Vec<Node> = rest.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        if let Ok(card) = serde_json::from_str::<RunCard>(first) {
            assert!(report::render(&card, &events, &nodes).is_ok());
        }
    });
}

/// A study's description.
fn study(bytes: &[u8]) {
    with_text(bytes, |text| drop(toml::from_str::<Plan>(text)));
}
