//! Countdown: reach a target with arithmetic on given numbers, each used at most once.
//!
//! A problem is `24: 3 5 8 2` (target, then numbers), an answer is an expression with `+ - * /` and parentheses, judged in exact
//! rational arithmetic.

mod arithmetic;
mod solver;
mod worked;

use arithmetic::evaluate;
use rand_pcg::Pcg64Mcg;
use solver::Solvable;

use super::rational::Rational;
use super::text::{last_boxed, last_tag, strip_item_marker, unwrap_math};
use super::{
    Parameter, Problem, PromptStyle, Task, TaskOptions, VariantKind, VariantRequest, Verdict, VerdictKind,
    WorkedExample, WorkedVariants,
};
use super::{check_options, option, plain};
use crate::Result;

const PARAMETERS: &[Parameter] = &[Parameter {
    name: "use_all",
    doc: "whether every number must be used (`true`) or some may be left over (`false`)",
    default: "false",
}];

/// Most numbers in a problem; the solver's work grows with its factorial.
const MAX_NUMBERS: usize = 6;
/// Largest number in a problem. With [`MAX_NUMBERS`] it keeps exact arithmetic within 128 bits.
const MAX_NUMBER: u32 = 10_000;
/// Largest target.
const MAX_TARGET: u32 = 1_000_000;

/// The task `countdown`.
#[derive(Debug, Clone, Copy)]
pub struct Countdown {
    use_all: bool,
}

/// A problem that has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Numbers {
    target: u32,
    /// As given.
    numbers: Vec<u32>,
}

impl Numbers {
    fn read(problem: &str) -> std::result::Result<Self, String> {
        if problem.len() > 200 {
            return Err("longer than 200 bytes".to_owned());
        }
        let (target, numbers) =
            problem.split_once(':').ok_or("not of the form `target: number number ...`")?;
        let number = |text: &str, most: u32| {
            let text = text.trim();
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let value = text.parse::<u32>().ok().filter(|&value| digits && (1..=most).contains(&value));
            value.ok_or_else(|| {
                format!("`{}` is no whole number from 1 to {most}", text.chars().take(20).collect::<String>())
            })
        };
        let words = numbers.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
        let numbers =
            words.map(|word| number(word, MAX_NUMBER)).collect::<std::result::Result<Vec<_>, _>>()?;
        if !(2..=MAX_NUMBERS).contains(&numbers.len()) {
            return Err(format!("{} numbers instead of 2 to {MAX_NUMBERS}", numbers.len()));
        }
        Ok(Self { target: number(target, MAX_TARGET)?, numbers })
    }

    fn join(&self, separator: &str) -> String {
        self.numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(separator)
    }

    /// The same text for the same problem.
    fn sorted(mut self) -> String {
        self.numbers.sort_unstable();
        format!("{}: {}", self.target, self.join(" "))
    }
}

impl Countdown {
    /// Takes `use_all`.
    pub fn new(options: &TaskOptions) -> Result<Self> {
        check_options("countdown", PARAMETERS, options)?;
        Ok(Self { use_all: option(PARAMETERS, options, "use_all")? })
    }

    /// An expression that solves `problem`, if the search finds one within its work limit.
    pub fn solve(&self, problem: &str) -> Option<String> {
        let Numbers { target, numbers } = Numbers::read(problem).ok()?;
        match solver::solve(&numbers, target, self.use_all) {
            Solvable::Yes(expression) => Some(expression),
            Solvable::No | Solvable::Unknown => None,
        }
    }

    fn judge(&self, problem: &Numbers, text: &str) -> Verdict {
        let text = unwrap_math(text);
        // `3*8 = 24` and `24 = 3*8` name the target again; any other equation is no answer.
        let target = problem.target.to_string();
        let expression = match text.split_once(['=', '\u{ff1d}']) {
            None => text,
            Some((expression, right)) if right.trim() == target => expression,
            Some((left, expression)) if left.trim() == target => expression,
            Some(_) => {
                let reason = "an equation with something else than the target on one side";
                return Verdict::new(VerdictKind::Malformed, reason, None);
            }
        };
        let (value, mut used) = match evaluate(expression) {
            Ok(result) => result,
            Err(reason) => return Verdict::new(VerdictKind::Malformed, reason, None),
        };
        let answer = Some(expression.split_whitespace().collect::<String>());
        let mut left = problem.numbers.clone();
        used.sort_unstable();
        for number in used {
            match left.iter().position(|&given| u64::from(given) == number) {
                Some(i) => left.swap_remove(i),
                None => {
                    let reason = format!("{number} is not given, or used too often");
                    return Verdict::new(VerdictKind::Wrong, reason, answer);
                }
            };
        }
        if self.use_all && !left.is_empty() {
            return Verdict::new(VerdictKind::Wrong, format!("{} is left over", left[0]), answer);
        }
        match value {
            None => Verdict::new(VerdictKind::Wrong, "it divides by zero", answer),
            Some(value) if value == Rational::integer(problem.target) => {
                Verdict::new(VerdictKind::Correct, format!("it equals {}", problem.target), answer)
            }
            Some(value) => {
                Verdict::new(VerdictKind::Wrong, format!("it equals {value}, not {}", problem.target), answer)
            }
        }
    }
}

impl Task for Countdown {
    fn name(&self) -> &'static str {
        "countdown"
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn prompt(&self, problem: &str, style: PromptStyle) -> String {
        let Ok(read) = Numbers::read(problem) else { return plain::prompt(problem) };
        if style == PromptStyle::Terse {
            return format!("?{}:{}=", read.target, read.join(","));
        }
        let each = if self.use_all { "exactly once" } else { "at most once" };
        let statement = format!(
            "Write an arithmetic expression that equals {}. Use the numbers {}, each {each}, with +, -, *, / and parentheses and no other numbers.",
            read.target,
            read.join(", ")
        );
        plain::prompt(&statement)
    }

    fn variant_prompt(&self, problem: &str, request: &VariantRequest, style: PromptStyle) -> String {
        let what = "A problem is a target, a colon, and two to six whole numbers that can be combined to it with +, -, * and /.";
        let written = match (Numbers::read(problem), style) {
            (Ok(read), PromptStyle::Terse) => format!("{}:{}", read.target, read.join(",")),
            _ => problem.to_owned(),
        };
        plain::variant_prompt(&written, request, what, "10: 2 3 4", style)
    }

    fn transformations(&self, kind: VariantKind) -> &'static [&'static str] {
        match kind {
            VariantKind::Easier => &[
                "take a number away and choose the target anew",
                "make the numbers smaller",
                "choose a target that sums alone can reach",
                "choose a target near a product of two of the numbers",
                "replace a prime by a number with many divisors",
                "make one of the numbers the target's half",
            ],
            VariantKind::Equivalent => &[
                "keep the numbers and choose another target of like size",
                "change two of the numbers by one",
                "exchange one number and keep the target",
                "keep the operations of a solution and change its numbers",
                "swap a sum in the solution for a difference",
            ],
            VariantKind::Harder => &[
                "add a number that a solution must use",
                "make the target larger",
                "choose a target that needs a division",
                "choose numbers that share no divisor",
                "choose a target that needs a nested difference",
            ],
        }
    }

    fn parse_variants(&self, completion: &str) -> Vec<String> {
        let tagged = plain::tagged_variants(completion);
        if !tagged.is_empty() {
            return tagged;
        }
        let mut found = Vec::new();
        for line in completion.lines().take(200) {
            // A list number looks like a target (`2: ...`), so the whole line is tried first.
            let candidates = [unwrap_math(line), unwrap_math(strip_item_marker(line).0)];
            found.extend(
                candidates.iter().find(|text| Numbers::read(text).is_ok()).map(|text| (*text).to_owned()),
            );
        }
        found.truncate(32);
        found
    }

    fn canonical(&self, problem: &str) -> std::result::Result<String, String> {
        let read = Numbers::read(problem)?;
        match solver::solve(&read.numbers, read.target, self.use_all) {
            Solvable::No => Err("the target cannot be reached".to_owned()),
            Solvable::Yes(_) | Solvable::Unknown => Ok(read.sorted()),
        }
    }

    fn is_restatement(&self, parent: &str, variant: &str) -> bool {
        match (Numbers::read(parent), Numbers::read(variant)) {
            (Ok(parent), Ok(variant)) => parent.sorted() == variant.sorted(),
            _ => false,
        }
    }

    /// Expressions of one value are one answer.
    fn same_answer(&self, _: &Problem, one: &str, other: &str) -> bool {
        let value = |text| evaluate(text).ok().and_then(|(value, _)| value);
        one == other || value(one).is_some_and(|one| value(other) == Some(one))
    }

    fn worked_levels(&self) -> &'static [(u32, &'static str)] {
        worked::LEVELS
    }

    fn worked_example(&self, level: u32, rng: &mut Pcg64Mcg) -> Option<WorkedExample> {
        worked::example(level, rng)
    }

    fn worked_variants(&self, level: u32, most: usize, rng: &mut Pcg64Mcg) -> Option<WorkedVariants> {
        worked::variants(self, level, most, rng)
    }

    fn verify(&self, problem: &Problem, completion: &str) -> Verdict {
        let read = match Numbers::read(&problem.problem) {
            Ok(read) => read,
            Err(reason) => {
                return Verdict::new(
                    VerdictKind::Unverifiable,
                    format!("no countdown problem: {reason}"),
                    None,
                );
            }
        };
        match last_tag(completion, "answer").or_else(|| last_boxed(completion)) {
            Some(text) => self.judge(&read, text),
            None if completion.contains("<answer>") => {
                Verdict::new(VerdictKind::Malformed, "the <answer> is not closed", None)
            }
            None => self.judge(&read, completion),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn verdict(task: Countdown, problem: &str, completion: &str) -> VerdictKind {
        let problem = Problem::new(problem);
        task.verify(&problem, completion).verdict
    }

    #[test]
    fn truth_table() {
        let some = Countdown { use_all: false };
        for (completion, expected) in [
            ("3*8", VerdictKind::Correct),
            ("<answer>(5-2)*8</answer>", VerdictKind::Correct),
            ("<answer>8 \u{d7} 3 = 24</answer>", VerdictKind::Correct),
            ("8/(5/3-2)+5", VerdictKind::Wrong),
            ("\\boxed{8 \\times 3}", VerdictKind::Correct),
            ("8 \\cdot 3", VerdictKind::Correct),
            ("24=3*8", VerdictKind::Correct),
            ("3x8", VerdictKind::Correct),
            ("\\frac{3\\times 8}{5-2-2}", VerdictKind::Wrong),
            ("8*\\frac{3 \\times 5}{5}", VerdictKind::Wrong),
            ("\\boxed{\\frac{8 \\times 3 \\times 5}{5}}", VerdictKind::Wrong),
            ("\u{ff13}\u{d7}\u{ff18}", VerdictKind::Correct),
            ("\\frac{3", VerdictKind::Malformed),
            ("25=3*8", VerdictKind::Malformed),
            ("3*8*1", VerdictKind::Wrong),
            ("24", VerdictKind::Wrong),
            ("8+8+8", VerdictKind::Wrong),
            ("(5+3)*2", VerdictKind::Wrong),
            ("8/(5-3-2)", VerdictKind::Wrong),
            ("3*8=25", VerdictKind::Malformed),
            ("3*8=24=24", VerdictKind::Malformed),
            ("", VerdictKind::Malformed),
            ("3*8 or 2", VerdictKind::Malformed),
            ("3**8", VerdictKind::Malformed),
            ("2^3*3", VerdictKind::Malformed),
            ("3 8", VerdictKind::Malformed),
            ("3*8.0", VerdictKind::Malformed),
            ("(3*8", VerdictKind::Malformed),
            ("3*8)", VerdictKind::Malformed),
            ("99999999999999999999999999*1", VerdictKind::Malformed),
            ("__import__('os')", VerdictKind::Malformed),
            ("<answer>3*8", VerdictKind::Malformed),
            ("the answer is 3*8", VerdictKind::Malformed),
        ] {
            assert_eq!(verdict(some, "24: 3 5 8 2", completion), expected, "{completion}");
        }
        let all = Countdown { use_all: true };
        assert_eq!(verdict(all, "24: 3 5 8 2", "3*8"), VerdictKind::Wrong);
        assert_eq!(verdict(all, "24: 3 8 1", "3*8*1"), VerdictKind::Correct);
        assert_eq!(verdict(all, "24: 3 3 8 8", "8/(3-8/3)"), VerdictKind::Correct);
        assert_eq!(verdict(all, "no problem", "1"), VerdictKind::Unverifiable);
        for hostile in ["(".repeat(100_000), "1+".repeat(50_000), "-".repeat(1000), "1/".repeat(100)] {
            assert_eq!(verdict(all, "24: 3 8 1", &hostile), VerdictKind::Malformed);
        }
    }

    #[test]
    fn the_solver_agrees_with_the_verifier() {
        let all = Countdown { use_all: true };
        for problem in
            ["24: 3 3 8 8", "24: 1 5 5 5", "24: 4 4 10 10", "100: 1 2 3 4 5", "952: 25 50 75 100 3 6"]
        {
            let solution = all.solve(problem).unwrap();
            assert_eq!(verdict(all, problem, &solution), VerdictKind::Correct, "{problem}: {solution}");
        }
        assert_eq!(all.solve("24: 1 1 1 1"), None);
        assert!(all.canonical("24: 1 1 1 1").unwrap_err().contains("cannot be reached"));
        assert!(all.canonical("7: 7 3").is_err(), "with both numbers 7 is out of reach");
        let some = Countdown { use_all: false };
        assert_eq!(some.canonical("7:7,3").unwrap(), "7: 3 7");
        assert!(some.is_restatement("7: 7 3", "7: 3 7") && !some.is_restatement("7: 7 3", "7: 7 4"));
        for bad in [
            "",
            "24",
            "24:",
            "24: 3",
            "24: 3 x",
            "0: 1 2",
            "24: 1 2 3 4 5 6 7",
            "24: 99999 1",
            "2.5: 1 2",
            "-24: 3 8",
        ] {
            assert!(some.canonical(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prompts_and_variants() {
        let task = Countdown { use_all: false };
        assert_eq!(task.prompt("24: 3 8", PromptStyle::Terse), "?24:3,8=");
        let prompt = task.prompt("24: 3 8", PromptStyle::Instruct);
        assert!(prompt.contains("3, 8, each at most once") && prompt.contains("<answer>"), "{prompt}");
        let request =
            VariantRequest { kind: VariantKind::Easier, count: 3, transformations: vec![], persona: None };
        assert_eq!(task.variant_prompt("24: 3 8", &request, PromptStyle::Terse), "<24:3,8:");
        for completion in [
            "<variant>10: 2 5</variant> <variant>6: 2 3</variant>",
            "1. 10: 2 5\n2. 6: 2 3",
            "- 10: 2 5\nfine\n- 6: 2 3",
            "10: 2 5\n6: 2 3",
        ] {
            assert_eq!(task.parse_variants(completion), ["10: 2 5", "6: 2 3"], "{completion}");
        }
        assert_eq!(task.parse_variants("10:2,5"), ["10:2,5"]);
        assert!(task.parse_variants("I cannot").is_empty());
    }
}
