//! A study of lessons from its file to its table: every way of learning once, killed between two jobs and gone on with.

use std::fs;

use serde_json::Value;

use super::program::{Files, json, run, text};

const STUDY: &str = r#"
name = "small"
question = "What is kept?"
model = "tiny"
seeds = [1]
orders = [["a", "b", "fix"]]
subject = "both"
rival = "plain"
settings = { epochs = 2, max_answer_tokens = 6 }
[[lesson]]
name = "a"
label = "A"
kind = "notation_book"
count = 6
[[lesson]]
name = "b"
label = "B"
kind = "notation_reverse"
count = 4
[[lesson]]
name = "fix"
label = "A corrected"
kind = "corrections"
of = "a"
count = 50
"#;

fn arm(name: &str, kind: &str, more: &str) -> String {
    format!("[[arm]]\nname = \"{name}\"\nlabel = \"{name}\"\nkind = \"{kind}\"\n{more}\n")
}

#[test]
fn every_way_of_learning_is_run_once_and_told() {
    let files = Files::new();
    let alone = "settings = { earlier_share = 0.0, base_share = 0.0 }";
    let arms = [
        arm("plain", "sequence", alone),
        arm("both", "sequence", ""),
        arm("gated", "sequence", "gated = true"),
        arm("slao", "slao", alone),
        arm("ties", "ties", alone),
        arm("apart", "apart", alone),
        arm("joint", "joint", ""),
    ];
    let study = files.write("small.toml", format!("{STUDY}{}", arms.concat()));
    let output = files.path("out");
    let part = run(&["study", &study, "--output", &output, "--arm", "both", "--json"]);
    assert!(part.status.success(), "{}", text(&part.stderr));
    let kept = format!("{output}/both-seed1-order1/step-2/step.json");
    let before = fs::read(&kept).unwrap();
    // As a kill between the second step and the third would have left it.
    fs::remove_dir_all(format!("{output}/both-seed1-order1/step-3")).unwrap();
    let page = files.write("page.md", "<!-- study small -->\n<!-- end study -->\n");
    let results = json(&run(&["study", &study, "--output", &output, "--page", &page, "--json"]));
    assert_eq!(fs::read(&kept).unwrap(), before);
    let alike = |part: &Value, whole: &Value| {
        let steps = |results: &Value| {
            let mut steps = results["jobs"][0]["steps"].clone();
            steps.as_array_mut().unwrap().iter_mut().for_each(|step| step["seconds"] = 0.into());
            steps
        };
        assert_eq!(steps(part), steps(whole));
    };
    let arms = results["arms"].as_array().unwrap();
    alike(&json(&part)["arms"][1], &arms[1]);
    for arm in arms {
        let steps = arm["jobs"][0]["steps"].as_array().unwrap();
        assert_eq!(steps.len(), if arm["name"] == "joint" { 1 } else { 3 }, "{arm}");
        for (place, step) in steps.iter().enumerate() {
            let asked = step["exams"].as_array().unwrap().iter().filter(|exam| !exam.is_null()).count();
            let all = arm["name"] == "joint" || arm["gated"] == true;
            let own = arm["name"] == "apart";
            assert_eq!(
                asked,
                if all {
                    3
                } else if own {
                    place + 1
                } else {
                    (place + 2).min(3)
                },
                "{arm}"
            );
            assert!(step["training_tokens"].as_u64().unwrap() > 0);
        }
    }
    // Nothing is learnt in two epochs, so that the gate lets nothing through, and the base goes on to be served.
    assert!(arms[2]["jobs"][0]["steps"].as_array().unwrap().iter().all(|step| step["counts"] == false));
    // Questions of corrected facts are asked of nobody: one answer is right before, another after.
    assert_eq!(results["bases"][0]["halves"][0].as_str().unwrap().len(), 3);
    let page = fs::read_to_string(&page).unwrap();
    for words in ["| **both** |", "| joint |", "A corrected", "What was said before the study was run"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let rendered = run(&["study", &study, "--output", &output, "--render", "--json"]);
    assert_eq!(json(&rendered), results);
    let other = files.write("small.toml", format!("{STUDY}{}", arm("plain", "sequence", "")));
    let refused = run(&["study", &other, "--output", &output]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("small.toml"));
}
