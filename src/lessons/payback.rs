//! After how many questions a lesson in the weights is cheaper than its notes before each question.

use serde::Serialize;

use super::ledger::Cost;
use super::outcome::Sitting;

/// Work of training on a token, in units of reading one: forward, and backward through activations and adapters. Two cores with
/// SmolLM2 take 3.
const TRAINING: f64 = 3.0;
/// Work of reading a context token that a server has cached, in units of reading it anew: what providers ask for.
const CACHED: f64 = 0.1;

/// Questions after which a lesson is paid back, Q* = (T kappa + X) / (D rho): T tokens trained on at kappa times the work of
/// reading, X tokens of exams, D tokens of notes that each question would need at rho of that work.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Payback {
    /// Notes read anew for each question.
    pub questions: f64,
    /// Notes kept in a cache between questions.
    pub cached: f64,
    /// By the clock: the lesson's seconds by the seconds that notes take longer for a question; `None` where that was not measured
    /// or they do not take longer.
    pub by_seconds: Option<f64>,
}

impl Payback {
    /// Of lessons together. `slower` is the seconds that a question takes longer with their notes. `None` without notes to compare
    /// with.
    pub fn of(cost: Cost, context_tokens: usize, slower: Option<f64>) -> Option<Self> {
        let work = cost.training_tokens as f64 * TRAINING + cost.exam_tokens as f64;
        let questions = work / context_tokens as f64;
        (context_tokens > 0).then(|| Self {
            questions,
            cached: questions / CACHED,
            by_seconds: slower.filter(|slower| *slower > 0.0).map(|slower| cost.seconds / slower),
        })
    }
}

/// Seconds that a question takes longer in one exam than in another of the same questions.
pub fn slower(with_notes: &Sitting, with_weights: &Sitting) -> Option<f64> {
    let questions = with_weights.outcomes.len();
    let same = questions == with_notes.outcomes.len() && questions > 0;
    same.then(|| (with_notes.seconds - with_weights.seconds) / questions as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn break_even_by_hand() {
        let cost = Cost { training_tokens: 29_000, exam_tokens: 3_000, seconds: 420.0 };
        let payback = Payback::of(cost, 1_000, Some(4.0));
        let expected = Payback { questions: 90.0, cached: 900.0, by_seconds: Some(105.0) };
        assert_eq!(payback, Some(expected));
        assert_eq!(Payback::of(cost, 0, None), None);
        assert_eq!(Payback::of(cost, 1, Some(-1.0)).and_then(|payback| payback.by_seconds), None);
    }

    #[test]
    fn seconds_are_compared_on_the_same_questions() {
        let outcome = super::super::outcome::Outcome {
            right: true,
            said: String::new(),
            logprob: None,
            finished: true,
        };
        let sitting = |n, seconds| Sitting { outcomes: vec![outcome.clone(); n], tokens: 1, seconds };
        assert_eq!(slower(&sitting(4, 10.0), &sitting(4, 2.0)), Some(2.0));
        assert_eq!(slower(&sitting(4, 10.0), &sitting(5, 2.0)), None);
        assert_eq!(slower(&sitting(0, 1.0), &sitting(0, 0.0)), None);
    }
}
