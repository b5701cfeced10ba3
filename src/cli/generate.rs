//! `stepladder generate`: continue a prompt.

use std::io::Write;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pollster::block_on;
use serde::Serialize;
use serde_json::json;
use stepladder::ladder::learner::{Language, LearnerSettings};
use stepladder::model::chat::Message;
use stepladder::model::generate::{Completion, Generator, Lengths, Progress, Request};
use stepladder::model::tokenizer::{StreamDecoder, Tokenizer};
use stepladder::{Error, Result};

use super::args::{CacheArgs, DeviceArgs, SamplingArgs, text_or_input};
use super::chosen::ModelArgs;
use super::context::Context;

/// Options of `generate`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) model: ModelArgs,
    /// Text to continue; `-` for that of standard input
    #[arg(short, long, allow_hyphen_values = true)]
    pub(super) prompt: String,
    /// Put the prompt into the model's chat template, as the user's message
    #[arg(long)]
    pub(super) chat: bool,
    /// Most tokens of a completion
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_tokens: u32,
    #[command(flatten)]
    pub(super) sampling: SamplingArgs,
    /// Number of completions
    #[arg(short, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub(super) n: u32,
    #[command(flatten)]
    pub(super) cache: CacheArgs,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// Writes the completions, the first as it comes.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let chosen = args.model.choose()?;
    let opened = chosen.open(context, &args.device)?;
    let adapter = opened.adapter(chosen.adapter.as_deref())?;
    let prompt = text_or_input(&args.prompt)?;
    opened.tell_lacking([prompt.as_str()]);
    let prompt = if args.chat {
        opened.tell_unended();
        chat_prompt(&opened.language, &chosen.model, &[Message::user(&prompt)])?
    } else {
        opened.language.tokenizer.encode_prompt(&prompt)?
    };
    let request = Request {
        prompt,
        samples: args.n as usize,
        sampling: args.sampling.sampling(args.max_tokens),
        seed: args.sampling.seed,
    };
    request.check(&opened.config, opened.context_length)?;
    let lengths = Lengths {
        prompt: request.prompt.len(),
        samples: request.samples,
        max_tokens: args.max_tokens as usize,
    };
    opened.check_sampling(&[lengths], 0, adapter.as_ref(), args.cache.kv_cache)?;
    let session = opened.load()?;
    let lora = session.lora(adapter.as_ref())?;
    let rows = request.samples.min(LearnerSettings::default().rows);
    let mut generator = Generator::new(Arc::clone(&session.model), lora.as_ref(), rows);
    generator.keep_as(args.cache.kv_cache);
    let tokenizer = &session.language.tokenizer;
    let mut printer = (!context.json).then(|| Printer::new(tokenizer, request.samples));
    let completions = complete(&mut generator, &request, context, |sample, tokens, done| {
        printer.as_mut().map_or(Ok(()), |printer| printer.news(sample, tokens, done))
    })?;
    if context.json {
        let completions = completions
            .iter()
            .map(|completion| {
                Ok(json!({
                    "text": tokenizer.decode(&completion.tokens)?,
                    "tokens": completion.tokens,
                    "logprobs": completion.logprobs,
                    "finish_reason": finish_reason(completion),
                }))
            })
            .collect::<Result<Vec<_>>>()?;
        context.answer(&json!({ "completions": completions }), String::new)?;
    }
    session.print_profile(context)
}

/// Why a completion ended.
pub(super) fn finish_reason(completion: &Completion) -> &'static str {
    if completion.stopped { "stop" } else { "length" }
}

/// Tokens of a conversation that ends where the assistant's answer begins.
pub(super) fn chat_prompt(language: &Language, model: &str, messages: &[Message]) -> Result<Vec<u32>> {
    let Some(template) = &language.chat else {
        let problem = format!("{model} has no chat template");
        return Err(Error::usage(
            "--model",
            problem,
            "use `generate` without --chat, or an instruction-tuned model",
        ));
    };
    language.tokenizer.encode(&template.render(messages, true)?, false)
}

/// Generates, and hands every piece of news (sample, tokens, whether it is done) to `news`.
pub(super) fn complete(
    generator: &mut Generator,
    request: &Request,
    context: &Context,
    mut news: impl FnMut(usize, &[u32], bool) -> Result<()>,
) -> Result<Vec<Completion>> {
    let mut failed = None;
    let mut progress = |progress: Progress<'_>| {
        if context.cancelled().load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        match news(progress.sample, progress.tokens, progress.done) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    };
    let outcome = block_on(generator.generate(std::slice::from_ref(request), &mut progress));
    match failed {
        Some(error) => Err(error),
        None => Ok(outcome?.into_iter().flatten().collect()),
    }
}

/// Shows completions one after the other: the first that is not done as it comes, those after it when it is their turn.
pub(super) struct Printer<'a> {
    streams: Vec<Option<StreamDecoder<'a>>>,
    /// Text not shown yet.
    waiting: Vec<String>,
    done: Vec<bool>,
    turn: usize,
}

impl<'a> Printer<'a> {
    /// A printer of `samples` completions.
    pub(super) fn new(tokenizer: &'a Tokenizer, samples: usize) -> Self {
        Self {
            streams: (0..samples).map(|_| Some(tokenizer.stream())).collect(),
            waiting: vec![String::new(); samples],
            done: vec![false; samples],
            turn: 0,
        }
    }

    /// Takes new tokens of a completion.
    pub(super) fn news(&mut self, sample: usize, tokens: &[u32], done: bool) -> Result<()> {
        if let Some(stream) = &mut self.streams[sample] {
            for &token in tokens {
                self.waiting[sample] += &stream.push(token)?;
            }
        }
        if done && let Some(stream) = self.streams[sample].take() {
            self.waiting[sample] += &stream.finish()?;
            self.done[sample] = true;
        }
        let mut text = String::new();
        while self.turn < self.waiting.len() {
            text += &std::mem::take(&mut self.waiting[self.turn]);
            if !self.done[self.turn] {
                break;
            }
            self.turn += 1;
            text += if self.turn < self.waiting.len() { "\n---\n" } else { "\n" };
        }
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .map_err(|error| Error::write("standard output", error))
    }
}
