//! Doing a study: the jobs that are not done yet, one after the other.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::job::{Job, adapter_of};
use super::lab::Lab;
use super::plan::{Arm, Kind, Study};
use super::records::{read_json, write_json};
use super::results::{ArmResult, Hit, Outcome, Results, groups};
use crate::ladder::policy::PolicyInfo;
use crate::ladder::state::Host;
use crate::task::{Problem, Task, overlaps};
use crate::train::files::{create_folder, read, write_atomic};
use crate::train::fingerprint::sha256;
use crate::train::lock::Lock;
use crate::train::peft::{CONFIG_FILE, WEIGHTS_FILE};
use crate::train::resume::{differences, words};
use crate::{Error, Result};

/// What happens in a study, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress<'a> {
    /// A job begins.
    Began {
        /// Its arm.
        arm: &'a Arm,
        /// Its seed.
        seed: u64,
        /// Its number from 0.
        index: usize,
        /// All jobs.
        jobs: usize,
    },
    /// A job is done, now or in an earlier call.
    Done {
        /// Its arm.
        arm: &'a Arm,
        /// What it came to.
        outcome: &'a Outcome,
        /// It was done before.
        before: bool,
    },
}

/// A finished job as it is kept, with what defines it, so that a changed study does not take it for its own.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    spec: Value,
    seconds: f64,
    policy: PolicyInfo,
    outcome: Outcome,
}

/// Runs every job of `study` that is not done in `output`, and gives the results of all. With names in `only` the jobs of
/// other arms are not begun, so that several processes can share a study; what is done of them is in the results.
///
/// # Errors
/// [`Error::Usage`] if `output` holds jobs of other settings; those of the jobs. What is done stays.
pub async fn run<L: Lab>(
    lab: &mut L,
    study: &Study,
    task: &dyn Task,
    (output, only): (&Path, &[String]),
    host: &mut Host<'_>,
    watch: &mut dyn FnMut(Progress<'_>),
) -> Result<Results> {
    let plan = &study.plan;
    let mut jobs: Vec<(&Arm, u64)> = Vec::new();
    // The arm that nothing is done to comes first: its length of answers says how many attempts a budget buys.
    let base = plan.arms.iter().filter(|arm| is_base(arm));
    let others = plan.arms.iter().filter(|arm| !is_base(arm));
    for arm in base.chain(others) {
        jobs.extend(plan.seeds_of(arm).iter().map(|&seed| (arm, seed)));
    }
    create_folder(output)?;
    let mut done: Vec<(&Arm, Record)> = Vec::new();
    let count = jobs.len();
    for (index, (arm, seed)) in jobs.into_iter().enumerate() {
        let folder = output.join(format!("{}-seed{seed}", arm.name));
        let file = folder.join("outcome.json");
        let attempts = done.iter().find(|(arm, _)| is_base(arm)).map_or(plan.samples, |(_, base)| {
            let round = base.outcome.answer_tokens as f64 / base.outcome.samples.max(1) as f64;
            ((plan.token_budget as f64 / round.max(1.0)) as usize).max(1)
        });
        let spec = spec(study, arm, seed, attempts, lab)?;
        if let Some(record) = read_json::<Record>(&file)? {
            expect_same(&record.spec, &spec, &folder)?;
            watch(Progress::Done { arm, outcome: &record.outcome, before: true });
            done.push((arm, record));
            continue;
        }
        if !only.is_empty() && !only.contains(&arm.name) {
            continue;
        }
        if arm.kind == Kind::Sample && !done.iter().any(|(arm, _)| is_base(arm)) {
            let hint = "do the arm of kind `evaluate` first: its answers tell how many a budget buys";
            return Err(Error::usage("arm", format!("`{}` cannot be the first", arm.name), hint));
        }
        watch(Progress::Began { arm, seed, index, jobs: count });
        create_folder(&folder)?;
        // Several processes may share a study, and not a job.
        let _lock = Lock::folder(&folder)?;
        // What is half done belongs to what it was begun with.
        let begun = folder.join("spec.json");
        match read_json::<Value>(&begun)? {
            Some(old) => expect_same(&old, &spec, &folder)?,
            None => write_json(&begun, &spec)?,
        }
        let adapter = match &arm.from {
            Some(from) => Some(adapter_of(&output.join(format!("{from}-seed{seed}")))),
            None => study.adapter.clone(),
        };
        let began = (host.clock)();
        let job = Job { study, arm, seed, task, folder, attempts, adapter };
        let mut outcome = job.run(lab, host).await?;
        let seconds = (host.clock)() - began;
        outcome.answer_seconds = (seconds - outcome.training_seconds).max(0.0);
        let record = Record { spec, seconds, policy: lab.info().unwrap_or_default(), outcome };
        write_json(&file, &record)?;
        watch(Progress::Done { arm, outcome: &record.outcome, before: false });
        done.push((arm, record));
    }
    Ok(results(study, task, done))
}

fn is_base(arm: &Arm) -> bool {
    arm.kind == Kind::Evaluate && arm.shots == 0 && arm.from.is_none()
}

/// Everything that a job's numbers depend on, besides the program and the device.
fn spec<L: Lab>(study: &Study, arm: &Arm, seed: u64, attempts: usize, lab: &L) -> Result<Value> {
    let plan = &study.plan;
    let forms = |problems: &[Problem]| problems.iter().map(|p| p.problem.clone()).collect::<Vec<_>>();
    let answers = |problems: &[Problem]| problems.iter().map(|p| p.answer.clone()).collect::<Vec<_>>();
    let hash = |file: &str| study.adapter.as_deref().map(|folder| Ok(sha256(&read(folder.join(file))?)));
    let sampled = arm.kind == Kind::Sample;
    let value = serde_json::json!({
        "model": plan.model,
        "base": lab.base(),
        "adapter": hash(WEIGHTS_FILE).transpose()?,
        "adapter_config": hash(CONFIG_FILE).transpose()?,
        "task": plan.task,
        "task_options": plan.task_options,
        "checker": lab.checker(),
        "settings": study.settings(arm, seed)?,
        "kind": arm.kind,
        "from": arm.from,
        "shots": study.shots.get(&arm.name).map(|shots| forms(shots)),
        "shot_count": arm.shots,
        "questions": (arm.kind == Kind::Ttrl).then(|| study.questions(arm)),
        "problems": forms(study.problems(arm)),
        "held_out": forms(&study.held_out),
        "answers": answers(study.problems(arm)),
        "held_out_answers": answers(&study.held_out),
        "samples": if sampled { attempts } else { plan.samples },
        "texts": study.texts,
    });
    Ok(value)
}

fn results(study: &Study, task: &dyn Task, done: Vec<(&Arm, Record)>) -> Results {
    let plan = &study.plan;
    let found = done.iter().map(|(_, record)| record.policy.clone()).next_back().unwrap_or_default();
    // The name, not the place where somebody keeps the file.
    let policy = PolicyInfo { model: plan.model.clone(), ..found };
    let texts = |problems: &'_ [Problem]| problems.iter().map(|p| p.problem.clone()).collect::<Vec<_>>();
    let (training, held_out) = (texts(&study.problems), texts(&study.held_out));
    let hits = overlaps(task, training.iter().map(String::as_str), held_out.iter().map(String::as_str));
    let contamination = hits
        .iter()
        .map(|hit| Hit { held_out: hit.held_out.to_owned(), training: hit.training.to_owned() })
        .collect();
    let seconds = done.iter().map(|(_, record)| record.seconds).sum();
    let mut arms: Vec<ArmResult> = Vec::new();
    for arm in &plan.arms {
        let mut seeds: Vec<Outcome> = done
            .iter()
            .filter(|(of, _)| of.name == arm.name)
            .map(|(_, record)| record.outcome.clone())
            .collect();
        seeds.sort_by_key(|outcome| outcome.seed);
        let n = seeds.iter().map(|outcome| outcome.attempts).min().unwrap_or(0);
        let mut add = |suffix: &str, label: String, seeds| {
            let name = format!("{}{suffix}", arm.name);
            arms.push(ArmResult { name, label, ablation: arm.ablation, seeds });
        };
        if arm.kind == Kind::Sample {
            let chosen = |choice| seeds.iter().map(|outcome| outcome.chosen(choice)).collect();
            add("-majority", format!("{}, majority of {n}", arm.label), chosen(|outcome| &outcome.majority));
            add(
                "-best",
                format!("{}, best of {n} by the verifier", arm.label),
                chosen(|outcome| &outcome.best),
            );
        } else {
            add("", arm.label.clone(), seeds);
        }
    }
    Results {
        study: plan.name.clone(),
        question: plan.question.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        policy,
        groups: groups(study),
        token_budget: plan.token_budget,
        samples: plan.samples,
        reference: plan.reference.clone(),
        seconds,
        contamination,
        arms,
    }
}

/// Longest part of a value in a message.
const SHOWN: usize = 60;

/// Holds a job that goes on to what it was begun with. What its file lacks, being of an older version, it is not held to.
pub(crate) fn expect_same(old: &Value, new: &Value, folder: &Path) -> Result<()> {
    let told = |path: &str| old.pointer(&format!("/{}", path.replace('.', "/"))).is_some();
    let changed = differences(old, new).into_iter().find(|(path, was, _)| !was.is_null() || told(path));
    let Some((path, was, is)) = changed else { return Ok(()) };
    let [was, is] = [was, is].map(|value| words(&value).chars().take(SHOWN).collect::<String>());
    Err(Error::usage(
        "output",
        format!("{} was begun with other settings: `{path}` was {was}, and is {is}", folder.display()),
        "remove that folder, or choose another <output>",
    ))
}

/// Writes `results.json`, the table and the plots into `folder`, and names the files.
///
/// # Errors
/// [`Error::Io`].
pub fn write(results: &Results, folder: &Path) -> Result<Vec<PathBuf>> {
    write_all(results, &super::table::markdown(results), super::plots::all(results), folder)
}

/// [`write`] of the results of any study, with their `table` and `plots`.
pub(crate) fn write_all<R: Serialize>(
    results: &R,
    table: &str,
    plots: Vec<(&str, String)>,
    folder: &Path,
) -> Result<Vec<PathBuf>> {
    create_folder(folder)?;
    let file = folder.join("results.json");
    let text = serde_json::to_vec(results).map_err(|error| Error::write(&file, error.into()))?;
    write_atomic(&file, &text)?;
    let mut files = vec![file];
    let file = folder.join("table.md");
    write_atomic(&file, table.as_bytes())?;
    files.push(file);
    for (name, svg) in plots {
        let file = folder.join(format!("{name}.svg"));
        write_atomic(&file, svg.as_bytes())?;
        files.push(file);
    }
    Ok(files)
}
