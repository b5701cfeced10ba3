//! A file of worked examples: distinct, verified, apart from what is held out, and worded as the model will be asked.

use std::collections::{BTreeMap, HashSet};

use rand_pcg::Pcg64Mcg;
use serde::Serialize;

use super::draw::pick;
use super::{Problem, PromptStyle, Task, VariantKind, VariantRequest, VerdictKind};
use crate::random::{below, shuffle};
use crate::{Error, Result};

/// Most easier problems in one line that teaches variants: as many as a run asks one completion for.
const MAX_VARIANTS: usize = 10;
/// Draws in a row that give nothing new before a level counts as used up.
const MAX_DRAWS: usize = 2000;

/// What is to be made.
#[derive(Debug, Clone, Copy)]
pub struct ExampleSettings<'a> {
    /// Lines.
    pub count: usize,
    /// Levels, each with as many lines as the others, give or take one.
    pub levels: &'a [u32],
    /// Share of the lines, from 0 to 1, that teach to write easier variants instead of solving.
    pub variant_share: f64,
    /// How prompts are worded.
    pub style: PromptStyle,
    /// Problems that must not occur, neither to be solved nor as variants, in whatever notation and up to
    /// [`Task::is_restatement`]. Texts that are no problems of the task are left out.
    pub exclude: &'a [Problem],
    /// Fewest and most transformations that a variant prompt offers.
    pub transformations: [usize; 2],
    /// Personas that variant prompts draw from; one in four names none.
    pub personas: &'a [String],
}

/// A line of the file. One that is solved is also a line of a problems file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExampleLine {
    /// Problem, level and answer of a line that is solved; `None` for one that teaches variants.
    #[serde(flatten)]
    pub solved: Option<Problem>,
    /// What is learnt.
    #[serde(flatten)]
    pub lesson: Lesson,
}

/// Prompt and completion in the fields of a training file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Lesson {
    /// For [`PromptStyle::Instruct`]: the user's turn and the assistant's.
    Chat {
        /// The two turns.
        messages: [Turn; 2],
    },
    /// For [`PromptStyle::Terse`].
    Text {
        /// What is given.
        prompt: String,
        /// What is learnt.
        completion: String,
    },
}

/// A turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Turn {
    /// `user` or `assistant`.
    pub role: &'static str,
    /// The text.
    pub content: String,
}

impl Lesson {
    fn new(prompt: String, completion: String, style: PromptStyle) -> Self {
        match style {
            PromptStyle::Instruct => Self::Chat {
                messages: [
                    Turn { role: "user", content: prompt },
                    Turn { role: "assistant", content: completion },
                ],
            },
            PromptStyle::Terse => Self::Text { prompt, completion },
        }
    }
}

/// Lines with what they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Examples {
    /// In random order.
    pub lines: Vec<ExampleLine>,
    /// Lines that solve a problem, by level.
    pub solved: BTreeMap<u32, usize>,
    /// Lines that teach variants, by level.
    pub variants: BTreeMap<u32, usize>,
    /// Draws that were dropped because an excluded problem is in them.
    pub excluded: usize,
}

/// Makes worked examples; the same generator and settings give the same lines.
///
/// # Errors
/// [`Error::Usage`] for a task that makes none, a level that it does not have, or more lines than a level has problems.
pub fn worked_examples(
    task: &dyn Task,
    settings: &ExampleSettings<'_>,
    rng: &mut Pcg64Mcg,
) -> Result<Examples> {
    check_levels(task, settings.levels)?;
    let forms = settings.exclude.iter().filter_map(|problem| task.canonical(&problem.problem).ok());
    let mut maker = Maker {
        task,
        settings,
        excluded: forms.collect(),
        seen: HashSet::new(),
        examples: Examples {
            lines: Vec::new(),
            solved: BTreeMap::new(),
            variants: BTreeMap::new(),
            excluded: 0,
        },
    };
    let mut taught = 0;
    for (place, &level) in settings.levels.iter().enumerate() {
        let levels = settings.levels.len();
        let lines = settings.count / levels + usize::from(place < settings.count % levels);
        // Rounded over the levels so far, so that the shares add up.
        let so_far = (maker.examples.lines.len() + lines) as f64 * settings.variant_share;
        let variants = (so_far.round() as usize - taught).min(lines);
        taught += variants;
        maker.fill(level, lines - variants, false, rng)?;
        maker.fill(level, variants, true, rng)?;
    }
    let mut examples = maker.examples;
    shuffle(rng, &mut examples.lines);
    Ok(examples)
}

/// The levels of a task's worked examples, as in `1 one power; 2 two or three powers`.
pub fn levels_in_words(task: &dyn Task) -> String {
    let levels = task.worked_levels().iter().map(|(level, what)| format!("{level} {what}"));
    levels.collect::<Vec<_>>().join("; ")
}

fn check_levels(task: &dyn Task, levels: &[u32]) -> Result<()> {
    let known = task.worked_levels();
    if known.is_empty() {
        return Err(Error::usage(
            "task",
            format!("the task `{}` makes no worked examples", task.name()),
            "choose integral or countdown, or write training lines of your own",
        ));
    }
    let hint = format!("the levels of `{}` are: {}", task.name(), levels_in_words(task));
    if levels.is_empty() {
        return Err(Error::usage("levels", "no level given", hint));
    }
    for (place, level) in levels.iter().enumerate() {
        if known.iter().all(|(known, _)| known != level) {
            return Err(Error::usage("levels", format!("there is no level {level}"), hint));
        }
        if levels[..place].contains(level) {
            return Err(Error::usage("levels", format!("level {level} is given twice"), hint));
        }
    }
    Ok(())
}

struct Maker<'a> {
    task: &'a dyn Task,
    settings: &'a ExampleSettings<'a>,
    /// Canonical forms of the excluded problems.
    excluded: HashSet<String>,
    /// Canonical forms of the problems so far, those with variants included.
    seen: HashSet<String>,
    examples: Examples,
}

impl Maker<'_> {
    /// Adds `wanted` lines of `level`.
    fn fill(&mut self, level: u32, wanted: usize, variants: bool, rng: &mut Pcg64Mcg) -> Result<()> {
        let (mut made, mut failed) = (0, 0);
        while made < wanted {
            let line = if variants { self.variant_line(level, rng) } else { self.solved_line(level, rng) };
            let Some(line) = line else {
                failed += 1;
                if failed == MAX_DRAWS {
                    let what = if variants { "lines with variants" } else { "different problems" };
                    return Err(Error::usage(
                        "count",
                        format!("level {level} has no more than {made} {what} of the {wanted} asked for"),
                        "lower <count>, add levels with <levels>, or exclude less",
                    ));
                }
                continue;
            };
            self.examples.lines.push(line);
            (made, failed) = (made + 1, 0);
        }
        if wanted > 0 {
            let counts = if variants { &mut self.examples.variants } else { &mut self.examples.solved };
            counts.insert(level, wanted);
        }
        Ok(())
    }

    /// A new problem of `level` with its solution; `None` if this draw gives none.
    fn solved_line(&mut self, level: u32, rng: &mut Pcg64Mcg) -> Option<ExampleLine> {
        let (task, style) = (self.task, self.settings.style);
        let example = task.worked_example(level, rng)?;
        let form = task.canonical(&example.problem).ok()?;
        if self.seen.contains(&form) || self.is_excluded(&example.problem) {
            return None;
        }
        let completion = example.completion(task, style);
        let prompt = task.prompt(&example.problem, style);
        let problem =
            Problem { problem: example.problem, id: None, level: Some(level), answer: Some(example.answer) };
        // A wrong example would teach the wrong thing: the generator is not taken at its word.
        if task.verify(&problem, &completion).verdict != VerdictKind::Correct {
            return None;
        }
        self.seen.insert(form);
        Some(ExampleLine { solved: Some(problem), lesson: Lesson::new(prompt, completion, style) })
    }

    /// A new problem of `level` with easier ones; `None` if this draw gives none.
    fn variant_line(&mut self, level: u32, rng: &mut Pcg64Mcg) -> Option<ExampleLine> {
        let (task, settings) = (self.task, self.settings);
        let terse = settings.style == PromptStyle::Terse;
        let most = if terse { 1 } else { 1 + below(rng, MAX_VARIANTS) };
        let mut drawn = task.worked_variants(level, most, rng)?;
        let form = task.canonical(&drawn.problem).ok()?;
        if self.seen.contains(&form) || self.is_excluded(&drawn.problem) {
            return None;
        }
        drawn.easier.retain(|problem| !self.is_excluded(problem));
        if drawn.easier.is_empty() {
            return None;
        }
        let request = self.request(drawn.easier.len(), rng);
        let prompt = task.variant_prompt(&drawn.problem, &request, settings.style);
        let completion = match settings.style {
            PromptStyle::Terse => drawn.easier.swap_remove(0),
            PromptStyle::Instruct => {
                let tagged = drawn.easier.iter().map(|problem| format!("<variant>{problem}</variant>"));
                tagged.collect::<Vec<_>>().join("\n")
            }
        };
        self.seen.insert(form);
        Some(ExampleLine { solved: None, lesson: Lesson::new(prompt, completion, settings.style) })
    }

    /// The request for easier problems as a run of LADDER would word it.
    fn request(&self, count: usize, rng: &mut Pcg64Mcg) -> VariantRequest {
        let kind = VariantKind::Easier;
        let [fewest, most] = self.settings.transformations;
        let mut library = self.task.transformations(kind).to_vec();
        shuffle(rng, &mut library);
        library.truncate(fewest + below(rng, most.saturating_sub(fewest) + 1));
        let transformations = library.into_iter().map(str::to_owned).collect();
        let personas = self.settings.personas;
        let persona = match personas.is_empty() || below(rng, 4) == 0 {
            true => None,
            false => Some(pick(rng, &personas.iter().collect::<Vec<_>>()).clone()),
        };
        VariantRequest { kind, count, transformations, persona }
    }

    /// Whether `problem` is an excluded one; counts those that are.
    fn is_excluded(&mut self, problem: &str) -> bool {
        if self.excluded.is_empty() {
            return false;
        }
        let same = self.task.canonical(problem).is_ok_and(|form| self.excluded.contains(&form));
        let found = same
            || self
                .settings
                .exclude
                .iter()
                .any(|held_out| self.task.is_restatement(&held_out.problem, problem));
        self.examples.excluded += usize::from(found);
        found
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::task::{TaskOptions, create};

    fn settings<'a>(count: usize, levels: &'a [u32], exclude: &'a [Problem]) -> ExampleSettings<'a> {
        ExampleSettings {
            count,
            levels,
            variant_share: 0.25,
            style: PromptStyle::Instruct,
            exclude,
            transformations: [2, 4],
            personas: &[],
        }
    }

    fn make(task: &str, settings: &ExampleSettings<'_>) -> Result<Examples> {
        worked_examples(&*create(task, &TaskOptions::new()).unwrap(), settings, &mut Pcg64Mcg::new(9))
    }

    #[test]
    fn shares_add_up_and_nothing_repeats() {
        let examples = make("integral", &settings(103, &[2, 4, 7], &[])).unwrap();
        assert_eq!(examples.lines.len(), 103);
        assert_eq!(examples.variants.values().sum::<usize>(), 26);
        let per_level: Vec<_> =
            [2, 4, 7].map(|level| examples.solved[&level] + examples.variants[&level]).to_vec();
        assert_eq!(per_level, [35, 34, 34]);
        let task = create("integral", &TaskOptions::new()).unwrap();
        let solved = examples.lines.iter().filter_map(|line| line.solved.as_ref());
        let forms: Vec<_> = solved.map(|problem| task.canonical(&problem.problem).unwrap()).collect();
        assert_eq!(forms.iter().collect::<HashSet<_>>().len(), forms.len());
        for line in examples.lines.iter().filter(|line| line.solved.is_none()) {
            let Lesson::Chat { messages: [user, assistant] } = &line.lesson else { panic!() };
            let variants = task.parse_variants(&assistant.content);
            let wording = match variants.len() {
                1 => "Invent one other problem".to_owned(),
                count => format!("Invent {count} other problems"),
            };
            assert!(user.content.contains(&wording), "{user:?} {assistant:?}");
            assert!(!serde_json::to_string(line).unwrap().contains("\"problem\""));
        }
    }

    #[test]
    fn what_is_excluded_occurs_nowhere() {
        let held_out = |problem: &str| Problem::new(problem);
        let exclude = ["x", "sin(x)", "exp(2x)", "x**2", "no problem"].map(held_out);
        let examples = make("integral", &settings(90, &[1, 3, 6], &exclude)).unwrap();
        assert!(examples.excluded > 0);
        let task = create("integral", &TaskOptions::new()).unwrap();
        for line in &examples.lines {
            let Lesson::Chat { messages: [_, assistant] } = &line.lesson else { panic!() };
            let problems = match &line.solved {
                Some(problem) => vec![problem.problem.clone()],
                None => task.parse_variants(&assistant.content),
            };
            for (problem, other) in problems.iter().flat_map(|a| exclude.iter().map(move |b| (a, b))) {
                assert!(!task.is_restatement(&other.problem, problem), "{problem}");
            }
        }
    }

    #[test]
    fn what_cannot_be_made_is_said() {
        for (task, count, levels, words) in [
            ("jsonl", 1, &[1][..], "no worked examples"),
            ("integral", 1, &[11], "no level 11"),
            ("integral", 1, &[], "no level given"),
            ("integral", 2, &[3, 3], "twice"),
            ("integral", 5000, &[1], "level 1 has no more than"),
            ("countdown", 1, &[1], "two numbers"),
        ] {
            let message = make(task, &settings(count, levels, &[])).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
        assert_eq!(make("countdown", &settings(20, &[2, 3], &[])).unwrap().lines.len(), 20);
    }
}
