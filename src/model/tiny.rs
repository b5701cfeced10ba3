//! The embedded model: a stand-in that makes everything run offline (see models/tiny/README.md).

/// `config.json`
pub const CONFIG: &str = include_str!("../../models/tiny/config.json");
/// `model.safetensors`
pub const WEIGHTS: &[u8] = include_bytes!("../../models/tiny/model.safetensors");
/// `tokenizer.json`
pub const TOKENIZER: &[u8] = include_bytes!("../../models/tiny/tokenizer.json");
