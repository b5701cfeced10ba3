//! Solved examples that stand in the context before a problem: the alternative to learning, and what it costs.

use std::collections::HashSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::random::{permutation, stream};
use crate::task::{Problem, PromptStyle, Task, VerdictKind, parse_numbered_problems};
use crate::{Error, Result};

/// Names the random stream that chooses examples.
const SHOTS: u64 = 0x7368_6f74;

/// The solved problems in `text`, the contents of `file`, every answer judged.
///
/// # Errors
/// [`Error::Input`] with the line's number for a line that is no problem, has no answer, or has one that the verifier
/// does not judge correct.
pub fn solved_problems(task: &dyn Task, style: PromptStyle, file: &Path, text: &str) -> Result<Vec<Problem>> {
    let mut solved = Vec::new();
    for (line, problem) in parse_numbered_problems(file, text)? {
        let fail = |what: String, hint: &str| Error::input(file, format!("line {line}"), what, hint);
        let Some(answer) = problem.answer.as_deref().filter(|answer| !answer.trim().is_empty()) else {
            return Err(fail("has no `answer`".into(), "add the solution, or remove the line"));
        };
        let verdict = task.verify(&problem, &task.solution(answer, style));
        let judged = match verdict.verdict {
            // Numbers tell nothing of right and wrong: the user's word counts.
            VerdictKind::Correct | VerdictKind::Scored => {
                solved.push(problem);
                continue;
            }
            kind => kind.name(),
        };
        let what = format!("the answer `{}` is {judged}: {}", shortened(answer), shortened(&verdict.reason));
        return Err(fail(what, "correct it, or remove the line"));
    }
    Ok(solved)
}

/// The first 80 characters of a user's text on one line.
fn shortened(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(80).collect()
}

/// A seeded choice of `count` of the `solved` problems, none of which is one of `problems` in whatever notation.
///
/// # Errors
/// [`Error::Usage`] if there are not that many.
pub fn choose(
    task: &dyn Task,
    solved: &[Problem],
    problems: &[Problem],
    count: usize,
    seed: u64,
) -> Result<Vec<Problem>> {
    let posed: HashSet<String> = problems.iter().filter_map(|p| task.canonical(&p.problem).ok()).collect();
    let fresh = |p: &&Problem| task.canonical(&p.problem).map_or(true, |form| !posed.contains(&form));
    let fresh: Vec<&Problem> = solved.iter().filter(fresh).collect();
    if count > fresh.len() {
        let same = match solved.len() - fresh.len() {
            0 => String::new(),
            same => format!(", {same} of them among the problems to be solved"),
        };
        return Err(Error::usage(
            "shots",
            format!("is {count} but the file has {} solved problems{same}", solved.len()),
            format!("use at most {}, or a longer file", fresh.len()),
        ));
    }
    let order = permutation(&mut stream(seed, &[SHOTS]), fresh.len());
    Ok(order.into_iter().take(count).map(|index| fresh[index].clone()).collect())
}

/// Solved problems as (user message, assistant's text). A problem without an answer is left out.
pub fn dialogue(task: &dyn Task, style: PromptStyle, shots: &[Problem]) -> Vec<(String, String)> {
    let turn = |shot: &Problem| {
        let answer = task.solution(shot.answer.as_deref()?, style);
        Some((task.prompt(&shot.problem, style), answer))
    };
    shots.iter().filter_map(turn).collect()
}

/// Fails if a prompt of `tokens` tokens, `shots` examples in it, leaves no room for an answer.
///
/// # Errors
/// [`Error::Context`].
pub fn check_length(shots: usize, tokens: usize, context: usize) -> Result<()> {
    match (tokens < context, shots) {
        (true, _) => Ok(()),
        (false, 0) => Err(Error::context("the prompt of a problem", tokens, context)),
        (false, _) => Err(Error::Context {
            what: format!("the prompt of a problem after {shots} solved examples"),
            tokens,
            context,
            hint: "lower <shots>, or raise <context> if the model allows more",
        }),
    }
}

/// What answering a set of questions took.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Cost {
    /// Solved examples before each question.
    pub shots: usize,
    /// Tokens of all prompts as posed, one a question, examples included.
    pub prompt_tokens: usize,
    /// Prompt tokens that were computed; what all prompts begin with is computed once.
    pub prefilled_tokens: usize,
    /// Seconds that sampling took by the clock on the wall, the making of its kernels included.
    pub seconds: f64,
    /// Tokens read and written for a question: its prompt as posed and its answers, all samples.
    pub tokens_per_question: f64,
    /// `seconds` by question.
    pub seconds_per_question: f64,
}

impl Cost {
    /// The cost of `questions` questions whose answers have `answer_tokens` tokens in all; fills what is counted by question.
    #[must_use]
    pub fn by_question(self, questions: usize, answer_tokens: usize) -> Self {
        let questions = questions.max(1) as f64;
        Self {
            tokens_per_question: (self.prompt_tokens + answer_tokens) as f64 / questions,
            seconds_per_question: self.seconds / questions,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::task::{TaskOptions, create};

    const FILE: &str = r#"{"problem": "2*x", "answer": "x^2"}

{"problem": "x^3", "answer": "x^4/4"}
{"problem": "cos(x)", "answer": "sin(x)+C"}
"#;

    fn read(text: &str) -> Result<Vec<Problem>> {
        let task = create("integral", &TaskOptions::new()).unwrap();
        solved_problems(&*task, PromptStyle::Terse, Path::new("s.jsonl"), text)
    }

    #[test]
    fn a_line_that_solves_nothing_is_named() {
        assert_eq!(read(FILE).unwrap().len(), 3);
        for (line, words) in [
            ("{\"problem\": \"x\"}", "no `answer`"),
            ("{\"problem\": \"x\", \"answer\": \" \"}", "no `answer`"),
            ("{\"problem\": \"x\", \"answer\": \"x^3\"}", "`x^3` is wrong"),
            ("{\"problem\": \"x\", \"answer\": \"hm?\"}", "`hm?` is malformed"),
            ("{\"problem\": \"hm?\", \"answer\": \"x\"}", "`x` is unverifiable"),
        ] {
            let message = read(&format!("{FILE}\n{line}\n")).unwrap_err().to_string();
            assert!(message.contains("s.jsonl: line 6") && message.contains(words), "{message}");
        }
    }

    #[test]
    fn the_choice_is_seeded_and_leaves_out_what_is_asked() {
        let task = create("integral", &TaskOptions::new()).unwrap();
        let solved = read(FILE).unwrap();
        let asked = [Problem { problem: "x+x".into(), ..solved[0].clone() }];
        let choice = |count, seed| choose(&*task, &solved, &asked, count, seed);
        for seed in 0..20 {
            let shots = choice(2, seed).unwrap();
            assert_eq!(shots.len(), 2);
            assert!(shots.iter().all(|shot| shot.problem != "2*x"), "{shots:?}");
            assert_eq!(choice(2, seed).unwrap(), shots);
            assert_eq!(choice(1, seed).unwrap(), shots[..1]);
        }
        assert!((0..20).any(|seed| choice(1, seed).unwrap() != choice(1, 0).unwrap()));
        let message = choice(3, 0).unwrap_err().to_string();
        assert!(message.contains("3 solved problems, 1 of them among") && message.contains("at most 2"));
        assert_eq!(choose(&*task, &solved, &[], 3, 0).unwrap().len(), 3);
    }

    #[test]
    fn examples_are_worded_as_the_model_is_asked() {
        let task = create("integral", &TaskOptions::new()).unwrap();
        let turns = dialogue(&*task, PromptStyle::Terse, &read(FILE).unwrap()[..1]);
        assert_eq!(turns, [("?2*x=".to_owned(), "x^2".to_owned())]);
        let turns = dialogue(&*task, PromptStyle::Instruct, &read(FILE).unwrap()[..1]);
        assert!(turns[0].0.contains("2*x") && turns[0].1 == "<answer>x^2</answer>");
    }

    #[test]
    fn costs_are_by_question() {
        let cost = Cost { prompt_tokens: 90, seconds: 3.0, ..Cost::default() }.by_question(6, 30);
        assert_eq!((cost.tokens_per_question, cost.seconds_per_question), (20.0, 0.5));
        assert_eq!(Cost::default().by_question(0, 0), Cost::default());
    }
}
