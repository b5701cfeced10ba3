//! Opening a model by what the user writes after `-m`: `tiny`, a folder, a `.gguf` file, or `hf:OWNER/NAME[@REV]`.
//! What such a model's files say is put together here, whoever read them.

#[cfg(not(target_arch = "wasm32"))]
mod native;

#[cfg(not(target_arch = "wasm32"))]
pub use native::{open, open_with_progress, raw_metadata};

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::chat::{ChatTemplate, DEFAULT};
use super::config::advice::SamplingAdvice;
use super::config::gguf::HARMLESS_TOKENIZER_KEYS;
use super::config::{ModelConfig, json};
use super::source::bytes::{Memory, ReadAt};
use super::source::folder::{Folder, INDEX};
use super::source::gguf::Gguf;
use super::source::head::untie_if_different;
use super::source::made::made;
use super::source::names::canonical;
use super::source::safetensors::SafeTensors;
use super::source::{TensorSource, check};
use super::tokenizer::Tokenizer;
use super::tokenizer::config::TokenizerConfig;
use super::tokenizer::gguf::end_tokens;
use crate::{Error, Result};

/// A model whose files have been checked against each other; weights are still to be read.
pub struct OpenModel {
    /// Sizes and constants.
    pub config: ModelConfig,
    /// The weights.
    pub source: Box<dyn TensorSource>,
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// The chat template, if the model has one.
    pub chat_template: Option<ChatTemplate>,
    /// How its makers advise to draw tokens.
    pub advice: SamplingAdvice,
    /// The folder, file or `hf:` name, for messages and reports.
    pub name: String,
    /// The folder that its files are in, for a model in Hugging Face's layout on this machine.
    pub folder: Option<PathBuf>,
    /// What the user should know, a sentence each.
    pub warnings: Vec<String>,
}

impl std::fmt::Debug for OpenModel {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("OpenModel").field("name", &self.name).field("config", &self.config).finish()
    }
}

/// The text files of a model in Hugging Face's layout. Those but the first two may be missing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Texts<'a> {
    /// `config.json`
    pub config: &'a str,
    /// `tokenizer.json`
    pub tokenizer: &'a [u8],
    /// `generation_config.json`
    pub generation_config: Option<&'a str>,
    /// `tokenizer_config.json`
    pub tokenizer_config: Option<&'a str>,
    /// `special_tokens_map.json`
    pub special_tokens_map: Option<&'a str>,
    /// `added_tokens.json`
    pub added_tokens: Option<&'a str>,
    /// `chat_template.jinja`
    pub chat_template: Option<&'a str>,
    /// Names and texts of `additional_chat_templates/NAME.jinja`
    pub additional_chat_templates: &'a [(String, String)],
}

/// The folder of templates that go by names.
pub(super) const ADDITIONAL_TEMPLATES: &str = "additional_chat_templates";

impl OpenModel {
    /// A model held in memory, such as one built into the program, with weights as one safetensors file.
    ///
    /// # Errors
    /// `Input` for a file that is damaged or contradicts another.
    pub fn from_static(name: &str, texts: Texts<'_>, weights: &'static [u8], now: i64) -> Result<Self> {
        let source = SafeTensors::open(Memory::new(Path::new(name).join("model.safetensors"), weights))?;
        Self::from_parts(name, Path::new(name), texts, Box::new(source), now)
    }

    /// Puts a model in Hugging Face's layout together and checks its files against each other. `folder` is for
    /// messages; `now`, in seconds since 1970 UTC, is today's date for chat templates that write it.
    ///
    /// # Errors
    /// `Input` for a file that is damaged or contradicts another.
    pub fn from_parts(
        name: &str,
        folder: &Path,
        texts: Texts<'_>,
        source: Box<dyn TensorSource>,
        now: i64,
    ) -> Result<Self> {
        let (mut config, stored) = json::parse_stored(&folder.join("config.json"), texts.config)?;
        let mut advice = SamplingAdvice::default();
        let mut warnings = Vec::new();
        let mut tell = |file: &Path, names: &[String]| {
            warnings
                .extend(names.iter().map(|name| format!("{}: {name:?} has no effect here", file.display())));
        };
        if let Some(text) = texts.generation_config {
            let file = folder.join("generation_config.json");
            let said = json::generation(&file, text)?;
            config.add_eos(&file, &said.ends)?;
            tell(&file, &said.unknown);
            advice = said.advice;
        }
        let mut source = made(canonical(source, &config), &config, stored)?;
        untie_if_different(&mut config, source.as_mut())?;
        check(&config, source.as_ref())?;
        let beside = TokenizerConfig::parse(
            folder,
            texts.tokenizer_config,
            texts.special_tokens_map,
            texts.added_tokens,
        )?;
        let mut tokenizer = Tokenizer::from_bytes(&folder.join("tokenizer.json"), texts.tokenizer)?;
        tokenizer.add(&beside)?;
        tokenizer.fit(&config)?;
        let file = folder.join("tokenizer_config.json");
        tell(&file, &beside.unknown_keys);
        let tokens = named_tokens(&config, &tokenizer, &beside);
        let chat_template = templates(folder, texts, &beside, &tokens, now);
        warnings
            .extend(tokenizer.contradicts(&beside).map(|problem| format!("{}: {problem}", file.display())));
        let end = tokens.get("eos_token").and_then(Value::as_str).and_then(|end| tokenizer.token_id(end));
        // A token that was added may have no row.
        if let Some(id) = end.filter(|&id| (id as usize) < config.vocab_size)
            && config.lead_eos(&file, id)?
        {
            warnings.push(format!(
                "{}: eos_token is token {id}, which is not in eos_token_id of config.json or generation_config.json: texts end there \
                 too, and are learnt with it; for other programs, add it to eos_token_id",
                file.display()
            ));
        }
        Ok(Self {
            config,
            source,
            tokenizer,
            chat_template,
            advice,
            name: name.to_string(),
            folder: None,
            warnings,
        })
    }
}

/// The chat templates of a folder: files of their own come before `tokenizer_config.json`, as in transformers.
fn templates(
    folder: &Path,
    texts: Texts<'_>,
    beside: &TokenizerConfig,
    tokens: &Map<String, Value>,
    now: i64,
) -> Option<ChatTemplate> {
    let file = folder.join(ADDITIONAL_TEMPLATES);
    let additional = texts.additional_chat_templates.iter();
    let mut templates: Vec<(String, PathBuf, String)> = additional
        .map(|(name, text)| (name.clone(), file.join(format!("{name}.jinja")), text.clone()))
        .collect();
    if let Some(text) = texts.chat_template {
        templates.push((DEFAULT.to_string(), folder.join("chat_template.jinja"), text.to_string()));
    }
    if templates.is_empty() {
        let file = folder.join("tokenizer_config.json");
        templates =
            beside.templates.iter().map(|(name, text)| (name.clone(), file.clone(), text.clone())).collect();
    }
    if templates.is_empty() {
        return None;
    }
    // What is null is left out: templates ask whether a token is defined.
    let tokens = tokens.iter().filter(|(_, token)| !token.is_null());
    Some(ChatTemplate::named(templates, tokens.map(|(name, token)| (name.clone(), token.clone())), now))
}

/// Special tokens with a name as text, null for those that the model has not. Only where there is no `tokenizer_config.json`,
/// those of `config.json` stand in for the begin and end tokens.
fn named_tokens(config: &ModelConfig, tokenizer: &Tokenizer, beside: &TokenizerConfig) -> Map<String, Value> {
    let mut tokens = beside.named_tokens.clone();
    let special = special_texts(config, tokenizer);
    for ((name, token), special) in beside.begin_and_end(config.family.name).into_iter().zip(special) {
        if !beside.is_given() {
            tokens.entry(name).or_insert(special.into());
        } else if token.as_str().is_some_and(|token| tokenizer.token_id(token).is_some()) {
            tokens.entry(name).or_insert(token);
        }
    }
    tokens
}

/// The longest text file read: more than ten times the largest tokenizer.json known.
pub(super) const MAX_TEXT: u64 = 512 << 20;

impl OpenModel {
    /// A model in the open files `files`: one `.gguf` file or all parts of one, or those of a Hugging Face folder under their plain names.
    /// `now` as in [`OpenModel::from_parts`].
    ///
    /// # Errors
    /// `Input` for a file that is missing, damaged or contradicts another; those of reading.
    pub fn from_files<R: ReadAt + 'static>(name: &str, mut files: Vec<R>, now: i64) -> Result<Self> {
        if !files.is_empty() && files.iter().all(|file| is_gguf(file.path())) {
            return Self::from_gguf(name, files, now);
        }
        let folder = Path::new(name);
        let mut take = |wanted: &str| {
            let place =
                files.iter().position(|file| file.path().file_name().is_some_and(|name| name == wanted));
            place.map(|place| files.swap_remove(place))
        };
        let mut text = |wanted: &str| take(wanted).map(|mut file| read_text(&mut file)).transpose();
        let missing = |wanted: &str| {
            let hint = "give one .gguf file, or all files of a Hugging Face folder with safetensors weights";
            Error::input(folder, wanted, "is missing", hint)
        };
        let config = text("config.json")?.ok_or_else(|| missing("config.json"))?;
        let tokenizer = text("tokenizer.json")?.ok_or_else(|| missing("tokenizer.json"))?;
        let generation_config = text("generation_config.json")?;
        let tokenizer_config = text("tokenizer_config.json")?;
        let special_tokens_map = text("special_tokens_map.json")?;
        let added_tokens = text("added_tokens.json")?;
        let chat_template = text("chat_template.jinja")?;
        let index = text(INDEX)?;
        let texts = Texts {
            config: &config,
            tokenizer: tokenizer.as_bytes(),
            generation_config: generation_config.as_deref(),
            tokenizer_config: tokenizer_config.as_deref(),
            special_tokens_map: special_tokens_map.as_deref(),
            added_tokens: added_tokens.as_deref(),
            chat_template: chat_template.as_deref(),
            // Files here have no folders.
            additional_chat_templates: &[],
        };
        let weights = Folder::of(folder, index.as_deref(), |shard| Ok(take(shard)))?;
        Self::from_parts(name, folder, texts, Box::new(weights), now)
    }

    /// A model in a GGUF file, or in the parts of one; `now` as in [`OpenModel::from_parts`].
    ///
    /// # Errors
    /// `Input` for a file that is damaged or of an unknown kind; those of reading.
    pub fn from_gguf<R: ReadAt + 'static>(name: &str, files: Vec<R>, now: i64) -> Result<Self> {
        let source = Gguf::open_parts(files)?;
        let mut config = source.config().clone();
        check(&config, &source)?;
        let mut tokenizer = Tokenizer::from_gguf_metadata(source.metadata())?;
        tokenizer.fit(&config)?;
        config.add_eos(&source.metadata().file, &end_tokens(source.metadata())?)?;
        let [bos, eos] = special_texts(&config, &tokenizer);
        let chat_template = ChatTemplate::from_gguf_metadata(source.metadata(), &bos, &eos, now)?;
        source.metadata().finish("tokenizer.", HARMLESS_TOKENIZER_KEYS)?;
        let (source, name) = (Box::new(source), name.to_string());
        let (advice, warnings) = (SamplingAdvice::default(), Vec::new());
        Ok(Self { config, source, tokenizer, chat_template, advice, name, folder: None, warnings })
    }
}

fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

fn read_text(file: &mut dyn ReadAt) -> Result<String> {
    let failed = |path: &Path, problem: String| Error::read(path, std::io::Error::other(problem));
    if file.len() > MAX_TEXT {
        return Err(failed(file.path(), format!("it is larger than {MAX_TEXT} bytes")));
    }
    let mut bytes = vec![0; file.len() as usize];
    file.read_at(0, &mut bytes)?;
    String::from_utf8(bytes).map_err(|error| failed(file.path(), error.to_string()))
}

/// The begin and end tokens as text; empty where the model has none.
fn special_texts(config: &ModelConfig, tokenizer: &Tokenizer) -> [String; 2] {
    [config.bos_token_id, config.eos_token_ids.first().copied()]
        .map(|id| id.and_then(|id| tokenizer.token(id)).unwrap_or_default())
}
