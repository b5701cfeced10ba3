//! Opening a model as the command line asks for it: with bars, warnings on standard error and the options of the device.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pollster::block_on;
use stepladder::gpu::{Gpu, GpuOptions};
use stepladder::ladder::base::first_difference;
use stepladder::model::open::{OpenModel, open_with_progress};
use stepladder::model::source::bytes;
use stepladder::session::{AdapterFile, Opened, Session, SessionOptions};
use stepladder::task::PromptStyle;
use stepladder::train::files::write_atomic;
use stepladder::train::fingerprint::Base;
use stepladder::train::resume::words;
use stepladder::{Error, Result};

use super::args::DeviceArgs;
use super::context::Context;
use super::progress::Progress;
use super::signals::say;

/// Opens the device that was asked for.
pub(super) fn open_gpu(context: &Context, device: &DeviceArgs) -> Result<Arc<Gpu>> {
    let options = GpuOptions {
        name: context.gpu.clone(),
        memory_limit: device.memory_limit,
        f16: context.f16 || device.f16,
        ..GpuOptions::default()
    };
    let gpu = block_on(Gpu::open(&options))?;
    if context.profile {
        gpu.start_profiling()?;
    }
    Ok(Arc::new(gpu))
}

/// Opens a model's files, downloading them with a bar if they are on the hub.
pub(super) fn open_model(context: &Context, spec: &str) -> Result<OpenModel> {
    let mut bar: Option<(String, Progress)> = None;
    let model = open_with_progress(spec, &mut |news| {
        if bar.as_ref().is_none_or(|(file, _)| file != news.file) {
            bar = Some((news.file.to_string(), Progress::new("downloading", "B", news.total)));
        }
        if let Some((file, bar)) = &mut bar {
            bar.set(news.done, file);
        }
        !context.cancelled().load(Ordering::Relaxed)
    })?;
    for warning in &model.warnings {
        say(&warning.to_string());
    }
    Ok(model)
}

/// Opens `spec` and the device.
pub(super) fn open(context: &Context, spec: &str, device: &DeviceArgs) -> Result<Opened> {
    let files = open_model(context, spec)?;
    let gpu = open_gpu(context, device)?;
    let options = SessionOptions {
        weights: device.weights,
        context: device.context_length(),
        cancel: Arc::clone(context.cancelled()),
        warn: say,
        ..SessionOptions::default()
    };
    Ok(Opened::new(files, gpu, &options))
}

/// A model that words prompts as `style` says, or as its chat template does.
pub(super) fn worded(mut opened: Opened, style: Option<PromptStyle>) -> Opened {
    opened.word(style);
    if opened.language.style() == PromptStyle::Instruct {
        opened.tell_unended();
    }
    opened
}

/// Holds `what`, a run or a library, to the model that it was begun with, or notes what it begins with. One that `asks` depends on the texts
/// that the model gets and where its answers end, too; what training sees is held to by its tokens.
///
/// # Errors
/// [`Error::Input`] if the weights, or what is computed with them, are others; those of reading.
pub(super) fn tie(
    opened: &Opened,
    base: &mut Option<Base>,
    device: &DeviceArgs,
    context: &Context,
    asks: bool,
    what: &str,
) -> Result<()> {
    let other = |field: &str, problem: String| {
        Err(Error::input(
            &opened.name,
            field,
            problem,
            format!(
                "give the model that the {what} was begun with by -m, or begin a new {what} in another folder"
            ),
        ))
    };
    let sha256 = opened.weights_hash()?;
    if base.as_ref().is_some_and(|base| !base.sha256.is_empty() && base.sha256 != sha256) {
        return other("weights", format!("are not those that the {what} was begun with"));
    }
    let model = opened.computed(asks)?;
    let old = base.as_ref().map(|base| &base.model);
    if let Some((field, old, new)) = old.and_then(|old| first_difference(old, &model)) {
        let problem = format!("is {}, but the {what} was begun with {}", words(&new), words(&old));
        return other(&field, problem);
    }
    *base = Some(Base { sha256, model, ..device.base(context) });
    Ok(())
}

/// The adapter in a PEFT folder, if one is given.
pub(super) fn adapter(opened: &Opened, folder: Option<&Path>) -> Result<Option<AdapterFile>> {
    folder.map(|folder| opened.read_adapter(folder)).transpose()
}

/// Streams the weights to the GPU.
pub(super) fn load(opened: Opened) -> Result<Session> {
    let mut bar: Option<Progress> = None;
    opened.load(&mut |done, total| {
        bar.get_or_insert_with(|| Progress::new("loading", "B", total)).set(done, "");
        true
    })
}

/// Prints the time of every kernel of a device on standard error and writes the trace, if they were asked for.
pub(super) fn print_profile(context: &Context, gpu: &Gpu) -> Result<()> {
    if !context.profile {
        return Ok(());
    }
    let profile = block_on(gpu.profile())?;
    if let Some(file) = &context.trace {
        write_atomic(file, profile.trace().as_bytes())?;
    }
    let rows = profile.rows();
    let total: f64 = rows.iter().map(|row| row.seconds).sum();
    say(&format!("{:<32} {:>8} {:>11} {:>6} {:>9} {:>9}", "kernel", "calls", "ms", "%", "GB/s", "GFLOP/s"));
    for row in rows {
        say(&format!(
            "{:<32} {:>8} {:>11.2} {:>6.1} {:>9.2} {:>9.2}",
            row.kernel,
            row.calls,
            1e3 * row.seconds,
            100.0 * row.seconds / total.max(1e-12),
            row.gigabytes_per_second,
            row.gigaflops
        ));
    }
    Ok(())
}

/// The problems in a file.
pub(super) fn read_problems(path: &Path) -> Result<Vec<stepladder::task::Problem>> {
    stepladder::task::parse_problems(path, &read_text(path)?)
}

/// The longest file of problems or texts that is read: ten million lines.
const MAX_TEXT: u64 = 1 << 30;

/// A text file of the user's.
pub(super) fn read_text(path: &Path) -> Result<String> {
    bytes::read_text(path, MAX_TEXT)
}
