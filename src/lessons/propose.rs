//! A source becomes a lesson: held against what the library teaches already.

use std::collections::HashMap;
use std::path::Path;

use super::card::{FactRef, Lesson, LessonCard, LessonKind};
use super::fact::{Fact, Given, canonical, prepare};
use super::library::Library;
use super::notes;
use super::pairs::Pair;
use super::records::Encoder;
use crate::ladder::learner::Learner;
use crate::train::fingerprint::sha256;
use crate::{Error, Result};

/// A lesson that can be proposed.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// What it teaches.
    pub facts: Vec<Fact>,
    /// What it takes the place of.
    pub supersedes: Vec<FactRef>,
    /// Pairs that the library teaches already, which were left out.
    pub known: usize,
}

impl Proposal {
    /// Puts the lesson, made from `source`, into the library; its number. Too long a pair stops it before anything is written.
    ///
    /// # Errors
    /// As [`Encoder::exchange`] and [`Library::propose`].
    pub fn put(
        self,
        library: &mut Library,
        learner: &mut Learner,
        kind: LessonKind,
        name: String,
        source: &[u8],
    ) -> Result<u32> {
        let encoder = Encoder::of(learner, library.card().settings.max_length);
        let tokenizer = &learner.language().tokenizer;
        let mut context_tokens = 0;
        for fact in &self.facts {
            encoder.records(fact)?;
            context_tokens += tokenizer.encode(&notes::line(&fact.wordings[0], &fact.answer), false)?.len();
        }
        let card = LessonCard {
            number: 0,
            name,
            kind,
            source_sha256: sha256(source),
            parent: None,
            supersedes: self.supersedes,
            context_tokens,
        };
        library.propose(card, self.facts, source)
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
                    by_wording.insert(canonical(wording), (FactRef { lesson: number, fact: place }, lesson));
                }
            }
        }
        Self { by_wording }
    }

    fn find(&self, wording: &str) -> Option<(FactRef, &'a Lesson, &'a Fact)> {
        let &(found, lesson) = self.by_wording.get(&canonical(wording))?;
        Some((found, lesson, lesson.facts.get(found.fact)?))
    }
}

/// A lesson of pairs, read from `file`. With `supersede`, answers that differ from those of earlier lessons take their place.
///
/// # Errors
/// [`Error::Input`] with the line of a pair that contradicts an earlier lesson, and of an exam that asks what an earlier lesson
/// teaches; [`Error::Input`] if all pairs are taught already.
pub fn from_pairs(
    library: &Library,
    pairs: Vec<Pair>,
    file: &Path,
    frames: bool,
    supersede: bool,
    seed: u64,
) -> Result<Proposal> {
    let taught = Taught::of(library, false);
    let (mut new, mut supersedes, mut known) = (Vec::new(), Vec::new(), 0);
    for pair in pairs {
        let bad = |problem: String, hint: &str| {
            Err(Error::input(file, format!("line {}", pair.line), problem, hint))
        };
        let found: Vec<_> = pair.given.wordings.iter().map(|wording| taught.find(wording)).collect();
        for (_, lesson, fact) in found.iter().flatten() {
            let other = canonical(&fact.answer) != canonical(&pair.given.answer);
            if other && !supersede {
                let problem = format!("{} answers this question by {:?}", lesson.title(), fact.answer);
                return bad(problem, "add --supersede to replace what was taught, or remove the line");
            }
        }
        if let Some((asked, lesson)) =
            pair.given.exam.iter().find_map(|asked| Some((asked, taught.find(&asked.prompt)?.1)))
        {
            let problem = format!("its exam asks {:?}, which {} teaches", asked.prompt, lesson.title());
            return bad(
                problem,
                "an exam only tells something in words that are not trained on: word it anew, or remove it",
            );
        }
        let same = |fact: &Fact| canonical(&fact.answer) == canonical(&pair.given.answer);
        if found.iter().all(|found| found.is_some_and(|(_, _, fact)| same(fact))) {
            known += 1;
            continue;
        }
        let replaced = found.iter().flatten().filter(|(_, _, fact)| !same(fact)).map(|(place, ..)| *place);
        supersedes.extend(replaced);
        new.push(pair.given);
    }
    if new.is_empty() {
        let problem = format!("all {known} pairs are taught by earlier lessons already");
        return Err(Error::input(file, "line 1", problem, "give pairs that are new"));
    }
    supersedes.sort_unstable();
    supersedes.dedup();
    Ok(Proposal { facts: prepare(new, frames, seed), supersedes, known })
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
    let Some((place, lesson, fact)) = taught.find(question) else {
        let problem = format!("no lesson teaches an answer to {question:?}");
        return Err(Error::usage(
            "correct",
            problem,
            "give the question in words of a lesson, or teach it by --pairs",
        ));
    };
    if canonical(answer).is_empty() {
        return Err(Error::usage("answer", "has no letter or digit", "give the right answer"));
    }
    if canonical(&fact.answer) == canonical(answer) {
        let problem = format!("{} teaches this answer already", lesson.title());
        return Err(Error::usage("answer", problem, "give another answer"));
    }
    // Questions the other way round ask for something else than the answer.
    let exam = fact.exam.iter().filter(|asked| canonical(&asked.answer) == canonical(&fact.answer));
    let exam = exam
        .map(|asked| super::fact::Asked {
            prompt: asked.prompt.clone(),
            answer: answer.to_owned(),
            kind: asked.kind,
        })
        .collect();
    let given =
        Given { wordings: fact.wordings.clone(), answer: answer.to_owned(), weight: fact.weight, exam };
    Ok(Proposal { facts: prepare(vec![given], frames, seed), supersedes: vec![place], known: 0 })
}
