//! Rewards on the report: a curve for each, and their means on the held-out problems.

use std::collections::BTreeSet;

use serde::Serialize;

use super::charts::{Series, short};
use super::text::printable;
use crate::ladder::events::{Evaluated, MeanReward, Step};

/// One reward before and after.
#[derive(Debug, Serialize)]
pub(super) struct RewardRow {
    name: String,
    before: String,
    after: String,
}

/// The means of every reward that the task gave for held-out problems.
pub(super) fn rows(evaluations: &[&Evaluated]) -> Vec<RewardRow> {
    let (Some(first), Some(last)) = (evaluations.first(), evaluations.last()) else { return Vec::new() };
    let words = |event: &Evaluated, name: &str| match event.rewards.get(name) {
        Some(MeanReward { mean, ci95: Some([low, high]) }) => format!("{mean:.3} ({low:.3} to {high:.3})"),
        Some(MeanReward { mean, ci95: None }) => format!("{mean:.3}"),
        None => "none".to_owned(),
    };
    let names: BTreeSet<&String> = first.rewards.keys().chain(last.rewards.keys()).collect();
    let row = |name: &String| RewardRow {
        name: printable(name),
        before: words(first, name),
        after: words(last, name),
    };
    names.into_iter().map(row).collect()
}

fn names<'a>(steps: &[&'a Step]) -> BTreeSet<&'a str> {
    steps.iter().flat_map(|step| step.rewards.keys()).map(String::as_str).collect()
}

/// The course of the whole reward and, where it has several parts or weights, of each: title and line with a band of one standard
/// deviation.
pub(super) fn curves(steps: &[&Step]) -> Vec<(String, Series)> {
    let line = |of: &dyn Fn(&Step) -> Option<(f64, f64)>| {
        let values = steps.iter().filter_map(|step| Some((step.step as f64, of(step)?)));
        let (mut points, mut band) = (Vec::new(), Vec::new());
        for (step, (mean, std)) in values {
            points.push((step, mean));
            band.push((step, mean - std, mean + std));
        }
        Series { points, band, dots: false }
    };
    let whole = line(&|step| Some((step.reward_mean?, step.reward_std.unwrap_or(0.0))));
    let names = names(steps);
    let mut curves = vec![("Reward".to_owned(), whole)];
    for name in names.iter().filter(|_| names.len() > 1) {
        let weight = steps.iter().find_map(|step| Some(step.rewards.get(*name)?.weight)).unwrap_or(1.0);
        let title = format!("Reward {}, weight {}", printable(name), short(weight));
        curves.push((title, line(&|step| step.rewards.get(*name).map(|part| (part.mean, part.std)))));
    }
    curves
}

/// For each reward the share of groups in which it tells no completion from another.
pub(super) fn without_signal(steps: &[&Step]) -> Vec<(String, Series)> {
    let line = |name: &str| {
        let share = |step: &&Step| Some((step.step as f64, step.rewards.get(name)?.without_signal?));
        Series { points: steps.iter().filter_map(share).collect(), ..Series::default() }
    };
    names(steps).into_iter().map(|name| (format!("No signal in {}", printable(name)), line(name))).collect()
}
