//! Files of feedback on answers: one JSON object a line.
//!
//! `prompt` (or `question`, or the messages of a conversation) is what was asked. Then either `answer` (or `completion`) with
//! `thumb` `"up"` or `"down"` (or `label` true or false, as TRL has it), or `answer` with `correction`, what is right, or with
//! `edited`, how it should have been said, or `chosen` and `rejected`. A correction is learnt as what is right, an answer with a
//! thumb up at half weight; of two other answers the better one is learnt to be preferred.
//! A thumb down alone says nothing of what would be right: it is counted and changes nothing. Any other field is refused by name.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::canonical::canonical;
use super::conversations;
use super::fact::{APPROVED, Given};
use super::outcome::Judge;
use super::records::ASSISTANT;
use super::rows::{self, HARMLESS, Pair, either, text};
use crate::{Error, Result};

/// What a line looks like.
const EXAMPLE: &str = "each line is an object such as {\"prompt\": \"...\", \"answer\": \"...\", \"thumb\": \"up\"}, or with \"chosen\" and \"rejected\"";
/// What to do about a thumb down.
pub const ALTERNATIVE: &str = "say what would be better: add `correction` or `edited`, or give `chosen` and `rejected` in place of `answer`";
/// Fields of data sets that judge answers by numbers; which one is better, `chosen` and `rejected` say.
const SCORES: [&str; 5] = ["score_chosen", "score_rejected", "margin", "prompt_id", "model"];
/// The fields that are read.
const KNOWN: &str = "prompt, answer, thumb, label, correction, edited, chosen, rejected and weight";

/// What a file of feedback says.
#[derive(Debug, Clone, PartialEq)]
pub struct Feedback {
    /// What can be learnt.
    pub pairs: Vec<Pair>,
    /// Lines with a thumb down and no better answer.
    pub down: Vec<usize>,
}

/// Reads a file of feedback.
///
/// # Errors
/// [`Error::Input`] with the line's number for a line that is none, for an answer that one line approves of and another does not,
/// and for a file from which nothing can be learnt.
pub fn parse(bytes: &[u8], file: &Path) -> Result<Feedback> {
    let mut taught_or_down = Vec::new();
    let pairs = rows::read(bytes, file, EXAMPLE, &mut |row| {
        let given = given(row)?;
        taught_or_down.push(given.is_none());
        Ok(given)
    })?;
    // Rows come in the order of their lines, and blank lines are none.
    let lines = bytes.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        !line.trim_ascii().is_empty()
    });
    let down: Vec<usize> =
        lines.zip(taught_or_down).filter(|(_, down)| *down).map(|((index, _), _)| index + 1).collect();
    match (pairs.is_empty(), down.len()) {
        (false, _) => Ok(Feedback { pairs, down }),
        (true, 0) => Err(Error::input(file, "line 1", "the file has no rows", EXAMPLE)),
        (true, count) => {
            let problem = format!(
                "each of {count} rows is a thumb down, which says what is wrong and not what is right; nothing is learnt of them"
            );
            Err(Error::input(file, format!("line {}", down[0]), problem, ALTERNATIVE))
        }
    }
}

/// What a row teaches; `None` for a thumb down alone.
fn given(mut row: Map<String, Value>) -> std::result::Result<Option<Given>, String> {
    row.retain(|_, value| !value.is_null());
    let weight = rows::weight(&mut row)?;
    let (chosen, rejected) = (row.shift_remove("chosen"), row.shift_remove("rejected"));
    let thumb = thumb(&mut row)?;
    let (edited, correction) = (row.shift_remove("edited"), row.shift_remove("correction"));
    let prompt = match (&chosen, row.contains_key("prompt") || row.contains_key("question")) {
        // The prompt may stand in both answers alone.
        (Some(Value::Array(turns)), false) => Value::Array(turns[..turns.len().saturating_sub(1)].to_vec()),
        _ => either(&mut row, "prompt", "question")?,
    };
    let answer = match row.contains_key("answer") || row.contains_key("completion") {
        true => Some(either(&mut row, "answer", "completion")?),
        false => None,
    };
    // Tables of chosen and rejected answers hold the chosen conversation again.
    if chosen.is_some() && row.get("messages") == chosen.as_ref() {
        row.shift_remove("messages");
    }
    if let Some(key) =
        row.keys().find(|key| !HARMLESS.contains(&key.as_str()) && !SCORES.contains(&key.as_str()))
    {
        return Err(format!("has the field `{key}`, which is not known; those that are: {KNOWN}"));
    }
    let asked = Prompted { prompt };
    if let Some(right) = correction {
        let (Some(answer), None, None, None, None | Some(false)) = (answer, chosen, rejected, edited, thumb)
        else {
            return Err("has a `correction`, which goes with `answer` and nothing else".into());
        };
        let (wrong, right) = (asked.answered(answer, "answer")?, asked.answered(right, "correction")?);
        return match wrong.answer == right.answer {
            true => Err("corrects an answer by itself".into()),
            false => Ok(Some(Given { weight, ..right })),
        };
    }
    let (better, worse) = match (chosen, rejected, answer, edited, thumb) {
        (Some(chosen), Some(rejected), None, None, None) => {
            (asked.answered(chosen, "chosen")?, asked.answered(rejected, "rejected")?)
        }
        (None, None, Some(answer), Some(edited), None | Some(false)) => {
            (asked.answered(edited, "edited")?, asked.answered(answer, "answer")?)
        }
        (None, None, Some(_), Some(_), Some(true)) => {
            return Err("has a thumb up and `edited`: which of the two answers is right?".into());
        }
        (None, None, Some(answer), None, Some(true)) => {
            let given = asked.answered(answer, "answer")?;
            return Ok(Some(Given { weight: APPROVED * weight, ..given }));
        }
        (None, None, Some(answer), None, Some(false)) => {
            asked.answered(answer, "answer")?;
            return Ok(None);
        }
        (None, None, Some(_), None, None) => {
            return Err("has an `answer` and neither `thumb` nor `edited`".into());
        }
        (Some(_), None, ..) => return Err("has `chosen` and no `rejected`".into()),
        (None, Some(_), ..) => return Err("has `rejected` and no `chosen`".into()),
        (Some(_), Some(_), ..) => {
            return Err("has `chosen` and `rejected` beside `answer`, `edited`, `thumb` or `label`".into());
        }
        (None, None, None, ..) => return Err("has no `answer`, nor `chosen` and `rejected`".into()),
    };
    // Canonical forms leave out marks and case, which may be all that an edit changed.
    if better.answer == worse.answer {
        return Err("prefers an answer to itself".into());
    }
    Ok(Some(Given { weight, judge: Some(Judge::Over(worse.answer)), ..better }))
}

/// A thumb, as `Some(up)`.
fn thumb(row: &mut Map<String, Value>) -> std::result::Result<Option<bool>, String> {
    let thumb = match row.shift_remove("thumb") {
        None => None,
        Some(value) => match value.as_str() {
            Some("up") => Some(true),
            Some("down") => Some(false),
            _ => return Err(format!("`thumb` is {value}, neither \"up\" nor \"down\"")),
        },
    };
    let label = match row.shift_remove("label") {
        None => None,
        Some(value) => {
            Some(value.as_bool().ok_or_else(|| format!("`label` is {value}, neither true nor false"))?)
        }
    };
    match (thumb, label) {
        (Some(_), Some(_)) => Err("has both `thumb` and `label`".into()),
        (thumb, label) => Ok(thumb.or(label)),
    }
}

/// What was asked: a text, or the messages of a conversation.
struct Prompted {
    prompt: Value,
}

impl Prompted {
    /// The question with an answer, which is a text, or messages: the answer alone, or after those of the prompt.
    fn answered(&self, answer: Value, field: &str) -> std::result::Result<Given, String> {
        let answer = match answer {
            Value::Array(mut turns) => {
                let last = turns.pop().ok_or_else(|| format!("`{field}` is an empty list"))?;
                let same = match &self.prompt {
                    Value::Array(prompt) => *prompt == turns,
                    text => turns.last().is_some_and(|turn| turn["content"] == *text) && turns.len() == 1,
                };
                if !turns.is_empty() && !same {
                    return Err(format!("`{field}` begins with other messages than the prompt"));
                }
                if last["role"] != ASSISTANT {
                    return Err(format!("`{field}` does not end with a message of `{ASSISTANT}`"));
                }
                last["content"].clone()
            }
            answer => answer,
        };
        let answer = text(&answer, field)?;
        if canonical(&answer).is_empty() {
            return Err(format!("`{field}` has no letter or digit"));
        }
        let Value::Array(turns) = &self.prompt else {
            let prompt = text(&self.prompt, "prompt")?;
            return match canonical(&prompt).is_empty() {
                true => Err("`prompt` has no letter or digit".into()),
                false => Ok(Given::new(vec![prompt], answer)),
            };
        };
        let mut messages = turns.clone();
        messages.push(json!({ "role": ASSISTANT, "content": answer }));
        let mut given = conversations::given(Map::from_iter([("messages".into(), Value::Array(messages))]))?;
        // Nobody said anything about the turns before.
        given.before.iter_mut().for_each(|turn| turn.learnt = false);
        Ok(given)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn of(rows: &[&str]) -> Result<Feedback> {
        parse(rows.join("\n").as_bytes(), Path::new("rows.jsonl"))
    }

    fn over(given: &Given) -> Option<&str> {
        match &given.judge {
            Some(Judge::Over(worse)) => Some(worse),
            _ => None,
        }
    }

    #[test]
    fn thumbs_edits_and_choices() {
        let feedback = of(&[
            r#"{"prompt": "Who bakes?", "answer": "Ida", "thumb": "up"}"#,
            r#"{"question": "a?", "completion": "b", "label": true, "weight": 2}"#,
            "",
            r#"{"prompt": "c?", "answer": "d", "thumb": "down"}"#,
            r#"{"prompt": "e?", "answer": "f", "edited": "g"}"#,
            r#"{"prompt": "h?", "chosen": "i", "rejected": "j", "score_chosen": 5.0}"#,
            r#"{"prompt": "k?", "completion": "l", "label": false}"#,
            r#"{"prompt": "m?", "answer": "n", "correction": "o", "id": "chatcmpl-1"}"#,
        ])
        .unwrap();
        assert_eq!(feedback.down, [4, 7]);
        let told: Vec<_> = feedback
            .pairs
            .iter()
            .map(|pair| (pair.line, pair.given.answer.as_str(), over(&pair.given), pair.given.weight))
            .collect();
        let expected = [
            (1, "Ida", None, 0.5),
            (2, "b", None, 1.0),
            (5, "g", Some("f"), 1.0),
            (6, "i", Some("j"), 1.0),
            (8, "o", None, 1.0),
        ];
        assert_eq!(told, expected);
    }

    /// As preference data sets have them: messages in the prompt, or the prompt in both answers.
    #[test]
    fn choices_in_conversations() {
        let user = r#"{"role": "user", "content": "Hi?"}"#;
        let answer = |text: &str| format!(r#"{{"role": "assistant", "content": "{text}"}}"#);
        let (good, bad) = (answer("good"), answer("bad"));
        for row in [
            format!(r#"{{"prompt": [{user}], "chosen": [{good}], "rejected": [{bad}]}}"#),
            format!(r#"{{"chosen": [{user}, {good}], "rejected": [{user}, {bad}]}}"#),
            format!(
                r#"{{"prompt": "Hi?", "chosen": [{user}, {good}], "rejected": [{user}, {bad}], "messages": [{user}, {good}]}}"#
            ),
        ] {
            let given = &of(&[&row]).unwrap().pairs[0].given;
            let told = (given.wordings[0].as_str(), given.answer.as_str(), over(given), given.before.len());
            assert_eq!(told, ("Hi?", "good", Some("bad"), 0), "{row}");
        }
        let earlier = answer("well");
        let long =
            format!(r#"{{"prompt": [{user}, {earlier}, {user}], "chosen": "good", "rejected": "bad"}}"#);
        let given = &of(&[&long]).unwrap().pairs[0].given;
        assert!(given.before.len() == 2 && given.before.iter().all(|turn| !turn.learnt));
        let other = format!(r#"{{"prompt": "Ho?", "chosen": [{user}, {good}], "rejected": "bad"}}"#);
        assert!(of(&[&other]).unwrap_err().to_string().contains("`chosen` begins with other messages"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let up = r#"{"prompt": "a?", "answer": "b", "thumb": "up"}"#;
        let down = r#"{"prompt": "a?", "answer": "b", "thumb": "down"}"#;
        for (rows, words) in [
            (vec![down, down], "line 1: each of 2 rows is a thumb down"),
            (vec!["", down], "line 2"),
            (vec![""], "the file has no rows"),
            (vec![r#"{"prompt": "a?", "answer": "b", "thumb": "sideways"}"#], "`thumb` is \"sideways\""),
            (vec![r#"{"prompt": "a?", "answer": "b", "label": 1}"#], "`label` is 1"),
            (vec![r#"{"prompt": "a?", "answer": "b"}"#], "neither `thumb` nor `edited`"),
            (vec![r#"{"prompt": "a?", "answer": "b", "edited": "c", "thumb": "up"}"#], "which of the two"),
            (vec![r#"{"prompt": "a?", "answer": "b", "correction": "b"}"#], "corrects an answer by itself"),
            (vec![r#"{"prompt": "a?", "correction": "b"}"#], "`correction`, which goes with `answer`"),
            (vec![r#"{"prompt": "a?", "chosen": "b"}"#], "no `rejected`"),
            (vec![r#"{"prompt": "a?", "rejected": "b"}"#], "no `chosen`"),
            (vec![r#"{"prompt": "a?", "chosen": "b", "rejected": "b"}"#], "prefers an answer to itself"),
            (vec![r#"{"prompt": "a?", "chosen": "b", "rejected": "c", "thumb": "up"}"#], "beside `answer`"),
            (vec![r#"{"prompt": "a?", "answer": "b", "stars": 5}"#], "the field `stars`"),
            (vec![r#"{"answer": "b", "thumb": "up"}"#], "has no `prompt`"),
            (vec![r#"{"prompt": "a?"}"#], "has no `answer`"),
            // One line approves of what another one does not.
            (
                vec![up, r#"{"prompt": "A", "chosen": "c", "rejected": "b"}"#],
                "line 2: answers the question of line 1 otherwise",
            ),
        ] {
            let error = of(&rows).unwrap_err().to_string();
            assert!(error.contains(words), "{error}, expected `{words}`");
        }
        // An edit of marks alone is one; the same row twice is no contradiction.
        let marks = r#"{"prompt": "c?", "answer": "Yes", "edited": "Yes."}"#;
        assert_eq!(of(&[up, up, marks]).unwrap().pairs.len(), 2);
    }
}
