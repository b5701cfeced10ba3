//! The results as a Markdown table.

use std::fmt::Write;

use super::results::{ACCEPTED, ArmResult, Outcome, Results, advantage, pick};
use crate::ladder::stats::mean_with_ci;

/// The whole table with what a reader must know to read it. Made from `results` and nothing else.
pub fn markdown(results: &Results) -> String {
    let mut text = format!("{}\n\n{}\n", results.question, conditions(results));
    let columns = columns(results, false);
    let done = |ablation: bool| -> Vec<&ArmResult> {
        results.arms.iter().filter(|arm| arm.ablation == ablation && !arm.seeds.is_empty()).collect()
    };
    section(&mut text, &columns, &done(false));
    let ablations = done(true);
    if !ablations.is_empty() {
        text.push_str("\nAblations: the reference with one thing changed.\n\n");
        section(&mut text, &columns, &ablations);
    }
    text.push('\n');
    yields(&mut text, results);
    if results.contamination.is_empty() {
        text.push_str("No held-out problem is among the training problems in any notation.\n");
    } else {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "Training problems that are held out, and so not trained on:\n");
        for hit in &results.contamination {
            let _ = writeln!(text, "- `{}` is `{}`", hit.training, hit.held_out);
        }
    }
    text
}

/// The arms without the ablations, in the columns that tell most.
pub fn summary(results: &Results) -> String {
    let mut text = format!("{}\n\n{}\n", results.question, conditions(results));
    let arms: Vec<&ArmResult> =
        results.arms.iter().filter(|arm| !arm.ablation && !arm.seeds.is_empty()).collect();
    section(&mut text, &columns(results, true), &arms);
    text
}

fn conditions(results: &Results) -> String {
    format!(
        "Model `{}` on {}; {} held-out problems, {} of them hard, {} samples each; {} training tokens an arm; {} in all.\n",
        results.policy.model,
        results.policy.device,
        results.group("all").len(),
        results.group("hard").len(),
        results.samples,
        results.token_budget,
        duration(results.seconds)
    )
}

/// A column of the table of arms.
struct Column<'a> {
    head: String,
    cell: Box<dyn Fn(&ArmResult) -> String + 'a>,
}

/// The columns; `summary` leaves out those that only a reader of the whole study asks for.
fn columns<'a>(results: &'a Results, summary: bool) -> Vec<Column<'a>> {
    let mut columns = Vec::new();
    let mut add = |head: &str, in_summary: bool, cell: Box<dyn Fn(&ArmResult) -> String + 'a>| {
        if in_summary || !summary {
            columns.push(Column { head: head.to_owned(), cell });
        }
    };
    add("arm", true, Box::new(|arm| arm.label.clone()));
    add("all", true, Box::new(|arm| rate(arm, results.group("all"), false)));
    add("easy", true, Box::new(|arm| rate(arm, results.group("easy"), false)));
    add("hard", true, Box::new(|arm| rate(arm, results.group("hard"), true)));
    let hard = results.group("hard");
    for group in &results.groups {
        if group.name.starts_with("level") && group.places.iter().all(|place| hard.contains(place)) {
            add(&group.name, true, Box::new(|arm| rate(arm, &group.places, false)));
        }
    }
    add("hard, majority", false, Box::new(|arm| chosen(arm, hard, |outcome| &outcome.majority)));
    add("hard, best", false, Box::new(|arm| chosen(arm, hard, |outcome| &outcome.best)));
    let reference = results.arm(&results.reference);
    let name = reference.map_or("the reference", |arm| arm.label.as_str());
    let difference = move |arm: &ArmResult| {
        let of = |outcome| difference(results, reference.filter(|r| r.name != arm.name)?, outcome);
        arm.seeds.iter().filter_map(of).collect::<Vec<_>>().join("; ")
    };
    add(&format!("{name} minus this on hard, by seed"), true, Box::new(difference));
    let mean = |arm: &ArmResult, value: fn(&Outcome) -> Option<f64>, write: &dyn Fn(f64) -> String| {
        let values: Vec<f64> = arm.seeds.iter().filter_map(value).collect();
        if values.is_empty() {
            return String::new();
        }
        write(values.iter().sum::<f64>() / values.len() as f64)
    };
    let trained = |o: &Outcome| (o.training_tokens > 0).then_some(o.training_tokens as f64);
    add("training tokens", true, Box::new(move |arm| mean(arm, trained, &thousands)));
    add(
        "tokens an answer",
        true,
        Box::new(move |arm| mean(arm, |o| Some(o.tokens_per_question), &|value| format!("{value:.0}"))),
    );
    let minutes = |o: &Outcome| Some((o.training_seconds + o.answer_seconds) / 60.0);
    add("minutes", false, Box::new(move |arm| mean(arm, minutes, &|value| format!("{value:.1}"))));
    add("KL", false, Box::new(move |arm| mean(arm, |o| o.kl, &|value| format!("{value:.3}"))));
    add("text", false, Box::new(move |arm| mean(arm, |o| o.text_logprob, &|value| format!("{value:.3}"))));
    columns
}

fn section(text: &mut String, columns: &[Column<'_>], arms: &[&ArmResult]) {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    text.push_str(&row(columns.iter().map(|column| column.head.clone()).collect()));
    text.push_str(&format!("|{}\n", "---|".repeat(columns.len())));
    for arm in arms {
        text.push_str(&row(columns.iter().map(|column| (column.cell)(arm)).collect()));
    }
}

/// Mean over seeds of one choice among the attempts at the problems `places`; nothing where there was one attempt.
fn chosen(arm: &ArmResult, places: &[usize], choice: fn(&Outcome) -> &Vec<Option<f64>>) -> String {
    let of = |outcome: &Outcome| {
        let values = pick(choice(outcome), places);
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let rates: Vec<f64> = arm.seeds.iter().filter(|outcome| outcome.samples > 1).filter_map(of).collect();
    if rates.is_empty() {
        return String::new();
    }
    format!("{:.1}", 100.0 * rates.iter().sum::<f64>() / rates.len() as f64)
}

/// Mean over seeds of an arm's rate on some problems; with the interval of a single seed, or the range of several.
fn rate(arm: &ArmResult, places: &[usize], with_spread: bool) -> String {
    let rates: Vec<f64> = arm.seeds.iter().filter_map(|outcome| Some(outcome.rate(places)?.0)).collect();
    if rates.is_empty() {
        return String::new();
    }
    let mean = rates.iter().sum::<f64>() / rates.len() as f64;
    if !with_spread {
        return format!("{:.1}", 100.0 * mean);
    }
    let [low, high] = match &arm.seeds[..] {
        [only] => mean_with_ci(&only.at(places), only.samples).1,
        _ => [rates.iter().copied().fold(f64::INFINITY, f64::min), rates.iter().copied().fold(0.0, f64::max)],
    };
    format!("**{:.1}** ({:.1} to {:.1})", 100.0 * mean, 100.0 * low, 100.0 * high)
}

/// `+3.1 [1.0, 5.2]`: the reference against one outcome of the same seed.
fn difference(results: &Results, reference: &ArmResult, outcome: &Outcome) -> Option<String> {
    let other = reference.seeds.iter().find(|other| other.seed == outcome.seed)?;
    let (mean, [low, high]) = advantage(other, outcome, results.group("hard"))?;
    Some(format!("{:+.1} [{:+.1}, {:+.1}]", 100.0 * mean, 100.0 * low, 100.0 * high))
}

/// What became of the variants of each arm that wrote some.
fn yields(text: &mut String, results: &Results) {
    let arms: Vec<&ArmResult> = results
        .arms
        .iter()
        .filter(|arm| arm.seeds.iter().any(|outcome| !outcome.variants.is_empty()))
        .collect();
    if arms.is_empty() {
        return;
    }
    let mut reasons: Vec<&str> = arms
        .iter()
        .flat_map(|arm| &arm.seeds)
        .flat_map(|outcome| outcome.variants.keys())
        .map(String::as_str)
        .collect();
    reasons.sort_unstable();
    reasons.dedup();
    reasons.retain(|reason| *reason != ACCEPTED);
    reasons.insert(0, ACCEPTED);
    let names: Vec<String> = reasons.iter().map(|reason| reason.replace('_', " ")).collect();
    let _ = writeln!(
        text,
        "What became of the variants that the model wrote, in per cent, and the share of groups with a signal:\n"
    );
    let _ = writeln!(text, "| arm | written | {} | groups with signal |", names.join(" | "));
    let _ = writeln!(text, "|{}", "---|".repeat(names.len() + 3));
    for arm in arms {
        let count = |reason: &str| -> u64 {
            arm.seeds.iter().map(|outcome| outcome.variants.get(reason).copied().unwrap_or(0)).sum()
        };
        let written: u64 = reasons.iter().map(|reason| count(reason)).sum();
        let shares: Vec<String> = reasons
            .iter()
            .map(|reason| format!("{:.1}", 100.0 * count(reason) as f64 / written.max(1) as f64))
            .collect();
        let signal: Vec<f64> =
            arm.seeds.iter().flat_map(|outcome| &outcome.signal).map(|point| point.1).collect();
        let signal = signal.iter().sum::<f64>() / signal.len().max(1) as f64;
        let written = thousands(written as f64);
        let _ =
            writeln!(text, "| {} | {written} | {} | {:.0} |", arm.label, shares.join(" | "), 100.0 * signal);
    }
    text.push('\n');
}

fn thousands(value: f64) -> String {
    if value >= 10_000.0 { format!("{:.0} k", value / 1000.0) } else { format!("{value:.0}") }
}

pub(crate) fn duration(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match (minutes / 60, minutes % 60) {
        (0, m) => format!("{m} min"),
        (h, m) => format!("{h} h {m} min"),
    }
}

/// The texts that pages show of a study, by what stands in their marks.
pub fn parts(results: &Results) -> [(&'static str, String); 2] {
    [("", markdown(results)), (" summary", summary(results))]
}

/// `page` with the text between `<!-- study NAME -->` and `<!-- end study -->` replaced by the first of its `parts`, or behind
/// `<!-- study NAME summary -->` by the summary; `None` if it has no such place.
pub fn into_page(page: &str, study: &str, parts: &[(&str, String)]) -> Option<String> {
    let mut made = None;
    for (what, table) in parts {
        let text: &str = made.as_deref().unwrap_or(page);
        let open = format!("<!-- study {study}{what} -->");
        let Some(start) = text.find(&open).map(|at| at + open.len()) else { continue };
        let end = start + text[start..].find("<!-- end study -->")?;
        made = Some(format!("{}\n{table}{}", &text[..start], &text[end..]));
    }
    made
}
