//! A whole model as a GGUF file, for [`export`](super).

use std::io::BufWriter;
use std::path::Path;

use clap::builder::{PossibleValue, PossibleValuesParser};
use stepladder::Result;
use stepladder::model::open::{OpenModel, raw_metadata};
use stepladder::model::to_gguf::plan::GgufPlan;
use stepladder::model::to_gguf::quantisation::{QUANTISATIONS, Quantisation};
use stepladder::train::files::write_atomic_by;
use stepladder::train::merge_gguf::{Types, write_gguf};
use stepladder::train::peft::AdapterFile;

use super::{Args, Context, StoppableWriter, bar, say};

/// Reads the name of a way of storing.
pub(super) fn quantisation() -> PossibleValuesParser {
    PossibleValuesParser::new(QUANTISATIONS.iter().map(|way| PossibleValue::new(way.name).help(way.help)))
}

/// Writes the file; the types of its tensors.
pub(super) fn write(
    opened: &mut OpenModel,
    adapter: Option<&AdapterFile>,
    args: &Args,
    context: &Context,
) -> Result<Types> {
    let quantisation = args.quantize.as_deref().and_then(Quantisation::named).unwrap_or(&QUANTISATIONS[0]);
    let spec = Path::new(&args.model);
    let raw = opened.source.is_gguf().then(|| raw_metadata(spec)).transpose()?;
    let plan = GgufPlan::of(opened, name(&args.model).as_deref(), raw, quantisation)?;
    plan.warnings.iter().for_each(|warning| say(warning));
    let (path, mut types) = (args.output.as_path(), Types::new());
    let written = write_atomic_by(path, |file| {
        let mut out = BufWriter::new(StoppableWriter { file, cancelled: context.cancelled() });
        let (config, source) = (&opened.config, &mut *opened.source);
        types = write_gguf(config, source, adapter, &plan, path, &mut out, &mut bar())?;
        Ok(())
    });
    context.check_cancelled()?;
    written?;
    Ok(types)
}

/// The model's name: the last part of where it is.
fn name(spec: &str) -> Option<String> {
    let spec = spec.strip_prefix("hf:").map_or(spec, |name| name.split('@').next().unwrap_or(name));
    let whole = Path::new(spec).canonicalize().unwrap_or_else(|_| spec.into());
    whole.file_name().map(|name| name.to_string_lossy().into_owned())
}
