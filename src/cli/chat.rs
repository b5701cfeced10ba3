//! `stepladder chat`: talk with a model.

use std::path::Path;

use pollster::block_on;
use serde::Serialize;
use serde_json::json;
use stepladder::model::generate::{Generator, Lengths};
use stepladder::session::{Completion, Message, Piece, Request, Session};
use stepladder::train::files::write_atomic;
use stepladder::{Error, Result};

use super::args::{CacheArgs, DeviceArgs, SamplingArgs, non_negative};
use super::chat_input::{HELP, Input, Said};
use super::chat_sampling;
use super::chosen::{Chosen, ModelArgs};
use super::context::Context;
use super::echo;
use super::generate::{Printer, expect_template, finish_reason};
use super::session::{adapter, load, print_profile};
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
    let adapter = adapter(&opened, chosen.adapter.as_deref())?;
    // A model without a template is refused before it is loaded.
    expect_template(&opened)?;
    opened.tell_unended();
    let (sampling, drawn) = chat_sampling::of(&args.sampling, opened.advice, context);
    // The longest conversation that the context holds.
    let max_tokens = args.max_tokens as usize;
    let prompt = opened.context_length.saturating_sub(max_tokens).max(1);
    let longest = Lengths { prompt, samples: 1, max_tokens };
    opened.check_sampling(&[longest], 0, adapter.as_ref(), args.cache.kv_cache)?;
    let session = load(opened)?;
    let mut generator = session.generator(adapter.as_ref(), 1)?;
    generator.keep_as(args.cache.kv_cache);
    generator.keep();
    let mut input = Input::new(context)?;
    if input.is_terminal() {
        say(&format!("{drawn}; /help says what else can be typed"));
    }
    let mut chat = Chat {
        context,
        chosen: &chosen,
        session: &session,
        generator,
        sampling,
        max_tokens: args.max_tokens,
        messages: args.system.iter().map(|text| Message::new("system", text)).collect(),
        turn: 0,
        is_terminal: input.is_terminal(),
    };
    while let Some(said) = input.read(context)? {
        if said == Said::Exit {
            break;
        }
        match chat.take(said) {
            // A person can put right what is wrong with a line.
            Err(error @ (Error::Usage { .. } | Error::Context { .. } | Error::Io { .. }))
                if chat.is_terminal =>
            {
                say(&error.to_string());
            }
            taken => taken?,
        }
    }
    print_profile(context, session.model().gpu())
}

/// A conversation.
struct Chat<'a> {
    context: &'a Context,
    chosen: &'a Chosen,
    session: &'a Session,
    generator: Generator,
    sampling: SamplingArgs,
    max_tokens: u32,
    messages: Vec<Message>,
    /// Answers so far, also those that were forgotten: each has a seed of its own.
    turn: u64,
    is_terminal: bool,
}

impl Chat<'_> {
    fn take(&mut self, said: Said) -> Result<()> {
        match said {
            Said::Message(text) if text.is_empty() => {}
            Said::Message(text) => self.answer(&text)?,
            Said::Help => say(HELP),
            Said::Reset => self.reset(),
            Said::System(text) => {
                self.messages =
                    (!text.is_empty()).then(|| Message::new("system", &text)).into_iter().collect();
                self.note("the conversation begins anew");
            }
            Said::Temperature(text) => {
                self.sampling.temperature = non_negative(&text)
                    .map_err(|problem| Error::usage("/temperature", problem, "write /temperature 0.7"))?;
                self.note(&chat_sampling::words(&self.sampling));
            }
            Said::Save(file) => self.save(&file)?,
            Said::Unknown(word) => {
                return Err(Error::usage(word, "is no command", "/help lists those that there are"));
            }
            Said::Exit => {}
        }
        Ok(())
    }

    /// Says something to a person; a program gets answers alone.
    fn note(&self, text: &str) {
        if self.is_terminal {
            say(text);
        }
    }

    /// Forgets all but what the model was told first.
    fn reset(&mut self) {
        let first = self.messages.iter().take_while(|message| message.role() == "system").count();
        self.messages.truncate(first);
        self.note("forgotten");
    }

    /// Writes the conversation as a record to train on.
    fn save(&self, file: &str) -> Result<()> {
        if file.is_empty() {
            return Err(Error::usage("/save", "names no file", "write /save talk.jsonl"));
        }
        if !self.messages.iter().any(|message| message.role() == "assistant") {
            return Err(Error::usage("/save", "there is no answer yet", "ask something first"));
        }
        let path = Path::new(file);
        self.context.gate.file("/save", path)?;
        write_atomic(path, format!("{}\n", json!({ "messages": self.messages })).as_bytes())?;
        self.note(&format!("saved; stepladder train --data {file} learns it"));
        Ok(())
    }

    /// Answers a message, as far as the user lets it.
    fn answer(&mut self, text: &str) -> Result<()> {
        self.messages.push(Message::user(text));
        let answered = self.complete();
        match &answered {
            Ok((content, _)) => self.messages.push(Message::new("assistant", content)),
            // It is as if it had not been asked.
            Err(_) => drop(self.messages.pop()),
        }
        let (content, completion) = answered.map_err(|error| match error {
            Error::Context { .. } if self.is_terminal => {
                Error::usage("message", error.to_string(), "/reset forgets the conversation")
            }
            error => error,
        })?;
        let Some((prompt_tokens, completion)) = completion else {
            say("\nstopped");
            return Ok(());
        };
        self.chosen.asked()?;
        if self.context.json {
            let answer = json!({
                "role": "assistant",
                "content": content,
                "finish_reason": finish_reason(&completion),
                "usage": {
                    "prompt_tokens": prompt_tokens,
                    "cached_tokens": self.generator.cached_tokens(),
                    "completion_tokens": completion.tokens.len(),
                },
            });
            self.context.answer(&answer, String::new)?;
        } else if completion.truncated {
            say(&format!("cut after {} tokens; --max-tokens allows more", completion.tokens.len()));
        }
        Ok(())
    }

    /// The text of an answer, and unless it was stopped the number of tokens of its prompt with the completion.
    fn complete(&mut self) -> Result<(String, Option<(usize, Completion)>)> {
        let (session, opened) = (self.session, self.session.opened());
        let request = Request {
            seed: self.sampling.seed.wrapping_add(self.turn),
            ..opened.chat_request(&self.messages, self.sampling.sampling(self.max_tokens))?
        };
        request.check(&opened.config, opened.context_length)?;
        self.turn += 1;
        let mut printer = (!self.context.json).then(|| Printer::new(1));
        let mut tokens = Vec::new();
        let mut news = |piece: Piece<'_>| {
            tokens.extend_from_slice(piece.tokens);
            printer.as_mut().map_or(Ok(()), |printer| printer.news(piece))
        };
        let generator = &mut self.generator;
        let mut work = || block_on(session.complete(generator, &request, &mut news));
        let completions = if self.is_terminal {
            let _hidden = echo::hide();
            self.context.interruptible(work)?
        } else {
            Some(work()?)
        };
        match completions.and_then(|completions| completions.into_iter().next()) {
            Some(completion) => Ok((completion.text.clone(), Some((request.prompt.len(), completion)))),
            None => Ok((opened.language.tokenizer.decode(&tokens)?, None)),
        }
    }
}
