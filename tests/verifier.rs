//! The verifier of the task `integral` against a truth table, random expressions and hostile text.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod tables;

use std::cell::Cell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use stepladder::task::{Problem, PromptStyle, Task, TaskOptions, Verdict, VerdictKind, create, overlaps};
use tables::{Tally, rows, text};

fn integral() -> Box<dyn Task> {
    create("integral", &TaskOptions::new()).unwrap()
}

fn verify(task: &dyn Task, problem: &str, completion: &str) -> Verdict {
    let problem = Problem::new(problem);
    tables::verify(task, &problem, completion)
}

#[test]
fn truth_table() {
    let task = integral();
    let mut tally = Tally::default();
    for [problem, answer, expected, note] in rows(include_str!("data/verifier.tsv")) {
        let verdict = verify(&*task, problem, &text(answer));
        tally.count(expected, &verdict, &format!("{problem} | {answer} | {note}"));
    }
    tally.finish(200);
}

/// Roots of negative numbers are not real, as in computer algebra; what is wanted may be another root.
#[test]
fn an_integrand_that_is_not_real_is_told() {
    let task = integral();
    for (problem, words) in [
        ("integrate(x^(1/3),x,-1,1)", "the root that is real everywhere is cbrt(x)"),
        ("integrate(x^(2/3),x,-1,0)", "the root that is real everywhere is cbrt(x)"),
        ("integrate(sqrt(x),x,-1,1)", "no real value at x = -"),
        ("integrate(x^(1/2),x,-1,0)", "no real value at x = -"),
        ("integrate(log(x),x,-1,1)", "no real value at x = -"),
    ] {
        let verdict = verify(&*task, problem, "1");
        assert_eq!(verdict.verdict, VerdictKind::Unverifiable, "{problem}");
        assert!(verdict.reason.contains(words), "{problem}: {}", verdict.reason);
    }
    for (problem, answer) in [
        ("integrate(cbrt(x),x,-1,1)", "0"),
        ("integrate(cbrt(x)^2,x,-1,1)", "6/5"),
        ("integrate(x^(1/3),x,0,1)", "3/4"),
    ] {
        assert_eq!(verify(&*task, problem, answer).verdict, VerdictKind::Correct, "{problem}");
    }
    // A number has no constant of integration; what stands between bounds may.
    for (answer, verdict) in [
        ("9", VerdictKind::Correct),
        ("9+C", VerdictKind::Malformed),
        ("9-C", VerdictKind::Malformed),
        ("[x^3/3+C]_0^3=9", VerdictKind::Correct),
    ] {
        assert_eq!(verify(&*task, "integrate(x^2,x,0,3)", answer).verdict, verdict, "{answer}");
    }
}

/// Ten thousand answers by rule, judged elsewhere (`scripts/torture/lies.py`): no lie is taken, and hardly a right one refused.
#[test]
fn lies_are_not_taken_and_right_answers_are() {
    let task = integral();
    let mut problem = "";
    let mut counts: HashMap<(&str, VerdictKind), usize> = HashMap::new();
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    let mut slowest = (Duration::ZERO, "", "");
    for [own, answer, truth] in rows(include_str!("data/lies.tsv")) {
        problem = if own.is_empty() { problem } else { own };
        let start = Instant::now();
        let verdict = verify(&*task, problem, answer);
        if start.elapsed() > slowest.0 {
            slowest = (start.elapsed(), problem, answer);
        }
        *counts.entry((truth, verdict.verdict)).or_default() += 1;
        let row = || format!("{problem} | {answer}: {}", verdict.reason);
        match (truth, verdict.verdict) {
            ("wrong", VerdictKind::Correct) => taken.push(row()),
            ("right", VerdictKind::Wrong | VerdictKind::Malformed) => refused.push(row()),
            ("right" | "wrong" | "either", _) => {}
            _ => panic!("a truth: {truth:?}"),
        }
    }
    println!("{counts:?}; slowest {slowest:?}");
    let count =
        |truth| counts.iter().filter(|((of, _), _)| *of == truth).map(|(_, count)| count).sum::<usize>();
    assert!(counts.values().sum::<usize>() >= 10_000, "{counts:?}");
    assert!(count("right") > 3000 && count("wrong") > 4000, "{counts:?}");
    assert!(taken.is_empty(), "{} lies taken:\n{}", taken.len(), taken.join("\n"));
    assert!(100 * refused.len() < count("right"), "{} refused:\n{}", refused.len(), refused.join("\n"));
    // What cannot be told is no verdict, and must not become the way out.
    let told = counts.get(&("right", VerdictKind::Correct)).copied().unwrap_or(0);
    assert!(100 * told >= 98 * count("right"), "{counts:?}");
    assert!(slowest.0 < Duration::from_secs(1), "{slowest:?}");
}

/// Long and deep answers, which a table cannot hold.
#[test]
fn sizes_are_bounded() {
    let task = integral();
    let sum = |n: usize| vec!["x/1000"; n].join("+");
    assert_eq!(verify(&*task, "1/10", &sum(100)).verdict, VerdictKind::Correct);
    let nested = |n: usize| format!("{}x{}", "(".repeat(n), ")".repeat(n));
    assert_eq!(verify(&*task, "1", &nested(40)).verdict, VerdictKind::Correct);
    for (what, answer) in [
        ("long", sum(1_000_000)),
        ("deep", nested(1_000)),
        ("deeper", nested(100_000)),
        ("open", "(".repeat(100_000)),
        ("bars", "|".repeat(3_000)),
        ("powers", format!("x{}", "^x".repeat(1_500))),
        ("functions", "sin ".repeat(1_000)),
        ("fractions", "\\frac".repeat(800)),
        ("roots", "\\sqrt[".repeat(600)),
        ("braces", "{".repeat(4_000)),
        ("digits", "9".repeat(4_000)),
        ("signs", "-".repeat(4_000)),
        ("tags", "<answer>".repeat(100_000)),
        ("boxes", "\\boxed{".repeat(100_000)),
    ] {
        let verdict = verify(&*task, "1", &answer);
        assert_eq!(verdict.verdict, VerdictKind::Malformed, "{what}: {}", verdict.reason);
        assert!(verdict.reason.len() < 200, "{what}: {}", verdict.reason);
    }
    // As much work as the limits allow: a narrow integrand, searched at every point, against a full answer.
    let narrow = format!("sqrt(1/10000-x^2){}", "+sin(sin(x))*0".repeat(60));
    let full = format!("x{}", "+tan(sin(x))".repeat(180));
    assert_eq!(verify(&*task, &narrow, &full).verdict, VerdictKind::Wrong);
    let unreal = format!("log(-1-x^2){}", "+tan(sin(x))".repeat(180));
    assert_eq!(verify(&*task, &narrow, &unreal).verdict, VerdictKind::Wrong, "by its real part");
    let power = |levels: usize| (0..levels).fold("x".to_owned(), |inner, _| format!("exp({inner})"));
    assert_ne!(verify(&*task, "1", &power(50)).verdict, VerdictKind::Correct);
}

#[test]
fn problem_lists_are_read() {
    let task = integral();
    let read = |text: &str| {
        text.lines().map(|line| serde_json::from_str::<Problem>(line).unwrap()).collect::<Vec<_>>()
    };
    let train = read(include_str!("data/undergraduate_train.jsonl"));
    let test = read(include_str!("data/undergraduate_test.jsonl"));
    let refused = |problems: &[Problem]| -> Vec<String> {
        problems.iter().filter(|p| task.canonical(&p.problem).is_err()).filter_map(|p| p.id.clone()).collect()
    };
    assert_eq!(refused(&train), [""; 0]);
    assert_eq!(refused(&test), ["ug-test-092"], "the published list has one item that is no expression");
    // The published splits overlap in two problems, and in a third one that is written in another way.
    let both: Vec<_> = overlaps(&*task, texts(&test), texts(&train)).iter().map(|o| o.held_out).collect();
    assert_eq!(both, ["cosh(x)**2", "x/(x**2 + 1)", "x**3/(1+x**4)"]);
}

fn texts(problems: &[Problem]) -> impl Iterator<Item = &str> {
    problems.iter().map(|problem| problem.problem.as_str())
}

/// An expression in `x` with its derivative, both as text: differentiation by rules that share no code with the verifier.
#[derive(Debug, Clone)]
struct Pair {
    f: String,
    df: String,
}

fn pair(f: impl Into<String>, df: impl Into<String>) -> Pair {
    Pair { f: f.into(), df: df.into() }
}

fn expressions() -> impl Strategy<Value = Pair> {
    let leaf = prop_oneof![
        Just(pair("x", "1")),
        (2u32..6).prop_map(|n| pair(format!("x^{n}"), format!("{n}*x^{}", n - 1))),
        (2u32..9).prop_map(|n| pair(format!("{n}*x"), n.to_string())),
        (1u32..9).prop_map(|n| pair(format!("(x+{n})"), "1")),
        (1u32..9).prop_map(|n| pair(format!("(x^2+{n})"), "2*x")),
    ];
    leaf.prop_recursive(3, 10, 2, |inner| {
        let function = (inner.clone(), 0usize..14).prop_map(|(Pair { f, df }, which)| match which {
            0 => pair(format!("sin({f})"), format!("cos({f})*({df})")),
            1 => pair(format!("cos({f})"), format!("-sin({f})*({df})")),
            2 => pair(format!("tan({f})"), format!("(1+tan({f})^2)*({df})")),
            3 => pair(format!("exp({f})"), format!("exp({f})*({df})")),
            4 => pair(format!("log({f})"), format!("({df})/({f})")),
            5 => pair(format!("sqrt({f})"), format!("({df})/(2*sqrt({f}))")),
            6 => pair(format!("atan({f})"), format!("({df})/(1+({f})^2)")),
            7 => pair(format!("sinh({f})"), format!("cosh({f})*({df})")),
            8 => pair(format!("cosh({f})"), format!("sinh({f})*({df})")),
            9 => pair(format!("tanh({f})"), format!("({df})/cosh({f})^2")),
            10 => pair(format!("asinh({f})"), format!("({df})/sqrt(1+({f})^2)")),
            11 => pair(format!("1/({f})"), format!("-({df})/({f})^2")),
            12 => pair(format!("({f})^3"), format!("3*({f})^2*({df})")),
            _ => pair(format!("asin(({f})/9)"), format!("({df})/sqrt(81-({f})^2)")),
        });
        let two = (inner.clone(), inner, 0usize..4).prop_map(|(a, b, which)| match which {
            0 => pair(format!("({}+{})", a.f, b.f), format!("({}+{})", a.df, b.df)),
            1 => pair(format!("({}-({}))", a.f, b.f), format!("({}-({}))", a.df, b.df)),
            2 => pair(format!("({})*({})", a.f, b.f), format!("(({})*({})+({})*({}))", a.df, b.f, a.f, b.df)),
            _ => pair(
                format!("({})/({})", a.f, b.f),
                format!("(({})*({})-({})*({}))/({})^2", a.df, b.f, a.f, b.df, b.f),
            ),
        });
        prop_oneof![function, two]
    })
}

fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    )
}

#[test]
fn antiderivatives_are_correct_and_perturbed_ones_never() {
    let task = integral();
    let (correct, judged) = (Cell::new(0u32), Cell::new(0u32));
    let perturbations = (
        prop::sample::select(vec!["x", "sin(x)", "x^2", "cos(3*x)", "atan(x)", "exp(-x^2)", "x^3/(1+x^4)"]),
        prop::sample::select(vec!["0.5", "0.01", "0.001", "1/100000"]),
    );
    runner(1500)
        .run(&(expressions(), perturbations), |(Pair { f, df }, (term, size))| {
            if task.canonical(&df).is_err() {
                // A constant, such as x/x, or a derivative that is real nowhere.
                return Ok(());
            }
            let right = verify(&*task, &df, &f);
            prop_assert!(
                matches!(right.verdict, VerdictKind::Correct | VerdictKind::Unverifiable),
                "{df} | {f}: {right:?}"
            );
            judged.set(judged.get() + 1);
            correct.set(correct.get() + u32::from(right.verdict == VerdictKind::Correct));
            let wrong = verify(&*task, &df, &format!("{f}+{size}*{term}"));
            prop_assert!(wrong.verdict != VerdictKind::Correct, "{df} | {f}+{size}*{term}: {wrong:?}");
            // What was judged correct is wrong with the term, not unverifiable.
            if right.verdict == VerdictKind::Correct {
                prop_assert_eq!(wrong.verdict, VerdictKind::Wrong, "{} | {}+{}*{}", df, f, size, term);
            }
            Ok(())
        })
        .unwrap();
    let rate = f64::from(correct.get()) / f64::from(judged.get());
    println!(
        "{} random antiderivatives: {:.2} % judged correct, the others unverifiable",
        judged.get(),
        100.0 * rate
    );
    assert!(judged.get() > 1200 && rate > 0.993, "{} {rate}", judged.get());
}

#[test]
fn canonical_forms_survive_rewriting() {
    let task = integral();
    runner(300)
        .run(&(expressions(), expressions()), |(a, b)| {
            let forms = [
                format!("({})+({})", a.f, b.f),
                format!("{}+({})", b.f, a.f),
                format!("2*({})*(1/2) + (({}))", b.f, a.f),
            ]
            .map(|problem| task.canonical(&problem));
            prop_assert!(forms.iter().all(|form| form.is_ok() == forms[0].is_ok()), "{forms:?}");
            if forms[0].is_ok() {
                prop_assert!(forms.iter().all(|form| *form == forms[0]), "{} {} {forms:?}", a.f, b.f);
                prop_assert!(
                    task.is_restatement(&format!("{}+{}", a.f, b.f), &format!("-7*({}+{})", b.f, a.f)),
                    "{} {}",
                    a.f,
                    b.f
                );
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn printing_keeps_the_meaning() {
    use stepladder::task::expr::{Grammar, parse};
    let task = integral();
    runner(300)
        .run(&expressions(), |Pair { f, .. }| {
            let printed = parse(&f, Grammar::Expression).unwrap().to_string();
            let again = parse(&printed, Grammar::Expression).unwrap().to_string();
            prop_assert_eq!(&printed, &again);
            prop_assert_eq!(task.canonical(&f), task.canonical(&printed));
            Ok(())
        })
        .unwrap();
}

#[test]
fn arbitrary_text_never_panics_and_is_judged_quickly() {
    let task = integral();
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
        "exp",
        "sqrt",
        "e",
        "pi",
        "C",
        "\\frac",
        "\\sqrt",
        "\\left(",
        "\\right)",
        "\\int",
        "dx",
        "integrate(",
        "<answer>",
        "</answer>",
        "<variant>",
        "</variant>",
        "\\boxed{",
        "\u{b2}",
        "\u{221a}",
        "\u{bd}",
        "$",
        "`",
        "1.",
        "- ",
        "from",
        " to ",
        "_",
        "\\",
        "9e99",
    ]);
    let soup = prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat());
    let text = prop_oneof![3 => soup, 1 => any::<String>(), 1 => "\\PC{0,200}"];
    let check = |text: &str| {
        for completion in [text, &format!("<answer>{text}</answer>"), &format!("\\boxed{{{text}}}")] {
            verify(&*task, "x", completion);
        }
        verify(&*task, text, "x");
        for variant in task.parse_variants(text) {
            // What was read is mostly no problem, and saying so must be as safe as reading it.
            assert!(variant.len() < 1000);
            if task.canonical(&variant).is_ok() {
                assert!(!task.prompt(&variant, PromptStyle::Terse).contains(char::is_whitespace));
            }
        }
    };
    runner(2000)
        .run(&text, |text| {
            check(&text);
            Ok(())
        })
        .unwrap();
}
