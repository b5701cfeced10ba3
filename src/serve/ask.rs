//! What a client asks for: the bodies of `/v1/chat/completions` and `/v1/completions`, read and checked.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::fields::Fields;
use super::refusal::Refusal;
use super::shape;
use super::tools::{self, Tools};
use crate::ladder::learner::Language;
use crate::model::chat::{Conversation, GIVEN, Message};
use crate::model::config::advice::SamplingAdvice;
use crate::model::generate::{Adjustment, Sampling};
use crate::model::guide::Form;
use crate::model::tokenizer::Lacking;

/// Most completions of one request.
const MAX_CHOICES: u64 = 128;
/// Most messages of a conversation.
const MAX_MESSAGES: usize = 4096;
/// Most texts at which an answer stops, and the longest of them in bytes.
const MAX_STOPS: usize = 16;
const MAX_STOP_BYTES: usize = 1024;
/// Most likeliest tokens that are told with each.
const MAX_LIKELIEST: u64 = 20;
/// Most tokens of a completion whose request does not say it, by the description of OpenAI's interface.
const DEFAULT_TEXT_TOKENS: usize = 16;

/// Which of the two interfaces is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Messages in, a message out.
    Chat,
    /// A text in, its continuation out.
    Text,
}

/// A request that can be worked on.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) kind: Kind,
    /// The model as the client names it; none is the base.
    pub(super) model: Option<String>,
    /// Tokens of each prompt.
    pub(super) prompts: Vec<Vec<u32>>,
    /// Each prompt as the client wrote it, or why no lesson can be made of it.
    pub(super) asked: Result<Vec<Value>, &'static str>,
    /// Completions of each prompt.
    pub(super) samples: usize,
    pub(super) sampling: Sampling,
    /// Whether the most tokens are those that the context has room for.
    pub(super) fills_context: bool,
    pub(super) seed: Option<u64>,
    pub(super) adjustment: Adjustment,
    /// What answers are held to.
    pub(super) form: Option<Form>,
    /// What answers may call.
    pub(super) tools: Option<Tools>,
    /// Texts before which an answer ends.
    pub(super) stop: Vec<String>,
    /// Whether log-probabilities are told, and of how many of the likeliest tokens.
    pub(super) logprobs: Option<usize>,
    pub(super) stream: bool,
    /// Whether a stream ends with the numbers of tokens.
    pub(super) include_usage: bool,
}

impl Ask {
    /// Reads a body for a model of `context` tokens. Numbers that it leaves out are those which the model's makers advise, else those of OpenAI's interface.
    pub(super) fn read(
        kind: Kind,
        body: &[u8],
        language: &Language,
        advice: SamplingAdvice,
        context: usize,
    ) -> Result<Self, Refusal> {
        let mut fields = Fields::of_body(body)?;
        let model = fields.text("model")?;
        let samples = fields.count("n", 1, MAX_CHOICES)?.unwrap_or(1);
        let most = u64::from(u32::MAX);
        let max_tokens = fields.count("max_tokens", 1, most)?;
        let max_tokens = match (kind, fields.count("max_completion_tokens", 1, most)?) {
            (Kind::Chat, newer) => newer.or(max_tokens),
            (Kind::Text, None) => max_tokens,
            (Kind::Text, Some(_)) => {
                let problem = "is a field of chat completions";
                return Err(Refusal::field("max_completion_tokens", problem, "write max_tokens"));
            }
        };
        let temperature = fields.number(
            "temperature",
            |t| (0.0..=100.0).contains(&t),
            "a number from 0 (greedy) to 100",
        )?;
        let top_p = fields.number("top_p", |p| p > 0.0 && p <= 1.0, "a number above 0 and up to 1")?;
        let min_p = fields.number("min_p", |p| (0.0..=1.0).contains(&p), "a number from 0 to 1")?;
        // Some programs write -1 for all.
        let top_k = fields.number(
            "top_k",
            |k| k >= -1.0 && k.fract() == 0.0 && k < 4e9,
            "a whole number; 0 is all",
        )?;
        let top_k = top_k.map(|k| k.max(0.0) as usize).or(advice.top_k.map(|k| k as usize));
        let sampling = Sampling {
            max_tokens: max_tokens.map_or(DEFAULT_TEXT_TOKENS, |count| count as usize),
            temperature: temperature.or(advice.temperature).unwrap_or(1.0) as f32,
            top_k: top_k.unwrap_or(0),
            top_p: top_p.or(advice.top_p).unwrap_or(1.0) as f32,
            min_p: min_p.or(advice.min_p).unwrap_or(0.0) as f32,
        };
        let adjustment = shape::adjustment(&mut fields, advice)?;
        let mut form = if kind == Kind::Chat { shape::form(&mut fields)? } else { None };
        let template = language.chat.as_ref().filter(|_| kind == Kind::Chat);
        let tools = template.map(|template| Tools::read(&mut fields, template, &language.tokenizer));
        let tools = tools.transpose()?.flatten().map(|(tools, call)| {
            if form.is_some() {
                let problem = "cannot be given with tools, whose calls have a form of their own";
                return Err(Refusal::field("response_format", problem, "give one of the two"));
            }
            form = call;
            Ok(tools)
        });
        let tools = tools.transpose()?;
        let seed = fields.seed("seed")?;
        let stop = fields.texts("stop", MAX_STOPS)?;
        if stop.iter().any(|text| text.len() > MAX_STOP_BYTES) {
            let problem = format!("has a text of more than {MAX_STOP_BYTES} bytes");
            return Err(Refusal::field("stop", problem, "give the beginning of it"));
        }
        let stream = fields.flag("stream")?.unwrap_or(false);
        let mut include_usage = false;
        if let Some(mut options) = fields.object("stream_options")? {
            include_usage = options.flag("include_usage")?.unwrap_or(false);
            // It asks for, or against, padding that hides the length of tokens from who listens on the way.
            options.take("include_obfuscation");
            options.finish()?;
        }
        if fields.count("best_of", 1, MAX_CHOICES)?.is_some_and(|best| best != samples) {
            let problem = "is not n, so that completions would be thrown away";
            return Err(Refusal::field("best_of", problem, "leave it out, and choose among n completions"));
        }
        let logprobs = match kind {
            Kind::Chat => {
                let told = fields.flag("logprobs")?.unwrap_or(false);
                match (told, fields.count("top_logprobs", 0, MAX_LIKELIEST)?) {
                    (true, likeliest) => Some(likeliest.unwrap_or(0)),
                    (false, None | Some(0)) => None,
                    (false, Some(_)) => {
                        let problem = "is given without logprobs";
                        return Err(Refusal::field("top_logprobs", problem, "set logprobs to true"));
                    }
                }
            }
            Kind::Text => fields.count("logprobs", 0, MAX_LIKELIEST)?,
        };
        let (prompts, asked) = match kind {
            Kind::Chat => conversation(&mut fields, language, tools.as_ref(), context)?,
            Kind::Text => prompts(&mut fields, "prompt", MAX_CHOICES, language, context)?,
        };
        fields.finish()?;
        if prompts.len() as u64 * samples > MAX_CHOICES {
            let problem = format!("asks for more than {MAX_CHOICES} completions");
            return Err(Refusal::field("n", problem, "send several requests"));
        }
        Ok(Self {
            kind,
            model,
            prompts,
            asked,
            samples: samples as usize,
            sampling,
            fills_context: max_tokens.is_none() && kind == Kind::Chat,
            seed,
            adjustment,
            form,
            tools,
            stop,
            logprobs: logprobs.map(|count| count as usize),
            stream,
            include_usage,
        })
    }
}

/// Prompts in tokens, and as they were written.
type Prompts = (Vec<Vec<u32>>, Result<Vec<Value>, &'static str>);

/// The tokens of a conversation, by the model's chat template, and its messages.
fn conversation(
    fields: &mut Fields,
    language: &Language,
    tools: Option<&Tools>,
    context: usize,
) -> Result<Prompts, Refusal> {
    let wrong = |problem: String| {
        Refusal::field("messages", problem, "give a list of messages, each with role and content")
    };
    let messages = match fields.take("messages") {
        Some(Value::Array(messages)) if !messages.is_empty() => messages,
        Some(Value::Array(_)) => return Err(wrong("is empty".into())),
        Some(_) => return Err(wrong("is no list".into())),
        None => return Err(wrong("is missing".into())),
    };
    if messages.len() > MAX_MESSAGES {
        return Err(wrong(format!("has more than {MAX_MESSAGES} messages")));
    }
    let messages = messages.into_iter().enumerate();
    let messages: Vec<Message> =
        messages.map(|(index, value)| message(index, value)).collect::<Result<_, _>>()?;
    let variables = match fields.take("chat_template_kwargs") {
        None => None,
        Some(Value::Object(variables)) => {
            if let Some(name) = GIVEN.iter().find(|name| variables.contains_key(**name)) {
                let problem = format!("has {name}, which the request itself says");
                return Err(Refusal::field("chat_template_kwargs", problem, "leave it out"));
            }
            Some(variables)
        }
        Some(_) => {
            return Err(Refusal::field(
                "chat_template_kwargs",
                "is no object",
                "give the template's variables by name",
            ));
        }
    };
    let Some(template) = &language.chat else {
        let message = "model: has no chat template; use /v1/completions, or an instruction-tuned model";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "no_chat_template", message).of_field("model"));
    };
    let called =
        messages.iter().position(|message| message.role() == "tool" || message.get("tool_calls").is_some());
    if let Some(index) = called.filter(|_| !tools::are_known(template)) {
        let problem = "is about a tool, which the model's chat template writes in no form that is known here";
        return Err(Refusal::field(
            format!("messages[{index}]"),
            problem,
            "leave it out, or take another model",
        ));
    }
    let conversation = Conversation {
        variables: variables.as_ref(),
        tools: tools.map(|tools| &tools.list),
        ..Conversation::new(&messages)
    };
    let text = template.render_texts(&conversation, true)?;
    language.tokenizer.check_length("the prompt", &text, context)?;
    tell_lacking(language, messages.last().map(Message::text));
    let asked = match (tools, &variables) {
        (Some(_), _) => Err("was asked with tools"),
        (_, Some(_)) => Err("was asked with chat_template_kwargs"),
        (None, None) => Ok(vec![messages.iter().map(|message| json!(message)).collect()]),
    };
    Ok((vec![language.tokenizer.encode(&text, false)?], asked))
}

/// Fields of messages that are read, or that answers have and that say nothing here.
const MESSAGE_FIELDS: [&str; 8] =
    ["role", "content", "name", "refusal", "annotations", "audio", "tool_calls", "tool_call_id"];

/// A message of a conversation. `developer` is what newer clients call `system`, which templates know.
fn message(index: usize, value: Value) -> Result<Message, Refusal> {
    let place = format!("messages[{index}]");
    let Value::Object(mut fields) = value else {
        return Err(Refusal::field(place, "is no object", "write {\"role\": ..., \"content\": ...}"));
    };
    fields.retain(|_, value| !value.is_null() && value != &Value::Array(Vec::new()));
    if let Some(name) = fields.keys().find(|name| !MESSAGE_FIELDS.contains(&name.as_str())) {
        let hint = match name.as_str() {
            "function_call" => "it is an old form; write tool_calls",
            _ => "leave it out",
        };
        return Err(Refusal::field(format!("{place}.{name}"), "is not supported", hint));
    }
    ["refusal", "annotations", "audio"].iter().for_each(|name| drop(fields.shift_remove(*name)));
    if fields.get("role").is_some_and(|role| role == "developer") {
        fields.insert("role".into(), "system".into());
    }
    tools::for_template(&place, &mut fields)?;
    let known = fields.get("role").and_then(Value::as_str);
    if let Some(role) = known.filter(|role| !["system", "user", "assistant", "tool"].contains(role)) {
        let shown: String = role.chars().take(40).collect();
        let hint = "use system, developer, user, assistant or tool";
        return Err(Refusal::field(format!("{place}.role"), format!("is {shown:?}"), hint));
    }
    Message::try_from(fields)
        .map_err(|problem| Refusal::field(place, problem, "give each message a role and a text"))
}

/// The texts in a field, at most so many, in tokens, of which each has to fit into `context`.
pub(super) fn prompts(
    fields: &mut Fields,
    name: &str,
    most: u64,
    language: &Language,
    context: usize,
) -> Result<Prompts, Refusal> {
    let wrong = |problem: &str| {
        Refusal::field(name, problem, "give a text, a list of texts, tokens, or a list of lists of tokens")
    };
    let encode = |text: &str| {
        language.tokenizer.check_length(&format!("the {name}"), text, context)?;
        tell_lacking(language, [text]);
        language.tokenizer.encode_prompt(text).map_err(Refusal::from)
    };
    let token = |value: &Value| value.as_u64().and_then(|token| u32::try_from(token).ok());
    let tokens = |values: &[Value]| values.iter().map(token).collect::<Option<Vec<u32>>>();
    let prompt = fields.take(name).ok_or_else(|| wrong("is missing"))?;
    let prompts = match &prompt {
        Value::String(text) => vec![encode(text)?],
        Value::Array(items) if items.is_empty() => return Err(wrong("is empty")),
        Value::Array(items) if items.len() as u64 > most && !items[0].is_u64() => {
            return Err(wrong("is a list of too many prompts"));
        }
        Value::Array(items) if items[0].is_u64() => {
            vec![tokens(items).ok_or_else(|| wrong("holds what is no token"))?]
        }
        Value::Array(items) => items
            .iter()
            .map(|item| match item {
                Value::String(text) => encode(text),
                Value::Array(values) => tokens(values).ok_or_else(|| wrong("holds what is no token")),
                _ => Err(wrong("holds what is neither a text nor a list of tokens")),
            })
            .collect::<Result<_, _>>()?,
        _ => return Err(wrong("is neither a text nor a list")),
    };
    let is_text = |prompt: &&Value| prompt.is_string();
    let asked = match &prompt {
        Value::Array(items) if items.iter().all(|item| is_text(&item)) => Ok(items.clone()),
        text if is_text(&text) => Ok(vec![text.clone()]),
        _ => Err("was asked in tokens"),
    };
    match prompts.iter().all(|prompt| !prompt.is_empty()) {
        true => Ok((prompts, asked)),
        false => Err(wrong("is empty")),
    }
}

/// Says so on standard error if the vocabulary lacks characters of `texts`, as every command does.
fn tell_lacking<'a>(language: &Language, texts: impl IntoIterator<Item = &'a str>) {
    let lacking = Lacking::of(&language.tokenizer, texts);
    if !lacking.is_empty() {
        tracing::warn!("{lacking}");
    }
}
