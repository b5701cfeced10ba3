//! Sliding-window attention: layers in which a token sees only the last positions, as `config.json` and GGUF files say it.

use serde_json::Value;

use super::{Family, Fields};
use crate::Result;
use crate::model::source::gguf_metadata::{self, Metadata};

/// The layers that see only the last positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlidingWindow {
    /// Positions that a token sees, its own among them.
    pub size: usize,
    /// Whether each layer has it.
    pub layers: Vec<bool>,
}

impl SlidingWindow {
    /// `None` where it changes nothing: no layer has it, or it holds the longest sequence.
    fn new(size: usize, layers: Vec<bool>, longest: usize) -> Option<Self> {
        (size < longest && layers.contains(&true)).then_some(Self { size, layers })
    }
}

/// What a `config.json` says besides the window.
struct Sizes {
    layers: usize,
    longest: usize,
}

impl Sizes {
    fn of(fields: &Fields<'_>) -> Result<Self> {
        let [layers, longest] =
            ["num_hidden_layers", "max_position_embeddings"].map(|name| fields.required_count(name));
        Ok(Self { layers: layers?, longest: longest? })
    }
}

/// Of families without one: a window that is shorter than the longest sequence is refused, since transformers does not heed it
/// there and other programs do.
pub fn none(fields: &Fields<'_>) -> Result<Option<SlidingWindow>> {
    let sizes = Sizes::of(fields)?;
    if typed(fields, &sizes)?.is_some_and(|layers| layers.contains(&true)) {
        return Err(fields.error("layer_types", "layers of type sliding_attention are not supported", FULL));
    }
    match fields.count("sliding_window")? {
        Some(size) if size < sizes.longest => Err(fields.error(
            "sliding_window",
            format!("sliding-window attention of {size} positions is not supported in this family"),
            "use another model, or remove it if the model was trained without it",
        )),
        _ => Ok(None),
    }
}

/// Of Mistral and Phi: in all layers. `absent` is the size that transformers takes where the file does not say; newer files say null.
pub fn in_all(fields: &Fields<'_>, absent: Option<usize>) -> Result<Option<SlidingWindow>> {
    let sizes = Sizes::of(fields)?;
    let layers = typed(fields, &sizes)?.unwrap_or_else(|| vec![true; sizes.layers]);
    let size = if fields.has("sliding_window") { size(fields)? } else { absent };
    Ok(size.and_then(|size| SlidingWindow::new(size, layers, sizes.longest)))
}

/// Of Qwen: `use_sliding_window` switches it on for the layers from `max_window_layers` on, unless `layer_types` says it of each
/// layer.
pub fn switched(fields: &Fields<'_>) -> Result<Option<SlidingWindow>> {
    let sizes = Sizes::of(fields)?;
    // Every Qwen config has these; they mean nothing while the switch is off.
    let first = fields.count("max_window_layers")?.unwrap_or(28);
    let size = if fields.has("sliding_window") { size(fields)? } else { Some(4096) };
    let typed = typed(fields, &sizes)?;
    let on = fields.flag("use_sliding_window")?;
    match (size.filter(|_| on), typed) {
        (None, Some(layers)) if layers.contains(&true) => Err(fields.error(
            "layer_types",
            "has layers of sliding_attention, which use_sliding_window or sliding_window switches off",
            "take the original config.json",
        )),
        (None, _) => Ok(None),
        (Some(size), typed) => {
            let layers = typed.unwrap_or_else(|| (0..sizes.layers).map(|layer| layer >= first).collect());
            Ok(SlidingWindow::new(size, layers, sizes.longest))
        }
    }
}

/// Of families in which it alternates with layers that see everything, see [`alternate`]; `absent` as in [`in_all`].
pub fn alternating(fields: &Fields<'_>, family: &Family, absent: usize) -> Result<Option<SlidingWindow>> {
    let (sizes, layers) = (Sizes::of(fields)?, alternate(fields, family)?);
    let size = if fields.has("sliding_window") { size(fields)? } else { Some(absent) };
    Ok(size.and_then(|size| SlidingWindow::new(size, layers, sizes.longest)))
}

/// Whether each layer is one of those with a window, however wide: all but each [`Family::full_every`]-th, unless `layer_types` or
/// `sliding_window_pattern` says otherwise.
pub fn alternate(fields: &Fields<'_>, family: &Family) -> Result<Vec<bool>> {
    let sizes = Sizes::of(fields)?;
    let every = fields.count("sliding_window_pattern")?.or(family.full_every).unwrap_or(0);
    Ok(typed(fields, &sizes)?.unwrap_or_else(|| pattern(sizes.layers, every)))
}

/// Each `every`-th layer sees everything; with 0 none does.
fn pattern(layers: usize, every: usize) -> Vec<bool> {
    (1..=layers).map(|number| every == 0 || !number.is_multiple_of(every)).collect()
}

/// What to do about layers of other kinds.
const FULL: &str = "use a model with full_attention only";

fn size(fields: &Fields<'_>) -> Result<Option<usize>> {
    match fields.count("sliding_window")? {
        Some(0) => {
            Err(fields.error("sliding_window", "is 0; a token sees at least itself", "write null for none"))
        }
        size => Ok(size),
    }
}

/// Whether each layer has the window by `layer_types`, if the file has that.
fn typed(fields: &Fields<'_>, sizes: &Sizes) -> Result<Option<Vec<bool>>> {
    let Some(types) = fields.get("layer_types") else { return Ok(None) };
    let types = types.as_array().map(Vec::as_slice).unwrap_or_default();
    if types.len() != sizes.layers {
        let problem = format!("is no list of {} layers", sizes.layers);
        return Err(fields.error("layer_types", problem, "take the original config.json"));
    }
    let kind = |kind: &Value| match kind.as_str() {
        // Granite 4's word for it.
        Some("full_attention" | "attention") => Ok(false),
        Some("sliding_attention") => Ok(true),
        _ => Err(fields.error("layer_types", format!("layers of type {kind} are not supported"), FULL)),
    };
    types.iter().map(kind).collect::<Result<_>>().map(Some)
}

/// As a GGUF file says it, whose `layers` and `longest` are those of its other keys.
pub fn of_gguf(
    family: &Family,
    metadata: &Metadata,
    layers: usize,
    longest: usize,
) -> Result<Option<SlidingWindow>> {
    let key = |name: &str| format!("{}.attention.{name}", family.gguf_architecture);
    let size = metadata.count(&key("sliding_window"))?.filter(|&size| size > 0 && size < longest);
    if family.full_every.is_none() {
        return match size {
            Some(size) => {
                let problem =
                    format!("sliding-window attention of {size} positions is not supported in this family");
                Err(metadata.error(&key("sliding_window"), problem, "use another model"))
            }
            None => Ok(None),
        };
    }
    let layers = alternate_of_gguf(family, metadata, layers)?;
    Ok(size.and_then(|size| SlidingWindow::new(size, layers, longest)))
}

/// [`alternate`] of a GGUF file with so many layers.
///
/// # Errors
/// `Input` if the file says it of another number of layers.
pub fn alternate_of_gguf(family: &Family, metadata: &Metadata, layers: usize) -> Result<Vec<bool>> {
    let name = format!("{}.attention.sliding_window_pattern", family.gguf_architecture);
    let every = family.full_every.unwrap_or(0);
    let has: Vec<bool> = match metadata.get(&name) {
        Some(gguf_metadata::Value::Ints(flags)) => flags.iter().map(|&flag| flag != 0).collect(),
        _ => pattern(layers, metadata.count(&name)?.unwrap_or(every)),
    };
    if has.len() != layers {
        let problem = format!("is no list of {layers} layers");
        return Err(metadata.error(&name, problem, "convert the model again"));
    }
    Ok(has)
}
