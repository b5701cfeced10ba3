//! Problems files: one JSON object a line.

use std::path::Path;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{Problem, Task};
use crate::error::named;
use crate::{Error, Result, json};

/// Longest problem in bytes; real ones have fewer than a hundred.
const MAX_PROBLEM_BYTES: usize = 16 << 10;

/// The fields of a problem. Others are columns of the dataset that no task uses, such as `source` or `solution`, and mean nothing; but
/// not where they look like one of these misspelt.
const FIELDS: [&str; 4] = ["problem", "id", "level", "answer"];
/// What other datasets call the answer and nothing else.
const OTHER_ANSWERS: &[&str] =
    &["final_answer", "ground_truth", "expected_answer", "reference_answer", "gold"];
/// What other datasets call the fields.
const OTHER_NAMES: [(&str, &[&str]); 3] = [
    ("problem", &["question", "prompt", "query", "input", "instruction"]),
    ("answer", OTHER_ANSWERS),
    ("answer", &["target", "label", "output"]),
];

/// Fields that change what is asked or how its answer is judged. No task reads them. `messages` may stand beside a problem: a line of
/// solved examples is one to train on too.
const MEANINGFUL: &[(&str, &str)] = &[
    ("instruction", "write the instruction into `problem`"),
    ("choices", "write the choices into `problem`"),
    ("options", "write the options into `problem`"),
    ("context", "write the context into `problem`"),
    ("passage", "write the passage into `problem`"),
    ("input", "write the input into `problem`"),
    ("image", "give problems of text alone"),
    ("images", "give problems of text alone"),
    ("audio", "give problems of text alone"),
    ("video", "give problems of text alone"),
    ("system", "write it into `problem`"),
    ("aliases", "give one `answer`; forms of the same value are compared by value"),
    ("tolerance", "give it as <task_option> tolerance=NUMBER"),
    ("match", "give it as <task_option> match=HOW"),
    ("weight", "leave it away, or give the problem on several lines"),
    ("task", "give it as <task>"),
    ("unit", "write it behind the number in `answer`"),
    ("units", "write them behind the number in `answer`"),
    ("system_prompt", "write it into `problem`"),
    ("table", "write it into `problem`"),
    ("figure", "give problems of text alone"),
    ("acceptable_answers", "give one `answer`; forms of the same value are compared by value"),
    ("alternative_answers", "give one `answer`; forms of the same value are compared by value"),
    ("test_cases", "run them in a program of task `command`"),
    ("tests", "run them in a program of task `command`"),
    ("rubric", "judge by it in a program of task `command`"),
    ("examples", "give solved examples by <shots>"),
    ("few_shot", "give solved examples by <shots>"),
    ("n_shots", "give it as <shots>"),
    ("num_shots", "give it as <shots>"),
    ("limits", "write them into `problem`, as the task has them"),
    ("lower", "write the limits into `problem`, as the task has them"),
    ("upper", "write the limits into `problem`, as the task has them"),
    ("bounds", "write the limits into `problem`, as the task has them"),
    ("variable", "write the problem in the task's own variable"),
    ("given", "write it into `problem`"),
    ("instructions", "write them into `problem`"),
    ("numbers", "write them into `problem`"),
    ("input_ids", "give the text; it is encoded with the model's own tokenizer"),
];

/// Names of choices before a number or letter, as in `option_a` and `choice1`.
const OPTIONS: [&str; 5] = ["option", "choice", "opt", "candidate", "ending"];
/// What is read before a problem is answered, in the singular.
const READ_BEFORE: [&str; 17] = [
    "abstract",
    "article",
    "background",
    "body",
    "code",
    "document",
    "evidence",
    "fact",
    "hypothesis",
    "paragraph",
    "premise",
    "story",
    "snippet",
    "ending",
    "option",
    "choice",
    "statement",
];
/// What says how an answer is to be compared.
const COMPARED: [&str; 8] =
    ["answer_aliases", "answer_unit", "answers", "atol", "precision", "rtol", "tol", "answer_type"];

/// What to do about a field that changes what is asked or how its answer is judged; `None` for all others.
fn mend(name: &str, value: &Value) -> Option<&'static str> {
    if let Some((_, mend)) = MEANINGFUL.iter().find(|(field, _)| *field == name) {
        return Some(mend);
    }
    let lower = name.to_lowercase();
    let label = |text: &str| {
        let text = text.trim_start_matches(['_', '-', ' ']);
        text.parse::<u8>().is_ok() || (text.len() == 1 && ("a"..="j").contains(&text))
    };
    let one = OPTIONS.iter().any(|start| lower.strip_prefix(start).is_some_and(label));
    // `A` to `J`, the choices by their letters.
    if one || (name.len() == 1 && ("A"..="J").contains(&name)) {
        return Some("write the choices into `problem`");
    }
    if READ_BEFORE.iter().any(|read| lower.strip_suffix('s').unwrap_or(&lower) == *read) {
        return Some("write it into `problem`");
    }
    if ["skip", "deleted"].contains(&lower.as_str()) && *value == Value::Bool(true) {
        return Some("leave the line out");
    }
    COMPARED.contains(&lower.as_str()).then_some(
        "give one `answer` with its unit; forms of the same value are compared by value, decimals by <task_option> tolerance=NUMBER",
    )
}

/// Doubles from here on may stand for several whole numbers.
const EXACT: f64 = 9_007_199_254_740_992.0;

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
        let problem = read(line).map_err(fail)?;
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

/// Where problems come from, for messages.
#[derive(Debug, Clone, Copy)]
pub enum Origin<'a> {
    /// A file of them.
    File(&'a Path),
    /// An option that holds them.
    Option(&'a str),
}

/// Why `task` cannot judge answers to some of the `problems`, a reason for each that is so.
///
/// # Errors
/// [`Error::Input`] or [`Error::Usage`] if that is so of all, or there are none: whatever is made of their verdicts would mean
/// nothing.
pub fn check_problems(task: &dyn Task, origin: Origin<'_>, problems: &[Problem]) -> Result<Vec<String>> {
    let fail = |problem: String, hint: &str| match origin {
        Origin::File(file) => Error::input(file, "problems", problem, hint),
        Origin::Option(option) => Error::usage(option, problem, hint),
    };
    if problems.is_empty() {
        return Err(fail("there are none".into(), "give at least one problem of the task"));
    }
    let reasons: Vec<String> = problems.iter().filter_map(|problem| task.judgeable(problem).err()).collect();
    match reasons.first() {
        Some(reason) if reasons.len() == problems.len() => Err(fail(
            format!("answers to none of them can be judged by task `{}`: {reason}", task.name()),
            "give problems of the task, for task `jsonl` as objects with their `answer`",
        )),
        _ => Ok(reasons),
    }
}

/// One line. Errors name the field.
fn read(line: &str) -> std::result::Result<Problem, String> {
    match line.trim() {
        list if list.starts_with('[') => return Err("is a list; write its objects without it".into()),
        "{" => return Err("is an object on several lines; write it on one".into()),
        _ => {}
    }
    let value = json::line(line)?;
    let object = value.as_object().ok_or("is not a JSON object")?;
    check_names(object)?;
    serde_json::from_value(value).map_err(|error| json::what(&error))
}

/// Fails where a field that is missing is there under another name.
fn check_names(object: &Map<String, Value>) -> std::result::Result<(), String> {
    let missing = |field: &&&str| !object.contains_key(**field);
    for field in FIELDS.iter().filter(missing) {
        if let Some(other) = object.keys().find(|name| misspelt(name, field)) {
            return Err(format!("has a field `{other}`; did you mean `{field}`?"));
        }
    }
    for (field, others) in OTHER_NAMES.iter().filter(|(field, _)| !object.contains_key(*field)) {
        let other = others.iter().find(|other| object.contains_key(**other));
        match (other, *field) {
            (Some(other), _) => {
                return Err(format!("has no `{field}` but `{other}`; rename `{other}` to `{field}`"));
            }
            (None, "problem") => return Err("has no `problem`".into()),
            (None, _) => {}
        }
    }
    // Two answers that differ: one of them would be passed over.
    if let Some(answer) = object.get("answer") {
        let text =
            |value: &Value| value.as_str().map_or_else(|| value.to_string(), |text| text.trim().to_owned());
        let plain = |value: &Value| value.is_string() || value.is_number();
        let other = OTHER_ANSWERS.iter().find(|other| {
            object
                .get(**other)
                .is_some_and(|other| plain(other) && plain(answer) && text(other) != text(answer))
        });
        if let Some(other) = other {
            return Err(format!("has another `{other}` than `answer`; leave the one out that is not meant"));
        }
    }
    // An empty one says nothing, such as Alpaca's `input`.
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    for (name, value) in object.iter().filter(|(_, value)| !empty(value)) {
        if let Some(mend) = mend(name, value) {
            return Err(format!("has a field `{name}`, which no task reads; {}", named(mend)));
        }
    }
    Ok(())
}

/// Whether `name` is `field` in other case, in the plural, or with one letter too many, too few, changed or moved.
fn misspelt(name: &str, field: &str) -> bool {
    let (name, field) = (name.to_lowercase().into_bytes(), field.as_bytes());
    if field.len() < 4 {
        return name == field;
    }
    if name.len().abs_diff(field.len()) > 1 {
        return false;
    }
    let same = |a: &[u8], b: &[u8]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let head = same(&name, field);
    let (a, b) = (&name[head..], &field[head..]);
    let moved = a.len() >= 2 && b.len() >= 2 && a[0] == b[1] && a[1] == b[0] && a[2..] == b[2..];
    let skip = |text: &[u8], by: usize| text.get(by..).unwrap_or_default().to_vec();
    moved || a == b || skip(a, 1) == skip(b, 1) || skip(a, 1) == b || a == skip(b, 1)
}

/// A text, or what other datasets write in its place: a number or a boolean, as JSON writes it.
pub(super) fn text_like<'de, D: Deserializer<'de>>(
    deserializer: D,
    field: &str,
) -> std::result::Result<Option<String>, D::Error> {
    let what = match Value::deserialize(deserializer)? {
        Value::Null => return Ok(None),
        Value::String(text) => return Ok(Some(text)),
        // A whole number beyond 64 bits has been rounded to a double on the way.
        Value::Number(number)
            if number.as_f64().is_some_and(|value| number.is_f64() && value.abs() >= EXACT) =>
        {
            "a number of too many digits; write it in quotes"
        }
        value @ (Value::Number(_) | Value::Bool(_)) => return Ok(Some(value.to_string())),
        // Of one data set's lists any entry is right, of another's all of them together.
        Value::Array(_) if field == "answer" => {
            "a list, of which any entry may be meant or all together; give one text: one of several forms of a value, which are \
             compared by value, or a set such as {1, 2}"
        }
        Value::Array(_) => "a list; give one text or number",
        Value::Object(_) => "an object; give a text or a number",
    };
    Err(serde::de::Error::custom(format!("`{field}` is {what}")))
}

/// [`text_like`] for `answer`.
pub(super) fn answer<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<String>, D::Error> {
    text_like(deserializer, "answer")
}

/// [`text_like`] for `id`.
pub(super) fn id<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<String>, D::Error> {
    text_like(deserializer, "id")
}

/// `problem`, which must be a text.
pub(super) fn problem<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<String, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(text),
        _ => Err(serde::de::Error::custom("`problem` is not a text; put it in quotes")),
    }
}

/// A level for reports: a whole number, also as `5.0`, `"5"` or `"Level 5"`. Anything else is no level and is left away.
pub(super) fn level<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<u32>, D::Error> {
    let number = match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => {
            let digits = text.trim();
            digits
                .get(..5)
                .filter(|head| head.eq_ignore_ascii_case("level"))
                .map_or(digits, |_| &digits[5..])
                .trim()
                .parse()
                .ok()
        }
        _ => None,
    };
    let whole = number.filter(|number| number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(number));
    Ok(whole.map(|number| number as u32))
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
    fn numbers_are_texts_and_words_are_no_level() {
        for (line, id, level, answer) in [
            (r#"{"problem": "2+2", "answer": 4, "id": 7}"#, Some("7"), None, Some("4")),
            (r#"{"problem": "2+2", "answer": true}"#, None, None, Some("true")),
            (r#"{"problem": "1/8", "answer": 0.125, "level": 5.0}"#, None, Some(5), Some("0.125")),
            (r#"{"problem": "2+2", "level": "Level 5"}"#, None, Some(5), None),
            (r#"{"problem": "2+2", "level": "3"}"#, None, Some(3), None),
            (r#"{"problem": "2+2", "level": "hard"}"#, None, None, None),
            (r#"{"problem": "2+2", "input": "", "choices": null}"#, None, None, None),
            (r#"{"problem": "2+2", "skip": false, "n": 3, "answer_id": 7}"#, None, None, None),
            (r#"{"problem": "2+2", "level": 2.5}"#, None, None, None),
            (r#"{"problem": "2+2", "level": -1}"#, None, None, None),
            (r#"{"problem": "2+2", "level": null, "id": null, "answer": null}"#, None, None, None),
            (
                r#"{"problem": "2+2", "source": "gsm8k", "solution": "2+2 = 4", "answer": "4"}"#,
                None,
                None,
                Some("4"),
            ),
            (r#"{"problem": "n", "answer": 12345678901234567890}"#, None, None, Some("12345678901234567890")),
            (
                r#"{"problem": "n", "answer": "123456789012345678901234567890"}"#,
                None,
                None,
                Some("123456789012345678901234567890"),
            ),
        ] {
            let problems = parse_problems(Path::new("p.jsonl"), line).unwrap();
            let [problem] = problems.as_slice() else { panic!("{line}") };
            assert_eq!(
                (problem.id.as_deref(), problem.level, problem.answer.as_deref()),
                (id, level, answer),
                "{line}"
            );
        }
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, place) in [
            ("", "contents"),
            ("\n \n", "contents"),
            ("{\"problem\": \"x\"}\nnot json\n", "line 2"),
            ("{\"problem\": 3}", "line 1: `problem` is not a text"),
            (
                "{\"problem\": \"x\", \"answer\": \"1\", \"answer\": \"2\"}",
                "line 1: has the key `answer` twice",
            ),
            ("{\"problem\": null}", "line 1: `problem` is not a text"),
            ("{\"problem\": \"x\"}\n{\"problem\": \"x\", \"answer\": {}}", "line 2: `answer` is an object"),
            ("{\"problem\": \"x\", \"answer\": [1]}", "line 1: `answer` is a list"),
            ("{\"problem\": \"x\", \"answer\": [\"1/2\", \"0.5\"]}", "or a set such as {1, 2}"),
            (
                "{\"problem\": \"x\", \"answer\": 123456789012345678901234567890}",
                "`answer` is a number of too many digits",
            ),
            ("{\"problem\": \"x\", \"id\": [1]}", "line 1: `id` is a list"),
            ("{\"problm\": \"x\"}", "line 1: has a field `problm`; did you mean `problem`?"),
            ("{\"problem\": \"x\", \"anwser\": \"1\"}", "did you mean `answer`?"),
            ("{\"problem\": \"x\", \"Answer\": \"1\"}", "did you mean `answer`?"),
            ("{\"problem\": \"x\", \"answers\": \"1\"}", "did you mean `answer`?"),
            ("{\"question\": \"x\", \"answer\": \"1\"}", "rename `question` to `problem`"),
            ("{\"problem\": \"x\", \"ground_truth\": \"1\"}", "rename `ground_truth` to `answer`"),
            (
                "{\"problem\": \"Which?\", \"A\": \"Paris\", \"B\": \"Rome\", \"answer\": \"A\"}",
                "line 1: has a field `A`, which no task reads; write the choices into `problem`",
            ),
            (
                "{\"problem\": \"x\", \"option_b\": \"1\"}",
                "`option_b`, which no task reads; write the choices",
            ),
            (
                "{\"problem\": \"x\", \"documents\": [\"1\"]}",
                "`documents`, which no task reads; write it into",
            ),
            ("{\"problem\": \"x\", \"rtol\": 0.1}", "`rtol`, which no task reads; give one `answer`"),
            ("{\"problem\": \"x\", \"skip\": true}", "`skip`, which no task reads; leave the line out"),
            (
                "{\"problem\": \"x\", \"choices\": [\"1\", \"2\"]}",
                "line 1: has a field `choices`, which no task reads; write the choices into `problem`",
            ),
            ("{\"problem\": \"x\", \"context\": \"y = 2\"}", "has a field `context`"),
            ("{\"problem\": \"x\", \"input\": \"y = 2\"}", "has a field `input`"),
            ("{\"problem\": \"x\", \"answer\": \"1\", \"tolerance\": 0.1}", "has a field `tolerance`"),
            ("{\"problem\": \"x\", \"weight\": 2}", "has a field `weight`"),
            ("{\"problem\": \"x\", \"answer\": \"5\", \"unit\": \"km\"}", "has a field `unit`"),
            ("{\"problem\": \"x\", \"n_shots\": 5}", "has a field `n_shots`"),
            ("{}", "line 1: has no `problem`"),
            ("[]", "line 1: is a list"),
            ("{\n \"problem\": \"x\"\n}", "line 1: is an object on several lines"),
            ("3", "line 1: is not a JSON object"),
            (
                "{\"problem\": \"x\"}\n{\"problem\": ",
                "line 2: is not JSON: EOF while parsing a value at column",
            ),
            ("{\"problem\": \" \"}", "line 1"),
        ] {
            let message = parse_problems(Path::new("p.jsonl"), text).unwrap_err().to_string();
            assert!(message.contains("p.jsonl") && message.contains(place), "{message}, expected {place}");
        }
    }
}
