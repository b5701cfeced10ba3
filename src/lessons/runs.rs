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
use crate::random::{permutation, stream};
use crate::task::{self, Problem, PromptStyle, Task, VerdictKind};
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

/// What the run with this card and log solved; `folder` is named in errors. `base` is the hash of the library's base, `style` how its model is asked, `seed` chooses the exam.
///
/// # Errors
/// [`Error::Input`] for a run of another base or with another style, one whose verifier is a program
/// outside, and one that solved nothing.
pub fn of(
    card: &RunCard,
    events: &[Event],
    folder: &Path,
    base: &str,
    style: PromptStyle,
    seed: u64,
) -> Result<SolvedRun> {
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
        return bad("settings.prompt_style", problem, "make the run without <prompt_style>");
    }
    if card.task == OUTSIDE {
        let problem = format!("is `{OUTSIDE}`: a library runs no program to judge answers");
        return bad("task", problem, "write what it solved as lines of question and answer for <pairs>");
    }
    let task = task::create(&card.task, &card.task_options)?;
    let (mut solved, cut) = solved(events, card, &*task);
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
            (exam, last_evaluation(events))
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
    Problem::new(problem)
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::ladder::events::{JudgedSample, VerdictCounts};
    use crate::ladder::presets::Preset;
    use crate::ladder::run_folder::{RunFolder, read_card, read_events};
    use crate::ladder::settings::Settings;
    use crate::ladder::state::Store;
    use crate::task::Verdict;
    use crate::train::fingerprint::Base;

    fn card(held_out: &[&str]) -> RunCard {
        RunCard {
            version: "0".into(),
            model: "tiny".into(),
            adapter: None,
            task: "integral".into(),
            task_options: Default::default(),
            checker: Default::default(),
            settings: Settings::preset(Preset::Tiny),
            problems: vec![alone("2*x")],
            held_out: held_out.iter().map(|problem| alone(problem)).collect(),
            base: Some(Base { sha256: "abc".into(), ..Base::default() }),
            alone: false,
            swarm: None,
            policy: None,
        }
    }

    /// A problem with what was said to it, as the verifier of the run judged it.
    fn verified(step: u64, problem: &str, said: &str, verdict: VerdictKind) -> Event {
        let sample = JudgedSample {
            text: said.into(),
            verdict: Verdict::new(verdict, "", None),
            tokens: 3,
            finished: true,
        };
        Event::Verified(Verified {
            step,
            node: 0,
            problem: problem.into(),
            depth: 0,
            counts: VerdictCounts::default(),
            reward_mean: None,
            signal: true,
            estimate: 0.5,
            samples: vec![sample],
        })
    }

    /// The lesson of a run with this card and log.
    fn lesson(card: RunCard, events: &[Event], style: PromptStyle) -> Result<SolvedRun> {
        let folder = tempfile::tempdir().unwrap();
        let mut run = RunFolder::create(folder.path().join("first"), card).unwrap();
        events.iter().for_each(|event| run.append(event).unwrap());
        // Nobody has to stop writing for it to be read.
        let folder = folder.path().join("first");
        of(&read_card(&folder)?, &read_events(&folder)?, &folder, "abc", style, 1)
    }

    fn log() -> Vec<Event> {
        use VerdictKind::{Correct, Wrong};
        vec![
            verified(1, "2*x", "x^2", Correct),
            verified(1, "3*x^2", "x^2", Wrong),
            verified(2, "2*x", "x*x", Correct),
            // A log that was edited: the task judges again.
            verified(2, "4*x^3", "x^3", Correct),
            verified(3, "cos(x)", "sin(x)", Correct),
            verified(3, "x", "x^2/2", Correct),
            verified(3, "2*x", &format!("x^2{}", " ".repeat(MAX_LOGGED_TEXT)), Correct),
        ]
    }

    #[test]
    fn the_last_right_answer_to_each_problem_is_learnt_and_held_out_problems_are_asked() {
        let run = lesson(card(&["sin(x)", "x"]), &log(), PromptStyle::Terse).unwrap();
        let task = task::create("integral", &Default::default()).unwrap();
        let solved: Vec<_> = run.solved.iter().map(|g| (g.wordings[0].clone(), g.answer.as_str())).collect();
        let prompt = |problem: &str| task.prompt(problem, PromptStyle::Terse);
        assert_eq!(solved, [(prompt("2*x"), "x*x"), (prompt("cos(x)"), "sin(x)")]);
        assert!(
            run.solved
                .iter()
                .all(|given| matches!(&given.judge, Some(Judge::Task(p)) if p.task == "integral"))
        );
        let mut asked: Vec<&str> = run.exam.iter().map(|asked| asked.prompt.as_str()).collect();
        asked.sort_unstable();
        assert_eq!(asked, [prompt("sin(x)"), prompt("x")]);
        assert!(run.exam.iter().all(|asked| asked.kind == Kind::Unseen && asked.judge.is_some()));
        assert_eq!((run.cut, run.reached), (1, None));
        assert_eq!(run.source.split(|&byte| byte == b'\n').count(), 3);
    }

    #[test]
    fn without_held_out_problems_some_that_were_solved_are_held_back() {
        let events: Vec<Event> = (2..12)
            .map(|n| verified(1, &format!("{n}*x^{}", n - 1), &format!("x^{n}"), VerdictKind::Correct))
            .collect();
        let run = lesson(card(&[]), &events, PromptStyle::Terse).unwrap();
        assert_eq!((run.solved.len(), run.exam.len(), run.reached), (8, 2, Some(0.5)));
        let taught = |prompt: &String| run.solved.iter().any(|given| given.wordings.contains(prompt));
        assert!(!run.exam.iter().any(|asked| taught(&asked.prompt)));
        // Few problems are all learnt, and asked as they were taught.
        let run = lesson(card(&[]), &events[..2], PromptStyle::Terse).unwrap();
        assert_eq!((run.solved.len(), run.exam.len(), run.exam[0].kind), (2, 2, Kind::Recall));
    }

    #[test]
    fn a_run_that_cannot_be_a_lesson_is_refused_by_name() {
        let wrong = [verified(1, "2*x", "x^3", VerdictKind::Wrong)];
        let other = |change: &dyn Fn(&mut RunCard)| {
            let mut card = card(&[]);
            change(&mut card);
            card
        };
        let (terse, instruct) = (PromptStyle::Terse, PromptStyle::Instruct);
        let sha = Base { sha256: "another".into(), ..Base::default() };
        for (card, events, style, words) in [
            (card(&[]), &wrong[..], terse, ["events.jsonl", "no rollout that the verifier judged right"]),
            (card(&[]), &[], terse, ["events.jsonl", "no rollout"]),
            (other(&|card| card.base = Some(sha.clone())), &log(), terse, ["base", "other weights (tiny)"]),
            (other(&|card| card.base = None), &log(), terse, ["base", "which weights"]),
            (other(&|card| card.task = OUTSIDE.into()), &log(), terse, ["task", "runs no program"]),
            (
                other(&|card| card.settings.prompt_style = Some(terse)),
                &log(),
                instruct,
                ["prompt_style", "Terse"],
            ),
        ] {
            let error = lesson(card, events, style).unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}, expected {words:?}");
        }
        let empty = tempfile::tempdir().unwrap();
        let error = read_card(empty.path()).unwrap_err().to_string();
        assert!(error.contains("run.json") && error.contains("not that of a run"), "{error}");
    }
}
