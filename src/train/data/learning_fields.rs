//! Fields by which other programs say whether a row or a message is learnt: OpenAI's and Mistral's `weight`, `train` of axolotl, `loss`
//! of ms-swift and XTuner, `masked` of torchtune, and flags that data sets have of their own.

use serde_json::Value;

/// Names of which 1 or true says that it is learnt. With `is` or `has` before them they mean the same.
const LEARNT: &[&str] = &[
    "compute_loss",
    "learn",
    "learnable",
    "learned",
    "learnt",
    "loss",
    "loss_weight",
    "sample_weight",
    "train",
    "train_on_turn",
    "trainable",
    "trained",
    "training",
    "weight",
];
/// Names of which 1 or true says that it is not.
const LEFT_OUT: &[&str] = &["exclude", "excluded", "ignore", "ignored", "mask", "masked", "skip", "skipped"];
/// The same behind `is` alone: without it they are texts.
const JUDGED: [(&str, bool); 4] =
    [("chosen", true), ("preferred", true), ("negative", false), ("rejected", false)];
/// Flags of data sets by which a row or message is right or not, with or without `is` or `has`, and what they say where they are set.
const GOOD: [(&str, bool); 19] = [
    ("accepted", true),
    ("approved", true),
    ("correct", true),
    ("good", true),
    ("passed", true),
    ("review_result", true),
    ("valid", true),
    ("verified", true),
    ("bad", false),
    ("deleted", false),
    ("discarded", false),
    ("duplicate", false),
    ("flagged", false),
    ("incorrect", false),
    ("invalid", false),
    ("removed", false),
    ("spam", false),
    ("toxic", false),
    ("wrong", false),
];
/// Fields that sort rows, and words there by which one is not right.
const SORTS: [&str; 7] = ["category", "kind", "label", "quality", "status", "type", "verdict"];
const BAD: [&str; 7] = ["bad", "discarded", "failed", "incorrect", "invalid", "rejected", "wrong"];
/// Words of names that have to do with what is learnt, in a way that nothing more is known of.
const WORDS: &[&str] =
    &["learn", "learned", "learnt", "loss", "mask", "masked", "masks", "train", "trained", "weight"];

/// What a field has to do with what is learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// It is learnt.
    Learnt,
    /// It is left out.
    LeftOut,
    /// Something, by its name, that is not understood.
    Unclear,
}

/// What the field `name` with `value` says of what is learnt; `None` if its name has nothing to do with it.
pub(super) fn says(name: &str, value: &Value) -> Option<Says> {
    let name = snake(name);
    let flag = name.strip_prefix("is_").or_else(|| name.strip_prefix("has_"));
    let bare = flag.unwrap_or(&name);
    let judged = JUDGED.into_iter().find(|(judged, _)| flag == Some(judged)).map(|(_, learnt)| learnt);
    let on = match judged {
        Some(on) => on,
        None if LEARNT.contains(&bare) => true,
        None if LEFT_OUT.contains(&bare) => false,
        None if flag.is_some() && bare.split('_').any(|word| WORDS.contains(&word)) => {
            return Some(Says::Unclear);
        }
        None => return None,
    };
    let set = match value {
        Value::Bool(set) => *set,
        other if other.as_f64() == Some(1.0) => true,
        other if other.as_f64() == Some(0.0) => false,
        _ => return Some(Says::Unclear),
    };
    Some(if set == on { Says::Learnt } else { Says::LeftOut })
}

/// Whether a row, or a message, says that it belongs to the part of a data set on which others test: `"split": "test"`, `"is_test": true`.
pub(super) fn is_kept_back(name: &str, value: &Value) -> bool {
    const PARTS: [&str; 11] = [
        "test",
        "testing",
        "val",
        "valid",
        "validation",
        "dev",
        "eval",
        "evaluation",
        "holdout",
        "held_out",
        "heldout",
    ];
    let snake = |text: &str| text.trim().to_lowercase().replace(['-', ' '], "_");
    let name = snake(name);
    let part = value.as_str().map(snake);
    if ["split", "partition", "data_split", "set"].contains(&name.as_str()) {
        return part.is_some_and(|part| PARTS.contains(&part.as_str()));
    }
    // `is_valid` is another thing.
    let flag = name.strip_prefix("is_").unwrap_or(&name);
    let set = *value == Value::Bool(true)
        || value.as_f64() == Some(1.0)
        || part.is_some_and(|part| matches!(part.as_str(), "true" | "yes" | "1"));
    set && flag != "valid" && PARTS.contains(&flag)
}

/// Whether the field `name` with `value` says that what it stands at is not right, and so not to be learnt.
pub(super) fn says_bad(name: &str, value: &Value) -> bool {
    let name = snake(name);
    let text = value.as_str().map(|text| text.trim().to_lowercase());
    if SORTS.contains(&name.as_str()) && text.as_deref().is_some_and(|text| BAD.contains(&text)) {
        return true;
    }
    let flag = name.strip_prefix("is_").or_else(|| name.strip_prefix("has_"));
    let bare = flag.unwrap_or(&name);
    // `problem_is_valid`: of a part of the row.
    let bare = bare.rsplit_once("_is_").map_or(bare, |(_, last)| last);
    let Some((_, good)) = GOOD.into_iter().find(|(word, _)| *word == bare) else { return false };
    let set = match (value, text.as_deref()) {
        (Value::Bool(set), _) => *set,
        (_, Some("true" | "yes" | "1")) => true,
        (_, Some("false" | "no" | "0")) => false,
        // How many, where it is no flag.
        (Value::Number(number), _) if flag.is_some() => match number.as_f64() {
            Some(1.0) => true,
            Some(0.0) => false,
            _ => return false,
        },
        _ => return false,
    };
    set != good
}

/// `isTrained` and `is-trained` as `is_trained`.
fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut small = false;
    for letter in name.chars() {
        if letter.is_uppercase() && small {
            out.push('_');
        }
        small = letter.is_lowercase() || letter.is_ascii_digit();
        match letter {
            '-' | ' ' | '.' => out.push('_'),
            letter => out.extend(letter.to_lowercase()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_right_says_so() {
        for (name, value) in [
            ("is_correct", json!(false)),
            ("correct", json!(false)),
            ("is_valid", json!("no")),
            ("problem_is_valid", json!("No")),
            ("deleted", json!(true)),
            ("isDeleted", json!(1)),
            ("type", json!("rejected")),
            ("quality", json!("bad")),
            ("verified", json!("false")),
        ] {
            assert!(says_bad(name, &value), "{name}");
        }
        for (name, value) in [
            ("is_correct", json!(true)),
            ("correct", json!(0)),
            ("is_valid", json!("yes")),
            ("problem_is_valid", json!("Incomplete")),
            ("deleted", json!(false)),
            ("type", json!("algebra")),
            ("type", json!("MCQ")),
            ("quality", json!("good")),
            ("verified", json!("by hand")),
        ] {
            assert!(!says_bad(name, &value), "{name}");
        }
    }

    #[test]
    fn names_of_other_programs_say_what_is_learnt() {
        let learnt = [
            ("weight", json!(1)),
            ("train", json!(true)),
            ("is_trained", json!(true)),
            ("isTrained", json!(1.0)),
            ("loss", json!(true)),
            ("masked", json!(false)),
            ("is-masked", json!(0)),
            ("is_chosen", json!(true)),
        ];
        let left_out = [
            ("weight", json!(0)),
            ("train", json!(false)),
            ("IsTrained", json!(false)),
            ("has_loss", json!(false)),
            ("mask", json!(true)),
            ("is_ignored", json!(true)),
            ("is_rejected", json!(true)),
        ];
        let unclear = [
            ("weight", json!(0.5)),
            // The roles that NeMo does not learn.
            ("mask", json!("User")),
            ("loss", json!([0, 1])),
            ("is_in_train_split", json!(true)),
        ];
        let nothing =
            ["is_valid", "chosen", "has_code", "is_training_free", "num_weights", "weight_kg", "trainer"];
        for (name, value) in learnt {
            assert_eq!(says(name, &value), Some(Says::Learnt), "{name}");
        }
        for (name, value) in left_out {
            assert_eq!(says(name, &value), Some(Says::LeftOut), "{name}");
        }
        for (name, value) in unclear {
            assert_eq!(says(name, &value), Some(Says::Unclear), "{name}");
        }
        for name in nothing {
            assert_eq!(says(name, &json!(true)), None, "{name}");
        }
    }
}
