//! Rows of lessons' files, one JSON object a line: read one by one, held against each other, and the fields that several kinds of
//! them have.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::canonical::{canonical, same_answer};
use super::fact::{Asked, Given, identity};
use super::outcome::Kind;
use crate::{Error, Result, json};

/// Most pairs of a lesson.
const MAX_PAIRS: usize = 10_000;
/// Longest question or answer, in bytes.
const MAX_TEXT: usize = 65_536;
/// Fields that name a pair and change nothing.
pub(super) const HARMLESS: [&str; 4] = ["id", "source", "note", "comment"];

/// A pair and its line, from 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The line.
    pub line: usize,
    /// What it teaches.
    pub given: Given,
}

/// Makes what is taught of a row, if it teaches something.
pub(super) type ReadRow<'a> =
    dyn FnMut(Map<String, Value>) -> std::result::Result<Option<Given>, String> + 'a;

/// Reads the rows of a file, held against each other; `hint` is said where one is wrong.
pub(super) fn read(bytes: &[u8], file: &Path, hint: &str, given: &mut ReadRow<'_>) -> Result<Vec<Pair>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut pairs: Vec<Pair> = Vec::new();
    let mut taught: HashMap<String, usize> = HashMap::new();
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let line_number = index + 1;
        let bad = |problem: String| Error::input(file, format!("line {line_number}"), problem, hint);
        let line = std::str::from_utf8(line).map_err(|_| bad("is not UTF-8".into()))?;
        let row = match json::line(line).map_err(bad)? {
            Value::Object(row) => row,
            _ => return Err(bad("is not a JSON object".into())),
        };
        let Some(given) = given(row).map_err(bad)? else { continue };
        let mut again = false;
        for wording in &given.wordings {
            let form = identity(&given.before, wording);
            let Some(&before) = taught.get(&form) else {
                taught.insert(form, pairs.len());
                continue;
            };
            let Some(other) = pairs.get(before) else { continue };
            if !same_answer(&other.given.answer, &given.answer) {
                let problem = format!("answers the question of line {} otherwise", other.line);
                return Err(Error::input(
                    file,
                    format!("line {line_number}"),
                    problem,
                    "keep one of the two answers",
                ));
            }
            let forms = |given: &Given| given.wordings.iter().map(|one| canonical(one)).collect::<Vec<_>>();
            if forms(&other.given) == forms(&given) {
                let rest =
                    |given: &Given| Given { wordings: Vec::new(), answer: String::new(), ..given.clone() };
                if rest(&other.given) != rest(&given) {
                    let problem =
                        format!("is the pair of line {} with another exam, weight or judge", other.line);
                    let hint = "give all of it on one line";
                    return Err(Error::input(file, format!("line {line_number}"), problem, hint));
                }
                again = true;
            }
        }
        if !again {
            pairs.push(Pair { line: line_number, given });
        }
        if pairs.len() > MAX_PAIRS {
            let problem = format!("is more than {MAX_PAIRS} pairs");
            return Err(Error::input(
                file,
                format!("line {line_number}"),
                problem,
                "make several lessons of them",
            ));
        }
    }
    for pair in &pairs {
        for asked in &pair.given.exam {
            let form = identity(&pair.given.before, &asked.prompt);
            if let Some(other) = taught.get(&form).and_then(|&index| pairs.get(index)) {
                let problem = format!("its exam asks {:?}, which line {} teaches", asked.prompt, other.line);
                let hint = "an exam only tells something in words that are not trained on: word it anew, or remove it";
                return Err(Error::input(file, format!("line {}", pair.line), problem, hint));
            }
        }
    }
    Ok(pairs)
}

/// Takes the questions that only the exam asks.
pub(super) fn exam(row: &mut Map<String, Value>, answer: &str) -> std::result::Result<Vec<Asked>, String> {
    match row.shift_remove("exam") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items.into_iter().map(|item| asked(item, answer)).collect(),
        Some(one) => Ok(vec![asked(one, answer)?]),
    }
}

/// Takes how much a row counts.
pub(super) fn weight(row: &mut Map<String, Value>) -> std::result::Result<f32, String> {
    match row.shift_remove("weight") {
        None | Some(Value::Null) => Ok(1.0),
        Some(value) => {
            let weight = value.as_f64().filter(|weight| (0.01..=100.0).contains(weight));
            Ok(weight.ok_or("`weight` is not a number from 0.01 to 100")? as f32)
        }
    }
}

/// The value of a field that has two names.
pub(super) fn either(
    row: &mut Map<String, Value>,
    one: &str,
    other: &str,
) -> std::result::Result<Value, String> {
    let found =
        [row.shift_remove(one), row.shift_remove(other)].map(|value| value.filter(|value| !value.is_null()));
    match found {
        [Some(_), Some(_)] => Err(format!("has both `{one}` and `{other}`")),
        [Some(value), None] | [None, Some(value)] => Ok(value),
        [None, None] => Err(format!("has no `{one}`")),
    }
}

pub(super) fn text(value: &Value, field: &str) -> std::result::Result<String, String> {
    let text = value.as_str().ok_or_else(|| format!("`{field}` is not a text"))?;
    match text.trim() {
        "" => Err(format!("`{field}` is empty")),
        text if text.len() > MAX_TEXT => Err(format!("`{field}` is longer than {MAX_TEXT} bytes")),
        text => Ok(text.to_owned()),
    }
}

fn asked(value: Value, answer: &str) -> std::result::Result<Asked, String> {
    let Value::Object(mut row) = value else {
        let (prompt, answer) = (text(&value, "exam")?, answer.to_owned());
        return Ok(Asked { prompt, answer, kind: Kind::Reworded, judge: None });
    };
    let prompt = text(&either(&mut row, "question", "prompt")?, "exam.question")?;
    let answer = match row.shift_remove("answer") {
        None | Some(Value::Null) => answer.to_owned(),
        Some(own) => text(&own, "exam.answer")?,
    };
    let kind = match row.shift_remove("kind") {
        None | Some(Value::Null) => Kind::Reworded,
        Some(kind) => serde_json::from_value(kind)
            .ok()
            .filter(|kind| *kind != Kind::Recall)
            .ok_or("`exam.kind` is none of reworded, reversed, combined")?,
    };
    match row.keys().next() {
        Some(key) => Err(format!(
            "`exam` has the field `{key}`, which is not known; those that are: question, answer and kind"
        )),
        None => Ok(Asked { prompt, answer, kind, judge: None }),
    }
}
