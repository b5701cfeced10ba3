//! Time per kernel, from timestamps around every dispatch.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Gpu;
use super::plan::Cost;
use super::readback;
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

/// Time per kernel.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    rows: BTreeMap<String, ProfileRow>,
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

/// Timestamps for the dispatches of one plan, in sets of at most the 4,096 queries that WebGPU allows.
pub(super) struct Profiler {
    sets: Vec<wgpu::QuerySet>,
    count: usize,
}

const PER_SET: usize = 2048;

impl Profiler {
    pub(super) fn new(gpu: &Gpu, count: usize) -> Result<Self> {
        if !gpu.device().features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Err(Error::usage("--profile", "this adapter has no timestamps", "leave the option out"));
        }
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

    /// Seconds of each dispatch, in order.
    pub(super) async fn read(&self, gpu: &Gpu) -> Result<Vec<f64>> {
        let mut seconds = Vec::with_capacity(self.count);
        let period = f64::from(gpu.queue().get_timestamp_period()) * 1e-9;
        for (set, queries) in self.sets.iter().enumerate() {
            let used = (self.count - set * PER_SET).min(PER_SET);
            let size = (used * 16) as u64;
            let resolved = gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some("timestamps"),
                size,
                usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            });
            let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.resolve_query_set(queries, 0..2 * used as u32, &resolved, 0);
            gpu.queue().submit([encoder.finish()]);
            let bytes = readback::read_raw(gpu, &resolved, 0, size).await?;
            let stamps: Vec<u64> = bytemuck::pod_collect_to_vec(&bytes);
            seconds
                .extend(stamps.chunks_exact(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64 * period));
        }
        Ok(seconds)
    }
}
