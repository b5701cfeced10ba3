//! Names of settings, and of other things that a user gives, in messages: the shell at hand writes them as its user does.
//!
//! What to do about an error is told with names between `<` and `>`: `lower <learning_rate>`. `<batch_size|rank>` are
//! alternatives, of which those remain that the shell has here. The command line makes `--learning-rate` of it, the package
//! `learningRate`; without a shell the name stands as it is.

use std::fmt::{self, Display};
use std::sync::{PoisonError, RwLock};

use super::Plain;

/// How a shell writes a name; `None` for one that it does not have here.
type Namer = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

static NAMER: RwLock<Option<Namer>> = RwLock::new(None);

/// From here on messages have names as `namer` writes them.
pub fn name_by(namer: impl Fn(&str) -> Option<String> + Send + Sync + 'static) {
    *NAMER.write().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(namer));
}

/// A name as the shell at hand writes it.
fn written(name: &str) -> Option<String> {
    NAMER.read().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|namer| namer(name))
}

/// `text` with its names as the shell at hand writes them.
pub fn named(text: &str) -> String {
    resolved(text, written)
}

/// The name of what is at fault, which may have a further word behind it (`task_option match`).
pub(super) fn called(name: &str) -> String {
    let (first, rest) = name.split_at(name.find(' ').unwrap_or(name.len()));
    written(first).map_or_else(|| name.to_owned(), |first| first + rest)
}

fn resolved(text: &str, written: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        out.push_str(before);
        match after.split_once('>').filter(|(names, _)| are_names(names)) {
            Some((names, after)) => {
                out.push_str(&alternatives(names, &written));
                rest = after;
            }
            None => {
                out.push('<');
                rest = after;
            }
        }
    }
    out + rest
}

/// Whether these are names of this program, and no text from elsewhere.
fn are_names(names: &str) -> bool {
    let sign =
        |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || matches!(sign, '_' | '.' | '|');
    names.starts_with(|first: char| first.is_ascii_lowercase()) && names.chars().all(sign)
}

fn alternatives(names: &str, written: impl Fn(&str) -> Option<String>) -> String {
    let mut words: Vec<String> = names.split('|').filter_map(&written).collect();
    if words.is_empty() {
        words = names.split('|').map(str::to_owned).collect();
    }
    either(&words)
}

/// Words between which one may choose, as a sentence lists them: `a, b or c`.
pub fn either<S: AsRef<str>>(words: &[S]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.split_last() {
        Some((last, most)) if !most.is_empty() => format!("{} or {last}", most.join(", ")),
        _ => words.concat(),
    }
}

/// What to do about an error, with names as the shell at hand writes them, safe to print.
pub(super) struct Advice<'a>(pub(super) &'a str);

impl Display for Advice<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Plain(named(self.0)).fmt(formatter)
    }
}

/// The name of what is at fault as the shell at hand writes it, safe to print.
pub(super) struct Called<'a>(pub(super) &'a str);

impl Display for Called<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Plain(called(self.0)).fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_the_shell_does() {
        let shell = |name: &str| match name {
            "rank" => Some("--rank".to_owned()),
            "batch_size" => Some("--batch-size".to_owned()),
            _ => None,
        };
        for (text, words) in [
            ("lower <rank>", "lower --rank"),
            (
                "lower <batch_size|group_size|rank>, or take less",
                "lower --batch-size or --rank, or take less",
            ),
            ("lower <group_size|rank>", "lower --rank"),
            ("lower <group_size|steps>", "lower group_size or steps"),
            ("<rank> 4 <b", "--rank 4 <b"),
            ("a < b > c, <|im_end|>, <A>, <>", "a < b > c, <|im_end|>, <A>, <>"),
            ("", ""),
        ] {
            assert_eq!(resolved(text, shell), words);
        }
        assert_eq!(resolved("<a|b|c>", |_| None), "a, b or c");
        // Tests have no shell.
        assert_eq!(
            (called("task_option match").as_str(), named("lower <rank>").as_str()),
            ("task_option match", "lower rank")
        );
    }
}
