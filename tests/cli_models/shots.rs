//! `eval --shots`: solved examples in the context, what they cost, and what cannot be done with them.

use serde_json::Value;

use crate::bad_input::fails;
use crate::program::{Files, json, model, run, text};

const SOLVED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/tiny/problems_solved.jsonl");
const PROBLEMS: &str = "{\"problem\": \"2*x\"}\n{\"problem\": \"x+cos(2*x)\"}\n{\"problem\": \"x*exp(x)\"}\n";

fn evaluation(args: &[&str]) -> Value {
    json(
        &run(&[&["eval", "-m", "tiny", "--task", "integral", "--max-tokens", "24", "--json"], args].concat()),
    )
}

#[test]
fn examples_are_shared_and_counted() {
    let files = Files::new();
    let problems = files.write("p.jsonl", PROBLEMS);
    let plain = evaluation(&["--problems", &problems]);
    let with = ["--problems", &problems, "--shots", "2", "--shot-problems", SOLVED];
    let shown = evaluation(&with);
    let number = |answer: &Value, field: &str| answer[field].as_f64().unwrap();
    for (answer, shots) in [(&plain, 0.0), (&shown, 2.0)] {
        assert_eq!((number(answer, "shots"), number(answer, "n")), (shots, 3.0));
        let all = number(answer, "prompt_tokens") + number(answer, "tokens");
        assert!((number(answer, "tokens_per_question") - all / 3.0).abs() < 1e-9);
        let seconds = number(answer, "seconds");
        assert!(seconds > 0.0 && (number(answer, "seconds_per_question") - seconds / 3.0).abs() < 1e-9);
    }
    assert_eq!(plain["prompt_tokens"], plain["prefilled_tokens"]);
    // Whole pages of 16 tokens that the examples fill were computed once for three questions.
    let examples = (number(&shown, "prompt_tokens") - number(&plain, "prompt_tokens")) / 3.0;
    let saved = number(&shown, "prompt_tokens") - number(&shown, "prefilled_tokens");
    assert!(examples > 32.0, "{shown}");
    assert_eq!(saved, 2.0 * 16.0 * (examples / 16.0).floor(), "{shown}");

    // Another seed takes other examples; the same call answers alike but for the time.
    let again = evaluation(&with);
    assert_eq!((&again["problems"], &again["prompt_tokens"]), (&shown["problems"], &shown["prompt_tokens"]));
    let other = |seed: &str| evaluation(&[&with[..], &["--seed", seed]].concat())["prompt_tokens"].clone();
    assert!(["1", "2", "3"].iter().any(|seed| other(seed) != shown["prompt_tokens"]));

    let words = ["eval", "-m", "tiny", "--task", "integral", "--max-tokens", "8"];
    let output = run(&[&words[..], &with].concat());
    let summary = text(&output.stdout);
    assert!(summary.contains(" tokens and ") && summary.contains(" s per question (2 shots"), "{summary}");
}

#[test]
fn chat_models_see_examples_as_earlier_turns() {
    let files = Files::new();
    let problems = files.write(
        "p.jsonl",
        "{\"problem\": \"1+2\", \"answer\": \"3\"}\n{\"problem\": \"2+2\", \"answer\": \"4\"}\n",
    );
    let solved = files.write("s.jsonl", "{\"problem\": \"4*5\", \"answer\": \"20\"}\n");
    let qwen = model("qwen2");
    let eval = ["eval", "-m", &qwen, "--task", "jsonl", "--max-tokens", "4", "--problems", &problems];
    let plain = json(&run(&[&eval[..], &["--json"]].concat()));
    let shown = json(&run(&[&eval[..], &["--json", "--shots", "1", "--shot-problems", &solved]].concat()));
    let tokens = |answer: &Value, field: &str| answer[field].as_u64().unwrap();
    // One more turn as long as the question, before both.
    assert!(2 * tokens(&shown, "prompt_tokens") > 3 * tokens(&plain, "prompt_tokens"), "{shown}");
    assert_eq!(plain["prompt_tokens"], plain["prefilled_tokens"], "the prompts differ from the start");
    assert!(tokens(&shown, "prefilled_tokens") < tokens(&shown, "prompt_tokens"), "{shown}");
}

#[test]
fn examples_that_cannot_be_used() {
    let files = Files::new();
    let problems = files.write("p.jsonl", PROBLEMS);
    let eval = ["eval", "-m", "tiny", "--task", "integral", "--problems", &problems, "--shots"];
    let with = |shots: &str, lines: &str, status: i32, words: &[&str]| {
        let solved = files.write("s.jsonl", lines);
        fails(&[&eval[..], &[shots, "--shot-problems", &solved]].concat(), status, words);
    };
    let good = "{\"problem\": \"x^2\", \"answer\": \"x^3/3\"}\n";
    let asked = "{\"problem\": \"x+x\", \"answer\": \"x^2\"}\n";
    with("2", good, 2, &["--shots", "is 2", "1 solved problems", "at most 1"]);
    with("2", &[good, asked].concat(), 2, &["2 solved problems", "1 of them", "at most 1"]);
    with("1", &[good, "{\"problem\": \"x^4\"}\n"].concat(), 1, &["s.jsonl", "line 2", "no `answer`"]);
    let wrong = "\n{\"problem\": \"x^4\", \"answer\": \"x^4\"}\n";
    with("1", &[good, wrong].concat(), 1, &["s.jsonl", "line 3", "`x^4` is wrong", "correct it"]);
    with("1", "", 1, &["s.jsonl"]);
    let absent = files.path("absent");
    fails(&[&eval[..], &["1", "--shot-problems", &absent]].concat(), 1, &["absent", "cannot read"]);
    let many = [&eval[..], &["12", "--shot-problems", SOLVED]].concat();
    fails(&many, 1, &["after 12 solved examples", "the context holds 256", "lower --shots"]);
    for alone in [&["1"][..], &["1", "--max-tokens", "3"]] {
        let output = run(&[&eval[..], alone].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("--shot-problems"), "{}", text(&output.stderr));
    }
}
