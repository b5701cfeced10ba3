//! Truth tables of verifiers: how they are read, judged within a time limit, and counted.

use std::time::{Duration, Instant};

use stepladder::task::{Problem, Task, Verdict, VerdictKind};

/// No completion may take longer, on a slow and busy machine and without optimisation.
const TIME_LIMIT: Duration = Duration::from_secs(3);

/// The rows of a table of `N` fields with tabs between them; a line that begins with `# ` is a comment.
pub(crate) fn rows<const N: usize>(table: &str) -> impl Iterator<Item = [&str; N]> {
    table.lines().filter(|line| !line.starts_with("# ")).map(|line| {
        let fields: Vec<_> = line.split('\t').collect();
        fields.try_into().unwrap_or_else(|_| panic!("{N} fields: {line:?}"))
    })
}

/// A field with its line breaks, for which `⏎` stands.
pub(crate) fn text(field: &str) -> String {
    field.replace('⏎', "\n")
}

/// The verdict, which must not take long.
pub(crate) fn verify(task: &dyn Task, problem: &Problem, completion: &str) -> Verdict {
    let start = Instant::now();
    let verdict = task.verify(problem, completion);
    let shown = |text: &str| text.chars().take(80).collect::<String>();
    let known = problem.answer.as_deref().unwrap_or_default();
    let taken = start.elapsed();
    assert!(
        taken < TIME_LIMIT,
        "{taken:?} for {} {} | {}",
        shown(&problem.problem),
        shown(known),
        shown(completion)
    );
    verdict
}

/// What a table says against what the verifier says.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    right: usize,
    wrong: usize,
    /// Wrong ones that were taken, right ones that were not, and those of them that were called wrong.
    taken: usize,
    lost: usize,
    refused: usize,
    unverifiable: usize,
    failures: Vec<String>,
}

impl Tally {
    /// Counts a row, which `row` describes.
    pub(crate) fn count(&mut self, expected: &str, verdict: &Verdict, row: &str) {
        let name = serde_json::to_value(verdict.verdict).unwrap();
        let correct = verdict.verdict == VerdictKind::Correct;
        if expected == "correct" {
            self.right += 1;
            self.lost += usize::from(!correct);
            self.refused += usize::from(verdict.verdict == VerdictKind::Wrong);
        } else {
            self.wrong += 1;
            self.taken += usize::from(correct);
        }
        self.unverifiable += usize::from(verdict.verdict == VerdictKind::Unverifiable);
        if name != expected {
            self.failures.push(format!("{row}: {expected} expected, {name}: {}", verdict.reason));
        }
    }

    /// Prints the counts and fails if a row came out otherwise, or there are fewer than `least`.
    pub(crate) fn finish(self, least: usize) {
        let Self { right, wrong, taken, lost, refused, unverifiable, failures } = self;
        let share = |part: usize, whole: usize| 100.0 * part as f64 / whole as f64;
        println!(
            "truth table: {} rows; false positives {taken}/{wrong} ({:.2} %), false negatives {lost}/{right} ({:.2} %), {refused} of them called wrong; {unverifiable} unverifiable",
            right + wrong,
            share(taken, wrong),
            share(lost, right),
        );
        assert!(right + wrong >= least);
        assert!(failures.is_empty(), "{} rows:\n{}", failures.len(), failures.join("\n"));
    }
}
