//! The fields of training rows: used, known to be harmless, or refused by name.

use serde_json::{Map, Value};

use super::harmless::is_harmless;
use super::learning_fields::{Says, is_kept_back, says, says_bad};
use super::names::{ASSISTANT, BESIDE_MESSAGES, FORMS, is_empty};

/// What to do in the place of tokens.
const ENCODED: &str = "give the text; it is encoded with the model's own tokenizer";

/// Fields that are refused, each with what to write in their place.
const REFUSED: &[(&str, &str)] = &[
    ("instruction", "write instruction and input as `prompt`, the output as `completion`"),
    ("input", "write it as `prompt`, or into it, and the output as `completion`"),
    ("output", "write it as `completion` after a `prompt`"),
    ("question", "write it as `prompt`, the answer as `completion`"),
    ("query", "write it as `prompt`, the response as `completion`"),
    ("response", "write it as `completion` after a `prompt`"),
    ("context", "write it into `prompt`"),
    ("system", "write it as a message with role `system`, or into `prompt`"),
    ("system_prompt", "write it as a message with role `system`, or into `prompt`"),
    (
        "chosen",
        "pairs of preference are not trained on; write the better one as `completion` or as the last message",
    ),
    (
        "rejected",
        "pairs of preference are not trained on; write the better one as `completion` or as the last message",
    ),
    ("label", "rows are learnt whole; leave out those with a false label, and the field from the others"),
    ("functions", "it is an old form; write `tools`, and `tool_calls` in the messages"),
    ("function_call", "it is an old form; write `tools`, and `tool_calls` in the messages"),
    ("images", "only text is learnt"),
    ("image", "only text is learnt"),
    ("audio", "only text is learnt"),
    ("videos", "only text is learnt"),
    ("input_ids", ENCODED),
    ("token_ids", ENCODED),
    ("prompt_ids", ENCODED),
    ("prompt_token_ids", ENCODED),
    ("prompt_input_ids", ENCODED),
    ("completion_ids", ENCODED),
    ("completion_token_ids", ENCODED),
    ("response_ids", ENCODED),
    ("response_token_ids", ENCODED),
    ("position_ids", ENCODED),
    ("token_type_ids", ENCODED),
    ("attention_mask", ENCODED),
    ("labels", "give the text; what is learnt follows from the form of the row"),
    ("role", "it is one message of a conversation; write the whole of it as `messages`"),
];

/// Checks the names of a row's fields; those that are null are left out before. A row that lacks the fields of every form gets
/// the words for that where none of its own says how to write it.
pub(super) fn check_row(row: &Map<String, Value>) -> Result<(), String> {
    let complete = row.contains_key("messages")
        || row.contains_key("conversations")
        || row.contains_key("text")
        || row.contains_key("completion");
    let has_form = row.keys().any(|name| FORMS.contains(&name.as_str()));
    for (name, value) in row {
        let name = name.as_str();
        let harmless = FORMS.contains(&name)
            || BESIDE_MESSAGES.contains(&name)
            || is_empty(value)
            || is_repeated(row, name, value);
        if let Some((_, remedy)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
            let means_nothing = match name {
                "label" => !is_judgement(value, row.contains_key("completion")),
                // Ratings by name, as OASST has them.
                "labels" => value.is_object(),
                _ => false,
            };
            if !harmless && !means_nothing {
                return Err(format!("has `{name}`, which is not learnt: {remedy}"));
            }
        } else if has_form
            && !harmless
            && let Some(said @ (Says::LeftOut | Says::Unclear)) = says(name, value)
        {
            let remedy = "rows are learnt alike: leave out those that are not to be learnt, and the field from the others";
            let what = match said {
                Says::LeftOut => "which says that the row is not learnt",
                _ => "which may say what of the row is learnt, in a way that is not known here",
            };
            return Err(format!("has `{name}`, {what}; {remedy}"));
        } else if has_form && !harmless && says_bad(name, value) {
            return Err(format!(
                "has `{name}` {value}, which says that it is not right: leave out what is not to be learnt, and the field from the others"
            ));
        } else if has_form && !harmless && is_kept_back(name, value) {
            return Err(format!(
                "has `{name}` {value}, which says that the row is for tests: leave such rows out, or the field if they are to be learnt"
            ));
        } else if name == "answer" && !complete {
            return Err(
                "has `answer` and nothing to learn: write a question as `prompt`, its answer as `completion`"
                    .into(),
            );
        } else if has_form && !harmless && !is_harmless(name) && says(name, value).is_none() {
            return Err(format!(
                "has `{name}`, of which it is not known whether it matters: leave it out, or put it into `meta`"
            ));
        }
    }
    Ok(())
}

/// Words by which a label judges an answer.
const JUDGEMENTS: [&str; 10] = ["-1", "0", "1", "yes", "no", "good", "bad", "right", "wrong", "rejected"];

/// Whether a `label` says if the row is right. Classes of texts have numbers too; an answer has none but 1, 0 and -1.
fn is_judgement(value: &Value, answer: bool) -> bool {
    match value {
        Value::Bool(_) => true,
        Value::Number(number) => answer && matches!(number.as_f64(), Some(-1.0 | 0.0 | 1.0)),
        Value::String(text) => {
            let text = text.trim().to_lowercase();
            ["true", "false"].contains(&text.as_str()) || answer && JUDGEMENTS.contains(&text.as_str())
        }
        _ => false,
    }
}

/// Whether the record says the same: data sets often carry a text and what it was made of. What is given counts where the record
/// gives it, and an answer where it learns it; a part of a longer line may be there by chance.
fn is_repeated(row: &Map<String, Value>, name: &str, value: &Value) -> bool {
    let Some(part) = value.as_str().map(str::trim) else { return false };
    let (given, answers) = (GIVEN.contains(&name), ANSWERS.contains(&name));
    let label = given && !name.starts_with("system");
    let holds = |whole: Option<&Value>| {
        whole.and_then(Value::as_str).is_some_and(|whole| has_lines(whole, part, label))
    };
    let fields = [("text", true), ("prompt", !answers), ("completion", !given)];
    if fields.into_iter().any(|(field, counts)| counts && holds(row.get(field))) {
        return true;
    }
    let mut turns = ["messages", "conversations", "prompt", "completion"]
        .into_iter()
        .filter_map(|field| Some((field, row.get(field)?.as_array()?)))
        .flat_map(|(field, turns)| turns.iter().map(move |turn| (field, turn)));
    turns.any(|(field, turn)| {
        let role = turn.get("role").or_else(|| turn.get("from")).and_then(Value::as_str).unwrap_or_default();
        let answer = field != "prompt" && ASSISTANT.contains(&role);
        let counts = !given && !answers || answer == answers;
        counts && (holds(turn.get("content")) || holds(turn.get("value")))
    })
}

/// Names of what a record is given.
const GIVEN: [&str; 7] = ["context", "input", "instruction", "query", "question", "system", "system_prompt"];
/// Names of what a record is to answer.
const ANSWERS: [&str; 4] = ["chosen", "output", "rejected", "response"];

/// Whether `part` is `whole`, or whole lines of it; with `label`, lines may begin with one that ends with a colon.
fn has_lines(whole: &str, part: &str, label: bool) -> bool {
    let blank = |character: char| character != '\n' && character.is_whitespace();
    let begins = |before: &str| {
        let before = before.trim_end_matches(blank);
        before.is_empty() || before.ends_with('\n') || label && before.ends_with(':')
    };
    let ends = |after: &str| {
        let after = after.trim_start_matches(blank);
        after.is_empty() || after.starts_with('\n')
    };
    whole.match_indices(part).any(|(place, _)| begins(&whole[..place]) && ends(&whole[place + part.len()..]))
}

#[cfg(test)]
mod tests {
    use crate::train::data::Record;

    #[test]
    fn every_field_is_used_harmless_or_refused() {
        for rest in [
            r#""meta": {"a": 1}"#,
            r#""source": "x", "num_turns": 3"#,
            r#""lang": "en", "chosen": null"#,
            r#""system": "", "weight": 1"#,
            r#""instruction": "a", "label": 3"#,
            r#""problem": "x", "level": 2, "answer": "y""#,
            r#""is_trained": true, "mask": false, "is_valid": true, "deleted": false"#,
            r#""video_id": "v", "bleu_score": 0.5, "book_name": "b", "text_length": 1, "source_ids": [1]"#,
            r#""n_tokens": 3, "prompt_tokens": 4, "token_count": 5, "number_of_words": 3"#,
            r#""labels": {"name": ["spam"], "value": [0.0]}, "tree_state": "ready_for_export""#,
        ] {
            let line = format!(r#"{{"text": "a", {rest}}}"#);
            assert!(Record::parse(&line).is_ok(), "{line}");
        }
        for (line, words) in [
            (r#"{"instruction": "a", "input": "", "output": "b"}"#, "`instruction`"),
            (r#"{"question": "a", "answer": "b"}"#, "`prompt`"),
            (r#"{"answer": "b"}"#, "`completion`"),
            (r#"{"prompt": "a", "chosen": "b", "rejected": "c"}"#, "`chosen`"),
            (r#"{"text": "a", "weight": 0.5}"#, "`weight`"),
            (r#"{"text": "a", "frobnicate": true}"#, "`frobnicate`"),
            (r#"{"text": "a", "n_shots": 3}"#, "`n_shots`"),
            (r#"{"text": "a", "num_return_sequences": 3}"#, "`num_return_sequences`"),
            (r#"{"text": "a", "num_epochs": 3}"#, "`num_epochs`"),
            (
                r#"{"text": "a", "prompt_token_ids": [1]}"#,
                "`prompt_token_ids`, which is not learnt: give the text",
            ),
            (r#"{"text": "a", "bad_word_ids": [1]}"#, "`bad_word_ids`"),
            (r#"{"text": "a", "stop_tokens": ["x"]}"#, "`stop_tokens`"),
            (r#"{"text": "a", "max_length": 3}"#, "`max_length`"),
            (r#"{"text": "a", "loss_type": "dpo"}"#, "`loss_type`"),
            (r#"{"text": "a", "role": "prompter"}"#, "`role`, which is not learnt: it is one message"),
            (r#"{"text": "a", "is_trained": false}"#, "`is_trained`, which says that the row is not learnt"),
            (r#"{"text": "a", "isMasked": true}"#, "`isMasked`"),
            (r#"{"text": "a", "is_rejected": 1}"#, "`is_rejected`"),
            (r#"{"text": "a", "is_correct": false}"#, "`is_correct` false, which says that it is not right"),
            (r#"{"text": "a", "type": "rejected"}"#, "`type`"),
            (r#"{"text": "a", "has_loss_mask": [0, 1]}"#, "`has_loss_mask`, which may say"),
            (r#"{"prompt": "a", "completion": "b", "system": "be brief"}"#, "`system`"),
            (r#"{"prompt": "Q", "completion": "A", "label": 0}"#, "`label`"),
            (r#"{"prompt": "Q", "completion": "A", "label": "False"}"#, "`label`"),
            (r#"{"text": "Q", "label": "false"}"#, "`label`"),
        ] {
            let problem = Record::parse(line).err().unwrap_or_default();
            assert!(problem.contains(words), "{line}: {problem}");
        }
    }

    /// The columns of data sets as they are published, beside the form that is learnt.
    #[test]
    fn rows_of_known_data_sets_are_read() {
        let turns =
            r#""messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]"#;
        let shared = r#""conversations": [{"from": "human", "value": "q", "weight": null}, {"from": "gpt", "value": "a"}]"#;
        for (form, rest) in [
            // Alpaca, Dolly
            (
                r#""text": "Below.\n### Instruction:\nq\n\n### Response:\na""#,
                r#""instruction": "q", "input": "", "output": "a""#,
            ),
            (
                r#""prompt": "q", "completion": "a""#,
                r#""instruction": "q", "context": "", "response": "a", "category": "open_qa""#,
            ),
            // ShareGPT, OpenHermes 2.5
            (shared, r#""id": "identity_0""#),
            (
                shared,
                r#""source": "airoboros2.2", "category": "orca", "system_prompt": null, "custom_instruction": true, "skip_prompt_formatting": true, "avatarUrl": "u", "views": 310, "idx": "3", "hash": 7"#,
            ),
            // UltraChat, Tulu, WildChat, SmolTalk
            (turns, r#""prompt": "q", "prompt_id": "x""#),
            (turns, r#""id": "ai2-adapt-dev", "source": "s", "dataset": "flan_v2""#),
            (
                turns,
                r#""conversation_id": "c", "model": "m", "turn": 1, "hashed_ip": "h", "header": {"a": "b"}, "state": "s", "country": "c", "openai_moderation": [], "redacted": false"#,
            ),
            (turns, r#""full_topic": "Travel""#),
            // GSM8K, MATH, NuminaMath, OpenR1-Math, DAPO
            (turns, r#""answer": "2 + 2 = 4\n#### 4", "split": "train""#),
            (turns, r#""problem": "p", "level": "Level 5", "type": "Algebra", "solution": "s""#),
            (
                turns,
                r#""problem_type": "Algebra", "question_type": "MCQ", "problem_is_valid": "Yes", "solution_is_valid": "Yes", "synthetic": false"#,
            ),
            (
                turns,
                r#""uuid": "u", "is_reasoning_complete": [true], "generations": ["g"], "correctness_math_verify": [true], "correctness_llama": [true], "finish_reasons": ["stop"], "correctness_count": 1"#,
            ),
            (
                turns,
                r#""ability": "math", "data_source": "math_dapo", "reward_model": {"ground_truth": "34", "style": "rule"}, "extra_info": {"index": 1}"#,
            ),
            // Magpie
            (
                shared,
                r#""gen_input_configs": {"temperature": 1}, "instruction": "q", "response": "a", "task_category": "Math", "other_task_category": ["x"], "task_category_generator": "m", "difficulty": "easy", "intent": "i", "knowledge": "k", "difficulty_generator": "m", "input_quality": "good", "quality_explanation": "e", "quality_generator": "m", "llama_guard_2": "safe", "reward_model": "rm", "instruct_reward": -1.2, "min_neighbor_distance": 0.1, "repeat_count": 0, "min_similar_uuid": "u", "instruction_length": 3, "response_length": 4"#,
            ),
            // OASST as conversations, FineWeb, Dolma
            (
                turns,
                r#""message_id": "m", "parent_id": "p", "user_id": "u", "created_date": "d", "review_count": 3, "review_result": true, "deleted": false, "rank": 0, "detoxify": {"toxicity": 0.1}, "message_tree_id": "t", "emojis": {"name": ["+1"]}"#,
            ),
            (
                r#""text": "t""#,
                r#""dump": "CC", "file_path": "s3", "language_score": 0.9, "token_count": 7, "int_score": 2"#,
            ),
            (r#""text": "t""#, r#""added": "2020", "created": "x", "metadata": {"a": 1}"#),
        ] {
            let line = format!("{{{form}, {rest}}}");
            assert!(Record::parse(&line).is_ok(), "{line}: {:?}", Record::parse(&line));
        }
    }

    /// What a row was made of may stand beside it, if the row says it where it belongs and not by chance within a word.
    #[test]
    fn only_whole_repetitions_are_left_out() {
        for line in [
            r#"{"prompt": "Translate:\n\nchat \n", "input": "chat", "completion": "cat"}"#,
            r#"{"prompt": "Q", "query": " Q\n", "completion": "A", "response": "A"}"#,
            r#"{"prompt": "Question: 2+2?\nAnswer:", "question": "2+2?", "completion": "4"}"#,
            r#"{"text": "Below.\n### Instruction:\nadd\n\n### Input:\n1\n2\n\n### Response:\n3", "instruction": "add", "input": "1\n2", "output": "3"}"#,
            r#"{"messages": [{"role": "system", "content": "be"}, {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "system": "be", "response": "a"}"#,
        ] {
            assert!(Record::parse(line).is_ok(), "{line}: {:?}", Record::parse(line));
        }
        for (line, field) in [
            (r#"{"prompt": "Translate to French:", "input": "chat", "completion": "chatte"}"#, "`input`"),
            (r#"{"prompt": "Translate", "input": "chat", "completion": "chat"}"#, "`input`"),
            (r#"{"prompt": "Is it even?", "input": "4", "completion": "4\nis even"}"#, "`input`"),
            (r#"{"prompt": "Who?", "context": "Tolstoy", "completion": "Tolstoy wrote it."}"#, "`context`"),
            (r#"{"prompt": "Answer.", "system": "be", "completion": "maybe"}"#, "`system`"),
            (r#"{"prompt": "number", "system": "be", "completion": "x"}"#, "`system`"),
            (r#"{"prompt": "Say hi", "response": "hi", "completion": "hi there"}"#, "`response`"),
            (r#"{"prompt": "hi", "response": "hi", "completion": "ho"}"#, "`response`"),
            (r#"{"text": "a word", "frobnicate": "or"}"#, "`frobnicate`"),
            (
                r#"{"conversations": [{"from": "human", "value": "You are X. q"}, {"from": "gpt", "value": "You are X"}], "system": "You are X"}"#,
                "`system`",
            ),
        ] {
            let problem = Record::parse(line).err().unwrap_or_default();
            assert!(problem.contains(field), "{line}: {problem}");
        }
    }
}
