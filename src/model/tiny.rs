//! The embedded model: a stand-in that makes everything run offline (see models/tiny/README.md).

use super::open::{OpenModel, Texts};
use crate::Result;

/// The name that stands for it on the command line.
pub const NAME: &str = "tiny";

/// Opens the embedded model.
///
/// # Errors
/// None unless the files in `models/tiny` were replaced by something else.
pub fn open() -> Result<OpenModel> {
    let texts = Texts {
        config: include_str!("../../models/tiny/config.json"),
        tokenizer: include_bytes!("../../models/tiny/tokenizer.json"),
        generation_config: Some(include_str!("../../models/tiny/generation_config.json")),
        tokenizer_config: Some(include_str!("../../models/tiny/tokenizer_config.json")),
        ..Texts::default()
    };
    OpenModel::from_static(NAME, texts, include_bytes!("../../models/tiny/model.safetensors"), 0)
}
