//! Everything that a GGUF file of a model says, and how its tensors are stored.

use super::describe::Description;
use super::layout::{Entries, Entry};
use super::quantisation::Quantisation;
use super::vocabulary::Vocabulary;
use crate::Result;
use crate::model::config::scaling::{FREQS, RopeTensors};
use crate::model::open::OpenModel;

/// Version of the layout of ggml's blocks, which files with blocks say.
const QUANTISATION_VERSION: u32 = 2;
/// Keys that say how another file is stored.
const STORED: [&str; 3] = [FILE_TYPE, VERSION, "general.alignment"];
const FILE_TYPE: &str = "general.file_type";
const VERSION: &str = "general.quantization_version";
/// Beginnings of such keys.
const STORED_PREFIXES: [&str; 2] = ["split.", "quantize."];
/// Keys that divisors of RoPE's frequencies were multiplied with when they were read.
const SCALED: [&str; 2] = [".rope.scaling.factor", ".rope.scale_linear"];

/// A file that is to be written.
#[derive(Debug)]
pub struct GgufPlan {
    /// The metadata.
    pub entries: Entries,
    /// What is said of RoPE as tensors.
    pub of_rope: RopeTensors,
    /// What weights of the norms of query heads are multiplied with.
    pub query_factor: f32,
    /// How matrices are stored.
    pub quantisation: &'static Quantisation,
    /// What is lost, a sentence each.
    pub warnings: Vec<String>,
}

impl GgufPlan {
    /// The plan for `model`, which is called `name`. `raw` are the metadata of the GGUF file that it came from, which stay as they
    /// are, except what says how tensors are stored.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) naming what GGUF files have no form for.
    pub fn of(
        model: &OpenModel,
        name: Option<&str>,
        raw: Option<Vec<(String, Vec<u8>)>>,
        quantisation: &'static Quantisation,
    ) -> Result<Self> {
        let mut plan = match raw {
            Some(raw) => {
                let of_rope = model.config.rope.scaling.tensors();
                let is_stale = |key: &str| {
                    STORED.contains(&key)
                        || STORED_PREFIXES.iter().any(|start| key.starts_with(start))
                        || of_rope.contains_key(FREQS) && SCALED.iter().any(|end| key.ends_with(end))
                };
                let entries = raw.into_iter().filter(|(key, _)| !is_stale(key));
                let entries = entries.map(|(key, bytes)| (key, Entry::Raw(bytes))).collect();
                Self { entries, of_rope, query_factor: 1.0, quantisation, warnings: Vec::new() }
            }
            None => {
                let Description { entries: described, of_rope, query_factor } =
                    Description::of(&model.config)?;
                let chat = model.chat_template.as_ref();
                let vocabulary = Vocabulary::of(&model.tokenizer, &model.config, chat)?;
                let mut entries: Entries = vec![("general.type".into(), "model".into())];
                entries.extend(name.map(|name| ("general.name".into(), name.into())));
                entries.extend(described);
                entries.extend(vocabulary.entries);
                Self { entries, of_rope, query_factor, quantisation, warnings: vocabulary.warnings }
            }
        };
        plan.entries.extend([
            (FILE_TYPE.to_owned(), quantisation.file_type.into()),
            (VERSION.to_owned(), QUANTISATION_VERSION.into()),
        ]);
        Ok(plan)
    }
}
