//! The names by which requests choose what answers them.

use std::path::{Path, PathBuf};

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::refusal::Refusal;
use crate::error::either;
use crate::{Error, Result};

/// The model without an adapter.
pub(super) const BASE: &str = "base";

/// The name by which requests choose a lesson of the library.
pub(super) fn of_lesson(number: u32) -> String {
    format!("{BASE}@library/{number}")
}

/// The lesson that a model's name means.
pub(super) fn lesson(name: &str) -> Option<&str> {
    name.strip_prefix(BASE)?.strip_prefix("@library/")
}

/// The name of an adapter without the base before it.
pub(super) fn bare(name: &str) -> Option<&str> {
    name.strip_prefix(BASE)?.strip_prefix(':')
}

/// Whether a model's name means a lesson.
pub(super) fn is_lesson(name: &str) -> bool {
    lesson(name).is_some()
}

/// An adapter that requests can choose beside the base.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Its name in requests.
    pub name: String,
    /// Its PEFT folder; none is a library that has learnt nothing yet.
    pub folder: Option<PathBuf>,
    /// The library whose head it is.
    pub library: Option<PathBuf>,
}

impl Choice {
    /// The adapter in a folder, under a name of the user's.
    ///
    /// # Errors
    /// [`Error::Usage`] for a name that is empty, long or not printable.
    pub fn adapter(name: &str, folder: &Path) -> Result<Self> {
        let fits = |sign: char| sign.is_ascii_graphic() && sign != '"' && sign != '\\';
        if name.is_empty() || name.len() > 128 || !name.chars().all(fits) {
            let problem = format!("{name:?} is no name");
            return Err(Error::usage(
                "adapter",
                problem,
                "use up to 128 letters, digits and signs, as in poet=runs/poet",
            ));
        }
        Ok(Self { name: name.to_owned(), folder: Some(folder.to_owned()), library: None })
    }

    /// The head of a library: the folder of its adapter, or none while it is the base.
    pub fn head(library: &Path, folder: Option<PathBuf>) -> Self {
        let name = format!("{BASE}@library");
        Self { name, folder, library: Some(library.to_owned()) }
    }
}

/// All names, each with the number of its adapter; 0 is the base.
#[derive(Debug)]
pub(super) struct Names {
    /// The model's own name comes first.
    listed: Vec<(String, usize)>,
    /// Names that stand for the base besides.
    base: Vec<String>,
    created: u64,
}

impl Names {
    /// The names of a model that its user calls `model`, and of its adapters, which are numbered from 1 on.
    ///
    /// # Errors
    /// [`Error::Usage`] for a name that is given twice.
    pub(super) fn new(model: &str, choices: &[Choice], created: u64) -> Result<Self> {
        let last = model.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or(model);
        let own = last.strip_suffix(".gguf").unwrap_or(last);
        let mut listed = vec![(own.to_owned(), 0)];
        let base = vec![BASE.to_owned(), model.to_owned()];
        for (index, choice) in choices.iter().enumerate() {
            if listed.iter().any(|(name, _)| *name == choice.name) || base.contains(&choice.name) {
                let problem = format!("the name `{}` is taken", choice.name);
                return Err(Error::usage("adapter", problem, "give each adapter a name of its own"));
            }
            listed.push((choice.name.clone(), index + 1));
        }
        Ok(Self { listed, base, created })
    }

    /// The listed name and the number of the adapter that a request means; without a name it means the base.
    ///
    /// # Errors
    /// A refusal with all names.
    pub(super) fn find(&self, name: Option<&str>) -> Result<(&str, usize), Refusal> {
        let (own, _) = &self.listed[0];
        let Some(name) = name else { return Ok((own, 0)) };
        if let Some((name, number)) = self.listed.iter().find(|(listed, _)| listed == name) {
            return Ok((name, *number));
        }
        if self.base.iter().any(|base| base == name) {
            return Ok((own, 0));
        }
        let shown: String = name.chars().take(80).collect();
        let message = format!("model: there is no {shown:?} here; use {}", either(&self.names()));
        Err(Refusal::new(StatusCode::NOT_FOUND, "model_not_found", message).of_field("model"))
    }

    /// Whether a name means something already.
    pub(super) fn is_taken(&self, name: &str) -> bool {
        self.listed.iter().any(|(listed, _)| listed == name) || self.base.iter().any(|base| base == name)
    }

    /// All listed names.
    pub(super) fn names(&self) -> Vec<&str> {
        self.listed.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The answer of `/v1/models`, with names that came since the start.
    pub(super) fn list(&self, loaded: &[String]) -> Value {
        let names = self.names().into_iter().chain(loaded.iter().map(String::as_str));
        let data: Vec<Value> = names.map(|name| self.describe(name)).collect();
        json!({ "object": "list", "data": data })
    }

    /// What is told of a listed name.
    pub(super) fn describe(&self, name: &str) -> Value {
        json!({ "id": name, "object": "model", "created": self.created, "owned_by": "stepladder" })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_a_short_name_and_the_one_it_was_given() {
        let poet = Choice::adapter("poet", Path::new("p")).unwrap();
        let names = Names::new("models/Qwen3-0.6B.gguf", std::slice::from_ref(&poet), 0).unwrap();
        assert_eq!(names.names(), ["Qwen3-0.6B", "poet"]);
        for name in [None, Some("base"), Some("Qwen3-0.6B"), Some("models/Qwen3-0.6B.gguf")] {
            assert_eq!(names.find(name), Ok(("Qwen3-0.6B", 0)), "{name:?}");
        }
        assert_eq!(names.find(Some("poet")), Ok(("poet", 1)));
        assert!(names.find(Some("gpt-4")).is_err());
        assert!(Names::new("m", &[poet.clone(), poet], 0).is_err());
        let base = Choice::adapter("base", Path::new("p")).unwrap();
        assert!(Names::new("m", &[base], 0).is_err());
        assert!(Choice::adapter("a b", Path::new("p")).is_err());
    }
}
