//! Choosing kernels at first use.

use std::collections::BTreeMap;

use crate::program::{Files, command, text};

#[test]
fn choices_are_kept_and_what_never_finished_is_not_begun_again() {
    let files = Files::new();
    let data = files.write("data.jsonl", super::EXAMPLES);
    let train = |output: &str| {
        let output = files.path(output);
        let args = ["train", "-m", "tiny", "--data", &data, "--steps", "1", "--output", &output];
        let done = command(&args).env("STEPLADDER_CACHE", files.path("cache")).output().unwrap();
        assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
        text(&done.stderr).to_owned()
    };
    train("first");
    let names = files.names("cache/tune");
    assert_eq!(names.len(), 1, "{names:?}");
    let file = format!("cache/tune/{}", names[0]);
    let kept = || -> BTreeMap<String, usize> {
        serde_json::from_str(&std::fs::read_to_string(files.path(&file)).unwrap()).unwrap()
    };
    let keys: Vec<String> = kept().into_keys().collect();
    assert!(!keys.is_empty() && keys.iter().all(|key| key.starts_with("matmul/")), "{keys:?}");

    // As a run leaves it that was brought down, and as two do.
    files.write(&file, r#"{"unfinished": 1}"#);
    train("second");
    assert_eq!(kept().into_keys().collect::<Vec<_>>(), keys);
    files.write(&file, r#"{"unfinished": 2}"#);
    let message = train("third");
    assert!(message.contains("did not finish 2 times") && message.contains(&names[0]), "{message}");
    assert_eq!(kept(), BTreeMap::from([("unfinished".to_owned(), 2)]));
}
