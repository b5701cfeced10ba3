//! What a study of lessons is: the TOML file, read and checked before anything is computed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ladder::study::plan::{parse_plan, read_texts};
use crate::lessons::fact::{Fact, Given, prepare};
use crate::lessons::generate::{Form, PEOPLE_RELATIONS, book, corrections, form, notation_book, people};
use crate::lessons::outcome::Question;
use crate::lessons::settings::LearnSettings;
use crate::model::source::bytes::utf8;
use crate::settings::Change;
use crate::task::{Problem, parse_problems};
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
    /// Seeds: of the lessons' contents, of adapters, of the order of records.
    pub seeds: Vec<u64>,
    /// Orders in which the lessons come, by name.
    pub orders: Vec<Vec<String>>,
    /// The arm that the study is about.
    pub subject: String,
    /// The arm that it must be better than.
    pub rival: String,
    /// How lessons are learnt in all arms, by the paths of [`crate::settings::LESSONS`]; what is not said is as in a new library.
    #[serde(default)]
    pub settings: toml::Table,
    /// Problems that the base solves, which no lesson is about.
    #[serde(default)]
    pub skill: Option<Skill>,
    /// Held-out text, one JSON object with `text` a line: how likely it is tells what was forgotten.
    #[serde(default)]
    pub text: Option<PathBuf>,
    /// The lessons.
    #[serde(rename = "lesson")]
    pub lessons: Vec<LessonPlan>,
    /// The arms, in the order of the table.
    #[serde(rename = "arm")]
    pub arms: Vec<Arm>,
}

/// What the base can do already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skill {
    /// The task.
    pub task: String,
    /// Its problems.
    pub problems: PathBuf,
    /// Levels that are asked.
    pub levels: BTreeSet<u32>,
    /// Most tokens of an answer.
    pub max_tokens: usize,
}

/// A lesson of the study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LessonPlan {
    /// Its name.
    pub name: String,
    /// What the table calls it.
    pub label: String,
    /// What it is made of.
    pub kind: Content,
    /// Facts, people, or examples; of corrections the per cent of facts that change.
    pub count: usize,
    /// The lesson that corrections change.
    #[serde(default)]
    pub of: Option<String>,
}

/// What a lesson is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// [`people`].
    People,
    /// [`book`].
    Book,
    /// [`notation_book`].
    NotationBook,
    /// [`corrections`] of another lesson.
    Corrections,
    /// [`form`], under the form's own name.
    #[serde(untagged)]
    Form(Form),
}

/// One way of learning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// Its name; also that of its folders.
    pub name: String,
    /// What the table calls it.
    pub label: String,
    /// What is done.
    pub kind: Way,
    /// Changes to the settings, by path.
    #[serde(default)]
    pub settings: toml::Table,
    /// Whether a head counts only if the gate lets it through; else every head counts.
    #[serde(default)]
    pub gated: bool,
    /// Lines of notes before a question, where notes are looked up.
    #[serde(default)]
    pub lines: usize,
}

/// What an arm does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Each lesson is learnt from the head before it.
    Sequence,
    /// All lessons are learnt at once, from the base.
    Joint,
    /// Each lesson has an adapter of its own, made from the base, and is asked of that one.
    Apart,
    /// [`super::merge::slao`].
    Slao,
    /// [`super::merge::ties`] over adapters made from the base.
    Ties,
    /// Nothing is learnt: a lesson's notes stand before its questions.
    Notes,
    /// Nothing is learnt: the lines of all notes that match a question best stand before it.
    Retrieve,
}

/// A plan with the files that it names.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// The file's contents.
    pub plan: Plan,
    /// The problems of its skill.
    pub problems: Vec<Problem>,
    /// Held-out texts.
    pub texts: Vec<String>,
}

/// A lesson with what it teaches under one seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Taught {
    /// What it teaches.
    pub facts: Vec<Fact>,
    /// By fact, whether a lesson of the study takes its place. Its questions are asked of nobody: one answer is right before
    /// that lesson, another after it.
    pub replaced: Vec<bool>,
    /// The lesson that this one corrects, with the places of the facts that it takes the place of.
    pub corrects: Option<(usize, Vec<usize>)>,
}

impl Study {
    /// Whether the text of a study file describes a study of lessons.
    pub fn is_one(text: &str) -> bool {
        toml::from_str::<toml::Table>(text).is_ok_and(|table| table.contains_key("lesson"))
    }

    /// Reads the study in `file` and every file that it names.
    ///
    /// # Errors
    /// [`Error::Input`] that names the file and the line, lesson or arm at fault; [`Error::Io`].
    pub fn read(file: &Path) -> Result<Self> {
        let plan: Plan = parse_plan(file, &utf8(file, read(file)?)?)?;
        let folder = file.parent().unwrap_or(Path::new("."));
        let mut problems = Vec::new();
        if let Some(skill) = &plan.skill {
            let path = folder.join(&skill.problems);
            problems = parse_problems(&path, &utf8(&path, read(&path)?)?)?;
            problems.retain(|problem| problem.level.is_some_and(|level| skill.levels.contains(&level)));
        }
        let texts = match &plan.text {
            Some(path) => read_texts(&folder.join(path))?,
            None => Vec::new(),
        };
        let study = Self { plan, problems, texts };
        study.check(file)?;
        Ok(study)
    }

    fn check(&self, file: &Path) -> Result<()> {
        let plan = &self.plan;
        let bad = |field: String, problem: String, hint: &str| Err(Error::input(file, field, problem, hint));
        if plan.seeds.is_empty() || plan.orders.is_empty() || plan.lessons.is_empty() {
            let hint = "give at least one of each";
            return bad("seeds, orders, lesson".into(), "one of them is empty".into(), hint);
        }
        if plan.skill.is_some() && self.problems.is_empty() {
            return bad("skill".into(), "no problem has one of the levels".into(), "name levels that occur");
        }
        let mut names = BTreeSet::new();
        for (kind, name) in plan
            .lessons
            .iter()
            .map(|lesson| ("lesson", &lesson.name))
            .chain(plan.arms.iter().map(|arm| ("arm", &arm.name)))
        {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if name.is_empty() || !name.chars().all(plain) {
                return bad(
                    format!("{kind} `{name}`"),
                    "is no plain name".into(),
                    "use letters, digits and -",
                );
            }
            if !names.insert((kind, name.as_str())) {
                return bad(format!("{kind} `{name}`"), "there are two".into(), "choose another name");
            }
        }
        for lesson in &plan.lessons {
            let of = lesson.of.as_deref().map(|of| self.lesson(of));
            let fits = match lesson.kind {
                Content::Corrections => {
                    of.flatten().is_some_and(|of| plan.lessons[of].kind != Content::Corrections)
                        && lesson.count <= 100
                }
                _ => of.is_none(),
            };
            if !fits || lesson.count == 0 {
                let problem =
                    "corrections name another lesson by `of`, and others have none; `count` is above 0";
                return bad(
                    format!("lesson `{}`", lesson.name),
                    problem.into(),
                    "see the lessons of studies/",
                );
            }
        }
        for (place, order) in plan.orders.iter().enumerate() {
            let places: Vec<Option<usize>> = order.iter().map(|name| self.lesson(name)).collect();
            let known: BTreeSet<usize> = places.iter().copied().flatten().collect();
            if known.len() != plan.lessons.len() || places.len() != plan.lessons.len() {
                let hint = "name every lesson once";
                return bad(format!("orders, {place}"), "is no order of the lessons".into(), hint);
            }
            let at = |lesson: usize| places.iter().position(|&place| place == Some(lesson));
            for (this, lesson) in plan.lessons.iter().enumerate() {
                let of = lesson.of.as_deref().and_then(|of| self.lesson(of));
                if of.is_some_and(|of| at(of) > at(this)) {
                    let problem = format!("`{}` comes before what it corrects", lesson.name);
                    return bad(format!("orders, {place}"), problem, "let it come later");
                }
            }
        }
        for arm in &plan.arms {
            let field = format!("arm `{}`", arm.name);
            if (arm.kind == Way::Retrieve) != (arm.lines > 0) {
                let hint = "arms of kind `retrieve` have `lines`, others have none";
                return bad(field, "has no use for `lines`, or lacks it".into(), hint);
            }
            if arm.gated && arm.kind != Way::Sequence {
                return bad(field, "only a sequence has a gate".into(), "leave `gated` out");
            }
            // One adapter on the GPU serves all arms.
            if arm.settings.contains_key("lora") || arm.settings.contains_key("seed") {
                let hint = "set `lora` for all arms, and `seeds`";
                return bad(field, "has an adapter or a seed of its own".into(), hint);
            }
            self.settings(arm, 1, 0)?;
        }
        for (field, name) in [("subject", &plan.subject), ("rival", &plan.rival)] {
            if !plan.arms.iter().any(|arm| arm.name == *name && arm.kind == Way::Sequence) {
                let hint = "name an arm of kind `sequence`";
                return bad(field.into(), format!("there is no such arm as `{name}`"), hint);
            }
        }
        Ok(())
    }

    /// The place of the lesson called `name`.
    pub fn lesson(&self, name: &str) -> Option<usize> {
        self.plan.lessons.iter().position(|lesson| lesson.name == name)
    }

    /// An order as places of lessons.
    pub fn order(&self, place: usize) -> Vec<usize> {
        self.plan.orders[place].iter().filter_map(|name| self.lesson(name)).collect()
    }

    /// How `arm` learns on a model of so many parameters.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the setting.
    pub fn settings(&self, arm: &Arm, parameters: u64, seed: u64) -> Result<LearnSettings> {
        let mut settings = LearnSettings { seed, ..LearnSettings::for_model(parameters) };
        for table in [&self.plan.settings, &arm.settings] {
            let mut changes = Vec::new();
            for (name, value) in table {
                let value = serde_json::to_value(value)
                    .map_err(|error| Error::usage(name.clone(), error.to_string(), "use numbers and text"))?;
                flatten(name, value, &mut changes);
            }
            settings = settings.with(&changes)?;
        }
        Ok(settings)
    }

    /// What all lessons teach under a seed.
    pub fn taught(&self, seed: u64) -> Vec<Taught> {
        let lessons = &self.plan.lessons;
        let mut given: Vec<Vec<Given>> = Vec::new();
        for (place, lesson) in lessons.iter().enumerate() {
            let seed = seed.wrapping_mul(1_000).wrapping_add(place as u64);
            given.push(match lesson.kind {
                Content::People => people(lesson.count, seed),
                Content::Book => book(lesson.count, seed),
                Content::NotationBook => notation_book(lesson.count, seed),
                Content::Form(kind) => form(kind, lesson.count, seed),
                Content::Corrections => Vec::new(),
            });
        }
        let mut corrected = vec![None; lessons.len()];
        for (place, lesson) in lessons.iter().enumerate() {
            let Some(of) = lesson.of.as_deref().and_then(|of| self.lesson(of)) else { continue };
            let relations = if lessons[of].kind == Content::People { PEOPLE_RELATIONS } else { 1 };
            let seed = seed.wrapping_mul(1_000).wrapping_add(place as u64);
            let changed = corrections(&given[of], relations, lesson.count, seed).changed;
            let places = (0..given[of].len())
                .filter(|&fact| changed.iter().any(|new| new.wordings == given[of][fact].wordings))
                .collect();
            corrected[place] = Some((of, places));
            given[place] = changed;
        }
        let mut taught: Vec<Taught> = given
            .into_iter()
            .zip(lessons)
            .zip(corrected)
            .enumerate()
            .map(|(place, ((given, lesson), corrects))| {
                let facts = prepare(given, lesson.kind.is_in_words(self), seed.wrapping_add(place as u64));
                Taught { replaced: vec![false; facts.len()], facts, corrects }
            })
            .collect();
        for place in 0..taught.len() {
            let Some((of, facts)) = taught[place].corrects.clone() else { continue };
            facts.into_iter().for_each(|fact| taught[of].replaced[fact] = true);
        }
        taught
    }
}

impl Content {
    /// Whether its questions can stand in a sentence.
    fn is_in_words(self, study: &Study) -> bool {
        let is_notation = |content: Self| match content {
            Self::Form(form) => form.is_notation(),
            content => content == Self::NotationBook,
        };
        match self {
            Self::Corrections => !study.plan.lessons.iter().any(|lesson| is_notation(lesson.kind)),
            _ => !is_notation(self),
        }
    }
}

impl Taught {
    /// The exam's questions without those of facts that are replaced.
    pub fn questions(&self) -> Vec<&Question> {
        let facts = self.facts.iter().zip(&self.replaced);
        facts.filter(|(_, replaced)| !**replaced).flat_map(|(fact, _)| &fact.exam).collect()
    }
}

/// The changes that a value asks for: an object stands for its fields.
fn flatten(path: &str, value: Value, changes: &mut Vec<Change>) {
    match value {
        Value::Object(fields) => {
            fields.into_iter().for_each(|(name, value)| flatten(&format!("{path}.{name}"), value, changes));
        }
        value => changes.push(Change::new(path, path, value)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const TEXT: &str = r#"
name = "x"
question = "?"
model = "tiny"
seeds = [1, 2]
orders = [["a", "b", "c"]]
subject = "both"
rival = "plain"
[[lesson]]
name = "a"
label = "a"
kind = "notation_book"
count = 20
[[lesson]]
name = "b"
label = "b"
kind = "notation_reverse"
count = 5
[[lesson]]
name = "c"
label = "c"
kind = "corrections"
of = "a"
count = 50
[[arm]]
name = "plain"
label = "plain"
kind = "sequence"
settings = { earlier_share = 0.0, base_share = 0.0 }
[[arm]]
name = "both"
label = "both"
kind = "sequence"
"#;

    fn read(text: &str) -> Result<Study> {
        let study = Study { plan: toml::from_str(text).unwrap(), problems: Vec::new(), texts: Vec::new() };
        study.check(Path::new("x.toml"))?;
        Ok(study)
    }

    #[test]
    fn corrections_replace_facts_whose_questions_nobody_is_asked() {
        let study = read(TEXT).unwrap();
        let taught = study.taught(1);
        let (of, places) = taught[2].corrects.clone().unwrap();
        assert_eq!((of, places.len(), taught[2].facts.len()), (0, 10, 10));
        for (new, &place) in taught[2].facts.iter().zip(&places) {
            assert!(taught[0].replaced[place]);
            assert_eq!(new.wordings, taught[0].facts[place].wordings);
            assert_ne!(new.answer, taught[0].facts[place].answer);
        }
        assert_eq!(taught[0].replaced.iter().filter(|&&replaced| replaced).count(), 10);
        assert_ne!(study.taught(2)[0].facts, taught[0].facts);
        // Two books of one seed are others.
        assert_eq!(study.taught(1), taught);
    }

    #[test]
    fn settings_of_an_arm_are_named_settings() {
        let study = read(TEXT).unwrap();
        let plain = study.settings(&study.plan.arms[0], 1_000, 3).unwrap();
        assert_eq!((plain.earlier_share, plain.base_share, plain.seed), (0.0, 0.0, 3));
        assert_eq!(study.settings(&study.plan.arms[1], 1_000, 3).unwrap().base_share, 0.5);
        let error = read(&TEXT.replace("earlier_share", "earlier")).unwrap_err().to_string();
        assert!(error.contains("earlier"), "{error}");
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        for (old, new, named) in [
            (r#"["a", "b", "c"]"#, r#"["c", "b", "a"]"#, "corrects"),
            (r#"["a", "b", "c"]"#, r#"["a", "b"]"#, "orders"),
            (r#"of = "a""#, r#"of = "z""#, "lesson `c`"),
            (r#"rival = "plain""#, r#"rival = "other""#, "other"),
            (r#"name = "b""#, r#"name = "a""#, "there are two"),
            (r#"label = "both""#, "label = \"both\"\nlines = 3", "lines"),
        ] {
            let error = read(&TEXT.replacen(old, new, 1)).unwrap_err().to_string();
            assert!(error.contains(named), "{new}: {error}");
        }
    }
}
