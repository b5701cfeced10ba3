//! A source becomes a lesson: held against what the library teaches already.

use std::collections::HashMap;
use std::path::Path;

use super::canonical::{canonical, same_answer};
use super::card::{FactRef, Lesson, LessonCard, LessonKind};
use super::fact::{Asked, Fact, Given, identity, prepare};
use super::library::Library;
use super::notes;
use super::outcome::{Judge, Question, Turn};
use super::records::Encoder;
use super::rows::Pair;
use super::runs::SolvedRun;
use crate::ladder::learner::Learner;
use crate::train::fingerprint::sha256;
use crate::train::loss::preference::PreferenceConfig;
use crate::{Error, Result};

/// A lesson that can be proposed.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// What it teaches.
    pub facts: Vec<Fact>,
    /// What it takes the place of.
    pub supersedes: Vec<FactRef>,
    /// What the library teaches already, which was left out.
    pub known: usize,
    /// What contradicts it and was left out ([`Otherwise::LeaveOut`]).
    pub contradicting: usize,
    /// What must stay as it is.
    pub neighbours: Vec<Question>,
}

/// What a lesson is made from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Where it comes from.
    pub kind: LessonKind,
    /// Its name.
    pub name: String,
    /// What was read.
    pub source: Vec<u8>,
    /// What its source gets right itself.
    pub reached: Option<f64>,
    /// How answers are learnt to be preferred, where some are.
    pub preference: PreferenceConfig,
}

impl Proposal {
    /// Puts the lesson into the library; its number. Too long a pair stops it before anything is written.
    ///
    /// # Errors
    /// As [`Encoder::exchange`] and [`Library::propose`].
    pub fn put(self, library: &mut Library, learner: &mut Learner, origin: Origin) -> Result<u32> {
        let encoder = Encoder::of(learner, library.card().settings.max_length);
        let tokenizer = &learner.language().tokenizer;
        let mut context_tokens = 0;
        for fact in &self.facts {
            encoder.records(fact)?;
            context_tokens += tokenizer.encode(&notes::line(&fact.wordings[0], &fact.answer), false)?.len();
        }
        let talks = self.facts.iter().any(|fact| !fact.before.is_empty());
        let card = LessonCard {
            number: 0,
            name: origin.name,
            kind: if talks && origin.kind == LessonKind::Pairs {
                LessonKind::Conversations
            } else {
                origin.kind
            },
            source_sha256: sha256(&origin.source),
            parent: None,
            supersedes: self.supersedes,
            context_tokens,
            reached: origin.reached,
            neighbours: self.neighbours,
            preference: self.facts.iter().any(Fact::is_choice).then_some(origin.preference),
        };
        library.propose(card, self.facts, &origin.source)
    }
}

/// Everything that a library teaches now: the facts by the canonical form of each of their wordings.
struct Taught<'a> {
    by_wording: HashMap<String, (FactRef, &'a Lesson)>,
}

impl<'a> Taught<'a> {
    /// `exams` adds the wordings of the exams.
    fn of(library: &'a Library, exams: bool) -> Self {
        let mut by_wording = HashMap::new();
        for lesson in library.active() {
            for (place, fact) in lesson.facts.iter().enumerate() {
                let number = lesson.card.number;
                if library.is_superseded(number, place, None) {
                    continue;
                }
                let asked = fact.exam.iter().map(|question| &question.prompt).filter(|_| exams);
                for wording in fact.wordings.iter().chain(asked) {
                    let found = (FactRef { lesson: number, fact: place }, lesson);
                    by_wording.insert(identity(&fact.before, wording), found);
                }
            }
        }
        Self { by_wording }
    }

    fn find(&self, before: &[Turn], wording: &str) -> Option<(FactRef, &'a Lesson, &'a Fact)> {
        let &(found, lesson) = self.by_wording.get(&identity(before, wording))?;
        Some((found, lesson, lesson.facts.get(found.fact)?))
    }
}

/// What becomes of answers that differ from those of earlier lessons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    /// The user is asked which one is right, by an error.
    Refuse,
    /// They take the place of the earlier ones.
    Replace,
    /// What a person taught stands against what a model wrote.
    LeaveOut,
}

/// A lesson of pairs, read from `file`.
///
/// # Errors
/// [`Error::Input`] with the line of a pair that contradicts an earlier lesson, and of an exam that asks what an earlier lesson
/// teaches; [`Error::Input`] if all pairs are taught already.
pub fn from_pairs(
    library: &Library,
    pairs: Vec<Pair>,
    file: &Path,
    frames: bool,
    otherwise: Otherwise,
    seed: u64,
) -> Result<Proposal> {
    let taught = Taught::of(library, false);
    let (mut new, mut supersedes, mut known, mut contradicting) = (Vec::new(), Vec::new(), 0, 0);
    for pair in pairs {
        let bad = |problem: String, hint: &str| {
            Err(Error::input(file, format!("line {}", pair.line), problem, hint))
        };
        let before = &pair.given.before;
        let found: Vec<_> = pair.given.wordings.iter().map(|wording| taught.find(before, wording)).collect();
        let same = |fact: &Fact| same_answer(&fact.answer, &pair.given.answer);
        if let Some((_, lesson, fact)) = found.iter().flatten().find(|(_, _, fact)| !same(fact)) {
            if otherwise == Otherwise::LeaveOut {
                contradicting += 1;
                continue;
            }
            if otherwise == Otherwise::Refuse {
                let problem = format!("{} answers this question by {:?}", lesson.title(), fact.answer);
                return bad(problem, "add <supersede> to replace what was taught, or remove the line");
            }
        }
        if let Some((asked, lesson)) =
            pair.given.exam.iter().find_map(|asked| Some((asked, taught.find(before, &asked.prompt)?.1)))
        {
            let problem = format!("its exam asks {:?}, which {} teaches", asked.prompt, lesson.title());
            return bad(
                problem,
                "an exam only tells something in words that are not trained on: word it anew, or remove it",
            );
        }
        // To like an answer better than another one is more than to know it.
        let taught_so = |fact: &Fact| same(fact) && fact.judge == pair.given.judge;
        if found.iter().all(|found| found.is_some_and(|(_, _, fact)| taught_so(fact))) {
            known += 1;
            continue;
        }
        let replaced = found.iter().flatten().filter(|(_, _, fact)| !same(fact)).map(|(place, ..)| *place);
        supersedes.extend(replaced);
        new.push(pair.given);
    }
    if new.is_empty() {
        let problem = match contradicting {
            0 => format!("all {known} pairs are taught by earlier lessons already"),
            _ => format!(
                "of its pairs {known} are taught by earlier lessons already, and {contradicting} contradict them"
            ),
        };
        return Err(Error::input(file, "line 1", problem, "give pairs that are new"));
    }
    supersedes.sort_unstable();
    supersedes.dedup();
    let facts = prepare(new, frames, seed);
    Ok(Proposal { facts, supersedes, known, contradicting, neighbours: Vec::new() })
}

/// A lesson of what a run solved, with the exam that its problems have. What earlier lessons teach is neither learnt again nor asked,
/// and what their exams ask is not learnt.
///
/// # Errors
/// [`Error::Input`] that names the `folder` of the run if nothing is left.
pub fn from_run(library: &Library, run: SolvedRun, folder: &Path, seed: u64) -> Result<Proposal> {
    let (taught, asked) = (Taught::of(library, false), Taught::of(library, true));
    let all = run.solved.len();
    let mut new: Vec<Given> =
        run.solved.into_iter().filter(|given| asked.find(&[], &given.wordings[0]).is_none()).collect();
    let known = all - new.len();
    if new.is_empty() {
        let problem = format!("earlier lessons teach or ask all {all} solved problems already");
        return Err(Error::input(folder, "events.jsonl", problem, "give a run on other problems"));
    }
    // Each question of the exam goes with one of the facts; any of them will do.
    let exam = run.exam.into_iter().filter(|asked| taught.find(&[], &asked.prompt).is_none());
    let facts = new.len();
    for (place, asked) in exam.enumerate() {
        new[place % facts].exam.push(asked);
    }
    let (supersedes, neighbours) = (Vec::new(), Vec::new());
    Ok(Proposal { facts: prepare(new, false, seed), supersedes, known, contradicting: 0, neighbours })
}

/// A lesson that gives a question of an earlier one another answer, in all its wordings.
///
/// # Errors
/// [`Error::Usage`] if no lesson that counts asks this, or the answer is the same.
pub fn correction(
    library: &Library,
    question: &str,
    answer: &str,
    frames: bool,
    seed: u64,
) -> Result<Proposal> {
    let taught = Taught::of(library, true);
    let Some((place, lesson, fact)) = taught.find(&[], question) else {
        let problem = format!("no lesson teaches an answer to {question:?}");
        return Err(Error::usage(
            "correct",
            problem,
            "give the question in words of a lesson, or teach it by <pairs>",
        ));
    };
    if matches!(fact.judge, Some(Judge::Task(_))) {
        let problem = format!("{} learnt it from a run, whose verifier judged the answer", lesson.title());
        return Err(Error::usage("correct", problem, "take the lesson back, or teach other problems"));
    }
    if canonical(answer).is_empty() {
        return Err(Error::usage("answer", "has no letter or digit", "give the right answer"));
    }
    if same_answer(&fact.answer, answer) {
        let problem = format!("{} teaches this answer already", lesson.title());
        return Err(Error::usage("answer", problem, "give another answer"));
    }
    // Questions the other way round ask for something else than the answer.
    let exam = fact.exam.iter().filter(|asked| same_answer(&asked.answer, &fact.answer));
    let exam = exam
        .map(|asked| Asked {
            prompt: asked.prompt.clone(),
            answer: answer.to_owned(),
            kind: asked.kind,
            judge: None,
        })
        .collect();
    let given = Given { weight: fact.weight, exam, ..Given::new(fact.wordings.clone(), answer.to_owned()) };
    Ok(Proposal {
        facts: prepare(vec![given], frames, seed),
        supersedes: vec![place],
        known: 0,
        contradicting: 0,
        neighbours: Vec::new(),
    })
}
