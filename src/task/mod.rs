//! Tasks: problems, prompts, and verifiers. CPU only; knows nothing of models or training.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;

pub use problems::{Origin, check_problems, parse_numbered_problems, parse_problems};
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::Plain;

mod answer;
#[cfg(not(target_arch = "wasm32"))]
mod command;
mod contamination;
mod countdown;
mod draw;
mod examples;
pub mod expr;
mod integral;
mod jsonl;
pub mod library;
mod plain;
mod problems;
mod rational;
mod reply;
mod text;
mod worked;

#[cfg(not(target_arch = "wasm32"))]
pub use command::Command;
pub use contamination::{Overlap, overlaps};
pub use countdown::Countdown;
pub use examples::{ExampleLine, ExampleSettings, Examples, Lesson, Turn, levels_in_words, worked_examples};
pub use integral::Integral;
pub use jsonl::Jsonl;
pub use reply::RewardRange;
#[cfg(target_arch = "wasm32")]
pub(crate) use reply::{Reply, Warnings};
pub use worked::{WorkedExample, WorkedVariants};

/// How a prompt is worded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum PromptStyle {
    /// Full sentences, for models with a chat template.
    Instruct,
    /// A few marker characters, for base models trained on the task's own notation (the embedded `tiny`).
    Terse,
}

/// The kind of variant asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VariantKind {
    /// A step down.
    Easier,
    /// As hard, but another problem.
    Equivalent,
    /// A step up.
    Harder,
}

/// What a variant prompt asks for (LADDER section 3.1.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VariantRequest {
    /// The kind of variant.
    pub kind: VariantKind,
    /// How many variants one completion should list.
    pub count: usize,
    /// Transformations to choose from, in words.
    pub transformations: Vec<String>,
    /// The mathematician (or other expert) to think like.
    pub persona: Option<String>,
}

/// The judgement on one completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// Right.
    Correct,
    /// Well formed and wrong.
    Wrong,
    /// Not an answer in the task's notation.
    Malformed,
    /// The verifier cannot tell; never scored as wrong, never enters a gradient.
    Unverifiable,
    /// Neither right nor wrong: numbers say how good it is.
    Scored,
}

impl VerdictKind {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Correct => "correct",
            Self::Wrong => "wrong",
            Self::Malformed => "malformed",
            Self::Unverifiable => "unverifiable",
            Self::Scored => "scored",
        }
    }
}

/// A judgement with its reason and the answer it was made on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Verdict {
    /// The judgement.
    pub verdict: VerdictKind,
    /// Why, in one line for people.
    pub reason: String,
    /// The answer found in the completion, normalised; `None` if there is none.
    pub answer: Option<String>,
    /// How good the completion is, in the task's range ([`Task::reward_range`]); stands in place of the reward of the judgement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<f64>,
    /// Further rewards by name, in the same range; the settings weigh them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rewards: BTreeMap<String, f64>,
}

/// A completion that is to be judged.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// What was asked.
    pub problem: &'a Problem,
    /// What the model wrote.
    pub completion: &'a str,
}

/// Judgements to come, one for each attempt in their order.
pub type Judging<'a> = Pin<Box<dyn Future<Output = Vec<Verdict>> + 'a>>;

/// Type and default of a task's parameter; the CLI's help and the page's form are made from it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Parameter {
    /// Name, as in `--task-option name=value`.
    pub name: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
    /// Default value as text; empty if one must be given.
    pub default: &'static str,
}

/// A problem as one line of a problems file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// The problem in the task's notation.
    #[serde(deserialize_with = "problems::problem")]
    pub problem: String,
    /// The user's name for it.
    #[serde(default, deserialize_with = "problems::id", skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Difficulty level, for reports only.
    #[serde(default, deserialize_with = "problems::level", skip_serializing_if = "Option::is_none")]
    pub level: Option<u32>,
    /// Known answer (the `jsonl` task needs it; others ignore it).
    #[serde(default, deserialize_with = "problems::answer", skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

impl Problem {
    /// A problem without a name, a level or a known answer.
    pub fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), id: None, level: None, answer: None }
    }
}

/// A family of problems that can be posed, varied and verified. A name and a verifier are enough for one whose problems are plain text;
/// with [`Task::transformations`] it also has variants.
pub trait Task: Send + Sync {
    /// The name on the command line.
    fn name(&self) -> &'static str;

    /// The parameters it takes.
    fn parameters(&self) -> &'static [Parameter] {
        &[]
    }

    /// The user message that poses `problem`; as it is given here, the answer is asked for between `<answer>` tags, and in the terse
    /// style the problem stands between `?` and `=`.
    fn prompt(&self, problem: &str, style: PromptStyle) -> String {
        match style {
            PromptStyle::Instruct => plain::prompt(problem),
            PromptStyle::Terse => format!("?{problem}="),
        }
    }

    /// The user message that asks for variants of `problem`; as it is given here, between `<variant>` tags.
    fn variant_prompt(&self, problem: &str, request: &VariantRequest, style: PromptStyle) -> String {
        plain::variant_prompt(problem, request, "Each must have one definite answer.", problem, style)
    }

    /// The transformations to draw from for `kind`. None at all: variants of this task could not be judged, so its problems are
    /// trained on as they are.
    fn transformations(&self, _kind: VariantKind) -> &'static [&'static str] {
        &[]
    }

    /// The variants listed in a completion, as written, in order; hostile text gives an empty list. As it is given here, they are what
    /// stands between `<variant>` tags.
    fn parse_variants(&self, completion: &str) -> Vec<String> {
        plain::tagged_variants(completion)
    }

    /// Semantic identity: two problems with equal canonical forms are the same problem. As it is given here, white space makes no
    /// difference. Errors with the reason if `problem` is not one of this task.
    fn canonical(&self, problem: &str) -> std::result::Result<String, String> {
        plain::canonical(problem)
    }

    /// Whether `variant` is equivalent to `parent`, only rewritten (equal up to a constant factor, or by the task's own measure).
    fn is_restatement(&self, parent: &str, variant: &str) -> bool {
        self.canonical(parent) == self.canonical(variant)
    }

    /// Whether an answer to `problem` could be found and confirmed, as far as a bounded amount of work tells; when in doubt it
    /// could. Errors with the reason if not.
    fn solvable(&self, _problem: &str) -> std::result::Result<(), String> {
        Ok(())
    }

    /// Whether a verdict can be had on an answer to `problem`. Errors with the reason if not.
    fn judgeable(&self, problem: &Problem) -> std::result::Result<(), String> {
        self.canonical(&problem.problem).map(|_| ())
    }

    /// Whether two answers to `problem`, as [`Verdict::answer`] gives them, say the same. Used to count votes; the verdict
    /// on the answers plays no part.
    fn same_answer(&self, _problem: &Problem, one: &str, other: &str) -> bool {
        one == other
    }

    /// The completion that gives `answer`, as a solved example in the context or in training data shows it.
    fn solution(&self, answer: &str, style: PromptStyle) -> String {
        match style {
            PromptStyle::Instruct => format!("<answer>{answer}</answer>"),
            PromptStyle::Terse => answer.to_owned(),
        }
    }

    /// The levels that worked examples can be made of, with what their problems are; none for a task that makes none.
    fn worked_levels(&self) -> &'static [(u32, &'static str)] {
        &[]
    }

    /// A random problem of `level` with its answer; `None` if [`Self::worked_levels`] does not name the level.
    fn worked_example(&self, _level: u32, _rng: &mut Pcg64Mcg) -> Option<WorkedExample> {
        None
    }

    /// A random problem of `level` with 1 to `most` easier ones; `None` if this draw has none, or the task makes none.
    fn worked_variants(&self, _level: u32, _most: usize, _rng: &mut Pcg64Mcg) -> Option<WorkedVariants> {
        None
    }

    /// Judges a completion.
    fn verify(&self, problem: &Problem, completion: &str) -> Verdict;

    /// Judges several. A task whose verifier is elsewhere asks it for all of them at once, or waits for it; once `cancelled` is set it may
    /// stop and call the rest unverifiable, since nobody will look.
    fn verify_all<'a>(&'a self, attempts: &'a [Attempt<'a>], _cancelled: &'a AtomicBool) -> Judging<'a> {
        let verdicts = attempts.iter().map(|attempt| self.verify(attempt.problem, attempt.completion));
        Box::pin(std::future::ready(verdicts.collect()))
    }

    /// The numbers that [`Verdict::reward`] and [`Verdict::rewards`] lie in.
    fn reward_range(&self) -> RewardRange {
        RewardRange::default()
    }

    /// Makes sure, before a run begins, that a verifier which is not part of this program works at all; `problem` is one of the run's.
    ///
    /// # Errors
    /// [`crate::Error::Usage`] with what the verifier did instead.
    fn try_out(&self, _problem: &Problem) -> Result<()> {
        Ok(())
    }

    /// The files of a verifier that is not part of this program, as far as they are known.
    fn files(&self) -> Vec<String> {
        Vec::new()
    }

    /// What the user should know of the verifier since this was last asked, each thing once.
    fn take_warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Options of a task as `name=value` pairs.
pub type TaskOptions = std::collections::BTreeMap<String, String>;

/// A built-in task: its name and how it is made from its options.
type Builtin = (&'static str, fn(&TaskOptions) -> Result<Box<dyn Task>>);

/// Every task there is; a new one is a line here.
const TASKS: &[Builtin] = &[
    ("integral", |options| Ok(Box::new(Integral::new(options)?))),
    ("countdown", |options| Ok(Box::new(Countdown::new(options)?))),
    ("jsonl", |options| Ok(Box::new(Jsonl::new(options)?))),
    #[cfg(not(target_arch = "wasm32"))]
    ("command", |options| Ok(Box::new(Command::new(options)?))),
];

/// Makes the task `name`. An unknown name or option is an [`crate::Error::Usage`] that says which are known.
pub fn create(name: &str, options: &TaskOptions) -> Result<Box<dyn Task>> {
    let Some((_, make)) = TASKS.iter().find(|(known, _)| *known == name) else {
        return Err(crate::Error::usage(
            "task",
            format!("unknown task `{name}`"),
            format!("known tasks: {}", names().collect::<Vec<_>>().join(", ")),
        ));
    };
    make(options)
}

/// The names [`create`] takes.
pub fn names() -> impl Iterator<Item = &'static str> {
    TASKS.iter().map(|&(name, _)| name)
}

/// The parameters of the task `name`; none for a name that there is not.
pub fn parameters(name: &str) -> &'static [Parameter] {
    match name {
        // It cannot be made without a program.
        #[cfg(not(target_arch = "wasm32"))]
        "command" => command::PARAMETERS,
        name => create(name, &TaskOptions::new()).map_or(&[], |task| task.parameters()),
    }
}

/// Fails on the first option that `parameters` does not declare.
fn check_options(task: &str, parameters: &[Parameter], options: &TaskOptions) -> Result<()> {
    let Some(unknown) = options.keys().find(|&name| parameters.iter().all(|known| known.name != name)) else {
        return Ok(());
    };
    let known: Vec<_> = parameters.iter().map(|parameter| parameter.name).collect();
    let hint = match known.is_empty() {
        true => format!("the task `{task}` takes no options"),
        false => format!("the task `{task}` takes: {}", known.join(", ")),
    };
    Err(crate::Error::usage("task_option", format!("unknown option `{unknown}`"), hint))
}

/// The value of a declared option, or its default.
fn option<T: std::str::FromStr>(parameters: &[Parameter], options: &TaskOptions, name: &str) -> Result<T> {
    let default = parameters.iter().find(|known| known.name == name).map_or("", |known| known.default);
    let text = options.get(name).map_or(default, String::as_str);
    text.parse().map_err(|_| {
        let problem =
            if text.is_empty() { "no value given".to_owned() } else { format!("`{text}` cannot be used") };
        crate::Error::usage(
            format!("task_option {name}"),
            problem,
            format!("give {name}=VALUE, such as {name}={default}"),
        )
    })
}

impl Verdict {
    /// The judgement, its reason and its numbers in one line.
    pub fn words(&self) -> String {
        let own = self.reward.map(|value| ("reward", value));
        let named = self.rewards.iter().map(|(name, &value)| (name.as_str(), value));
        let numbers = own.into_iter().chain(named).map(|(name, value)| format!("; {name} {value}"));
        format!("{}: {}{}", self.verdict.name(), self.reason, numbers.collect::<String>())
    }

    /// A judgement without numbers. What of its reason a terminal would obey is written out: models write such things.
    pub fn new(verdict: VerdictKind, reason: impl Into<String>, answer: Option<String>) -> Self {
        let reason = Plain(reason.into()).to_string();
        Self { verdict, reason, answer, reward: None, rewards: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn error(name: &str, options: &[(&str, &str)]) -> String {
        let options = options.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        create(name, &options).err().unwrap().to_string()
    }

    #[test]
    fn unknown_names_and_options_say_which_are_known() {
        for name in names().filter(|&name| name != "command") {
            let task = create(name, &TaskOptions::new()).unwrap();
            assert_eq!(task.name(), name);
            for parameter in task.parameters() {
                assert!(!parameter.doc.is_empty());
                let options = [(parameter.name.to_owned(), parameter.default.to_owned())].into();
                assert!(
                    create(name, &options).is_ok(),
                    "{name}: the default of {} is refused",
                    parameter.name
                );
            }
        }
        let message = error("integrals", &[]);
        assert!(names().all(|name| message.contains(name)), "{message}");
        assert!(error("countdown", &[("all", "true")]).contains("takes: use_all"));
        assert!(error("countdown", &[("use_all", "perhaps")]).contains("`perhaps`"));
        assert!(error("integral", &[("points", "3")]).contains("no options"));
    }

    #[test]
    fn overlaps_are_found_in_any_notation() {
        let task = create("integral", &TaskOptions::new()).unwrap();
        let found = overlaps(
            &*task,
            ["2*sin(x)*cos(x)", "x^3", "no problem"],
            ["x^2", "sin(2x)", "x**3", "no problem"],
        );
        let pairs: Vec<_> = found.iter().map(|overlap| (overlap.held_out, overlap.training)).collect();
        assert_eq!(pairs, [("sin(2x)", "2*sin(x)*cos(x)"), ("x**3", "x^3")]);
    }
}
