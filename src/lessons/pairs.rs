//! Files of question and answer pairs: one JSON object a line.
//!
//! `question` (or `prompt`) is a text or a list of wordings of the same question, `answer` (or `completion`) the answer.
//! `exam` holds wordings that only the exam asks, each a text or `{"question", "answer", "kind"}`. `weight` says how much the
//! pair counts. Any other field is refused by name. A row with `messages` is a conversation (`conversations.rs`).

use std::path::Path;

use serde_json::{Map, Value};

use super::canonical::canonical;
use super::conversations;
use super::fact::Given;
use super::rows::{HARMLESS, Pair, either, exam, read, text, weight};
use crate::{Error, Result};

/// The fields that are read.
const KNOWN: &str = "question (or prompt), answer (or completion), exam and weight";

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

/// The wordings without those that say the same as an earlier one.
fn distinct(wordings: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    wordings.into_iter().filter(|wording| seen.insert(canonical(wording))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::fact::Asked;
    use super::super::outcome::Kind;
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
                [r#"{"question": "q", "answer": "$7"}"#, r#"{"question": "q", "answer": "7€"}"#].join("\n"),
                "line 2: answers the question of line 1 otherwise",
            ),
            (
                [r#"{"question": "q", "answer": "iOS"}"#, r#"{"question": "Q?", "answer": "IOS"}"#]
                    .join("\n"),
                "line 2: answers the question of line 1 otherwise",
            ),
            (
                [
                    r#"{"question": "q", "answer": "5", "exam": "E1"}"#,
                    r#"{"question": "q", "answer": "5", "exam": "E2"}"#,
                ]
                .join("\n"),
                "line 2: is the pair of line 1 with another exam",
            ),
            (
                [r#"{"question": "q", "answer": "5"}"#, r#"{"question": "q", "answer": "5.", "weight": 9}"#]
                    .join("\n"),
                "line 2: is the pair of line 1 with another exam, weight",
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
        let two = [
            r#"{"question": "Who made C?", "answer": "a"}"#,
            r#"{"question": "Who made C#?", "answer": "b"}"#,
        ];
        assert_eq!(of(&two.join("\n")).unwrap().len(), 2, "questions that differ in a sign");
    }

    proptest! {
        #[test]
        fn no_file_panics(text in ".{0,120}") {
            let _ = of(&text);
        }
    }
}
