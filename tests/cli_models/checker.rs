//! Checkers of the user's, written as shell scripts: numbers as rewards, and what is done about those that misbehave.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{Files, command, json, json_lines, run, text};

/// What every script begins with: a line is read, and `$id` is the number of the request.
const READ: &str = "while read -r line; do id=${line#*:}; id=${id%%,*}\n";

/// A script and the options that make it the task's checker.
fn checker(files: &Files, script: &str) -> [String; 4] {
    let file = files.write("check.sh", script);
    ["--task".into(), "command".into(), "--task-option".into(), format!("command=sh \"{file}\"")]
}

fn verify(files: &Files, script: &str, more: &[&str]) -> std::process::Output {
    let task = checker(files, script);
    let mut args = vec!["verify", "--problem", "2+2", "--answer", "so <answer>4</answer>"];
    args.extend(task.iter().map(String::as_str));
    args.extend(more);
    run(&args)
}

#[test]
fn a_verdict_may_be_a_number() {
    let files = Files::new();
    let script = format!("{READ} echo '{{\"id\":'$id',\"reward\":0.5,\"rewards\":{{\"style\":-2}}}}'; done");
    let range = ["--task-option", "reward_range=-2,2"];
    let answer = json(&verify(&files, &script, &[&range[..], &["--json"]].concat()));
    assert_eq!((&answer["verdict"], &answer["reward"]), (&"scored".into(), &0.5.into()));
    assert_eq!((&answer["rewards"]["style"], &answer["answer"]), (&(-2.0).into(), &"4".into()));
    let output = verify(&files, &script, &range);
    assert!(text(&output.stdout).contains("scored") && text(&output.stdout).contains("style -2"));
    // Outside of the range that is usual where none is declared.
    let answer = json(&verify(&files, &script, &["--json"]));
    assert_eq!(answer["verdict"], "unverifiable");
    assert!(answer["reason"].as_str().unwrap().contains("outside of the range 0 to 1"), "{answer}");
}

#[test]
fn a_checker_that_cannot_be_started_is_an_error_before_the_run() {
    let files = Files::new();
    let problems = files.write("p.jsonl", "{\"problem\": \"2*x\"}\n");
    let output = files.path("run");
    let task = checker(&files, "echo 'no module named sympy' >&2; exit 1");
    for mut args in [
        vec!["eval", "-m", "tiny"],
        vec!["ttrl", "-m", "tiny"],
        vec!["ladder", "-m", "tiny", "--output", &output],
    ] {
        args.extend(["--problems", &problems]);
        args.extend(task.iter().map(String::as_str));
        let failed = run(&args);
        let words = text(&failed.stderr);
        assert_eq!(failed.status.code(), Some(2), "{words}");
        assert!(words.contains("exit status 1; it said: no module named sympy"), "{words}");
    }
    assert!(!files.exists("run"), "nothing was begun");
}

#[test]
fn a_step_that_nobody_can_judge_is_told() {
    let files = Files::new();
    let problems = files.write("p.jsonl", "{\"problem\": \"2*x\"}\n");
    let output = files.path("run");
    let reply = r#"printf '{"id":%s,"reward":null,"reason":"no \\u001b[31msympy"}\n' $id"#;
    let task = checker(&files, &format!("{READ} {reply}; done"));
    let mut args = vec!["ladder", "-m", "tiny", "--problems", &problems, "--output", &output, "--json"];
    args.extend(task.iter().map(String::as_str));
    args.extend(["--group-size", "2", "--prompts-per-step", "1", "--max-tokens", "4", "--steps", "1"]);
    args.extend(["--set", "variants.enabled=false", "--set", "curriculum.probe_samples=0"]);
    let events = json_lines(&run(&args));
    let words = "answers of this step could be judged, so nothing was learnt: no \\u{1b}[31msympy";
    let told = |event: &&Value| {
        event["type"] == "warning"
            && event["message"].as_str().is_some_and(|message| message.ends_with(words))
    };
    assert_eq!(events.iter().filter(told).count(), 1, "{events:?}");
}

#[test]
fn a_checker_that_has_changed_is_told() {
    let files = Files::new();
    let problems = files.write("p.jsonl", "{\"problem\": \"2*x\"}\n");
    let output = files.path("run");
    let script = |reward: &str| {
        checker(&files, &format!("{READ} echo '{{\"id\":'$id',\"reward\":{reward}}}'; done"));
    };
    let task = checker(&files, "");
    let mut args = vec!["ladder", "-m", "tiny", "--problems", &problems, "--output", &output];
    args.extend(task.iter().map(String::as_str));
    args.extend(["--group-size", "2", "--prompts-per-step", "1", "--max-tokens", "4"]);
    args.extend(["--set", "variants.enabled=false", "--set", "curriculum.probe_samples=0"]);
    let said = |more: &[&str]| text(&run(&[&args[..], more].concat()).stderr).to_owned();
    let words = "check.sh`, a file of the checker, is not as it was when the run was last begun";
    script("0.5");
    assert!(!said(&["--steps", "1"]).contains(words));
    script("0.25");
    let told = said(&["--steps", "2", "--resume"]);
    assert!(told.contains(words), "{told}");
    assert!(!said(&["--steps", "3", "--resume"]).contains(words));
}

/// Whether the process goes away.
fn ends(number: &str) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(30) {
        let output = std::process::Command::new("ps").args(["-o", "stat=", "-p", number]).output().unwrap();
        let state = text(&output.stdout).trim().to_owned();
        if state.is_empty() || state.starts_with('Z') {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

#[test]
fn a_killed_program_takes_its_checker_with_it() {
    let files = Files::new();
    let child = files.path("child");
    let task = checker(&files, &format!("sleep 600 & echo $! > '{child}'\nwait"));
    let mut args = vec!["verify", "--problem", "a", "--answer", "b", "--task-option", "time_limit=600"];
    args.extend(task.iter().map(String::as_str));
    let mut program = command(&args).spawn().unwrap();
    let began = Instant::now();
    let number = loop {
        let number = std::fs::read_to_string(&child).unwrap_or_default().trim().to_owned();
        if !number.is_empty() {
            break number;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "the checker was not started");
        std::thread::sleep(Duration::from_millis(20));
    };
    program.kill().unwrap();
    program.wait().unwrap();
    assert!(ends(&number), "the checker's child outlives the program");
}

#[test]
fn an_evaluation_gives_means_and_no_shifted_verdicts() {
    let files = Files::new();
    let problems = files.write(
        "p.jsonl",
        "{\"problem\": \"2*x\", \"answer\": \"x^2\"}\n{\"problem\": \"3*x\", \"answer\": \"no\"}\n{\"problem\": \"4*x\", \"answer\": \"no\"}\n",
    );
    let eval = |script: &str| {
        let task = checker(&files, script);
        let mut args = vec!["eval", "-m", "tiny", "--problems", &problems, "--samples", "2"];
        args.extend(["--temperature", "0.01", "--max-tokens", "16", "--json"]);
        args.extend(task.iter().map(String::as_str));
        run(&args)
    };
    // A second line after the first reply, as of a print that was left in.
    let double = "while read -r line; do n=$((n+1))
        case \"$line\" in *'\"answer\":\"no\"'*) v=wrong;; *) v=correct;; esac
        echo '{\"verdict\":\"'$v'\"}'; [ $n = 3 ] && echo '{\"verdict\":\"correct\"}'; done";
    let output = eval(double);
    assert_eq!(output.status.code(), Some(1), "nothing could be judged");
    assert!(text(&output.stderr).contains("a line too many"), "{}", text(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["verdicts"]["unverifiable"], 6);
    for problem in answer["problems"].as_array().unwrap().iter().skip(1) {
        assert_eq!(problem["correct"], 0, "{problem}");
    }
    let graded = format!(
        "{READ} case \"$line\" in *'3*x'*) r=0.25;; *) r=0.75;; esac
        echo '{{\"id\":'$id',\"reward\":'$r',\"rewards\":{{\"short\":1}}}}'; done"
    );
    let answer = json(&eval(&graded));
    let near = |value: &Value, want: f64| (value.as_f64().unwrap() - want).abs() < 1e-9;
    let rewards = &answer["rewards"];
    assert!(near(&rewards["reward"]["mean"], 1.75 / 3.0) && near(&rewards["short"]["mean"], 1.0), "{answer}");
    let (low, high) = (&rewards["reward"]["ci95"][0], &rewards["reward"]["ci95"][1]);
    assert!(low.as_f64().unwrap() < 0.5 && high.as_f64().unwrap() > 0.75, "{rewards}");
    assert_eq!(answer["pass_at"], serde_json::json!({}));
    assert_eq!(answer["verdicts"]["scored"], 6);
}

#[test]
fn a_run_learns_from_weighed_numbers() {
    let files = Files::new();
    let problems = files.write("p.jsonl", "{\"problem\": \"2*x\"}\n{\"problem\": \"x*sin(2*x)\"}\n");
    let output = files.path("run");
    // Longer answers are better, and those with a sine have style.
    let script = format!(
        "{READ} completion=${{line#*completion}}; case \"$completion\" in *sin*) s=1;; *) s=0;; esac
        echo '{{\"id\":'$id',\"reward\":'${{#completion}}',\"rewards\":{{\"style\":'$s'}}}}'; done"
    );
    let task = checker(&files, &script);
    let mut args = vec!["ladder", "-m", "tiny", "--problems", &problems, "--output", &output, "--json"];
    args.extend([
        "--steps",
        "2",
        "--group-size",
        "4",
        "--prompts-per-step",
        "2",
        "--max-tokens",
        "16",
        "--temperature",
        "2",
    ]);
    let held_out = files.write("h.jsonl", "{\"problem\": \"5*x\"}\n");
    args.extend(["--eval-problems", &held_out, "--task-option", "reward_range=0,1000"]);
    for setting in [
        "reward.weights.style=0.2",
        "reward.weights.length=0.1",
        "variants.enabled=false",
        "curriculum.probe_samples=0",
        "evaluation.samples=1",
    ] {
        args.extend(["--set", setting]);
    }
    args.extend(task.iter().map(String::as_str));
    let events = json_lines(&run(&args));
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<&Value>>();
    let steps = of("step");
    assert_eq!(steps.len(), 2);
    for step in &steps {
        let parts: Vec<&String> = step["rewards"].as_object().unwrap().keys().collect();
        assert_eq!(parts, ["length", "reward", "style"]);
        let (style, own) = (&step["rewards"]["style"], &step["rewards"]["reward"]);
        assert_eq!((&style["weight"], &own["weight"]), (&0.2.into(), &1.0.into()));
        assert!(own["mean"].as_f64().unwrap() > 2.0 && own["std"].as_f64().unwrap() > 0.0, "{step}");
        let sum = ["length", "reward", "style"].map(|name| {
            step["rewards"][name]["weight"].as_f64().unwrap()
                * step["rewards"][name]["mean"].as_f64().unwrap()
        });
        let whole = step["reward_mean"].as_f64().unwrap();
        assert!((sum.iter().sum::<f64>() - whole).abs() < 1e-4 * whole, "{step}");
        assert!(step["loss"].is_number() && step["pass_rate"].is_null(), "{step}");
    }
    let evaluated = of("evaluated");
    assert!(evaluated.iter().all(|event| event["rewards"]["style"]["mean"].is_number()));
    let report = std::fs::read_to_string(files.path("run/report.html")).unwrap();
    for words in ["Reward style, weight 0.2", "No signal in style", "Means of the rewards"] {
        assert!(report.contains(words), "{words} is missing");
    }
}
