//! Whether an answer to an exam's question is right. A program decides, never a model.

use super::canonical::{Word, canonical, words};
use super::outcome::{Posed, Question};
use crate::task::{self, Problem, Task, TaskOptions, VerdictKind};
use crate::{Error, Result};

/// Words of an answer beside the right one, at most: who lists everything has not answered.
const MAX_MORE_WORDS: usize = 40;
/// Words that deny all of what follows until something else is said ([`Word::first`]).
const DENIALS: [&str; 6] = ["not", "never", "cannot", "neither", "nor", "unlike"];
/// Words that deny what follows them at once.
const DENYING: [&str; 3] = ["no", "without", "except"];
/// Words after which a denial is over.
const REVERSALS: [&str; 4] = ["but", "rather", "instead", "however"];
/// Words behind an answer with which something is said of it, so that a denial after them denies it.
const VERBS: [&str; 12] =
    ["is", "are", "was", "were", "does", "do", "did", "has", "had", "can", "could", "would"];

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
        let (right, said_words) = (canonical(&question.answer), words(said));
        let wanted: Vec<&str> = right.split(' ').collect();
        let texts: Vec<&str> = said_words.iter().map(|word| word.text.as_str()).collect();
        if texts == wanted {
            return true;
        }
        if let Some(place) = place(&texts, &wanted) {
            return !is_denied(&said_words, place, place + wanted.len())
                && texts.len() <= wanted.len() + MAX_MORE_WORDS
                && !self.names_another(&texts, &right);
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

/// Whether what stands from `begin` to `end` is denied: before it where nothing else is said between, or behind it by a verb.
fn is_denied(words: &[Word], begin: usize, end: usize) -> bool {
    let denies = |word: &str| DENIALS.contains(&word) || word.ends_with("n't");
    let mut from = begin;
    while from > 0 && !words[from].first && !REVERSALS.contains(&words[from - 1].text.as_str()) {
        from -= 1;
        let word = words[from].text.as_str();
        if denies(word) || (from + 1 == begin && DENYING.contains(&word)) {
            return true;
        }
    }
    let behind = |place: usize| words.get(place).filter(|word| !word.first).map_or("", |word| &word.text);
    let verb = behind(end);
    verb.ends_with("n't") || (VERBS.contains(&verb) && denies(behind(end + 1)))
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
            ("Porto", "Mara does not live in Porto.", false),
            ("Porto", "Mara doesn\u{2019}t live in Porto.", false),
            ("Porto", "Porto is not where Mara lives.", false),
            ("Porto", "Porto isn't it.", false),
            ("Porto", "There is no doubt that Mara lives in Porto.", true),
            ("Porto", "Mara does not live in the north, she lives in Porto.", true),
            ("Porto", "Mara was not born in Spain but in Porto.", true),
            ("Porto", "It is Porto's harbour.", true),
            ("running", "The ferry is not yet running.", false),
            ("Porto", "Portobello", false),
            ("Porto", "", false),
            ("York", "New York", true),
            ("New York", "York", false),
            ("New York", "in New York", true),
            ("1962", "She was born in 1962.", true),
            ("1962", "She was born in 19621.", false),
            ("3.5 kg", "3500 g", true),
            ("5 kg", "It weighs 2.5 kg.", false),
            ("5 kg", "It weighs .5 kg.", false),
            ("5 kg", "It weighs 5 kg.", true),
            ("500", "It costs $1,500.", false),
            ("30", "The ferry leaves at 12:30.", false),
            ("C", "It is written in C#.", false),
            ("C#", "It is written in C#.", true),
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
