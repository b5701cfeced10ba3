//! Rows that are conversations, as [`crate::train::data`] takes them: the last answer is what is taught, after the turns before it,
//! of which the assistant's are learnt along. The exam asks the last question after the earlier turns.

use serde_json::{Map, Value};

use super::canonical::canonical;
use super::fact::Given;
use super::outcome::Turn;
use super::records::ASSISTANT;
use super::rows::{exam, weight};
use crate::train::data::{Message, Record};

/// The fields that make a row a conversation.
const FIELDS: [&str; 2] = ["messages", "conversations"];
/// Who may speak.
const ROLES: [&str; 3] = ["system", "user", ASSISTANT];

/// Whether a row is a conversation.
pub(super) fn is_one(row: &Map<String, Value>) -> bool {
    FIELDS.iter().any(|field| row.get(*field).is_some_and(|value| !value.is_null()))
}

/// What a conversation teaches. `exam` holds other wordings of its last question.
pub(super) fn given(mut row: Map<String, Value>) -> Result<Given, String> {
    let asked = row.shift_remove("exam");
    let weight = weight(&mut row)?;
    let Record::Messages(dialogue) = Record::parse(&Value::Object(row).to_string())? else {
        return Err("has `messages` beside a text or a pair: make two lines of them".into());
    };
    let beside = [("tools", dialogue.tools.is_some()), ("documents", dialogue.documents.is_some())];
    let beside = beside.into_iter().chain([("chat_template_kwargs", !dialogue.variables.is_empty())]);
    if let Some((field, _)) = beside.into_iter().find(|(_, there)| *there) {
        return Err(format!("has `{field}`, which lessons do not take; `train` does"));
    }
    let mut turns = Vec::with_capacity(dialogue.messages.len());
    for (message, learnt) in dialogue.messages.iter().zip(&dialogue.learnt) {
        turns.push(turn(message, *learnt)?);
    }
    // What comes after the last answer that is learnt teaches nothing.
    turns.truncate(turns.iter().rposition(|turn| turn.learnt).map_or(0, |last| last + 1));
    let (Some(answer), Some(question)) = (turns.pop(), turns.pop()) else {
        return Err("`messages` has no question before its answer".into());
    };
    if question.role != "user" {
        return Err(format!(
            "`messages`: before the last answer stands a turn of `{}`, not a question of `user`",
            question.role
        ));
    }
    for (name, turn) in [("question", &question), ("answer", &answer)] {
        if canonical(&turn.content).is_empty() {
            return Err(format!("`messages`: the last {name} has no letter or digit"));
        }
    }
    let mut exams = Map::new();
    exams.extend(asked.map(|asked| ("exam".to_owned(), asked)));
    let exam = exam(&mut exams, &answer.content)?;
    Ok(Given { before: turns, weight, exam, ..Given::new(vec![question.content], answer.content) })
}

/// A turn of text alone.
fn turn(message: &Message, learnt: bool) -> Result<Turn, String> {
    let role = message.role();
    if !ROLES.contains(&role) {
        return Err(format!("`messages` has a turn of `{role}`; lessons take those of {}", ROLES.join(", ")));
    }
    let beside = |field: &&str| !["role", "content"].contains(field);
    if let Some(field) = message.fields().find(beside).filter(|field| says_something(message, field)) {
        return Err(format!("`messages` has a turn with `{field}`, which lessons do not take; `train` does"));
    }
    match message.get("content").and_then(Value::as_str) {
        Some(content) => Ok(Turn { role: role.to_owned(), content: content.to_owned(), learnt }),
        None => Err("`messages` has a turn whose content is not a text; lessons take text alone".into()),
    }
}

/// Whether a field of a message is part of what a model reads or writes.
fn says_something(message: &Message, field: &str) -> bool {
    const READ: [&str; 6] =
        ["name", "reasoning", "reasoning_content", "thinking", "tool_call_id", "tool_calls"];
    READ.contains(&field) && message.get(field).is_some_and(|value| !value.is_null() && value != "")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::path::Path;

    use super::super::fact::{identity, prepare};
    use super::super::outcome::Kind;
    use super::super::pairs::parse;
    use super::*;

    fn of(row: &str) -> Given {
        parse(row.as_bytes(), Path::new("talk.jsonl")).unwrap().remove(0).given
    }

    fn refused(rows: &str) -> String {
        parse(rows.as_bytes(), Path::new("talk.jsonl")).unwrap_err().to_string()
    }

    const TALK: &str = r#"{"id": 4, "messages": [{"role": "system", "content": "Be short."},
        {"role": "user", "content": "Who bakes?"}, {"role": "assistant", "content": "Ida."},
        {"role": "user", "content": "And where?"}, {"role": "assistant", "content": "In Porto."}]}"#;

    fn talk() -> String {
        TALK.replace('\n', " ")
    }

    #[test]
    fn the_last_answer_is_taught_after_the_earlier_turns() {
        let given = of(&talk());
        assert_eq!(
            (given.wordings.as_slice(), given.answer.as_str()),
            (&["And where?".to_owned()][..], "In Porto.")
        );
        let turns: Vec<_> = given
            .before
            .iter()
            .map(|turn| (turn.role.as_str(), turn.content.as_str(), turn.learnt))
            .collect();
        let expected =
            [("system", "Be short.", false), ("user", "Who bakes?", false), ("assistant", "Ida.", true)];
        assert_eq!(turns, expected);
        let fact = &prepare(vec![given], true, 0)[0];
        // The exam asks after the earlier turns as well, in words that are not taught.
        assert_eq!((fact.exam[0].before.len(), fact.exam[0].kind), (3, Kind::Reworded));
        assert!(!fact.wordings.contains(&fact.exam[0].prompt));
        // ShareGPT's names, and a turn that is not to be learnt.
        let given = of(
            r#"{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], "exam": "c"}"#,
        );
        assert_eq!(
            (given.before.len(), given.exam[0].prompt.as_str(), given.exam[0].answer.as_str()),
            (0, "c", "b")
        );
        let given =
            of(r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"}, {"role": "assistant", "content": "d", "weight": 0}]}"#
                .replace('\n', " ")
                .as_str());
        assert_eq!((given.answer.as_str(), given.before.len()), ("b", 0));
    }

    #[test]
    fn the_same_question_after_other_turns_is_another_one() {
        let other = talk().replace("Who bakes?", "Who sings?").replace("In Porto.", "In Faro.");
        let pairs = parse(format!("{}\n{other}\n", talk()).as_bytes(), Path::new("t")).unwrap();
        assert_eq!(pairs.len(), 2);
        let forms = [&pairs[0], &pairs[1]].map(|pair| identity(&pair.given.before, &pair.given.wordings[0]));
        assert_ne!(forms[0], forms[1]);
        // After the same turns it contradicts; an exam that asks what is taught after them leaks.
        let otherwise = talk().replace("In Porto.", "In Faro.");
        assert!(
            refused(&format!("{}\n{otherwise}", talk()))
                .contains("line 2: answers the question of line 1 otherwise")
        );
        let leak = talk().replace("\"id\": 4", "\"exam\": \"and WHERE\"");
        assert!(refused(&leak).contains("which line 1 teaches"), "{}", refused(&leak));
    }

    #[test]
    fn what_lessons_do_not_take_is_refused_by_name() {
        let turn = |role: &str, rest: &str| format!(r#"{{"role": "{role}", "content": "x"{rest}}}"#);
        let row = |turns: &[String], rest: &str| format!(r#"{{"messages": [{}]{rest}}}"#, turns.join(", "));
        let (user, assistant) = (turn("user", ""), turn("assistant", ""));
        let tools = r#", "tools": [{"type": "function", "function": {"name": "f"}}]"#;
        for (row, words) in [
            (row(&[user.clone(), assistant.clone()], tools), "`tools`"),
            (
                row(&[user.clone(), turn("assistant", r#", "reasoning_content": "hm""#)], ""),
                "`reasoning_content`",
            ),
            (row(&[user.clone(), turn("tool", ""), assistant.clone()], ""), "a turn of `tool`"),
            (row(std::slice::from_ref(&assistant), ""), "no question before"),
            (row(&[turn("system", ""), assistant.clone()], ""), "not a question of `user`"),
            (row(std::slice::from_ref(&user), ""), "no turn with role `assistant`"),
        ] {
            assert!(refused(&row).contains(words), "{row}: {}, expected {words}", refused(&row));
        }
    }
}
