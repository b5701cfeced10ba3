//! Rust source as identifiers and punctuation marks: enough to see which modules and crates a file names.

/// Identifiers and punctuation marks of Rust source with their line numbers; comments and literals are left out.
pub(crate) fn tokens(source: &str) -> Vec<(usize, String)> {
    let text: Vec<char> = source.chars().collect();
    let mut out = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < text.len() {
        let start = at;
        let next = text.get(at + 1).copied().unwrap_or(' ');
        match text[at] {
            '/' if next == '/' => at = find(&text, at, |rest| rest[0] == '\n'),
            '/' if next == '*' => at = block_comment_end(&text, at),
            '"' => at = quoted_end(&text, at),
            // A char literal; a lifetime is an apostrophe without a second one.
            '\'' if next == '\\' => at = find(&text, at + 3, |rest| rest[0] == '\'') + 1,
            '\'' if text.get(at + 2) == Some(&'\'') => at += 3,
            'r' | 'b' | 'c' if raw_hashes(&text, at).is_some() => {
                let (open, hashes) = raw_hashes(&text, at).unwrap();
                let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                at = find(&text, open, |rest| rest.starts_with(&close)) + close.len();
            }
            c if c.is_alphanumeric() || c == '_' => {
                at = find(&text, at, |rest| !(rest[0].is_alphanumeric() || rest[0] == '_'));
                out.push((line, text[start..at].iter().collect()));
            }
            c => {
                at += 1;
                if !c.is_whitespace() {
                    out.push((line, c.to_string()));
                }
            }
        }
        at = at.min(text.len());
        line += text[start..at].iter().filter(|c| **c == '\n').count();
    }
    out
}

/// First position from `at` on whose rest fulfils `stop`, else the end.
fn find(text: &[char], at: usize, stop: impl Fn(&[char]) -> bool) -> usize {
    (at.min(text.len())..text.len()).find(|i| stop(&text[*i..])).unwrap_or(text.len())
}

/// The position after the (nested) block comment that starts at `at`.
fn block_comment_end(text: &[char], at: usize) -> usize {
    let (mut depth, mut i) = (0, at);
    while i < text.len() {
        match text[i..] {
            ['/', '*', ..] => (depth, i) = (depth + 1, i + 2),
            ['*', '/', ..] => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

/// The position after the string literal that starts at `at`.
fn quoted_end(text: &[char], at: usize) -> usize {
    let mut i = at + 1;
    while i < text.len() && text[i] != '"' {
        i += if text[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// For a raw string such as `br#"` at `at`: the position after its opening quote, and the number of hashes.
fn raw_hashes(text: &[char], at: usize) -> Option<(usize, usize)> {
    if at > 0 && (text[at - 1].is_alphanumeric() || text[at - 1] == '_') {
        return None;
    }
    let r = at + usize::from(text[at] != 'r');
    if text.get(r) != Some(&'r') {
        return None;
    }
    let hashes = text[r + 1..].iter().take_while(|c| **c == '#').count();
    (text.get(r + 1 + hashes) == Some(&'"')).then_some((r + 2 + hashes, hashes))
}

#[test]
fn tokens_leave_out_comments_and_literals() {
    let source = "a // b\n/* c /* d */ e */ 'f' '\\'' \"g \\\" h\" r#\"i \" j\"# b\"k\" 'l m::n";
    let found: Vec<String> = tokens(source).into_iter().map(|(line, t)| format!("{line}{t}")).collect();
    assert_eq!(found, ["1a", "2b", "2'", "2l", "2m", "2:", "2:", "2n"]);
}
