//! The program as its users meet it: exit status, what goes to which stream, JSON. Needs no GPU.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output, Stdio};

use serde_json::Value;
use stepladder::task::{self, TaskOptions, VerdictKind, parse_problems};
use stepladder::train::data::Record;

const COMMANDS: [&str; 27] = [
    "info",
    "score",
    "generate",
    "chat",
    "serve",
    "examples",
    "train",
    "learn",
    "exam",
    "board",
    "accept",
    "reject",
    "rollback",
    "consolidate",
    "pack",
    "unpack",
    "ladder",
    "ttrl",
    "eval",
    "variants",
    "verify",
    "export",
    "report",
    "models",
    "bench",
    "completions",
    "man",
];

fn stepladder(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stepladder"));
    command.args(args).stdin(Stdio::null()).env_remove("RUST_LOG").output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn help_names_every_command_and_the_exit_status() {
    let output = stepladder(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = text(&output.stdout);
    for command in COMMANDS {
        assert!(
            help.lines().any(|line| line.trim_start().starts_with(&format!("{command} "))),
            "{command}\n{help}"
        );
    }
    assert!(help.contains("130 stopped by a signal"), "{help}");
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn each_command_has_help_with_the_shared_options() {
    for command in COMMANDS {
        let output = stepladder(&[command, "--help"]);
        assert_eq!(output.status.code(), Some(0), "{command}");
        for option in ["--json", "--gpu"] {
            assert!(text(&output.stdout).contains(option), "{command} {option}");
        }
    }
}

/// What people copy from the help is accepted: problems by task, lines of files, levels.
#[test]
fn every_example_of_the_help_is_accepted() {
    let helps: String = COMMANDS
        .iter()
        .chain(&["study"])
        .map(|command| text(&stepladder(&[command, "--help"]).stdout).to_owned())
        .chain([text(&stepladder(&["--help"]).stdout).to_owned()])
        .collect();
    // Lines are broken anywhere.
    let help = helps.split_whitespace().collect::<Vec<_>>().join(" ");
    let (mut problems, mut lines, mut levels) = (0, 0, 0);
    for name in task::names() {
        for rest in help.split(&format!("for {name} '")).skip(1) {
            let problem = rest.split('\'').next().unwrap();
            let args = ["verify", "--json", "--task", name, "--problem", problem, "--answer", "1"];
            let answer: Value = serde_json::from_slice(&stepladder(&args).stdout).unwrap();
            assert!(answer["canonical"].is_string(), "{name}: `{problem}` is no problem of it: {answer}");
            problems += 1;
        }
    }
    for rest in help.split("{\"").skip(1) {
        let line = format!("{{\"{}}}", rest.split('}').next().unwrap());
        parse_problems("p.jsonl".as_ref(), &line).unwrap();
        lines += 1;
    }
    for rest in help.split("Levels to make them of, such as ").skip(1) {
        for list in rest.split(" [").next().unwrap().split(" or ") {
            let folder = tempfile::tempdir().unwrap();
            let out = folder.path().join("e.jsonl");
            let out = out.to_str().unwrap();
            let args = ["examples", "--task", "integral", "--levels", list, "--count", "1", "--output", out];
            assert_eq!(stepladder(&args).status.code(), Some(0), "{list}");
            levels += 1;
        }
    }
    assert!(problems >= 2 && lines >= 1 && levels >= 2, "{problems} {lines} {levels}\n{help}");
}

#[test]
fn help_shows_defaults_and_tells_the_two_adapters_apart() {
    let help = stepladder(&["train", "--help"]).stdout;
    assert!(text(&help).contains("0.001 up to 0.5 B parameters"), "{}", text(&help));
    assert!(text(&help).contains("PEFT adapter"), "{}", text(&help));
    assert!(text(&help).contains("WGPU_ADAPTER_NAME"), "{}", text(&help));
}

#[test]
fn the_version_is_the_crates() {
    let output = stepladder(&["--version"]);
    assert_eq!(text(&output.stdout).trim(), concat!("stepladder ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn bad_usage_ends_with_status_2_and_leaves_standard_output_empty() {
    let cases: [&[&str]; 6] = [
        &[],
        &["nonsense"],
        &["verify"],
        &["verify", "--task", "integral", "--problem", "2*x"],
        &["generate", "-m", "tiny", "-p", "x", "--temperature", "hot"],
        &["eval", "--no-such-option"],
    ];
    for args in cases {
        let output = stepladder(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(text(&output.stdout), "", "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

/// Runs and answers name their files in JSON, which holds texts only.
#[cfg(unix)]
#[test]
fn paths_that_are_no_text_are_refused_before_anything_is_done() {
    use std::os::unix::ffi::OsStrExt;

    let odd = std::ffi::OsStr::from_bytes(b"b\xff");
    for (command, option) in [
        ("train", "--output"),
        ("train", "--data"),
        ("export", "--output"),
        ("ladder", "--problems"),
        ("pack", "--output"),
    ] {
        let others = match (command, option) {
            ("pack", _) => &["notes.library"][..],
            ("export", _) => &["-m", "tiny", "--adapter", "x"],
            ("train", "--data") => &["-m", "tiny", "--output", "x"],
            ("train", _) => &["-m", "tiny", "--data", "x"],
            _ => &["-m", "tiny", "--task", "integral", "--output", "x"],
        };
        let mut program = Command::new(env!("CARGO_BIN_EXE_stepladder"));
        let output = program.args([command, option]).arg(odd).args(others).output().unwrap();
        let error = text(&output.stderr);
        assert!(
            output.status.code() == Some(2) && error.contains("is not UTF-8"),
            "{command} {option}: {error}"
        );
        assert!(error.contains(option), "{error}");
    }
}

#[test]
fn a_verdict_holds_nothing_that_a_terminal_obeys() {
    let output = stepladder(&["verify", "--task", "jsonl", "--known", "5", "--answer", "6\u{1b}[2J"]);
    let said = text(&output.stdout).trim_end();
    assert!(said.contains("\\u{1b}[2J") && !said.contains(|sign: char| sign.is_control()), "{said}");
}

#[test]
fn an_unknown_task_is_one_line_that_says_what_to_do() {
    let output = stepladder(&["verify", "--task", "poetry", "--problem", "x", "--answer", "y"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout), "");
    let message = text(&output.stderr);
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(
        message.contains("--task") && message.contains("poetry") && message.contains("known tasks"),
        "{message}"
    );
}

/// Every kind of verdict is a success of the command; the fields are the contract.
#[test]
fn verify_answers_in_json() {
    let cases = [
        ("2*x", "x^2", "correct"),
        ("2*x", "x^2 + C", "correct"),
        ("2*x", "-x^2", "wrong"),
        ("2*x", "no idea, sorry (", "malformed"),
    ];
    for (problem, answer, expected) in cases {
        let args = ["verify", "--json", "--task", "integral", "--problem", problem, "--answer", answer];
        let output = stepladder(&args);
        assert_eq!(output.status.code(), Some(0), "{answer}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout).lines().count(), 1);
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(value["verdict"], expected, "{answer}: {value}");
        assert!(value["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{value}");
        assert!(value["canonical"].is_string(), "{value}");
        assert_eq!(text(&output.stderr), "");
    }
}

#[test]
fn verify_answers_people_in_one_line() {
    let output = stepladder(&["verify", "--task", "integral", "--problem", "2*x", "--answer", "x^3"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).starts_with("wrong: "), "{}", text(&output.stdout));
}

#[test]
fn verify_compares_with_a_known_answer() {
    for (known, answer, expected) in [
        ("1\\frac{1}{2}", "3/2", "correct"),
        ("1\\frac{1}{2}", "1/2", "wrong"),
        ("-7", "-7.0", "correct"),
        ("42", "no idea", "malformed"),
        ("25%", "0.25", "correct"),
    ] {
        let output =
            stepladder(&["verify", "--json", "--task", "jsonl", "--known", known, "--answer", answer]);
        assert_eq!(output.status.code(), Some(0), "{answer}: {}", text(&output.stderr));
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(value["verdict"], expected, "{known} {answer}: {value}");
        assert!(value["reason"].as_str().is_some_and(|reason| reason.contains(answer)), "{value}");
    }
    for args in [
        &["--task", "integral", "--problem", "2*x", "--known", "x^2", "--answer", "x^2"][..],
        &["--task", "jsonl", "--problem", "2+2", "--answer", "4"],
    ] {
        let output = stepladder(&[&["verify"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains("--known"), "{}", text(&output.stderr));
    }
    let help = stepladder(&["help", "verify"]).stdout;
    assert!(text(&help).contains("exit status is 0 for a wrong answer"), "{}", text(&help));
}

/// Told before a model is loaded: no share of correct answers would mean anything.
#[test]
fn problems_that_nobody_can_judge_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.jsonl");
    let out = folder.path().join("run");
    for (task, lines, words) in [
        ("jsonl", "{\"problem\": \"2+2\"}\n{\"problem\": \"3+3\"}\n", "no known `answer`"),
        ("integral", "{\"problem\": \"(((\"}\n", "none of them can be judged"),
        ("jsonl", "{\"problem\": \"2+2\", \"anwser\": \"4\"}\n", "did you mean `answer`?"),
        ("jsonl", "{\"problem\": \"2+2\", \"answer\": [4]}\n", "line 1: `answer` is a list"),
    ] {
        std::fs::write(&path, lines).unwrap();
        let problems = path.to_str().unwrap();
        let eval = ["eval", "-m", "tiny", "--task", task, "--problems", problems];
        let ladder =
            ["ladder", "-m", "tiny", "--task", task, "--problems", problems, "--preset", "tiny", "--output"];
        let ttrl = ["ttrl", "-m", "tiny", "--task", task, "--problems", problems, "--preset", "tiny"];
        for args in [&eval[..], &[&ladder[..], &[out.to_str().unwrap()]].concat(), &ttrl] {
            let output = stepladder(args);
            assert_eq!(output.status.code(), Some(1), "{args:?}: {}", text(&output.stderr));
            assert!(text(&output.stderr).contains(words), "{}", text(&output.stderr));
            assert!(!out.exists());
        }
    }
    // A single problem has no place for a known answer.
    let ttrl = ["ttrl", "-m", "tiny", "--task", "jsonl", "--problem", "2+2", "--preset", "tiny"];
    let output = stepladder(&ttrl);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("--problem: answers to none"), "{}", text(&output.stderr));
}

#[test]
fn an_unknown_task_option_is_bad_usage() {
    let args =
        ["verify", "--task", "integral", "--task-option", "no=1", "--problem", "2*x", "--answer", "x^2"];
    let output = stepladder(&args);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--task-option"), "{}", text(&output.stderr));
}

/// What would be passed over in silence.
#[test]
fn settings_that_a_command_has_no_use_for_are_refused() {
    let base = ["-m", "tiny", "--task", "integral", "--problem", "x"];
    for (command, setting, words) in [
        ("variants", "learning_rate=1", "--set learning_rate: is a setting of learning"),
        ("variants", "sampling.temperature=0.5", "--set sampling.temperature: is a setting of learning"),
        ("variants", "variants.sampling.temperature=1", "`variants.temperatures` is"),
        ("variants", "variants.temprature=1", "there is no"),
        ("ttrl", "evaluation.samples=2", "--set evaluation.samples: says nothing here"),
        ("ttrl", "checkpoint_every=2", "--set checkpoint_every: says nothing here"),
    ] {
        let output = stepladder(&[&[command], &base[..], &["--set", setting]].concat());
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{setting}: {error}");
        assert!(error.contains(words), "{setting}: {error}");
    }
}

#[test]
fn help_lists_the_tasks() {
    for command in ["examples", "ladder", "ttrl", "eval", "variants", "verify"] {
        let help = stepladder(&[command, "--help"]).stdout;
        for task in stepladder::task::names() {
            assert!(
                text(&help).lines().any(|line| line == format!("  {task}")),
                "{command}: {}",
                text(&help)
            );
        }
    }
}

/// The lines of one file are training lines, problems and solved examples at once, and the seed decides them.
#[test]
fn examples_can_be_trained_on_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    let make = |name: &str, more: &[&str]| {
        let path = folder.path().join(name);
        let mut args = vec!["examples", "--task", "integral", "--json", "--output", path.to_str().unwrap()];
        args.extend(more);
        let output = stepladder(&args);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        (path.clone(), std::fs::read_to_string(path).unwrap(), summary)
    };
    let (path, lines, summary) = make("a", &["--count", "60"]);
    assert_eq!((summary["lines"].as_u64(), summary["levels"].as_array().unwrap().len()), (Some(60), 10));
    let task = task::create("integral", &TaskOptions::new()).unwrap();
    let problems = parse_problems(&path, &lines).unwrap();
    for (problem, line) in problems.iter().zip(lines.lines()) {
        assert!(problem.level.is_some() && problem.answer.is_some(), "{line}");
        let Record::Messages(turns) = Record::parse(line).unwrap() else { panic!("{line}") };
        assert_eq!(task.verify(problem, turns.messages[1].text()).verdict, VerdictKind::Correct, "{line}");
    }
    assert_eq!(make("b", &["--count", "60"]).1, lines);
    assert_ne!(make("c", &["--count", "60", "--seed", "1"]).1, lines);

    // What is held out is neither a problem nor a variant, not even times a constant.
    let few = ["--count", "60", "--levels", "1,3-4", "--style", "terse", "--variant-share", "0.3"];
    let with = make("d", &[&few[..], &["--exclude", path.to_str().unwrap()]].concat());
    assert!(with.2["excluded"].as_u64().unwrap() > 0, "{}", with.2);
    let mut variants = 0;
    for line in with.1.lines() {
        let Record::Completion { completion, .. } = Record::parse(line).unwrap() else { panic!("{line}") };
        let value: Value = serde_json::from_str(line).unwrap();
        variants += usize::from(value["problem"].is_null());
        let problem = value["problem"].as_str().unwrap_or(&completion);
        assert!(problems.iter().all(|held_out| !task.is_restatement(&held_out.problem, problem)), "{line}");
    }
    assert_eq!(variants, 18);

    let wrong = ["examples", "--task", "jsonl", "--output", "never-made.jsonl"];
    let output = stepladder(&wrong);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no worked examples"), "{}", text(&output.stderr));
}

/// A reader that goes away ends the program without a message and without success.
#[cfg(unix)]
#[test]
fn a_closed_pipe_is_silent() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_stepladder"));
    command.args(["verify", "--task", "integral", "--problem", "2*x", "--answer", "x^2"]);
    let output = command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "");
}

/// `stepladder completions bash` is read by bash, and its words are the commands.
#[test]
fn completions_complete() {
    let script = stepladder(&["completions", "bash"]);
    assert_eq!(script.status.code(), Some(0));
    let ask = "COMP_WORDS=(stepladder ro) COMP_CWORD=1; _stepladder stepladder ro stepladder; echo \"${COMPREPLY[@]}\"";
    let bash =
        Command::new("bash").args(["-c", &format!("{}\n{ask}", text(&script.stdout))]).output().unwrap();
    assert_eq!(text(&bash.stdout).trim(), "rollback", "{}", text(&bash.stderr));
    let json: Value = serde_json::from_slice(&stepladder(&["completions", "--json", "zsh"]).stdout).unwrap();
    assert!(json["script"].as_str().unwrap().contains("#compdef stepladder"), "{json}");
    assert_eq!(stepladder(&["completions", "sh"]).status.code(), Some(2));
}

#[test]
fn pages_for_man_are_printed_and_written() {
    let page = stepladder(&["man", "ladder"]);
    assert!(text(&page.stdout).contains(".TH stepladder-ladder 1"), "{}", text(&page.stdout));
    assert!(text(&stepladder(&["man"]).stdout).contains(".TH stepladder 1"));
    let unknown = stepladder(&["man", "nothing"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("there is no command `nothing`"));
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("man1");
    let output = output.to_str().unwrap();
    assert_eq!(stepladder(&["man", "--output", output]).status.code(), Some(0));
    for command in COMMANDS {
        assert!(folder.path().join(format!("man1/stepladder-{command}.1")).is_file(), "{command}");
    }
    let again = stepladder(&["man", "--output", output]);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("--overwrite"), "{}", text(&again.stderr));
}

#[test]
fn downloaded_models_are_listed_and_removed() {
    let cache = tempfile::tempdir().unwrap();
    let commit = "c".repeat(40);
    let snapshot = cache.path().join("models--me--mine/snapshots").join(&commit);
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::create_dir_all(cache.path().join("models--me--mine/refs")).unwrap();
    std::fs::write(cache.path().join("models--me--mine/refs/main"), &commit).unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::write(snapshot.join(file), "0123456789").unwrap();
    }
    let models = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stepladder"));
        command.arg("models").args(args).env("HF_HUB_CACHE", cache.path()).output().unwrap()
    };
    let listed: Value = serde_json::from_slice(&models(&["--json"]).stdout).unwrap();
    assert_eq!(listed["models"][0]["model"], "hf:me/mine");
    assert_eq!(
        (&listed["models"][0]["bytes"], &listed["models"][0]["revisions"][0]),
        (&70.into(), &"main".into())
    );
    let listed = models(&[]);
    assert!(text(&listed.stdout).contains("hf:me/mine") && text(&listed.stdout).contains("tiny"));
    let refused = models(&["--remove", "hf:me/mine@main"]);
    assert!(refused.status.code() == Some(2) && text(&refused.stderr).contains("all of its revisions"));
    assert!(text(&models(&["--remove", "me/other"]).stderr).contains("me/mine"));
    assert_eq!(models(&["--remove", "hf:me/mine"]).status.code(), Some(0));
    assert!(!cache.path().join("models--me--mine").exists());
}

/// What stands where no option takes it is told where it goes; what a command lacks first is asked for first.
#[test]
fn stray_words_and_other_folders_are_told_from_what_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    std::fs::write(folder.path().join("a.gguf"), "").unwrap();
    for (args, words) in [
        (vec!["generate", "a word"], ["a prompt goes after -p", "a model goes after -m"]),
        (vec!["score", "a word"], ["a text goes after --text", "a model goes after -m"]),
        (vec!["verify", "--task", "jsonl", "--answer", "4"], ["--known", "add --known"]),
        (vec!["verify", "--task", "integral", "--answer", "x"], ["--problem: is missing", "integral"]),
        (vec!["info", "-m", place], ["no config.json", "a.gguf"]),
        (vec!["report", place], ["not that of a run", "`ladder`"]),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_stepladder")).args(&args).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && words.iter().all(|word| told.contains(word)), "{args:?}: {told}");
    }
}
