//! No option of the command line below its shell: a message names a setting by its path and other things by their names, in `<` and
//! `>` within what is to be done, and the shell at hand writes them.

use super::File;

/// Lines of code below the command line that hold an option. Commands of this program in backquotes are commands, and a module of
/// tests may speak of cargo's.
pub(super) fn option_texts(files: &[File]) -> Vec<String> {
    let below = |path: &str| path.starts_with("src/") && !path.starts_with("src/cli/");
    let mut out = Vec::new();
    for (path, source) in files.iter().filter(|(path, _)| below(path) && !path.ends_with("/tests.rs")) {
        let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let code = code.split("#[cfg(test)]\n#[allow").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let comment = line.trim_start().starts_with("//");
            let text = without_commands(line.split(" // ").next().unwrap_or_default());
            if !comment && holds_option(&text) && !text.contains("cargo test") {
                out.push(format!("{path}:{}: holds an option: {}", number + 1, line.trim()));
            }
        }
    }
    out
}

/// A line without what stands in backquotes as a command of this program.
fn without_commands(line: &str) -> String {
    let mut parts = line.split('`');
    let mut out = parts.next().unwrap_or_default().to_owned();
    while let (Some(quoted), rest) = (parts.next(), parts.next()) {
        if !quoted.starts_with("stepladder ") {
            out += quoted;
        }
        out += rest.unwrap_or_default();
    }
    out
}

/// Whether two dashes stand before a word, at its beginning; `var(--x)` is CSS.
fn holds_option(text: &str) -> bool {
    text.match_indices("--").any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + 2..]);
        let begins = !before.ends_with(|sign: char| sign.is_alphanumeric() || matches!(sign, '-' | '_'));
        begins && !before.ends_with("var(") && after.starts_with(|sign: char| sign.is_ascii_lowercase())
    })
}

#[test]
fn messages_below_the_command_line_name_no_options() {
    let files = super::texts(&["src/"]);
    let rust: Vec<File> = files.into_iter().filter(|(path, _)| path.ends_with(".rs")).collect();
    assert!(rust.len() > 100);
    super::assert_none(&option_texts(&rust));
}

#[test]
fn an_option_below_the_command_line_is_caught() {
    let caught = |path: &str, text: &str| option_texts(&super::files(&[(path, text)])).len();
    for text in [
        "let hint = \"lower --rank\";",
        "Error::usage(\"--rank\", \"is 0\", \"use 1\")",
        "leave --rank out of `x`",
        "`a` and `stepladder export --output o` and --rank",
    ] {
        assert_eq!(caught("src/train/a.rs", text), 1, "{text}");
        assert_eq!(caught("src/wasm.rs", text), 1, "{text}");
        assert_eq!(caught("src/cli/a.rs", text), 0, "{text}");
    }
    for text in [
        "//! With --rank.",
        "    // With --rank.",
        "/// As `--rank` does.",
        "let hint = \"say `stepladder export --output o`\";",
        "\"fill: var(--muted)\"",
        "path.join(\"models--o--m\")",
        "fn f() {}\n#[cfg(test)]\nmod tests { \"--rank\" }",
    ] {
        assert_eq!(caught("src/train/a.rs", text), 0, "{text}");
    }
}
