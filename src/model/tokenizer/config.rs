//! What stands beside a `tokenizer.json`: `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use crate::{Error, Result, json};

/// The special tokens that have a name, in the order in which transformers adds those that are missing.
const NAMED: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Lists of further special tokens.
const LISTS: [&str; 2] = ["additional_special_tokens", "extra_special_tokens"];

/// Beginnings of class names in transformers with the begin and end tokens that the class has where a file names none.
const CLASS_TOKENS: [(&str, [Option<&str>; 2]); 6] = [
    ("llama", [Some("<s>"), Some("</s>")]),
    ("codellama", [Some("<s>"), Some("</s>")]),
    ("gemma", [Some("<bos>"), Some("<eos>")]),
    ("gpt2", [Some("<|endoftext|>"), Some("<|endoftext|>")]),
    ("qwen2", [None, Some("<|endoftext|>")]),
    ("qwen3", [None, Some("<|endoftext|>")]),
];

/// Keys that are read elsewhere.
const USED: [&str; 4] = ["add_prefix_space", "chat_template", "added_tokens_decoder", "split_special_tokens"];

/// Keys without effect on tokens here, each with the reason.
const HARMLESS: &[(&str, &[&str])] = &[
    (
        "the post-processor of tokenizer.json decides, as in transformers",
        &["add_bos_token", "add_eos_token", "add_special_tokens", "trim_offsets"],
    ),
    (
        "tokenizer.json has the steps whole, as in transformers",
        &[
            "clean_text",
            "do_lower_case",
            "fix_mistral_regex",
            "from_slow",
            "handle_chinese_chars",
            "legacy",
            "lowercase",
            "normalization",
            "strip_accents",
            "tokenize_chinese_chars",
            "unk_id",
        ],
    ),
    (
        "it says which program reads the files",
        &[
            "auto_map",
            "backend",
            "is_local",
            "processor_class",
            "tokenizer_class",
            "tokenizer_type",
            "transformers_version",
            "use_fast",
        ],
    ),
    (
        "lengths and padding are this program's business",
        &[
            "max_length",
            "max_len",
            "model_input_names",
            "model_max_length",
            "pad_to_multiple_of",
            "pad_token_type_id",
            "padding",
            "padding_side",
            "return_token_type_ids",
            "stride",
            "truncation",
            "truncation_side",
            "truncation_strategy",
        ],
    ),
    (
        "text is decoded as the decoder of tokenizer.json says",
        &["clean_up_tokenization_spaces", "spaces_between_special_tokens", "skip_special_tokens"],
    ),
    (
        "it belongs to slow tokenizers",
        &[
            "errors",
            "sp_model_kwargs",
            "use_default_system_prompt",
            "vocab_file",
            "merges_file",
            "tokenizer_file",
            "vocab_size",
            "remove_space",
            "keep_accents",
            "do_basic_tokenize",
            "never_split",
            "added_tokens_file",
            "special_tokens_map_file",
        ],
    ),
    (
        "it says where the files are from",
        &["name_or_path", "revision", "local_files_only", "trust_remote_code", "commit_hash", "_commit_hash"],
    ),
    ("tokens are special by name or list", &["model_specific_special_tokens", "response_schema"]),
];

/// The files beside a `tokenizer.json`, read and checked.
#[derive(Debug, Default)]
pub struct TokenizerConfig {
    file: PathBuf,
    /// Tokens to be added, those that name their id first.
    pub(super) tokens: Vec<WantedToken>,
    /// Special tokens in a text are spelled out.
    pub(super) split_special_tokens: bool,
    /// Chat templates by name.
    pub templates: Vec<(String, String)>,
    /// Special tokens with a name as text; null for those that the model says it has not.
    pub named_tokens: Map<String, Value>,
    /// The class that transformers takes, if the file says.
    class: Option<String>,
    /// Whether there is a `tokenizer_config.json`.
    given: bool,
    /// Whether a space is put before a text, if the file says.
    pub(super) add_prefix_space: Option<bool>,
    /// Keys that are not known here.
    pub unknown_keys: Vec<String>,
}

/// A token that the tokenizer must have.
#[derive(Debug)]
pub(super) struct WantedToken {
    pub(super) file: PathBuf,
    pub(super) token: AddedToken,
    /// Its id, if the file says.
    pub(super) id: Option<u32>,
    /// The flags that `tokenizer.json` has are kept, except `special`.
    pub(super) keep_flags: bool,
}

impl TokenizerConfig {
    /// Reads the texts of the files in `folder`.
    ///
    /// # Errors
    /// `Input` for text that is not JSON and for fields of another kind.
    pub fn parse(
        folder: &Path,
        tokenizer_config: Option<&str>,
        special_tokens_map: Option<&str>,
        added_tokens: Option<&str>,
    ) -> Result<Self> {
        let file = folder.join("tokenizer_config.json");
        let mut fields = object(&file, tokenizer_config)?;
        let mut config = Self { file: file.clone(), ..Self::default() };
        config.read_templates(fields.get("chat_template"))?;
        config.given = tokenizer_config.is_some();
        config.class = fields.get("tokenizer_class").and_then(Value::as_str).map(String::from);
        config.add_prefix_space = fields.get("add_prefix_space").and_then(Value::as_bool);
        config.split_special_tokens = fields.get("split_special_tokens") == Some(&Value::Bool(true));
        let decoder = fields.remove("added_tokens_decoder").filter(|value| !value.is_null());
        if let Some(decoder) = &decoder {
            config.read_decoder(decoder)?;
        }
        let map_file = folder.join("special_tokens_map.json");
        let map = object(&map_file, special_tokens_map)?;
        let added_file = folder.join("added_tokens.json");
        let added = object(&added_file, added_tokens)?;
        if decoder.is_none() {
            // Both files are of older versions, which newer ones write into `added_tokens_decoder`.
            for (name, value) in map {
                let known = NAMED.contains(&name.as_str()) || LISTS.contains(&name.as_str());
                if known && fields.get(&name).is_none_or(Value::is_null) {
                    fields.insert(name, value);
                }
            }
            config.read_added(&added_file, &added, &fields)?;
        }
        config.tokens.sort_by_key(|wanted| wanted.id);
        config.read_special(&fields)?;
        config.unknown_keys = fields.keys().filter(|key| !is_known(key)).cloned().collect();
        Ok(config)
    }

    /// Whether there is a `tokenizer_config.json`.
    pub fn is_given(&self) -> bool {
        self.given
    }

    /// The begin and end tokens as text by their names, null for those that the model has not: as the file says, or else as the
    /// tokenizer's class of transformers has them, which for a model of `family` is the family's own.
    pub fn begin_and_end(&self, family: &str) -> [(&'static str, Value); 2] {
        let class = self.class.as_deref().unwrap_or(family).to_lowercase();
        let defaults = CLASS_TOKENS.iter().find(|(start, _)| class.starts_with(start));
        let defaults = defaults.map_or([None, None], |(_, tokens)| *tokens);
        [("bos_token", defaults[0]), ("eos_token", defaults[1])]
            .map(|(name, default)| (name, self.named_tokens.get(name).cloned().unwrap_or(default.into())))
    }

    fn error(&self, field: &str, problem: impl Into<String>) -> Error {
        Error::input(&self.file, field, problem, "take the model's original file")
    }

    /// A string, a list of objects with `name` and `template`, or an object from name to template.
    fn read_templates(&mut self, value: Option<&Value>) -> Result<()> {
        let wrong = || {
            self.error(
                "chat_template",
                "is neither a text, nor a list with `name` and `template`, nor an object of texts",
            )
        };
        self.templates = match value {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(text)) => vec![(crate::model::chat::DEFAULT.to_string(), text.clone())],
            Some(Value::Array(list)) => {
                let entry = |entry: &Value| {
                    Some((entry["name"].as_str()?.to_string(), entry["template"].as_str()?.to_string()))
                };
                list.iter().map(entry).collect::<Option<_>>().ok_or_else(wrong)?
            }
            Some(Value::Object(map)) => {
                let entry =
                    |(name, text): (&String, &Value)| Some((name.clone(), text.as_str()?.to_string()));
                map.iter().map(entry).collect::<Option<_>>().ok_or_else(wrong)?
            }
            Some(_) => return Err(wrong()),
        };
        Ok(())
    }

    /// Objects with the flags of a token, by id.
    fn read_decoder(&mut self, decoder: &Value) -> Result<()> {
        const FIELD: &str = "added_tokens_decoder";
        let Some(decoder) = decoder.as_object() else { return Err(self.error(FIELD, "is not an object")) };
        for (id, flags) in decoder {
            let token = added_token(flags, false);
            let (Ok(id), Some(token)) = (id.parse(), token) else {
                return Err(self.error(FIELD, format!("entry {id:?} is not a token with its id")));
            };
            let file = self.file.clone();
            self.tokens.push(WantedToken { file, token, id: Some(id), keep_flags: false });
        }
        Ok(())
    }

    /// `added_tokens.json`: ids by token.
    fn read_added(
        &mut self,
        file: &Path,
        added: &Map<String, Value>,
        fields: &Map<String, Value>,
    ) -> Result<()> {
        let special: Vec<&str> = NAMED.iter().filter_map(|name| text_of(fields.get(*name)?)).collect();
        for (content, id) in added {
            let Some(id) = id.as_u64().and_then(|id| u32::try_from(id).ok()) else {
                return Err(Error::input(file, content, "has no token id", "take the model's original file"));
            };
            let token = AddedToken::from(content.as_str(), special.contains(&content.as_str()));
            let file = file.to_path_buf();
            self.tokens.push(WantedToken { file, token, id: Some(id), keep_flags: true });
        }
        Ok(())
    }

    /// Special tokens by name and in lists.
    fn read_special(&mut self, fields: &Map<String, Value>) -> Result<()> {
        for name in NAMED {
            let Some(value) = fields.get(name) else { continue };
            let text = text_of(value);
            if text.is_none() && !value.is_null() {
                return Err(self.error(name, "is neither a text nor an object with `content`"));
            }
            self.named_tokens.insert(name.into(), text.into());
            self.want_special(value);
        }
        for list in LISTS {
            match fields.get(list) {
                None | Some(Value::Null) => {}
                Some(Value::Array(tokens)) => {
                    for token in tokens {
                        if text_of(token).is_none() {
                            return Err(self.error(list, "holds an entry that is no token"));
                        }
                        self.want_special(token);
                    }
                }
                Some(Value::Object(named)) => {
                    for (name, token) in named {
                        self.named_tokens.insert(name.clone(), text_of(token).into());
                        self.want_special(token);
                    }
                }
                Some(_) => return Err(self.error(list, "is neither a list nor an object of tokens")),
            }
        }
        Ok(())
    }

    fn want_special(&mut self, value: &Value) {
        if let Some(token) = added_token(value, true) {
            let file = self.file.clone();
            self.tokens.push(WantedToken { file, token, id: None, keep_flags: true });
        }
    }
}

/// The JSON object in the text of a file; empty where there is none.
fn object(file: &Path, text: Option<&str>) -> Result<Map<String, Value>> {
    let Some(text) = text else { return Ok(Map::new()) };
    json::from_str(text).map_err(|error| {
        let hint = "take the model's original file";
        Error::input(file, format!("line {}", error.line()), error.to_string(), hint)
    })
}

/// A token's text, given as a string or as an object with `content`.
fn text_of(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str())
}

fn added_token(value: &Value, special: bool) -> Option<AddedToken> {
    let content = text_of(value)?;
    let flag = |name: &str, absent: bool| value.get(name).and_then(Value::as_bool).unwrap_or(absent);
    let special = special || flag("special", false);
    Some(
        AddedToken::from(content, special)
            .single_word(flag("single_word", false))
            .lstrip(flag("lstrip", false))
            .rstrip(flag("rstrip", false))
            .normalized(flag("normalized", !special)),
    )
}

fn is_known(key: &str) -> bool {
    NAMED.contains(&key)
        || LISTS.contains(&key)
        || USED.contains(&key)
        // Names of tokens of other modalities, such as `image_token`, and notes.
        || key.ends_with("_token")
        || key.ends_with("_token_id")
        || key.ends_with("_tokens")
        || key.starts_with("__")
        || HARMLESS.iter().any(|(_, keys)| keys.contains(&key))
}
