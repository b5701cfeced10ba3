//! Speed of an adapter: its own peaks by micro-kernels, then kernels and whole passes of models beside them.
//!
//! Models have the shapes of well-known ones and random weights, so that no file is needed. All work of a group is
//! sampled in turns, so that whatever else the machine does hits all of it, and a row is the median of its samples.

mod job;
mod kernels;
mod measure;
mod models;
mod shape;
pub mod tune;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::gpu::{AdapterReport, Gpu};
use crate::kernel::weight::Format;
use crate::{Error, Result};
pub use measure::{Bandwidth, Limit, Peaks};
use measure::{Cost, PeakWork};
pub use shape::Shape;

/// A group of measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Suite {
    /// Every kernel that takes time, at a model's shapes.
    Kernels,
    /// Prompts of several lengths.
    Prefill,
    /// Decoding at several batches, with and without a live adapter.
    Decode,
    /// LoRA steps.
    Train,
    /// A step of GRPO, split into rollout, verification and update.
    Grpo,
    /// How cost grows with batch, length, rank and layers.
    Growth,
}

impl Suite {
    /// All suites with their names.
    pub const ALL: [(&str, Self); 6] = [
        ("kernels", Self::Kernels),
        ("prefill", Self::Prefill),
        ("decode", Self::Decode),
        ("train", Self::Train),
        ("grpo", Self::Grpo),
        ("growth", Self::Growth),
    ];
}

/// What to measure and how thoroughly.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Seconds instead of about a minute: fewer formats and layers, shorter samples.
    pub quick: bool,
    /// The groups to measure.
    pub suites: Vec<Suite>,
    /// Models whose shapes are measured.
    pub shapes: Vec<Shape>,
    /// Weight formats; empty for the usual ones.
    pub formats: Vec<Format>,
    /// Layers of each model, where they have as many.
    pub layers: Option<usize>,
    /// Rounds of samples, instead of as many as fit into the usual time.
    pub rounds: Option<usize>,
    /// Only rows whose name and shape hold this text.
    pub only: Option<String>,
    /// Leave the peaks out, which take memory of their own: shares of them are then not known.
    pub no_peaks: bool,
}

impl Options {
    fn wants(&self, name: &str, shape: &str) -> bool {
        self.only.as_ref().is_none_or(|only| format!("{name} {shape}").contains(only))
    }
}

/// What a row is about.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct What {
    /// Name of the shape.
    pub model: &'static str,
    /// Layers of it, for whole passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<usize>,
    /// Weight format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<&'static str>,
    /// Rows or texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// Tokens of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    /// Rank of the adapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
}

impl What {
    fn model(shape: Shape, layers: usize, format: Format) -> Self {
        Self {
            model: shape.name,
            layers: Some(layers),
            format: Some(format.name()),
            batch: None,
            length: None,
            rank: None,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.model)?;
        if let Some(layers) = self.layers {
            write!(f, " {layers} layers")?;
        }
        if let Some(format) = self.format {
            write!(f, ", {format}")?;
        }
        match (self.batch, self.length) {
            (Some(batch), Some(length)) => write!(f, ", {batch} x {length} tokens")?,
            (None, Some(length)) => write!(f, ", {length} tokens")?,
            (Some(batch), None) => write!(f, ", batch {batch}")?,
            (None, None) => {}
        }
        match self.rank {
            Some(rank) => write!(f, ", rank {rank}"),
            None => Ok(()),
        }
    }
}

/// One measurement.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The kernel's shader and entry, or the pass: `prefill`, `decode`, `train`, `grpo` and its parts.
    pub name: String,
    /// Sizes, weight format, number of layers, for people.
    pub shape: String,
    /// The same for programs.
    #[serde(flatten)]
    pub what: What,
    /// The speed, in `unit`.
    pub value: f64,
    /// `GFLOP/s` or `GB/s`, whichever limits a kernel; `tokens/s` for models.
    pub unit: &'static str,
    /// Speed over what the measured peaks allow: 1 is the limit; not finite where there are no peaks.
    pub fraction_of_peak: f64,
    /// A product's operations over what cooperative matrices in f16 can do at best, where the device has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fraction_of_matrix_peak: Option<f64>,
    /// The peak that limits it.
    pub limit: Limit,
    /// Median seconds of a dispatch, of a decode step, or of a training step.
    pub seconds: f64,
    /// Each sample's seconds, in the order of rounds.
    pub samples: Vec<f64>,
    /// Kernels launched in a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispatches: Option<f64>,
    /// Submissions in a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submissions: Option<f64>,
    /// Median microseconds of a step in which the host encoded and submitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_microseconds: Option<f64>,
    /// Median share of the time in which the device waited for the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_share: Option<f64>,
    /// Bytes on the GPU, those of the other passes over the same model included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// All measurements of one adapter.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The adapter with its driver.
    pub adapter: AdapterReport,
    /// This program's version.
    pub version: &'static str,
    /// Whether shorter samples were taken.
    pub quick: bool,
    /// Measured peaks.
    pub peaks: Peaks,
    /// Measurements.
    pub rows: Vec<Row>,
}

/// Samples of each row; all are taken unless time runs out.
const ROUNDS: usize = 7;

/// A group ends after this many samples when its time is over.
const LEAST_ROUNDS: usize = 3;

/// How long the samples are and when to stop taking them.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    /// Seconds of one sample.
    sample: f64,
    /// Time for the samples of one group of rows.
    group: Duration,
    /// Rounds, whatever the time.
    rounds: Option<usize>,
}

impl Schedule {
    fn new(options: &Options) -> Self {
        let rounds = options.rounds;
        match options.quick {
            true => Self { sample: 0.004, group: Duration::from_secs(2), rounds },
            false => Self { sample: 0.04, group: Duration::from_secs(10), rounds },
        }
    }

    /// Whether another round of samples should be taken.
    fn goes_on(&self, round: usize, start: Instant) -> bool {
        match self.rounds {
            Some(rounds) => round < rounds.max(1),
            None => round < LEAST_ROUNDS || (round < ROUNDS && start.elapsed() < self.group),
        }
    }
}

fn row(peaks: &Peaks, name: &str, what: What, shape: &str, cost: Cost, seconds: f64) -> Row {
    let (least, limit) = peaks.least(cost);
    let (amount, unit) = match limit {
        Limit::Arithmetic => (cost.flops, "GFLOP/s"),
        Limit::Bandwidth => (cost.bytes, "GB/s"),
    };
    Row {
        name: name.into(),
        shape: shape.into(),
        what,
        value: amount / seconds / 1e9,
        unit,
        fraction_of_peak: least / seconds,
        fraction_of_matrix_peak: peaks
            .matrix_gigaflops
            .filter(|_| limit == Limit::Arithmetic && name.starts_with("matmul"))
            .map(|peak| cost.flops / seconds / 1e9 / peak),
        limit,
        seconds,
        samples: Vec::new(),
        dispatches: None,
        submissions: None,
        host_microseconds: None,
        idle_share: None,
        bytes: None,
    }
}

/// Measures everything. `progress` gets what is measured next; `cancel` stops between two samples.
///
/// # Errors
/// [`Error::Cancelled`], and what the GPU reports.
pub async fn run(
    gpu: &Arc<Gpu>,
    options: &Options,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(&str),
) -> Result<Report> {
    let schedule = Schedule::new(options);
    let go_on = || if cancel.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) };
    let mut peaks = PeakWork::none();
    if !options.no_peaks {
        progress("peaks: preparing");
        peaks = PeakWork::new(gpu)?;
        peaks.calibrate(gpu, schedule.sample).await?;
    }
    let mut kernels = Vec::new();
    if options.suites.contains(&Suite::Kernels) {
        for &shape in &options.shapes {
            progress(&format!("{}, kernels: preparing", shape.name));
            let mut cases = kernels::cases(gpu, options, shape)?;
            for case in &mut cases {
                go_on()?;
                case.work.calibrate(gpu, schedule.sample).await?;
            }
            let (mut round, start) = (0, Instant::now());
            while schedule.goes_on(round, start) {
                progress(&format!("{}, kernels: round {}", shape.name, round + 1));
                peaks.sample(gpu).await?;
                for case in &mut cases {
                    go_on()?;
                    case.work.sample(gpu).await?;
                }
                round += 1;
            }
            kernels.extend(cases.into_iter().map(|case| {
                let (seconds, samples) = (case.work.median(), case.work.samples().to_vec());
                (case.name, case.what, case.shape, case.cost, seconds, samples)
            }));
        }
    }
    let bench = models::Bench { gpu, options, schedule, go_on: &go_on };
    let models = models::all(&bench, &mut peaks, progress).await?;
    peaks.sample(gpu).await?;
    let peaks = peaks.peaks();
    let kernels = kernels.into_iter().map(|(name, what, shape, cost, seconds, samples)| Row {
        samples,
        ..row(&peaks, name, what, &shape, cost, seconds)
    });
    let rows = kernels.chain(models.iter().flat_map(|measured| measured.rows(&peaks))).collect();
    Ok(Report {
        adapter: gpu.report().clone(),
        version: env!("CARGO_PKG_VERSION"),
        quick: options.quick,
        peaks,
        rows,
    })
}

impl fmt::Display for Report {
    /// A table for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let adapter = &self.adapter;
        writeln!(f, "{} ({}, {}, {})", adapter.name, adapter.kind, adapter.backend, adapter.driver)?;
        if self.peaks.gigaflops.is_finite() {
            write!(f, "peaks: {:.1} GFLOP/s", self.peaks.gigaflops)?;
        }
        if let Some(peak) = self.peaks.matrix_gigaflops {
            write!(f, ", {peak:.1} GFLOP/s with f16 matrices")?;
        }
        for bandwidth in &self.peaks.bandwidth {
            let mebibytes = bandwidth.bytes as f64 / f64::from(1 << 20);
            write!(f, ", {:.1} GB/s at {mebibytes} MiB", bandwidth.gigabytes_per_second)?;
        }
        writeln!(f)?;
        let width = |text: fn(&Row) -> &str| self.rows.iter().map(|row| text(row).len()).max().unwrap_or(0);
        let (name, shape) = (width(|row| &row.name), width(|row| &row.shape));
        writeln!(f, "{:name$}  {:shape$}  {:>10}  {:8}  of peak", "what", "shape", "speed", "")?;
        for (index, row) in self.rows.iter().enumerate() {
            write!(f, "{:name$}  {:shape$}  {:>10.2}  {:8}", row.name, row.shape, row.value, row.unit)?;
            if row.fraction_of_peak.is_finite() {
                write!(f, "  {:5.1} %", 100.0 * row.fraction_of_peak)?;
            }
            if let Some(fraction) = row.fraction_of_matrix_peak {
                write!(f, "  {:5.1} % of f16 matrices", 100.0 * fraction)?;
            }
            if index + 1 < self.rows.len() {
                writeln!(f)?;
            }
        }
        Ok(())
    }
}
