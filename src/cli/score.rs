//! `stepladder score`: log-probabilities of a given text.

use pollster::block_on;
use serde::Serialize;
use serde_json::json;
use stepladder::Result;

use super::args::{DeviceArgs, text_or_input};
use super::chosen::ModelArgs;
use super::context::Context;
use super::session::{adapter, load, print_profile};

/// Options of `score`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) model: ModelArgs,
    /// Text to score; `-` for that of standard input
    #[arg(long, allow_hyphen_values = true)]
    pub(super) text: String,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// Scores the text, with the begin-of-text token where the model has one.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let chosen = args.model.choose()?;
    let opened = chosen.open(context, &args.device)?;
    let adapter = adapter(&opened, chosen.adapter.as_deref())?;
    let tokens = opened.text_to_score(&text_or_input(&args.text)?, adapter.as_ref())?;
    let session = load(opened)?;
    let logprobs = block_on(session.logprobs(&tokens, adapter.as_ref()))?;
    let answer = json!({ "tokens": tokens, "logprobs": logprobs });
    context.answer(&answer, || {
        let tokenizer = &session.opened().language.tokenizer;
        let name = |token: u32| tokenizer.token(token).unwrap_or_else(|| token.to_string());
        let mut lines = vec![format!("{:>9}  {}", "", name(tokens[0]))];
        lines.extend(tokens[1..].iter().zip(&logprobs).map(|(&t, p)| format!("{p:>9.4}  {}", name(t))));
        let sum: f64 = logprobs.iter().map(|&p| f64::from(p)).sum();
        let perplexity = (-sum / logprobs.len() as f64).exp();
        lines.push(format!("sum {sum:.4}, perplexity {perplexity:.4}"));
        lines.join("\n")
    })?;
    print_profile(context, session.model().gpu())
}
