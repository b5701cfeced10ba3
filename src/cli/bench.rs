//! `stepladder bench`: speed of this GPU's kernels, decoding and training, beside its own measured peaks.

use std::sync::Arc;

use serde::Serialize;
use stepladder::Result;
use stepladder::bench::{self, Options};
use stepladder::gpu::{Gpu, GpuOptions};

use super::context::Context;

/// Options of `bench`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    /// Take seconds instead of about a minute: fewer formats and layers, shorter samples
    #[arg(long)]
    pub(super) quick: bool,
}

/// Measures the GPU and prints the table.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let options = GpuOptions { name: context.gpu.clone(), f16: context.f16, ..GpuOptions::default() };
    let report = pollster::block_on(async {
        let gpu = Arc::new(Gpu::open(&options).await?);
        let mut progress = |step: &str| eprintln!("{step}");
        bench::run(&gpu, Options { quick: args.quick }, context.cancelled(), &mut progress).await
    })?;
    context.answer(&report, || report.to_string())
}
