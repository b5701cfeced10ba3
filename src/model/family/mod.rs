//! Model families: what distinguishes the checkpoints of one architecture from another's.
//!
//! A family is data. To add one, write its file with a [`Family`] and add it to [`FAMILIES`].

pub mod llama;
pub mod qwen2;
pub mod qwen3;

use std::path::Path;

use serde_json::{Map, Value};

use crate::{Error, Result};

/// Every family that can be loaded.
pub const FAMILIES: &[&Family] = &[&llama::FAMILY, &qwen2::FAMILY, &qwen3::FAMILY];

/// What is particular to one architecture; sizes are in [`ModelConfig`](super::config::ModelConfig).
#[derive(Debug)]
pub struct Family {
    /// Short name for messages.
    pub name: &'static str,
    /// Values of `architectures` in a Hugging Face `config.json`.
    pub architectures: &'static [&'static str],
    /// Value of `general.architecture` in a GGUF file; the prefix of its keys.
    pub gguf_architecture: &'static str,
    /// The q, k and v projections have biases.
    pub attention_bias: bool,
    /// q and k go through an RMSNorm over `head_dim` before RoPE.
    pub qk_norm: bool,
    /// The GGUF converter interleaves the two RoPE halves of each head's q and k rows.
    pub gguf_interleaves_qk: bool,
    /// Rejects a `config.json` that asks for something this family's forward pass does not do.
    pub check: fn(&Fields<'_>) -> Result<()>,
}

impl PartialEq for Family {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// The family of a `config.json`'s architecture name.
///
/// # Errors
/// `Input` with the list of known names.
pub fn by_architecture(file: &Path, architecture: &str) -> Result<&'static Family> {
    FAMILIES.iter().copied().find(|family| family.architectures.contains(&architecture)).ok_or_else(|| {
        let known: Vec<&str> = FAMILIES.iter().flat_map(|family| family.architectures).copied().collect();
        unknown(file, "architectures", architecture, &known)
    })
}

/// The family of a GGUF file's `general.architecture`.
///
/// # Errors
/// `Input` with the list of known names.
pub fn by_gguf_architecture(file: &Path, architecture: &str) -> Result<&'static Family> {
    FAMILIES.iter().copied().find(|family| family.gguf_architecture == architecture).ok_or_else(|| {
        let known: Vec<&str> = FAMILIES.iter().map(|family| family.gguf_architecture).collect();
        unknown(file, "general.architecture", architecture, &known)
    })
}

fn unknown(file: &Path, field: &str, architecture: &str, known: &[&str]) -> Error {
    Error::input(
        file,
        field,
        format!("unknown architecture {architecture:?}"),
        format!("use a model of one of {}", known.join(", ")),
    )
}

/// The fields of a JSON object with errors that name file and field. `null` counts as absent.
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    /// The file the object is from.
    pub file: &'a Path,
    /// Prefix of field names in messages, such as `rope_scaling.`.
    pub prefix: &'a str,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// The fields of `map`.
    pub fn new(file: &'a Path, prefix: &'a str, map: &'a Map<String, Value>) -> Self {
        Self { file, prefix, map }
    }

    /// An error about field `name`.
    pub fn error(&self, name: &str, problem: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::input(self.file, format!("{}{name}", self.prefix), problem, hint)
    }

    fn wrong_type(&self, name: &str, value: &Value, expected: &str) -> Error {
        let mut shown = value.to_string();
        if shown.len() > 60 {
            shown = shown.chars().take(60).collect::<String>() + "…";
        }
        self.error(name, format!("is {shown} where {expected} is needed"), "take the original config.json")
    }

    /// The value as it stands.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A count from 0 to 2^31 - 1 (so that products of two fit into 64 bits).
    pub fn count(&self, name: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value
            .as_u64()
            .filter(|&count| count < 1 << 31)
            .and_then(|count| usize::try_from(count).ok())
            .map(Some)
            .ok_or_else(|| self.wrong_type(name, value, "a whole number below 2147483648"))
    }

    /// A count that must be there.
    pub fn required_count(&self, name: &str) -> Result<usize> {
        self.count(name)?.ok_or_else(|| self.error(name, "is missing", "take the original config.json"))
    }

    /// A finite number.
    pub fn number(&self, name: &str) -> Result<Option<f64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value
            .as_f64()
            .filter(|number| number.is_finite())
            .map(Some)
            .ok_or_else(|| self.wrong_type(name, value, "a number"))
    }

    /// A finite number that must be there.
    pub fn required_number(&self, name: &str) -> Result<f64> {
        self.number(name)?.ok_or_else(|| self.error(name, "is missing", "take the original config.json"))
    }

    /// A truth value; absent is false.
    pub fn flag(&self, name: &str) -> Result<bool> {
        let Some(value) = self.get(name) else { return Ok(false) };
        value.as_bool().ok_or_else(|| self.wrong_type(name, value, "true or false"))
    }

    /// A string.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong_type(name, value, "a string"))
    }

    /// An object.
    pub fn object(&self, name: &str) -> Result<Option<&'a Map<String, Value>>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_object().map(Some).ok_or_else(|| self.wrong_type(name, value, "an object"))
    }

    /// Token ids given as one number or a list; absent is empty.
    pub fn token_ids(&self, name: &str) -> Result<Vec<u32>> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let ids = match value {
            Value::Array(list) => list.iter().map(id).collect(),
            one => id(one).map(|id| vec![id]),
        };
        ids.ok_or_else(|| self.wrong_type(name, value, "a token id or a list of them"))
    }

    /// Rejects `name: true`.
    pub fn reject_flag(&self, name: &str, what: &str) -> Result<()> {
        if self.flag(name)? {
            return Err(self.error(name, format!("{what} is not supported"), "use a model without it"));
        }
        Ok(())
    }

    /// Rejects a sliding window that is shorter than the longest sequence: attention here sees every position.
    pub fn reject_sliding_window(&self) -> Result<()> {
        if let Some(window) = self.count("sliding_window")? {
            let longest = self.count("max_position_embeddings")?.unwrap_or(usize::MAX);
            if window < longest {
                return Err(self.error(
                    "sliding_window",
                    format!("sliding-window attention of {window} positions is not supported"),
                    format!("use another model, or set max_position_embeddings to {window} to stay inside the window"),
                ));
            }
        }
        Ok(())
    }
}
