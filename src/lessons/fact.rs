//! What a lesson teaches: facts, each in the wordings that are learnt and those that only an exam asks.

use serde::{Deserialize, Serialize};

use super::canonical::canonical;
use super::outcome::{Half, Judge, Kind, Question, Turn};
use crate::random::{permutation, stream};

/// Most wordings of a fact that are made where the user gave fewer: many views of a fact are what makes it usable
/// (arXiv 2309.14316), and the fourth to eighth add little.
const WORDINGS: usize = 4;

/// What stands around a question in the wordings that are learnt; none of them changes what is asked.
const TAUGHT_FRAMES: [&str; WORDINGS] = ["", "Question: ", "Please answer this: ", "Can you tell me? "];
/// What stands around a question that an exam words anew.
const EXAM_FRAME: &str = "I have a question. ";

/// Weight of an answer that a person approved of and did not write.
pub const APPROVED: f32 = 0.5;

/// Names the random stream that splits an exam.
const HALVES: u64 = 0x6861_6c66;

/// One thing that a lesson teaches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// What was said before, in a conversation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Turn>,
    /// What is asked in training, in one wording or several.
    pub wordings: Vec<String>,
    /// What is learnt to be answered.
    pub answer: String,
    /// How much each of its records counts in the loss.
    pub weight: f32,
    /// What the exam asks about it.
    pub exam: Vec<Question>,
    /// What judges an answer; `None` is the words of `answer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<Judge>,
}

impl Fact {
    /// Whether it says which of two answers is better.
    pub fn is_choice(&self) -> bool {
        matches!(self.judge, Some(Judge::Over(_)))
    }

    /// The question whose right answer shows that the fact is recalled, in the words in which it is taught.
    pub fn recall(&self) -> Question {
        Question {
            before: self.before.clone(),
            judge: self.judge.clone(),
            ..Question::new(self.wordings[0].as_str(), self.answer.as_str(), Kind::Recall)
        }
    }
}

/// A fact of the user's, before it has an exam.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// What was said before, in a conversation.
    pub before: Vec<Turn>,
    /// What is asked in training.
    pub wordings: Vec<String>,
    /// The answer.
    pub answer: String,
    /// How much it counts.
    pub weight: f32,
    /// What the exam asks, with the answer where it is another one.
    pub exam: Vec<Asked>,
    /// What judges an answer; `None` is the words of `answer`.
    pub judge: Option<Judge>,
}

impl Given {
    /// A fact of full weight that stands alone, without an exam of the user's.
    pub fn new(wordings: Vec<String>, answer: String) -> Self {
        Self { before: Vec::new(), wordings, answer, weight: 1.0, exam: Vec::new(), judge: None }
    }
}

/// A question that only the exam asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// What is asked.
    pub prompt: String,
    /// The right answer.
    pub answer: String,
    /// How it is related to what is taught.
    pub kind: Kind,
    /// What judges an answer, where that is not what judges the fact's.
    pub judge: Option<Judge>,
}

/// Facts with their wordings and exams. Where the user gave no wordings for the exam, one is held back: the last of three or
/// more, else one that `frames` makes. Models that are asked in notations instead of sentences have no frames: they are
/// asked as they were taught, which the kind of the question says. Problems of tasks are posed in the task's own words and have the
/// exam that they were given, or none. The exam's halves are drawn by `seed`.
pub fn prepare(given: Vec<Given>, frames: bool, seed: u64) -> Vec<Fact> {
    let mut facts: Vec<Fact> = given.into_iter().map(|given| fact(given, frames)).collect();
    let questions: usize = facts.iter().map(|fact| fact.exam.len()).sum();
    let order = permutation(&mut stream(seed, &[HALVES]), questions);
    for (place, question) in facts.iter_mut().flat_map(|fact| &mut fact.exam).enumerate() {
        question.half = if order[place].is_multiple_of(2) { Half::Gate } else { Half::Audit };
    }
    facts
}

fn fact(given: Given, frames: bool) -> Fact {
    let Given { before, mut wordings, answer, weight, mut exam, judge } = given;
    let posed = matches!(judge, Some(Judge::Task(_)));
    let frames = frames && !posed;
    if exam.is_empty() && !posed {
        let (prompt, kind) = match wordings.len() {
            3.. => (wordings.pop().unwrap_or_default(), Kind::Reworded),
            _ if frames => (format!("{EXAM_FRAME}{}", wordings[0]), Kind::Reworded),
            _ => (wordings[0].clone(), Kind::Recall),
        };
        exam.push(Asked { prompt, answer: answer.clone(), kind, judge: None });
    }
    if frames {
        let own = wordings.clone();
        let framed =
            TAUGHT_FRAMES.iter().skip(1).flat_map(|frame| own.iter().map(move |q| format!("{frame}{q}")));
        let missing = WORDINGS.saturating_sub(wordings.len());
        wordings.extend(framed.take(missing));
    }
    let question = |asked: Asked| match asked.judge {
        // Another problem stands alone.
        Some(own) => Question { judge: Some(own), ..Question::new(asked.prompt, asked.answer, asked.kind) },
        None => Question {
            before: before.clone(),
            judge: judge.clone(),
            ..Question::new(asked.prompt, asked.answer, asked.kind)
        },
    };
    let exam = exam.into_iter().map(question).collect();
    Fact { before, wordings, answer, weight, exam, judge }
}

/// What tells a question from others: [`canonical`], with what was said before it.
pub fn identity(before: &[Turn], question: &str) -> String {
    let turns = before.iter().map(|turn| format!("{}: {}\n", turn.role, canonical(&turn.content)));
    turns.collect::<String>() + &canonical(question)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(wordings: &[&str]) -> Given {
        let wordings = wordings.iter().map(|&wording| wording.to_owned()).collect();
        Given::new(wordings, "Porto".into())
    }

    #[test]
    fn an_exam_asks_in_words_that_are_not_taught() {
        for wordings in [
            &["Where was Mara born?"][..],
            &["a?", "b?"],
            &["a?", "b?", "c?"],
            &["a", "b", "c", "d", "e", "f"],
        ] {
            let facts = prepare(vec![given(wordings)], true, 0);
            let fact = &facts[0];
            assert!(fact.wordings.len() >= WORDINGS.min(wordings.len().max(4)), "{fact:?}");
            assert_eq!(fact.exam.len(), 1);
            assert_eq!(fact.exam[0].kind, Kind::Reworded);
            assert!(
                !fact.wordings.iter().any(|taught| canonical(taught) == canonical(&fact.exam[0].prompt)),
                "{fact:?}"
            );
        }
    }

    #[test]
    fn a_notation_is_asked_as_it_is_taught() {
        let fact = &prepare(vec![given(&["482?"])], false, 0)[0];
        assert_eq!((fact.wordings.as_slice(), fact.exam[0].kind), (&["482?".to_owned()][..], Kind::Recall));
    }

    #[test]
    fn halves_differ_by_one_question_at_most_and_by_seed() {
        let many = || (0..21).map(|i| given(&[&format!("question {i}?")])).collect::<Vec<_>>();
        let halves = |seed| -> Vec<Half> {
            prepare(many(), true, seed)
                .iter()
                .flat_map(|fact| &fact.exam)
                .map(|question| question.half)
                .collect()
        };
        assert_eq!(halves(1).iter().filter(|&&half| half == Half::Gate).count(), 11);
        assert_ne!(halves(1), halves(2));
        assert_eq!(prepare(vec![given(&["one"])], true, 3)[0].exam[0].half, Half::Gate);
    }

    /// Libraries that were made before facts had turns and judges stay as they are, to the byte.
    #[test]
    fn facts_without_turns_or_judges_are_read_and_written_as_ever() {
        let line = r#"{"wordings":["Where was Mara born?"],"answer":"Porto","weight":1.0,"exam":[{"prompt":"Mara's town?","answer":"Porto","kind":"reworded","half":"audit"}]}"#;
        let fact: Fact = serde_json::from_str(line).expect("an old line");
        assert_eq!((fact.before.len(), &fact.judge, &fact.exam[0].judge), (0, &None, &None));
        assert_eq!(serde_json::to_string(&fact).expect("a line"), line);
    }
}
