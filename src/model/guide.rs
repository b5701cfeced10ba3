//! Forms that a text can be held to: JSON schemas, regular expressions and grammars, compiled by llguidance for a model's tokenizer
//! into masks of the tokens that may come next.

mod bounds;
pub mod schema;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory, token_bytes_from_tokenizer_json};
use serde_json::{Value, json};

use super::generate::Guide;
use super::guarded::guarded;
use super::index32;
use super::tokenizer::Tokenizer;
use crate::{Error, Result, json};

/// The longest form in bytes, as compact JSON where it is a schema.
const MAX_BYTES: usize = 256 << 10;

/// What a text is held to.
#[derive(Debug, Clone, PartialEq)]
pub enum Form {
    /// JSON that a schema allows.
    Schema(Value),
    /// What a regular expression matches as a whole.
    Regex(String),
    /// What a grammar in the notation of Lark, as llguidance reads it, derives.
    Lark(String),
}

impl Form {
    /// Any JSON object.
    pub fn json_object() -> Self {
        Self::Schema(json!({ "type": "object" }))
    }

    /// The schema in the text of a file.
    ///
    /// # Errors
    /// `Input` for what is not JSON, or has a key twice.
    pub fn read_schema(file: &Path, text: &str) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let schema = json::from_str(text).map_err(|error| {
            let problem = if error.is_data() { json::what(&error) } else { format!("is not JSON: {error}") };
            Error::input(file, "schema", problem, "write a JSON schema")
        })?;
        Ok(Self::Schema(schema))
    }

    /// The field of a message about it.
    fn name(&self) -> &'static str {
        match self {
            Self::Schema(_) => "schema",
            Self::Regex(_) => "regex",
            Self::Lark(_) => "grammar",
        }
    }

    /// As llguidance takes it.
    fn grammar(&self) -> Result<TopLevelGrammar> {
        let fail = |problem: String, hint| Err(Error::usage(self.name(), problem, hint));
        let bytes = match self {
            Self::Schema(schema) => schema.to_string().len(),
            Self::Regex(text) | Self::Lark(text) => text.len(),
        };
        if bytes > MAX_BYTES {
            return fail(format!("has {bytes} bytes, of at most {MAX_BYTES}"), "write a shorter one");
        }
        match self {
            Self::Regex(text) => Ok(TopLevelGrammar::from_regex(text)),
            Self::Lark(text) => Ok(TopLevelGrammar::from_lark(text.clone())),
            Self::Schema(schema) => Ok(TopLevelGrammar::from_json_schema(schema::readable(schema)?)),
        }
    }
}

/// A form that was compiled; completions begin with a copy each.
#[derive(Clone)]
pub struct Compiled(Matcher);

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compiled")
    }
}

impl Compiled {
    /// The guide of one completion.
    pub fn guide(&self) -> Box<dyn Guide> {
        Box::new(self.clone())
    }
}

/// A guide that failed, with llguidance's words.
fn failed(problem: &str) -> Error {
    Error::usage("form", format!("cannot be followed: {}", shortened(problem)), "write a simpler one")
}

/// The beginning of what a library says, in one line.
fn shortened(words: &str) -> String {
    let line: String = words.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(400) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

impl Guide for Compiled {
    fn allowed(&mut self, words: &mut [u32]) -> Result<()> {
        let mask = guarded(|| self.0.compute_mask_or_eos().map_err(|error| format!("{error:#}")));
        let mask = mask.map_err(|problem| failed(&problem))?;
        if mask.is_zero() {
            return Err(failed("the vocabulary lacks what must come next"));
        }
        words.iter_mut().zip(mask.as_slice()).for_each(|(word, mask)| *word = *mask);
        Ok(())
    }

    fn take(&mut self, token: u32) -> Result<()> {
        let taken = guarded(|| self.0.consume_token(token).map_err(|error| format!("{error:#}")));
        taken.map_err(|problem| failed(&problem))
    }
}

/// Compiles forms for a model's tokenizer; what it takes of that is made once, when the first form comes.
#[derive(Default)]
pub struct Forms {
    factory: OnceLock<Result<ParserFactory, String>>,
}

impl std::fmt::Debug for Forms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Forms")
    }
}

impl Forms {
    /// A form for texts of `tokenizer`, of which the model has `vocab` rows, that end with one of `ends`.
    ///
    /// # Errors
    /// [`Error::Usage`] for a form that is too large or cannot be compiled, with llguidance's words, and for a tokenizer whose tokens'
    /// bytes are not known.
    pub fn compile(
        &self,
        form: &Form,
        tokenizer: &Tokenizer,
        vocab: usize,
        ends: &[u32],
    ) -> Result<Compiled> {
        let grammar = form.grammar()?;
        let factory = self.factory.get_or_init(|| factory(tokenizer, vocab, ends));
        let factory = factory.as_ref().map_err(|problem| {
            let problem = format!("cannot be held with this model's tokenizer: {problem}");
            Error::usage(form.name(), problem, "leave it out, or take another model")
        })?;
        let matcher = guarded(|| {
            let parser = factory.create_parser(grammar).map_err(|error| format!("{error:#}"))?;
            let matcher = Matcher::new(Ok(parser));
            matcher.get_error().map_or(Ok(matcher), Err)
        });
        let matcher = matcher.map_err(|problem| {
            let hint = "see llguidance's documentation for what it supports";
            Error::usage(form.name(), format!("cannot be compiled: {}", shortened(&problem)), hint)
        })?;
        Ok(Compiled(matcher))
    }
}

/// What compiles forms for a tokenizer.
fn factory(tokenizer: &Tokenizer, vocab: usize, ends: &[u32]) -> Result<ParserFactory, String> {
    let mut words = token_bytes(tokenizer)?;
    // Rows beside the tokenizer's tokens pad the embedding, and tokens beside the rows cannot be drawn.
    words.resize(vocab, Vec::new());
    let ends: Vec<u32> = ends.iter().copied().filter(|&end| (end as usize) < vocab).collect();
    let Some(&end) = ends.first() else {
        return Err("the model has no token that ends a text".into());
    };
    guarded(|| {
        let info = TokRxInfo::new(index32(vocab), end);
        let trie = TokTrie::from(&info, &words).with_eos_tokens(&ends);
        let tokens: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let mut factory = ParserFactory::new_simple(&tokens).map_err(|error| format!("{error:#}"))?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        Ok::<_, String>(factory)
    })
}

/// The bytes that each token adds to a text, those of special tokens behind a mark.
fn token_bytes(tokenizer: &Tokenizer) -> Result<Vec<Vec<u8>>, String> {
    let text = tokenizer.to_json().map_err(|error| error.to_string())?;
    let mut document: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    // Two forms that llguidance does not read: lists of tokens with scores, and tokens that are their own text.
    if let Some(scored) = document["model"]["vocab"].as_array() {
        let ids = scored
            .iter()
            .enumerate()
            .filter_map(|(id, entry)| Some((entry[0].as_str()?.to_owned(), json!(id))));
        document["model"]["vocab"] = Value::Object(ids.collect());
    }
    let replaced = match document["decoder"]["type"].as_str() {
        Some("Fuse") => Some(json!([])),
        Some("Metaspace") => {
            let space = document["decoder"]["replacement"].clone();
            Some(json!([{ "type": "Replace", "pattern": { "String": space }, "content": " " }]))
        }
        _ => None,
    };
    if let Some(Value::Array(mut steps)) = replaced {
        steps.push(json!({ "type": "ByteFallback" }));
        document["decoder"] = json!({ "type": "Sequence", "decoders": steps });
    }
    guarded(|| token_bytes_from_tokenizer_json(&document).map_err(|error| format!("{error:#}")))
}
