//! What is not answered, with which status and in which words.

use serde_json::{Value, json};

use crate::server::{Server, random_model};

const TEXT: &str = "/v1/completions";
const CHAT: &str = "/v1/chat/completions";

/// Status, words of the message, and the field that is named.
#[track_caller]
fn refused(answer: (u16, Value), status: u16, words: &[&str], param: Option<&str>) {
    let error = &answer.1["error"];
    let message = error["message"].as_str().unwrap_or_default();
    assert_eq!(answer.0, status, "{}", answer.1);
    assert!(words.iter().all(|word| message.contains(word)), "{words:?}: {message}");
    assert!(error["type"].is_string() && error["code"].is_string(), "{error}");
    assert_eq!(error["param"].as_str(), param, "{error}");
}

#[test]
fn requests_that_cannot_be_answered() {
    let server = Server::start(&random_model(), &["--rows", "1"]);
    let many: Vec<String> = (0..200).map(|_| "a".into()).collect();
    let texts = [
        (json!({}), 400, "prompt: is missing", Some("prompt")),
        (json!([]), 400, "body: is JSON, but no object", Some("body")),
        (json!({"prompt": ""}), 400, "prompt: is empty", Some("prompt")),
        (json!({"prompt": 3}), 400, "neither a text nor a list", Some("prompt")),
        (json!({"prompt": many}), 400, "too many prompts", Some("prompt")),
        (json!({"prompt": [1, "a"]}), 400, "holds what is no token", Some("prompt")),
        (json!({"prompt": [99999]}), 400, "outside of the vocabulary of 288", None),
        (json!({"prompt": "a".repeat(600)}), 400, "--context", None),
        (json!({"prompt": "a", "n": 0}), 400, "n: is 0; use a whole number from 1 to 128", Some("n")),
        (json!({"prompt": "a", "n": 129}), 400, "n: is 129", Some("n")),
        (json!({"prompt": ["a", "b"], "n": 100}), 400, "more than 128 completions", Some("n")),
        (
            json!({"prompt": "a", "temperature": -1}),
            400,
            "temperature: is -1; use a number from 0",
            Some("temperature"),
        ),
        (json!({"prompt": "a", "temperature": "hot"}), 400, "temperature: is \"hot\"", Some("temperature")),
        (json!({"prompt": "a", "top_p": 0}), 400, "top_p: is 0", Some("top_p")),
        (json!({"prompt": "a", "top_k": 1.5}), 400, "top_k: is 1.5", Some("top_k")),
        (json!({"prompt": "a", "min_p": 2}), 400, "min_p: is 2", Some("min_p")),
        (json!({"prompt": "a", "seed": 0.5}), 400, "seed: is 0.5", Some("seed")),
        (json!({"prompt": "a", "max_tokens": 0}), 400, "max_tokens: is 0", Some("max_tokens")),
        (
            json!({"prompt": "a", "max_completion_tokens": 5}),
            400,
            "write max_tokens",
            Some("max_completion_tokens"),
        ),
        (json!({"prompt": "a", "stop": ["a", ""]}), 400, "none of them empty", Some("stop")),
        (json!({"prompt": "a", "stop": ["x".repeat(2000)]}), 400, "more than 1024 bytes", Some("stop")),
        (json!({"prompt": "a", "logprobs": 21}), 400, "logprobs: is 21", Some("logprobs")),
        (json!({"prompt": "a", "logprobs": true}), 400, "logprobs: is true", Some("logprobs")),
        (json!({"prompt": "a", "stream": "yes"}), 400, "stream: is \"yes\"", Some("stream")),
        (
            json!({"prompt": "a", "stream_options": {"usage": true}}),
            400,
            "stream_options.usage: is not known",
            Some("stream_options.usage"),
        ),
        (json!({"prompt": "a", "echo": true}), 400, "stepladder score", Some("echo")),
        (json!({"prompt": "a", "best_of": 3}), 400, "best_of: is not n", Some("best_of")),
        (json!({"prompt": "a", "suffix": "b"}), 400, "suffix: is not supported", Some("suffix")),
        (
            json!({"prompt": "a", "logit_bias": {"five": 1}}),
            400,
            "logit_bias: has \"five\", which is no token",
            Some("logit_bias"),
        ),
        (json!({"prompt": "a", "logit_bias": {"5": 101}}), 400, "token 5 out of bounds", Some("logit_bias")),
        (json!({"prompt": "a", "logit_bias": {"288": 1}}), 400, "the vocabulary has 288", None),
        (json!({"prompt": "a", "logit_bias": [5]}), 400, "logit_bias: is no object", Some("logit_bias")),
        (
            json!({"prompt": "a", "presence_penalty": 3}),
            400,
            "presence_penalty: is 3; use a number from -2 to 2",
            Some("presence_penalty"),
        ),
        (json!({"prompt": "a", "repetition_penalty": 0}), 400, "is 0", Some("repetition_penalty")),
        (
            json!({"prompt": "a", "response_format": {"type": "json_object"}}),
            400,
            "/v1/chat/completions",
            Some("response_format"),
        ),
        (json!({"prompt": "a", "top_a": 1}), 400, "top_a: is not known here", Some("top_a")),
        (json!({"prompt": "a", "max_new_tokens": 1}), 400, "write max_tokens", Some("max_new_tokens")),
        (
            json!({"prompt": "a", "model": "gpt-4o"}),
            404,
            "there is no \"gpt-4o\" here; use qwen2",
            Some("model"),
        ),
    ];
    for (body, status, words, param) in texts {
        refused(server.post(TEXT, &body), status, &[words], param);
    }
    let hi = json!([{"role": "user", "content": "Hi"}]);
    let held = |schema: Value| {
        let format = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": schema}});
        json!({"messages": hi, "response_format": format})
    };
    let deep = (0..40).fold(json!({}), |inner, _| json!({"type": "array", "items": {"anyOf": [inner]}}));
    let chats = [
        (json!({}), "messages: is missing", Some("messages")),
        (json!({"messages": []}), "messages: is empty", Some("messages")),
        (json!({"messages": "Hi"}), "messages: is no list", Some("messages")),
        (json!({"messages": ["Hi"]}), "messages[0]: is no object", Some("messages[0]")),
        (json!({"messages": [{"content": "Hi"}]}), "missing field `role`", Some("messages[0]")),
        (json!({"messages": [{"role": "user"}]}), "missing field `content`", Some("messages[0]")),
        (
            json!({"messages": [{"role": "wizard", "content": "a"}]}),
            "use system, developer",
            Some("messages[0].role"),
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}),
            "only text is supported",
            Some("messages[0]"),
        ),
        (
            json!({"messages": hi, "chat_template_kwargs": {"messages": []}}),
            "which the request itself says",
            Some("chat_template_kwargs"),
        ),
        (
            json!({"messages": hi, "logit_bias": {"65": 1, "065": 2}}),
            "\"065\", which is no token",
            Some("logit_bias"),
        ),
        (
            json!({"messages": hi, "repetition_penalty": 1e-38}),
            "from 0.01 to 100",
            Some("repetition_penalty"),
        ),
        (held(json!({"enum": [9_007_199_254_740_993_u64]})), "9007199254740993", Some("response_format")),
        (json!({"messages": hi, "top_logprobs": 2}), "set logprobs to true", Some("top_logprobs")),
        (json!({"messages": hi, "functions": [{"name": "f"}]}), "write tools", Some("functions")),
        (
            json!({"messages": hi, "response_format": {"type": "xml"}}),
            "use text, json_object or json_schema",
            Some("response_format.type"),
        ),
        (
            json!({"messages": hi, "response_format": {"type": "json_schema", "json_schema": {"name": "a"}}}),
            "schema: is missing",
            Some("response_format.json_schema.schema"),
        ),
        (held(json!([])), "schema: is no object", Some("response_format")),
        (held(json!({"type": "circle"})), "schema: cannot be compiled", Some("response_format")),
        (
            held(json!({"type": "string", "pattern": "(?=a)b"})),
            "schema: cannot be compiled",
            Some("response_format"),
        ),
        (
            held(json!({"$ref": "https://example.org/a.json"})),
            "schema: cannot be compiled",
            Some("response_format"),
        ),
        (held(json!({"const": "a".repeat(300_000)})), "of at most 262144", Some("response_format")),
        (held(deep), "is nested more than 64 deep", Some("response_format")),
        (held(json!({"x-guidance": {"lenient": true}})), "x-guidance", Some("response_format")),
        (
            held(json!({"allOf": [{"type": "string"}, {"type": "integer"}]})),
            "cannot be compiled",
            Some("response_format"),
        ),
        (
            json!({"messages": hi, "reasoning_effort": "low"}),
            "chat_template_kwargs",
            Some("reasoning_effort"),
        ),
        (json!({"messages": hi, "store": true}), "nothing is kept", Some("store")),
        (json!({"messages": hi, "prompt": "a"}), "prompt: is not known here", Some("prompt")),
    ];
    for (body, words, param) in chats {
        refused(server.post(CHAT, &body), 400, &[words], param);
    }
    // Harmless fields, and those that newer clients write.
    let harmless = json!({"messages": [{"role": "developer", "content": "Be short."}, {"role": "user", "content": "Hi", "name": "ann"},
        {"role": "assistant", "content": "a", "refusal": null, "tool_calls": []}, {"role": "user", "content": "b"}],
        "user": "u", "metadata": {"a": "b"}, "store": false, "logit_bias": null, "tools": [],
        "tool_choice": "none", "response_format": {"type": "text"}, "parallel_tool_calls": true, "service_tier": "auto",
        "max_tokens": 1, "chat_template_kwargs": {"enable_thinking": false}});
    server.answer(CHAT, harmless);
    server.wait_for("running_rows", 0.0);
    server.wait_for("waiting_requests", 0.0);
}

/// The answer to bytes that the server stops reading. The system may drop it with the rest of them, but not always.
fn told(server: &Server, bytes: &[u8]) -> String {
    (0..10).map(|_| server.raw(bytes)).find(|answer| !answer.is_empty()).unwrap()
}

#[test]
fn requests_that_are_no_requests() {
    let server = Server::start("tiny", &[]);
    let ask = |method: &str, path: &str, body: &str| {
        let (status, head, body) = server.ask(method, path, "", body);
        assert!(head.contains("application/json"), "{head}");
        (status, serde_json::from_str(&body).unwrap())
    };
    refused(ask("POST", TEXT, "{"), 400, &["body: is not JSON"], Some("body"));
    refused(ask("POST", TEXT, ""), 400, &["body: is not JSON"], Some("body"));
    refused(ask("POST", TEXT, &"[".repeat(100_000)), 400, &["recursion limit"], Some("body"));
    refused(ask("POST", "/v1/images/edits", "{}"), 404, &["/v1/images/edits is not here"], None);
    refused(ask("GET", TEXT, ""), 405, &["GET is not answered here"], None);
    refused(ask("DELETE", "/v1/models", ""), 405, &["DELETE"], None);
    refused(
        ask("POST", CHAT, r#"{"messages": [{"role": "user", "content": "x"}]}"#),
        400,
        &["has no chat template"],
        Some("model"),
    );

    // Bodies: one that says it is too long, and one that is without saying so.
    let declared = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n";
    assert!(server.raw(declared).starts_with("HTTP/1.1 413"));
    let chunk = format!("100000\r\n{}\r\n", "a".repeat(0x10_0000));
    let bomb = format!(
        "POST {TEXT} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        chunk.repeat(12)
    );
    let answer = told(&server, bomb.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413"), "{}", &answer[..200.min(answer.len())]);
    // Heads: too many headers, one that is too long, one that is none.
    let many: String = (0..2000).map(|index| format!("X-{index}: a\r\n")).collect();
    let heads = [
        (format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"), "HTTP/1.1 431"),
        (
            format!("GET /health HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "a".repeat(1 << 20)),
            "HTTP/1.1 431",
        ),
        (format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(1 << 20)), "HTTP/1.1 4"),
        ("\u{1}\u{2}\u{3}\r\n\r\n".to_owned(), "HTTP/1.1 400"),
    ];
    for (bytes, status) in heads {
        let answer = told(&server, bytes.as_bytes());
        assert!(answer.starts_with(status), "{answer}");
    }
    assert_eq!(server.ask("GET", "/health", "", "").0, 200);
    server.answer(TEXT, json!({"prompt": "?2*x=", "max_tokens": 3}));
}
