//! Chat templates: the Jinja programs by which models want conversations written.
//!
//! Templates come with models and are not trusted: they see the conversation only, and their work is bounded. One is
//! compiled when it renders something for the first time, so that a model without a usable template still opens.

mod arguments;
mod arithmetic;
mod bounds;
mod environment;
mod filters;
mod members;
mod message;
mod methods;
mod parts;
mod percent;
mod python;
mod scopes;
mod source;
mod strftime;
mod tag;
mod text_filters;
mod turn_end;
mod views;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use minijinja::Environment;
use serde_json::{Map, Value};

pub use message::{Conversation, Message};
pub use turn_end::unended_turn;

use crate::model::source::gguf::Metadata;
use crate::{Error, Result};

/// Variables of a template that say the conversation itself, so that nobody else may set them.
pub const GIVEN: [&str; 4] = ["messages", "tools", "documents", "add_generation_prompt"];

/// The name of the template that is used unless there is a better one.
pub const DEFAULT: &str = "default";
/// The name of the template for conversations with tools.
pub const TOOL_USE: &str = "tool_use";

/// A model's chat template, or several that go by names.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    templates: Arc<Vec<Template>>,
    /// `bos_token` and so on as text, and what [`ChatTemplate::set_variable`] added.
    variables: Map<String, Value>,
}

/// A template with its name and the file that it is from.
#[derive(Debug)]
struct Template {
    name: String,
    file: PathBuf,
    text: String,
    now: i64,
    compiled: OnceLock<Result<Environment<'static>, String>>,
}

impl ChatTemplate {
    /// One template; `file` is for messages. `bos_token` and `eos_token` are the tokens as text; `now`, in seconds since
    /// 1970 UTC, is the date that templates which write today's will write.
    pub fn new(file: &Path, text: &str, bos_token: &str, eos_token: &str, now: i64) -> Self {
        let tokens = [("bos_token", bos_token), ("eos_token", eos_token)];
        let tokens = tokens.map(|(name, token)| (name.to_string(), Value::from(token)));
        Self::named([(DEFAULT.to_string(), file.to_path_buf(), text.to_string())], tokens, now)
    }

    /// Templates as (name, file, text) with the special tokens that they may write, by names such as `bos_token`.
    pub fn named(
        templates: impl IntoIterator<Item = (String, PathBuf, String)>,
        tokens: impl IntoIterator<Item = (String, Value)>,
        now: i64,
    ) -> Self {
        let template = |(name, file, text)| Template { name, file, text, now, compiled: OnceLock::new() };
        Self {
            templates: Arc::new(templates.into_iter().map(template).collect()),
            variables: tokens.into_iter().collect(),
        }
    }

    /// The templates in a GGUF file's metadata; `None` if there is none. Others than the default one have their names in
    /// `tokenizer.chat_templates`.
    ///
    /// # Errors
    /// `Input` if a value is no text.
    pub fn from_gguf_metadata(
        metadata: &Metadata,
        bos_token: &str,
        eos_token: &str,
        now: i64,
    ) -> Result<Option<Self>> {
        const KEY: &str = "tokenizer.chat_template";
        let mut templates = Vec::new();
        if let Some(text) = metadata.text(KEY)? {
            templates.push((DEFAULT.to_string(), metadata.file.clone(), text.to_string()));
        }
        let names = metadata.texts("tokenizer.chat_templates")?.unwrap_or_default();
        let names: BTreeSet<&str> = names.iter().map(String::as_str).chain([TOOL_USE]).collect();
        for name in names.into_iter().filter(|&name| name != DEFAULT) {
            if let Some(text) = metadata.text(&format!("{KEY}.{name}"))? {
                templates.push((name.to_string(), metadata.file.clone(), text.to_string()));
            }
        }
        let tokens = [("bos_token", bos_token), ("eos_token", eos_token)];
        let tokens = tokens.map(|(name, token)| (name.to_string(), Value::from(token)));
        Ok((!templates.is_empty()).then(|| Self::named(templates, tokens, now)))
    }

    /// The default template's own text.
    pub fn text(&self) -> Option<String> {
        self.templates.iter().find(|template| template.name == DEFAULT).map(|template| template.text.clone())
    }

    /// Names and texts of the other templates.
    pub fn named_texts(&self) -> impl Iterator<Item = (&str, &str)> {
        let others = self.templates.iter().filter(|template| template.name != DEFAULT);
        others.map(|template| (template.name.as_str(), template.text.as_str()))
    }

    /// Gives templates a variable of their own, such as Qwen3's `enable_thinking`.
    pub fn set_variable(&mut self, name: &str, value: Value) {
        self.variables.insert(name.to_string(), value);
    }

    /// The messages as the model wants them, to be encoded without adding special tokens. With `add_generation_prompt`
    /// the text ends where the assistant's answer begins.
    ///
    /// # Errors
    /// As [`ChatTemplate::render_texts`].
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        self.render_texts(&Conversation::new(messages), add_generation_prompt)
    }

    /// The text of a conversation with tools, documents and variables, as transformers'
    /// `apply_chat_template` renders it.
    ///
    /// # Errors
    /// `Input` if the template is not Jinja, refuses the conversation (with its own words) or fails.
    pub fn render_conversation(
        &self,
        conversation: &Conversation<'_>,
        add_generation_prompt: bool,
    ) -> Result<String> {
        let template = self.choose(conversation.tools.is_some())?;
        let environment = template.compiled()?;
        let context = conversation.context(&self.variables, add_generation_prompt);
        environment::render(environment, &context).map_err(|(problem, hint)| template.error(problem, hint))
    }

    /// [`ChatTemplate::render_conversation`] for a model to read: where the template would print contents that are lists of text
    /// parts as Python does, leave them out, or fail on them, they become texts.
    ///
    /// # Errors
    /// As [`ChatTemplate::render_conversation`].
    pub fn render_texts(
        &self,
        conversation: &Conversation<'_>,
        add_generation_prompt: bool,
    ) -> Result<String> {
        let rendered = self.render_conversation(conversation, add_generation_prompt);
        match parts::joined(conversation.messages, rendered.as_deref().unwrap_or_default()) {
            Some(messages) => {
                let texts = Conversation { messages: &messages, ..*conversation };
                self.render_conversation(&texts, add_generation_prompt)
            }
            None => rendered,
        }
    }

    /// The template for conversations with or without tools.
    fn choose(&self, tools: bool) -> Result<&Template> {
        let named = |name: &str| self.templates.iter().find(|template| template.name == name);
        if let Some(template) = named(TOOL_USE).filter(|_| tools).or_else(|| named(DEFAULT)) {
            return Ok(template);
        }
        let names: Vec<&str> = self.templates.iter().map(|template| template.name.as_str()).collect();
        let file = self.templates.first().map_or(Path::new("chat_template"), |template| &template.file);
        Err(Error::input(
            file,
            "chat_template",
            format!("has no template named {DEFAULT:?}, only {names:?}"),
            "name the one to be used \"default\"",
        ))
    }
}

impl Template {
    fn compiled(&self) -> Result<&Environment<'static>> {
        let compiled = self.compiled.get_or_init(|| environment::compile(&self.text, self.now));
        compiled
            .as_ref()
            .map_err(|problem| self.error(problem.clone(), "take the model's original chat template"))
    }

    fn error(&self, problem: String, hint: &str) -> Error {
        Error::input(&self.file, "chat_template", problem.replace('\n', " "), hint)
    }
}
