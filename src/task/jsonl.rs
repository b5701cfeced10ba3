//! Problems of the user's own with known answers, compared as text or as numbers.
//!
//! A variant has no known answer, so problems of this task are trained on as they are: it offers no transformations.

use super::expr::{Branch, Grammar, parse};
use super::text::{last_boxed, last_tag, unwrap_math};
use super::{
    Parameter, Problem, PromptStyle, Task, TaskOptions, VariantKind, VariantRequest, Verdict, VerdictKind,
};
use super::{check_options, option, plain};
use crate::{Error, Result};

const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "match",
        doc: "how answers are compared: `exact` text, `numeric` value, or `auto` (numeric if the known answer is a number)",
        default: "auto",
    },
    Parameter { name: "tolerance", doc: "largest relative error of a numeric answer", default: "1e-6" },
];

/// How answers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    Auto,
    Exact,
    Numeric,
}

/// The task `jsonl`.
#[derive(Debug, Clone, Copy)]
pub struct Jsonl {
    comparison: Match,
    tolerance: f64,
}

impl Jsonl {
    /// Takes `match` and `tolerance`.
    pub fn new(options: &TaskOptions) -> Result<Self> {
        check_options("jsonl", PARAMETERS, options)?;
        let comparison = match option::<String>(PARAMETERS, options, "match")?.as_str() {
            "auto" => Match::Auto,
            "exact" => Match::Exact,
            "numeric" => Match::Numeric,
            other => {
                let problem = format!("`{other}` cannot be used");
                return Err(Error::usage("--task-option match", problem, "give auto, exact or numeric"));
            }
        };
        let tolerance: f64 = option(PARAMETERS, options, "tolerance")?;
        if !(0.0..1.0).contains(&tolerance) {
            let problem = format!("`{tolerance}` is out of range");
            return Err(Error::usage("--task-option tolerance", problem, "give a number from 0 to below 1"));
        }
        Ok(Self { comparison, tolerance })
    }
}

/// The value of a number or a constant expression such as `3/4`, `2*sqrt(3)`, `1,000` or `12 %`.
fn number(text: &str) -> Option<f64> {
    let text = unwrap_math(text);
    let (text, scale) = text.strip_suffix('%').map_or((text, 1.0), |text| (text, 0.01));
    let grouped = text.contains(',')
        && text.split(',').skip(1).all(|group| {
            let digits = group.split('.').next().unwrap_or(group);
            digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit())
        });
    let plain = if grouped { text.replace(',', "") } else { text.to_owned() };
    let plain = plain.trim().trim_start_matches('$');
    let expr = parse(plain, Grammar::Expression).ok().filter(|expr| !expr.has_variable())?;
    Some(scale * expr.eval(0.0, Branch::Real).value).filter(|value| value.is_finite())
}

/// Whether a known answer means a number. Texts that merely could be computed do not: the date `2025-01-02`, the choice `E`.
fn means_number(text: &str) -> bool {
    let text = unwrap_math(text);
    let body = text.trim_start_matches(['-', '+']);
    let literal = body.parse::<f64>().is_ok_and(f64::is_finite);
    let computed = body.len() > 1 && !body.contains('-') && body.matches('/').count() <= 1;
    (literal || computed) && number(text).is_some()
}

fn same_text(left: &str, right: &str) -> bool {
    let words = |text| unwrap_math(text).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    words(left) == words(right)
}

impl Task for Jsonl {
    fn name(&self) -> &'static str {
        "jsonl"
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn prompt(&self, problem: &str, style: PromptStyle) -> String {
        match style {
            PromptStyle::Instruct => plain::prompt(problem),
            PromptStyle::Terse => format!("?{problem}="),
        }
    }

    fn variant_prompt(&self, problem: &str, request: &VariantRequest, style: PromptStyle) -> String {
        plain::variant_prompt(problem, request, "Each must have one definite answer.", problem, style)
    }

    fn transformations(&self, _: VariantKind) -> &'static [&'static str] {
        &[]
    }

    fn parse_variants(&self, completion: &str) -> Vec<String> {
        plain::tagged_variants(completion)
    }

    fn canonical(&self, problem: &str) -> std::result::Result<String, String> {
        plain::canonical(problem)
    }

    fn is_restatement(&self, parent: &str, variant: &str) -> bool {
        plain::canonical(parent) == plain::canonical(variant)
    }

    fn same_answer(&self, _: &Problem, one: &str, other: &str) -> bool {
        let close = |a: f64, b: f64| (a - b).abs() <= self.tolerance * a.abs().max(b.abs());
        match (number(one), number(other)) {
            (Some(a), Some(b)) if self.comparison != Match::Exact => close(a, b),
            _ => same_text(one, other),
        }
    }

    fn verify(&self, problem: &Problem, completion: &str) -> Verdict {
        let Some(known) = &problem.answer else {
            return Verdict::new(VerdictKind::Unverifiable, "the problem has no known `answer`", None);
        };
        let found = last_tag(completion, "answer").or_else(|| last_boxed(completion));
        let text = match found {
            Some(text) => text.trim(),
            None if completion.contains("<answer>") => {
                return Verdict::new(VerdictKind::Malformed, "the <answer> is not closed", None);
            }
            None => completion.trim(),
        };
        if text.is_empty() {
            return Verdict::new(VerdictKind::Malformed, "the answer is empty", None);
        }
        let answer = Some(text.chars().take(200).collect());
        let numeric = match self.comparison {
            Match::Auto => means_number(known),
            Match::Exact => false,
            Match::Numeric => true,
        };
        let expected = if numeric { number(known) } else { None };
        let judge = |equal: bool| if equal { VerdictKind::Correct } else { VerdictKind::Wrong };
        match (expected, self.comparison) {
            (None, Match::Numeric) => {
                let reason =
                    format!("the known answer `{}` is no number", known.chars().take(40).collect::<String>());
                Verdict::new(VerdictKind::Unverifiable, reason, answer)
            }
            (None, _) => {
                let equal = same_text(known, text);
                Verdict::new(
                    judge(equal),
                    if equal { "the known answer" } else { "not the known answer" },
                    answer,
                )
            }
            (Some(expected), _) => match number(text) {
                None => Verdict::new(VerdictKind::Malformed, "the answer is no number", answer),
                Some(value) => {
                    let equal = (value - expected).abs() <= self.tolerance * expected.abs();
                    let relation = if equal { "equals" } else { "differs from" };
                    Verdict::new(judge(equal), format!("{value} {relation} {expected}"), answer)
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn task(options: &[(&str, &str)]) -> Result<Jsonl> {
        Jsonl::new(&options.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn verdict(task: &Jsonl, known: &str, completion: &str) -> VerdictKind {
        let problem = Problem { problem: "?".into(), id: None, level: None, answer: Some(known.into()) };
        task.verify(&problem, completion).verdict
    }

    #[test]
    fn numbers_and_texts() {
        let auto = task(&[]).unwrap();
        for (known, completion, expected) in [
            ("42", "<answer>42</answer>", VerdictKind::Correct),
            ("42", "so it is \\boxed{42}.", VerdictKind::Correct),
            ("42", "42.0", VerdictKind::Correct),
            ("0.75", "<answer>3/4</answer>", VerdictKind::Correct),
            ("0.75", "<answer>\\frac{3}{4}</answer>", VerdictKind::Correct),
            ("1000", "<answer>1,000</answer>", VerdictKind::Correct),
            ("1,234.5", "<answer>$1234.5$</answer>", VerdictKind::Correct),
            ("0", "<answer>0</answer>", VerdictKind::Correct),
            ("0", "<answer>0.0000001</answer>", VerdictKind::Wrong),
            ("42", "<answer>43</answer>", VerdictKind::Wrong),
            ("42", "<answer>42</answer><answer>43</answer>", VerdictKind::Wrong),
            ("42", "<answer>42 or 43</answer>", VerdictKind::Malformed),
            ("42", "it is 42", VerdictKind::Malformed),
            ("42", "<answer>42", VerdictKind::Malformed),
            ("42", "", VerdictKind::Malformed),
            ("42", "<answer>x</answer>", VerdictKind::Malformed),
            ("42", "<answer>1/0</answer>", VerdictKind::Malformed),
            ("Paris", "<answer> Paris. </answer>", VerdictKind::Correct),
            ("New York", "<answer>New  York</answer>", VerdictKind::Correct),
            ("Paris", "<answer>Rome</answer>", VerdictKind::Wrong),
            ("1e-3", "<answer>0.001</answer>", VerdictKind::Correct),
            ("-7", "<answer>-7</answer>", VerdictKind::Correct),
            ("2\\sqrt{3}", "<answer>sqrt(12)</answer>", VerdictKind::Correct),
            ("2025-01-02", "<answer>2025-01-02</answer>", VerdictKind::Correct),
            ("2025-01-02", "<answer>2022</answer>", VerdictKind::Wrong),
            ("E", "<answer>E</answer>", VerdictKind::Correct),
            ("E", "<answer>2.718281828459045</answer>", VerdictKind::Wrong),
        ] {
            assert_eq!(verdict(&auto, known, completion), expected, "{known} | {completion}");
        }
        let exact = task(&[("match", "exact")]).unwrap();
        assert_eq!(verdict(&exact, "42", "42.0"), VerdictKind::Wrong);
        let coarse = task(&[("match", "numeric"), ("tolerance", "0.1")]).unwrap();
        assert_eq!(verdict(&coarse, "100", "109"), VerdictKind::Correct);
        assert_eq!(verdict(&coarse, "100", "111"), VerdictKind::Wrong);
        assert_eq!(verdict(&coarse, "Paris", "Paris"), VerdictKind::Unverifiable);
        let unknown = Problem { problem: "?".into(), id: None, level: None, answer: None };
        assert_eq!(auto.verify(&unknown, "1").verdict, VerdictKind::Unverifiable);
    }

    #[test]
    fn options_are_checked() {
        for (name, value) in [
            ("match", "fuzzy"),
            ("tolerance", "1"),
            ("tolerance", "-1"),
            ("tolerance", "nan"),
            ("tolerance", ""),
        ] {
            let error = task(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
