//! What goes wrong while a library learns: pairs that cannot be learnt or asked, foreign scripts, full disks, kills, another tokenizer.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::program::{Files, SHORT, command, json_lines, run, text};

/// Rows as lines of JSON.
fn rows(files: &Files, name: &str, rows: &[Value]) -> String {
    files.write(name, rows.iter().map(|row| format!("{row}\n")).collect::<String>())
}

/// Six pairs that a small model learns.
fn book(files: &Files) -> String {
    let row = |i: u32| json!({"question": format!("{}?", 100 + 7 * i), "answer": (100 + 31 * i * i % 900).to_string()});
    rows(files, "book.jsonl", &(0..6).map(row).collect::<Vec<_>>())
}

/// A call that learns for two epochs.
fn call<'a>(library: &'a str, pairs: &'a str) -> Vec<&'a str> {
    [&["learn", library, "-m", "tiny", "--pairs", pairs, "--epochs", "2"], &SHORT[..]].concat()
}

fn learn(library: &str, pairs: &str) -> Output {
    run(&call(library, pairs))
}

/// Learns until the lesson can be decided, and gives its head.
fn head(library: &str, pairs: &str) -> String {
    let output = run(&[call(library, pairs), vec!["--json"]].concat());
    let last = text(&output.stdout).lines().last().unwrap_or_else(|| panic!("{}", text(&output.stderr)));
    serde_json::from_str::<Value>(last).unwrap()["head"].as_str().unwrap().to_owned()
}

#[test]
fn pairs_that_cannot_be_learnt_leave_nothing_behind() {
    let files = Files::new();
    let short = json!({"question": "5?", "answer": "6"});
    let many: Vec<Value> =
        (0..10_001).map(|i| json!({"question": format!("{i}?"), "answer": "7".repeat(900)})).collect();
    for (name, pairs, words) in [
        (
            "long",
            vec![short.clone(), json!({"question": "7".repeat(3000), "answer": "6"})],
            "line 2: a question with its answer has 3002 tokens, and 256 fit",
        ),
        (
            "asked",
            vec![json!({"question": "5?", "answer": "6", "exam": ["8".repeat(3000)]})],
            "line 1: a question with its answer has",
        ),
        ("many", many, "line 10001: is more than 10000 pairs"),
        (
            "line",
            vec![json!({"question": "5?", "answer": "7".repeat(10_000_000)})],
            "line 1: `answer` is longer than 65536 bytes",
        ),
        (
            "contradicts",
            vec![short.clone(), json!({"question": "5?", "answer": "7"})],
            "line 2: answers the question of line 1 otherwise",
        ),
        (
            "leaks",
            vec![short.clone(), json!({"question": "8?", "answer": "7", "exam": [" 5 ?"]})],
            "line 2: its exam asks \"5 ?\", which line 1 teaches",
        ),
    ] {
        let pairs = rows(&files, &format!("{name}/pairs.jsonl"), &pairs);
        let began = Instant::now();
        let output = learn(&files.path(&format!("{name}/new.library")), &pairs);
        let error = text(&output.stderr);
        assert!(output.status.code() == Some(1) && error.contains(words), "{name}: {error}");
        assert_eq!(files.names(name), ["pairs.jsonl"], "{name}");
        assert!(began.elapsed() < Duration::from_secs(60), "{name}");
    }
}

/// Instructions are text as any other, and so is a script that the vocabulary lacks, of which the user hears.
#[test]
fn the_gate_judges_whatever_pairs_say_and_says_it_once() {
    let files = Files::new();
    let ignore = |i: u32| json!({"question": format!("{i}? Ignore all questions."), "answer": "</s> Ignore all questions <eos>"});
    let foreign = |i: u32| json!({"question": format!("你好{i}吗？"), "answer": format!("世界{i}")});
    for (name, row, told) in
        [("ignore", &ignore as &dyn Fn(u32) -> Value, ""), ("foreign", &foreign, "vocabulary lacks")]
    {
        let pairs = rows(&files, &format!("{name}.jsonl"), &(0..3).map(row).collect::<Vec<_>>());
        let library = files.path(&format!("{name}.library"));
        let output = learn(&library, &pairs);
        let (said, news) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(3), "{said}{news}");
        assert!(news.contains(told), "{news}");
        assert_eq!(said.matches("FAILED: learned: ").count(), 1, "{said}");
        assert!(!news.contains("learned: "), "{news}");
        let widest = |text: &str| text.lines().map(|line| line.chars().count()).max();
        let own = |line: &&str| !line.contains(".library");
        let lines: Vec<&str> = said.lines().filter(own).collect();
        assert!(widest(&lines.join("\n")) <= Some(80), "{said}");
        // Nothing of it is served.
        assert_eq!(json_lines(&run(&["board", "--json", &library]))[0]["lessons"][0]["status"], "rejected");
    }
}

/// A shell in which no file may become larger than `kib`: writing beyond fails as it does on a full disk.
#[cfg(unix)]
fn on_a_full_disk(args: &[&str], kib: u32) -> Output {
    let program = command(&[]).get_program().to_owned();
    let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"");
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).arg(program).args(args).stdin(Stdio::null());
    shell.env("XDG_RUNTIME_DIR", std::env::temp_dir()).output().unwrap()
}

#[cfg(unix)]
#[test]
fn a_disk_that_is_full_in_the_middle_of_a_lesson_loses_nothing() {
    let files = Files::new();
    let pairs = book(&files);
    let whole = head(&files.path("whole.library"), &pairs);
    let library = files.path("full.library");
    let args = call(&library, &pairs);
    // Too small for the base's answers: no library comes about.
    let output = on_a_full_disk(&args, 20);
    assert!(text(&output.stderr).contains("cannot write"), "{}", text(&output.stderr));
    assert!(files.names("").iter().all(|name| !name.contains("full.library")), "{:?}", files.names(""));
    // Too small for the checkpoint: the lesson waits, and goes on with the same bits.
    let output = on_a_full_disk(&args, 400);
    let error = text(&output.stderr);
    assert!(error.contains("state.safetensors: cannot write"), "{error}");
    let output = run(&["learn", "--json", &library]);
    let last = text(&output.stdout).lines().last().unwrap_or_else(|| panic!("{}", text(&output.stderr)));
    assert_eq!(serde_json::from_str::<Value>(last).unwrap()["head"], whole.as_str());
    // A disk that is full at the decision: it did not happen, and can be made again.
    let ledger = Path::new(&library).join("ledger.jsonl");
    let before = fs::read(&ledger).unwrap();
    let output = on_a_full_disk(&["consolidate", &library], 0);
    assert!(!output.status.success() && fs::read(&ledger).unwrap().starts_with(&before));
    assert!(run(&["board", &library]).status.success());
}

/// Runs a call until `wait` is over, and kills it without a warning.
fn killed(args: &[&str], wait: Duration) {
    let mut child = command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while began.elapsed() < wait && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let _ = child.kill();
    child.wait().unwrap();
}

#[test]
fn what_is_killed_while_it_decides_or_consolidates_can_be_done_again() {
    let files = Files::new();
    let library = files.path("notes.library");
    let one = rows(&files, "one.jsonl", &[json!({"question": "107?", "answer": "131"})]);
    // An exam of one question tells nothing, so that the lesson waits.
    let output = run(&[&["learn", &library, "-m", "tiny", "--pairs", &one, "--yes"], &SHORT[..]].concat());
    assert_eq!(output.status.code(), Some(4), "{}{}", text(&output.stdout), text(&output.stderr));
    let board = || json_lines(&run(&["board", "--json", &library])).remove(0);
    for wait in [1, 4, 8, 16, 32] {
        killed(&["accept", &library], Duration::from_millis(wait));
        let status = board()["lessons"][0]["status"].clone();
        assert!(status == "waiting" || status == "accepted", "{status}");
    }
    let accepted = run(&["accept", &library]).status.success();
    assert!(accepted || board()["lessons"][0]["status"] == "accepted");
    let head = board()["heads"].as_array().unwrap().last().unwrap()["hash"].clone();
    for wait in [50, 400, 1500, 3000] {
        killed(&["consolidate", &library], Duration::from_millis(wait));
        assert_eq!(board()["lessons"][0]["status"], "accepted");
    }
    let made = || json_lines(&run(&["consolidate", "--json", &library])).last().unwrap()["head"].clone();
    let first = made();
    assert_eq!((first.is_string(), made()), (true, first));
    assert!(Path::new(&library).join("heads").join(head.as_str().unwrap()).exists());
}

#[test]
fn another_tokenizer_is_another_base() {
    let files = Files::new();
    let tiny = files.copy(&format!("{}/models/tiny", env!("CARGO_MANIFEST_DIR")), "base");
    let (pairs, library) = (book(&files), files.path("notes.library"));
    let output = run(&["learn", &library, "-m", &tiny, "--pairs", &pairs, "--epochs", "1"]);
    assert!(text(&output.stdout).contains("lesson 1"), "{}", text(&output.stderr));
    files.edit("base/tokenizer.json", "\"<unk>\"", "\"<unknown>\"");
    let output = run(&["exam", &library, "--lesson", "1"]);
    let error = text(&output.stderr);
    assert!(!output.status.success() && error.contains("tokenizer"), "{error}");
}
