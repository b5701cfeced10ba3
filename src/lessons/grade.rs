//! Whether an answer to an exam's question is right. A program decides, never a model.

use super::fact::canonical;
use super::outcome::Question;
use crate::task::{Problem, Task, VerdictKind};

/// Words of an answer beside the right one, at most: who lists everything has not answered.
const MAX_MORE_WORDS: usize = 40;
/// Words after which the right answer is denied.
const DENIALS: [&str; 8] = ["not", "never", "no", "isn't", "wasn't", "neither", "nor", "without"];

/// Judges answers by the words of the right one, or by what it means where that is a value ([`crate::task::jsonl`]).
pub struct Grader<'a> {
    task: &'a dyn Task,
    /// All right answers of the exam in their canonical form: who names two of them has not answered.
    answers: Vec<String>,
}

impl<'a> Grader<'a> {
    /// A judge of an exam. `task` compares answers by what they mean.
    pub fn new<'q>(task: &'a dyn Task, questions: impl IntoIterator<Item = &'q Question>) -> Self {
        let mut answers: Vec<String> =
            questions.into_iter().map(|question| canonical(&question.answer)).collect();
        answers.sort_unstable();
        answers.dedup();
        Self { task, answers }
    }

    /// Whether `said` answers `question`: it is the right answer, or holds its words in a row, neither denied nor beside
    /// another answer of the exam; or it has the same value.
    pub fn is_right(&self, question: &Question, said: &str) -> bool {
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
        self.task.verify(&problem, said).verdict == VerdictKind::Correct
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
    use super::super::outcome::{Half, Kind};
    use super::*;

    fn question(answer: &str) -> Question {
        Question { prompt: "q?".into(), answer: answer.into(), kind: Kind::Reworded, half: Half::Gate }
    }

    #[test]
    fn answers_in_sentences_count_and_lists_do_not() {
        let task = crate::task::create("jsonl", &Default::default()).unwrap();
        let exam = ["Porto", "Lisbon", "New York", "York", "1962", "3.5 kg", "half"].map(question);
        let grader = Grader::new(&*task, &exam);
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
        let long = format!("Porto {}", "and so on ".repeat(30));
        assert!(!grader.is_right(&question("Porto"), &long));
    }
}
