//! `stepladder chat`: talk with a model.

use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use stepladder::model::chat::Message;
use stepladder::model::generate::{Generator, Lengths, Request};
use stepladder::model::tokenizer::Lacking;
use stepladder::{Error, Result};

use super::args::{CacheArgs, DeviceArgs, SamplingArgs};
use super::chosen::ModelArgs;
use super::context::Context;
use super::generate::{Printer, chat_prompt, complete, finish_reason};
use super::signals::say;

/// Options of `chat`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) model: ModelArgs,
    /// What the model is told before the first message
    #[arg(long, value_name = "TEXT")]
    pub(super) system: Option<String>,
    /// Most tokens of an answer
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_tokens: u32,
    #[command(flatten)]
    pub(super) sampling: SamplingArgs,
    #[command(flatten)]
    pub(super) cache: CacheArgs,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// Reads a message, writes the answer, and so on until `/exit` or the end of input.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let chosen = args.model.choose()?;
    let opened = chosen.open(context, &args.device)?;
    let adapter = opened.adapter(chosen.adapter.as_deref())?;
    let first: Vec<Message> = args.system.iter().map(|text| Message::new("system", text)).collect();
    // A model without a template is refused before it is loaded.
    chat_prompt(&opened.language, &chosen.model, &[Message::user("")])?;
    opened.tell_unended();
    // The longest conversation that the context holds.
    let max_tokens = args.max_tokens as usize;
    let prompt = opened.context_length.saturating_sub(max_tokens).max(1);
    let longest = Lengths { prompt, samples: 1, max_tokens };
    opened.check_sampling(&[longest], 0, adapter.as_ref(), args.cache.kv_cache)?;
    let session = opened.load()?;
    let lora = session.lora(adapter.as_ref())?;
    let mut generator = Generator::new(Arc::clone(&session.model), lora.as_ref(), 1);
    generator.keep_as(args.cache.kv_cache);
    generator.keep();
    let tokenizer = &session.language.tokenizer;
    let tell_lacking = |text: &str| {
        let lacking = Lacking::of(tokenizer, [text]);
        if !lacking.is_empty() {
            say(&lacking.to_string());
        }
    };
    let terminal = std::io::stdin().is_terminal();
    if terminal {
        say("/clear forgets the conversation, /exit (or Ctrl-D) ends it");
    }
    let mut messages = first.clone();
    let mut turn = 0;
    while let Some(line) = read_line(context, terminal)? {
        match line.trim() {
            "" => continue,
            "/exit" => break,
            "/clear" => {
                messages.clone_from(&first);
                continue;
            }
            text => {
                tell_lacking(text);
                messages.push(Message::user(text));
            }
        }
        let request = Request {
            prompt: chat_prompt(&session.language, &chosen.model, &messages)?,
            samples: 1,
            sampling: args.sampling.sampling(args.max_tokens),
            seed: args.sampling.seed.wrapping_add(turn),
        };
        turn += 1;
        if let Err(error @ Error::Context { .. }) =
            request.check(session.model.config(), session.model.context())
        {
            if !terminal {
                return Err(error);
            }
            say(&format!("{error}; /clear forgets the conversation"));
            messages.pop();
            continue;
        }
        let mut printer = (!context.json).then(|| Printer::new(tokenizer, 1));
        let completions = complete(&mut generator, &request, context, |sample, tokens, done| {
            printer.as_mut().map_or(Ok(()), |printer| printer.news(sample, tokens, done))
        })?;
        chosen.asked()?;
        for completion in &completions {
            let content = tokenizer.decode(&completion.tokens)?;
            if context.json {
                let finish_reason = finish_reason(completion);
                let answer = json!({
                    "role": "assistant",
                    "content": content,
                    "finish_reason": finish_reason,
                    "usage": {
                        "prompt_tokens": request.prompt.len(),
                        "cached_tokens": generator.cached_tokens(),
                        "completion_tokens": completion.tokens.len(),
                    },
                });
                context.answer(&answer, String::new)?;
            }
            messages.push(Message::new("assistant", content));
        }
    }
    session.print_profile(context)
}

/// A line of standard input; `None` at its end. Ctrl-C ends the program here, since nothing is under way.
fn read_line(context: &Context, terminal: bool) -> Result<Option<String>> {
    if terminal {
        let _ = write!(std::io::stderr(), "> ");
    }
    let mut line = String::new();
    let read = context.idle(|| std::io::stdin().lock().read_line(&mut line));
    let count = read.map_err(|error| Error::read("standard input", error))?;
    Ok((count > 0).then_some(line))
}
