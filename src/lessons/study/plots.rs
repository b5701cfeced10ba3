//! The results of a study of lessons as SVG plots.

use super::results::{ArmResult, Job, Results};
use crate::ladder::study::plots::{Line, lines};
use crate::lessons::metrics::share;

/// Every plot that the results have data for, with its name.
pub fn all(results: &Results) -> Vec<(&'static str, String)> {
    [("kept", kept(results))].into_iter().filter_map(|(name, svg)| Some((name, svg?))).collect()
}

/// Mean share of right answers in the lessons so far, after each lesson, by arm.
fn kept(results: &Results) -> Option<String> {
    let arms = results.arms.iter().filter(|arm| arm.jobs.iter().any(|job| job.steps.len() > 1));
    let series: Vec<Line> = arms
        .map(|arm| {
            let steps = arm.jobs.iter().map(|job| job.steps.len()).max().unwrap_or(0);
            let point = |place: usize| {
                let values: Vec<f64> =
                    arm.jobs.iter().filter_map(|job| so_far(results, arm, job, place)).collect();
                let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
                (!values.is_empty()).then_some(((place + 1) as f64, mean))
            };
            Line { label: arm.label.clone(), points: (0..steps).filter_map(point).collect() }
        })
        .collect();
    lines("Right answers in all lessons so far, after each lesson", &series)
}

fn so_far(results: &Results, arm: &ArmResult, job: &Job, place: usize) -> Option<f64> {
    let step = job.steps.get(place)?;
    let step = if step.counts { step } else { super::results::served(job, place)? };
    let lessons = results.orders[job.order].get(..=place)?;
    let mut sum = 0.0;
    for &lesson in lessons {
        let flags = results.exam(arm, job.seed, step, lesson).unwrap_or_default();
        sum += share(&flags);
    }
    Some(sum / lessons.len() as f64)
}
