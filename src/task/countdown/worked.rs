//! Worked examples: numbers are combined at random, and what comes out is the target.

use rand_pcg::Pcg64Mcg;

use super::{Countdown, MAX_TARGET, Numbers};
use crate::random::below;
use crate::task::draw::{chance, pick, small};
use crate::task::worked::{WorkedExample, WorkedVariants, different};

/// How many numbers a problem of each level has.
pub(super) const LEVELS: &[(u32, &str)] =
    &[(2, "two numbers"), (3, "three numbers"), (4, "four numbers"), (5, "five numbers")];
/// Largest of the numbers at the start.
const LARGEST: usize = 25;
/// Draws before a level counts as one that has no problem; nearly every second one succeeds.
const MAX_DRAWS: usize = 1000;

/// A number that was reached, and how.
#[derive(Debug, Clone)]
struct Reached {
    value: u32,
    text: String,
    /// The given numbers in it.
    numbers: Vec<u32>,
}

/// A target with its solution.
struct Solved {
    goal: Reached,
    /// What was reached, from the first combination to the target.
    steps: Vec<Reached>,
    /// The combinations, such as `8-5=3`.
    lines: Vec<String>,
}

impl Solved {
    fn problem(&self) -> Numbers {
        Numbers { target: self.goal.value, numbers: self.goal.numbers.clone() }
    }
}

fn written(target: u32, numbers: &[u32]) -> String {
    format!("{target}: {}", Numbers { target, numbers: numbers.to_vec() }.join(" "))
}

/// Whole numbers above zero only, as people calculate; a quotient must come out even.
fn apply(operator: char, left: u32, right: u32) -> Option<u32> {
    let value = match operator {
        '+' => left.checked_add(right)?,
        '-' => left.checked_sub(right)?,
        '*' if left > 1 && right > 1 => left.checked_mul(right)?,
        '/' if right > 1 && left.is_multiple_of(right) => left / right,
        _ => return None,
    };
    (1..=MAX_TARGET).contains(&value).then_some(value)
}

fn draw(level: u32, rng: &mut Pcg64Mcg) -> Option<Solved> {
    if LEVELS.iter().all(|&(known, _)| known != level) {
        return None;
    }
    (0..MAX_DRAWS).find_map(|_| attempt(level as usize, rng))
}

fn attempt(count: usize, rng: &mut Pcg64Mcg) -> Option<Solved> {
    let number =
        |rng: &mut Pcg64Mcg| if chance(rng, 5) { 25 * small(rng, 4) } else { small(rng, LARGEST) } as u32;
    let mut pool: Vec<Reached> = Vec::new();
    for _ in 0..count {
        let value = number(rng);
        pool.push(Reached { value, text: value.to_string(), numbers: vec![value] });
    }
    let given = pool.clone();
    let (mut steps, mut lines) = (Vec::new(), Vec::new());
    while pool.len() > 1 {
        let left = pool.swap_remove(below(rng, pool.len()));
        let right = pool.swap_remove(below(rng, pool.len()));
        let operator = pick(rng, &['+', '+', '-', '-', '*', '*', '/']);
        let value = apply(operator, left.value, right.value)?;
        lines.push(format!("{}{operator}{}={value}", left.value, right.value));
        let part = |reached: &Reached| match reached.numbers.len() {
            1 => reached.text.clone(),
            _ => format!("({})", reached.text),
        };
        let text = format!("{}{operator}{}", part(&left), part(&right));
        let reached = Reached { value, text, numbers: [left.numbers, right.numbers].concat() };
        steps.push(reached.clone());
        pool.push(reached);
    }
    let mut goal = pool.pop()?;
    // A target that is given, or reached on the way, asks for nothing or less.
    let early = given.iter().chain(&steps[..steps.len() - 1]).any(|reached| reached.value == goal.value);
    // In the order in which they were drawn, which says nothing about the solution.
    goal.numbers = given.iter().map(|reached| reached.value).collect();
    (!early && goal.value <= 1000).then_some(Solved { goal, steps, lines })
}

/// A random problem of as many numbers as `level` says.
pub(super) fn example(level: u32, rng: &mut Pcg64Mcg) -> Option<WorkedExample> {
    let solved = draw(level, rng)?;
    Some(WorkedExample {
        problem: written(solved.goal.value, &solved.problem().numbers),
        level,
        working: solved.lines.join("\n"),
        answer: solved.goal.text,
    })
}

/// The same with easier ones: two numbers combined, a result on the way as the target, or smaller numbers.
pub(super) fn variants(
    task: &Countdown,
    level: u32,
    most: usize,
    rng: &mut Pcg64Mcg,
) -> Option<WorkedVariants> {
    let solved = draw(level, rng)?;
    let mut easier = Vec::new();
    for step in &solved.steps[..solved.steps.len() - 1] {
        let mut numbers = solved.goal.numbers.clone();
        for used in &step.numbers {
            let place = numbers.iter().position(|number| number == used)?;
            numbers.remove(place);
        }
        numbers.push(step.value);
        easier.push(written(solved.goal.value, &numbers));
        easier.push(written(step.value, &step.numbers));
    }
    let numbers = &solved.goal.numbers;
    let sum = numbers.iter().sum();
    easier.push(written(sum, numbers));
    let fewer = &numbers[1..];
    if fewer.len() > 1 {
        easier.push(written(fewer.iter().sum(), fewer));
    } else {
        let smaller: Vec<_> = numbers.iter().map(|&number| 1 + below(rng, number as usize) as u32).collect();
        easier.push(written(smaller.iter().sum(), &smaller));
    }
    different(task, &written(solved.goal.value, numbers), easier, most)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::task::{Problem, PromptStyle, Task, VerdictKind};

    #[test]
    fn every_example_is_verified_and_variants_are_solvable() {
        let mut rng = Pcg64Mcg::new(1);
        for use_all in [false, true] {
            let task = Countdown { use_all };
            for &(level, _) in LEVELS {
                for _ in 0..100 {
                    let example = example(level, &mut rng).unwrap();
                    let problem = Problem::new(example.problem.clone());
                    let verdict = task.verify(&problem, &example.completion(&task, PromptStyle::Instruct));
                    assert_eq!(verdict.verdict, VerdictKind::Correct, "{example:?}: {}", verdict.reason);
                }
                // The solver behind `canonical` takes long for more numbers.
                if level > 4 {
                    continue;
                }
                for _ in 0..10 {
                    let Some(variants) = variants(&task, level, 4, &mut rng) else { continue };
                    for variant in variants.easier {
                        assert!(task.canonical(&variant).is_ok(), "{variant}");
                        assert_eq!(task.parse_variants(&variant), [variant.as_str()]);
                    }
                }
            }
        }
        assert!(example(1, &mut rng).is_none() && example(6, &mut rng).is_none());
    }
}
