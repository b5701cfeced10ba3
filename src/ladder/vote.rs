//! An answer by majority: equal answers are counted, the verdict is looked at only afterwards.

use serde::{Deserialize, Serialize};

use crate::task::{Problem, Task, Verdict};

/// A class of equal answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vote {
    /// The answer as it was first written.
    pub answer: String,
    /// How many answers were equal to it.
    pub count: usize,
    /// The judgement on it.
    pub verdict: Verdict,
}

/// Counts equal answers ([`Task::same_answer`]) in the judgements on some completions, largest class first; ties go to the
/// answer that was given first. Completions without an answer do not vote.
pub fn count<'v>(
    task: &dyn Task,
    problem: &Problem,
    verdicts: impl IntoIterator<Item = &'v Verdict>,
) -> Vec<Vote> {
    let mut classes: Vec<(Vec<&str>, Vote)> = Vec::new();
    for verdict in verdicts {
        let Some(answer) = verdict.answer.as_deref() else { continue };
        // Equal texts are the common case and cost no mathematics.
        let known = classes.iter().position(|(texts, _)| texts.contains(&answer));
        let known = known
            .or_else(|| classes.iter().position(|(_, vote)| task.same_answer(problem, &vote.answer, answer)));
        match known {
            Some(place) => {
                let (texts, vote) = &mut classes[place];
                vote.count += 1;
                if !texts.contains(&answer) {
                    texts.push(answer);
                }
            }
            None => classes
                .push((vec![answer], Vote { answer: answer.to_owned(), count: 1, verdict: verdict.clone() })),
        }
    }
    classes.sort_by_key(|(_, vote)| std::cmp::Reverse(vote.count));
    classes.into_iter().map(|(_, vote)| vote).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::task::{TaskOptions, VerdictKind, create};

    #[test]
    fn equal_answers_are_counted_together() {
        let task = create("integral", &TaskOptions::new()).unwrap();
        let problem = Problem::new("2*x");
        let verdicts: Vec<Verdict> = ["x^2", "x^3", "x*x+5", "nonsense(", "x^3+1", "x^2+C", "x^3", "x^4"]
            .iter()
            .map(|text| task.verify(&problem, text))
            .collect();
        let votes = count(&*task, &problem, &verdicts);
        let counts: Vec<_> = votes.iter().map(|vote| (vote.answer.as_str(), vote.count)).collect();
        assert_eq!(counts, [("x^2", 3), ("x^3", 3), ("x^4", 1)]);
        // The plurality wins whether it is right or not: x^3 with one vote more.
        let more = verdicts.iter().chain([&verdicts[1]]);
        let votes = count(&*task, &problem, more);
        assert_eq!((votes[0].answer.as_str(), votes[0].verdict.verdict), ("x^3", VerdictKind::Wrong));
        assert_eq!(count(&*task, &problem, []), []);
    }
}
