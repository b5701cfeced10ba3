//! `stepladder bench` on the adapter at hand: every field is there, and nothing is faster than the adapter's peaks allow.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Stdio};

use serde_json::Value;

/// A row may beat its peak: peaks are measured too, on cores that other programs use, and a cache may hold what was counted
/// as memory traffic.
const MOST: f64 = 3.0;

#[test]
fn a_quick_run_reports_every_row_as_a_share_of_the_measured_peaks() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stepladder"));
    let output = command.args(["bench", "--quick", "--json"]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    for field in ["name", "kind", "backend", "driver"] {
        assert!(report["adapter"][field].as_str().is_some_and(|value| !value.is_empty()), "{field}");
    }
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    assert!(report["peaks"]["gigaflops"].as_f64().unwrap() > 0.0);
    for bandwidth in report["peaks"]["bandwidth"].as_array().unwrap() {
        assert!(bandwidth["gigabytes_per_second"].as_f64().unwrap() > 0.0, "{bandwidth}");
    }
    let rows = report["rows"].as_array().unwrap();
    for name in [
        "matmul/forward",
        "matmul/backward_x",
        "lora_grad/gradients",
        "attention/backward",
        "decode",
        "train",
    ] {
        assert!(rows.iter().any(|row| row["name"] == name), "{name} is missing");
    }
    for row in rows {
        assert!(row["shape"].as_str().is_some_and(|shape| !shape.is_empty()), "{row}");
        assert!(row["value"].as_f64().is_some_and(|value| value > 0.0), "{row}");
        assert!(["GFLOP/s", "GB/s", "tokens/s"].contains(&row["unit"].as_str().unwrap()), "{row}");
        let fraction = row["fraction_of_peak"].as_f64().unwrap();
        assert!(fraction > 0.0 && fraction < MOST, "{row}");
    }
}

#[test]
fn suites_and_rows_can_be_chosen_and_a_grpo_step_is_its_parts() {
    let rows = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stepladder"));
        command.args(["bench", "--quick", "--json", "--rounds", "1"]).args(arguments);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["rows"].as_array().unwrap().clone()
    };
    let all = rows(&["--suite", "prefill,grpo", "--layers", "1"]);
    let find = |name: &str| all.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name}"));
    for name in ["prefill", "first token, cold", "grpo", "update, one prompt", "update, a prompt each"] {
        let row = find(name);
        assert_eq!(
            (&row["model"], &row["layers"], &row["format"]),
            (&"smollm2-135m".into(), &1.into(), &"f32".into())
        );
        assert!(row["dispatches"].as_f64() > Some(10.0) && row["bytes"].as_u64() > Some(1 << 20), "{row}");
        assert!(row["idle_share"].as_f64().is_some_and(|share| (0.0..1.0).contains(&share)), "{row}");
    }
    let seconds = |name: &str| find(name)["seconds"].as_f64().unwrap();
    let parts = seconds("grpo, rollout") + seconds("grpo, verify") + seconds("grpo, update");
    assert!((parts / seconds("grpo") - 1.0).abs() < 0.1, "{parts} {}", seconds("grpo"));
    assert!(seconds("first token, cold") > seconds("prefill"), "a cold start also compiles");

    let one =
        rows(&["--suite", "kernels", "--shape", "qwen2.5-0.5b", "--only", "rms_norm/forward 128 x 896"]);
    assert_eq!(one.len(), 1, "{one:?}");
    assert_eq!(one[0]["model"], "qwen2.5-0.5b");
}

/// What was measured goes into a file too, which no second run replaces unasked.
#[test]
fn a_report_is_a_file_that_others_can_take() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("card.json");
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stepladder"));
        command.args(["bench", "--quick", "--json", "--no-peaks", "--rounds", "1", "--suite", "decode"]);
        command.args(["--format", "q4", "--layers", "1", "--only", "decode"]);
        command.arg("--report").arg(&file).stdin(Stdio::null()).output().unwrap()
    };
    let first = run();
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let written: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(written, serde_json::from_slice::<Value>(&first.stdout).unwrap());
    assert!(written["rows"].as_array().unwrap().iter().all(|row| row["format"] == "q4"));
    let second = run();
    assert!(!second.status.success() && String::from_utf8_lossy(&second.stderr).contains("card.json"));
}

/// `benches/gpu.py` with test programs of which one fails and one crashes: all are told, and none stops the others.
#[cfg(unix)]
#[test]
fn the_report_on_a_card_goes_on_after_a_failure() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("benches");
    let benches = folder.path().join("benches");
    std::fs::create_dir_all(benches.join("results")).unwrap();
    for script in ["gpu.py", "bars.py", "report.py"] {
        std::fs::copy(top.join(script), benches.join(script)).unwrap();
    }
    let tests = folder.path().join("tests");
    std::fs::create_dir(&tests).unwrap();
    for (name, lines) in [
        ("kernels-0123456789abcdef", "echo 'test sums ... ok'; echo 'test norms ... FAILED'; exit 101"),
        ("models", "echo 'test llama ... ok'; kill -SEGV $$"),
        ("training-0123456789abcdef", "echo 'test step ... ok'"),
    ] {
        let file = tests.join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{lines}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new("python3");
    command
        .arg(benches.join("gpu.py"))
        .args(["card", "--parts", "checks", "--commit", "abc", "--tests"])
        .arg(&tests);
    let output =
        command.env("STEPLADDER", env!("CARGO_BIN_EXE_stepladder")).stdin(Stdio::null()).output().unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{page}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(page.trim_end(), std::fs::read_to_string(benches.join("results/card.md")).unwrap().trim_end());
    for words in [
        "3 checks passed, 1 failed, 1 programs",
        "failed: `kernels::norms`",
        "models ended",
        "tiny (no such program)",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let result: Value =
        serde_json::from_slice(&std::fs::read(benches.join("results/card.json")).unwrap()).unwrap();
    assert_eq!(result["checks"]["training"]["passed"], 1);
    assert!(result["adapter"]["driver"].is_string() && result["bars"].as_array().unwrap().len() > 5);
}
