//! `stepladder examples`: worked examples to warm a model up with, without a GPU.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;
use stepladder::ladder::presets::Preset;
use stepladder::ladder::settings::Settings;
use stepladder::random::stream;
use stepladder::task::{ExampleSettings, Examples, worked_examples};
use stepladder::train::files::write_atomic;
use stepladder::{Error, Result, task};

use super::args::{Style, TaskArgs, share};
use super::context::Context;
use super::session::read_problems;

/// The random stream of this command.
const STREAM: u64 = 0x6578_616d_706c_6573;

/// Options of `examples`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) task: TaskArgs,
    /// File to write, one JSON object a line: for `train --data`, and as a problems file if all lines are solved
    #[arg(long, value_name = "FILE")]
    pub(super) output: PathBuf,
    /// Lines to make
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) count: u32,
    /// Levels to make them of, such as 1-6 or 1,2,5 [default: all that the task has]
    #[arg(long, value_name = "LEVELS", value_parser = levels)]
    pub(super) levels: Option<Levels>,
    /// Share of the lines that teach to write easier problems; such lines cannot stand in a problems file
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = share)]
    pub(super) variant_share: f64,
    /// Wording: `instruct` for models with a chat template, `terse` for `tiny` and its like
    #[arg(long, default_value = "instruct")]
    pub(super) style: Style,
    /// Problems file whose problems must not occur, in no notation and up to a constant factor; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(super) exclude: Vec<PathBuf>,
    /// Seed of every random choice; the same seed gives the same file
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
}

/// A list of levels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Levels(Vec<u32>);

/// `1-6`, `1,2,5`, or both as in `1-3,7`.
fn levels(text: &str) -> Result<Levels, String> {
    let number = |text: &str| text.trim().parse::<u32>().ok().filter(|level| *level <= 1000);
    let part = |part: &str| match part.split_once('-') {
        None => number(part).map(|level| level..=level),
        Some((first, last)) => Some(number(first)?..=number(last)?).filter(|range| !range.is_empty()),
    };
    let ranges: Option<Vec<_>> = text.split(',').map(part).collect();
    let ranges = ranges.ok_or("expected levels such as 1-6 or 1,2,5")?;
    Ok(Levels(ranges.into_iter().flatten().collect()))
}

/// Makes the examples and writes them.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    context.gate.file("--output", &args.output)?;
    let task = task::create(&args.task.task, &args.task.options())?;
    let mut exclude = Vec::new();
    for file in &args.exclude {
        exclude.extend(read_problems(file)?);
    }
    let all = task.worked_levels().iter().map(|&(level, _)| level).collect();
    let levels = args.levels.as_ref().map_or(all, |levels| levels.0.clone());
    // Variants are asked for as in a run, so that the model knows the wording from here.
    let variants = Settings::preset(Preset::Small).variants;
    let settings = ExampleSettings {
        count: args.count as usize,
        levels: &levels,
        variant_share: args.variant_share,
        style: args.style.into(),
        exclude: &exclude,
        transformations: variants.transformations,
        personas: &variants.personas,
    };
    let examples = worked_examples(&*task, &settings, &mut stream(args.seed, &[STREAM]))?;
    let mut text = String::new();
    for line in &examples.lines {
        text += &serde_json::to_string(line).map_err(|error| Error::write(&args.output, error.into()))?;
        text.push('\n');
    }
    write_atomic(&args.output, text.as_bytes())?;
    let counts = counts(&levels, &examples);
    let value = json!({
        "output": args.output,
        "lines": examples.lines.len(),
        "levels": counts,
        "excluded": examples.excluded,
        "seed": args.seed,
    });
    context.answer(&value, || summary(args, &examples, &counts))
}

/// Lines of one level.
#[derive(Debug, Serialize)]
struct Count {
    level: u32,
    solved: usize,
    variants: usize,
}

fn counts(levels: &[u32], examples: &Examples) -> Vec<Count> {
    let count = |level: &u32| Count {
        level: *level,
        solved: examples.solved.get(level).copied().unwrap_or(0),
        variants: examples.variants.get(level).copied().unwrap_or(0),
    };
    levels.iter().map(count).collect()
}

fn summary(args: &Args, examples: &Examples, counts: &[Count]) -> String {
    let mut text = format!("{} examples in {}", examples.lines.len(), args.output.display());
    for Count { level, solved, variants } in counts {
        text += &format!("\nlevel {level:>2}: {solved} solved");
        if *variants > 0 {
            text += &format!(", {variants} with easier problems");
        }
    }
    if !args.exclude.is_empty() {
        text += &format!("\n{} draws dropped for an excluded problem in them", examples.excluded);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_levels() {
        assert_eq!(levels("1-3,7"), Ok(Levels(vec![1, 2, 3, 7])));
        assert_eq!(levels("5"), Ok(Levels(vec![5])));
        for text in ["", "3-1", "1,", "a", "-1", "1-99999"] {
            assert!(levels(text).is_err(), "{text}");
        }
    }
}
