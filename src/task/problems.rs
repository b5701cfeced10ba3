//! Problems files: one JSON object a line.

use std::path::Path;

use super::Problem;
use crate::{Error, Result};

/// Longest problem in bytes; real ones have fewer than a hundred.
const MAX_PROBLEM_BYTES: usize = 16 << 10;

/// The problems in `text`, the contents of `file`. Empty lines are skipped.
///
/// # Errors
/// [`Error::Input`] with the line's number for a line that is not a problem, or if there is none.
pub fn parse_problems(file: &Path, text: &str) -> Result<Vec<Problem>> {
    Ok(parse_numbered_problems(file, text)?.into_iter().map(|(_, problem)| problem).collect())
}

/// [`parse_problems`], each problem with the number of its line, from 1.
///
/// # Errors
/// The same.
pub fn parse_numbered_problems(file: &Path, text: &str) -> Result<Vec<(usize, Problem)>> {
    let hint = "write one object a line, such as {\"problem\": \"x*exp(x)\"}";
    let mut problems = Vec::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let fail = |problem: String| Error::input(file, format!("line {}", index + 1), problem, hint);
        let problem: Problem = serde_json::from_str(line).map_err(|error| fail(error.to_string()))?;
        if problem.problem.trim().is_empty() {
            return Err(fail("`problem` is empty".into()));
        }
        if problem.problem.len() > MAX_PROBLEM_BYTES {
            return Err(fail(format!("`problem` has {} bytes", problem.problem.len())));
        }
        problems.push((index + 1, problem));
    }
    if problems.is_empty() {
        return Err(Error::input(file, "contents", "there is no problem in it", hint));
    }
    Ok(problems)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn lines_become_problems() {
        let text = "\u{feff}{\"problem\": \"x\"}\n\n{\"problem\": \"x^2\", \"id\": \"b\", \"level\": 2, \"note\": 1}\n";
        let problems = parse_problems(Path::new("p.jsonl"), text).unwrap();
        assert_eq!(problems.len(), 2);
        assert_eq!((problems[1].id.as_deref(), problems[1].level), (Some("b"), Some(2)));
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, place) in [
            ("", "contents"),
            ("\n \n", "contents"),
            ("{\"problem\": \"x\"}\nnot json\n", "line 2"),
            ("{\"problem\": 3}", "line 1"),
            ("{\"problm\": \"x\"}", "line 1"),
            ("{\"problem\": \" \"}", "line 1"),
        ] {
            let message = parse_problems(Path::new("p.jsonl"), text).unwrap_err().to_string();
            assert!(message.contains("p.jsonl") && message.contains(place), "{message}");
        }
    }
}
