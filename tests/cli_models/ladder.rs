//! LADDER, test-time learning and studies with the embedded model, as a user runs them.

use std::fs;

use serde_json::Value;

use crate::bad_input::fails;
use crate::program::{Files, json, json_lines, run, says, text};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The lines of a committed problems file whose level is one of `levels`.
fn problems(name: &str, levels: &[&str]) -> String {
    let text = fs::read_to_string(format!("{ROOT}/models/tiny/problems_{name}.jsonl")).unwrap();
    let of = |line: &&str| levels.iter().any(|level| line.contains(&format!("\"level\": {level}")));
    text.lines().filter(of).map(|line| format!("{line}\n")).collect()
}

/// Two minutes at most, a fixed seed: the model is rewarded more and more for problems that it poses itself, and solves more of
/// those that it never saw.
#[test]
fn the_reward_rises() {
    let files = Files::new();
    let roots = files.write("roots.jsonl", problems("train", &["6"]));
    let held_out = files.write("held_out.jsonl", problems("heldout", &["6"]));
    let output = files.path("run");
    let settings =
        ["variants.per_node=2", "curriculum.adaptive=false", "evaluation.every=0", "evaluation.samples=8"];
    let mut args =
        vec!["ladder", "-m", "tiny", "--task", "integral", "--json", "--seed", "1", "--steps", "14"];
    args.extend(["--problems", &roots, "--eval-problems", &held_out, "--output", &output]);
    args.extend(["--prompts-per-step", "24", "--group-size", "4"]);
    args.extend(settings.iter().flat_map(|setting| ["--set", *setting]));
    let events = json_lines(&run(&args));
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<&Value>>();
    let rewards: Vec<f64> = of("step").iter().map(|step| step["reward_mean"].as_f64().unwrap()).collect();
    assert_eq!(rewards.len(), 14);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    assert!(mean(&rewards[9..]) > mean(&rewards[..5]) + 0.05, "{rewards:?}");
    for gap in of("step").iter().map(|step| &step["logprob_gap"]) {
        let [mean, p99, max] = ["mean", "p99", "max"].map(|name| gap[name].as_f64().unwrap());
        assert!((0.0..=max).contains(&mean) && (0.0..=max).contains(&p99) && max < 1e-3, "{gap}");
    }
    let finished = of("finished")[0];
    let rate = |when: &str| finished[when]["pass_at_1"].as_f64().unwrap();
    assert!(rate("after") > rate("before") + 0.04, "{finished}");
    assert!(files.exists("run/report.html") && files.exists("run/adapter/adapter_model.safetensors"));

    // What a run came to is told again from its folder, also of one that was cut off.
    let report = json(&run(&["report", "--json", &output]));
    assert_eq!((&report["finished"]["after"], &report["step"]["step"]), (&finished["after"], &14.into()));
    assert!(report["report"].as_str().unwrap().ends_with("report.html"));
    let told = run(&["report", &output]);
    let told = text(&told.stdout);
    assert!(
        told.contains("done: 14 steps") && told.contains("before") && told.contains("variants"),
        "{told}"
    );
    assert!(told.lines().all(|line| line.chars().count() <= 80 || line.contains("report.html")), "{told}");
    let log = fs::read_to_string(files.path("run/events.jsonl")).unwrap();
    let cut: Vec<&str> = log.lines().take_while(|line| !line.contains("\"step\":6,")).collect();
    fs::create_dir(files.path("half")).unwrap();
    let half = files.write("half/events.jsonl", cut.join("\n"));
    fs::copy(files.path("run/run.json"), files.path("half/run.json")).unwrap();
    let half = half.trim_end_matches("/events.jsonl");
    let told = run(&["report", half]);
    assert!(text(&told.stdout).contains("step 5 of 14 is done"), "{}", text(&told.stdout));
    // A run that goes on with more steps has finished once and is not at its end.
    let started = log.lines().find(|line| line.contains("\"started\"")).unwrap();
    files.write("half/events.jsonl", format!("{log}{started}\n"));
    let told = run(&["report", half]);
    assert!(text(&told.stdout).contains("step 14 of 14 is done; the run goes on"), "{}", text(&told.stdout));
    says(&["report", &files.path("nothing")], &["run.json"]);
}

#[test]
fn several_questions_are_answered_once_each() {
    let files = Files::new();
    let questions =
        files.write("q.jsonl", "{\"problem\": \"2*x\"}\n{\"problem\": \"x*sin(2*x)+exp(3*x)-x^3\"}\n");
    let answers = files.path("answers.jsonl");
    let mut args = vec!["ttrl", "-m", "tiny", "--task", "integral", "--json", "--steps", "1", "--votes", "6"];
    args.extend(["--prompts-per-step", "2", "--group-size", "2", "--max-tokens", "24", "--confident", "0.8"]);
    args.extend(["--set", "variants.per_node=2", "--set", "curriculum.probe_samples=0"]);
    args.extend(["--problems", &questions, "--output", &answers]);
    let lines = json_lines(&run(&args));
    let total = lines.last().unwrap();
    assert_eq!((total["problems"].as_u64(), total["answered_before"].as_u64()), (Some(2), Some(0)));
    let outcomes: Vec<&Value> = lines.iter().filter(|line| line["votes"].is_array()).collect();
    assert_eq!(outcomes.len(), 2);
    // The first is easy: the model agrees with itself and learns nothing for it.
    assert_eq!(
        (outcomes[0]["steps"].as_u64(), outcomes[0]["verdict"]["verdict"].as_str()),
        (Some(0), Some("correct"))
    );
    assert_eq!(outcomes[1]["steps"].as_u64(), Some(1));
    // What was written stays, and half a line does not.
    let kept = fs::read_to_string(&answers).unwrap();
    assert_eq!(kept.lines().count(), 2);
    fs::write(&answers, format!("{}\n{{\"problem\": \"x*si", kept.lines().next().unwrap())).unwrap();
    let again = json_lines(&run(&args));
    let total = again.last().unwrap();
    assert_eq!((total["problems"].as_u64(), total["answered_before"].as_u64()), (Some(1), Some(1)));
    assert_eq!(fs::read_to_string(&answers).unwrap(), kept, "the same seed, the same answer");

    let bad = files.write("bad.jsonl", "{\"problem\": \"x\"}\n{\"problem\": \"y+\"}\n");
    let usual = ["ttrl", "-m", "tiny", "--task", "integral"];
    fails(&[&usual[..], &["--problems", &bad]].concat(), 1, &["bad.jsonl", "y+"]);
    fails(&[&usual[..], &["--problem", "x", "--set", "token_budget=0"]].concat(), 2, &["token_budget", "0"]);
    fails(&[&usual[..], &["--problem", "x", "--preset", "big"]].concat(), 2, &["--preset", "big"]);
}

#[test]
fn a_study_gives_table_plots_and_page() {
    let files = Files::new();
    files.write("roots.jsonl", problems("train", &["6"]).lines().take(3).collect::<Vec<_>>().join("\n"));
    let held_out = problems("heldout", &["4", "6"]);
    let held_out: Vec<&str> = held_out.lines().step_by(16).collect();
    files.write("held_out.jsonl", held_out.join("\n"));
    files.write("text.jsonl", "{\"text\": \"?2*x=x^2\"}\n");
    let study = files.write(
        "small.toml",
        "name = \"small\"\nquestion = \"Does it run?\"\nmodel = \"tiny\"\ntask = \"integral\"\nproblems = \"roots.jsonl\"\n\
         held_out = \"held_out.jsonl\"\ntext = \"text.jsonl\"\npreset = \"tiny\"\nseeds = [1]\ntoken_budget = 900\nsamples = 2\n\
         hard_levels = [6]\neasy_levels = [4]\nreference = \"ladder\"\n\
         [settings]\nprompts_per_step = 4\n\"variants.per_node\" = 2\n\"evaluation.samples\" = 1\n\
         [[arm]]\nname = \"base\"\nlabel = \"base\"\nkind = \"evaluate\"\n\
         [[arm]]\nname = \"sample\"\nlabel = \"base\"\nkind = \"sample\"\n\
         [[arm]]\nname = \"ladder\"\nlabel = \"LADDER\"\nkind = \"train\"\n",
    );
    let page = files.write("page.md", "# Page\n<!-- study small -->\n<!-- end study -->\nend\n");
    let (output, published) = (files.path("out"), files.path("published"));
    let args = ["study", &study, "--output", &output, "--publish", &published, "--page", &page, "--json"];
    let results = json(&run(&args));
    assert_eq!(results["arms"].as_array().unwrap().len(), 4, "{results}");
    let ladder = &results["arms"][3]["seeds"][0];
    assert!(ladder["training_tokens"].as_u64().unwrap() >= 900 && ladder["kl"].is_f64());
    assert!(ladder["text_logprob"].as_f64().unwrap() < 0.0);
    let table = fs::read_to_string(&page).unwrap();
    assert!(table.contains("| LADDER |") && table.ends_with("<!-- end study -->\nend\n"), "{table}");
    assert!(files.exists("published/levels.svg") && files.exists("out/ladder-seed1/run/report.html"));
    // Made again from the published numbers alone, the page is the same.
    let again = run(&["study", &study, "--render", "--publish", &published, "--page", &page]);
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    assert_eq!(fs::read_to_string(&page).unwrap(), table);

    fails(&["study", &study, "--output", &output, "--arm", "nobody"], 2, &["--arm", "base, sample, ladder"]);
    let other = files.write("other.md", "no marks\n");
    fails(
        &["study", &study, "--render", "--publish", &published, "--page", &other],
        1,
        &["other.md", "marks"],
    );
    fails(&["study", &files.path("absent.toml")], 1, &["absent.toml"]);
}
