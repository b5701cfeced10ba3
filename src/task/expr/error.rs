//! Why a text is no expression.

use std::fmt::{Display, Formatter};

/// Why a text is no expression, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError(String);

impl ParseError {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }

    pub(super) fn unevaluated(what: &str) -> Self {
        Self(format!("holds an unevaluated {what}"))
    }
}

impl Display for ParseError {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseError {}
