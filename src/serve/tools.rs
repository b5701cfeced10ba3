//! Calls of tools: what a template's family writes for them, the grammar that makes a model write one, and the calls in an answer.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::fresh::fresh;
use super::refusal::Refusal;
use crate::Error;
use crate::model::chat::ChatTemplate;
use crate::model::guide::{Form, schema};
use crate::model::tokenizer::Tokenizer;

/// Most tools of a request.
const MAX_TOOLS: usize = 128;

/// How a family writes calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notation {
    /// `<tool_call>\n{"name": ..., "arguments": ...}\n</tool_call>`, a pair of tags for each call: Hermes, Qwen.
    Tags,
    /// `[TOOL_CALLS] [{"name": ..., "arguments": ...}, ...]`: Mistral before its eleventh tokenizer.
    List,
    /// `{"name": ..., "parameters": ...}`, one call: Llama 3.
    Object,
}

/// Notations by what a template holds, and by what it must not hold: there are others with the same marks.
const NOTATIONS: [(Notation, &[&str], &[&str]); 3] = [
    (Notation::Tags, &["<tool_call>", "arguments"], &["<function=", "<arg_key>", "<parameter="]),
    (Notation::List, &["[TOOL_CALLS]", "tool_calls"], &["[ARGS]", "[CALL_ID]"]),
    (Notation::Object, &["ipython", "\"parameters\""], &[]),
];

/// The notation of a model's template.
fn notation(template: &ChatTemplate) -> Option<Notation> {
    let texts = template.named_texts().map(|(_, text)| text.to_owned()).chain(template.text());
    let texts: Vec<String> = texts.collect();
    let suits = |text: &str, (_, with, without): &(Notation, &[&str], &[&str])| {
        with.iter().all(|mark| text.contains(mark)) && !without.iter().any(|mark| text.contains(mark))
    };
    let found = NOTATIONS.iter().find(|row| texts.iter().any(|text| suits(text, row)))?;
    Some(found.0)
}

/// Whether a template writes calls in a form that is known.
pub(super) fn are_known(template: &ChatTemplate) -> bool {
    notation(template).is_some()
}

/// A call that a model wrote.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    name: String,
    /// JSON.
    arguments: String,
}

impl Call {
    /// As an answer holds it. Its name is one that templates of all families take.
    fn value(&self) -> Value {
        const SIGNS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let (mut number, mut id) = (fresh(), String::new());
        for _ in 0..9 {
            id.push(char::from(SIGNS[(number % 36) as usize]));
            number /= 36;
        }
        let function = json!({ "name": self.name, "arguments": self.arguments });
        json!({ "id": id, "type": "function", "function": function })
    }
}

/// The calls of a message, each with its place if they are parts of a stream.
pub(super) fn values(calls: &[Call], is_chunk: bool) -> Value {
    let value = |(index, call): (usize, &Call)| {
        let mut value = call.value();
        if is_chunk {
            value["index"] = json!(index);
        }
        value
    };
    calls.iter().enumerate().map(value).collect()
}

/// The tools that answers may call.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    notation: Notation,
    /// As the client gave them, for the template.
    pub(super) list: Value,
    names: Vec<String>,
    /// Whether an answer may have several calls.
    is_parallel: bool,
}

impl Tools {
    /// Reads `tools`, `tool_choice` and `parallel_tool_calls`: the tools, if there are some that may be called, and what makes the
    /// answer a call, if it must be one.
    pub(super) fn read(
        fields: &mut Fields,
        template: &ChatTemplate,
        tokenizer: &Tokenizer,
    ) -> Result<Option<(Self, Option<Form>)>, Refusal> {
        let is_parallel = fields.flag("parallel_tool_calls")?.unwrap_or(true);
        let choice = fields.take("tool_choice");
        let wrong = |problem: String| {
            let hint =
                "give a list of {\"type\": \"function\", \"function\": {\"name\": ..., \"parameters\": ...}}";
            Refusal::field("tools", problem, hint)
        };
        let list = match fields.take("tools") {
            Some(Value::Array(tools)) => tools,
            Some(_) => return Err(wrong("is no list".into())),
            None => Vec::new(),
        };
        if list.len() > MAX_TOOLS {
            return Err(wrong(format!("has more than {MAX_TOOLS} tools")));
        }
        let functions = list.iter().enumerate().map(|(index, tool)| function(index, tool));
        let functions = functions.collect::<Result<Vec<_>, _>>()?;
        let wanted = Choice::read(choice, &functions)?;
        if functions.is_empty() || wanted == Choice::None {
            return Ok(None);
        }
        let Some(notation) = notation(template) else {
            let problem =
                "cannot be called: the model's chat template writes calls in no form that is known here";
            return Err(Refusal::field(
                "tools",
                problem,
                "leave them out, or take a model of Qwen, Hermes, Mistral or Llama 3",
            ));
        };
        let must = match &wanted {
            Choice::Must(only) => Some(only.as_deref()),
            Choice::May | Choice::None => None,
        };
        let strict = functions.iter().find(|function| function.is_strict && must.is_none());
        if let Some(function) = strict {
            let problem = format!(
                "has the strict tool {:?}, whose calls are held to its schema only if one must be called",
                function.name
            );
            return Err(Refusal::field("tools", problem, "leave strict out, or set tool_choice to required"));
        }
        let is_parallel =
            is_parallel && notation != Notation::Object && must.is_none_or(|only| only.is_none());
        let form = must.map(|only| {
            let called = functions.iter().filter(|function| only.is_none_or(|only| function.name == only));
            grammar(notation, is_parallel, called, tokenizer)
        });
        let names = functions.into_iter().map(|function| function.name).collect();
        Ok(Some((Self { notation, list: Value::Array(list), names, is_parallel }, form)))
    }

    /// The calls of an answer and the text before them; none where it is a text, or not all of it can be read as calls.
    pub(super) fn calls<'a>(&self, text: &'a str) -> Option<(String, Vec<Call>)> {
        let (before, mut calls) = match self.notation {
            Notation::Tags => {
                let (before, mut rest) = text.split_once("<tool_call>")?;
                let mut calls = Vec::new();
                loop {
                    let (call, after) = json_before(rest, "</tool_call>")?;
                    calls.push(self.call(call)?);
                    match after.split_once("<tool_call>") {
                        Some((between, next)) if between.trim().is_empty() => rest = next,
                        Some(_) => return None,
                        None if after.trim().is_empty() => break,
                        None => return None,
                    }
                }
                (before, calls)
            }
            Notation::List => {
                // The mark is a special token, which texts of answers do not hold, or a text; one in an argument is no mark.
                let read = |list: &'a str| serde_json::from_str::<Vec<&'a RawValue>>(list.trim()).ok();
                let (before, list) = match (read(text), text.split_once("[TOOL_CALLS]")) {
                    (Some(list), _) => ("", list),
                    (None, marked) => marked.and_then(|(before, list)| Some((before, read(list)?)))?,
                };
                (before, list.iter().map(|call| self.call(call.get())).collect::<Option<_>>()?)
            }
            Notation::Object => {
                let text = text.trim().trim_start_matches("<|python_tag|>");
                ("", vec![self.call(text)?])
            }
        };
        if calls.is_empty() {
            return None;
        }
        if !self.is_parallel {
            calls.truncate(1);
        }
        Some((before.trim_end().to_owned(), calls))
    }

    /// A call of a tool that there is.
    fn call(&self, text: &str) -> Option<Call> {
        let Written { name, arguments, parameters } = serde_json::from_str(text).ok()?;
        let arguments = arguments.or(parameters)?.get();
        let is_known = self.names.contains(&name) && arguments.starts_with('{');
        is_known.then(|| Call { name, arguments: arguments.to_owned() })
    }
}

/// The JSON value that `text` begins with, and what is behind `mark` after it. A mark within the value, as in a text that quotes it,
/// does not end the value.
fn json_before<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&'a RawValue>();
    let value = values.next()?.ok()?;
    let after = text.get(values.byte_offset()..)?.trim_start().strip_prefix(mark)?;
    Some((value.get(), after))
}

/// A call as models write it. Arguments stay as they are written: a number may have more digits than any type here.
#[derive(Deserialize)]
struct Written<'a> {
    name: String,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
}

/// A tool as it is called.
struct Function {
    name: String,
    /// A schema of its arguments, as answers are held to it.
    parameters: Value,
    is_strict: bool,
}

fn function(index: usize, tool: &Value) -> Result<Function, Refusal> {
    let wrong = |field: &str, problem: &str, hint: &str| {
        Err(Refusal::field(format!("tools[{index}]{field}"), problem, hint))
    };
    let function = match (&tool["type"], &tool["function"]) {
        (Value::String(kind), Value::Object(function)) if kind == "function" => function,
        _ => return wrong("", "is no function", "write {\"type\": \"function\", \"function\": {...}}"),
    };
    let sign = |sign: char| sign.is_ascii_alphanumeric() || sign == '_' || sign == '-';
    let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() || name.len() > 64 || !name.chars().all(sign) {
        return wrong(".function.name", "is no name", "use up to 64 letters, digits, - and _");
    }
    let parameters = match function.get("parameters") {
        None | Some(Value::Null) => {
            json!({ "type": "object", "properties": {}, "additionalProperties": false })
        }
        Some(parameters @ Value::Object(_)) => parameters.clone(),
        Some(_) => return wrong(".function.parameters", "is no object", "write a JSON schema"),
    };
    let parameters = of_object(parameters)
        .map_err(|error| Refusal::from(error).of_field(format!("tools[{index}].function.parameters")))?;
    let is_strict = match function.get("strict") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(is_strict)) => *is_strict,
        Some(_) => return wrong(".function.strict", "is neither true nor false", "leave it out"),
    };
    Ok(Function { name: name.to_owned(), parameters, is_strict })
}

/// The schema of a tool's arguments, which are an object.
fn of_object(mut parameters: Value) -> crate::Result<Value> {
    match &parameters["type"] {
        Value::Null => parameters["type"] = "object".into(),
        Value::String(kind) if kind == "object" => {}
        _ => {
            return Err(Error::usage(
                "type",
                "is not that of an object",
                "write {\"type\": \"object\", ...}",
            ));
        }
    }
    schema::readable(&parameters)
}

/// What `tool_choice` says.
#[derive(Debug, PartialEq)]
enum Choice {
    None,
    May,
    /// A call there must be, of this tool or of any.
    Must(Option<String>),
}

impl Choice {
    fn read(choice: Option<Value>, functions: &[Function]) -> Result<Self, Refusal> {
        let wrong = |problem: &str| {
            let hint = "use none, auto, required, or {\"type\": \"function\", \"function\": {\"name\": ...}} of a tool";
            Refusal::field("tool_choice", problem, hint)
        };
        let wanted = match &choice {
            None => return Ok(Self::May),
            Some(Value::String(word)) => match word.as_str() {
                "none" => return Ok(Self::None),
                "auto" => return Ok(Self::May),
                "required" => None,
                _ => return Err(wrong("is no choice")),
            },
            Some(value) => match value["function"]["name"].as_str() {
                Some(name) if value["type"] == "function" => Some(name.to_owned()),
                _ => return Err(wrong("is no choice")),
            },
        };
        let is_there = |name: &String| functions.iter().any(|function| function.name == *name);
        match wanted {
            _ if functions.is_empty() => Err(wrong("asks for a call, and there are no tools")),
            Some(name) if !is_there(&name) => Err(wrong("names a tool that is not there")),
            wanted => Ok(Self::Must(wanted)),
        }
    }
}

/// A grammar of answers that are calls of these tools.
fn grammar<'a>(
    notation: Notation,
    is_parallel: bool,
    functions: impl Iterator<Item = &'a Function>,
    tokenizer: &Tokenizer,
) -> Form {
    let (mut kinds, mut rules) = (Vec::new(), String::new());
    let arguments = if notation == Notation::Object { "parameters" } else { "arguments" };
    for (index, Function { name, parameters, .. }) in functions.enumerate() {
        let begin = Value::from(format!("{{\"name\": \"{name}\", \"{arguments}\": "));
        rules += &format!(
            "call_{index}: {begin} arguments_{index} \"}}\"\narguments_{index}: %json {parameters}\n"
        );
        kinds.push(format!("call_{index}"));
    }
    // No literal is the beginning of another: the longer one would be waited for.
    let (first, next, last) = match notation {
        Notation::Tags => {
            let tags =
                [r#""<tool_call>\n" call "\n</tool_call>""#, r#""\n<tool_call>\n" call "\n</tool_call>""#];
            (tags[0].to_owned(), tags[1], "")
        }
        Notation::List => {
            let mark = tokenizer.token_id("[TOOL_CALLS]").filter(|&id| tokenizer.is_special(id));
            let mark = mark.map_or_else(|| "\"[TOOL_CALLS]\"".to_owned(), |id| format!("<[{id}]>"));
            (format!("{mark} \" [\" call"), r#"", " call"#, r#""]""#)
        }
        Notation::Object => ("call".to_owned(), "", ""),
    };
    let more = if is_parallel { format!("({next})*") } else { String::new() };
    Form::Lark(format!("start: {first} {more} {last}\ncall: {}\n{rules}", kinds.join(" | ")))
}

/// The fields of a message with calls as templates read them: arguments are objects, where clients write them as JSON in a text.
pub(super) fn for_template(place: &str, fields: &mut Map<String, Value>) -> Result<(), Refusal> {
    let Some(calls) = fields.get_mut("tool_calls") else { return Ok(()) };
    let wrong = |index: usize| {
        let hint = "write {\"id\": ..., \"type\": \"function\", \"function\": {\"name\": ..., \"arguments\": \"{...}\"}}";
        Refusal::field(format!("{place}.tool_calls[{index}]"), "is no call", hint)
    };
    for (index, call) in calls.as_array_mut().into_iter().flatten().enumerate() {
        if !call["function"]["name"].is_string() {
            return Err(wrong(index));
        }
        let arguments = &mut call["function"]["arguments"];
        if let Value::String(text) = arguments {
            let text = if text.trim().is_empty() { "{}" } else { text.as_str() };
            *arguments = crate::json::from_str(text).map_err(|_| wrong(index))?;
        }
        if !arguments.is_object() {
            return Err(wrong(index));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn tools(notation: Notation) -> Tools {
        let names = vec!["sum".to_owned(), "now".to_owned()];
        Tools { notation, list: json!([]), names, is_parallel: true }
    }

    fn read(notation: Notation, text: &str) -> Option<(String, Vec<(String, String)>)> {
        let (before, calls) = tools(notation).calls(text)?;
        Some((before, calls.into_iter().map(|call| (call.name, call.arguments)).collect()))
    }

    #[test]
    fn calls_are_read_or_a_text_stays_a_text() {
        let sum = || ("sum".to_owned(), r#"{"a": 1, "b": [2]}"#.to_owned());
        let now = || ("now".to_owned(), "{}".to_owned());
        let first = r#"{"name": "sum", "arguments": {"a": 1, "b": [2]}}"#;
        let tags = format!(
            "I see.\n<tool_call>\n{first}\n</tool_call>\n<tool_call>{{\"arguments\": {{}}, \"name\": \"now\"}}</tool_call>"
        );
        assert_eq!(read(Notation::Tags, &tags), Some(("I see.".into(), vec![sum(), now()])));
        let large = r#"{"a": 41e824, "b": 12345678901234567890123}"#;
        let call = format!("<tool_call>{{\"name\": \"sum\", \"arguments\": {large}}}</tool_call>");
        assert_eq!(read(Notation::Tags, &call), Some((String::new(), vec![("sum".into(), large.into())])));
        let list = format!("[{first}, {{\"name\": \"now\", \"arguments\": {{}}, \"id\": \"123456789\"}}]");
        for text in [list.clone(), format!("[TOOL_CALLS] {list}"), format!(" {list} ")] {
            assert_eq!(read(Notation::List, &text), Some((String::new(), vec![sum(), now()])), "{text}");
        }
        // Marks in arguments are parts of texts.
        let quoting = r#"{"a": "</tool_call>\n<tool_call>", "b": "[TOOL_CALLS] [\"]"}"#;
        let call = format!("{{\"name\": \"sum\", \"arguments\": {quoting}}}");
        let sums = |count: usize| vec![("sum".to_owned(), quoting.to_owned()); count];
        let tags = format!("a <tool_call>{call}</tool_call>\n<tool_call>\n{call}\n</tool_call>\n");
        assert_eq!(read(Notation::Tags, &tags), Some(("a".into(), sums(2))));
        for text in [format!("[{call}]"), format!("[TOOL_CALLS][{call}]")] {
            assert_eq!(read(Notation::List, &text), Some((String::new(), sums(1))), "{text}");
        }
        let object = r#"{"name": "sum", "parameters": {"a": 1, "b": [2]}}"#;
        for text in [object.to_owned(), format!("<|python_tag|>{object}")] {
            assert_eq!(read(Notation::Object, &text), Some((String::new(), vec![sum()])), "{text}");
        }
        for (notation, text) in [
            (Notation::Tags, "No call."),
            (Notation::Tags, "<tool_call>\n{\"name\": \"sum\", \"argu"),
            (Notation::Tags, "<tool_call>{\"name\": \"other\", \"arguments\": {}}</tool_call>"),
            (Notation::Tags, "<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call> and so on"),
            (Notation::Tags, "<tool_call>{\"name\": \"now\", \"arguments\": 3}</tool_call>"),
            (Notation::Tags, "<tool_call>{\"name\": \"now\", \"arguments\": {}} {}</tool_call>"),
            (Notation::List, "[]"),
            (Notation::List, "[1, 2]"),
            (Notation::Object, "{\"name\": \"sum\"}"),
            (Notation::Object, "3"),
        ] {
            assert_eq!(read(notation, text), None, "{text}");
        }
    }
}
