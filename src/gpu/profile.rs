//! Time per kernel, from timestamps around every dispatch.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::Gpu;
use super::pipeline::Pipeline;
use super::readback::{self, Pending};
use super::recording::Cost;
use crate::{Error, Result};

/// Sums for one kernel.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ProfileRow {
    /// `shader/entry`.
    pub kernel: String,
    /// Number of dispatches.
    pub calls: u64,
    /// Seconds on the GPU.
    pub seconds: f64,
    /// 10⁹ bytes a second, counting every bound byte once.
    pub gigabytes_per_second: f64,
    /// 10⁹ floating point operations a second, for kernels that state theirs.
    pub gigaflops: f64,
    bytes: u64,
    flops: u64,
}

/// One dispatch on the device's clock.
#[derive(Debug, Clone)]
struct Span {
    kernel: Arc<Pipeline>,
    /// Microseconds.
    start: f64,
    duration: f64,
}

/// Dispatches that a trace keeps: what a viewer can show. Those behind them only count in the sums.
const MOST_SPANS: usize = 1 << 18;

/// Time per kernel.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    rows: BTreeMap<String, ProfileRow>,
    spans: Vec<Span>,
}

impl Profile {
    pub(super) fn add(&mut self, kernel: &str, seconds: f64, cost: Cost) {
        let row = self.rows.entry(kernel.to_string()).or_default();
        row.kernel = kernel.to_string();
        row.calls += 1;
        row.seconds += seconds;
        row.bytes += cost.bytes;
        row.flops += cost.flops;
    }

    fn merge(&mut self, other: Self) {
        for (kernel, from) in other.rows {
            let row = self.rows.entry(kernel.clone()).or_default();
            row.kernel = kernel;
            row.calls += from.calls;
            row.seconds += from.seconds;
            row.bytes += from.bytes;
            row.flops += from.flops;
        }
        let room = MOST_SPANS.saturating_sub(self.spans.len());
        self.spans.extend(other.spans.into_iter().take(room));
    }

    /// The dispatches one by one (the first quarter of a million) as a trace that Chrome's and Firefox's performance views and
    /// Perfetto open: JSON with an array `traceEvents` of complete events, times in microseconds.
    pub fn trace(&self) -> String {
        let first = self.spans.iter().map(|span| span.start).fold(f64::INFINITY, f64::min);
        let events: Vec<_> = self
            .spans
            .iter()
            .map(|span| {
                let (name, start) = (&span.kernel.label, span.start - first);
                serde_json::json!({ "name": name, "ph": "X", "ts": start, "dur": span.duration, "pid": 1, "tid": 1 })
            })
            .collect();
        serde_json::json!({ "traceEvents": events, "displayTimeUnit": "ns" }).to_string()
    }

    /// The rows, slowest first.
    pub fn rows(&self) -> Vec<ProfileRow> {
        let mut rows: Vec<ProfileRow> = self.rows.values().cloned().collect();
        for row in &mut rows {
            let seconds = row.seconds.max(1e-12);
            row.gigabytes_per_second = row.bytes as f64 / seconds / 1e9;
            row.gigaflops = row.flops as f64 / seconds / 1e9;
        }
        rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        rows
    }
}

/// Timestamps for the dispatches of one recording, in sets of at most the 4,096 queries that WebGPU allows.
pub(super) struct Profiler {
    sets: Vec<wgpu::QuerySet>,
    count: usize,
}

const PER_SET: usize = 2048;

fn check(gpu: &Gpu) -> Result<()> {
    if gpu.device().features().contains(wgpu::Features::TIMESTAMP_QUERY) {
        return Ok(());
    }
    Err(Error::usage("profile", "this adapter has no timestamps", "leave the option out"))
}

impl Profiler {
    pub(super) fn new(gpu: &Gpu, count: usize) -> Result<Self> {
        check(gpu)?;
        let sets = (0..count.div_ceil(PER_SET))
            .map(|_| {
                gpu.device().create_query_set(&wgpu::QuerySetDescriptor {
                    label: Some("profile"),
                    ty: wgpu::QueryType::Timestamp,
                    count: 2 * PER_SET as u32,
                })
            })
            .collect();
        Ok(Self { sets, count })
    }

    pub(super) fn pass<'e>(
        &self,
        encoder: &'e mut wgpu::CommandEncoder,
        index: usize,
    ) -> wgpu::ComputePass<'e> {
        let slot = (index % PER_SET) as u32;
        encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: None,
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &self.sets[index / PER_SET],
                beginning_of_pass_write_index: Some(2 * slot),
                end_of_pass_write_index: Some(2 * slot + 1),
            }),
        })
    }

    /// Starts reading the times of `kernels`, the dispatches in order.
    pub(super) fn read_later(&self, gpu: &Gpu, kernels: Vec<(Arc<Pipeline>, Cost)>) -> Timed {
        let mut parts = Vec::with_capacity(self.sets.len());
        for (set, queries) in self.sets.iter().enumerate() {
            let used = (self.count - set * PER_SET).min(PER_SET);
            let size = (used * 16) as u64;
            let resolved = gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some("timestamps"),
                size,
                usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            });
            let started = gpu.encode();
            let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.resolve_query_set(queries, 0..2 * used as u32, &resolved, 0);
            gpu.submit(started, encoder, 0);
            parts.push(readback::read_raw_later(gpu, &resolved, 0, size));
        }
        Timed { kernels, parts }
    }
}

/// Times that are on their way to the CPU.
#[derive(Debug)]
pub(super) struct Timed {
    kernels: Vec<(Arc<Pipeline>, Cost)>,
    parts: Vec<Pending>,
}

impl Timed {
    /// Waits for them.
    pub(super) async fn add_to(self, gpu: &Gpu, profile: &mut Profile) -> Result<()> {
        let period = f64::from(gpu.queue().get_timestamp_period()) * 1e-9;
        let mut stamps: Vec<u64> = Vec::with_capacity(2 * self.kernels.len());
        for part in self.parts {
            stamps.extend(bytemuck::pod_collect_to_vec::<u8, u64>(&part.wait(gpu).await?));
        }
        for ((pipeline, cost), pair) in self.kernels.iter().zip(stamps.chunks_exact(2)) {
            let seconds = pair[1].saturating_sub(pair[0]) as f64 * period;
            profile.add(&pipeline.label, seconds, *cost);
            if profile.spans.len() < MOST_SPANS {
                let (start, duration) = (pair[0] as f64 * period * 1e6, seconds * 1e6);
                profile.spans.push(Span { kernel: Arc::clone(pipeline), start, duration });
            }
        }
        Ok(())
    }
}

/// The account of a device that times everything.
#[derive(Debug, Default)]
pub(super) struct Account {
    on: AtomicBool,
    times: Mutex<Times>,
}

#[derive(Debug, Default)]
struct Times {
    /// Not read yet.
    pending: Vec<Timed>,
    profile: Profile,
}

impl Account {
    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gpu {
    /// From now on times every dispatch of every recording, for [`Gpu::profile`]. Recordings run more slowly so.
    ///
    /// # Errors
    /// [`Error::Usage`] if the adapter has no timestamps.
    pub fn start_profiling(&self) -> Result<()> {
        check(self)?;
        self.account().on.store(true, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn profiling(&self) -> bool {
        self.account().on.load(Ordering::Relaxed)
    }

    pub(super) fn keep_times(&self, timed: Timed) {
        self.account().times().pending.push(timed);
    }

    /// Reads the times of what is done, so that they do not pile up.
    pub(super) async fn collect_times(&self) -> Result<()> {
        let pending = std::mem::take(&mut self.account().times().pending);
        let mut profile = Profile::default();
        for timed in pending {
            timed.add_to(self, &mut profile).await?;
        }
        self.account().times().profile.merge(profile);
        Ok(())
    }

    /// Time per kernel of all that ran since [`Gpu::start_profiling`].
    ///
    /// # Errors
    /// GPU errors while reading the times.
    pub async fn profile(&self) -> Result<Profile> {
        self.collect_times().await?;
        Ok(self.account().times().profile.clone())
    }
}
