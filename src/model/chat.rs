//! Chat templates: the Jinja programs by which models want conversations written.
//!
//! Templates come with models and are not trusted: they see the messages only, and their work is bounded.

mod strftime;

use std::path::{Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde};
use minijinja::{AutoEscape, Environment, ErrorKind, context};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::source::gguf::Metadata;
use crate::{Error, Result};

/// Instructions a template may take: a thousand times what a long conversation needs.
const FUEL: u64 = 10_000_000;

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`; templates may know more.
    pub role: String,
    /// The text.
    pub content: String,
}

impl Message {
    /// A message of `role`.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }

    /// A message of the user.
    pub fn user(content: impl Into<String>) -> Self {
        Self::new("user", content)
    }

    /// Whether the model wrote it, or is to learn it.
    pub fn is_assistant(&self) -> bool {
        self.role == "assistant"
    }
}

/// A model's chat template.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    file: PathBuf,
    bos_token: String,
    eos_token: String,
    variables: Map<String, Value>,
}

impl ChatTemplate {
    /// Compiles the text of a template; `file` is for messages. `bos_token` and `eos_token` are the tokens as text;
    /// `now`, in seconds since 1970 UTC, is the date that templates which write today's will write.
    ///
    /// # Errors
    /// `Input` if the text is not Jinja.
    pub fn new(file: &Path, text: &str, bos_token: &str, eos_token: &str, now: i64) -> Result<Self> {
        let mut environment = Environment::new();
        // transformers compiles templates with these settings; templates rely on them.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| template_error(file, &error, "report this defect"))?);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_fuel(Some(FUEL));
        environment.add_function("raise_exception", |message: String| -> Result<(), minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_function("strftime_now", move |format: String| {
            strftime::format(now, &format)
                .map_err(|problem| minijinja::Error::new(ErrorKind::InvalidOperation, problem))
        });
        environment.add_filter("tojson", to_json);
        environment
            .add_template_owned("chat", text.to_string())
            .map_err(|error| template_error(file, &error, "take the model's original chat template"))?;
        Ok(Self {
            environment,
            file: file.to_path_buf(),
            bos_token: bos_token.to_string(),
            eos_token: eos_token.to_string(),
            variables: Map::new(),
        })
    }

    /// Compiles the template in a GGUF file's metadata; `None` if there is none.
    ///
    /// # Errors
    /// `Input` if it is not Jinja.
    pub fn from_gguf_metadata(
        metadata: &Metadata,
        bos_token: &str,
        eos_token: &str,
        now: i64,
    ) -> Result<Option<Self>> {
        match metadata.text("tokenizer.chat_template")? {
            Some(text) => Self::new(&metadata.file, text, bos_token, eos_token, now).map(Some),
            None => Ok(None),
        }
    }

    /// The template's own text.
    pub fn text(&self) -> Option<String> {
        self.environment.get_template("chat").ok().map(|template| template.source().to_owned())
    }

    /// Gives templates a variable of their own, such as Qwen3's `enable_thinking`.
    pub fn set_variable(&mut self, name: &str, value: Value) {
        self.variables.insert(name.to_string(), value);
    }

    /// The conversation as the model wants it, to be encoded without adding special tokens. With
    /// `add_generation_prompt` it ends where the assistant's answer begins.
    ///
    /// # Errors
    /// `Input` if the template refuses the conversation (with its own words) or fails.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        let render = || {
            self.environment.get_template("chat")?.render(context! {
                messages => Serde(messages),
                add_generation_prompt,
                bos_token => self.bos_token.as_str(),
                eos_token => self.eos_token.as_str(),
                tools => (),
                documents => (),
                ..minijinja::Value::from(Serde(&self.variables)),
            })
        };
        render().map_err(|error| {
            template_error(
                &self.file,
                &error,
                "change the messages: roles usually must be user and assistant in turn",
            )
        })
    }
}

/// The template in the text of a `tokenizer_config.json`: a string, or the one named `default` of a list.
///
/// # Errors
/// `Input` if the text is not JSON or the field is of another kind.
pub fn template_of_config(file: &Path, config: &Map<String, Value>) -> Result<Option<String>> {
    let named = |list: &[Value]| {
        list.iter()
            .find(|entry| entry["name"] == "default")
            .and_then(|entry| Some(entry["template"].as_str()?.to_string()))
    };
    match config.get("chat_template") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Array(list)) => Ok(named(list)),
        Some(_) => {
            Err(Error::input(file, "chat_template", "is neither a string nor a list", "remove the field"))
        }
    }
}

/// A special token's text in a `tokenizer_config.json`, given as a string or as an object with `content`.
pub fn token_of_config<'a>(config: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let value = config.get(name)?;
    value.as_str().or_else(|| value.get("content")?.as_str())
}

fn template_error(file: &Path, error: &minijinja::Error, hint: &str) -> Error {
    let mut problem = error.to_string();
    if error.kind() == ErrorKind::OutOfFuel {
        problem = "takes too many steps".into();
    }
    Error::input(file, "chat_template", problem.replace('\n', " "), hint)
}

/// Python's `json.dumps(value, ensure_ascii=False)`; minijinja's own filter escapes for HTML.
fn to_json(value: &minijinja::Value, options: Kwargs) -> Result<String, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    options.assert_all_used()?;
    let mut out = Vec::new();
    let written = match indent {
        Some(indent) => {
            let indent = " ".repeat(indent.min(16));
            let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter))
        }
        None => value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, PythonFormatter)),
    };
    written.ok().and_then(|()| String::from_utf8(out).ok()).ok_or_else(|| {
        minijinja::Error::new(ErrorKind::BadSerialization, "tojson: the value cannot be written as JSON")
    })
}

/// Python's separators: a space after each comma and colon.
struct PythonFormatter;

impl serde_json::ser::Formatter for PythonFormatter {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}
