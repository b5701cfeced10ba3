//! Whether an answer to an exam's question is right. A program decides, never a model.

use super::fact::canonical;
use super::outcome::{Posed, Question};
use crate::task::{self, Problem, Task, TaskOptions, VerdictKind};
use crate::{Error, Result};

/// Words of an answer beside the right one, at most: who lists everything has not answered.
const MAX_MORE_WORDS: usize = 40;
/// Words after which the right answer is denied.
const DENIALS: [&str; 8] = ["not", "never", "no", "isn't", "wasn't", "neither", "nor", "without"];

/// The task whose verifier is a program of the user's. A library may come from somebody else, so it never runs one.
pub(super) const OUTSIDE: &str = "command";

/// Judges answers by the words of the right one, or by what it means where that is a value ([`crate::task::Jsonl`]); those to
/// problems of tasks by the task.
pub struct Grader {
    /// Compares answers by what they mean.
    values: Box<dyn Task>,
    tasks: Vec<(String, TaskOptions, Box<dyn Task>)>,
    /// All right answers of the exam in their canonical form: who names two of them has not answered.
    answers: Vec<String>,
}

impl Grader {
    /// A judge of an exam.
    ///
    /// # Errors
    /// [`Error::Usage`] for a task that there is not, or whose verifier is a program of somebody's.
    pub fn new<'q>(questions: impl IntoIterator<Item = &'q Question>) -> Result<Self> {
        let mut grader = Self {
            values: task::create("jsonl", &TaskOptions::new())?,
            tasks: Vec::new(),
            answers: Vec::new(),
        };
        for question in questions {
            match question.posed() {
                Some(posed) if grader.task(posed).is_none() => {
                    if posed.task == OUTSIDE {
                        let problem = "names a program to judge answers with, which is not run";
                        return Err(Error::usage("exam", problem, "use a run of another task"));
                    }
                    let task = task::create(&posed.task, &posed.options)?;
                    grader.tasks.push((posed.task.clone(), posed.options.clone(), task));
                }
                Some(_) => {}
                None => grader.answers.push(canonical(&question.answer)),
            }
        }
        grader.answers.sort_unstable();
        grader.answers.dedup();
        Ok(grader)
    }

    fn task(&self, posed: &Posed) -> Option<&dyn Task> {
        let mut tasks = self.tasks.iter();
        let found = tasks.find(|(name, options, _)| *name == posed.task && *options == posed.options);
        found.map(|(.., task)| &**task)
    }

    /// Whether `said` answers `question`: it is the right answer, or holds its words in a row, neither denied nor beside
    /// another answer of the exam; or it has the same value. A problem of a task is answered if the task says so.
    pub fn is_right(&self, question: &Question, said: &str) -> bool {
        if let Some(posed) = question.posed() {
            let task = self.task(posed);
            return task
                .is_some_and(|task| task.verify(&posed.problem, said).verdict == VerdictKind::Correct);
        }
        let (right, said_words) = (canonical(&question.answer), canonical(said));
        if right == said_words {
            return true;
        }
        let words: Vec<&str> = said_words.split(' ').collect();
        let wanted: Vec<&str> = right.split(' ').collect();
        if let Some(place) = place(&words, &wanted) {
            let denied = place > 0 && DENIALS.contains(&words[place - 1]);
            return !denied
                && words.len() <= wanted.len() + MAX_MORE_WORDS
                && !self.names_another(&words, &right);
        }
        let answer = Some(question.answer.clone());
        let problem = Problem { problem: question.prompt.clone(), id: None, level: None, answer };
        self.values.verify(&problem, said).verdict == VerdictKind::Correct
    }

    fn names_another(&self, words: &[&str], right: &str) -> bool {
        let part = |of: &str, other: &str| format!(" {of} ").contains(&format!(" {other} "));
        let others = self.answers.iter().filter(|other| !part(right, other) && !part(other, right));
        others.map(|other| other.split(' ').collect::<Vec<_>>()).any(|other| place(words, &other).is_some())
    }
}

/// Where `wanted` stands in a row in `words`.
fn place(words: &[&str], wanted: &[&str]) -> Option<usize> {
    words.windows(wanted.len().max(1)).position(|window| window == wanted)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::outcome::{Judge, Kind};
    use super::*;

    fn question(answer: &str) -> Question {
        Question::new("q?", answer, Kind::Reworded)
    }

    #[test]
    fn answers_in_sentences_count_and_lists_do_not() {
        let exam = ["Porto", "Lisbon", "New York", "York", "1962", "3.5 kg", "half"].map(question);
        let grader = Grader::new(&exam).unwrap();
        for (answer, said, right) in [
            ("Porto", "porto.", true),
            ("Porto", "Mara was born in Porto, by the river.", true),
            ("Porto", "Mara was born in Lisbon.", false),
            ("Porto", "Porto or Lisbon", false),
            ("Porto", "Not Porto", false),
            ("Porto", "Portobello", false),
            ("Porto", "", false),
            ("York", "New York", true),
            ("New York", "York", false),
            ("New York", "in New York", true),
            ("1962", "She was born in 1962.", true),
            ("1962", "She was born in 19621.", false),
            ("3.5 kg", "3500 g", true),
            ("half", "1/2", true),
        ] {
            assert_eq!(grader.is_right(&question(answer), said), right, "{answer}: {said}");
        }
        // A task judges answers to its problems by what they mean, and none that a program outside judges.
        let posed = |task: &str| Posed {
            task: task.into(),
            options: TaskOptions::new(),
            problem: Problem::new("2*x"),
            max_tokens: 8,
        };
        let ask = |task| Question { judge: Some(Judge::Task(posed(task))), ..question("") };
        let exam = [ask("integral")];
        let verifier = Grader::new(&exam).unwrap();
        assert!(verifier.is_right(&exam[0], "x*x+5") && !verifier.is_right(&exam[0], "x^3"));
        let outside = Grader::new(&[ask(OUTSIDE)]).err().unwrap().to_string();
        assert!(outside.contains("which is not run"), "{outside}");
        let long = format!("Porto {}", "and so on ".repeat(30));
        assert!(!grader.is_right(&question("Porto"), &long));
    }
}
