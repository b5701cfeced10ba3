//! Options beside a run or an adapter that is there already: who has the say, and how options are called.

use std::path::{Path, absolute};

use serde_json::Value;
use stepladder::model::tiny;
use stepladder::train::resume::{Owner, expect_same};
use stepladder::{Error, Result};

use super::context::{Context, option};

/// A run that goes on.
pub(super) const RUN: Owner<'static> = Owner {
    name: "the run",
    hint: "leave it out to go on, or start a new run in another folder (`--help` says what may change)",
};

/// The adapter that training goes on from.
pub(super) const ADAPTER: Owner<'static> = Owner {
    name: "the adapter",
    hint: "leave it out to go on with the adapter's own, or start without --adapter",
};

/// Makes sure that a file or folder which a run was begun with is there, before anything else fails for the lack of it. A path that is not
/// whole depends on where the program is called.
///
/// # Errors
/// [`Error::Usage`] that names the option which says where it is.
pub(super) fn expect_place(option: &str, path: &Path) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let tried = absolute(path).unwrap_or_else(|_| path.to_owned());
    let problem = format!("the run was begun with `{}`, and there is no {}", path.display(), tried.display());
    let hint = match path.is_relative() {
        true => "go on from the folder that the run was begun in, or say where it is by this option",
        false => "say where it is by this option",
    };
    Err(Error::usage(option, problem, hint))
}

/// The same for a model, which may be none on this disk.
///
/// # Errors
/// As [`expect_place`].
pub(super) fn expect_model(spec: &str) -> Result<()> {
    match spec == tiny::NAME || spec.starts_with("hf:") {
        true => Ok(()),
        false => expect_place("--model", Path::new(spec)),
    }
}

/// Options on how numbers are computed, with their places in what a run stands on.
const COMPUTED: &[(&str, &str)] = &[("weights", "/weights"), ("context", "/context"), ("f16", "/f16")];

/// Holds the options of this call on how numbers are computed to what a run was begun with.
///
/// # Errors
/// As [`expect_same`].
pub(super) fn expect_computed(context: &Context, asked: &Value, has: &Value) -> Result<()> {
    expect_same(RUN, COMPUTED, |name| context.is_given(name).then(|| option(name)), asked, has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_not_there_is_told_whole() {
        let words = |path: &str| expect_place("--data", Path::new(path)).err().map(|error| error.to_string());
        assert_eq!(words("Cargo.toml"), None);
        let error = words("nosuch/d.jsonl").unwrap_or_default();
        let whole = absolute("nosuch/d.jsonl").map(|path| path.display().to_string()).unwrap_or_default();
        assert!(whole.starts_with('/') || cfg!(windows));
        assert!(
            error.starts_with("--data: the run was begun with `nosuch/d.jsonl`, and there is no "),
            "{error}"
        );
        assert!(
            error.contains(&whole) && error.contains("from the folder that the run was begun in"),
            "{error}"
        );
        assert!(!words(&whole).unwrap_or_default().contains("from the folder"));
        assert!(expect_model("tiny").is_ok() && expect_model("hf:a/b").is_ok());
        let model = expect_model("./nosuch").err().map(|error| error.to_string()).unwrap_or_default();
        assert!(model.starts_with("--model: the run was begun with `./nosuch`"), "{model}");
    }
}
