//! A model's sizes from the headers of its files alone, so that a plan can be made before the weights are fetched.

use std::path::Path;

use crate::model::config::ModelConfig;
use crate::model::source::folder::{Folder, INDEX};
use crate::model::source::gguf::Gguf;
use crate::model::source::names::canonical;
use crate::model::source::{ReadAt, TensorSource, check};
use crate::{Error, Result};

/// The longest text read: more than ten times the largest index known.
const MAX_TEXT: u64 = 64 << 20;

/// Configuration and list of tensors of the model in `files`: one `.gguf` file or all parts of one, or of a Hugging Face folder `config.json`, the
/// safetensors files and, if they are several, their index. Other files are not looked at. No more is read than the texts and
/// the beginnings of the weights.
///
/// # Errors
/// `Input` for a file that is missing, damaged or contradicts another; those of reading.
pub fn open_headers<R: ReadAt + 'static>(
    name: &str,
    mut files: Vec<R>,
) -> Result<(ModelConfig, Box<dyn TensorSource>)> {
    let is_gguf = |path: &Path| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gguf"));
    if !files.is_empty() && files.iter().all(|file| is_gguf(file.path())) {
        let source = Gguf::open_parts(files)?;
        let config = source.config().clone();
        check(&config, &source)?;
        return Ok((config, Box::new(source)));
    }
    let folder = Path::new(name);
    let mut take = |wanted: &str| {
        let place = files.iter().position(|file| file.path().file_name().is_some_and(|name| name == wanted));
        place.map(|place| files.swap_remove(place))
    };
    let config = take("config.json").ok_or_else(|| {
        let hint = "give one .gguf file, or all files of a Hugging Face folder with safetensors weights";
        Error::input(folder, "config.json", "is missing", hint)
    })?;
    let config = ModelConfig::from_json(&folder.join("config.json"), &text(config)?)?;
    let index = take(INDEX).map(text).transpose()?;
    let source = Folder::of(folder, index.as_deref(), |shard| Ok(take(shard)))?;
    let source = canonical(Box::new(source), &config);
    check(&config, source.as_ref())?;
    Ok((config, source))
}

fn text(mut file: impl ReadAt) -> Result<String> {
    let failed = |path: &Path, problem: String| Error::read(path, std::io::Error::other(problem));
    if file.len() > MAX_TEXT {
        return Err(failed(file.path(), format!("it is larger than {MAX_TEXT} bytes")));
    }
    let mut bytes = vec![0; file.len() as usize];
    file.read_at(0, &mut bytes)?;
    String::from_utf8(bytes).map_err(|error| failed(file.path(), error.to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::model::source::bytes::Memory;
    use crate::model::tiny;

    /// Bytes of which only the beginning may be read.
    struct Beginning {
        inner: Memory<&'static [u8]>,
        readable: u64,
    }

    impl ReadAt for Beginning {
        fn len(&self) -> u64 {
            self.inner.len()
        }

        fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<()> {
            assert!(offset + out.len() as u64 <= self.readable, "{} at {offset}", out.len());
            self.inner.read_at(offset, out)
        }

        fn path(&self) -> &Path {
            self.inner.path()
        }
    }

    #[test]
    fn only_beginnings_are_read_and_the_sizes_are_the_models() {
        let weights: &[u8] = include_bytes!("../../models/tiny/model.safetensors");
        let config: &[u8] = include_bytes!("../../models/tiny/config.json");
        let header = 8 + u64::from_le_bytes(weights[..8].try_into().unwrap());
        let files = vec![
            Beginning { inner: Memory::new("model.safetensors", weights), readable: header },
            Beginning { inner: Memory::new("config.json", config), readable: config.len() as u64 },
        ];
        let (config, source) = open_headers("tiny", files).unwrap();
        let whole = tiny::open().unwrap();
        assert_eq!(source.tensors(), whole.source.tensors());
        assert_eq!(config.parameters(), whole.config.parameters());
    }

    #[test]
    fn what_is_missing_is_named() {
        let config: &[u8] = include_bytes!("../../models/tiny/config.json");
        let only = |name: &str, bytes| vec![Memory::new(name, bytes)];
        let error = |files| open_headers::<Memory<&[u8]>>("m", files).map(|_| ()).unwrap_err().to_string();
        assert!(error(only("config.json", config)).contains("model.safetensors"));
        assert!(error(only("other.json", config)).contains("config.json"));
        assert!(error(only("m.gguf", config)).contains("GGUF"));
    }
}
