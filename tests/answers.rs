//! How task `jsonl` compares answers: a truth table, hostile text, and lies by rule.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod tables;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use stepladder::task::{Problem, Task, TaskOptions, Verdict, VerdictKind, create};
use tables::{Tally, rows, text};

fn jsonl() -> Box<dyn Task> {
    create("jsonl", &TaskOptions::new()).unwrap()
}

fn verify(task: &dyn Task, known: &str, completion: &str) -> Verdict {
    let problem = Problem { problem: "?".into(), id: None, level: None, answer: Some(known.to_owned()) };
    tables::verify(task, &problem, completion)
}

#[test]
fn truth_table() {
    let task = jsonl();
    let mut tally = Tally::default();
    for [known, answer, expected] in rows(include_str!("data/answers.tsv")) {
        tally.count(expected, &verify(&*task, &text(known), &text(answer)), &format!("{known} | {answer}"));
    }
    tally.finish(2000);
}

/// Long, deep and costly answers are bounded, and none of them is correct.
#[test]
fn hostile_answers_end() {
    let task = jsonl();
    let powers = |plus: &str| (0..60).map(|n| format!("x^{n}{plus}")).collect::<Vec<_>>().join(",");
    for (known, answer) in [
        ("42", "9".repeat(1_000_000)),
        ("42", format!("{}43{}", "(".repeat(4_000), ")".repeat(4_000))),
        ("42", "{".repeat(8_000)),
        ("42", "\\frac".repeat(1_500)),
        ("42", format!("{}2{}", "\\sqrt{".repeat(1_000), "}".repeat(1_000))),
        ("42", format!("{}2", "2^".repeat(190))),
        ("42", "|".repeat(390)),
        ("42", "\\boxed{".repeat(100_000)),
        ("42", "<answer>".repeat(100_000)),
        ("42", "answer is ".repeat(100_000)),
        ("42", "#### ".repeat(100_000)),
        ("42", "A. ".repeat(2_700)),
        ("42", "**".repeat(100_000)),
        ("42", format!("{}43", "a=".repeat(190))),
        ("42", "\\begin{pmatrix}".repeat(500)),
        ("42", "x".repeat(8_000)),
        ("42", "1 ".repeat(4_000)),
        ("42", vec!["x>1"; 60].join(" or ")),
        ("42", "1e2000*1e2000".into()),
        ("42", "1e999999999999".into()),
        ("42", "1e308*10".into()),
        ("42", "10^10^10".into()),
        ("42", "10^(10^(10^10))".into()),
        ("42", "(1+1/10^300)^{500}".into()),
        ("42", "((((10!)!)!)!)!".into()),
        ("42", "\\binom{10^9}{5*10^8}".into()),
        ("42", "\u{301}\0\u{202e}43".into()),
        ("42", "twice ".repeat(1_300) + "43"),
        ("42", "half of ".repeat(1_000) + "43"),
        ("42", "the square root of ".repeat(50) + "43"),
        ("42", "one hundred ".repeat(600)),
        ("42", "43 to the power of ".repeat(50) + "43"),
        ("42", "x squared plus ".repeat(500) + "1"),
        ("42", vec!["forty-three"; 300].join(" or ")),
        ("42", "forty-three, ".repeat(600)),
        ("42", "43 (or ".repeat(1_000)),
        ("42", "43, not ".repeat(1_000)),
        ("42", "(43 ".repeat(2_000)),
        ("42", format!("43{}", "!".repeat(8_000))),
        ("42", format!("The answer is 43{}", "!".repeat(300))),
        ("x", (0..36).map(|n| format!("sin(cos(tan({n}*x)))")).collect::<Vec<_>>().join("+")),
        ("x+1", (1..25).map(|n| format!("(x+y+z+a+b+c)^{n}")).collect::<Vec<_>>().join("+")),
        ("x", "(x+1/97)^200*(x+1/7)^150*(x+1/11)^190".into()),
        (&format!("{{{}}}", powers("")), format!("{{{}}}", powers("+1"))),
    ] {
        for answer in [answer.clone(), format!("<answer>{answer}</answer>")] {
            let verdict = verify(&*task, known, &answer);
            let shown: String = answer.chars().take(60).collect();
            assert_ne!(verdict.verdict, VerdictKind::Correct, "{shown}");
            assert!(
                verdict.reason.len() < 400 && verdict.answer.unwrap_or_default().len() < 1_000,
                "{shown}"
            );
            // The same text as what is known.
            verify(&*task, &answer, known);
        }
    }
}

fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

#[test]
fn arbitrary_text_never_panics() {
    let task = jsonl();
    let pieces = prop::sample::select(vec![
        "x",
        "2",
        "0.5",
        "+",
        "-",
        "*",
        "**",
        "^",
        "/",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "|",
        ",",
        "=",
        " ",
        "\n",
        "sin",
        "log",
        "\\frac",
        "\\sqrt",
        "\\left(",
        "\\right)",
        "<answer>",
        "</answer>",
        "\\boxed{",
        "²",
        "√",
        "½",
        "$",
        "\\$",
        "%",
        "\\%",
        "°",
        "^\\circ",
        "km",
        " or ",
        " and ",
        "<",
        "\\le",
        "\\cup",
        "\\in",
        "\\infty",
        "\\pm",
        ":",
        "A",
        ".",
        "#### ",
        "The answer is ",
        "\\text{",
        "\\{",
        "\\}",
        "\\begin{pmatrix}",
        "\\\\",
        "&",
        "\\end{pmatrix}",
        "!",
        "_",
        "1,000",
        "9e99",
        "i",
        "e",
        "\\pi",
        "am",
        "2024-10-03",
        "seven",
        " half ",
        " a third of ",
        " hundred ",
        " square root of ",
        " squared",
        " over ",
        " plus ",
        " to the power of ",
        " times ",
        "minus ",
        " point ",
        " out of ",
        ", not ",
        " (or ",
        "Therefore, ",
        " is the answer",
        "…",
        "é",
        "\u{200b}",
    ]);
    let soup = prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat());
    let text = prop_oneof![3 => soup, 1 => any::<String>(), 1 => "\\PC{0,200}"];
    runner(3000)
        .run(&(text.clone(), text), |(known, answer)| {
            verify(&*task, &known, &answer);
            let itself = verify(&*task, &known, &known);
            prop_assert!(itself.verdict != VerdictKind::Wrong, "{known:?} is not itself: {itself:?}");
            Ok(())
        })
        .unwrap();
}

/// Numbers of every form against themselves written otherwise, and against a neighbour.
#[test]
fn neighbours_are_never_taken() {
    let task = jsonl();
    runner(800)
        .run(&(any::<i64>(), 1i64..10_000, -9i64..10, 0usize..6), |(n, d, step, form)| {
            let n = n >> (n.unsigned_abs() % 50);
            let other = n.saturating_add(if step == 0 { 1 } else { step });
            let write = |n: i64| match form {
                0 => n.to_string(),
                1 => format!("\\frac{{{n}}}{{{d}}}"),
                2 => format!("$\\boxed{{{n}/{d}}}$"),
                3 => format!("x = {n}"),
                4 => format!("({n}, {d})"),
                _ => format!("{n}x + {d}y"),
            };
            let known = match form {
                1 | 2 => format!("{n}/{d}"),
                4 => format!("\\left({n},{d}\\right)"),
                5 => format!("{d}y{n:+}x"),
                _ => n.to_string(),
            };
            prop_assert_eq!(
                verify(&*task, &known, &write(n)).verdict,
                VerdictKind::Correct,
                "{} {}",
                known,
                write(n)
            );
            if other != n {
                prop_assert_eq!(
                    verify(&*task, &known, &write(other)).verdict,
                    VerdictKind::Wrong,
                    "{} {}",
                    known,
                    write(other)
                );
            }
            Ok(())
        })
        .unwrap();
}
