//! A LADDER run as a lesson: what it solved, each problem in the words in which the run posed it, with the last answer that its
//! verifier judged right. The exam poses the run's held-out problems, or solved ones that are held back, and the verifier judges.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::fact::{Asked, Given};
use super::grade::OUTSIDE;
use super::outcome::{Judge, Kind, Posed};
use crate::ladder::events::{Event, MAX_LOGGED_TEXT, Verified};
use crate::ladder::run::RunCard;
use crate::ladder::run_folder::{read_card, read_events};
use crate::task::{self, Problem, PromptStyle, Task, VerdictKind};
use crate::train::rng::{permutation, stream};
use crate::{Error, Result};

/// Most questions of the exam.
const MAX_EXAM: usize = 64;
/// Solved problems from which on some are held back for the exam, of a run without held-out problems: one in so many.
const HELD_BACK: usize = 5;
/// Most problems that are learnt: the latest ones.
const MAX_SOLVED: usize = 10_000;
/// Names the random stream that chooses what the exam asks.
const EXAM: u64 = 0x7275_6e73;

/// What a run has to teach.
#[derive(Debug, Clone, PartialEq)]
pub struct SolvedRun {
    /// The solved problems.
    pub solved: Vec<Given>,
    /// Other problems, for the exam.
    pub exam: Vec<Asked>,
    /// Share of the exam's problems that the run itself solved at its end.
    pub reached: Option<f64>,
    /// Solved problems that are left out, as their answers are in the log only in part.
    pub cut: usize,
    /// A line of JSON for each solved problem.
    pub source: Vec<u8>,
}

/// A problem that was solved.
struct Solved {
    problem: Problem,
    answer: String,
    step: u64,
    /// Share of attempts that were right, as the run estimated it.
    estimate: f64,
}

/// Reads the run in `folder`. `base` is the hash of the library's base, `style` how its model is asked, `seed` chooses the exam.
///
/// # Errors
/// [`Error::Input`] for a folder without a run, a run of another base or with another style, one whose verifier is a program
/// outside, and one that solved nothing; [`Error::Io`].
pub fn read(folder: &Path, base: &str, style: PromptStyle, seed: u64) -> Result<SolvedRun> {
    let card = read_card(folder)?;
    let file = folder.join("run.json");
    let bad = |field: &str, problem: String, hint: &str| Err(Error::input(&file, field, problem, hint));
    match &card.base {
        Some(run) if run.sha256 == base => {}
        Some(_) => {
            let problem = format!("the run is one of other weights ({}) than the library's base", card.model);
            return bad("base", problem, "learn it in a library of that model");
        }
        None => {
            let problem = "does not say which weights the run stands on".into();
            return bad("base", problem, "make the run anew with this version");
        }
    }
    if let Some(other) = card.settings.prompt_style.filter(|&other| other != style) {
        let problem = format!("is {other:?}, but the library's model is asked in the style {style:?}");
        return bad("settings.prompt_style", problem, "make the run without --prompt-style");
    }
    if card.task == OUTSIDE {
        let problem = format!("is `{OUTSIDE}`: a library runs no program to judge answers");
        return bad("task", problem, "write what it solved as lines of question and answer for --pairs");
    }
    let task = task::create(&card.task, &card.task_options)?;
    let events = read_events(folder)?;
    let (mut solved, cut) = solved(&events, &card, &*task);
    if solved.is_empty() {
        let problem = match cut {
            0 => "has no rollout that the verifier judged right".to_owned(),
            cut => format!("has {cut} solved problems, each with an answer too long for the log"),
        };
        let hint = "let the run go on until it solves something, or teach pairs";
        return Err(Error::input(folder.join("events.jsonl"), "verified", problem, hint));
    }
    let posed = |problem: &Problem, max_tokens: usize| {
        let (task, options) = (card.task.clone(), card.task_options.clone());
        Judge::Task(Posed { task, options, problem: problem.clone(), max_tokens })
    };
    let asked = |problem: &Problem, answer: &str, kind: Kind, max_tokens: usize| Asked {
        prompt: task.prompt(&problem.problem, style),
        answer: answer.to_owned(),
        kind,
        judge: Some(posed(problem, max_tokens)),
    };
    let most = card.settings.sampling.max_tokens;
    let mut rng = stream(seed, &[EXAM]);
    let (exam, reached) = match (card.held_out.len(), solved.len()) {
        (0, ..HELD_BACK) => {
            let exam = solved.iter().map(|s| asked(&s.problem, &s.answer, Kind::Recall, most)).collect();
            (exam, None)
        }
        (0, all) => {
            let mut order = permutation(&mut rng, all);
            order.truncate((all / HELD_BACK).min(MAX_EXAM));
            order.sort_unstable();
            let mut held: Vec<Solved> = order.into_iter().rev().map(|place| solved.remove(place)).collect();
            held.reverse();
            let reached = held.iter().map(|solved| solved.estimate).sum::<f64>() / held.len() as f64;
            let exam = held.iter().map(|s| asked(&s.problem, &s.answer, Kind::Unseen, most)).collect();
            (exam, Some(reached))
        }
        (all, _) => {
            let evaluation = &card.settings.evaluation.sampling;
            let chosen = permutation(&mut rng, all).into_iter().take(MAX_EXAM);
            let problems = chosen.map(|place| &card.held_out[place]);
            let exam = problems.map(|p| asked(p, "", Kind::Unseen, evaluation.max_tokens)).collect();
            (exam, last_evaluation(&events))
        }
    };
    let mut source = Vec::new();
    let mut given = Vec::with_capacity(solved.len());
    for Solved { problem, answer, step, .. } in solved {
        let line = json!({ "problem": problem.problem, "answer": answer, "step": step });
        source.extend(line.to_string().into_bytes());
        source.push(b'\n');
        let judge = Some(posed(&problem, most));
        given.push(Given { judge, ..Given::new(vec![task.prompt(&problem.problem, style)], answer) });
    }
    Ok(SolvedRun { solved: given, exam, reached, cut, source })
}

/// The problems of which the log shows a right answer, judged again, in the order in which they were last solved; and how many have
/// only a part of one there.
fn solved(events: &[Event], card: &RunCard, task: &dyn Task) -> (Vec<Solved>, usize) {
    let form = |problem: &str| task.canonical(problem).unwrap_or_else(|_| problem.to_owned());
    let known: BTreeMap<String, &Problem> = card.problems.iter().map(|p| (form(&p.problem), p)).collect();
    // A held-out problem that got into the log is not learnt.
    let held_out: Vec<String> = card.held_out.iter().map(|p| form(&p.problem)).collect();
    let mut by_form: BTreeMap<String, (usize, Solved)> = BTreeMap::new();
    let mut cut = Vec::new();
    for (place, event) in events.iter().enumerate() {
        let Event::Verified(Verified { step, problem, estimate, samples, .. }) = event else { continue };
        let form = form(problem);
        if held_out.contains(&form) {
            continue;
        }
        let problem = known.get(&form).map_or_else(|| alone(problem), |problem| (*problem).clone());
        let right = |text: &str| task.verify(&problem, text).verdict == VerdictKind::Correct;
        let mut correct = samples.iter().filter(|s| s.finished && s.verdict.verdict == VerdictKind::Correct);
        let Some(sample) = correct.next() else { continue };
        // A log keeps the beginning of what is long.
        if is_cut(&sample.text) || is_cut(&problem.problem) || !right(&sample.text) {
            cut.push(form);
            continue;
        }
        let solved = Solved { problem, answer: sample.text.clone(), step: *step, estimate: *estimate };
        by_form.insert(form, (place, solved));
    }
    cut.retain(|form| !by_form.contains_key(form));
    cut.sort_unstable();
    cut.dedup();
    let mut solved: Vec<(usize, Solved)> = by_form.into_values().collect();
    solved.sort_by_key(|(place, _)| *place);
    solved.drain(..solved.len().saturating_sub(MAX_SOLVED));
    (solved.into_iter().map(|(_, solved)| solved).collect(), cut.len())
}

fn alone(problem: &str) -> Problem {
    Problem { problem: problem.to_owned(), id: None, level: None, answer: None }
}

/// Whether a text of the log may be the beginning of a longer one.
fn is_cut(text: &str) -> bool {
    const LONGEST_CHARACTER: usize = 4;
    text.len() > MAX_LOGGED_TEXT - LONGEST_CHARACTER
}

/// Share of the held-out problems that the last evaluation solved.
fn last_evaluation(events: &[Event]) -> Option<f64> {
    events.iter().rev().find_map(|event| match event {
        Event::Evaluated(evaluated) => Some(evaluated.pass_at_1()),
        _ => None,
    })
}
