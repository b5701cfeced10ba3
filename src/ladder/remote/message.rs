//! What trainer and workers tell each other: a task is JSON, an answer is a safetensors body.
//!
//! Neither trusts what it reads: lengths are bounded before anything is kept, a field that is not known is refused, and an answer
//! holds nothing but tokens and their log-probabilities, which are checked against the task.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::model::generate::{Completion, Request, Sampling};
use crate::train::fingerprint::sha256;
use crate::train::tensor_file::check_header;

/// The form of messages; a message of another is refused.
const FORM: u32 = 1;
/// Most bytes of a message: what a NATS server takes unless it is told otherwise.
pub const MOST_BYTES: usize = 1 << 20;
/// Most tokens of a group of completions, by which a task is bounded: 8 bytes each fit into a message.
pub const MOST_TOKENS: usize = 130_000;

/// What both sides must agree on before one answers the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Hash of all that numbers depend on but adapter and request: weights, tokenizer, version of the program.
    pub base: String,
    /// Tokens of the vocabulary.
    pub vocab_size: usize,
    /// Longest sequence, prompt and completion together.
    pub context: usize,
    /// Tokens that end a completion.
    pub stops: Vec<u32>,
}

/// One group of completions to be drawn. It owns its seed: whoever answers draws the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    v: u32,
    /// Its place in the [ledger](super::ledger::Ledger).
    #[serde(with = "text")]
    pub task: u64,
    /// How often its answers were refused before.
    pub attempt: u32,
    /// Tokens of the prompt.
    prompt: Vec<u32>,
    /// Number of completions.
    samples: usize,
    sampling: Sampling,
    /// A string, since numbers of JavaScript are exact to 2^53 only.
    #[serde(with = "text")]
    seed: u64,
    /// [`Terms::base`].
    pub base: String,
    /// Hash of the adapter that it is drawn with: see [`adapter_hash`](super::adapter_hash).
    pub adapter: String,
}

/// A 64-bit number as text.
mod text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = String::deserialize(from)?;
        let value: u64 = text.parse().map_err(de::Error::custom)?;
        // One number has one form.
        if value.to_string() == text { Ok(value) } else { Err(de::Error::custom("is no plain number")) }
    }
}

impl Task {
    /// The task of this number that asks for `request` under `adapter`.
    pub fn new(number: u64, request: &Request, base: &str, adapter: &str) -> Self {
        Self {
            v: FORM,
            task: number,
            attempt: 0,
            prompt: request.prompt.clone(),
            samples: request.samples,
            sampling: request.sampling,
            seed: request.seed,
            base: base.to_owned(),
            adapter: adapter.to_owned(),
        }
    }

    /// What is to be drawn.
    pub fn request(&self) -> Request {
        Request {
            prompt: self.prompt.clone(),
            samples: self.samples,
            sampling: self.sampling,
            seed: self.seed,
        }
    }

    /// Hash of all that it asks for; the same for each attempt.
    ///
    /// # Errors
    /// In words, if a number of it has no JSON form.
    pub fn digest(&self) -> Result<String, String> {
        Ok(sha256(&Self { attempt: 0, ..self.clone() }.to_bytes()?))
    }

    /// As it is sent.
    ///
    /// # Errors
    /// In words, if it is too long or a number of it has no JSON form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let bytes = serde_json::to_vec(self).map_err(|error| error.to_string())?;
        if bytes.len() > MOST_BYTES {
            return Err(format!("a task of {} bytes is longer than {MOST_BYTES}", bytes.len()));
        }
        Ok(bytes)
    }

    /// Reads a task, and holds it to what a worker knows.
    ///
    /// # Errors
    /// In words, if it is no task, or one that this worker cannot answer.
    pub fn from_bytes(bytes: &[u8], terms: &Terms) -> Result<Self, String> {
        if bytes.len() > MOST_BYTES {
            return Err(format!("a task of {} bytes is longer than {MOST_BYTES}", bytes.len()));
        }
        let task: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if task.v != FORM {
            return Err(format!("messages have form {}, and this version knows {FORM}", task.v));
        }
        if task.base != terms.base {
            return Err(format!(
                "it is for base {}, and this worker has {}: take the same model, options and version",
                short(&task.base),
                short(&terms.base)
            ));
        }
        task.check(terms)?;
        Ok(task)
    }

    /// The most tokens that a completion can have.
    fn limit(&self, terms: &Terms) -> usize {
        self.sampling.max_tokens.min(terms.context.saturating_sub(self.prompt.len()))
    }

    /// Whether it asks for what can be drawn and sent.
    ///
    /// # Errors
    /// In words.
    pub fn check(&self, terms: &Terms) -> Result<(), String> {
        self.sampling.validate().map_err(|error| error.to_string())?;
        if self.prompt.is_empty() || self.prompt.len() >= terms.context {
            let (tokens, most) = (self.prompt.len(), terms.context);
            return Err(format!("a prompt of {tokens} tokens does not fit a context of {most}"));
        }
        if let Some(token) = self.prompt.iter().find(|&&token| token as usize >= terms.vocab_size) {
            return Err(format!("token {token} is outside of the vocabulary of {}", terms.vocab_size));
        }
        match self.samples.checked_mul(self.limit(terms)) {
            Some(0) => Err("it asks for no completion".into()),
            Some(tokens) if tokens <= MOST_TOKENS => Ok(()),
            _ => Err(format!(
                "{} completions of up to {} tokens may have more than the {MOST_TOKENS} of a message; lower \
                 group_size or sampling.max_tokens",
                self.samples,
                self.limit(terms)
            )),
        }
    }
}

/// The beginning of a hash, for people; what is no hash is cut too.
fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}

/// Completions of one task.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// [`Task::digest`], which covers the number of the task.
    pub digest: String,
    tokens: Vec<u32>,
    logprobs: Vec<f32>,
    /// Where each completion ends in `tokens`.
    ends: Vec<u32>,
    /// 1 where a completion ended by itself.
    finished: Vec<u8>,
}

/// The field of an answer's metadata; one, so that its bytes do not depend on the order of a hash map.
const KEY: &str = "answer";

/// What the metadata of an answer say.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    v: u32,
    digest: String,
    /// [`Answer::checksum`]: a bit that turns over in a log-probability leaves a log-probability.
    sha256: String,
}

impl Answer {
    /// The answer to `task`; texts are left out, since the trainer decodes.
    ///
    /// # Errors
    /// In words, if the task has no hash or the completions are too long for it.
    pub fn new(task: &Task, group: &[Completion]) -> Result<Self, String> {
        let mut ends = Vec::with_capacity(group.len());
        let mut end = 0;
        for one in group {
            end += one.tokens.len();
            ends.push(u32::try_from(end).map_err(|_| "it has too many tokens".to_owned())?);
        }
        Ok(Self {
            digest: task.digest()?,
            tokens: group.iter().flat_map(|one| one.tokens.iter().copied()).collect(),
            logprobs: group.iter().flat_map(|one| one.logprobs.iter().copied()).collect(),
            ends,
            finished: group.iter().map(|one| u8::from(!one.truncated)).collect(),
        })
    }

    /// As it is sent.
    ///
    /// # Errors
    /// In words, if it is too long.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let view = |dtype, data| {
            let len = <[u8]>::len(data) / if dtype == Dtype::U8 { 1 } else { 4 };
            TensorView::new(dtype, vec![len], data).map_err(|error| error.to_string())
        };
        let tensors = [
            ("ends", view(Dtype::U32, bytemuck::cast_slice(&self.ends))?),
            ("finished", view(Dtype::U8, &self.finished)?),
            ("logprobs", view(Dtype::F32, bytemuck::cast_slice(&self.logprobs))?),
            ("tokens", view(Dtype::U32, bytemuck::cast_slice(&self.tokens))?),
        ];
        let about = About { v: FORM, digest: self.digest.clone(), sha256: self.checksum() };
        let about = serde_json::to_string(&about).map_err(|error| error.to_string())?;
        let bytes = safetensors::serialize(tensors, Some(HashMap::from([(KEY.to_owned(), about)])))
            .map_err(|error| error.to_string())?;
        if bytes.len() > MOST_BYTES {
            return Err(format!("an answer of {} bytes is longer than {MOST_BYTES}", bytes.len()));
        }
        Ok(bytes)
    }

    /// Reads an answer, of which nothing is known to be true yet but its form.
    ///
    /// # Errors
    /// In words.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MOST_BYTES {
            return Err(format!("an answer of {} bytes is longer than {MOST_BYTES}", bytes.len()));
        }
        check_header(bytes)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
        let metadata = header.metadata().as_ref();
        let about = metadata.filter(|all| all.len() == 1).and_then(|all| all.get(KEY));
        let about = about.ok_or_else(|| format!("its metadata are not `{KEY}` alone"))?;
        let about: About = serde_json::from_str(about).map_err(|error| error.to_string())?;
        if about.v != FORM {
            return Err(format!("messages have form {}, and this version knows {FORM}", about.v));
        }
        let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
        if file.len() != 4 {
            return Err(format!("it has {} tensors, not 4", file.len()));
        }
        let take = |name: &str, dtype| match file.tensor(name) {
            Ok(view) if view.dtype() == dtype && view.shape().len() == 1 => Ok(view.data().to_vec()),
            Ok(_) => Err(format!("`{name}` is no list of {dtype:?}")),
            Err(_) => Err(format!("`{name}` is missing")),
        };
        let words = |bytes: Vec<u8>| -> Vec<u32> {
            bytes
                .chunks_exact(4)
                .map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
                .collect()
        };
        let answer = Self {
            digest: about.digest,
            tokens: words(take("tokens", Dtype::U32)?),
            logprobs: words(take("logprobs", Dtype::F32)?).into_iter().map(f32::from_bits).collect(),
            ends: words(take("ends", Dtype::U32)?),
            finished: take("finished", Dtype::U8)?,
        };
        match answer.checksum() == about.sha256 {
            true => Ok(answer),
            false => Err("its checksum is not that of its contents: it was damaged on its way".into()),
        }
    }

    /// SHA-256 of all that it holds, in hexadecimal.
    fn checksum(&self) -> String {
        let mut all = format!("{}\0{}\0{}\0", self.digest, self.ends.len(), self.tokens.len()).into_bytes();
        all.extend_from_slice(bytemuck::cast_slice(&self.ends));
        all.extend_from_slice(&self.finished);
        all.extend_from_slice(bytemuck::cast_slice(&self.logprobs));
        all.extend_from_slice(bytemuck::cast_slice(&self.tokens));
        sha256(&all)
    }

    /// The completions, without their texts, if they can be what `task` asks for: as many, of tokens of the vocabulary, each
    /// with a log-probability, and each ended by its stop token or by the limit.
    ///
    /// # Errors
    /// In words.
    pub fn completions(self, task: &Task, terms: &Terms) -> Result<Vec<Completion>, String> {
        if self.ends.len() != task.samples || self.finished.len() != task.samples {
            return Err(format!("it has {} completions, not {}", self.ends.len(), task.samples));
        }
        if self.logprobs.len() != self.tokens.len() {
            return Err(format!(
                "{} log-probabilities are for {} tokens",
                self.logprobs.len(),
                self.tokens.len()
            ));
        }
        if let Some(token) = self.tokens.iter().find(|&&token| token as usize >= terms.vocab_size) {
            return Err(format!("token {token} is outside of the vocabulary of {}", terms.vocab_size));
        }
        // The logarithm of a sum that was rounded may be a hair above 0.
        if let Some(bad) = self.logprobs.iter().find(|value| !value.is_finite() || **value > 1e-3) {
            return Err(format!("{bad} is no log-probability"));
        }
        let limit = task.limit(terms);
        let mut start = 0;
        let mut group = Vec::with_capacity(task.samples);
        for (&end, &finished) in self.ends.iter().zip(&self.finished) {
            let end = end as usize;
            let tokens = self.tokens.get(start..end).ok_or("its completions do not follow each other")?;
            let stop = tokens.iter().position(|token| terms.stops.contains(token));
            let whole = match finished {
                1 => stop.is_some_and(|at| at + 1 == tokens.len()) && tokens.len() <= limit,
                0 => stop.is_none() && tokens.len() == limit,
                _ => false,
            };
            if !whole {
                return Err(format!(
                    "a completion of {} tokens ends neither by a stop token nor at {limit}",
                    tokens.len()
                ));
            }
            group.push(Completion {
                tokens: tokens.to_vec(),
                logprobs: self.logprobs[start..end].to_vec(),
                text: String::new(),
                truncated: finished == 0,
            });
            start = end;
        }
        if start != self.tokens.len() {
            return Err("tokens are left over".into());
        }
        Ok(group)
    }
}
