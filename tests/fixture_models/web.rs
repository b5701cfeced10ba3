//! The fixtures' files, inside the module that a browser runs.

use std::path::{Path, PathBuf};

use stepladder::model::source::bytes::Memory;
use stepladder::model::source::folder::{Folder, SINGLE};

/// The files of the families, by their path in tests/fixtures/models.
macro_rules! files {
    ($($family:literal),*) => {
        &[$(
            file!($family, "config.json"),
            file!($family, "model.safetensors"),
            file!($family, "expected.json"),
            file!($family, "expected.safetensors"),
            file!($family, "adapter/adapter_config.json"),
            file!($family, "adapter/adapter_model.safetensors"),
        )*]
    };
}

macro_rules! file {
    ($family:literal, $name:literal) => {{
        let bytes: &[u8] = include_bytes!(concat!("../fixtures/models/", $family, "/", $name));
        (concat!($family, "/", $name), bytes)
    }};
}

const FILES: &[(&str, &[u8])] =
    files!("llama", "qwen2", "qwen3", "gemma3", "smollm3", "granite", "ministral3", "olmo2", "olmo3", "phi3");

pub(crate) fn folder(name: &str) -> PathBuf {
    PathBuf::from(name)
}

/// The bytes of a file.
pub(crate) fn read(path: &Path) -> Vec<u8> {
    let found = FILES.iter().find(|(name, _)| Path::new(name) == path);
    found.unwrap_or_else(|| panic!("{} is not in the module", path.display())).1.to_vec()
}

/// The weights of a fixture.
pub(crate) fn source(name: &str) -> Folder<Memory<Vec<u8>>> {
    let file = folder(name).join(SINGLE);
    Folder::of(&folder(name), None, |_| Ok(Some(Memory::new(&file, read(&file))))).unwrap()
}
