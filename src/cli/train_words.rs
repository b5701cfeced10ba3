//! What `train` says of a run: what it will do and why, how it went, and what to type next.

use std::path::Path;

use serde_json::{Value, json};
use stepladder::settings::{SFT, Setting, at};
use stepladder::train::schedule::ScheduleKind;
use stepladder::train::sft::settings::{self, learning_rate};
use stepladder::train::sft::{Change, Epoch, LEAST, Outcome, SftOptions, SftSettings, Split, Verdict};

use super::setting_args::{table_help, typed};
use super::signals::quoted;
use super::train_samples::{Prompt, Sample, words};

/// What the help says of settings that follow from model and data.
pub(super) fn defaults_help() -> String {
    let ((small, high), (large, low)) = (settings::SMALL, settings::LARGE);
    let (enough, patience) = settings::PATIENCE;
    let tokens = settings::EPOCH_TOKENS / settings::EPOCHS;
    let (small, large) = (small / 1e9, large / 1e9);
    let rate =
        format!("{high} up to {small} B parameters, {low} from {large} B, evenly between in logarithms");
    let epochs = format!("{}; fewer where an epoch has more than {tokens} tokens to learn", settings::EPOCHS);
    let (most, steps) = (settings::BATCH_SIZE, settings::EPOCH_STEPS);
    let batch = format!("{most}; fewer where an epoch would have less than {steps} steps");
    let patience = format!(
        "{patience} from {enough} examples to learn, else 0: where each example is a fact of its own, the held-out loss rises while they are learnt"
    );
    let rows = [
        ("learning-rate", rate),
        ("epochs", epochs),
        ("batch-size", batch),
        ("warmup-steps", format!("one in {} steps", settings::STEPS_PER_WARMUP)),
        ("patience", patience),
    ];
    let rows = rows.map(|(name, words)| format!("\n  --{name:<14} {words}"));
    format!("Defaults that follow from model and data:{}", rows.concat())
}

/// The value of a setting that a user says nothing of; `None` where it follows from the model and the data.
pub(super) fn default_of(setting: &Setting) -> Option<String> {
    let defaults = serde_json::to_value(SftOptions::default()).unwrap_or_default();
    let value = at(&defaults, setting.path).filter(|value| !value.is_null())?;
    Some(typed(value))
}

/// Every setting by its path: the option that it has, or what it does.
pub(super) fn settings_help() -> String {
    table_help(SFT, |setting| match setting.fitted {
        true => "see below".to_owned(),
        false => default_of(setting).unwrap_or_else(|| "none".into()),
    })
}

/// What a run will do, in one line, and what of its settings follows from what, in another. `given` says which paths were set.
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
    note(&["batch_size"], format!("{batch} a step"));
    note(&["learning_rate"], "rate".into());
    if !chosen.is_empty() {
        let (chosen, size) = (chosen.join(", "), parameters as f64 / 1e6);
        lines.push(format!("({chosen}: as fits {tokens} tokens to learn and {size:.1} M parameters)"));
    }
    match held_out {
        0 if settings.held_out <= 0.0 => {}
        0 if count < LEAST => {
            lines.push(format!("(none is held out of fewer than {LEAST} examples)"));
        }
        0 => lines.push("(none is held out: every prompt has too many of the examples)".into()),
        _ => lines.push("(what is held out is measured, not learnt; --held-out 0 learns all)".into()),
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
    if let Some(Change { first, last, in_epochs }) = course.change() {
        let part = if in_epochs { "epoch" } else { "quarter of the steps" };
        lines.push(format!("mean loss: {first:.3} in the first {part}, {last:.3} in the last"));
    }
    let held_out = |epoch: Option<Epoch>| epoch.and_then(|epoch| epoch.held_out_loss);
    if let (Some(first), Some(last)) = (held_out(course.first()), held_out(course.last())) {
        lines.push(format!("held-out loss: {first:.3} after the first epoch, {last:.3} after the last"));
        if last > 1.05 * first && run.settings.patience == 0 {
            lines.push(
                "it rose: later epochs learned the lines by heart; --patience 1 keeps the best epoch".into(),
            );
        }
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
        text += &format!("\n{}  {command}", if number == 0 { "next:  " } else { "   or: " });
    }
    text
}

/// The end of a run for programs.
pub(super) fn finished(run: &Outcome, samples: &[Sample], folder: &Path, next: &[String]) -> Value {
    let course = &run.course;
    let change = course.change();
    let verdict = match run.verdict() {
        Verdict::Learnt => "learnt",
        Verdict::HardlyMoved => "hardly_moved",
        Verdict::Known => "known",
        Verdict::Unknown => "unknown",
    };
    json!({
        "event": "finished",
        "steps": run.done,
        "first_loss": change.map(|change| change.first),
        "last_loss": change.map(|change| change.last),
        "verdict": verdict,
        "stopped_early": run.has_waited(),
        "held_out_loss": course.last().and_then(|epoch| epoch.held_out_loss),
        "best_epoch": course.best().map(|epoch| epoch.epoch),
        "samples": samples,
        "adapter": folder,
        "next": next,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use stepladder::train::sft::Course;

    use super::*;

    fn planned(asked: &SftOptions, learnt: usize, held_out: usize, given: &[&str]) -> Vec<String> {
        let settings = SftSettings::for_model_and_data(asked, 134_515_008, learnt, 451);
        let split = Split { learnt: (0..learnt).collect(), held_out: (learnt..learnt + held_out).collect() };
        plan(&settings, &split, 16, (451, 134_515_008), |name| given.contains(&name))
    }

    #[test]
    fn the_plan_says_what_will_be_done_and_why() {
        let lines = planned(&SftOptions::default(), 43, 5, &[]);
        assert_eq!(
            lines,
            [
                "48 examples, 10 epochs of 7 steps, rate 0.001 cosine, rank 16; 5 held out",
                "(epochs, 7 a step, rate: as fits 451 tokens to learn and 134.5 M parameters)",
                "(what is held out is measured, not learnt; --held-out 0 learns all)",
            ]
        );
        assert!(lines.iter().all(|line| line.len() <= 80), "{lines:?}");
        let few = planned(&SftOptions::default(), 9, 0, &["epochs"]);
        assert!(few[1].starts_with("(1 a step, rate: ") && few[2].contains("fewer than 10"), "{few:?}");
        let twins = planned(&SftOptions::default(), 40, 0, &["steps", "batch_size", "learning_rate"]);
        assert!(twins.len() == 2 && twins[1].contains("every prompt"), "{twins:?}");
        let asked = SftOptions { steps: Some(1), held_out: 0.0, ..SftOptions::default() };
        let one = planned(&asked, 1, 0, &["steps", "batch_size", "learning_rate"]);
        assert_eq!(one, ["1 example, 1 step, rate 0.001 cosine, rank 16; 0 held out"]);
    }

    #[test]
    fn defaults_are_typed_as_they_are_shown() {
        for (path, words) in [
            ("learning_rate", None),
            ("held_out", Some("0.1")),
            ("schedule", Some("cosine")),
            ("lora.alpha", Some("32")),
            ("optimizer.eps", Some("0.00000001")),
            ("lora.targets", Some("q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj")),
        ] {
            let row = SFT.find(path).unwrap();
            assert_eq!(default_of(row).as_deref(), words);
            assert!(words.is_none_or(|words| row.takes.fits(&row.takes.read(words))), "{path}");
        }
        let help = settings_help();
        assert!(SFT.rows.iter().all(|row| help.contains(row.path)), "{help}");
        assert!(help.contains("decay of the first moment [0.9; AdamW]"), "{help}");
        assert!(help.contains("--rank [16; "), "{help}");
    }

    fn run(asked: &SftOptions, losses: &[f64]) -> Outcome {
        let settings = SftSettings::for_model_and_data(asked, 1, 20, 100);
        let mut course = Course::default();
        for (done, &loss) in losses.iter().enumerate() {
            course.add(loss, done as u64, losses.len() as u64);
        }
        Outcome { settings, course, done: losses.len() as u64 }
    }

    #[test]
    fn a_run_that_taught_nothing_is_told_with_a_way_out() {
        let low = SftOptions { learning_rate: Some(1e-5), ..SftOptions::default() };
        let one = SftOptions { epochs: Some(1), ..SftOptions::default() };
        let steps = SftOptions { steps: Some(2), ..SftOptions::default() };
        for (asked, losses, words) in [
            (
                &low,
                &[2.0, 1.95][..],
                "hardly moved: the model has learnt next to nothing; try --learning-rate 0.001",
            ),
            (&one, &[2.0, 2.0], "try --epochs 4"),
            (&steps, &[2.0, 1.9], "try --steps 40"),
            (&one, &[0.01, 0.01], "knew these examples"),
        ] {
            let warning = warning(&run(asked, losses), 1).unwrap();
            assert!(warning.contains(words), "{warning}");
        }
        assert_eq!(warning(&run(&low, &[2.0, 1.0]), 1), None);
    }

    #[test]
    fn an_end_says_what_to_type_next_as_it_was_taught() {
        let folder = Path::new("my adapter");
        let generate = "stepladder generate -m tiny --adapter 'my adapter' --temperature 0 -p ...";
        assert_eq!(next("tiny", folder, false, &[]), [generate]);
        assert_eq!(next("m.gguf", folder, true, &[]), ["stepladder chat -m m.gguf --adapter 'my adapter'"]);
        let mut waited = run(&SftOptions { patience: Some(1), ..SftOptions::default() }, &[2.0, 1.0]);
        for (epoch, loss) in [(1, 3.0), (2, 4.0)] {
            waited.course.end_epoch(epoch, epoch, true, Some(loss));
        }
        let text = end(&waited, &[], folder, &[generate.into(), "other".into()]);
        for words in [
            "mean loss: 2.000 in the first quarter of the steps, 1.000 in the last\n",
            "held-out loss: 3.000 after the first epoch, 4.000 after the last\n",
            "stopped early; the adapter is that of epoch 1,",
            "\nadapter: my adapter\nnext:    stepladder generate",
            "\n   or:   other",
        ] {
            assert!(text.contains(words), "{text}, expected `{words}`");
        }
        let value = finished(&waited, &[], folder, &[]);
        assert_eq!((&value["event"], &value["best_epoch"]), (&json!("finished"), &json!(1)));
        assert_eq!((&value["stopped_early"], &value["verdict"]), (&json!(true), &json!("learnt")));
    }
}
