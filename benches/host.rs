//! What runs on the CPU between rollouts: judging answers, telling problems apart, tokenizing.

#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use stepladder::model::open::open;
use stepladder::task::{self, Problem, TaskOptions};

fn problem(text: &str) -> Problem {
    Problem { problem: text.into(), id: None, level: None, answer: None }
}

fn verifier(criterion: &mut Criterion) {
    let integral = task::create("integral", &TaskOptions::new()).unwrap();
    let cases = [
        ("right", "x*exp(x)", "x*exp(x) - exp(x) + C"),
        ("wrong", "x*exp(x)", "x^2*exp(x)/2"),
        ("right, singular", "1/(x^2+x)", "ln|x| - ln|x+1|"),
        ("malformed", "x*exp(x)", "the answer is clearly exp of x"),
    ];
    for (name, integrand, answer) in cases {
        let problem = problem(integrand);
        criterion.bench_function(&format!("integral, {name}"), |b| {
            b.iter(|| integral.verify(black_box(&problem), black_box(answer)));
        });
    }
    criterion.bench_function("integral, identity of a problem", |b| {
        b.iter(|| integral.canonical(black_box("(x + 1)^2 * sin(3*x) / 2")));
    });
}

fn tokenizer(criterion: &mut Criterion) {
    let tiny = open("tiny").unwrap();
    let text = "integrate x^2*cos(3*x) + exp(-x)/(1 + x^2), then 3*sin(x)^2 ".repeat(8);
    criterion.bench_function("tokenize 480 characters", |b| {
        b.iter(|| tiny.tokenizer.encode(black_box(&text), false));
    });
}

criterion_group!(host, verifier, tokenizer);
criterion_main!(host);
