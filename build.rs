//! Writes the shaders' text without comments, for what a browser downloads.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// What begins a line that names an import, and ends one of a loop to be written out; `src/gpu/shader.rs` reads both.
const READ: [&str; 2] = ["//! use ", "// unroll"];

/// The text without what only people read.
fn bare(text: &str) -> String {
    let code = |line: &str| match line.find("//") {
        Some(at) if !READ.iter().any(|mark| line[at..].starts_with(mark)) => line[..at].trim_end().to_owned(),
        _ => line.to_owned(),
    };
    let lines: Vec<String> = text.lines().map(code).filter(|line| !line.trim().is_empty()).collect();
    lines.join("\n") + "\n"
}

/// Writes the bare text of every file of a folder into another.
fn write_bare(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            write_bare(&from, &to)?;
        } else {
            fs::write(to, bare(&fs::read_to_string(from)?))?;
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_ARCH")? == "wasm32" {
        println!("cargo:rerun-if-changed=shaders");
        let shaders = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("shaders");
        write_bare(&shaders, &PathBuf::from(env::var("OUT_DIR")?).join("shaders"))?;
    }
    Ok(())
}
