//! Doing a study of lessons: the jobs that are not done yet, one after the other.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::job::Job;
use super::lab::Lab;
use super::plan::{Arm, Study, Way};
use super::results::{self, ArmResult, Base, Results};
use crate::Result;
use crate::ladder::policy::{Policy, PolicyInfo};
use crate::ladder::study::records::{read_json, write_json};
use crate::ladder::study::run::{expect_same, write_all};
use crate::lessons::anchors::{self, Anchor, SANE_PROMPTS};
use crate::lessons::gate::GateRules;
use crate::lessons::outcome::Half;
use crate::lessons::settings::LearnSettings;
use crate::train::files::create_folder;
use crate::train::lock::Lock;

/// Does what is not done in `output`, of the arms `only` if there are names in it, and gives the results of all that is done.
///
/// # Errors
/// [`Error::Cancelled`](crate::Error::Cancelled), after which the same call goes on; [`Error::Usage`](crate::Error::Usage) if `output` holds another study's jobs.
pub async fn run(lab: &mut Lab<'_>, study: &Study, output: &Path, only: &[String]) -> Result<Results> {
    let info = lab.learner.info();
    create_folder(output)?;
    let plan = &study.plan;
    let rules = GateRules::default();
    let mut all = Results {
        study: plan.name.clone(),
        question: plan.question.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        // The name, not the place where somebody keeps the file.
        policy: PolicyInfo { model: plan.model.clone(), ..info.clone() },
        lessons: plan.lessons.iter().map(|lesson| (lesson.name.clone(), lesson.label.clone())).collect(),
        orders: (0..plan.orders.len()).map(|order| study.order(order)).collect(),
        subject: plan.subject.clone(),
        rival: plan.rival.clone(),
        rules,
        general: SANE_PROMPTS,
        seconds: 0.0,
        bases: Vec::new(),
        arms: plan
            .arms
            .iter()
            .map(|arm| ArmResult {
                name: arm.name.clone(),
                label: arm.label.clone(),
                gated: arm.gated,
                sequence: arm.kind == Way::Sequence,
                jobs: Vec::new(),
            })
            .collect(),
    };
    for &seed in &plan.seeds {
        let lessons = study.taught(seed);
        let settings = |arm: &Arm| study.settings(arm, info.parameters, seed);
        let folder = output.join(format!("base-seed{seed}"));
        let subject = plan.arms.iter().find(|arm| arm.name == plan.subject).unwrap_or(&plan.arms[0]);
        let anchors = anchors_of(lab, &folder, seed, &settings(subject)?).await?;
        let order = study.order(0);
        let base = Job {
            study,
            arm: subject,
            order: &order,
            lessons: &lessons,
            anchors: &anchors,
            settings: settings(subject)?,
            folder,
        };
        let halves = lessons.iter().map(|taught| {
            let questions = taught.questions().into_iter();
            questions.map(|question| if question.half == Half::Gate { 'g' } else { 'a' }).collect()
        });
        all.bases.push(Base { seed, halves: halves.collect(), step: base.base(lab).await? });
        for place in 0..plan.orders.len() {
            let order = study.order(place);
            for (index, arm) in plan.arms.iter().enumerate() {
                let job = Job {
                    study,
                    arm,
                    order: &order,
                    lessons: &lessons,
                    anchors: &anchors,
                    settings: settings(arm)?,
                    folder: output.join(format!("{}-seed{seed}-order{}", arm.name, place + 1)),
                };
                if (!only.is_empty() && !only.contains(&arm.name)) || (place > 0 && arm.has_one_order()) {
                    continue;
                }
                let steps = do_job(lab, &job, study, &all, (index, seed, place)).await?;
                all.seconds += steps.iter().map(|step| step.seconds).sum::<f64>();
                all.arms[index].jobs.push(results::Job { seed, order: place, steps });
            }
        }
    }
    Ok(all)
}

async fn do_job(
    lab: &mut Lab<'_>,
    job: &Job<'_>,
    study: &Study,
    all: &Results,
    (index, seed, order): (usize, u64, usize),
) -> Result<Vec<results::Step>> {
    create_folder(&job.folder)?;
    // Several processes may share a study, and not a job.
    let _lock = Lock::folder(&job.folder)?;
    let spec = spec(study, job, lab, seed)?;
    let begun = job.folder.join("spec.json");
    match read_json::<Value>(&begun)? {
        Some(old) => expect_same(&old, &spec, &job.folder)?,
        None => write_json(&begun, &spec)?,
    }
    let gate = |steps: &[results::Step]| {
        let job = results::Job { seed, order, steps: steps.to_vec() };
        all.judged(&all.arms[index], &job, steps.len() - 1).map(|judged| judged.verdict.decision)
    };
    let steps = job.run(lab, &gate).await?;
    (lab.words)(&format!("done: {}, seed {seed}, order {}", job.arm.label, order + 1));
    Ok(steps)
}

impl Arm {
    /// What does not depend on the order of lessons is done once.
    fn has_one_order(&self) -> bool {
        matches!(self.kind, Way::Joint | Way::Apart | Way::Notes | Way::Retrieve)
    }
}

/// What the base answers to what no lesson is about, made once for a seed.
async fn anchors_of(
    lab: &mut Lab<'_>,
    folder: &Path,
    seed: u64,
    settings: &LearnSettings,
) -> Result<Vec<Anchor>> {
    let file = folder.join("anchors.json");
    if let Some(anchors) = read_json(&file)? {
        return Ok(anchors);
    }
    create_folder(folder)?;
    let fresh = settings.fresh(lab.learner.trainer().model().config())?;
    lab.learner.take_adapter(&fresh)?;
    let stopped = lab.stopped;
    let made = anchors::make(lab.learner, seed, &mut |_, _| !stopped()).await?;
    write_json(&file, &made)?;
    Ok(made)
}

/// Everything that a job's numbers depend on, besides the program and the device.
fn spec(study: &Study, job: &Job<'_>, lab: &Lab<'_>, seed: u64) -> Result<Value> {
    let plan = &study.plan;
    let lessons: Vec<_> = job.order.iter().map(|&lesson| &plan.lessons[lesson]).collect();
    let value = serde_json::json!({
        "model": plan.model,
        "base": lab.base,
        "seed": seed,
        "lessons": lessons,
        "arm": { "kind": job.arm.kind, "gated": job.arm.gated, "lines": job.arm.lines },
        "settings": job.settings,
        "skill": plan.skill,
        "texts": study.texts,
    });
    Ok(value)
}

/// Writes `results.json`, the table and the plots into `folder`, and names the files.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io).
pub fn write(results: &Results, folder: &Path) -> Result<Vec<PathBuf>> {
    write_all(results, &super::table::markdown(results), super::plots::all(results), folder)
}
