//! Problems of the user's own with known answers, compared by what they mean ([`super::answer`]).
//!
//! A variant has no known answer, so problems of this task are trained on as they are: it offers no transformations.

use super::answer::{Found, Same, find, judge};
use super::text::unwrap_math;
use super::{Parameter, Problem, Task, TaskOptions, Verdict, VerdictKind};
use super::{check_options, option};
use crate::{Error, Result};

const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "match",
        doc: "how answers are compared: `auto` by text or by value, `numeric` by value alone, `exact` by text alone",
        default: "auto",
    },
    Parameter {
        name: "tolerance",
        doc: "relative error of a number that is still correct; 0 compares exact numbers exactly and decimals by their digits",
        default: "0",
    },
];
/// Characters of an answer in a reason.
const SHOWN: usize = 60;
/// Characters of an answer in a verdict.
const MAX_LOGGED: usize = 200;

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
                return Err(Error::usage("task_option match", problem, "give auto, exact or numeric"));
            }
        };
        let tolerance: f64 = option(PARAMETERS, options, "tolerance")?;
        if !(0.0..1.0).contains(&tolerance) {
            let problem = format!("`{tolerance}` is out of range");
            return Err(Error::usage("task_option tolerance", problem, "give a number from 0 to below 1"));
        }
        Ok(Self { comparison, tolerance })
    }

    /// The known answer to `problem`, or why there is none.
    fn known(&self, problem: &Problem) -> std::result::Result<Found, String> {
        let known = problem.answer.as_deref().ok_or("the problem has no known `answer`")?;
        let known = find(known).map_err(|reason| format!("the known answer cannot be read: {reason}"))?;
        if self.comparison == Match::Numeric && !known.is_number() {
            return Err(format!("the known answer `{}` is no number", start(&known.text)));
        }
        Ok(known)
    }
}

/// Whether two texts are the same without the white space and marks around them.
fn same_text(left: &str, right: &str) -> bool {
    let words = |text| unwrap_math(text).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    words(left) == words(right)
}

/// The start of a text, for messages.
fn start(text: &str) -> String {
    let mut start: String = text.chars().take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        start.push('…');
    }
    start
}

impl Task for Jsonl {
    fn name(&self) -> &'static str {
        "jsonl"
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn judgeable(&self, problem: &Problem) -> std::result::Result<(), String> {
        self.known(problem).map(|_| ())
    }

    fn same_answer(&self, _: &Problem, one: &str, other: &str) -> bool {
        match (self.comparison, find(one), find(other)) {
            (Match::Auto | Match::Numeric, Ok(one), Ok(other)) => {
                judge(&one, &other, self.tolerance) == Same::Yes
            }
            _ => same_text(one, other),
        }
    }

    fn verify(&self, problem: &Problem, completion: &str) -> Verdict {
        let known = match self.known(problem) {
            Ok(known) => known,
            Err(reason) => return Verdict::new(VerdictKind::Unverifiable, reason, None),
        };
        let found = match find(completion) {
            Ok(found) => found,
            Err(reason) => return Verdict::new(VerdictKind::Malformed, reason, None),
        };
        let answer = Some(found.text.chars().take(MAX_LOGGED).collect());
        let same = match self.comparison {
            Match::Exact => Same::from(same_text(&known.text, &found.text)),
            Match::Auto | Match::Numeric => judge(&known, &found, self.tolerance),
        };
        let (known_text, found_text) = (start(&known.text), start(&found.text));
        let (verdict, reason) = match same {
            Same::Yes => (VerdictKind::Correct, format!("`{found_text}` is the known answer `{known_text}`")),
            Same::No => {
                (VerdictKind::Wrong, format!("`{found_text}` is not the known answer `{known_text}`"))
            }
            Same::Unknown if known.is_number() && found.is_mere_text() => {
                (VerdictKind::Malformed, format!("there is no number in `{found_text}`"))
            }
            Same::Unknown => (
                VerdictKind::Unverifiable,
                format!("whether `{found_text}` is the known answer `{known_text}` cannot be told"),
            ),
        };
        Verdict::new(verdict, reason, answer)
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
            ("0", "<answer>0.0000001</answer>", VerdictKind::Wrong),
            ("42", "<answer>42</answer><answer>43</answer>", VerdictKind::Wrong),
            ("42", "<answer>42", VerdictKind::Malformed),
            ("42", "", VerdictKind::Malformed),
            ("42", "<answer>who knows</answer>", VerdictKind::Malformed),
            ("Paris", "<answer> Paris. </answer>", VerdictKind::Correct),
            ("Paris", "<answer>Rome</answer>", VerdictKind::Wrong),
            ("12345678", "12345679", VerdictKind::Wrong),
            ("<answer>", "42", VerdictKind::Unverifiable),
            (" ", "42", VerdictKind::Unverifiable),
        ] {
            assert_eq!(verdict(&auto, known, completion), expected, "{known} | {completion}");
        }
        let exact = task(&[("match", "exact")]).unwrap();
        assert_eq!(verdict(&exact, "42", "42.0"), VerdictKind::Wrong);
        assert_eq!(verdict(&exact, "42", "\\boxed{42}"), VerdictKind::Correct);
        let coarse = task(&[("match", "numeric"), ("tolerance", "0.1")]).unwrap();
        assert_eq!(verdict(&coarse, "100", "109"), VerdictKind::Correct);
        assert_eq!(verdict(&coarse, "100", "111"), VerdictKind::Wrong);
        assert_eq!(verdict(&coarse, "Paris", "Paris"), VerdictKind::Unverifiable);
        let unknown = Problem::new("?");
        assert_eq!(auto.verify(&unknown, "1").verdict, VerdictKind::Unverifiable);
        assert!(auto.same_answer(&unknown, "1/2", "0.5") && !auto.same_answer(&unknown, "1/2", "0.6"));
        assert!(!exact.same_answer(&unknown, "1/2", "0.5"));
    }

    #[test]
    fn problems_without_answers_are_told() {
        let auto = task(&[]).unwrap();
        let problem = |answer: Option<&str>| Problem {
            problem: "2+2".into(),
            id: None,
            level: None,
            answer: answer.map(str::to_owned),
        };
        let file = crate::task::Origin::File(std::path::Path::new("p.jsonl"));
        let some = [problem(None), problem(Some("4"))];
        assert_eq!(crate::task::check_problems(&auto, file, &some).unwrap().len(), 1);
        let error = crate::task::check_problems(&auto, file, &some[..1]).unwrap_err().to_string();
        assert!(error.contains("p.jsonl") && error.contains("no known `answer`"), "{error}");
        let numeric = task(&[("match", "numeric")]).unwrap();
        assert!(numeric.judgeable(&problem(Some("apples, or so it seems"))).is_err());
        assert!(auto.judgeable(&problem(Some("four apples or so"))).is_ok());
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
