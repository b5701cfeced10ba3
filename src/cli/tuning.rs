//! Autotune at first use: the choices of an adapter are measured once and kept in the user's cache folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pollster::block_on;
use stepladder::Result;
use stepladder::bench::tune::{missing, tune};
use stepladder::model::Model;
use stepladder::train::files::{create_folder, write_atomic};

/// In the file of choices: how often tuning was begun and not finished.
const UNFINISHED: &str = "unfinished";

/// Tuning is not begun again after so many times.
const PATIENCE: usize = 2;

/// Chooses the fastest kernels for a model's weights, from the cache where it has them. A cache that cannot be read or
/// written only costs the few seconds again.
///
/// Some kernels to choose from use what is experimental in drivers. One that brings the device or the program down does so
/// twice; after that the default kernels are used.
pub(super) fn choose_kernels(model: &Model) -> Result<()> {
    let (gpu, formats) = (model.gpu(), model.weights().formats());
    let file = cache_file(model);
    let mut known: BTreeMap<String, usize> = file
        .as_ref()
        .and_then(|file| std::fs::read(file).ok())
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let begun = known.remove(UNFINISHED).unwrap_or(0);
    let missing = missing(gpu, &formats, &known);
    let Some(file) = file.filter(|_| !missing.is_empty()) else {
        return block_on(tune(gpu, &formats, &mut known));
    };
    if begun >= PATIENCE {
        tracing::warn!(
            "choosing kernels did not finish {begun} times: the default ones are used; delete {} to try again",
            file.display()
        );
        known.extend(missing.into_iter().map(|key| (key, 0)));
        return block_on(tune(gpu, &formats, &mut known));
    }
    let mut started = known.clone();
    started.insert(UNFINISHED.into(), begun + 1);
    keep(&file, &started);
    block_on(tune(gpu, &formats, &mut known))?;
    keep(&file, &known);
    Ok(())
}

fn keep(file: &Path, choices: &BTreeMap<String, usize>) {
    let written = create_folder(file.parent().unwrap_or(file)).and_then(|()| {
        let json = serde_json::to_vec_pretty(choices).unwrap_or_default();
        write_atomic(file, &json)
    });
    // Who else writes there keeps the same choices.
    if let Err(error) = written.or_else(|error| if error.code() == "busy" { Ok(()) } else { Err(error) }) {
        tracing::warn!(%error, "kernel choices are not kept");
    }
}

/// One file for each adapter, driver, version of this program, and arithmetic.
fn cache_file(model: &Model) -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = variable("STEPLADDER_CACHE").or_else(|| {
        let cache = variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")));
        cache.map(|cache| cache.join("stepladder"))
    })?;
    let report = model.gpu().report();
    let arithmetic = if model.gpu().has_f16() { " f16" } else { "" };
    let name = format!("{} {} {}{arithmetic}", report.name, report.driver, env!("CARGO_PKG_VERSION"));
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    Some(folder.join("tune").join(format!("{name}.json")))
}
