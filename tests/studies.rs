//! The committed studies: their files can be run, and every table that is shown is the one that their results give.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use stepladder::ladder::study::plan::Study;
use stepladder::ladder::study::results::Results;
use stepladder::ladder::study::{plots, table};
use stepladder::lessons::study as lessons;

fn top() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// The committed study files, those of lessons or the others.
fn studies(of_lessons: bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(top().join("studies")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .filter(|path| lessons::plan::Study::is_one(&fs::read_to_string(path).unwrap()) == of_lessons)
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn results<R: DeserializeOwned>(study: &Path) -> Option<R> {
    let file = study.with_extension("").join("results.json");
    file.exists().then(|| serde_json::from_slice(&fs::read(file).unwrap()).unwrap())
}

fn expect_target(file: &Path, name: &str) {
    assert_eq!(file.file_stem().unwrap().to_str().unwrap(), name);
    let makefile = fs::read_to_string(top().join("Makefile")).unwrap();
    assert!(makefile.contains(&format!("study-{name}:")), "{name} has no make target");
}

#[test]
fn committed_studies_can_be_run() {
    for file in studies(false) {
        let study = Study::read(&file).unwrap();
        expect_target(&file, &study.plan.name);
        assert!(study.held_out.len() >= 8, "{}", study.plan.name);
    }
    for file in studies(true) {
        let study = lessons::plan::Study::read(&file).unwrap();
        expect_target(&file, &study.plan.name);
        for seed in &study.plan.seeds {
            assert!(study.taught(*seed).iter().all(|taught| !taught.facts.is_empty()), "{}", study.plan.name);
        }
    }
}

/// The files in a study's folder, and the parts of pages that show it, are those that its results give.
fn expect_shown(file: &Path, name: &str, parts: &[(&str, String)], plots: &[(&str, String)]) {
    let folder = file.with_extension("");
    let written = fs::read_to_string(folder.join("table.md")).unwrap();
    assert!(written == parts[0].1, "{}/table.md: run the study with --render", folder.display());
    for (name, svg) in plots {
        assert!(fs::read_to_string(folder.join(format!("{name}.svg"))).unwrap() == *svg, "{name}.svg");
    }
    let pages = ["README.md", "studies/README.md"].map(|page| fs::read_to_string(top().join(page)).unwrap());
    let shown: Vec<&String> =
        pages.iter().filter(|page| page.contains(&format!("<!-- study {name} "))).collect();
    assert!(!shown.is_empty(), "{name} is shown nowhere");
    for page in shown {
        assert!(table::into_page(page, name, parts).as_ref() == Some(page), "run the study with --render");
    }
}

#[test]
fn tables_are_those_of_the_results() {
    for file in studies(false) {
        let Some(results) = results::<Results>(&file) else { continue };
        expect_shown(&file, &results.study, &table::parts(&results), &plots::all(&results));
    }
    for file in studies(true) {
        let Some(results) = results::<lessons::results::Results>(&file) else { continue };
        expect_shown(&file, &results.study, &lessons::table::parts(&results), &lessons::plots::all(&results));
    }
}

/// What the results say about their own study: every arm and seed that it names, asked what it says.
#[test]
fn results_are_whole() {
    for file in studies(false) {
        let Some(results) = results::<Results>(&file) else { continue };
        let study = Study::read(&file).unwrap();
        assert_eq!(results.token_budget, study.plan.token_budget);
        assert!(
            !results.policy.device.is_empty() && !results.policy.model.contains('/'),
            "{:?}",
            results.policy
        );
        for arm in &study.plan.arms {
            let found: Vec<_> = results
                .arms
                .iter()
                .filter(|found| {
                    found.name == arm.name || found.name.strip_prefix(&arm.name) == Some("-majority")
                })
                .collect();
            assert_eq!(found.len(), 1, "{}", arm.name);
            let seeds: Vec<u64> = found[0].seeds.iter().map(|outcome| outcome.seed).collect();
            assert_eq!(seeds, study.plan.seeds_of(arm), "{}", arm.name);
            for outcome in &found[0].seeds {
                assert_eq!(outcome.scores.len(), study.held_out.len());
                let asked = outcome.scores.iter().flatten().count();
                assert!(asked == study.held_out.len() || asked == study.questions(arm).len(), "{}", arm.name);
            }
        }
    }
}
