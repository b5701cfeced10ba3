//! Where lessons come from beside pairs: conversations, runs, feedback, documents, as their users meet them.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::program::{Files, SHORT, json_lines, learn, model, run, says, text};

/// A file of JSON of the library's only lesson.
fn lesson(library: &str, file: &str) -> Vec<Value> {
    let lessons = Path::new(library).join("lessons");
    let folder = fs::read_dir(lessons).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(folder.join(file)).unwrap();
    match file.ends_with(".jsonl") {
        true => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        false => vec![serde_json::from_str(&text).unwrap()],
    }
}

#[test]
fn what_a_run_solved_is_a_lesson() {
    let files = Files::new();
    let problem = |level: u32, text: &str| format!("{{\"problem\": \"{text}\", \"level\": {level}}}\n");
    let roots = ["2*x", "3*x^2", "cos(x)", "4*x^3", "exp(x)", "5*x^4"].map(|text| problem(1, text)).concat();
    let held_out = ["6*x^5", "7*x^6", "sin(x)", "2*x+1"].map(|text| problem(1, text)).concat();
    let (roots, held_out) = (files.write("roots.jsonl", roots), files.write("held.jsonl", held_out));
    let (first, library) = (files.path("first"), files.path("notes.library"));
    let mut args = vec!["ladder", "-m", "tiny", "--task", "integral", "--json", "--steps", "2"];
    args.extend(["--problems", &roots, "--eval-problems", &held_out, "--output", &first]);
    args.extend(["--prompts-per-step", "6", "--group-size", "4", "--set", "variants.enabled=false"]);
    json_lines(&run(&args));

    let (decided, _) = learn(&[&library, "-m", "tiny", "--run", &first, "--epochs", "3"]);
    assert!(decided["verdict"]["checks"].is_array(), "{decided}");
    let card = &lesson(&library, "lesson.json")[0];
    assert_eq!((card["kind"].as_str(), card["name"].as_str()), (Some("run"), Some("first")), "{card}");
    // Held against what the run itself came to.
    assert!(card["reached"].as_f64().is_some_and(|share| (0.0..=1.0).contains(&share)), "{card}");
    let facts = lesson(&library, "facts.jsonl");
    assert!(!facts.is_empty());
    for fact in &facts {
        assert_eq!(fact["judge"]["task"]["task"], "integral", "{fact}");
        assert_eq!(fact["wordings"].as_array().unwrap().len(), 1, "{fact}");
    }
    let asked = facts.iter().flat_map(|fact| fact["exam"].as_array().unwrap().clone()).collect::<Vec<_>>();
    assert!(asked.len() == 4 && asked.iter().all(|question| question["kind"] == "unseen"), "{asked:?}");
    if decided["state"] != "accepted" {
        run(&["accept", &library]);
    }
    // The same run has nothing new; what the verifier judged nobody corrects.
    let again = run(&["learn", &library, "--run", &first]);
    if decided["state"] == "accepted" || decided["state"] == "cannot_tell" {
        assert!(text(&again.stderr).contains("earlier lessons teach or ask"), "{}", text(&again.stderr));
        let prompt = facts[0]["wordings"][0].as_str().unwrap();
        says(&["learn", &library, "--correct", prompt, "--answer", "7"], &["a run, whose verifier judged"]);
    }
    // A run of other weights is refused before a library is made.
    let other = files.path("other.library");
    says(
        &["learn", &other, "-m", &model("llama"), "--run", &first],
        &["run.json", "base", "other weights (tiny)"],
    );
    assert!(!Path::new(&other).exists());
    says(&["learn", &other, "-m", "tiny", "--run", &files.path("none")], &["run.json", "is missing"]);
}

#[test]
fn conversations_are_learnt_after_their_turns() {
    let files = Files::new();
    let library = files.path("talk.library");
    let turn = |role: &str, content: &str| json!({ "role": role, "content": content });
    let talk = |city: &str, answer: &str| {
        let turns =
            [turn("user", "Hi"), turn("assistant", "Yes?"), turn("user", city), turn("assistant", answer)];
        json!({ "messages": turns }).to_string() + "\n"
    };
    let rows = files.write("talk.jsonl", talk("Where?", "Varna") + &talk("Who?", "Mira"));
    says(&["learn", &files.path("x.library"), "-m", "tiny", "--pairs", &rows], &["chat template"]);
    let (decided, _) = learn(&[&library, "-m", &model("qwen2"), "--pairs", &rows, "--epochs", "1"]);
    assert_eq!(decided["event"], "decided", "{decided}");
    assert_eq!(lesson(&library, "lesson.json")[0]["kind"], "conversations");
    let facts = lesson(&library, "facts.jsonl");
    assert_eq!((facts.len(), facts[0]["before"].as_array().unwrap().len()), (2, 2));
    // The exam asks the last question after the earlier turns, in other words.
    let asked = &facts[0]["exam"][0];
    assert_eq!((asked["before"].as_array().unwrap().len(), asked["kind"].as_str()), (2, Some("reworded")));
}

#[test]
fn thumbs_edits_and_choices_are_learnt() {
    let files = Files::new();
    let row = |question: u32, good: u32, bad: u32| {
        json!({ "prompt": format!("{question}?"), "chosen": good.to_string(), "rejected": bad.to_string() })
            .to_string()
            + "\n"
    };
    let choices: String = (0..8).map(|i| row(100 + 7 * i, 211 + 31 * i, 907 - 41 * i)).collect();
    for loss in ["dpo", "ipo", "kto"] {
        let library = files.path(&format!("{loss}.library"));
        let rows = files.write("rows.jsonl", &choices);
        let args = [&library, "-m", "tiny", "--feedback", &rows, "--preference", loss, "--epochs", "40"];
        let (decided, _) = learn(&[&args[..], &SHORT].concat());
        let card = &lesson(&library, "lesson.json")[0];
        assert_eq!(
            (card["kind"].as_str(), card["preference"]["loss"].as_str()),
            (Some("feedback"), Some(loss))
        );
        // What is better has become likelier than what is worse.
        let learned = decided["verdict"]["checks"][0]["words"].as_str().unwrap().to_owned();
        assert!(learned.starts_with("learned: 4 of 4 right"), "{loss}: {decided}");
    }

    let library = files.path("thumbs.library");
    let down = r#"{"prompt": "5?", "answer": "6", "thumb": "down"}"#;
    let only = files.write("only.jsonl", format!("{down}\n{down}\n"));
    says(
        &["learn", &library, "-m", "tiny", "--feedback", &only],
        &["each of 2 rows is a thumb down", "`edited`"],
    );
    assert!(!Path::new(&library).exists());
    let up = r#"{"prompt": "7?", "answer": "8", "thumb": "up"}"#;
    let both = files.write("both.jsonl", format!("{up}\n{down}\n"));
    let output = run(&["learn", &library, "-m", "tiny", "--feedback", &both, "--epochs", "1"]);
    let error = text(&output.stderr);
    assert!(error.contains("1 row is a thumb down (line 2)") && error.contains("`chosen`"), "{error}");
    let facts = lesson(&library, "facts.jsonl");
    assert_eq!((facts.len(), facts[0]["weight"].as_f64()), (1, Some(0.5)));
}

#[test]
fn a_document_needs_a_model_that_can_read() {
    let files = Files::new();
    let library = files.path("notes.library");
    let notes = files.write("notes.md", "Mira Thorne was born in Varna.\n");
    says(
        &["learn", &library, "-m", "tiny", "--document", &notes],
        &["tiny", "no chat template", "--pairs", "--author"],
    );
    // A random model with a template is tested, and does not pass.
    let qwen = model("qwen2");
    says(
        &["learn", &library, "-m", &qwen, "--document", &notes],
        &["cannot teach itself from a text", "of 20", "--author"],
    );
    assert!(!Path::new(&library).exists());
    let long = files.write("long.md", "word ".repeat(2 << 20));
    says(
        &["learn", &library, "-m", &qwen, "--document", &long],
        &["long.md", "more than 256 kB", "cut it into parts"],
    );
}
