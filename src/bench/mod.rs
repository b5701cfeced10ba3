//! Speed of an adapter: its own peaks by micro-kernels, then kernels, decoding and a training step beside them.
//!
//! Everything has the shapes of SmolLM2-135M with random weights, so that no file is needed. All work of a group is
//! sampled in turns, so that whatever else the machine does hits all of it, and a row is the median of its samples.

mod kernels;
mod measure;
mod model;
pub mod tune;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::gpu::{AdapterReport, Gpu};
use crate::{Error, Result};
pub use measure::{Bandwidth, Limit, Peaks};
use measure::{Cost, PeakWork};

/// How thorough to be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Seconds instead of about a minute: fewer formats and layers, shorter samples.
    pub quick: bool,
}

/// One measurement.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The kernel's shader and entry, `decode` or `train`.
    pub name: String,
    /// Sizes, weight format, number of layers.
    pub shape: String,
    /// The speed, in `unit`.
    pub value: f64,
    /// `GFLOP/s` or `GB/s`, whichever limits a kernel; `tokens/s` for models.
    pub unit: &'static str,
    /// Speed over what the measured peaks allow: 1 is the limit.
    pub fraction_of_peak: f64,
    /// The peak that limits it.
    pub limit: Limit,
    /// Median seconds of a dispatch, of a decode step, or of a training step.
    pub seconds: f64,
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
}

impl Schedule {
    fn new(options: Options) -> Self {
        match options.quick {
            true => Self { sample: 0.004, group: Duration::from_secs(2) },
            false => Self { sample: 0.04, group: Duration::from_secs(10) },
        }
    }

    /// Whether another round of samples should be taken.
    fn goes_on(&self, round: usize, start: Instant) -> bool {
        round < LEAST_ROUNDS || (round < ROUNDS && start.elapsed() < self.group)
    }
}

fn row(peaks: &Peaks, name: &str, shape: &str, cost: Cost, seconds: f64) -> Row {
    let (least, limit) = peaks.least(cost);
    let (amount, unit) = match limit {
        Limit::Arithmetic => (cost.flops, "GFLOP/s"),
        Limit::Bandwidth => (cost.bytes, "GB/s"),
    };
    Row {
        name: name.into(),
        shape: shape.into(),
        value: amount / seconds / 1e9,
        unit,
        fraction_of_peak: least / seconds,
        limit,
        seconds,
    }
}

/// Measures everything. `progress` gets what is measured next; `cancel` stops between two samples.
///
/// # Errors
/// [`Error::Cancelled`], and what the GPU reports.
pub async fn run(
    gpu: &Arc<Gpu>,
    options: Options,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(&str),
) -> Result<Report> {
    let schedule = Schedule::new(options);
    let go_on = || if cancel.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) };
    progress("peaks and kernels: preparing");
    let mut peaks = PeakWork::new(gpu)?;
    let mut cases = kernels::cases(gpu, options)?;
    peaks.calibrate(gpu, schedule.sample).await?;
    for case in &mut cases {
        go_on()?;
        case.work.calibrate(gpu, schedule.sample).await?;
    }
    let (mut round, start) = (0, Instant::now());
    while schedule.goes_on(round, start) {
        progress(&format!("peaks and kernels: round {}", round + 1));
        peaks.sample(gpu).await?;
        for case in &mut cases {
            go_on()?;
            case.work.sample(gpu).await?;
        }
        peaks.sample(gpu).await?;
        round += 1;
    }
    let kernels: Vec<_> =
        cases.into_iter().map(|case| (case.name, case.shape, case.cost, case.work.median())).collect();
    let mut models = Vec::new();
    for &format in model::formats(options) {
        progress(&format!("decoding and training: {format:?} weights"));
        models.extend(model::rows(gpu, options, schedule, format, &mut peaks, &go_on).await?);
    }
    let peaks = peaks.peaks();
    let rows = kernels
        .into_iter()
        .map(|(name, shape, cost, seconds)| row(&peaks, name, &shape, cost, seconds))
        .chain(models.into_iter().map(|timed| timed.row(&peaks)))
        .collect();
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
        write!(f, "peaks: {:.1} GFLOP/s", self.peaks.gigaflops)?;
        for bandwidth in &self.peaks.bandwidth {
            let mebibytes = bandwidth.bytes as f64 / f64::from(1 << 20);
            write!(f, ", {:.1} GB/s at {mebibytes} MiB", bandwidth.gigabytes_per_second)?;
        }
        writeln!(f)?;
        let width = |text: fn(&Row) -> &str| self.rows.iter().map(|row| text(row).len()).max().unwrap_or(0);
        let (name, shape) = (width(|row| &row.name), width(|row| &row.shape));
        writeln!(f, "{:name$}  {:shape$}  {:>10}  {:8}  of peak", "what", "shape", "speed", "")?;
        for (index, row) in self.rows.iter().enumerate() {
            let percent = 100.0 * row.fraction_of_peak;
            write!(
                f,
                "{:name$}  {:shape$}  {:>10.2}  {:8}  {percent:5.1} %",
                row.name, row.shape, row.value, row.unit
            )?;
            if index + 1 < self.rows.len() {
                writeln!(f)?;
            }
        }
        Ok(())
    }
}
