//! The results as a Markdown table.

use std::fmt::Write;

use super::results::{ACCEPTED, ArmResult, Outcome, Results, advantage, pick};
use crate::ladder::stats::mean_with_ci;

/// The whole table with what a reader must know to read it. Made from `results` and nothing else.
pub fn markdown(results: &Results) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}\n", results.question);
    let _ = writeln!(
        text,
        "Model `{}` on {}; {} held-out problems, {} of them hard, {} samples each; {} training tokens an arm; {} in all.\n",
        results.policy.model,
        results.policy.device,
        results.group("all").len(),
        results.group("hard").len(),
        results.samples,
        results.token_budget,
        duration(results.seconds)
    );
    let main: Vec<&ArmResult> =
        results.arms.iter().filter(|arm| !arm.ablation && !arm.seeds.is_empty()).collect();
    let ablations: Vec<&ArmResult> =
        results.arms.iter().filter(|arm| arm.ablation && !arm.seeds.is_empty()).collect();
    section(&mut text, results, &main);
    if !ablations.is_empty() {
        text.push_str("\nAblations: the reference with one thing changed.\n\n");
        section(&mut text, results, &ablations);
    }
    text.push('\n');
    yields(&mut text, results);
    if results.contamination.is_empty() {
        text.push_str("No held-out problem is among the training problems in any notation.\n");
    } else {
        let _ = writeln!(text, "Training problems that are held out, and so not trained on:\n");
        for hit in &results.contamination {
            let _ = writeln!(text, "- `{}` is `{}`", hit.training, hit.held_out);
        }
    }
    text
}

fn section(text: &mut String, results: &Results, arms: &[&ArmResult]) {
    let levels: Vec<&str> = results
        .groups
        .iter()
        .map(|group| group.name.as_str())
        .filter(|name| {
            name.starts_with("level") && results.group(name).iter().all(|p| results.group("hard").contains(p))
        })
        .collect();
    let reference = results.arm(&results.reference);
    let name = reference.map_or("the reference", |arm| arm.label.as_str());
    let mut head = format!("| arm | all | easy | hard | {} |", levels.join(" | "));
    let _ = write!(
        head,
        " {name} minus this on hard, by seed | training tokens | tokens an answer | minutes | KL | text |"
    );
    let _ = writeln!(text, "{head}");
    let _ = writeln!(text, "|{}", "---|".repeat(head.matches('|').count() - 1));
    for arm in arms {
        let _ = write!(text, "| {} |", arm.label);
        for group in ["all", "easy", "hard"].iter().chain(&levels) {
            let _ = write!(text, " {} |", rate(arm, results.group(group), *group == "hard"));
        }
        for choice in [|outcome: &Outcome| &outcome.majority, |outcome: &Outcome| &outcome.best]
            as [fn(&Outcome) -> &Vec<Option<f64>>; 2]
        {
            let rates: Vec<f64> = arm
                .seeds
                .iter()
                .filter(|outcome| outcome.samples > 1)
                .map(|outcome| pick(choice(outcome), results.group("hard")))
                .filter(|values| !values.is_empty())
                .map(|values| values.iter().sum::<f64>() / values.len() as f64)
                .collect();
            match rates.is_empty() {
                true => text.push_str("  |"),
                false => {
                    let _ = write!(text, " {:.1} |", 100.0 * rates.iter().sum::<f64>() / rates.len() as f64);
                }
            }
        }
        let differences: Vec<String> = arm
            .seeds
            .iter()
            .filter_map(|outcome| difference(results, reference.filter(|r| r.name != arm.name)?, outcome))
            .collect();
        let mean = |value: &dyn Fn(&Outcome) -> Option<f64>| {
            let values: Vec<f64> = arm.seeds.iter().filter_map(value).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        let number =
            |value: Option<f64>, decimals: usize| value.map_or("".into(), |v| format!("{v:.decimals$}"));
        let _ = writeln!(
            text,
            " {} | {} | {} | {} | {} | {} |",
            differences.join("; "),
            mean(&|o| (o.training_tokens > 0).then_some(o.training_tokens as f64))
                .map_or("".into(), thousands),
            number(mean(&|o| Some(o.tokens_per_question)), 1),
            number(mean(&|o| Some((o.training_seconds + o.answer_seconds) / 60.0)), 1),
            number(mean(&|o| o.kl), 3),
            number(mean(&|o| o.text_logprob), 3),
        );
    }
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

fn duration(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match (minutes / 60, minutes % 60) {
        (0, m) => format!("{m} min"),
        (h, m) => format!("{h} h {m} min"),
    }
}

/// `page` with the text between `<!-- study NAME -->` and `<!-- end study -->` replaced by the table; `None` if it has no such place.
pub fn into_page(page: &str, results: &Results) -> Option<String> {
    let open = format!("<!-- study {} -->", results.study);
    let start = page.find(&open)? + open.len();
    let end = start + page[start..].find("<!-- end study -->")?;
    Some(format!("{}\n{}{}", &page[..start], markdown(results), &page[end..]))
}
