//! What is measured of whole models, suite by suite.

use std::sync::Arc;
use std::time::Instant;

use super::job::{Answers, Grpo, Job, Taken};
use super::measure::{PeakWork, Peaks, median};
use super::shape::Shape;
use super::{Options, Row, Schedule, Suite, What, row};
use crate::Result;
use crate::gpu::{Gpu, GpuOptions};
use crate::kernel::weight::Format;
use crate::model::Model;

/// Rank of adapters, unless it is what is varied.
const RANK: usize = 16;

/// One timed pass with its runs.
struct Timed {
    name: &'static str,
    what: What,
    job: Job,
    taken: Vec<Taken>,
    /// Bytes on the GPU while it ran, the model's included.
    bytes: u64,
}

/// What was measured of it.
pub(super) struct Measured {
    name: &'static str,
    what: What,
    cost: super::measure::Cost,
    tokens: usize,
    taken: Vec<Taken>,
    bytes: u64,
    parts: Vec<(&'static str, Vec<Taken>)>,
}

impl Measured {
    /// Tokens per second, beside what the peaks allow; then the parts of a step.
    pub(super) fn rows(&self, peaks: &Peaks) -> Vec<Row> {
        let of = |name: &str, taken: &[Taken]| {
            let each = |value: fn(&Taken) -> f64| taken.iter().map(value).collect::<Vec<f64>>();
            let samples = each(|t| t.seconds / t.steps as f64);
            let seconds = median(&samples);
            let last = taken.last().copied().unwrap_or_default();
            Row {
                value: self.tokens as f64 / seconds,
                unit: "tokens/s",
                samples,
                dispatches: Some(last.dispatches as f64 / last.steps.max(1) as f64),
                submissions: Some(last.submissions as f64 / last.steps.max(1) as f64),
                host_microseconds: Some(1e6 * median(&each(|t| t.host / t.steps as f64))),
                idle_share: Some(median(&each(|t| t.idle))),
                bytes: Some(self.bytes),
                ..row(peaks, name, self.what.clone(), &self.what.to_string(), self.cost, seconds)
            }
        };
        let parts = self.parts.iter().map(|(name, taken)| of(name, taken));
        std::iter::once(of(self.name, &self.taken)).chain(parts).collect()
    }
}

/// Layers of the model: a software adapter would spend the whole time on loading thirty.
fn layers(gpu: &Gpu, options: &Options, shape: Shape) -> usize {
    let most = match (gpu.is_software(), options.quick) {
        (true, true) => 1,
        (true, false) => 4,
        (false, _) => shape.layers,
    };
    options.layers.unwrap_or(most).clamp(1, shape.layers)
}

/// Weight formats to measure.
fn formats(options: &Options, suite: Suite) -> Vec<Format> {
    match (&options.formats[..], suite) {
        ([], Suite::Growth | Suite::Grpo) => vec![Format::F32],
        ([], _) if options.quick => vec![Format::F32],
        ([], _) => Format::offered().map(|(format, _)| format).collect(),
        (formats, _) => formats.to_vec(),
    }
}

/// Makes the timed passes of one model.
struct Maker<'m> {
    model: &'m Arc<Model>,
    what: What,
    options: &'m Options,
    timed: Vec<Timed>,
}

impl Maker<'_> {
    /// Adds a pass if it is wanted.
    fn add(
        &mut self,
        name: &'static str,
        what: What,
        job: impl FnOnce(&Arc<Model>) -> Result<Job>,
    ) -> Result<()> {
        if self.options.wants(name, &what.to_string()) {
            self.timed.push(Timed { name, what, job: job(self.model)?, taken: Vec::new(), bytes: 0 });
        }
        Ok(())
    }

    fn prefill(&mut self, length: usize) -> Result<()> {
        let what = What { length: Some(length), ..self.what.clone() };
        self.add("prefill", what, |model| Ok(Job::prefill(model, length)))
    }

    fn decode(&mut self, batch: usize, length: usize, rank: usize) -> Result<()> {
        let rank_shown = (rank > 0).then_some(rank);
        let what = What { batch: Some(batch), length: Some(length), rank: rank_shown, ..self.what.clone() };
        self.add("decode", what, |model| Job::decode(model, batch, length, rank))
    }

    fn train(&mut self, batch: usize, length: usize, rank: usize) -> Result<()> {
        let what = What { batch: Some(batch), length: Some(length), rank: Some(rank), ..self.what.clone() };
        self.add("train", what, |model| Job::train(model, batch, length, rank))
    }

    fn suite(&mut self, suite: Suite, software: bool) -> Result<()> {
        match suite {
            Suite::Kernels => {}
            Suite::Prefill => {
                let lengths: &[usize] = if self.options.quick { &[128] } else { &[128, 512, 2048] };
                lengths.iter().try_for_each(|&length| self.prefill(length))?;
            }
            Suite::Decode => {
                let batches: &[usize] = if self.options.quick { &[1] } else { &[1, 8, 32, 64] };
                for &batch in batches {
                    self.decode(batch, 1, 0)?;
                    if !self.options.quick {
                        self.decode(batch, 1, RANK)?;
                    }
                }
            }
            Suite::Train if self.options.quick => self.train(1, 32, RANK)?,
            Suite::Train => {
                self.train(1, 128, RANK)?;
                self.train(4, 64, RANK)?;
                self.train(1, 128, 1)?;
                if !software {
                    self.train(8, 512, RANK)?;
                }
            }
            Suite::Grpo => {
                let (prompts, samples, tokens) = if software { (2, 4, 32) } else { (8, 8, 256) };
                let what = What {
                    batch: Some(prompts * samples),
                    length: Some(tokens),
                    rank: Some(RANK),
                    ..self.what.clone()
                };
                self.add("grpo", what, |model| {
                    Ok(Job::Grpo(Box::new(Grpo::new(model, prompts, samples, tokens, RANK)?)))
                })?;
                // Answers to one prompt, whose rows they share, and to one each.
                let count = if self.options.quick { 2 } else { 8 };
                for (name, one_prompt) in [("update, one prompt", true), ("update, a prompt each", false)] {
                    let answers = Answers { count, prompt: 128, tokens: 32, one_prompt };
                    let (batch, length) = (Some(answers.count), Some(answers.prompt + answers.tokens));
                    let what = What { batch, length, rank: Some(RANK), ..self.what.clone() };
                    self.add(name, what, |model| Job::update(model, answers, RANK))?;
                }
            }
            Suite::Growth => {
                let batches: &[usize] = if software { &[2, 4, 16] } else { &[2, 4, 16, 128] };
                batches.iter().try_for_each(|&batch| self.decode(batch, 1, 0))?;
                let lengths: &[usize] = if software { &[64, 256] } else { &[256, 1024, 2048] };
                lengths.iter().try_for_each(|&length| self.decode(8, length, 0))?;
                let lengths: &[usize] = if software { &[32, 64, 256] } else { &[64, 256, 1024, 2048] };
                lengths.iter().try_for_each(|&length| self.train(1, length, RANK))?;
                [4, 64].into_iter().try_for_each(|rank| self.train(1, 128, rank))?;
            }
        }
        Ok(())
    }
}

/// What all measurements of a run share.
pub(super) struct Bench<'a> {
    pub(super) gpu: &'a Arc<Gpu>,
    pub(super) options: &'a Options,
    pub(super) schedule: Schedule,
    /// Fails once the user wants to stop.
    pub(super) go_on: &'a dyn Fn() -> Result<()>,
}

/// Measures the suites of whole models in one shape and format. All passes take turns, so that whatever else the machine
/// does hits all of them.
async fn measure(
    bench: &Bench<'_>,
    model: &Arc<Model>,
    what: What,
    suites: &[Suite],
    peaks: &mut PeakWork,
) -> Result<Vec<Measured>> {
    let &Bench { gpu, options, schedule, go_on } = bench;
    let mut maker = Maker { model, what, options, timed: Vec::new() };
    for &suite in suites {
        maker.suite(suite, gpu.is_software())?;
    }
    let mut timed = maker.timed;
    let (mut round, mut start) = (0, Instant::now());
    // Round 0 compiles and allocates; it is not kept.
    while round == 0 || schedule.goes_on(round - 1, start) {
        peaks.sample(gpu).await?;
        for pass in &mut timed {
            go_on()?;
            let taken = pass.job.run(gpu).await?;
            if round > 0 {
                pass.taken.push(taken);
            }
            pass.bytes = gpu.memory().current();
        }
        if round == 0 {
            start = Instant::now();
        }
        round += 1;
    }
    let measured = timed.into_iter().map(|pass| {
        let (cost, tokens) = (pass.job.cost(model), pass.job.tokens());
        let parts = match &pass.job {
            Job::Grpo(grpo) => {
                let part = |index: usize| grpo.parts.iter().skip(1).map(|parts| parts[index]).collect();
                vec![("grpo, rollout", part(0)), ("grpo, verify", part(1)), ("grpo, update", part(2))]
            }
            _ => Vec::new(),
        };
        let Timed { name, what, taken, bytes, .. } = pass;
        Measured { name, what, cost, tokens, taken, bytes, parts }
    });
    Ok(measured.collect())
}

/// From nothing to the first token behind a prompt: a device is opened, weights are loaded, kernels compiled.
async fn first_token(
    bench: &Bench<'_>,
    shape: Shape,
    layers: usize,
    format: Format,
    what: What,
) -> Result<Option<Measured>> {
    let (name, length) = ("first token, cold", 128);
    let what = What { length: Some(length), ..what };
    if !bench.options.wants(name, &what.to_string()) {
        return Ok(None);
    }
    let report = bench.gpu.report();
    let options = GpuOptions {
        name: Some(report.name.clone()),
        f16: bench.gpu.has_f16(),
        as_software: Some(bench.gpu.is_software()),
        ..GpuOptions::default()
    };
    let (mut taken, mut cost, mut bytes) = (Vec::new(), None, 0);
    for _ in 0..COLD_STARTS {
        (bench.go_on)()?;
        let began = Instant::now();
        let gpu = Arc::new(Gpu::open(&options).await?);
        let model = shape.load(&gpu, layers, format, CONTEXT)?;
        let mut job = Job::prefill(&model, length);
        let run = job.run(&gpu).await?;
        taken.push(Taken { seconds: began.elapsed().as_secs_f64(), ..run });
        cost = Some(job.cost(&model));
        bytes = gpu.memory().current();
    }
    Ok(cost.map(|cost| Measured { name, what, cost, tokens: length, taken, bytes, parts: Vec::new() }))
}

/// Devices that are opened for [`first_token`].
const COLD_STARTS: usize = 3;

/// Measures every suite of whole models that was asked for.
pub(super) async fn all(
    bench: &Bench<'_>,
    peaks: &mut PeakWork,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Measured>> {
    let &Bench { gpu, options, .. } = bench;
    let mut all = Vec::new();
    for &shape in &options.shapes {
        for (format, _) in Format::offered() {
            let wanted =
                |&suite: &Suite| suite != Suite::Kernels && formats(options, suite).contains(&format);
            let suites: Vec<Suite> = options.suites.iter().copied().filter(wanted).collect();
            let mut sizes = vec![(layers(gpu, options, shape), suites.clone())];
            if suites.contains(&Suite::Growth) {
                // How cost grows with the model: the same step with fewer and more layers.
                let most = layers(gpu, options, shape);
                sizes.extend([most / 2, most * 2].map(|layers| (layers, vec![Suite::Train])));
            }
            for (layers, suites) in sizes {
                if suites.is_empty() || layers == 0 || layers > shape.layers {
                    continue;
                }
                progress(&format!("{}, {layers} layers, {}", shape.name, format.name()));
                let model = shape.load(gpu, layers, format, CONTEXT)?;
                let what = What::model(shape, layers, format);
                all.extend(measure(bench, &model, what.clone(), &suites, peaks).await?);
                if suites.contains(&Suite::Prefill) {
                    drop(model);
                    all.extend(first_token(bench, shape, layers, format, what).await?);
                }
            }
        }
    }
    Ok(all)
}

/// Longest sequence.
const CONTEXT: usize = 2304;
