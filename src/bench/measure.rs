//! Time of GPU work, and the two peaks that it is compared with.

use std::time::Instant;

use serde::Serialize;

use crate::Result;
use crate::gpu::{Buffer, Gpu, Recorder, Recording};
use crate::kernel::{peak, peak_coop};

/// Work of one dispatch or a few, timed again and again.
pub(super) struct Work {
    recording: Recording,
    /// A number of the result: reading it waits for the work.
    after: Buffer,
    /// Runs in one sample.
    times: usize,
    /// Seconds of one run, a number for each sample.
    samples: Vec<f64>,
}

impl Work {
    pub(super) fn new(rec: Recorder<'_>, after: &Buffer) -> Result<Self> {
        Ok(Self { recording: rec.finish()?, after: after.view(0, &[1])?, times: 1, samples: Vec::new() })
    }

    async fn seconds(&self, gpu: &Gpu, times: usize) -> Result<f64> {
        let start = Instant::now();
        gpu.run_repeated(&self.recording, times)?;
        gpu.read_later(&[&self.after]).bytes(gpu).await?;
        Ok(start.elapsed().as_secs_f64() / times as f64)
    }

    /// Chooses how many runs make a sample of about `target` seconds. The first run, which also compiles, is not counted.
    pub(super) async fn calibrate(&mut self, gpu: &Gpu, target: f64) -> Result<()> {
        self.seconds(gpu, 1).await?;
        let once = self.seconds(gpu, 1).await?;
        let few = self.seconds(gpu, (target / 4.0 / once).clamp(1.0, 50.0) as usize).await?;
        self.times = (target / few).clamp(1.0, 2_000.0) as usize;
        Ok(())
    }

    /// Takes one sample.
    pub(super) async fn sample(&mut self, gpu: &Gpu) -> Result<()> {
        let seconds = self.seconds(gpu, self.times).await?;
        self.samples.push(seconds);
        Ok(())
    }

    /// Seconds of a run, a number for each sample.
    pub(super) fn samples(&self) -> &[f64] {
        &self.samples
    }

    /// Median seconds of a run.
    pub(super) fn median(&self) -> f64 {
        median(&self.samples)
    }

    /// Fewest seconds of a run.
    pub(super) fn best(&self) -> f64 {
        self.samples.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// The median; of an even number, the mean of the middle two.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[half],
        _ => (sorted[half - 1] + sorted[half]) / 2.0,
    }
}

/// What a kernel has to do at least.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Floating point operations.
    pub(super) flops: f64,
    /// Bytes read or written, each once.
    pub(super) bytes: f64,
}

/// What limits some work at best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    /// The f32 arithmetic peak.
    Arithmetic,
    /// The bandwidth at the size of the data.
    Bandwidth,
}

/// The best bandwidth that was seen with so many bytes in use.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Bandwidth {
    /// Bytes read and written by one run: small ones stay in a cache.
    pub bytes: u64,
    /// 10⁹ bytes a second.
    pub gigabytes_per_second: f64,
}

/// The best that micro-kernels reach on an adapter.
#[derive(Debug, Clone, Serialize)]
pub struct Peaks {
    /// f32 products and sums, 10⁹ a second.
    pub gigaflops: f64,
    /// Products and sums of cooperative matrices with f16 factors and f32 sums, 10⁹ a second, where the device has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matrix_gigaflops: Option<f64>,
    /// Copying or reading, by size.
    pub bandwidth: Vec<Bandwidth>,
}

impl Peaks {
    /// The least seconds that work of this cost can take, and what limits it.
    ///
    /// The bandwidth is that of the same size or a larger one: work that is too short shows latency, not bandwidth.
    pub(super) fn least(&self, cost: Cost) -> (f64, Limit) {
        let largest = self.bandwidth.iter().map(|b| b.bytes).max().unwrap_or(0) as f64;
        let fits = self.bandwidth.iter().filter(|b| b.bytes as f64 >= cost.bytes.min(largest));
        let bandwidth = fits.map(|b| b.gigabytes_per_second).fold(0.0, f64::max);
        let arithmetic = cost.flops / (self.gigaflops * 1e9);
        let movement = cost.bytes / (bandwidth * 1e9);
        if arithmetic > movement { (arithmetic, Limit::Arithmetic) } else { (movement, Limit::Bandwidth) }
    }
}

/// The micro-kernels, sampled like any other work.
pub(super) struct PeakWork {
    /// With its operations.
    arithmetic: Option<(Work, f64)>,
    /// Products of cooperative matrices, with their operations.
    matrix: Option<(Work, f64)>,
    /// Bytes moved, with copies and reads of that many.
    bandwidth: Vec<(u64, [Work; 2])>,
}

impl PeakWork {
    /// Nothing to measure: every peak is unknown.
    pub(super) fn none() -> Self {
        Self { arithmetic: None, matrix: None, bandwidth: Vec::new() }
    }

    pub(super) fn new(gpu: &Gpu) -> Result<Self> {
        // Enough numbers for every core or lane, enough bytes to leave every cache.
        let (numbers, memory) = if gpu.is_software() { (1 << 14, 64 << 20) } else { (1 << 22, 256 << 20) };
        let memory = memory.min(usize::try_from(gpu.max_binding_bytes()).unwrap_or(usize::MAX));
        let rounds = 64;
        let ones = vec![1.0f32; numbers];
        let (x, y) = (gpu.upload("peak.x", &[numbers], &ones)?, gpu.buffer("peak.y", &[numbers])?);
        let mut rec = Recorder::new(gpu);
        peak::arithmetic(&mut rec, &x, &y, rounds)?;
        let flops = (4 * peak::STEPS * rounds * numbers) as f64;
        let arithmetic = Some((Work::new(rec, &y)?, flops));
        let matrix = matrix(gpu)?;
        let mut bandwidth = Vec::new();
        for bytes in [512 << 10, 4 << 20, memory] {
            let half = bytes / 8;
            let (x, y) = (gpu.buffer("peak.x", &[half])?, gpu.buffer("peak.y", &[half])?);
            let mut copy = Recorder::new(gpu);
            peak::copy(&mut copy, &x, &y)?;
            // 64 reads for each number written, which is not counted.
            let (rows, len) = (64, half / 32);
            let (x, sum) = (gpu.buffer("peak.rows", &[rows, len])?, gpu.buffer("peak.sum", &[len])?);
            let mut read = Recorder::new(gpu);
            // Neighbouring threads of a GPU should read neighbours, and a core should read on from where it is.
            peak::stream(&mut read, &x, &sum, gpu.is_software())?;
            bandwidth.push((bytes as u64, [Work::new(copy, &y)?, Work::new(read, &sum)?]));
        }
        Ok(Self { arithmetic, matrix, bandwidth })
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Work> {
        self.arithmetic
            .iter_mut()
            .chain(&mut self.matrix)
            .map(|(work, _)| work)
            .chain(self.bandwidth.iter_mut().flat_map(|(_, works)| works))
    }

    pub(super) async fn calibrate(&mut self, gpu: &Gpu, target: f64) -> Result<()> {
        for work in self.all() {
            work.calibrate(gpu, target).await?;
        }
        Ok(())
    }

    pub(super) async fn sample(&mut self, gpu: &Gpu) -> Result<()> {
        for work in self.all() {
            work.sample(gpu).await?;
        }
        Ok(())
    }

    /// The peaks: the best samples, because whatever disturbs a measurement makes it slower.
    pub(super) fn peaks(&self) -> Peaks {
        let bandwidth = self.bandwidth.iter().map(|(bytes, works)| {
            let best = works.iter().map(Work::best).fold(f64::INFINITY, f64::min);
            Bandwidth { bytes: *bytes, gigabytes_per_second: *bytes as f64 / best / 1e9 }
        });
        let gigaflops = |(work, flops): &(Work, f64)| flops / work.best() / 1e9;
        Peaks {
            gigaflops: self.arithmetic.as_ref().map_or(f64::NAN, gigaflops),
            matrix_gigaflops: self.matrix.as_ref().map(gigaflops),
            bandwidth: bandwidth.collect(),
        }
    }
}

/// The micro-kernel of cooperative matrices with its operations, where the device has them.
fn matrix(gpu: &Gpu) -> Result<Option<(Work, f64)>> {
    let Some(coop) = peak_coop::usable(gpu) else {
        return Ok(None);
    };
    let (groups, rounds) = if gpu.is_software() { (16, 64) } else { (4_096, 1_024) };
    let side = coop.side;
    let [left, right] = peak_coop::FACTORS;
    let factors = |label, count| gpu.upload(label, &[count, side, side], &vec![1f32; count * side * side]);
    let (a, b) = (factors("peak.left", left)?, factors("peak.right", right)?);
    let y = gpu.buffer("peak.y", &[groups, peak_coop::SUBGROUPS, side, side])?;
    let mut rec = Recorder::new(gpu);
    peak_coop::multiply(&mut rec, &a, &b, &y, rounds)?;
    let products = groups * peak_coop::SUBGROUPS * rounds * left * right;
    Ok(Some((Work::new(rec, &y)?, products as f64 * 2.0 * (side as f64).powi(3))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_limits() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        let at = |bytes, gigabytes_per_second| Bandwidth { bytes, gigabytes_per_second };
        let peaks = Peaks {
            gigaflops: 100.0,
            matrix_gigaflops: None,
            bandwidth: vec![at(1_000, 50.0), at(1_000_000, 10.0)],
        };
        // 1,000 bytes fit the cache, 2,000 do not; a billion operations outlast both.
        assert_eq!(peaks.least(Cost { flops: 0.0, bytes: 1_000.0 }), (2e-8, Limit::Bandwidth));
        assert_eq!(peaks.least(Cost { flops: 0.0, bytes: 2_000.0 }), (2e-7, Limit::Bandwidth));
        assert_eq!(peaks.least(Cost { flops: 1e9, bytes: 1e7 }), (0.01, Limit::Arithmetic));
    }
}
