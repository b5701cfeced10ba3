//! Chat templates against transformers (fixtures/chat/make.py), and templates that misbehave.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use serde_json::{Value, json};
use stepladder::model::chat::{ChatTemplate, Conversation, Message};

fn template(text: &str) -> ChatTemplate {
    ChatTemplate::new(Path::new("chat_template.jinja"), text, "<s>", "</s>", 1_795_000_000)
}

/// The text of a template of the fixture, by name.
fn template_text(fixture: &Value, name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/chat/templates");
    match fixture["templates"][name].as_str() {
        Some(text) => text.to_string(),
        None => std::fs::read_to_string(folder.join(format!("{name}.jinja"))).unwrap(),
    }
}

#[test]
fn conversations_read_as_in_transformers() {
    let fixture: Value = serde_json::from_str(include_str!("fixtures/chat/chat.json")).unwrap();
    let rows = fixture["rows"].as_array().unwrap();
    assert!(rows.len() > 200);
    for row in rows {
        let name = row["template"].as_str().unwrap();
        let chat = template(&template_text(&fixture, name));
        let messages: Vec<Message> = serde_json::from_value(row["messages"].clone()).unwrap();
        let conversation = Conversation {
            messages: &messages,
            tools: row.get("tools"),
            documents: row.get("documents"),
            variables: row.get("variables").and_then(Value::as_object),
        };
        let got = chat.render_conversation(&conversation, row["add_generation_prompt"].as_bool().unwrap());
        match (row["text"].as_str(), row["error"].as_str().unwrap_or_default()) {
            (Some(want), _) => assert_eq!(got.unwrap(), want, "{name}"),
            // What a template says itself is told in its words.
            (None, error) => {
                let got = got.unwrap_err().to_string();
                let raised = error.strip_prefix("TemplateError: ");
                assert!(raised.is_none_or(|words| got.contains(words)), "{name}: {got}, expected {error}");
            }
        }
    }
}

/// What is written in other ways here, or not at all, is refused, never different.
#[test]
fn expressions_give_what_they_give_in_jinja() {
    const REFUSED: [&str; 16] = [
        "|urlize",
        "&eacute;",
        "missing|pprint",
        "is callable",
        "groupby(0)",
        "'%#x'",
        "'%a'",
        "dict([(",
        "namespace({",
        "!r}",
        "!s}",
        "{a.b}",
        "{:%}",
        ".encode(",
        ".translate(",
        "lipsum()",
    ];
    let pairs: Vec<(String, Option<String>)> =
        serde_json::from_str(include_str!("fixtures/chat/expressions.json")).unwrap();
    assert!(pairs.len() > 600);
    let messages = [Message::user("Hi")];
    for (expression, want) in pairs {
        let got = template(&format!("{{{{ {expression} }}}}")).render(&messages, false);
        let refused = REFUSED.iter().any(|part| expression.contains(part));
        match want.filter(|_| !refused) {
            Some(want) => assert_eq!(got.unwrap(), want, "{expression}"),
            None => assert!(got.is_err(), "{expression}: {got:?}"),
        }
    }
}

/// What fails in Jinja fails here too.
#[test]
fn statements_give_what_they_give_in_jinja() {
    let pairs: Vec<(String, Option<String>)> =
        serde_json::from_str(include_str!("fixtures/chat/statements.json")).unwrap();
    assert!(pairs.len() > 40);
    for (text, want) in pairs {
        let got = template(&text).render(&[Message::user("Hi")], false);
        match want {
            Some(want) => assert_eq!(got.unwrap(), want, "{text}"),
            None => assert!(got.is_err(), "{text}: {got:?}"),
        }
    }
    for (text, part) in [
        ("{% macro m(a, b=a) %}{% endmacro %}", "its parameter `a`"),
        ("{% autoescape true %}{% endautoescape %}", "`autoescape`"),
        ("{{ '\\N{BULLET}' }}", "a character by name"),
        ("{{ messages[0].items }}", "the method `items` is written, not called"),
        ("{% for x in none %}{% endfor %}", "none is not iterable"),
        ("{{ 1e300|int }}", "too large"),
    ] {
        let error = template(text).render(&[Message::user("Hi")], false).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn todays_date_is_the_given_one() {
    let chat = template("{{ strftime_now('%d %b %Y') }}");
    assert_eq!(chat.render(&[], false).unwrap(), "18 Nov 2026");
}

#[test]
fn bad_templates_are_named() {
    for (text, part) in [
        ("{% for %}", "chat_template"),
        ("{{ raise_exception('no system prompt') }}", "no system prompt"),
        ("{{ messages[0].content.frobnicate() }}", "frobnicate"),
        ("{{ strftime_now('%Q') }}", "%Q"),
        ("{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}", "too many steps"),
    ] {
        let messages = [Message::new("user", "x")];
        let error = template(text).render(&messages, true).unwrap_err().to_string();
        assert!(error.starts_with("chat_template.jinja: chat_template: "), "{error}");
        assert!(error.contains(part) && error.lines().count() == 1, "{error}");
    }
}

/// Filters whose work grows with the square of a text are bounded, and end at once.
#[test]
fn filters_of_long_texts_are_bounded() {
    let began = std::time::Instant::now();
    for (filter, content) in [
        ("wordwrap(1)", "a".repeat(1_000_000)),
        ("wordwrap(2)", "a-".repeat(500_000)),
        ("striptags", "&".repeat(1_000_000) + ";"),
        ("striptags", "<".repeat(1_000_000)),
        ("indent(9000)", "\n".repeat(1_000_000)),
    ] {
        let text = format!("{{{{ messages[0].content|{filter}|length }}}}");
        let _ = template(&text).render(&[Message::new("user", &content)], false);
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(60));
}

/// What transformers' environment has beyond Jinja, with the texts that it gives.
#[test]
fn functions_and_filters_are_those_of_transformers() {
    let variables = json!({"d": {"b": [1, 2.5, true, null], "a": "é'\"\n"}, "e": [], "x": 1e-7, "n": null});
    let variables = variables.as_object().unwrap();
    for (text, want) in [
        (
            "{{ n is iterable }} {{ 'a' is iterable }} {{ d is sequence }} {{ 1 is sequence }} {{ missing is iterable }}",
            "False True True False True",
        ),
        ("a\r\n{{ 'b\r\nc' }}\r\nd", "a\nb\nc\nd"),
        ("{{ d|tojson }}", r#"{"b": [1, 2.5, true, null], "a": "é'\"\n"}"#),
        (
            "{{ d|tojson(ensure_ascii=True, separators=(',', ':'), sort_keys=true) }}",
            r#"{"a":"\u00e9'\"\n","b":[1,2.5,true,null]}"#,
        ),
        ("{{ [{'a': []}, {}]|tojson(indent=2) }}", "[\n  {\n    \"a\": []\n  },\n  {}\n]"),
        ("{{ d }}", "{'b': [1, 2.5, True, None], 'a': 'é\\'\"\\n'}"),
        (
            "{{ true }} {{ n }} {{ x }} {{ 1e16 }} {{ 3.0 }} {{ ('a',) }} {{ missing }}",
            "True None 1e-07 1e+16 3.0 ('a',) ",
        ),
        ("{{ d.b|string ~ d['a']|length }}", "[1, 2.5, True, None]4"),
        ("{{ n|default('d', boolean=true) }}{{ n|default('d') }}{{ e|default('f', true) }}", "dNonef"),
        (
            "{{ 'a-b-c'.rsplit('-', 1) }}{{ 'a-b-c'.split('-', maxsplit=1)[1] }}{{ ' a  b '.split() }}",
            "['a-b', 'c']b-c['a', 'b']",
        ),
        (
            "{{ 'ab'.removeprefix('a') }}{{ 'ab'.removesuffix('b') }}{{ 'a=b'.partition('=')[2] }}{{ 'a=b=c'.rpartition('=')[0] }}",
            "baba=b",
        ),
        (
            "{{ 'a'.center(4, '*') }}{{ 'a'.ljust(2) }}{{ '-7'.zfill(4) }}{{ 'Ab'.swapcase() }}{{ 'abc'.index('c') }}",
            "*a**a -007aB2",
        ),
        ("{{ '%s is %d' % ('x', 3) }}{{ '%s' % 'y' }}{{ '{} {n}'.format(1, n=2) }}", "x is 3y1 2"),
        ("{{ strftime_now('%F') }} {{ strftime_now('%-d %b') }}", "2026-11-18 18 Nov"),
        (
            "{% for k, v in d.items() %}{{ k }}{% if not loop.last %},{% endif %}{% endfor %}{{ d is mapping }}{{ e is sequence }}",
            "b,aTrueTrue",
        ),
        (
            "{% set ns = namespace(l=[]) %}{% for i in range(3) %}{% set ns.l = ns.l + [i] %}{% endfor %}{{ ns.l[::-1] }}",
            "[2, 1, 0]",
        ),
        (
            "{%- macro f(a, b=2) %}{{ a + b }}{% endmacro %}{{ f(1) }}{% for x in [1, 2, 3] if x != 2 %}{{ x }}{% endfor %}",
            "313",
        ),
        (
            "{% generation %}a{% set b = 1 %}{%- endgeneration %}|{{ '{% generation %}' }}",
            "a|{% generation %}",
        ),
        (
            "{{ [3, 1]|sort|join(',') }}{{ 'x' if false }}{{ 'a\nb'|indent(2) }}{{ d.b|selectattr('x')|list }}",
            "1,3a\n  b[]",
        ),
    ] {
        let chat = template(text);
        let conversation = Conversation { variables: Some(variables), ..Conversation::new(&[]) };
        assert_eq!(
            chat.render_conversation(&conversation, false).as_deref().ok(),
            Some(want),
            "{text}: {:?}",
            chat.render_conversation(&conversation, false)
        );
    }
}

/// Templates that would overflow the stack, run for ever, or fill the memory: each ends with words, on the stack of a browser's
/// worker and in a time that nobody minds.
#[test]
fn hostile_templates_are_stopped() {
    let nest = |open: &str, count: usize, inner: &str, close: &str| {
        format!("{{{{ {}{inner}{} }}}}", open.repeat(count), close.repeat(count))
    };
    let grow = |step: &str| {
        format!(
            "{{% set ns = namespace(l=[1], s='a') %}}{{% for i in range(100000) %}}{{% set ns.l = {step} %}}{{% endfor %}}{{{{ ns.l }}}}"
        )
    };
    let unrolled = format!("{{% set l = [1] %}}{}{{{{ l }}}}", "{% set l = [l, l] %}".repeat(60));
    let with = format!(
        "{{% set l = [1] %}}{}{{{{ l }}}}{}",
        "{% with l = [l, l] %}".repeat(60),
        "{% endwith %}".repeat(60)
    );
    let recursive = |list: &str| {
        format!(
            "{{% macro f(l, n) %}}{{% if n %}}{{{{ f({list}, n - 1) }}}}{{% else %}}{{{{ l }}}}{{% endif %}}{{% endmacro %}}{{{{ f([1], 60) }}}}"
        )
    };
    let templates = [
        nest("not ", 100_000, "1", ""),
        nest("-", 100_000, "1", ""),
        nest("(", 100_000, "1", ")"),
        nest("1 + ", 100_000, "1", ""),
        nest("1 if 1 else ", 50_000, "1", ""),
        nest("", 100_000, "1", "|string"),
        nest("", 100_000, "messages", ".a"),
        nest("", 100_000, "messages", "[0]"),
        format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(50_000)),
        "{% if 1 %}".repeat(50_000),
        grow("[ns.l]"),
        grow("[ns.l, ns.l]"),
        grow("{'a': ns.l}"),
        grow("(ns.l, 1)"),
        grow("ns.l + ns.l"),
        grow("ns.l|batch(1)"),
        grow("ns.l|map('list')"),
        grow("dict(a=ns.l)"),
        "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}".into(),
        "{% set ns = namespace() %}{% set ns.a = [ns] %}{{ ns|tojson }}".into(),
        "{% set a = namespace() %}{% set b = namespace(a=a) %}{% set a.b = b %}{{ a ~ b }}".into(),
        unrolled,
        with,
        recursive("[l, l]"),
        recursive("l + l"),
        recursive("dict(a=l, b=l)"),
        "{{ '{:>100000000000}'.format(1) }}".into(),
        "{{ '%100000000000d'|format(1) }}".into(),
        "{{ 'a'.center(100000000000) }}".into(),
        "{{ 'a' * 100000000000 }}".into(),
        "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}".into(),
        format!("{{{{ '\\\\\"'{}|length }}}}", "|tojson".repeat(40)),
        "{% set b = 'a' * 1000000 %}{% for i in range(100000) %}{{ b }}{% endfor %}".into(),
        "{% for i in range(100000) %}{% set x = range(100000)|list %}{% endfor %}".into(),
        "a".repeat(2 << 20),
    ];
    // The stack of a worker's module is 1 MiB.
    let stack = std::thread::Builder::new().stack_size(1 << 20);
    let work = move || {
        for text in templates {
            let began = std::time::Instant::now();
            let outcome = template(&text).render(&[Message::user("x")], true);
            let shown: String = text.chars().take(120).collect();
            assert!(outcome.is_err(), "{shown}");
            assert!(began.elapsed().as_secs() < 60, "{shown}: {:?}", began.elapsed());
        }
    };
    stack.spawn(work).unwrap().join().unwrap();
}

#[test]
fn what_is_not_supported_is_said_so() {
    let render = |text: &str| template(text).render(&[Message::user("x")], false);
    assert_eq!(render("{{ 'a_b, c-d é'|wordcount }}").unwrap(), "4");
    for text in ["{{ 'a b'|urlize }}", "{{ [1, 2]|random }}"] {
        let error = render(text).unwrap_err().to_string();
        assert!(error.contains("not supported here"), "{error}");
    }
}

/// Parts of texts on templates that want a text, and on those that know parts.
#[test]
fn parts_become_texts_where_the_template_wants_texts() {
    let parts = |parts: Value| -> Vec<Message> {
        serde_json::from_value(
            json!([{"role": "user", "content": parts}, {"role": "assistant", "content": "a"}]),
        )
        .unwrap()
    };
    let two = json!([{"type": "text", "text": "it's"}, {"type": "text", "text": "b"}]);
    for text in [
        "{% for m in messages %}<{{ m.content }}>{% endfor %}",
        "{% for m in messages %}{{ '<' ~ m.content ~ '>' }}{% endfor %}",
        "{% for m in messages %}<{% if m.content is string %}{{ m.content }}{% endif %}>{% endfor %}",
    ] {
        let rendered = template(text).render(&parts(two.clone()), false).unwrap();
        assert_eq!(rendered, "<it's\nb><a>", "{text}");
    }
    for text in
        ["{% for m in messages %}{{ '<' + m.content }}{% endfor %}", "{{ messages[0].content | trim }}"]
    {
        let rendered = template(text).render(&parts(two.clone()), false);
        assert!(matches!(rendered.as_deref(), Ok("it's\nb" | "<it's\nb<a")), "{rendered:?}");
    }
    let knows = "{% for m in messages %}<{% if m.content is string %}{{ m.content }}{% else %}\
        {% for p in m.content %}[{{ p.text }}]{% endfor %}{% endif %}>{% endfor %}";
    assert_eq!(template(knows).render(&parts(two), false).unwrap(), "<[it's][b]><a>");
    for text in [knows, "{% for m in messages %}<{{ m.content }}>{% endfor %}"] {
        assert_eq!(template(text).render(&parts(json!([])), false).unwrap(), "<><a>");
    }
}
