//! `stepladder generate`: continue a prompt.

use std::io::Write;
use std::path::PathBuf;

use pollster::block_on;
use serde::Serialize;
use serde_json::json;
use stepladder::ladder::learner::LearnerSettings;
use stepladder::session::{Completion, Form, Message, Opened, Piece, Request};
use stepladder::{Error, Result};

use super::args::{CacheArgs, DeviceArgs, SamplingArgs, text_or_input};
use super::chosen::ModelArgs;
use super::context::Context;
use super::session::{adapter, load, print_profile, read_text};
use super::signals::say;

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
    /// Hold the text to the JSON schema in this file
    #[arg(long, value_name = "FILE", help_heading = "Form of the text")]
    pub(super) schema: Option<PathBuf>,
    /// Hold the text to what this regular expression matches as a whole
    #[arg(long, value_name = "REGEX", help_heading = "Form of the text", conflicts_with = "schema")]
    pub(super) regex: Option<String>,
    /// Hold the text to the grammar in this file, in llguidance's notation of Lark
    #[arg(long, value_name = "FILE", help_heading = "Form of the text", conflicts_with_all = ["schema", "regex"])]
    pub(super) grammar: Option<PathBuf>,
    #[command(flatten)]
    pub(super) cache: CacheArgs,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// Writes the completions, the first as it comes.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let chosen = args.model.choose()?;
    let opened = chosen.open(context, &args.device)?;
    let adapter = adapter(&opened, chosen.adapter.as_deref())?;
    let prompt = text_or_input(&args.prompt)?;
    let sampling = args.sampling.sampling(args.max_tokens);
    let request = if args.chat {
        expect_template(&opened)?;
        opened.tell_unended();
        opened.chat_request(&[Message::user(&prompt)], sampling)?
    } else {
        opened.request(&prompt, sampling)?
    };
    let request = Request { samples: args.n as usize, seed: args.sampling.seed, ..request };
    let (adapter, format) = (adapter.as_ref(), args.cache.kv_cache);
    let form = form(args)?.map(|form| opened.compile(&form)).transpose()?;
    match form {
        Some(_) => opened.check_formed(&request, adapter, format)?,
        None => opened.check_request(&request, adapter, format)?,
    }
    let session = load(opened)?;
    let mut printer = (!context.json).then(|| Printer::new(request.samples));
    let mut on_text = |piece: Piece<'_>| printer.as_mut().map_or(Ok(()), |printer| printer.news(piece));
    let completions = if let Some(form) = &form {
        block_on(session.generate_formed(&request, form, adapter, format, &mut on_text))?
    } else {
        let rows = request.samples.min(LearnerSettings::default().rows);
        let mut generator = session.generator(adapter, rows)?;
        generator.keep_as(format);
        block_on(session.complete(&mut generator, &request, &mut on_text))?
    };
    let cut = completions.iter().filter(|completion| completion.truncated).count();
    if form.is_some() && cut > 0 {
        let whose = if completions.len() > 1 {
            format!("{cut} of {} texts", completions.len())
        } else {
            "the text".into()
        };
        say(&format!("{whose} ended at --max-tokens before the form was whole"));
    }
    if context.json {
        let completions = completions.iter().map(|completion| {
            json!({
                "text": completion.text,
                "tokens": completion.tokens,
                "logprobs": completion.logprobs,
                "finish_reason": finish_reason(completion),
            })
        });
        context.answer(&json!({ "completions": completions.collect::<Vec<_>>() }), String::new)?;
    }
    print_profile(context, session.model().gpu())
}

/// What the text is held to.
fn form(args: &Args) -> Result<Option<Form>> {
    if let Some(file) = &args.schema {
        let text = read_text(file)?;
        return Form::read_schema(file, &text).map(Some);
    }
    if let Some(regex) = &args.regex {
        return Ok(Some(Form::Regex(regex.clone())));
    }
    Ok(args.grammar.as_deref().map(read_text).transpose()?.map(Form::Lark))
}

/// Why a completion ended.
pub(super) fn finish_reason(completion: &Completion) -> &'static str {
    if completion.truncated { "length" } else { "stop" }
}

/// Fails for a model that has no chat template.
pub(super) fn expect_template(opened: &Opened) -> Result<()> {
    match opened.language.chat {
        Some(_) => Ok(()),
        None => Err(Error::usage(
            "--model",
            format!("{} has no chat template", opened.name),
            "use `generate` without --chat, or an instruction-tuned model",
        )),
    }
}

/// Shows completions one after the other: the first that is not done as it comes, those after it when it is their turn.
pub(super) struct Printer {
    /// Text not shown yet.
    waiting: Vec<String>,
    done: Vec<bool>,
    turn: usize,
}

impl Printer {
    /// A printer of `samples` completions.
    pub(super) fn new(samples: usize) -> Self {
        Self { waiting: vec![String::new(); samples], done: vec![false; samples], turn: 0 }
    }

    /// Takes new text of a completion.
    pub(super) fn news(&mut self, Piece { sample, text, done, .. }: Piece<'_>) -> Result<()> {
        self.waiting[sample] += text;
        self.done[sample] |= done;
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
