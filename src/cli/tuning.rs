//! Autotune at first use: the choices of an adapter are measured once and kept in the user's cache folder.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pollster::block_on;
use stepladder::Result;
use stepladder::bench::tune::tune;
use stepladder::model::Model;
use stepladder::train::files::{create_folder, write_atomic};

/// Chooses the fastest kernels for a model's weights, from the cache where it has them. A cache that cannot be read or
/// written only costs the few seconds again.
pub(super) fn choose_kernels(model: &Model) -> Result<()> {
    let file = cache_file(model);
    let mut known: BTreeMap<String, usize> = file
        .as_ref()
        .and_then(|file| std::fs::read(file).ok())
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let before = known.len();
    block_on(tune(model.gpu(), &model.weights().formats(), &mut known))?;
    if known.len() > before
        && let Some(file) = file
    {
        let written = create_folder(file.parent().unwrap_or(&file)).and_then(|()| {
            let json = serde_json::to_vec_pretty(&known).unwrap_or_default();
            write_atomic(&file, &json)
        });
        if let Err(error) = written {
            tracing::warn!(%error, "kernel choices are not kept");
        }
    }
    Ok(())
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
