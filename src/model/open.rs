//! Temporary.
use super::chat::ChatTemplate;
use super::config::ModelConfig;
use super::source::{TensorSource, bytes::*, safetensors::*};
use super::tokenizer::Tokenizer;
use crate::Result;
use std::path::Path;
/// o
pub struct OpenModel {
    /// c
    pub config: ModelConfig,
    /// s
    pub source: Box<dyn TensorSource>,
    /// t
    pub tokenizer: Tokenizer,
    /// c
    pub chat_template: Option<ChatTemplate>,
    /// n
    pub name: String,
}
/// o
pub fn open(spec: &str) -> Result<OpenModel> {
    let f = Path::new("tiny");
    Ok(OpenModel {
        config: ModelConfig::from_json(f, super::tiny::CONFIG)?,
        source: Box::new(SafeTensors::open(Memory::new("tiny", super::tiny::WEIGHTS))?),
        tokenizer: Tokenizer::from_bytes(f, super::tiny::TOKENIZER)?,
        chat_template: None,
        name: spec.into(),
    })
}
