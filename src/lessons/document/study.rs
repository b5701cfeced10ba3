//! Questions and answers out of a document: asked piece by piece, answered several times with the piece in view, kept where most
//! answers agree, say what the piece says, and are new to the model that is to learn them.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::chunks::{Chunk, chunks};
use super::teacher::ANSWER_TOKENS;
use super::{By, Models, REMEDY, prompts};
use crate::ladder::vote;
use crate::lessons::canonical::canonical;
use crate::lessons::fact::Given;
use crate::lessons::grade::Grader;
use crate::lessons::outcome::{Kind, Question};
use crate::lessons::rows::Pair;
use crate::task::{self, Problem, Verdict, VerdictKind};
use crate::{Error, Result};

/// Answers to each question, and how many of them must agree.
const ANSWERS: usize = 4;
const AGREEING: usize = 3;
/// Temperature at which questions and answers are drawn.
const TEMPERATURE: f32 = 0.7;
/// Most tokens of the questions about a piece.
const QUESTION_TOKENS: usize = 240;
/// Pairs that were known before, for each new one: mixed in, they keep a lesson from teaching that everything was wrong.
const KNOWN: f64 = 0.1;
/// Questions about a piece that get the same answer, from which on the answer is not one to any of them.
const SAME: usize = 3;

/// What a document came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Study {
    /// What is learnt; a pair's line is that of its piece.
    pub pairs: Vec<Pair>,
    /// Pieces of the document.
    pub chunks: usize,
    /// Questions that the author asked.
    pub asked: usize,
    /// Of those, how many got no answer that enough answers agree on.
    pub disagreed: usize,
    /// Whose answer has no word of the piece.
    pub elsewhere: usize,
    /// Whose answer the piece gets to every question, as one with instructions inside would.
    pub same: usize,
    /// That are asked of several pieces with different answers.
    pub contradicting: usize,
    /// That were answered right without the document.
    pub known: usize,
}

impl Study {
    /// Where the questions went, in words.
    pub fn words(&self) -> String {
        let Self { chunks, asked, disagreed, elsewhere, same, contradicting, known, .. } = self;
        let parts = [
            (*disagreed, "got answers that do not agree"),
            (*elsewhere, "got answers that are not in the text"),
            (*same, "all got one answer, as if the text gave instructions"),
            (*contradicting, "are answered otherwise elsewhere in the text"),
            (*known, "were known before"),
        ];
        let parts =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!(", {count} {what}"));
        format!("{chunks} pieces, {asked} questions asked{}", parts.collect::<String>())
    }
}

/// A question with its answer, and the piece that it is from.
struct Answered {
    chunk: usize,
    question: String,
    answer: String,
}

/// Makes pairs of a document's text.
///
/// # Errors
/// Those of [`Models::answers`]; [`Error::Input`] if nothing is left to be learnt.
pub async fn study(models: &mut impl Models, text: &str, file: &Path) -> Result<Study> {
    let chunks = chunks(text, &|part| models.count(part))?;
    let mut study = Study { chunks: chunks.len(), ..Study::default() };
    let asks: Vec<String> = chunks.iter().map(|chunk| prompts::questions(&chunk.text)).collect();
    let said = models.answers(By::Author, "questions", &asks, 1, TEMPERATURE, QUESTION_TOKENS).await?;
    let questions: Vec<(usize, String)> = said
        .iter()
        .enumerate()
        .flat_map(|(chunk, said)| {
            said.iter()
                .flat_map(move |said| prompts::read_questions(said).into_iter().map(move |q| (chunk, q)))
        })
        .collect();
    study.asked = questions.len();
    let asks: Vec<String> = questions
        .iter()
        .map(|(chunk, question)| prompts::open_book(&chunks[*chunk].text, question))
        .collect();
    let said = models
        .answers(By::Author, "answers with the text in view", &asks, ANSWERS, TEMPERATURE, ANSWER_TOKENS)
        .await?;
    let mut answered = Vec::new();
    for ((chunk, question), said) in questions.into_iter().zip(&said) {
        match agreed(&question, said)? {
            None => study.disagreed += 1,
            Some(answer) if !in_text(&answer, &chunks[chunk].text) => study.elsewhere += 1,
            Some(answer) => answered.push(Answered { chunk, question, answer }),
        }
    }
    let before = answered.len();
    drop_same(&mut answered);
    study.same = before - answered.len();
    study.contradicting = drop_contradicting(&mut answered);
    novel(models, answered, &chunks, &mut study).await?;
    if study.pairs.is_empty() {
        let problem = format!(
            "nothing is left to learn of it ({}); the model may not read its language, or know what it says",
            study.words()
        );
        return Err(Error::input(file, "content", problem, REMEDY));
    }
    Ok(study)
}

/// The answer that enough of `said` agree on.
fn agreed(question: &str, said: &[String]) -> Result<Option<String>> {
    let task = task::create("jsonl", &Default::default())?;
    let problem = Problem::new(question);
    let answers: Vec<String> = said.iter().filter_map(|said| prompts::read_answer(said)).collect();
    let verdict = |answer: &String| Verdict::new(VerdictKind::Unverifiable, "", Some(canonical(answer)));
    let verdicts: Vec<Verdict> = answers.iter().map(verdict).collect();
    let votes = vote::count(&*task, &problem, &verdicts);
    let most = votes.first().filter(|vote| vote.count >= AGREEING);
    Ok(most.and_then(|vote| answers.into_iter().find(|answer| canonical(answer) == vote.answer)))
}

/// Whether an answer has a word of a piece, or where words are not parted by spaces, a run of its signs.
fn in_text(answer: &str, text: &str) -> bool {
    const SHORT: usize = 3;
    let (answer, text) = (canonical(answer), canonical(text));
    let whole = format!(" {text} ");
    let says = |word: &str| match word.is_ascii() {
        true => whole.contains(&format!(" {word} ")),
        false => text.contains(word),
    };
    let words = || answer.split(' ');
    let long = |word: &&str| word.chars().count() > SHORT || word.chars().any(|sign| sign.is_numeric());
    // Small words are in every text.
    let told =
        if words().any(|word| long(&word)) { words().filter(long).any(says) } else { words().all(says) };
    told || text.contains(&answer)
}

/// Leaves out pieces most of whose questions get the same answer.
fn drop_same(answered: &mut Vec<Answered>) {
    let mut by_chunk: HashMap<usize, (usize, HashMap<String, usize>)> = HashMap::new();
    for Answered { chunk, answer, .. } in answered.iter() {
        let (all, answers) = by_chunk.entry(*chunk).or_default();
        *all += 1;
        *answers.entry(canonical(answer)).or_default() += 1;
    }
    let told = |answered: &Answered| {
        let Some((all, answers)) = by_chunk.get(&answered.chunk) else { return true };
        answers.values().all(|&count| count < SAME || 2 * count <= *all)
    };
    answered.retain(told);
}

/// Leaves out questions that several pieces answer otherwise; how many.
fn drop_contradicting(answered: &mut Vec<Answered>) -> usize {
    let mut answers: HashMap<String, Vec<String>> = HashMap::new();
    for Answered { question, answer, .. } in answered.iter() {
        let answers = answers.entry(canonical(question)).or_default();
        let answer = canonical(answer);
        if !answers.contains(&answer) {
            answers.push(answer);
        }
    }
    let before = answered.len();
    answered.retain(|answered| answers.get(&canonical(&answered.question)).is_some_and(|all| all.len() == 1));
    let dropped = before - answered.len();
    // The same question with the same answer is asked once.
    let mut seen = HashSet::new();
    answered.retain(|answered| seen.insert(canonical(&answered.question)));
    dropped
}

/// Keeps what the reader does not know yet, and a share of what it does.
async fn novel(
    models: &mut impl Models,
    answered: Vec<Answered>,
    chunks: &[Chunk],
    study: &mut Study,
) -> Result<()> {
    let asks: Vec<String> =
        answered.iter().map(|answered| prompts::closed_book(&answered.question)).collect();
    let said = models.answers(By::Reader, "answers without the text", &asks, 1, 0.0, ANSWER_TOKENS).await?;
    let (mut new, mut known) = (Vec::new(), Vec::new());
    for (Answered { chunk, question, answer }, said) in answered.into_iter().zip(said) {
        let asked = Question::new(question, answer, Kind::Recall);
        // Alone: that another question has this answer says nothing here.
        let grader = Grader::new([&asked])?;
        let knows = said.first().is_some_and(|said| grader.is_right(&asked, said));
        let given = Given::new(vec![asked.prompt], asked.answer);
        if knows { &mut known } else { &mut new }.push(Pair { line: chunks[chunk].line, given });
    }
    study.known = known.len();
    known.truncate((KNOWN * new.len() as f64) as usize);
    study.pairs = new;
    study.pairs.extend(known);
    Ok(())
}
