//! Which held-out problems occur in a training set, in whatever notation.

use std::collections::HashMap;

use super::Task;

/// A held-out problem and a training problem that is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap<'a> {
    /// The held-out problem.
    pub held_out: &'a str,
    /// The first training problem with the same canonical form.
    pub training: &'a str,
}

/// Compares by [`Task::canonical`]; texts that are no problems of the task are left out. The time is linear in the number of problems.
pub fn overlaps<'a>(
    task: &dyn Task,
    training: impl IntoIterator<Item = &'a str>,
    held_out: impl IntoIterator<Item = &'a str>,
) -> Vec<Overlap<'a>> {
    let mut seen = HashMap::new();
    for problem in training {
        if let Ok(form) = task.canonical(problem) {
            seen.entry(form).or_insert(problem);
        }
    }
    let same = |problem: &'a str| {
        let training = *seen.get(&task.canonical(problem).ok()?)?;
        Some(Overlap { held_out: problem, training })
    };
    held_out.into_iter().filter_map(same).collect()
}
