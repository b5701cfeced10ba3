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
    for name in ["prefill", "first token, cold", "grpo"] {
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
