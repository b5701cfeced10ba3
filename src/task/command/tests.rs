//! Checkers that behave, and those that do not. Each is a shell script, so that the tests need nothing else.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::{Duration, Instant};

use super::*;

/// A task whose program is a shell script. The limit is for a machine that has much else to do; only what hangs waits for it.
fn shell_with(script: &str, options: &[(&str, &str)]) -> Command {
    let command = format!("sh -c '{script}'");
    let options = options.iter().copied().chain([("command", &*command)]);
    let options: TaskOptions = options.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Command::new(&options).unwrap()
}

fn shell(script: &str) -> Command {
    shell_with(script, &[("time_limit", "60")])
}

fn problem() -> Problem {
    Problem { problem: "2+2".into(), id: None, level: None, answer: Some("4".into()) }
}

fn verify(task: &Command, completion: &str) -> Verdict {
    task.verify(&problem(), completion)
}

/// The judgements on several completions that are asked for at once.
fn verify_all(task: &Command, completions: &[&str]) -> Vec<Verdict> {
    let problem = problem();
    let attempts: Vec<Attempt<'_>> =
        completions.iter().map(|&completion| Attempt { problem: &problem, completion }).collect();
    pollster::block_on(task.verify_all(&attempts, &AtomicBool::new(false)))
}

fn kinds(verdicts: &[Verdict]) -> Vec<VerdictKind> {
    verdicts.iter().map(|verdict| verdict.verdict).collect()
}

use VerdictKind::{Correct, Scored, Unverifiable, Wrong};

const GOOD: &str = r#"while read -r line; do case "$line" in
    *">4<"*) echo "{\"verdict\":\"correct\",\"reason\":\"$$\"}";;
    *hang*) sleep 600;;
    *crash*) echo "stack trace" >&2; exit 3;;
    *garbage*) echo "what?";;
    *killed*) kill -9 $$;;
    *silent*) exec >&-; sleep 600;;
    *flood*) head -c 1000000 /dev/zero;;
    *) echo "{\"verdict\":\"wrong\"}";; esac; done"#;

/// Takes the number of the request and shows it as `$id`.
const NUMBERED: &str = r#"while read -r line; do id=${line#*:}; id=${id%%,*}; case "$line" in"#;

#[test]
fn verdicts_are_passed_on_by_one_process() {
    let task = shell(GOOD);
    let first = verify(&task, "<answer>4</answer>");
    assert_eq!((first.verdict, first.answer.as_deref()), (Correct, Some("4")));
    assert_eq!(verify(&task, "<answer>5</answer>\n\"quoted\"").verdict, Wrong);
    let again = verify(&task, "<answer>4</answer>");
    assert_eq!(first.reason, again.reason, "the same process");
    assert_eq!(kinds(&verify_all(&task, &["<answer>4</answer>", "5", ">4<"])), [Correct, Wrong, Correct]);
    assert!(task.take_warnings().is_empty());
}

#[test]
fn numbers_are_taken_as_they_are() {
    let script = format!(
        r#"{NUMBERED} *one*) echo "{{\"id\":$id,\"reward\":0.25,\"answer\":\"x\"}}";;
            *named*) echo "{{\"id\":\"$id\",\"rewards\":{{\"style\":-1,\"units\":null}}}}";;
            *both*) echo "{{\"id\":$id.0,\"verdict\":\"wrong\",\"reward\":0.5,\"score\":9}}";;
            *nothing*) echo "{{\"id\":$id,\"reward\":null}}";;
            *) echo "{{\"id\":$id,\"reward\":2}}";; esac; done"#
    );
    let task = shell_with(&script, &[("time_limit", "60"), ("reward_range", "-1,1")]);
    let verdicts = verify_all(&task, &["one", "named", "both", "nothing", "high", "one"]);
    assert_eq!(kinds(&verdicts), [Scored, Scored, Wrong, Unverifiable, Unverifiable, Scored]);
    assert_eq!((verdicts[0].reward, verdicts[0].answer.as_deref()), (Some(0.25), Some("x")));
    assert_eq!(verdicts[1].rewards, [("style".to_owned(), -1.0)].into());
    assert_eq!(verdicts[2].reward, Some(0.5));
    assert!(verdicts[4].reason.contains("outside of the range -1 to 1"), "{}", verdicts[4].reason);
    let warnings = task.take_warnings();
    assert!(warnings.iter().any(|warning| warning.contains("`score`")), "{warnings:?}");
    assert!(task.take_warnings().is_empty(), "each is told once");
    assert_eq!(task.reward_range(), RewardRange::new(-1.0, 1.0).unwrap());
}

#[test]
fn a_line_too_many_never_shifts_a_verdict() {
    // The second line comes with the first reply, with the second, after a while, before any request; with numbers and without.
    let reply = r#"case "$line" in *good*) v=correct;; *) v=wrong;; esac"#;
    let extra = r#"echo "{\"verdict\":\"correct\"}""#;
    for (what, script) in [
        (
            "at once",
            format!(
                r#"while read -r line; do {reply}; n=$((n+1)); echo "{{\"verdict\":\"$v\"}}"; [ $n = 1 ] && {extra}; done"#
            ),
        ),
        (
            "before",
            format!(r#"{extra}; while read -r line; do {reply}; echo "{{\"verdict\":\"$v\"}}"; done"#),
        ),
        (
            "later",
            format!(
                r#"while read -r line; do {reply}; n=$((n+1)); echo "{{\"verdict\":\"$v\"}}"; [ $n = 2 ] && {{ {extra}; }}; done"#
            ),
        ),
    ] {
        let task = shell(&script);
        let verdicts = verify_all(&task, &["good", "bad", "bad", "good"]);
        for (place, right) in [Correct, Wrong, Wrong, Correct].into_iter().enumerate() {
            let kind = verdicts[place].verdict;
            assert!(kind == right || kind == Unverifiable, "{what}, {place}: {:?}", verdicts[place]);
        }
        // From the first line too many on, a reply without a number is not trusted.
        assert_eq!(verify(&task, "bad").verdict, Unverifiable, "{what}");
        let warnings = task.take_warnings().join("; ");
        assert!(warnings.contains("a line too many") && warnings.contains("`id`"), "{what}: {warnings}");
    }
}

#[test]
fn numbered_replies_go_on_after_a_line_too_many() {
    let script = format!(
        r#"{NUMBERED} *good*) v=correct;; *) v=wrong;; esac; echo "{{\"id\":$id,\"verdict\":\"$v\"}}"
            case "$line" in *twice*) echo "{{\"id\":$id,\"verdict\":\"correct\"}}";; *debug*) echo "x = 3";; esac; done"#
    );
    let task = shell(&script);
    let verdicts = verify_all(&task, &["good", "bad twice", "bad", "bad debug", "bad", "good"]);
    assert_eq!(kinds(&verdicts), [Correct, Wrong, Wrong, Wrong, Wrong, Correct]);
    let warnings = task.take_warnings().join("; ");
    assert!(warnings.contains("a line too many, `x = 3`"), "{warnings}");
}

#[test]
fn failures_are_unverifiable_and_the_program_is_started_anew() {
    let task = shell(GOOD);
    let first = verify(&task, "<answer>4</answer>").reason;
    for (completion, reason) in [
        ("crash", "ended without a reply with exit status 3; it said: stack trace"),
        ("garbage", "no reply"),
        ("flood", "is longer than 65536 bytes"),
        ("killed", "ended without a reply, killed by signal 9 (KILL"),
        ("silent", "ended without a reply"),
    ] {
        let verdict = verify(&task, completion);
        assert_eq!(verdict.verdict, Unverifiable, "{completion}");
        assert!(verdict.reason.contains(reason), "{completion}: {}", verdict.reason);
        // What was killed here was not killed by a signal of another's.
        assert_eq!(verdict.reason.contains("signal"), completion == "killed", "{}", verdict.reason);
        let next = verify(&task, "<answer>4</answer>");
        assert_eq!(next.verdict, Correct, "after {completion}: {}", next.reason);
        assert_ne!(next.reason, first, "another process after {completion}");
    }
    let verdicts = verify_all(&task, &["5", "crash", "<answer>4</answer>", "5"]);
    assert_eq!(kinds(&verdicts), [Wrong, Unverifiable, Correct, Wrong], "a crash costs its own answer only");
    assert!(task.take_warnings().iter().any(|warning| warning.contains("stack trace")));
}

#[test]
fn a_hanging_checker_is_given_up() {
    let task = shell_with("sleep 600", &[("time_limit", "1")]);
    let began = Instant::now();
    // It never reads either.
    let verdict = verify(&task, &"x".repeat(1_000_000));
    assert_eq!(verdict.verdict, Unverifiable);
    assert!(verdict.reason.contains("longer than 1 s"), "{}", verdict.reason);
    assert!(began.elapsed() < Duration::from_secs(60));
    // Nor does it keep one waiting who wants to stop.
    let task = shell_with("sleep 600", &[("time_limit", "600")]);
    let problem = problem();
    let attempts = [Attempt { problem: &problem, completion: "4" }; 3];
    let verdicts = pollster::block_on(task.verify_all(&attempts, &AtomicBool::new(true)));
    assert_eq!(kinds(&verdicts), [Unverifiable; 3]);
    assert!(began.elapsed() < Duration::from_secs(60));
}

/// Waits until a process has written its number into `file`.
fn number_in(file: &Path) -> u32 {
    let began = Instant::now();
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if let Ok(number) = text.trim().parse() {
            return number;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "nothing in {}", file.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until there is no process of this number, or only what is left of one that nobody has waited for.
fn ends(number: u32) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        let output =
            std::process::Command::new("ps").args(["-o", "stat=", "-p", &number.to_string()]).output();
        let state = String::from_utf8(output.unwrap().stdout).unwrap();
        if state.trim().is_empty() || state.trim().starts_with('Z') {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

#[test]
fn a_wrappers_children_end_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("child");
    let wrapper = format!("sleep 600 & echo $! > {}; read -r line; wait", file.display());
    // After a time-out.
    let task = shell_with(&wrapper, &[("time_limit", "1")]);
    let child = number_in(&file);
    assert_eq!(verify(&task, "4").verdict, Unverifiable);
    assert!(ends(child), "the child outlives the time-out");
    // When the task goes.
    std::fs::remove_file(&file).unwrap();
    let task = shell(&wrapper);
    let child = number_in(&file);
    drop(task);
    assert!(ends(child), "the child outlives the task");
}

#[test]
fn a_checker_that_cannot_judge_is_refused_before_a_run() {
    let tried = |script: &str| shell(script).try_out(&problem()).map_err(|error| error.to_string());
    assert_eq!(tried(GOOD), Ok(()));
    // One that fails on an empty answer may be right on others.
    assert_eq!(
        tried(
            r#"while read -r line; do case "$line" in *answer\>*) echo "{\"reward\":1}";; *) exit 1;; esac; done"#
        ),
        Ok(())
    );
    // After a reply that is late no other is waited for.
    let hangs = shell_with("sleep 600", &[("time_limit", "1")]).try_out(&problem()).unwrap_err().to_string();
    assert!(hangs.contains("judge: the checker took longer than 1 s;"), "{hangs}");
    for (script, words) in [
        ("exec nosuch-checker-program", "nosuch-checker-program"),
        ("echo model not found >&2; exit 7", "exit status 7; it said: model not found"),
        ("exit 0", "ended without a reply with exit status 0"),
        ("echo ready; while read -r line; do echo \"{}\"; done", "a line too many, `ready`"),
        ("while read -r line; do echo \"{\\\"reward\\\":5}\"; done", "outside of the range 0 to 1"),
    ] {
        let error = tried(script).unwrap_err();
        assert!(error.starts_with("task_option command") && error.contains(words), "{script}: {error}");
    }
}

#[test]
fn options_are_checked() {
    let new = |options: &[(&str, &str)]| {
        let options = options.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Command::new(&options).unwrap_err().to_string()
    };
    assert!(new(&[]).contains("no program"));
    assert!(new(&[("command", "/nonexistent/program")]).contains("cannot start"));
    assert!(new(&[("command", "cat"), ("time_limit", "0")]).contains("time_limit"));
    assert!(new(&[("command", "cat"), ("reward_range", "1,0")]).contains("reward_range"));
    assert!(new(&[("command", "cat"), ("speed", "0")]).contains("takes: command, time_limit, reward_range"));
    let words = ["a", "b c", "d \"e", "fg h", ""].map(str::to_owned).to_vec();
    assert_eq!(split_command(r#" a "b c" 'd "e' f"g h" "" "#), Some(words));
    assert_eq!(split_command("'unbalanced"), None);
}
