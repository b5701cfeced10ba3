//! Studies: every arm at its budget, the same numbers after a kill, and errors that say what to change.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use stepladder::Result;
use stepladder::ladder::events::Event;
use stepladder::ladder::policy::PolicyInfo;
use stepladder::ladder::settings::Settings;
use stepladder::ladder::state::{Host, MemoryStore};
use stepladder::ladder::study::lab::Lab;
use stepladder::ladder::study::plan::Study;
use stepladder::ladder::study::results::{Results, advantage};
use stepladder::ladder::study::run::{run, write};
use stepladder::ladder::study::table;
use stepladder::train::fingerprint::Base;

use crate::mock::{Fault, Mock, Pairs};

/// Mocks that start from what their adapter file says, each with the same fault.
struct Mocks {
    fault: Fault,
    made: usize,
    cancel: &'static AtomicBool,
    base: Option<Base>,
    checker: BTreeMap<String, String>,
}

impl Mocks {
    fn with(fault: Fault) -> Self {
        Self { fault, made: 0, cancel: Mock::new().cancel, base: None, checker: BTreeMap::new() }
    }
}

impl Lab for Mocks {
    type Policy = Mock;

    fn policy(&mut self, _: &Settings, adapter: Option<&Path>) -> Result<Mock> {
        self.made += 1;
        let mut mock = Mock { cancel: self.cancel, ..Mock::with(self.fault) };
        if let Some(folder) = adapter {
            let updates: u64 =
                fs::read_to_string(folder.join("adapter_config.json")).unwrap().parse().unwrap();
            (0..8).for_each(|difficulty| mock.set_logit(difficulty, 3.0 + 0.01 * updates as f64));
        }
        Ok(mock)
    }

    fn info(&self) -> Option<PolicyInfo> {
        Some(PolicyInfo { model: "mock".into(), device: "none".into(), ..PolicyInfo::default() })
    }

    fn base(&self) -> Option<Base> {
        self.base.clone()
    }

    fn checker(&self) -> BTreeMap<String, String> {
        self.checker.clone()
    }
}

const PLAN: &str = r#"
name = "pairs"
question = "Do variants help?"
model = "mock"
task = "pairs"
problems = "roots.jsonl"
held_out = "held_out.jsonl"
preset = "tiny"
seeds = [1, 2]
token_budget = 4000
samples = 4
hard_levels = [4]
easy_levels = [2]
reference = "ladder"
text = "text.jsonl"

[settings]
steps = 1000
prompts_per_step = 6
"evaluation.every" = 3
"evaluation.samples" = 2

[[arm]]
name = "base"
label = "base"
kind = "evaluate"

[[arm]]
name = "sample"
label = "base"
kind = "sample"

[[arm]]
name = "rl"
label = "RL"
kind = "train"
settings = { "variants.enabled" = false }

[[arm]]
name = "sft"
label = "expert iteration"
kind = "train"
settings = { method = "expert_iteration", "variants.enabled" = false }

[[arm]]
name = "ladder"
label = "LADDER"
kind = "train"

[[arm]]
name = "ttrl"
label = "LADDER + TTRL"
kind = "ttrl"
from = "ladder"
questions = 2
settings = { steps = 2 }

[[arm]]
name = "static"
label = "static tree"
kind = "train"
ablation = true
seeds = [1]
settings = { "curriculum.adaptive" = false }
"#;

fn lines(texts: &[&str]) -> String {
    texts
        .iter()
        .map(|text| format!("{{\"problem\": \"{text}\", \"level\": {}}}\n", text.split(':').next().unwrap()))
        .collect()
}

/// A folder with the study in it, changed by `change`.
fn study_in(folder: &Path, change: impl Fn(&str) -> String) -> Result<Study> {
    fs::write(folder.join("study.toml"), change(PLAN)).unwrap();
    fs::write(folder.join("roots.jsonl"), lines(&["4:1", "4:2", "4:3", "4:7"])).unwrap();
    fs::write(folder.join("held_out.jsonl"), lines(&["4:7", "4:8", "4:9", "3:7", "2:7", "2:8"])).unwrap();
    fs::write(folder.join("text.jsonl"), "{\"text\": \"some words\"}\n").unwrap();
    Study::read(&folder.join("study.toml"))
}

fn go(study: &Study, lab: &mut Mocks, output: &Path) -> Result<Results> {
    let (mut store, mut sink) = (MemoryStore::default(), |_: &Event| Ok(()));
    let mut host = Host { store: &mut store, sink: &mut sink, clock: &|| 0.0, cancel: lab.cancel };
    pollster::block_on(run(lab, study, &Pairs, (output, &[]), &mut host, &mut |_| ()))
}

#[test]
fn arms_are_compared_at_equal_budgets() {
    let folder = tempfile::tempdir().unwrap();
    let study = study_in(folder.path(), |plan| plan.replace("= 4000", "= 12_000")).unwrap();
    let mut lab = Mocks::with(Fault::None);
    let results = go(&study, &mut lab, &folder.path().join("out")).unwrap();
    assert_eq!(lab.made, 6 * 2 + 1);
    for arm in &results.arms {
        assert_eq!(arm.seeds.len(), if arm.ablation { 1 } else { 2 });
        for outcome in &arm.seeds {
            let asked = outcome.scores.iter().flatten().count();
            assert_eq!(asked, if arm.name == "ttrl" { 2 } else { 6 }, "{}", arm.name);
            match arm.name.as_str() {
                "rl" | "sft" | "ladder" | "static" => {
                    assert!(
                        (12_000..20_000).contains(&outcome.training_tokens),
                        "{} tokens",
                        outcome.training_tokens
                    );
                    assert!(outcome.curve.len() > 2 && !outcome.signal.is_empty() && outcome.kl.is_some());
                    assert_eq!(outcome.variants.is_empty(), arm.name == "rl" || arm.name == "sft");
                    assert_eq!(outcome.samples, 4);
                }
                // As many attempts as the budget of a training arm buys.
                "sample-best" | "sample-majority" => {
                    assert!(arm.label.contains(&format!(" of {}", outcome.attempts)), "{}", arm.label);
                    assert!((7000..13_000).contains(&outcome.answer_tokens), "{}", outcome.answer_tokens);
                    assert!(outcome.scores.iter().flatten().all(|score| *score == 0.0 || *score == 1.0));
                }
                _ => assert!(outcome.text_logprob.is_some() || arm.name == "ttrl"),
            }
        }
    }
    let hard = results.group("hard");
    assert_eq!(hard, [0, 1, 2]);
    let of = |name: &str| &results.arm(name).unwrap().seeds[0];
    let (gain, [low, high]) = advantage(of("ladder"), of("base"), hard).unwrap();
    assert!(low <= gain && gain <= high && of("ladder").kl.unwrap() > 0.0, "{gain} {low} {high}");
    assert_eq!(results.contamination.len(), 1, "4:7 is in both files");
    // Tables and plots hold every arm, and a page takes the table at its mark and nowhere else.
    let table = table::markdown(&results);
    assert!(results.arms.iter().all(|arm| table.contains(&format!("| {} |", arm.label))), "{table}");
    assert!(table.contains("`4:7` is `4:7`"));
    let files = write(&results, &folder.path().join("published")).unwrap();
    let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["results.json", "table.md", "accuracy.svg", "levels.svg", "yield.svg", "kl.svg"]);
    assert!(fs::read_to_string(&files[2]).unwrap().contains("LADDER"));
    let read: Results = serde_json::from_slice(&fs::read(&files[0]).unwrap()).unwrap();
    assert_eq!(read, results);
    let page = table::into_page(
        "before\n<!-- study pairs -->old<!-- end study -->after",
        "pairs",
        &table::parts(&results),
    )
    .unwrap();
    assert!(page.starts_with("before\n<!-- study pairs -->\n") && page.ends_with("<!-- end study -->after"));
    assert!(page.contains(&table) && !page.contains("old"));
    assert_eq!(
        table::into_page("<!-- study other --><!-- end study -->", "pairs", &table::parts(&results)),
        None
    );
}

#[test]
fn a_killed_study_comes_to_the_same_numbers() {
    let whole_folder = tempfile::tempdir().unwrap();
    let study = study_in(whole_folder.path(), str::to_owned).unwrap();
    let whole = go(&study, &mut Mocks::with(Fault::None), &whole_folder.path().join("out")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let study = study_in(folder.path(), str::to_owned).unwrap();
    let output = folder.path().join("out");
    // Every policy loses its device, or is cancelled, later and later in its work.
    let mut tries = 0;
    let resumed = loop {
        let call = 1 + 2 * tries;
        let fault = if tries % 2 == 0 { Fault::Lost(call) } else { Fault::Cancel(call) };
        tries += 1;
        match go(&study, &mut Mocks::with(fault), &output) {
            Ok(results) => break results,
            Err(error) => assert!(["device_lost", "cancelled"].contains(&error.code()), "{error}"),
        }
    };
    assert!(tries > 5, "{tries}");
    assert_eq!(resumed, whole);
    // Nothing is left to do: no policy is made.
    let mut lab = Mocks::with(Fault::None);
    assert_eq!(go(&study, &mut lab, &output).unwrap(), whole);
    assert_eq!(lab.made, 0);
    // A study that was changed does not take these jobs for its own.
    let other =
        study_in(folder.path(), |plan| plan.replace("token_budget = 4000", "token_budget = 5000")).unwrap();
    let error = go(&other, &mut Mocks::with(Fault::None), &output).unwrap_err().to_string();
    assert!(error.contains("other settings") && error.contains("sample-seed1"), "{error}");
}

/// Other weights, another tokenizer or other known answers make other numbers, whatever the files are called.
#[test]
fn a_study_that_goes_on_is_held_to_its_model_and_answers() {
    let folder = tempfile::tempdir().unwrap();
    let study = study_in(folder.path(), str::to_owned).unwrap();
    let output = folder.path().join("out");
    let base = |sha256: &str, tokenizer: &str| {
        let model = [("tokenizer".to_owned(), tokenizer.into())].into_iter().collect();
        Some(Base { sha256: sha256.into(), model, ..Base::default() })
    };
    let on = |base: Option<Base>| {
        let result = go(&study, &mut Mocks { base, ..Mocks::with(Fault::None) }, &output);
        result.map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(on(base("aa", "t")), Ok(()));
    for (base, words) in [
        (base("bb", "t"), "`base.sha256` was aa, and is bb"),
        (base("aa", "u"), "`base.model.tokenizer` was t, and is u"),
        (None, "`base` was "),
    ] {
        let error = on(base).unwrap_err();
        assert!(error.contains("base-seed1") && error.contains(words), "{error}");
    }
    // So would another checker.
    let judged_by = |hash: &str| {
        let checker = [("check.py".to_owned(), hash.to_owned())].into_iter().collect();
        let mut lab = Mocks { base: base("aa", "t"), checker, ..Mocks::with(Fault::None) };
        go(&study, &mut lab, &folder.path().join("judged")).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!((judged_by("11"), judged_by("11")), (Ok(()), Ok(())));
    let error = judged_by("22").unwrap_err();
    assert!(error.contains("`checker.check.py` was 11, and is 22"), "{error}");
    let problems = fs::read_to_string(folder.path().join("held_out.jsonl")).unwrap();
    fs::write(
        folder.path().join("held_out.jsonl"),
        problems.replacen("\"level\"", "\"answer\": 1, \"level\"", 1),
    )
    .unwrap();
    let other = Study::read(&folder.path().join("study.toml")).unwrap();
    let mut lab = Mocks { base: base("aa", "t"), ..Mocks::with(Fault::None) };
    let error = go(&other, &mut lab, &output).unwrap_err().to_string();
    assert!(error.contains("`held_out_answers` was "), "{error}");
    // Jobs of an older version do not tell what they stand on.
    for entry in fs::read_dir(&output).unwrap() {
        let file = entry.unwrap().path().join("outcome.json");
        let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        for name in ["base", "answers", "held_out_answers"] {
            record["spec"].as_object_mut().unwrap().remove(name);
        }
        fs::write(&file, record.to_string()).unwrap();
    }
    assert_eq!(on(base("bb", "t")), Ok(()));
}

#[test]
fn what_is_wrong_with_a_study_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for (from, to, words) in [
        ("token_budget = 4000", "token_budget = 0", "token_budget"),
        ("samples = 4", "samples = 0", "samples"),
        ("seeds = [1, 2]", "seeds = []", "seeds"),
        ("reference = \"ladder\"", "reference = \"lader\"", "reference"),
        ("preset = \"tiny\"", "preset = \"tinny\"", "line"),
        ("from = \"ladder\"", "from = \"sample\"", "no training arm"),
        ("name = \"sample\"", "name = \"base\"", "two arms"),
        ("name = \"sample\"", "name = \"../sample\"", "letters"),
        ("kind = \"sample\"", "kind = \"vote\"", "line"),
        ("hard_levels = [4]", "hard_levels = [9]", "hard_levels"),
        ("preset = \"tiny\"", "preset = \"tiny\"\nproblem_levels = [9]", "problem_levels"),
        ("\"variants.enabled\" = false", "\"variants.enable\" = false", "variants.enable"),
        ("steps = 1000", "steps = 0", "steps: is 0"),
        ("label = \"RL\"", "label = \"RL\"\ncolour = 3", "colour"),
        ("label = \"RL\"", "label = \"RL\"\nshots = 3", "shots"),
        ("problems = \"roots.jsonl\"", "problems = \"absent.jsonl\"", "absent.jsonl"),
        ("kind = \"evaluate\"", "kind = \"sample\"", "evaluate"),
    ] {
        assert!(PLAN.contains(from), "{from}");
        let error = study_in(folder.path(), |plan| plan.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(words), "{to}: {error}");
    }
}
