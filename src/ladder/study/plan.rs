//! What a study is: the TOML file, read and checked before anything is computed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ladder::presets::Preset;
use crate::ladder::settings::Settings;
use crate::ladder::ttrl::TtrlSettings;
use crate::model::source::bytes::utf8;
use crate::settings::Tabled;
use crate::task::{Problem, PromptStyle, TaskOptions, parse_problems};
use crate::train::files::read;
use crate::{Error, Result};

/// A study as its file describes it. Paths are relative to the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Short name, for headings.
    pub name: String,
    /// One sentence on what it asks.
    pub question: String,
    /// The model as `-m` takes it.
    pub model: String,
    /// Adapter that every arm starts from.
    #[serde(default)]
    pub adapter: Option<PathBuf>,
    /// The task.
    pub task: String,
    /// Its options.
    #[serde(default)]
    pub task_options: TaskOptions,
    /// Training problems.
    pub problems: PathBuf,
    /// Levels of the training problems that are used; all if there are none.
    #[serde(default)]
    pub problem_levels: BTreeSet<u32>,
    /// Held-out problems.
    pub held_out: PathBuf,
    /// Levels of the held-out problems that are used; all if there are none.
    #[serde(default)]
    pub held_out_levels: BTreeSet<u32>,
    /// Most held-out problems of a level, the first ones; all if this is not given.
    #[serde(default)]
    pub held_out_each: Option<usize>,
    /// Settings that arms begin with.
    pub preset: Preset,
    /// Seeds of every arm that names none.
    pub seeds: Vec<u64>,
    /// Tokens that every training arm may generate, and every sampling arm spends on answers.
    pub token_budget: u64,
    /// Attempts at each held-out problem in the evaluation at the end of an arm.
    pub samples: usize,
    /// Levels that the study is about.
    pub hard_levels: BTreeSet<u32>,
    /// Levels that should not be forgotten.
    pub easy_levels: BTreeSet<u32>,
    /// Arm that the others are compared with.
    pub reference: String,
    /// Held-out text, one JSON object with `text` a line: how likely it is tells what was forgotten.
    #[serde(default)]
    pub text: Option<PathBuf>,
    /// Changes to the preset in all arms, by path.
    #[serde(default)]
    pub settings: toml::Table,
    /// The arms, in the order of the table.
    #[serde(rename = "arm")]
    pub arms: Vec<Arm>,
}

/// One arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// Its name; also that of its folders.
    pub name: String,
    /// What the table calls it.
    pub label: String,
    /// What is done.
    pub kind: Kind,
    /// Which part of the table it belongs to.
    #[serde(default)]
    pub ablation: bool,
    /// Its seeds, if not those of the study.
    #[serde(default)]
    pub seeds: Option<Vec<u64>>,
    /// Changes to the settings, by path.
    #[serde(default)]
    pub settings: toml::Table,
    /// Training problems of this arm alone.
    #[serde(default)]
    pub problems: Option<PathBuf>,
    /// Solved problems for the context.
    #[serde(default)]
    pub shot_problems: Option<PathBuf>,
    /// How many of them.
    #[serde(default)]
    pub shots: usize,
    /// The training arm whose adapter this one goes on from.
    #[serde(default)]
    pub from: Option<String>,
    /// At most this many held-out problems of the hard levels are asked, spread over them.
    #[serde(default)]
    pub questions: Option<usize>,
}

/// What an arm does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Answers the held-out problems with what the model is, with solved examples in the context if `shots` says so.
    Evaluate,
    /// Answers them as often as the token budget allows. The table has two rows of it: the most frequent answer counts, and
    /// the best by the verifier does (pass@n).
    Sample,
    /// Trains, then answers them.
    Train,
    /// Test-time learning on held-out problems of the hard levels, from the adapter of `from` if it is given.
    Ttrl,
}

/// A plan with the files that it names.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// The file's contents.
    pub plan: Plan,
    /// Folder of the adapter that every arm starts from.
    pub adapter: Option<PathBuf>,
    /// Training problems.
    pub problems: Vec<Problem>,
    /// Held-out problems.
    pub held_out: Vec<Problem>,
    /// Training problems of arms that have their own, by arm.
    pub arm_problems: BTreeMap<String, Vec<Problem>>,
    /// Solved problems by arm.
    pub shots: BTreeMap<String, Vec<Problem>>,
    /// Held-out texts.
    pub texts: Vec<String>,
}

impl Study {
    /// Reads the study in `file` and every file that it names.
    ///
    /// # Errors
    /// [`Error::Input`] that names the file and the line or arm at fault; [`Error::Usage`] for settings; [`Error::Io`].
    pub fn read(file: &Path) -> Result<Self> {
        let text = utf8(file, read(file)?)?;
        let plan: Plan = parse_plan(file, &text)?;
        let folder = file.parent().unwrap_or(Path::new(".")).to_owned();
        let problems = |path: &Path| -> Result<Vec<Problem>> {
            let path = folder.join(path);
            parse_problems(&path, &utf8(&path, read(&path)?)?)
        };
        let (mut arm_problems, mut shots) = (BTreeMap::new(), BTreeMap::new());
        for arm in &plan.arms {
            if let Some(path) = &arm.problems {
                arm_problems.insert(arm.name.clone(), problems(path)?);
            }
            if let Some(path) = &arm.shot_problems {
                shots.insert(arm.name.clone(), problems(path)?);
            }
        }
        let texts = match &plan.text {
            Some(path) => read_texts(&folder.join(path))?,
            None => Vec::new(),
        };
        let mut training = problems(&plan.problems)?;
        if !plan.problem_levels.is_empty() {
            training
                .retain(|problem| problem.level.is_some_and(|level| plan.problem_levels.contains(&level)));
        }
        let mut held_out = problems(&plan.held_out)?;
        let mut taken: BTreeMap<Option<u32>, usize> = BTreeMap::new();
        held_out.retain(|problem| {
            let wanted = plan.held_out_levels.is_empty()
                || problem.level.is_some_and(|level| plan.held_out_levels.contains(&level));
            let taken = taken.entry(problem.level).or_default();
            *taken += usize::from(wanted);
            wanted && plan.held_out_each.is_none_or(|most| *taken <= most)
        });
        let study = Self {
            problems: training,
            held_out,
            adapter: plan.adapter.as_ref().map(|path| folder.join(path)),
            plan,
            arm_problems,
            shots,
            texts,
        };
        study.check(file)?;
        Ok(study)
    }

    fn check(&self, file: &Path) -> Result<()> {
        let plan = &self.plan;
        let bad = |field: String, problem: &str, hint: &str| Err(Error::input(file, field, problem, hint));
        if plan.token_budget == 0 {
            return bad(
                "token_budget".into(),
                "a budget of no tokens buys nothing",
                "give at least a few thousand",
            );
        }
        if plan.samples == 0 {
            return bad("samples".into(), "no attempts, no result", "give at least 1");
        }
        if self.problems.is_empty() {
            return bad(
                "problem_levels".into(),
                "no training problem has one of them",
                "name levels that occur",
            );
        }
        let mut names = BTreeSet::new();
        for arm in &plan.arms {
            let field = |name: &str| format!("arm `{}`, {name}", arm.name);
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if arm.name.is_empty() || !arm.name.chars().all(plain) {
                return bad(field("name"), "it names a folder", "use letters, digits, - and _");
            }
            if !names.insert(arm.name.as_str()) {
                return bad(field("name"), "two arms have it", "choose another");
            }
            if plan.seeds_of(arm).is_empty() {
                return bad(field("seeds"), "there are none", "give at least one");
            }
            if let Some(from) = &arm.from {
                let found = plan.arms.iter().find(|other| other.name == *from && other.kind == Kind::Train);
                let Some(found) = found.filter(|_| names.contains(from.as_str())) else {
                    return bad(
                        field("from"),
                        "no training arm before it has that name",
                        "name an earlier one",
                    );
                };
                if plan.seeds_of(arm).iter().any(|seed| !plan.seeds_of(found).contains(seed)) {
                    return bad(
                        field("seeds"),
                        "the arm that it goes on from lacks one of them",
                        "use the same seeds",
                    );
                }
            }
            if arm.shots > self.shots.get(&arm.name).map_or(0, Vec::len) {
                return bad(field("shots"), "there are not so many solved problems", "add to shot_problems");
            }
            self.settings(arm, 0)?.check()?;
        }
        if !names.contains(plan.reference.as_str()) {
            return bad("reference".into(), "there is no such arm", "name one of the arms");
        }
        if !plan.arms.iter().any(|arm| arm.kind == Kind::Evaluate && arm.shots == 0) {
            return bad(
                "arm".into(),
                "nothing is compared with",
                "add an arm of kind `evaluate` without shots",
            );
        }
        if self.hard().is_empty() {
            return bad(
                "hard_levels".into(),
                "no held-out problem has one of them",
                "name levels that occur",
            );
        }
        Ok(())
    }

    /// Settings of a run of `arm`.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the setting.
    pub fn settings(&self, arm: &Arm, seed: u64) -> Result<Settings> {
        let base = match arm.kind {
            Kind::Ttrl => TtrlSettings::preset(self.plan.preset).settings,
            _ => Settings::preset(self.plan.preset),
        };
        let mut settings = Settings { seed, ..base };
        if arm.kind == Kind::Train {
            settings.token_budget = Some(self.plan.token_budget);
        }
        for table in [&self.plan.settings, &arm.settings] {
            for (path, value) in table {
                let value = serde_json::to_value(value).map_err(|error| {
                    Error::usage(path.clone(), error.to_string(), "use numbers, text, lists")
                })?;
                settings.set_value(path, value)?;
            }
        }
        Ok(settings)
    }

    /// How prompts are worded in all arms.
    ///
    /// # Errors
    /// [`Error::Usage`] if an arm words them otherwise: arms could not be compared.
    pub fn prompt_style(&self) -> Result<Option<PromptStyle>> {
        let mut styles = Vec::new();
        for arm in &self.plan.arms {
            styles.push(self.settings(arm, 0)?.prompt_style);
        }
        match styles.iter().all(|style| *style == styles[0]) {
            true => Ok(styles.first().copied().flatten()),
            false => Err(Error::usage(
                "prompt_style",
                "it differs between arms, which could not be compared then",
                "set it in [settings] for all arms",
            )),
        }
    }

    /// Training problems of `arm`.
    pub fn problems(&self, arm: &Arm) -> &[Problem] {
        self.arm_problems.get(&arm.name).unwrap_or(&self.problems)
    }

    /// Places of the hard problems among the held-out ones.
    pub fn hard(&self) -> Vec<usize> {
        self.of_levels(&self.plan.hard_levels)
    }

    /// Places of the problems of these levels among the held-out ones.
    pub fn of_levels(&self, levels: &BTreeSet<u32>) -> Vec<usize> {
        let of =
            |(place, problem): (usize, &Problem)| problem.level.filter(|l| levels.contains(l)).map(|_| place);
        self.held_out.iter().enumerate().filter_map(of).collect()
    }

    /// Places of the problems that a test-time arm is asked: spread evenly over the hard ones.
    pub fn questions(&self, arm: &Arm) -> Vec<usize> {
        let hard = self.hard();
        let wanted = arm.questions.unwrap_or(hard.len()).min(hard.len());
        (0..wanted).map(|i| hard[i * hard.len() / wanted]).collect()
    }
}

impl Plan {
    /// Seeds of an arm.
    pub fn seeds_of<'a>(&'a self, arm: &'a Arm) -> &'a [u64] {
        arm.seeds.as_deref().unwrap_or(&self.seeds)
    }

    /// The arm called `name`.
    pub fn arm(&self, name: &str) -> Option<&Arm> {
        self.arms.iter().find(|arm| arm.name == name)
    }
}

/// Reads the text of a study file, which is named in errors.
pub(crate) fn parse_plan<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        let hint = "`stepladder help study` describes the file";
        Error::input(file, format!("line {line}"), error.message().to_owned(), hint)
    })
}

/// Reads held-out texts, one JSON object with `text` a line.
pub(crate) fn read_texts(path: &Path) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Line {
        text: String,
    }
    let text = utf8(path, read(path)?)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            serde_json::from_str::<Line>(line).map(|line| line.text).map_err(|error| {
                let hint = "write one object a line, {\"text\": \"...\"}";
                Error::input(path, format!("line {}", index + 1), error.to_string(), hint)
            })
        })
        .collect()
}
