//! Evaluations with solved examples in the context.

use stepladder::ladder::eval::{Questions, evaluate};
use stepladder::ladder::learner::Language;
use stepladder::ladder::policy::Sampling;
use stepladder::ladder::settings::EvaluationSettings;
use stepladder::ladder::state::{Host, MemoryStore};
use stepladder::model::chat::Message;
use stepladder::model::open::{OpenModel, open};
use stepladder::task::{Problem, PromptStyle};

use crate::mock::{Mock, Pairs, problems};

#[test]
fn examples_stand_before_every_question_and_are_counted() {
    let solved = |problem: &str| Problem { answer: Some("ok".into()), ..problems(&[problem])[0].clone() };
    let asked = problems(&["2:1", "2:2", "3:1", "4:1"]);
    let evaluated = |shots: &[Problem]| {
        let mut mock = Mock::new();
        let cancel = mock.cancel;
        let seconds = std::cell::Cell::new(0.0);
        let clock = || {
            seconds.set(seconds.get() + 1.0);
            seconds.get()
        };
        let (mut store, mut sink) = (MemoryStore::default(), |_: &_| Ok(()));
        let mut host = Host { store: &mut store, sink: &mut sink, clock: &clock, cancel };
        let settings = EvaluationSettings { every: 0, samples: 2, sampling: Sampling::default() };
        let questions = Questions { problems: &asked, shots };
        let evaluation =
            pollster::block_on(evaluate(&mut mock, &Pairs, questions, &settings, 5, 0, &mut host)).unwrap();
        let prompts: Vec<String> = mock.requests.iter().map(|(prompt, ..)| prompt.clone()).collect();
        (evaluation, prompts)
    };

    let (plain, prompts) = evaluated(&[]);
    assert_eq!(prompts, ["solve 2:1", "solve 2:2", "solve 3:1", "solve 4:1"]);
    assert_eq!((plain.cost.shots, plain.cost.prompt_tokens, plain.cost.prefilled_tokens), (0, 36, 36));
    assert_eq!(plain.cost.tokens_per_question, (36 + plain.tokens) as f64 / 4.0);
    assert!(plain.cost.seconds > 0.0);
    assert_eq!(plain.cost.seconds_per_question, plain.cost.seconds / 4.0);

    let (shown, prompts) = evaluated(&[solved("1:1"), solved("1:2")]);
    assert_eq!(prompts[3], "solve 1:1 ok\nsolve 1:2 ok\nsolve 4:1");
    assert_eq!((shown.cost.shots, shown.cost.prompt_tokens), (2, 36 + 4 * 26));
    assert_eq!(shown.problems, plain.problems, "the mock answers alike, from the same random numbers");

    let json = serde_json::to_value(&shown).unwrap();
    for field in [
        "shots",
        "prompt_tokens",
        "prefilled_tokens",
        "seconds",
        "tokens_per_question",
        "seconds_per_question",
    ] {
        assert!(json[field].is_number(), "{field}: {json}");
    }
    assert_eq!(serde_json::from_value::<stepladder::ladder::eval::Evaluation>(json).unwrap(), shown);
}

fn language(model: &str) -> Language {
    let OpenModel { config, tokenizer, chat_template, .. } = open(model).unwrap();
    Language { tokenizer, chat: chat_template, style: None, end: config.eos_token_ids.first().copied() }
}

#[test]
fn examples_are_texts_or_turns_as_the_model_knows_them() {
    let shots = [("?2*x=", "x^2"), ("?x=", "x^2/2")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    let mut tiny = language("tiny");
    let text = |text: &str| tiny.tokenizer.encode(text, true).unwrap();
    let want = [text("?2*x=x^2"), vec![1], text("?x=x^2/2"), vec![1], text("?3=")].concat();
    assert_eq!(tiny.dialogue(&shots, "?3=").unwrap(), want);
    assert_eq!(tiny.prompt("?3=").unwrap(), text("?3="));
    tiny.end = None;
    assert_eq!(tiny.dialogue(&shots, "?3=").unwrap_err().code(), "usage");

    let mut qwen = language(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/qwen2"));
    let (user, assistant) = (Message::user, |text: &str| Message::new("assistant", text));
    let turns = [user("?2*x="), assistant("x^2"), user("?x="), assistant("x^2/2"), user("?3=")];
    let rendered = qwen.chat.as_ref().unwrap().render(&turns, true).unwrap();
    assert_eq!(qwen.dialogue(&shots, "?3=").unwrap(), qwen.tokenizer.encode(&rendered, false).unwrap());
    // Asked in the task's notation, a model with a template reads the text as it stands.
    assert_eq!(qwen.style(), PromptStyle::Instruct);
    qwen.style = Some(PromptStyle::Terse);
    assert_eq!(qwen.prompt("?3=").unwrap(), qwen.tokenizer.encode("?3=", true).unwrap());
}
