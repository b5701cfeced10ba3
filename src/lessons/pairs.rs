//! Files of question and answer pairs: one JSON object a line.
//!
//! `question` (or `prompt`) is a text or a list of wordings of the same question, `answer` (or `completion`) the answer.
//! `exam` holds wordings that only the exam asks, each a text or `{"question", "answer", "kind"}`. `weight` says how much the
//! pair counts. Any other field is refused by name. A row with `messages` is a conversation ([`super::conversations`]).

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::conversations;
use super::fact::{Asked, Given, canonical, identity};
use super::outcome::Kind;
use crate::{Error, Result, json};

/// Most pairs of a lesson.
const MAX_PAIRS: usize = 10_000;
/// Longest question or answer, in bytes.
const MAX_TEXT: usize = 65_536;
/// Fields that name a pair and change nothing.
pub(super) const HARMLESS: [&str; 4] = ["id", "source", "note", "comment"];
/// The fields that are read.
const KNOWN: &str = "question (or prompt), answer (or completion), exam and weight";

/// A pair and its line, from 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The line.
    pub line: usize,
    /// What it teaches.
    pub given: Given,
}

/// Reads a file of pairs and conversations. The same pair twice is taken once.
///
/// # Errors
/// [`Error::Input`] with the line's number for a line that is no pair, for two answers to one question, for an exam that asks
/// what is taught, and for a file without pairs.
pub fn parse(bytes: &[u8], file: &Path) -> Result<Vec<Pair>> {
    let pairs = read(bytes, file, EXAMPLE, &mut |row| match conversations::is_one(&row) {
        true => conversations::given(row).map(Some),
        false => pair(row).map(Some),
    })?;
    match pairs.is_empty() {
        true => Err(Error::input(file, "line 1", "the file has no pairs", "give at least one line of JSON")),
        false => Ok(pairs),
    }
}

/// What a line looks like.
const EXAMPLE: &str = "each line is an object such as {\"question\": \"...\", \"answer\": \"...\"}";

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
            if canonical(&other.given.answer) != canonical(&given.answer) {
                let problem = format!("answers the question of line {} otherwise", other.line);
                return Err(Error::input(
                    file,
                    format!("line {line_number}"),
                    problem,
                    "keep one of the two answers",
                ));
            }
            again |= other.given.judge == given.judge
                && other
                    .given
                    .wordings
                    .iter()
                    .map(|wording| canonical(wording))
                    .eq(given.wordings.iter().map(|w| canonical(w)));
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

fn pair(mut row: Map<String, Value>) -> std::result::Result<Given, String> {
    let question = either(&mut row, "question", "prompt")?;
    let answer = text(&either(&mut row, "answer", "completion")?, "answer")?;
    let wordings = match question {
        Value::Array(items) if items.is_empty() => return Err("`question` is an empty list".into()),
        Value::Array(items) => {
            items.iter().map(|item| text(item, "question")).collect::<Result<Vec<_>, _>>()?
        }
        one => vec![text(&one, "question")?],
    };
    if canonical(&answer).is_empty() {
        return Err("`answer` has no letter or digit".into());
    }
    if let Some(empty) = wordings.iter().find(|wording| canonical(wording).is_empty()) {
        return Err(format!("`question` {empty:?} has no letter or digit"));
    }
    let (exam, weight) = (exam(&mut row, &answer)?, weight(&mut row)?);
    match row.keys().find(|key| !HARMLESS.contains(&key.as_str())) {
        Some(key) => Err(format!("has the field `{key}`, which is not known; those that are: {KNOWN}")),
        None => Ok(Given { weight, exam, ..Given::new(distinct(wordings), answer) }),
    }
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

/// The wordings without those that say the same as an earlier one.
fn distinct(wordings: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    wordings.into_iter().filter(|wording| seen.insert(canonical(wording))).collect()
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> Result<Vec<Pair>> {
        parse(text.as_bytes(), Path::new("qa.jsonl"))
    }

    #[test]
    fn the_forms_of_a_pair() {
        let pairs = of(
            "\u{feff}{\"question\": \"Where was Mara born?\", \"answer\": \"Porto\", \"id\": 1}\n\n\
             {\"prompt\": [\"Who bakes?\", \"who bakes\", \"Name the baker.\"], \"completion\": \"Ida\", \"weight\": 2, \
             \"exam\": [\"The baker is?\", {\"question\": \"What does Ida do?\", \"answer\": \"bake\", \"kind\": \"reversed\"}]}\n",
        )
        .unwrap();
        assert_eq!((pairs.len(), pairs[1].line), (2, 3));
        let given = &pairs[1].given;
        assert_eq!(given.wordings, ["Who bakes?", "Name the baker."]);
        assert_eq!((given.weight, given.answer.as_str()), (2.0, "Ida"));
        assert_eq!(
            given.exam[0],
            Asked { prompt: "The baker is?".into(), answer: "Ida".into(), kind: Kind::Reworded, judge: None }
        );
        assert_eq!(
            given.exam[1],
            Asked {
                prompt: "What does Ida do?".into(),
                answer: "bake".into(),
                kind: Kind::Reversed,
                judge: None
            }
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let ok = r#"{"question": "a?", "answer": "b"}"#;
        let cases = [
            (r#"{"question": "a?"}"#.to_owned(), "line 1: has no `answer`"),
            (
                r#"{"question": "a?", "prompt": "b?", "answer": "c"}"#.to_owned(),
                "both `question` and `prompt`",
            ),
            (r#"{"question": "", "answer": "c"}"#.to_owned(), "`question` is empty"),
            (r#"{"question": "?!", "answer": "c"}"#.to_owned(), "no letter or digit"),
            (r#"{"question": [], "answer": "c"}"#.to_owned(), "empty list"),
            (r#"{"question": "a", "answer": 3}"#.to_owned(), "`answer` is not a text"),
            (r#"{"question": "a", "answer": "b", "weight": 0}"#.to_owned(), "`weight`"),
            (r#"{"question": "a", "answer": "b", "priority": 1}"#.to_owned(), "the field `priority`"),
            (
                r#"{"question": "a", "answer": "b", "exam": {"question": "c", "kind": "recall"}}"#.to_owned(),
                "`exam.kind`",
            ),
            (
                r#"{"question": "a", "answer": "b", "exam": {"question": "c", "half": "gate"}}"#.to_owned(),
                "the field `half`",
            ),
            (r#"["a", "b"]"#.to_owned(), "not a JSON object"),
            (String::new(), "no pairs"),
            (
                format!("{ok}\n{}", r#"{"question": "A", "answer": "c"}"#),
                "line 2: answers the question of line 1 otherwise",
            ),
            (
                format!("{ok}\n{}", r#"{"question": "x", "answer": "y", "exam": "A?!"}"#),
                "line 2: its exam asks \"A?!\", which line 1 teaches",
            ),
        ];
        for (file, words) in cases {
            let error = of(&file).unwrap_err().to_string();
            assert!(error.contains(words), "{error}, expected `{words}`");
        }
        // The same twice is no contradiction.
        assert_eq!(of(&format!("{ok}\n{ok}")).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn no_file_panics(text in ".{0,120}") {
            let _ = of(&text);
        }
    }
}
