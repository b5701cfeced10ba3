//! The committed studies: their files can be run, and every table that is shown is the one that their results give.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use stepladder::ladder::study::plan::Study;
use stepladder::ladder::study::results::Results;
use stepladder::ladder::study::{plots, table};

fn top() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

fn studies() -> Vec<PathBuf> {
    let entries = fs::read_dir(top().join("studies")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn results(study: &Path) -> Option<Results> {
    let file = study.with_extension("").join("results.json");
    file.exists().then(|| serde_json::from_slice(&fs::read(file).unwrap()).unwrap())
}

#[test]
fn committed_studies_can_be_run() {
    for file in studies() {
        let study = Study::read(&file).unwrap();
        let name = file.file_stem().unwrap().to_str().unwrap();
        assert_eq!(study.plan.name, name);
        assert!(study.held_out.len() >= 8, "{name}");
        let makefile = fs::read_to_string(top().join("Makefile")).unwrap();
        assert!(makefile.contains(&format!("study-{name}:")), "{name} has no make target");
    }
}

#[test]
fn tables_are_those_of_the_results() {
    let pages = ["README.md", "studies/README.md"].map(|page| fs::read_to_string(top().join(page)).unwrap());
    for file in studies() {
        let Some(results) = results(&file) else { continue };
        let folder = file.with_extension("");
        let written = fs::read_to_string(folder.join("table.md")).unwrap();
        assert!(
            written == table::markdown(&results),
            "{}/table.md: run the study with --render",
            folder.display()
        );
        for (name, svg) in plots::all(&results) {
            assert!(fs::read_to_string(folder.join(format!("{name}.svg"))).unwrap() == svg, "{name}.svg");
        }
        let shown: Vec<&String> =
            pages.iter().filter(|page| page.contains(&format!("<!-- study {} ", results.study))).collect();
        assert!(!shown.is_empty(), "{} is shown nowhere", results.study);
        for page in shown {
            assert!(table::into_page(page, &results).as_ref() == Some(page), "run the study with --render");
        }
    }
}

/// What the results say about their own study: every arm and seed that it names, asked what it says.
#[test]
fn results_are_whole() {
    for file in studies() {
        let Some(results) = results(&file) else { continue };
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
