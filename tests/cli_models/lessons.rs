//! A library of lessons as its users meet it: learnt, kept, corrected, taken back, killed and resumed.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::program::{Files, SHORT, command, json, json_lines, learn, learn_new, model, run, says, text};

/// Pairs of numbers, all different from those of another `start`.
fn book(files: &Files, name: &str, start: u32, count: u32) -> String {
    let line = |i: u32| {
        format!(
            "{{\"question\": \"{}?\", \"answer\": \"{}\"}}\n",
            start + 7 * i,
            100 + (start * 31 + 397 * i * i) % 900
        )
    };
    files.write(name, (0..count).map(line).collect::<String>())
}

fn board(library: &str) -> Value {
    json(&run(&["board", "--json", library]))
}

fn answer(library: &str, question: &str) -> String {
    let args = [
        "generate",
        "--json",
        "--library",
        library,
        "-p",
        question,
        "--temperature",
        "0",
        "--max-tokens",
        "6",
    ];
    json(&run(&args))["completions"][0]["text"].as_str().unwrap().to_owned()
}

#[test]
fn a_lesson_is_learnt_kept_corrected_and_taken_back() {
    let files = Files::new();
    let library = files.path("notes.library");
    let (first, second) = (book(&files, "first.jsonl", 100, 12), book(&files, "second.jsonl", 501, 12));
    let question = "100?";
    let before = json(&run(&[
        "generate",
        "--json",
        "-m",
        "tiny",
        "-p",
        question,
        "--temperature",
        "0",
        "--max-tokens",
        "6",
    ]));
    let (decided, status) = learn_new(&library, &first);
    assert_eq!((decided["state"].as_str(), status), (Some("accepted"), Some(0)), "{decided}");
    let head = decided["head"].as_str().unwrap().to_owned();
    let taught: Value =
        serde_json::from_str(fs::read_to_string(&first).unwrap().lines().next().unwrap()).unwrap();
    assert_eq!(answer(&library, question), taught["answer"].as_str().unwrap());

    // The same pairs again teach nothing, other answers contradict.
    says(&["learn", &library, "--pairs", &first], &["all 12 pairs are taught"]);
    let other = files.write("other.jsonl", format!("{{\"question\": \"{question}\", \"answer\": \"7\"}}\n"));
    says(&["learn", &library, "--pairs", &other], &["line 1", "lesson 1 (first)", "--supersede"]);
    // What a library was made with stays.
    says(&["learn", &library, "--pairs", &second, "--rank", "4"], &["--rank", "keeps"]);

    let (decided, status) = learn(&[&library, "--pairs", &second, "--name", "More numbers"]);
    assert_eq!((decided["state"].as_str(), status), (Some("accepted"), Some(0)), "{decided}");
    let shown = board(&library);
    assert_eq!(shown["lessons"].as_array().unwrap().len(), 2);
    let text_board = run(&["board", &library]);
    let text_board = text(&text_board.stdout);
    assert!(text_board.contains("More numbers"), "{text_board}");
    assert!(text_board.lines().all(|line| line.chars().count() <= 80), "{text_board}");
    let page = files.path("board.html");
    assert!(run(&["board", &library, "--html", &page]).status.success());
    assert!(fs::read_to_string(&page).unwrap().contains("More numbers"));
    says(&["board", &library, "--html", &page], &["exists", "--overwrite"]);
    let ledger = format!("{library}/ledger.jsonl");
    says(&["board", &library, "--html", &ledger, "--overwrite"], &["is part of", "not replaced"]);

    // One question is too small an exam for the gate: the lesson waits for a person. What must stay is asked before and after.
    let near = files.write("near.jsonl", "{\"question\": \"501?\"}\n");
    let both = files.write("both.jsonl", "{\"question\": \"501?\", \"answer\": \"1\"}\n");
    let correction = ["--correct", question, "--answer", "7", "--neighbours"];
    says(&[&["learn", &library], &correction[..], &[&both]].concat(), &["line 1", "`answer`"]);
    let (decided, status) = learn(&[&[library.as_str()], &correction[..], &[&near]].concat());
    assert_eq!((decided["state"].as_str(), status), (Some("cannot_tell"), Some(4)), "{decided}");
    let checks = decided["verdict"]["checks"].as_array().unwrap();
    let stays = checks.iter().find(|check| check["name"] == "neighbours").unwrap();
    assert!(stays["words"].as_str().unwrap().contains("1 of 1 answers are as before"), "{stays}");
    says(&["learn", &library, "--pairs", &other], &["is not decided yet"]);
    says(&["rollback", &library], &["is not decided yet"]);
    assert!(run(&["accept", &library]).status.success());
    assert_eq!(answer(&library, question), "7");
    let taken = json(&run(&["rollback", "--json", &library]));
    assert_eq!(taken["lessons"], serde_json::json!([3]));
    // Back to the first lesson: the same head, bit for bit, and then to the base.
    let taken = json(&run(&["rollback", "--json", &library, "2"]));
    assert_eq!(taken["head"].as_str(), Some(head.as_str()));
    assert_eq!(answer(&library, question), taught["answer"].as_str().unwrap());
    json(&run(&["rollback", "--json", &library]));
    assert_eq!(answer(&library, question), before["completions"][0]["text"].as_str().unwrap());
    says(&["rollback", &library], &["nothing to take back"]);
}

#[test]
fn what_was_killed_goes_on_with_the_same_bits() {
    let files = Files::new();
    let pairs = book(&files, "numbers.jsonl", 100, 12);
    let whole = files.path("whole.library");
    let short = [&["--epochs", "12"], &SHORT[..]].concat();
    let (decided, status) = learn(&[&[whole.as_str(), "-m", "tiny", "--pairs", &pairs], &short[..]].concat());
    let lesson = |library: &str| Path::new(library).join("lessons/0001-numbers");
    assert!(status.is_some() && decided["lesson"] == 1, "{decided}");
    let killed = files.path("killed.library");
    let args = [&["learn", "--json", "--yes", killed.as_str(), "-m", "tiny", "--pairs", &pairs], &short[..]]
        .concat();
    let mut child = command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let state = lesson(&killed).join("state.safetensors");
    let began = Instant::now();
    while !state.exists() && began.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(state.exists(), "no checkpoint");
    // Somebody else cannot write meanwhile, and anybody can look.
    says(&["reject", &killed], &["another process"]);
    assert_eq!(board(&killed)["lessons"].as_array().unwrap().len(), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    says(&["accept", &killed], &["not examined yet"]);
    let (resumed, again) = learn(&[&killed]);
    assert_eq!((again, &resumed["state"]), (status, &decided["state"]));
    assert_eq!(resumed["head"], decided["head"]);
    assert!(!state.exists());
    let result = |library: &str| {
        let file = format!("results/{}.json", decided["head"].as_str().unwrap());
        let sitting: Value = serde_json::from_slice(&fs::read(lesson(library).join(file)).unwrap()).unwrap();
        sitting["outcomes"].clone()
    };
    assert_eq!(result(&killed), result(&whole));
}

#[test]
fn what_is_damaged_or_wrong_is_said() {
    let files = Files::new();
    let library = files.path("notes.library");
    let pairs = book(&files, "numbers.jsonl", 100, 6);
    says(&["learn", &library, "-m", "tiny"], &["is no library yet"]);
    says(&["learn", &library, "--pairs", &pairs], &["--model", "name the model"]);
    says(&["board", &library], &["is no library", "stepladder learn"]);
    let leak = files.write("leak.jsonl", "{\"question\": \"5?\", \"answer\": \"6\", \"exam\": \"5\"}\n");
    says(&["learn", &library, "-m", "tiny", "--pairs", &leak], &["line 1", "which line 1 teaches"]);
    let full = files.write("full/file", "x");
    says(&["learn", &files.path("full"), "-m", "tiny", "--pairs", &pairs], &["holds no library"]);
    assert!(Path::new(&full).exists());
    assert!(!Path::new(&library).exists());

    let (decided, _) = learn_new(&library, &pairs);
    let head = decided["head"].as_str().unwrap().to_owned();
    if decided["state"] != "accepted" {
        assert!(run(&["accept", &library]).status.success(), "{decided}");
    }
    // Another base, in whatever way it is named.
    let other = model("llama");
    says(&["generate", "-m", &other, "--library", &library, "-p", "5?"], &["weights", "notes.library"]);
    says(&["exam", &library, "-m", &other], &["weights"]);
    says(&["exam", &library, "--weights", "q8"], &["--weights", "is q8", "was made with"]);
    says(&["generate", "--library", &library, "--lesson", "9", "-p", "5?"], &["no lesson 9", "1"]);
    // A ledger whose last line was cut.
    let ledger = Path::new(&library).join("ledger.jsonl");
    let bytes = fs::read(&ledger).unwrap();
    fs::write(&ledger, &bytes[..bytes.len() - 5]).unwrap();
    let output = run(&["board", &library]);
    assert!(output.status.success() && text(&output.stderr).contains("was cut"), "{}", text(&output.stderr));
    assert!(run(&["accept", &library]).status.success());
    assert_eq!(board(&library)["heads"].as_array().unwrap().last().unwrap()["hash"], head.as_str());
    // Notes in the context instead of weights, kept beside.
    let asked = json_lines(&run(&["exam", "--json", &library, "--retrieve", "2"]));
    assert_eq!(asked.last().unwrap()["by"], "retrieve-2");
    // A head that was changed, and one that is gone.
    let weights = Path::new(&library).join("heads").join(&head).join("adapter_model.safetensors");
    let mut damaged = fs::read(&weights).unwrap();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    fs::write(&weights, damaged).unwrap();
    says(&["generate", "--library", &library, "-p", "5?"], &["damaged", "rollback"]);
    fs::remove_dir_all(Path::new(&library).join("heads").join(&head)).unwrap();
    says(&["generate", "--library", &library, "-p", "5?"], &["is missing", "consolidate"]);
    // It can be made anew, from what was taught.
    let made = json_lines(&run(&["consolidate", "--json", &library]));
    assert_eq!(made.last().unwrap()["lessons"], serde_json::json!([1]));
    assert!(run(&["generate", "--library", &library, "-p", "5?", "--max-tokens", "4"]).status.success());
    let made = json_lines(&run(&["consolidate", "--json", &library, "--without", "1"]));
    assert!(made.last().unwrap()["head"].is_null());
}

/// A library goes to another place as one file, and answers there as it did.
#[test]
fn a_library_is_carried_as_one_file() {
    let files = Files::new();
    let library = files.path("notes.library");
    let question = "100?";
    let pair = files.write("pair.jsonl", "{\"question\": \"100?\", \"answer\": \"7\"}\n");
    learn_new(&library, &pair);
    assert!(run(&["accept", &library]).status.success());
    let (zip, there) = (files.path("notes.zip"), files.path("there.library"));
    let packed = json(&run(&["pack", "--json", &library, "--output", &zip]));
    assert_eq!((packed["event"].as_str(), packed["lessons"].as_u64()), (Some("packed"), Some(1)), "{packed}");
    assert!(packed["head"].is_string(), "{packed}");
    says(&["pack", &library, "--output", &zip], &["exists", "--overwrite"]);
    assert!(run(&["pack", &library, "--output", &zip, "--overwrite"]).status.success());
    let ledger = format!("{library}/ledger.jsonl");
    says(&["pack", &library, "--output", &ledger, "--overwrite"], &["is part of", "not replaced"]);

    let unpacked = run(&["unpack", &zip, "--output", &there]);
    assert_eq!(text(&unpacked.stdout).trim(), format!("1 lesson for tiny in {there}"));
    assert_eq!(answer(&there, question), answer(&library, question));
    says(&["unpack", &zip, "--output", &there], &["not an empty folder", "--overwrite"]);
    assert!(run(&["unpack", &zip, "--output", &there, "--overwrite"]).status.success());
    // It goes on there; the two are then different libraries.
    assert!(run(&["rollback", &there]).status.success());
    assert_ne!(answer(&there, question), "7");
    assert_eq!(answer(&library, question), "7");
    // What a person keeps beside a library is not lost to another one.
    files.write("there.library/mine.txt", "mine");
    says(&["unpack", &zip, "--output", &there, "--overwrite"], &["mine.txt", "did not make"]);
    says(&["unpack", &library, "--output", &files.path("x")], &["notes.library"]);
    says(&["unpack", &ledger, "--output", &files.path("x")], &["no ZIP archive"]);
    assert!(!Path::new(&files.path("x")).exists());
}
