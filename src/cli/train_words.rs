//! What `train` says of a run: what it will do and why, how it went, and what to type next.

use std::path::Path;

use serde_json::{Value, json};
use stepladder::train::schedule::ScheduleKind;
use stepladder::train::sft::settings::{self, learning_rate};
use stepladder::train::sft::{Epoch, LEAST, Outcome, SftSettings, Split, Verdict};

use super::signals::quoted;
use super::train_samples::{Prompt, Sample, words};

/// What the help says of settings that follow from model and data.
pub(super) fn defaults_help() -> String {
    let ((small, high), (large, low)) = (settings::SMALL, settings::LARGE);
    let (enough, patience) = settings::PATIENCE;
    let tokens = settings::EPOCH_TOKENS / settings::EPOCHS;
    let rows = [
        (
            "learning-rate",
            format!(
                "{high} up to {small:.0e} parameters, {low} from {large:.0e}, evenly between (in logarithms)"
            ),
        ),
        (
            "epochs",
            format!("{}; fewer where an epoch has more than {tokens} tokens to learn", settings::EPOCHS),
        ),
        (
            "batch-size",
            format!(
                "{}; fewer where an epoch would have less than {} steps",
                settings::BATCH_SIZE,
                settings::EPOCH_STEPS
            ),
        ),
        ("warmup-steps", format!("one in {} steps", settings::STEPS_PER_WARMUP)),
        (
            "patience",
            format!(
                "{patience} from {enough} examples to learn; else 0, since few facts make the held-out loss rise while they are learnt"
            ),
        ),
    ];
    let rows = rows.map(|(name, words)| format!("\n  --{name:<14} {words}"));
    format!("Defaults that follow from model and data:{}", rows.concat())
}

/// What a run will do, in one line, and what of its settings follows from what, in another. `given` says which options were.
pub(super) fn plan(
    settings: &SftSettings,
    split: &Split,
    rank: usize,
    (tokens, parameters): (usize, u64),
    given: impl Fn(&str) -> bool,
) -> Vec<String> {
    let (learnt, held_out) = (split.learnt.len(), split.held_out.len());
    let batch = settings.batch_size.min(learnt);
    let course = match settings.steps {
        Some(steps) => counted(steps, "step"),
        None => {
            let epoch = learnt.div_ceil(settings.batch_size.max(1)) as u64;
            format!("{} of {}", counted(settings.epochs, "epoch"), counted(epoch, "step"))
        }
    };
    let (count, rate, schedule) = (learnt + held_out, settings.learning_rate, schedule(settings.schedule));
    let mut lines = vec![format!(
        "{}, {course}, rate {rate} {schedule}, rank {rank}; {held_out} held out",
        counted(count as u64, "example")
    )];
    let mut chosen = Vec::new();
    let mut note = |names: &[&str], words: String| {
        if !names.iter().any(|name| given(name)) {
            chosen.push(words);
        }
    };
    note(&["epochs", "steps"], "epochs".into());
    note(&["batch_size"], format!("batch of {batch}"));
    note(&["learning_rate"], "rate".into());
    if !chosen.is_empty() {
        let size = parameters as f64 / 1e6;
        lines.push(format!("{} by {tokens} tokens to learn and {size:.1} M parameters", chosen.join(", ")));
    }
    match held_out {
        0 if settings.held_out <= 0.0 => {}
        0 if count < LEAST => {
            lines.push(format!("none is held out of fewer than {} examples", LEAST));
        }
        0 => lines.push("none is held out: every prompt has too many of the examples".into()),
        _ => lines.push("what is held out is measured, not learnt; --held-out 0 learns all".into()),
    }
    lines
}

fn counted(count: u64, unit: &str) -> String {
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

fn schedule(kind: ScheduleKind) -> &'static str {
    match kind {
        ScheduleKind::Constant => "constant",
        ScheduleKind::Linear => "linear",
        ScheduleKind::Cosine => "cosine",
    }
}

/// How a run went, a sentence a line.
pub(super) fn course(run: &Outcome) -> Vec<String> {
    let course = &run.course;
    let mut lines = Vec::new();
    if let Some((first, last)) = course.change() {
        lines.push(format!("mean loss: {first:.3} in the first quarter of the steps, {last:.3} in the last"));
    }
    let held_out = |epoch: Option<Epoch>| epoch.and_then(|epoch| epoch.held_out_loss);
    if let (Some(first), Some(last)) = (held_out(course.first()), held_out(course.last())) {
        lines.push(format!("held-out loss: {first:.3} after the first epoch, {last:.3} after the last"));
    }
    if let Some(best) = course.best().filter(|_| run.settings.patience > 0) {
        let ended = if run.has_waited() { "stopped early; " } else { "" };
        lines.push(format!(
            "{ended}the adapter is that of epoch {}, the best on what is held out",
            best.epoch
        ));
    }
    lines
}

/// A plain sentence on a run that taught nothing; `parameters` are the model's.
pub(super) fn warning(run: &Outcome, parameters: u64) -> Option<String> {
    match run.verdict() {
        Verdict::Learnt | Verdict::Unknown => None,
        Verdict::Known => {
            Some("the loss was small from the beginning: the model knew these examples before".into())
        }
        Verdict::HardlyMoved => {
            let (settings, usual) = (&run.settings, learning_rate(parameters));
            let next = match settings.steps {
                _ if settings.learning_rate < usual => format!("--learning-rate {usual}"),
                Some(steps) => format!("--steps {}", steps.saturating_mul(4).max(40)),
                None => format!("--epochs {}", settings.epochs.saturating_mul(4)),
            };
            Some(format!("the loss hardly moved: the model has learnt next to nothing; try {next}"))
        }
    }
}

/// Most characters of a prompt in a command.
const SHORT: usize = 60;

/// What to type next.
pub(super) fn next(model: &str, folder: &Path, has_chat: bool, prompts: &[Prompt]) -> Vec<String> {
    let with = format!("-m {} --adapter {}", quoted(Path::new(model)), quoted(folder));
    let mut lines = Vec::new();
    // As it was taught: without a chat template, which the prompts of a file have not.
    let taught = prompts.iter().find(|prompt| !prompt.is_chat);
    if taught.is_some() || !has_chat {
        let short = |text: &&str| text.chars().count() <= SHORT && !text.chars().any(char::is_control);
        let prompt = taught.map(|prompt| prompt.text.as_str()).filter(short).unwrap_or("...");
        lines.push(format!("stepladder generate {with} --temperature 0 -p {}", quoted(Path::new(prompt))));
    }
    if has_chat {
        lines.push(format!("stepladder chat {with}"));
    }
    lines
}

/// The end of a run as text.
pub(super) fn end(run: &Outcome, samples: &[Sample], folder: &Path, next: &[String]) -> String {
    let mut text = course(run).iter().map(|line| format!("{line}\n")).collect::<String>();
    if !samples.is_empty() {
        text += &format!("\n{}\n", words(samples));
    }
    text += &format!("adapter: {}", folder.display());
    for (number, command) in next.iter().enumerate() {
        text += &format!("\n{} {command}", if number == 0 { "next:   " } else { "    or: " });
    }
    text
}

/// The end of a run for programs.
pub(super) fn finished(run: &Outcome, samples: &[Sample], folder: &Path, next: &[String]) -> Value {
    let course = &run.course;
    let (first, last) = course.change().unzip();
    let verdict = match run.verdict() {
        Verdict::Learnt => "learnt",
        Verdict::HardlyMoved => "hardly_moved",
        Verdict::Known => "known",
        Verdict::Unknown => "unknown",
    };
    json!({
        "event": "finished",
        "steps": run.done,
        "first_loss": first,
        "last_loss": last,
        "verdict": verdict,
        "stopped_early": run.has_waited(),
        "held_out_loss": course.last().and_then(|epoch| epoch.held_out_loss),
        "best_epoch": course.best().map(|epoch| epoch.epoch),
        "samples": samples,
        "adapter": folder,
        "next": next,
    })
}
