//! A trainer, workers and a real NATS server as processes of this machine: the same bits as in one process, whoever is killed.
//! `scripts/swarm.sh` finds the server. `SWARM_KILLS` says how often each kind of process is killed.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "swarm/fleet.rs"]
mod fleet;
#[path = "cli_models/program.rs"]
#[allow(dead_code, reason = "tests of other commands use the rest")]
mod program;

use std::fs;
use std::sync::OnceLock;

use fleet::{Broker, Process, moment};
use program::{Files, command, json, model, run, says, text};

const ENDS: [&str; 3] = ["adapter/adapter_model.safetensors", "adapter/adapter_config.json", "tree.jsonl"];

/// How often each kind of process is killed.
fn kills() -> u32 {
    std::env::var("SWARM_KILLS").map_or(2, |count| count.parse().unwrap())
}

/// A new run.
fn ladder(files: &Files, output: &str, more: &[&str]) -> Vec<String> {
    let problems = files.write(
        "p.jsonl",
        "{\"problem\": \"x*exp(x)\"}\n{\"problem\": \"x*cos(2*x)\"}\n{\"problem\": \"x**3\"}\n",
    );
    let held = files.write("held.jsonl", "{\"problem\": \"x**2\"}\n");
    let args =
        ["ladder", "-m", "tiny", "--task", "integral", "--problems", &problems, "--eval-problems", &held];
    let small = ["--group-size", "4", "--prompts-per-step", "3", "--max-tokens", "24", "--json"];
    let steps: &[&str] = if more.contains(&"--steps") { &[] } else { &["--steps", "4"] };
    let sets = ["--set", "checkpoint_every=1", "--set", "variants.per_node=2", "--set", "evaluation.every=2"];
    let output = files.path(output);
    let all = [&args[..], &small, steps, &sets, &["--output", &output], more].concat();
    all.into_iter().map(str::to_owned).collect()
}

fn resume(files: &Files, output: &str, more: &[&str]) -> Vec<String> {
    let output = files.path(output);
    let all = [&["ladder", "--output", &output, "--resume", "--json"], more].concat();
    all.into_iter().map(str::to_owned).collect()
}

fn strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

/// All bytes that must not depend on who drew completions.
fn end(files: &Files, output: &str) -> Vec<Vec<u8>> {
    ENDS.iter().map(|name| fs::read(files.path(&format!("{output}/{name}"))).unwrap()).collect()
}

/// What one process comes to.
fn alone() -> &'static [Vec<u8>] {
    static END: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    END.get_or_init(|| {
        let files = Files::new();
        let output = run(&strs(&ladder(&files, "alone", &["--draw-alone"])));
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        end(&files, "alone")
    })
}

fn workers(broker: &Broker, count: usize) -> Vec<Process> {
    (0..count).map(|_| Process::worker(broker, "tiny")).collect()
}

#[test]
fn three_workers_give_the_bits_of_one_process() {
    let files = Files::new();
    let broker = Broker::start();
    let fleet = workers(&broker, 3);
    let url = broker.url();
    let mut trainer = Process::start(&strs(&ladder(&files, "together", &["--swarm", &url])));
    let words = trainer.succeed();
    assert!(words.contains("answers counted") && !words.contains("refused"), "{words}");
    assert!(end(&files, "together") == alone(), "other bits");
    let answered: Vec<u64> = fleet.iter().map(|worker| worker.answered().len() as u64).collect();
    assert!(answered.iter().filter(|count| **count > 0).count() > 1, "one did it all: {answered:?}");
    // A run that is over leaves nothing.
    assert_eq!(json(&run(&["swarm", "status", "--json", "--connect", &url])), serde_json::json!([]));
}

#[test]
fn a_run_has_one_trainer_and_is_seen() {
    let files = Files::new();
    let broker = Broker::start();
    let url = broker.url();
    let _fleet = workers(&broker, 1);
    let mut trainer =
        Process::start(&strs(&ladder(&files, "first", &["--swarm", &url, "--steps", "100000"])));
    trainer.wait_for_line(|line| line["type"] == "step");
    let seen = json(&run(&["swarm", "status", "--json", "--connect", &url]));
    assert_eq!((seen[0]["model"].as_str(), seen[0]["epoch"].as_u64()), (Some("tiny"), Some(1)), "{seen}");
    assert_eq!(seen[0]["workers"].as_array().map(Vec::len), Some(1), "{seen}");
    copy(&files, "first", "second");
    let second = resume(&files, "second", &["--swarm", &url]);
    says(&strs(&second), &["another trainer leads this run (epoch 1)", "stop that one first"]);
    trainer.interrupt();
}

/// A copy of a run's folder, as it is between two of its writes.
fn copy(files: &Files, from: &str, to: &str) {
    fs::create_dir(files.path(to)).unwrap();
    for name in ["run.json", "events.jsonl", "state.safetensors"] {
        fs::copy(files.path(&format!("{from}/{name}")), files.path(&format!("{to}/{name}"))).unwrap();
    }
}

#[test]
fn workers_that_are_killed_cost_nothing_but_time() {
    let files = Files::new();
    let broker = Broker::start();
    let mut fleet = workers(&broker, 3);
    let url = broker.url();
    let mut killed = 0;
    for round in 0.. {
        let output = format!("run{round}");
        let mut trainer =
            Process::start(&strs(&ladder(&files, &output, &["--swarm", &url, "--redeliver", "3"])));
        while killed < kills() && trainer.runs_for(moment(4000)) {
            let place = killed as usize % fleet.len();
            fleet[place].kill();
            fleet[place] = Process::worker(&broker, "tiny");
            killed += 1;
        }
        trainer.succeed();
        assert!(end(&files, &output) == alone(), "other bits");
        if killed == kills() {
            break;
        }
    }
}

#[test]
fn a_server_that_is_killed_or_emptied_costs_nothing_but_time() {
    let files = Files::new();
    let mut broker = Broker::start();
    let _fleet = workers(&broker, 3);
    let url = broker.url();
    let mut killed = 0;
    for round in 0.. {
        let output = format!("run{round}");
        let mut trainer =
            Process::start(&strs(&ladder(&files, &output, &["--swarm", &url, "--redeliver", "3"])));
        trainer.wait_for_line(|line| line["type"] == "variants");
        while killed < kills() && trainer.runs_for(moment(4000)) {
            broker.kill();
            if killed % 2 == 1 {
                broker.empty();
            }
            std::thread::sleep(moment(1000));
            broker.start_again();
            killed += 1;
        }
        trainer.succeed();
        assert!(end(&files, &output) == alone(), "other bits");
        if killed == kills() {
            break;
        }
    }
}

#[test]
fn a_trainer_that_is_killed_goes_on() {
    let files = Files::new();
    let broker = Broker::start();
    let _fleet = workers(&broker, 2);
    let url = broker.url();
    let mut killed = 0;
    for round in 0.. {
        let output = format!("run{round}");
        let more = ["--swarm", &url, "--redeliver", "3"];
        let mut trainer = Process::start(&strs(&ladder(&files, &output, &more)));
        trainer.wait_for_line(|line| line["type"] == "rollout");
        while killed < kills() && trainer.runs_for(moment(4000)) {
            trainer.kill();
            killed += 1;
            trainer = Process::start(&strs(&resume(&files, &output, &more)));
            trainer.wait_for_line(|line| line["type"] == "rollout" || line["type"] == "finished");
        }
        trainer.succeed();
        assert!(end(&files, &output) == alone(), "other bits");
        if killed == kills() {
            break;
        }
    }

    // One that is stopped gives up the tasks that wait, and asks for them again.
    let mut trainer = Process::start(&strs(&ladder(&files, "stopped", &["--swarm", &url])));
    trainer.wait_for_line(|line| line["type"] == "rollout" && line["step"] == 2);
    trainer.interrupt();
    Process::start(&strs(&resume(&files, "stopped", &["--swarm", &url]))).succeed();
    assert!(end(&files, "stopped") == alone(), "other bits");

    // Without a swarm such a run draws alone, and ends the same.
    let mut trainer = Process::start(&strs(&ladder(&files, "left", &["--swarm", &url])));
    trainer.wait_for_line(|line| line["type"] == "step");
    trainer.kill();
    let rest = run(&strs(&resume(&files, "left", &[])));
    assert_eq!(rest.status.code(), Some(0), "{}", text(&rest.stderr));
    assert!(end(&files, "left") == alone(), "other bits");
}

#[test]
fn what_cannot_work_says_why() {
    let files = Files::new();
    let mut broker = Broker::start();
    let url = broker.url();
    let work = ["work", "-m", "tiny", "--connect", &url];
    // A worker of another model, while a run is there.
    let mut trainer = Process::start(&strs(&ladder(&files, "run", &["--swarm", &url])));
    trainer.wait_for_words("waiting for workers");
    let other = model("llama");
    says(
        &["work", "-m", &other, "--connect", &url],
        &["weights of the model: its trainer has", "take the model"],
    );
    says(&["work", "-m", "tiny", "--f16", "--connect", &url], &["16-bit products: its trainer has false"]);
    trainer.interrupt();
    broker.kill();
    let unled = ladder(&files, "unled", &["--swarm", &url]);
    says(&strs(&unled), &["--swarm", "cannot be reached", "nats-server -js"]);
    says(&work, &["cannot be reached"]);
    assert!(!files.exists("unled"));

    let plain = Broker::with(&[]);
    says(&["swarm", "status", "--connect", &plain.url()], &["gives no JetStream", "start it with -js"]);
    let guarded = Broker::with(&["-js", "--user", "me", "--pass", "secret"]);
    let address = guarded.url();
    says(
        &["swarm", "status", "--connect", &address],
        &["cannot be reached", "nats://USER:PASSWORD@HOST:PORT"],
    );
    let right = address.replace("nats://", "nats://me:secret@");
    assert_eq!(json(&run(&["swarm", "status", "--json", "--connect", &right])), serde_json::json!([]));
    let wrong = address.replace("nats://", "nats://me:wrong@");
    let output = run(&["swarm", "status", "--connect", &wrong]);
    let words = text(&output.stderr);
    assert!(words.contains("cannot be reached") && !words.contains("wrong@"), "{words}");
    assert_eq!(output.status.code(), Some(2));

    // A run that was begun without workers drew groups together.
    let args = ladder(&files, "plain", &["--steps", "1"]);
    assert!(command(&strs(&args)).output().unwrap().status.success());
    let more = resume(&files, "plain", &["--steps", "2", "--swarm", &right]);
    says(&strs(&more), &["--swarm", "drawn alone"]);
}
