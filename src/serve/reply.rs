//! Answers in the form that OpenAI's clients read, whole or as a stream of events.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::ask::Kind;
use super::fresh::{fresh, now};
use super::job::Event;
use super::recent::Exchange;
use super::refusal::Refusal;
use super::school::School;
use super::text::{Piece, Told, Word};
use super::tools::{self, Call, Tools};

/// Where an answer is remembered, and what was asked.
pub(super) type Memory = (Arc<School>, Result<Vec<Value>, &'static str>);

/// What is the same in every part of an answer.
#[derive(Debug, Clone)]
pub(super) struct Head {
    kind: Kind,
    id: String,
    created: u64,
    model: String,
    /// How many completions there are.
    choices: usize,
    prompt_tokens: usize,
    tells: bool,
    /// What answers may call; such an answer is read when it is whole.
    tools: Option<Tools>,
    /// Where it is remembered once it is whole.
    memory: Option<Memory>,
}

impl Head {
    /// The head of a new answer of the model that goes by this name.
    pub(super) fn new(kind: Kind, model: String, choices: usize, prompt_tokens: usize, tells: bool) -> Self {
        let id = format!("{}-{:016x}", if kind == Kind::Chat { "chatcmpl" } else { "cmpl" }, fresh());
        Self { kind, id, created: now(), model, choices, prompt_tokens, tells, tools: None, memory: None }
    }

    /// The same of answers that may call tools.
    pub(super) fn with_tools(self, tools: Option<Tools>) -> Self {
        Self { tools, ..self }
    }

    /// The same of answers that are remembered.
    pub(super) fn remembered(self, memory: Option<Memory>) -> Self {
        Self { memory, ..self }
    }

    /// Remembers the texts of all choices, if they are to be.
    fn remember(&self, answers: impl Iterator<Item = String>) {
        if let Some((school, asked)) = &self.memory {
            school.recent.put(&self.id, Exchange { asked: asked.clone(), answers: answers.collect() });
        }
    }

    /// The calls that an answer is, and the text before them. What was cut is a text.
    fn calls(&self, text: &str, finish: Option<&str>) -> Option<(Value, Vec<Call>)> {
        let tools = self.tools.as_ref().filter(|_| finish == Some("stop"))?;
        let (before, calls) = tools.calls(text)?;
        Some((if before.is_empty() { Value::Null } else { Value::from(before) }, calls))
    }

    fn object(&self, choices: Vec<Value>, is_chunk: bool) -> Map<String, Value> {
        let object = match (self.kind, is_chunk) {
            (Kind::Chat, false) => "chat.completion",
            (Kind::Chat, true) => "chat.completion.chunk",
            (Kind::Text, _) => "text_completion",
        };
        Map::from_iter([
            ("id".to_owned(), json!(self.id)),
            ("object".to_owned(), json!(object)),
            ("created".to_owned(), json!(self.created)),
            ("model".to_owned(), json!(self.model)),
            ("choices".to_owned(), Value::Array(choices)),
        ])
    }

    fn usage(&self, tally: &Tally) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": tally.completion_tokens,
            "total_tokens": self.prompt_tokens + tally.completion_tokens,
            "prompt_tokens_details": { "cached_tokens": tally.cached_tokens },
        })
    }

    /// The log-probabilities of tokens.
    fn logprobs(&self, tokens: &[Told]) -> Value {
        if !self.tells {
            return Value::Null;
        }
        let bytes = |word: &Word| match &word.part {
            Some(part) => json!(part),
            None if word.text.contains('\u{FFFD}') => Value::Null,
            None => json!(word.text.as_bytes()),
        };
        let entry = |word: &Word, logprob: f32| json!({ "token": word.text, "logprob": logprob, "bytes": bytes(word) });
        match self.kind {
            Kind::Chat => {
                let content = tokens.iter().map(|told| {
                    let likeliest = told.likeliest.iter().map(|(word, logprob)| entry(word, *logprob));
                    let mut entry = entry(&told.word, told.logprob);
                    entry["top_logprobs"] = likeliest.collect();
                    entry
                });
                json!({ "content": content.collect::<Vec<_>>(), "refusal": null })
            }
            Kind::Text => {
                let likeliest = |told: &Told| {
                    let mut rows = Map::new();
                    for (word, logprob) in &told.likeliest {
                        let name = name(word);
                        // Several tokens may have one text: `▁a` and `a`.
                        let mut names = [name.clone(), word.spelled.clone()]
                            .into_iter()
                            .chain((1..).map(|count| format!("{name} ({count})")));
                        if let Some(name) = names.find(|name| !rows.contains_key(name)) {
                            rows.insert(name, json!(logprob));
                        }
                    }
                    if rows.is_empty() { Value::Null } else { Value::Object(rows) }
                };
                json!({
                    "tokens": tokens.iter().map(|told| name(&told.word)).collect::<Vec<_>>(),
                    "token_logprobs": tokens.iter().map(|told| told.logprob).collect::<Vec<_>>(),
                    "top_logprobs": tokens.iter().map(likeliest).collect::<Vec<_>>(),
                    "text_offset": tokens.iter().map(|told| told.offset).collect::<Vec<_>>(),
                })
            }
        }
    }

    fn choice(&self, index: usize, content: Value, logprobs: Value, finish: Option<&str>) -> Value {
        let name = match (self.kind, content.is_string()) {
            (Kind::Text, _) => "text",
            (Kind::Chat, true) => "message",
            (Kind::Chat, false) => "delta",
        };
        let content = match (self.kind, content) {
            (Kind::Chat, Value::String(text)) => {
                json!({ "role": "assistant", "content": text, "refusal": null })
            }
            (_, content) => content,
        };
        let mut choice = Map::new();
        choice.insert("index".into(), json!(index));
        choice.insert(name.into(), content);
        choice.insert("logprobs".into(), logprobs);
        choice.insert("finish_reason".into(), json!(finish));
        Value::Object(choice)
    }
}

/// A token as a key of an object: its text, or, as OpenAI writes parts of characters, `bytes:\xe4\xb8`.
fn name(word: &Word) -> String {
    let hex = |part: &Vec<u8>| part.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    word.part.as_ref().map_or_else(|| word.text.clone(), |part| format!("bytes:{}", hex(part)))
}

/// What there is of an answer's numbers.
#[derive(Debug, Default)]
struct Tally {
    ended: usize,
    completion_tokens: usize,
    cached_tokens: usize,
}

impl Tally {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Begun { cached } => self.cached_tokens += cached,
            Event::End { tokens, .. } => {
                self.completion_tokens += tokens;
                self.ended += 1;
            }
            Event::News { .. } | Event::Failed(_) => {}
        }
    }
}

/// Why an answer ended that is calls.
const CALLED: &str = "tool_calls";

fn finish_reason(cut: bool) -> &'static str {
    if cut { "length" } else { "stop" }
}

/// An answer that is given when it is whole.
#[derive(Debug)]
pub(super) struct Whole {
    head: Head,
    tally: Tally,
    choices: Vec<(Piece, Option<&'static str>)>,
}

impl Whole {
    /// Nothing yet.
    pub(super) fn new(head: Head) -> Self {
        let choices = (0..head.choices).map(|_| (Piece::default(), None)).collect();
        Self { head, tally: Tally::default(), choices }
    }

    /// Takes an event. The answer, once it is whole.
    ///
    /// # Errors
    /// The refusal that the event is.
    pub(super) fn take(&mut self, event: Event) -> Result<Option<Value>, Refusal> {
        self.tally.take(&event);
        match event {
            Event::Failed(refusal) => return Err(refusal),
            Event::News { choice, piece } => self.choices[choice].0.append(piece),
            Event::End { choice, cut, .. } => self.choices[choice].1 = Some(finish_reason(cut)),
            Event::Begun { .. } => {}
        }
        if self.tally.ended < self.choices.len() {
            return Ok(None);
        }
        self.head.remember(self.choices.iter().map(|(piece, _)| piece.text.clone()));
        let choices = self.choices.iter().enumerate().map(|(index, (piece, finish))| {
            let logprobs = self.head.logprobs(&piece.tokens);
            let mut choice = self.head.choice(index, Value::String(piece.text.clone()), logprobs, *finish);
            if let Some((before, calls)) = self.head.calls(&piece.text, *finish) {
                choice["message"]["content"] = before;
                choice["message"]["tool_calls"] = tools::values(&calls, false);
                choice["finish_reason"] = json!(CALLED);
            }
            choice
        });
        let mut whole = self.head.object(choices.collect(), false);
        whole.insert("usage".into(), self.head.usage(&self.tally));
        Ok(Some(Value::Object(whole)))
    }
}

/// An answer that is given as it comes, as server-sent events.
#[derive(Debug)]
pub(super) struct Chunks {
    head: Head,
    tally: Tally,
    include_usage: bool,
    /// Whether the first part of each choice was told.
    opened: Vec<bool>,
    /// What came of each choice that may be a call.
    held: Vec<Piece>,
    /// The text of each choice, if it is remembered.
    texts: Vec<String>,
}

impl Chunks {
    /// Nothing yet.
    pub(super) fn new(head: Head, include_usage: bool) -> Self {
        let (opened, held) = (vec![false; head.choices], vec![Piece::default(); head.choices]);
        let texts = vec![String::new(); head.choices];
        Self { tally: Tally::default(), opened, held, texts, include_usage, head }
    }

    /// The text of the events that tell of `event`, and whether nothing comes after them.
    pub(super) fn take(&mut self, event: Event) -> (String, bool) {
        self.tally.take(&event);
        let mut out = String::new();
        if let (Event::News { choice, piece }, Some(_)) = (&event, &self.head.memory) {
            self.texts[*choice] += &piece.text;
        }
        match event {
            Event::Failed(refusal) => return (data(&refusal.body()), true),
            Event::Begun { .. } => {}
            Event::News { choice, piece } if self.head.tools.is_some() => {
                self.open(choice, &mut out);
                self.held[choice].append(piece);
            }
            Event::News { choice, piece } => {
                self.open(choice, &mut out);
                let logprobs = self.head.logprobs(&piece.tokens);
                let content = match self.head.kind {
                    Kind::Chat => json!({ "content": piece.text }),
                    Kind::Text => json!(piece.text),
                };
                out += &self.chunk(vec![self.head.choice(choice, content, logprobs, None)], Value::Null);
            }
            Event::End { choice, cut, .. } => {
                self.open(choice, &mut out);
                let mut finish = finish_reason(cut);
                let held = std::mem::take(&mut self.held[choice]);
                if !held.is_empty() {
                    let delta = match self.head.calls(&held.text, Some(finish)) {
                        Some((before, calls)) => {
                            finish = CALLED;
                            json!({ "content": before, "tool_calls": tools::values(&calls, true) })
                        }
                        None => json!({ "content": held.text }),
                    };
                    let logprobs = self.head.logprobs(&held.tokens);
                    out += &self.chunk(vec![self.head.choice(choice, delta, logprobs, None)], Value::Null);
                }
                let content = if self.head.kind == Kind::Chat { json!({}) } else { json!("") };
                let last = self.head.choice(choice, content, Value::Null, Some(finish));
                out += &self.chunk(vec![last], Value::Null);
            }
        }
        let is_last = self.tally.ended == self.head.choices;
        if is_last {
            self.head.remember(std::mem::take(&mut self.texts).into_iter());
            if self.include_usage {
                out += &self.chunk(Vec::new(), self.head.usage(&self.tally));
            }
            out += "data: [DONE]\n\n";
        }
        (out, is_last)
    }

    /// A message begins with who speaks.
    fn open(&mut self, choice: usize, out: &mut String) {
        if !std::mem::replace(&mut self.opened[choice], true) && self.head.kind == Kind::Chat {
            let delta = json!({ "role": "assistant", "content": "" });
            *out += &self.chunk(vec![self.head.choice(choice, delta, Value::Null, None)], Value::Null);
        }
    }

    fn chunk(&self, choices: Vec<Value>, usage: Value) -> String {
        let mut chunk = self.head.object(choices, true);
        if self.include_usage {
            chunk.insert("usage".into(), usage);
        }
        data(&Value::Object(chunk))
    }
}

fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_of_one_name_takes_the_place_of_another() {
        let word = |text: &str, part: Option<&[u8]>, spelled: &str| Word {
            text: text.into(),
            part: part.map(<[u8]>::to_vec),
            spelled: spelled.into(),
        };
        let parts = [
            (word("\u{FFFD}", Some(&[0xe4, 0xb8]), "ä¸"), -1.0),
            (word("\u{FFFD}", Some(&[0xe4]), "ä"), -2.0),
            (word("a", None, "▁a"), -3.0),
            (word("a", None, "a"), -4.0),
        ];
        // The vocabulary's own spelling may be the text of the one before.
        let told = Told { word: parts[0].0.clone(), offset: 0, logprob: -1.0, likeliest: parts.to_vec() };
        let head = |kind| Head::new(kind, "m".into(), 1, 1, true);
        let text = head(Kind::Text).logprobs(std::slice::from_ref(&told));
        let want = json!({ "bytes:\\xe4\\xb8": -1.0, "bytes:\\xe4": -2.0, "a": -3.0, "a (1)": -4.0 });
        assert_eq!(text["top_logprobs"], json!([want]));
        assert_eq!(text["tokens"], json!(["bytes:\\xe4\\xb8"]));
        let chat = head(Kind::Chat).logprobs(&[told]);
        assert_eq!(chat["content"][0]["bytes"], json!([0xe4, 0xb8]));
        assert_eq!(chat["content"][0]["top_logprobs"][3]["bytes"], json!([0x61]));
    }
}
