//! What is answered: the same as `generate` and `score` say, whole or streamed.

use serde_json::{Value, json};

use crate::program::Files;
use crate::server::{Server, json as cli, random_model};

const TEXT: &str = "/v1/completions";
const CHAT: &str = "/v1/chat/completions";

fn floats(values: &Value) -> Vec<f64> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

/// The texts of a stream's choices, put together, and why each ended.
fn joined(events: &[Value], choices: usize) -> Vec<(String, String)> {
    let mut out = vec![(String::new(), String::new()); choices];
    for choice in events.iter().flat_map(|event| event["choices"].as_array().unwrap()) {
        let (text, finish) = &mut out[choice["index"].as_u64().unwrap() as usize];
        *text += choice["text"].as_str().or(choice["delta"]["content"].as_str()).unwrap_or("");
        if let Some(reason) = choice["finish_reason"].as_str() {
            assert!(finish.is_empty(), "{choice}");
            reason.clone_into(finish);
        }
    }
    out
}

fn texts(answer: &Value) -> Vec<(String, String)> {
    let text = |choice: &Value| {
        let text = choice["text"].as_str().or(choice["message"]["content"].as_str()).unwrap();
        (text.to_owned(), choice["finish_reason"].as_str().unwrap().to_owned())
    };
    answer["choices"].as_array().unwrap().iter().map(text).collect()
}

#[test]
fn texts_are_those_of_the_command_line() {
    let server = Server::start("tiny", &[]);
    assert_eq!((&server.ready["models"], &server.ready["context"]), (&json!(["tiny"]), &json!(256)));
    let greedy =
        cli(&["generate", "-m", "tiny", "-p", "?2*x=", "--temperature", "0", "--max-tokens", "20", "--json"]);
    let body = json!({"model": "tiny", "prompt": "?2*x=", "temperature": 0, "max_tokens": 20, "logprobs": 3});
    let answer = server.answer(TEXT, body.clone());
    let choice = &answer["choices"][0];
    let expected = &greedy["completions"][0];
    assert_eq!((&choice["text"], &choice["finish_reason"]), (&expected["text"], &json!("stop")));
    let tokens = expected["tokens"].as_array().unwrap().len();
    let usage = json!({
        "prompt_tokens": 5,
        "completion_tokens": tokens,
        "total_tokens": 5 + tokens,
        "prompt_tokens_details": { "cached_tokens": 0 },
    });
    assert_eq!((&answer["usage"], &answer["object"]), (&usage, &json!("text_completion")));

    // Log-probabilities are those of the text, and the drawn token is the likeliest.
    let text = choice["text"].as_str().unwrap();
    let scored = cli(&["score", "-m", "tiny", "--text", &format!("?2*x={text}"), "--json"]);
    let (told, scored) = (floats(&choice["logprobs"]["token_logprobs"]), floats(&scored["logprobs"]));
    let scored = &scored[scored.len() - told.len()..];
    assert!(told.len() == tokens - 1 && told.iter().zip(scored).all(|(a, b)| (a - b).abs() < 1e-3));
    for (index, likeliest) in choice["logprobs"]["top_logprobs"].as_array().unwrap().iter().enumerate() {
        let likeliest = likeliest.as_object().unwrap();
        assert!(likeliest.len() <= 3 && likeliest.values().all(|p| p.as_f64() <= Some(told[index] + 1e-5)));
        let token = choice["logprobs"]["tokens"][index].as_str().unwrap();
        assert!((likeliest[token].as_f64().unwrap() - told[index]).abs() < 1e-5, "{likeliest:?}");
    }
    let tokens: String = choice["logprobs"]["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| token.as_str().unwrap())
        .collect();
    assert_eq!(tokens, text);

    // A stream adds up to the same, and so do its log-probabilities.
    let events = server.events(TEXT, body);
    assert_eq!(joined(&events, 1), texts(&answer));
    let streamed: Vec<f64> = events
        .iter()
        .flat_map(|event| {
            floats(
                &event["choices"][0]["logprobs"]["token_logprobs"]
                    .as_array()
                    .map_or(json!([]), |list| json!(list)),
            )
        })
        .collect();
    assert!(streamed.len() == told.len() && streamed.iter().zip(&told).all(|(a, b)| (a - b).abs() < 1e-4));
}

#[test]
fn seeds_choices_and_stop_texts() {
    let server = Server::start("tiny", &["--rows", "2"]);
    let sampled = cli(&[
        "generate",
        "-m",
        "tiny",
        "-p",
        "?x^3=",
        "-n",
        "3",
        "--seed",
        "5",
        "--max-tokens",
        "12",
        "--json",
    ]);
    let expected: Vec<&str> =
        sampled["completions"].as_array().unwrap().iter().map(|c| c["text"].as_str().unwrap()).collect();
    // Three completions in two rows, of one seed, twice.
    let body = json!({"prompt": "?x^3=", "n": 3, "seed": 5, "max_tokens": 12, "temperature": 1});
    for _ in 0..2 {
        let answer = server.answer(TEXT, body.clone());
        let got: Vec<String> = texts(&answer).into_iter().map(|(text, _)| text).collect();
        assert_eq!(got, expected);
    }
    assert_eq!(joined(&server.events(TEXT, body.clone()), 3), texts(&server.answer(TEXT, body)));
    // Without a seed they differ; with several prompts each has its choices.
    let free = |prompt: Value| {
        server.answer(TEXT, json!({"prompt": prompt, "n": 8, "max_tokens": 12, "temperature": 2}))
    };
    assert_ne!(texts(&free(json!("?x="))), texts(&free(json!("?x="))));
    let two = server.answer(TEXT, json!({"prompt": ["?2*x=", "?3="], "temperature": 0, "max_tokens": 20}));
    for (index, prompt) in ["?2*x=", "?3="].iter().enumerate() {
        let one = server.answer(TEXT, json!({"prompt": prompt, "temperature": 0, "max_tokens": 20}));
        assert_eq!(texts(&two)[index], texts(&one)[0]);
    }

    let whole = texts(&server.answer(TEXT, json!({"prompt": "?x**2=", "temperature": 0, "max_tokens": 24})))
        [0]
    .clone();
    assert!(whole.0.contains("cos") && whole.1 == "stop", "{whole:?}");
    for stop in [json!("cos"), json!(["zz", "s(", "cos"])] {
        let body = json!({"prompt": "?x**2=", "temperature": 0, "max_tokens": 24, "stop": stop, "logprobs": 0,
            "stream_options": {"include_usage": true}});
        let answer = server.answer(TEXT, body.clone());
        let before = whole.0.split("cos").next().unwrap();
        assert_eq!(texts(&answer), [(before.to_owned(), "stop".to_owned())]);
        assert_eq!(answer["choices"][0]["logprobs"]["tokens"].as_array().unwrap().concat_texts(), before);
        let events = server.events(TEXT, body);
        assert_eq!(joined(&events, 1), texts(&answer));
        // Tokens after the stop text are not counted, wherever a block of them ended.
        let (last, others) = events.split_last().unwrap();
        assert_eq!(last["usage"]["completion_tokens"], answer["usage"]["completion_tokens"]);
        assert!(last["choices"] == json!([]) && others.iter().all(|event| event["usage"].is_null()));
    }
    let cut = server.answer(TEXT, json!({"prompt": "?x**2=", "temperature": 0, "max_tokens": 2}));
    assert_eq!((texts(&cut)[0].1.as_str(), &cut["usage"]["completion_tokens"]), ("length", &json!(2)));
}

trait ConcatTexts {
    fn concat_texts(&self) -> String;
}

impl ConcatTexts for Vec<Value> {
    fn concat_texts(&self) -> String {
        self.iter().map(|text| text.as_str().unwrap()).collect()
    }
}

#[test]
fn conversations_and_what_they_begin_with() {
    let model = random_model();
    let server = Server::start(&model, &["--rows", "4"]);
    let expected = cli(&[
        "generate",
        "-m",
        &model,
        "-p",
        "Hi",
        "--chat",
        "--temperature",
        "0",
        "--max-tokens",
        "20",
        "--json",
    ]);
    let messages = json!([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]);
    let body = json!({"model": "base", "messages": messages, "temperature": 0, "max_completion_tokens": 20,
        "logprobs": true, "top_logprobs": 2, "stream_options": {"include_usage": true, "include_obfuscation": false}});
    let answer = server.answer(CHAT, body.clone());
    let message = &answer["choices"][0]["message"];
    assert_eq!(
        (&message["content"], &message["role"]),
        (&expected["completions"][0]["text"], &json!("assistant"))
    );
    assert_eq!((&answer["object"], &answer["model"]), (&json!("chat.completion"), &json!("qwen2")));
    let told = answer["choices"][0]["logprobs"]["content"].as_array().unwrap();
    assert!(
        told.len() == 20 && told.iter().all(|token| token["top_logprobs"].as_array().unwrap().len() == 2)
    );
    assert_eq!(answer["usage"]["prompt_tokens_details"]["cached_tokens"], 0);

    let events = server.events(CHAT, body);
    assert_eq!(events[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    assert_eq!(joined(&events, 1), texts(&answer));

    // A next turn finds what the turn before computed, in whole pages, and says the same as without.
    let next = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": message["content"]},
        {"role": "user", "content": "and then?"}]);
    let body = json!({"messages": next, "temperature": 0, "max_tokens": 12});
    let warm = server.answer(CHAT, body.clone());
    let cached = warm["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap();
    assert!(
        cached >= 16
            && cached.is_multiple_of(16)
            && cached < warm["usage"]["prompt_tokens"].as_u64().unwrap()
    );
    let cold = Server::start(&model, &[]).answer(CHAT, body);
    assert_eq!(
        (texts(&warm), &cold["usage"]["prompt_tokens_details"]["cached_tokens"]),
        (texts(&cold), &json!(0))
    );
    assert!(server.metric("cached_tokens_total") >= cached as f64);
}

#[test]
fn an_adapter_is_chosen_by_name() {
    let model = random_model();
    let adapter = format!("{model}/adapter");
    let server = Server::start(&model, &["--adapter", &format!("tuned={adapter}"), "--rows", "2"]);
    let names: Vec<Value> = server.ready["models"].as_array().unwrap().clone();
    assert_eq!(names, ["qwen2", "tuned"]);
    let (status, _, listed) = server.ask("GET", "/v1/models", "", "");
    assert!(status == 200 && listed.contains("tuned"), "{listed}");
    assert_eq!(server.ask("GET", "/v1/models/tuned", "", "").0, 200);
    assert_eq!(server.ask("GET", "/v1/models/other", "", "").0, 404);
    let generate =
        ["generate", "-m", &model, "-p", "Greedy text", "--temperature", "0", "--max-tokens", "24", "--json"];
    let base = cli(&generate)["completions"][0]["text"].clone();
    let tuned = cli(&[&generate[..], &["--adapter", &adapter]].concat())["completions"][0]["text"].clone();
    assert_ne!(base, tuned);
    let ask = |model: &str| {
        let body = json!({"model": model, "prompt": "Greedy text", "temperature": 0, "max_tokens": 24});
        server.answer(TEXT, body)["choices"][0]["text"].clone()
    };
    // The cache of one is not taken for the other, whatever the order.
    for (name, expected) in
        [("qwen2", &base), ("tuned", &tuned), ("base:tuned", &tuned), (&model, &base), ("base", &base)]
    {
        assert_eq!(&ask(name), expected, "{name}");
    }
    std::thread::scope(|scope| {
        for index in 0..6 {
            let (name, expected) = if index % 2 == 0 { ("base", &base) } else { ("tuned", &tuned) };
            scope.spawn(move || assert_eq!(&ask(name), expected, "{name}"));
        }
    });
}

#[test]
fn an_adapter_comes_and_goes() {
    let model = random_model();
    let files = Files::new();
    let outside = files.path("outside");
    std::fs::create_dir(&outside).unwrap();
    let folder = files.path("adapters");
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(&outside, format!("{folder}/link")).unwrap();
    files.copy(&format!("{model}/adapter"), "adapters/runs/tuned");
    let (plain, server) = (Server::start(&model, &[]), Server::start(&model, &["--adapter-folder", &folder]));
    let (status, refused) = plain.post("/v1/adapters", &json!({ "name": "poet", "path": "runs/tuned" }));
    assert!(status == 404 && refused.to_string().contains("--adapter-folder"), "{refused}");
    let text = |model: &str| {
        let body = json!({ "model": model, "prompt": "Greedy text", "temperature": 0, "max_tokens": 24 });
        server.answer("/v1/completions", body)["choices"][0]["text"].clone()
    };
    let base = text("base");
    for (name, path) in [
        ("poet", "../outside"),
        ("poet", "/etc"),
        ("poet", "link"),
        ("poet", "runs/none"),
        ("poet", "."),
        ("qwen2", "runs/tuned"),
        ("base", "runs/tuned"),
        ("a/b", "runs/tuned"),
        ("a@b", "runs/tuned"),
        ("", "runs/tuned"),
        ("poet", "runs"),
    ] {
        let (status, refused) = server.post("/v1/adapters", &json!({ "name": name, "path": path }));
        assert!(
            status >= 400 && refused["error"]["message"].is_string(),
            "{name} {path}: {status} {refused}"
        );
        assert!(!refused.to_string().contains(&outside), "{refused}");
    }
    let loaded = server.answer("/v1/adapters", json!({ "name": "poet", "path": "runs/tuned" }));
    assert_eq!(loaded["id"], "base:poet");
    let (_, _, listed) = server.ask("GET", "/v1/models", "", "");
    assert!(listed.contains("base:poet"), "{listed}");
    assert_ne!(text("base:poet"), base);
    let (status, _, gone) = server.ask("DELETE", "/v1/adapters/poet", "", "");
    assert!(status == 200 && gone.contains("\"deleted\":true"), "{gone}");
    assert_eq!(server.ask("DELETE", "/v1/adapters/poet", "", "").0, 404);
    let body = json!({ "model": "base:poet", "prompt": "abc", "max_tokens": 1 });
    assert_eq!(server.post("/v1/completions", &body).0, 404);
    assert_eq!(text("base"), base);
}

/// Whole or streamed, also where a character has several tokens.
#[test]
fn tokens_stand_where_their_characters_do() {
    let server = Server::start(&random_model(), &[]);
    let mut parts = 0;
    for seed in 0..4 {
        let body = json!({"prompt": "a", "seed": seed, "max_tokens": 40, "logprobs": 0});
        let whole = server.answer(TEXT, body.clone());
        let told = &whole["choices"][0]["logprobs"];
        let places = |told: &Value| told["text_offset"].as_array().cloned().unwrap_or_default();
        let events = server.events(TEXT, body);
        let streamed: Vec<Value> =
            events.iter().flat_map(|event| places(&event["choices"][0]["logprobs"])).collect();
        assert_eq!(streamed, places(told));
        let text: Vec<char> = whole["choices"][0]["text"].as_str().unwrap().chars().collect();
        for (place, token) in streamed.iter().zip(told["tokens"].as_array().unwrap()) {
            let (place, token) = (place.as_u64().unwrap() as usize, token.as_str().unwrap());
            if token.starts_with("bytes:") {
                parts += 1;
            } else {
                let token: Vec<char> = token.chars().collect();
                assert!(text[place..].starts_with(&token), "{token:?} at {place} of {text:?}");
            }
        }
    }
    assert!(parts > 4, "no character had several tokens");
}

/// Texts as vectors: in order, of length 1, as numbers or as their bytes, and the same whoever else is asked for.
#[test]
fn texts_become_vectors() {
    let server = Server::start(&random_model(), &[]);
    let ask = |input: Value, more: Value| {
        let mut body = json!({ "input": input });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.answer("/v1/embeddings", body)
    };
    let both = ask(json!(["a text", "another one"]), json!({}));
    let vector = |answer: &Value, at: usize| floats(&answer["data"][at]["embedding"]);
    for (at, text) in ["a text", "another one"].iter().enumerate() {
        assert_eq!(
            (&both["data"][at]["index"], &both["data"][at]["object"]),
            (&json!(at), &json!("embedding"))
        );
        assert_eq!(vector(&ask(json!(text), json!({})), 0), vector(&both, at));
        let length: f64 = vector(&both, at).iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
    assert!(vector(&both, 0) != vector(&both, 1) && both["usage"]["prompt_tokens"].as_u64() > Some(3));
    let last = ask(
        json!("a text"),
        json!({ "pooling": "last", "dimensions": vector(&both, 0).len(), "user": "me" }),
    );
    assert_ne!(vector(&last, 0), vector(&both, 0));
    let bytes = ask(json!("a text"), json!({ "encoding_format": "base64", "model": "base" }));
    let text = bytes["data"][0]["embedding"].as_str().unwrap();
    assert_eq!(text.len(), (4 * vector(&both, 0).len()).div_ceil(3) * 4);
    for (body, words) in [
        (json!({}), "input: is missing"),
        (json!({ "input": [] }), "input: is empty"),
        (json!({ "input": "a", "dimensions": 3 }), "dimensions: is not"),
        (json!({ "input": "a", "pooling": "max" }), "use mean or last"),
        (json!({ "input": "a", "encoding_format": "hex" }), "use float or base64"),
        (json!({ "input": "a", "temperature": 1 }), "temperature: is not known here"),
        (json!({ "input": "a ".repeat(5000) }), "context"),
    ] {
        let (status, answer) = server.post("/v1/embeddings", &body);
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(status == 400 && message.contains(words), "{status}: {message}");
    }
}
