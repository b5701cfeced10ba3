//! `stepladder bench`: speed of this GPU's kernels and of whole passes of models, beside its own measured peaks.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use stepladder::bench::{self, Options, Shape, Suite};
use stepladder::gpu::{Gpu, GpuOptions};
use stepladder::kernel::weight::Format;
use stepladder::train::files::write_atomic;
use stepladder::{Error, Result};

use super::args::weight_format;
use super::context::Context;
use super::session::print_profile;
use super::signals::say;

/// Options of `bench`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    /// Take seconds instead of a few minutes: fewer formats and layers, shorter samples
    #[arg(long)]
    pub(super) quick: bool,
    /// What to measure [default: kernels,decode,train]
    #[arg(long, value_delimiter = ',', value_parser = names(Suite::ALL.map(|(name, _)| name)), value_name = "SUITES")]
    suite: Vec<String>,
    /// Models whose shapes are measured, with random weights
    #[arg(long, value_delimiter = ',', value_parser = names(Shape::ALL.map(|shape| shape.name)),
          default_value = Shape::SMOLLM2.name, value_name = "MODELS")]
    shape: Vec<String>,
    /// Weight formats (default: those that suit the suite)
    #[arg(long, value_delimiter = ',', value_parser = weight_format(), value_name = "FORMATS")]
    format: Vec<Format>,
    /// Layers of the models (default: all on a GPU, 4 on a software adapter)
    #[arg(long)]
    layers: Option<usize>,
    /// Rounds of samples (default: as many as fit into some time)
    #[arg(long)]
    rounds: Option<usize>,
    /// Only rows whose name and shape hold this text
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Leave the device's peaks out, and with them the memory that they take
    #[arg(long)]
    no_peaks: bool,
    /// Write the report to this file too, for others to compare with (CONTRIBUTING.md says how to send it); measures what the bars in
    /// benches/README.md need, unless --suite or --format say otherwise
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
}

/// What [`Args::report`] measures.
const REPORTED_SUITES: [Suite; 5] =
    [Suite::Kernels, Suite::Prefill, Suite::Decode, Suite::Train, Suite::Grpo];
const REPORTED_FORMATS: [Format; 3] = [Format::F32, Format::F16, Format::Q4];

fn names<const N: usize>(names: [&'static str; N]) -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(names)
}

impl Args {
    fn options(&self) -> Options {
        let suite =
            |name: &String| Suite::ALL.into_iter().find(|(known, _)| known == name).map(|(_, suite)| suite);
        let reported = self.report.is_some();
        Options {
            quick: self.quick,
            suites: match (self.suite.is_empty(), reported) {
                (false, _) => self.suite.iter().filter_map(suite).collect(),
                (true, true) => REPORTED_SUITES.into(),
                (true, false) => vec![Suite::Kernels, Suite::Decode, Suite::Train],
            },
            shapes: self.shape.iter().filter_map(|name| Shape::named(name)).collect(),
            formats: match self.format.is_empty() && reported {
                true => REPORTED_FORMATS.into(),
                false => self.format.clone(),
            },
            layers: self.layers,
            rounds: self.rounds,
            only: self.only.clone(),
            no_peaks: self.no_peaks,
        }
    }
}

/// Measures the GPU and prints the table.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    if let Some(file) = &args.report {
        context.gate.file("--report", file)?;
    }
    let options = GpuOptions { name: context.gpu.clone(), f16: context.f16, ..GpuOptions::default() };
    let (gpu, report) = pollster::block_on(async {
        let gpu = Arc::new(Gpu::open(&options).await?);
        if context.profile {
            gpu.start_profiling()?;
        }
        let mut progress = say;
        let report = bench::run(&gpu, &args.options(), context.cancelled(), &mut progress).await?;
        Ok::<_, Error>((gpu, report))
    })?;
    let written = match &args.report {
        Some(file) => {
            let text =
                serde_json::to_vec_pretty(&report).map_err(|error| Error::write(file, error.into()))?;
            write_atomic(file, &text)?;
            format!("\nwritten: {}", file.display())
        }
        None => String::new(),
    };
    context.answer(&report, || format!("{report}{written}"))?;
    print_profile(context, &gpu)
}
