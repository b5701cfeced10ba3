//! How a run went, in charts.

use serde::Serialize;

use super::charts::{Scale, Series, line_chart, short};
use super::rewards;
use super::text::percent;
use crate::ladder::events::{Evaluated, Step};
use crate::train::loss::LogprobGap;

/// Steps that the smoothed training curves average over.
const SMOOTHING: usize = 5;

/// A chart with its words.
#[derive(Debug, Serialize)]
pub(super) struct Chart {
    title: String,
    note: &'static str,
    last: String,
    legend: Vec<&'static str>,
    svg: String,
}

/// Every chart that has points.
pub(super) fn charts(steps: &[&Step], evaluations: &[&Evaluated]) -> Vec<Chart> {
    let rated = || evaluations.iter().filter(|event| !event.pass_at.is_empty());
    let evaluated = Series {
        points: rated().map(|e| (e.step as f64, e.pass_at_1())).collect(),
        band: rated().map(|e| (e.step as f64, e.ci95[0], e.ci95[1])).collect(),
        dots: true,
    };
    let course = |value: &dyn Fn(&Step) -> Option<f64>| -> Series {
        let points = steps.iter().filter_map(|step| Some((step.step as f64, value(step)?))).collect();
        Series { points, ..Series::default() }
    };
    let roots = |step: &Step| {
        let rate = step.by_depth.iter().find(|rate| rate.key == 0).filter(|rate| rate.samples > 0)?;
        Some(rate.correct as f64 / rate.samples as f64)
    };
    let wasted = |step: &Step| Some((step.groups_without_signal + step.probes) as f64);
    let share = |value: f64| percent(value);
    // Without a KL term in the loss it is not measured and 0 throughout.
    let measures_kl = steps.iter().any(|step| step.kl.is_some_and(|kl| kl != 0.0));
    let mut charts = Vec::new();
    let mut add = |title: &str,
                   note,
                   scale,
                   series: Vec<Series>,
                   legend: &[&'static str],
                   last: &dyn Fn(f64) -> String| {
        let value = series.first().and_then(|line| line.points.last()).map(|point| last(point.1));
        if let Some(svg) = line_chart(scale, &series) {
            charts.push(Chart {
                title: title.to_owned(),
                note,
                last: value.unwrap_or_default(),
                legend: legend.to_vec(),
                svg,
            });
        }
    };
    add("Held-out pass@1", "with 95 % interval", Scale::Share, vec![evaluated], &[], &share);
    let all = smoothed(course(&|step| step.pass_rate));
    let root = smoothed(course(&roots));
    add(
        "Training pass rate",
        "mean of 5 steps",
        Scale::Share,
        vec![all, root],
        &["all problems", "roots"],
        &share,
    );
    for (title, line) in rewards::curves(steps) {
        add(&title, "mean and standard deviation", Scale::Free, vec![line], &[], &short);
    }
    let flat = rewards::without_signal(steps);
    if flat.len() > 1 {
        for (title, line) in flat {
            add(&title, "share of groups", Scale::Share, vec![smoothed(line)], &[], &share);
        }
    }
    let groups = vec![course(&|step| Some(step.groups as f64)), course(&wasted)];
    add("Groups per step", "", Scale::FromZero, groups, &["with signal", "without, probes included"], &short);
    let nodes = vec![course(&|step| Some(step.frontier as f64)), course(&|step| Some(step.solved as f64))];
    add("Problems in the tree", "", Scale::FromZero, nodes, &["at the frontier", "solved"], &short);
    let kl = course(&|step| step.kl.filter(|_| measures_kl));
    add("KL to the base", "per token", Scale::FromZero, vec![kl], &[], &short);
    add("Entropy", "nats per token", Scale::FromZero, vec![course(&|step| step.entropy)], &[], &short);
    let gap = |of: fn(&LogprobGap) -> f64| course(&move |step| step.logprob_gap.as_ref().map(of));
    let gaps = vec![gap(|gap| gap.p99), gap(|gap| gap.mean)];
    add(
        "Log-probabilities, training against sampling",
        "|difference|, nats",
        Scale::FromZero,
        gaps,
        &["99th percentile", "mean"],
        &short,
    );
    add("Loss", "", Scale::Free, vec![course(&|step| step.loss)], &[], &short);
    add(
        "Gradient norm",
        "before clipping",
        Scale::FromZero,
        vec![course(&|step| step.grad_norm)],
        &[],
        &short,
    );
    charts
}

/// The trailing mean over [`SMOOTHING`] points.
fn smoothed(line: Series) -> Series {
    let points = (0..line.points.len())
        .map(|end| {
            let window = &line.points[end.saturating_sub(SMOOTHING - 1)..=end];
            (line.points[end].0, window.iter().map(|point| point.1).sum::<f64>() / window.len() as f64)
        })
        .collect();
    Series { points, ..line }
}
