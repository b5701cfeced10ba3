//! What must stay as it is: questions near those that a lesson teaches, with the answers that the head gives before it. The gate
//! asks them again; they are not learnt along, so that they stand for all that lies near.

use std::path::Path;

use super::canonical::canonical;
use super::exam::examine;
use super::outcome::{Kind, Question};
use super::rows::{HARMLESS, either, text};
use crate::ladder::learner::Learner;
use crate::{Error, Result, json};

/// What a line looks like.
const EXAMPLE: &str = "each line is an object such as {\"question\": \"What is the capital of France?\"}";
/// Most questions.
const MAX_QUESTIONS: usize = 1000;

/// Reads a file of questions, one JSON object a line.
///
/// # Errors
/// [`Error::Input`] with the number of a line that is none, and for a file without questions.
pub fn parse(bytes: &[u8], file: &Path) -> Result<Vec<String>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut questions: Vec<String> = Vec::new();
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let bad = |problem: String| Error::input(file, format!("line {}", index + 1), problem, EXAMPLE);
        let question = question(line).map_err(bad)?;
        if !questions.iter().any(|other| canonical(other) == canonical(&question)) {
            questions.push(question);
        }
        if questions.len() > MAX_QUESTIONS {
            return Err(bad(format!("is more than {MAX_QUESTIONS} questions")));
        }
    }
    match questions.is_empty() {
        true => Err(Error::input(file, "line 1", "the file has no questions", EXAMPLE)),
        false => Ok(questions),
    }
}

fn question(line: &[u8]) -> std::result::Result<String, String> {
    let line = std::str::from_utf8(line).map_err(|_| "is not UTF-8")?;
    let serde_json::Value::Object(mut row) = json::line(line)? else {
        return Err("is not a JSON object".into());
    };
    let question = text(&either(&mut row, "question", "prompt")?, "question")?;
    row.retain(|key, _| !HARMLESS.contains(&key.as_str()));
    match row.keys().next() {
        Some(key) => Err(format!("has the field `{key}`: what must stay is what the model answers now")),
        None => Ok(question),
    }
}

/// The questions with the learner's greedy answers; those that it says nothing to are left out.
///
/// # Errors
/// [`Error::Context`] for a question that does not fit; [`Error::Cancelled`]; GPU errors.
pub async fn answered(
    learner: &mut Learner,
    questions: &[String],
    max_answer_tokens: usize,
    progress: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Vec<Question>> {
    let mut asked: Vec<Question> =
        questions.iter().map(|prompt| Question::new(prompt.clone(), "", Kind::Recall)).collect();
    let all: Vec<&Question> = asked.iter().collect();
    let sitting = examine(learner, &all, &|_| String::new(), max_answer_tokens, progress).await?;
    for (question, outcome) in asked.iter_mut().zip(sitting.outcomes) {
        question.answer = outcome.said.trim().to_owned();
    }
    asked.retain(|question| !canonical(&question.answer).is_empty());
    Ok(asked)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_once_each_and_answers_are_not_taken() {
        let file = Path::new("keep.jsonl");
        let read = |text: &str| parse(text.as_bytes(), file);
        let questions =
            read("{\"question\": \"Who?\"}\n\n{\"prompt\": \"who\", \"id\": 1}\n{\"prompt\": \"Where?\"}\n");
        assert_eq!(questions.unwrap(), ["Who?", "Where?"]);
        for (text, words) in [
            ("", ["line 1", "no questions"]),
            ("{\"question\": \"Who?\"}\n[1]", ["line 2", "not a JSON object"]),
            ("{\"question\": \"Who?\", \"answer\": \"Ada\"}", ["`answer`", "answers now"]),
            ("{\"answer\": \"Ada\"}", ["line 1", "no `question`"]),
            ("{\"question\": \" \"}", ["line 1", "is empty"]),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }
}
