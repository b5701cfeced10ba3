//! The results of a study of lessons as Markdown tables.

use std::fmt::Write;

use super::claims::claims;
use super::results::{ArmResult, Job, Results, Step, percent};
use crate::ladder::study::table::duration;
use crate::lessons::metrics::{Estimate, Metrics, share};

/// Everything that a reader must know, made from `results` and nothing else.
pub fn markdown(results: &Results) -> String {
    let mut text = format!("{}\n\n{}\n\n", results.question, conditions(results));
    arms(&mut text, results);
    text.push_str("\nWhat each lesson's exam is at the end, in per cent right; the base is asked before any lesson:\n\n");
    lessons(&mut text, results);
    text.push_str("\nWhat was said before the study was run, and what came:\n\n| said | found | holds |\n|---|---|---|\n");
    for claim in claims(results) {
        let holds = claim.holds.map_or("cannot tell", |holds| if holds { "yes" } else { "**no**" });
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {} | {} | {holds} |", claim.said, claim.found);
    }
    text
}

/// The arms alone.
pub fn summary(results: &Results) -> String {
    let mut text = format!("{}\n\n{}\n\n", results.question, conditions(results));
    arms(&mut text, results);
    text
}

/// Both, by what stands in the marks of a page.
pub fn parts(results: &Results) -> [(&'static str, String); 2] {
    [("", markdown(results)), (" summary", summary(results))]
}

fn conditions(results: &Results) -> String {
    let jobs: usize = results.arms.iter().map(|arm| arm.jobs.len()).sum();
    let names: Vec<&str> = results.lessons.iter().map(|(_, label)| label.as_str()).collect();
    format!(
        "Model `{}` on {}; {} lessons ({}), {} seeds, {} orders; {jobs} courses of lessons, {} of learning in all.",
        results.policy.model,
        results.policy.device,
        names.len(),
        names.join(", "),
        results.bases.len(),
        results.orders.len(),
        duration(results.seconds)
    )
}

/// Mean over jobs, with the lowest and the highest where there are several.
fn spread(values: &[f64], digits: usize, with_range: bool) -> String {
    if values.is_empty() {
        return String::new();
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match with_range && values.len() > 1 {
        true => format!("{mean:.digits$} ({low:.digits$} to {high:.digits$})"),
        false => format!("{mean:.digits$}"),
    }
}

fn arms(text: &mut String, results: &Results) {
    text.push_str(
        "| arm | after its lesson | at the end | forgotten | forward | skill | text | drift | training tokens | tokens a question | minutes |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let base = |of: &dyn Fn(&Step) -> Option<f64>| -> Vec<f64> {
        results.bases.iter().filter_map(|base| of(&base.step)).collect()
    };
    let _ = writeln!(
        text,
        "| base |  | {} |  |  | {} | {} | 0 |  |  |  |",
        spread(&base(&|step| mean_of_exams(results, step)), 1, false),
        spread(&base(&|step| step.skill.as_deref().map(percent)), 1, false),
        spread(&base(&|step| step.text), 3, false),
    );
    for arm in results.arms.iter().filter(|arm| !arm.jobs.is_empty()) {
        let metrics: Vec<Metrics> = arm.jobs.iter().map(|job| results.metrics(arm, job)).collect();
        let column = |pick: &dyn Fn(&Metrics) -> Option<Estimate>, with_range| {
            let values: Vec<f64> = metrics.iter().filter_map(pick).map(|e| 100.0 * e.value).collect();
            spread(&values, 1, with_range)
        };
        let last =
            |of: &dyn Fn(&Job) -> Option<f64>| -> Vec<f64> { arm.jobs.iter().filter_map(of).collect() };
        let mark = if arm.name == results.subject { "**" } else { "" };
        let _ = writeln!(
            text,
            "| {mark}{}{mark} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            arm.label,
            column(&|m| m.learning, false),
            column(&|m| m.average, true),
            column(&|m| m.forgetting, true),
            column(&|m| m.forward, false),
            spread(&last(&|job| results.head(job)?.skill.as_deref().map(percent)), 1, true),
            spread(&last(&|job| results.head(job)?.text), 3, false),
            spread(&last(&|job| Some(results.head(job)?.drift.0)), 3, false),
            thousands(&last(&|job| Some(
                job.steps.iter().map(|step| step.training_tokens).sum::<u64>() as f64
            ))),
            spread(&last(&tokens_a_question), 0, false),
            spread(
                &last(&|job| Some(job.steps.iter().map(|step| step.seconds).sum::<f64>() / 60.0)),
                1,
                false
            ),
        );
    }
}

fn thousands(values: &[f64]) -> String {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    if mean < 1.0 { String::new() } else { format!("{:.0} k", mean / 1000.0) }
}

fn mean_of_exams(results: &Results, step: &Step) -> Option<f64> {
    let shares: Vec<f64> = step.exams.iter().flatten().map(|text| percent(text)).collect();
    (shares.len() == results.lessons.len()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
}

/// Tokens of a question with its answer, of arms that learn nothing: their notes are paid with each.
fn tokens_a_question(job: &Job) -> Option<f64> {
    let step = job.steps.first().filter(|step| step.training_tokens == 0)?;
    let asked: usize = step.exams.iter().flatten().map(String::len).sum();
    Some(step.exam_tokens as f64 / asked.max(1) as f64)
}

fn lessons(text: &mut String, results: &Results) {
    let heads: Vec<&str> = results.lessons.iter().map(|(_, label)| label.as_str()).collect();
    let _ = writeln!(text, "| arm | {} |\n|---{}|", heads.join(" | "), "|---".repeat(heads.len()));
    let row = |text: &mut String, label: &str, cells: Vec<String>| {
        let _ = writeln!(text, "| {label} | {} |", cells.join(" | "));
    };
    let cells = |of: &dyn Fn(usize) -> Vec<f64>| -> Vec<String> {
        (0..heads.len()).map(|lesson| spread(&of(lesson), 0, true)).collect()
    };
    let base = |lesson: usize| {
        let exams = results.bases.iter().filter_map(|base| base.step.exams[lesson].as_deref());
        exams.map(percent).collect()
    };
    row(text, "base", cells(&base));
    for arm in results.arms.iter().filter(|arm| !arm.jobs.is_empty()) {
        row(text, &arm.label, cells(&|lesson| at_the_end(results, arm, lesson)));
    }
}

fn at_the_end(results: &Results, arm: &ArmResult, lesson: usize) -> Vec<f64> {
    let share = |job: &Job| {
        let flags = results.exam(arm, job.seed, results.head(job)?, lesson)?;
        Some(100.0 * share(&flags))
    };
    arm.jobs.iter().filter_map(share).collect()
}
