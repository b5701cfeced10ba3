//! How PEFT matches module paths: lists of names, regular expressions, `all-linear`.

use fancy_regex::{Regex, RegexBuilder};

use crate::train::lora_config::Module;

/// Bounds on the expressions of a file that nobody vouches for.
const MAX_EXPRESSIONS: usize = 256;
const MAX_LENGTH: usize = 4096;
const MAX_BACKTRACKS: usize = 10_000;
const MAX_COMPILED_BYTES: usize = 1 << 20;

/// What was wrong with an expression, in words.
pub(super) type Problem = String;

/// `target_modules` or `exclude_modules`.
pub(super) enum Selection {
    /// Names, each of which is a whole path or its end.
    Names(Vec<String>),
    /// An expression that matches whole paths.
    Expression(Regex),
    /// Every linear module of the blocks.
    AllLinear,
}

impl Selection {
    pub(super) fn from_text(text: &str) -> Result<Self, Problem> {
        match is_all(text) {
            true => Ok(Self::AllLinear),
            false => Ok(Self::Expression(compile(&format!("^(?:{text})$"), text)?)),
        }
    }

    pub(super) fn matches(&self, path: &str) -> Result<bool, Problem> {
        match self {
            Self::Names(names) => Ok(names.iter().any(|name| is_end(path, name))),
            Self::Expression(regex) => regex.is_match(path).map_err(|e| e.to_string()),
            Self::AllLinear => Ok(Module::from_path(path).is_some()),
        }
    }
}

/// Whether `text` is PEFT's name for every linear module, which it takes in any case.
pub(super) fn is_all(text: &str) -> bool {
    text.eq_ignore_ascii_case("all-linear")
}

/// `rank_pattern` or `alpha_pattern`: the first key that matches decides.
pub(super) struct Patterns<T>(Vec<(Key, T)>);

enum Key {
    /// A name without any special character but the dot, which stands for any one; the common case, and free of a compiled
    /// expression.
    Name(String),
    Expression(Regex),
}

impl<T: Copy> Patterns<T> {
    pub(super) fn new(pairs: Vec<(String, T)>) -> Result<Self, Problem> {
        let mut expressions = 0;
        let compiled = pairs.into_iter().map(|(key, value)| {
            if key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.') {
                return Ok((Key::Name(key), value));
            }
            expressions += 1;
            if expressions > MAX_EXPRESSIONS {
                return Err(format!("has more than {MAX_EXPRESSIONS} expressions"));
            }
            Ok((Key::Expression(compile(&format!(r"^(?:.*\.)?(?:{key})$"), &key)?), value))
        });
        Ok(Self(compiled.collect::<Result<_, _>>()?))
    }

    pub(super) fn find(&self, path: &str) -> Result<Option<T>, Problem> {
        for (key, value) in &self.0 {
            let found = match key {
                Key::Name(name) => is_end_with_dots(path, name),
                Key::Expression(regex) => regex.is_match(path).map_err(|e| e.to_string())?,
            };
            if found {
                return Ok(Some(*value));
            }
        }
        Ok(None)
    }
}

/// Whether `name` is `path` or its end after a dot.
fn is_end(path: &str, name: &str) -> bool {
    path.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The same with the expression `name`, in which a dot matches any character.
fn is_end_with_dots(path: &str, name: &str) -> bool {
    let Some(rest) = path.len().checked_sub(name.len()) else { return false };
    let (above, end) = path.as_bytes().split_at(rest);
    let fits = |(&sign, wanted): (&u8, u8)| wanted == b'.' || sign == wanted;
    (above.is_empty() || above.ends_with(b".")) && end.iter().zip(name.bytes()).all(fits)
}

fn compile(expression: &str, shown: &str) -> Result<Regex, Problem> {
    if expression.len() > MAX_LENGTH {
        return Err(format!("has an expression of {} characters, more than {MAX_LENGTH}", shown.len()));
    }
    RegexBuilder::new(expression)
        .backtrack_limit(MAX_BACKTRACKS)
        .delegate_size_limit(MAX_COMPILED_BYTES)
        .delegate_dfa_size_limit(MAX_COMPILED_BYTES)
        .build()
        .map_err(|e| format!("`{shown}` is no regular expression that is understood here: {e}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const Q0: &str = "model.layers.0.self_attn.q_proj";
    const Q10: &str = "model.layers.10.self_attn.q_proj";

    #[test]
    fn selections_match_as_in_peft() {
        let names = Selection::Names(vec!["q_proj".into(), "layers.10.mlp.up_proj".into()]);
        assert!(names.matches(Q0).unwrap());
        assert!(names.matches("model.layers.10.mlp.up_proj").unwrap());
        assert!(!names.matches("model.layers.0.mlp.up_proj").unwrap());
        assert!(!names.matches("model.layers.0.self_attn.xq_proj").unwrap());
        let whole = Selection::from_text(r".*\.(q|v)_proj").unwrap();
        assert!(whole.matches(Q0).unwrap() && !whole.matches("model.layers.0.self_attn.k_proj").unwrap());
        assert!(!Selection::from_text("q_proj").unwrap().matches(Q0).unwrap());
        let ahead = Selection::from_text(r"^(?!.*layers\.0\.).*q_proj").unwrap();
        assert!(ahead.matches(Q10).unwrap() && !ahead.matches(Q0).unwrap());
        let all = Selection::from_text("all-linear").unwrap();
        assert!(all.matches(Q0).unwrap() && !all.matches("lm_head").unwrap());
    }

    #[test]
    fn the_first_pattern_decides() {
        let patterns = Patterns::new(vec![
            (Q10.into(), 1),
            (r"layers\.\d\..*q_proj".into(), 2),
            ("q_proj".into(), 3),
            ("^v_proj".into(), 4),
        ])
        .unwrap();
        let find = |path| patterns.find(path).unwrap();
        assert_eq!(
            (find(Q10), find(Q0), find("model.layers.20.self_attn.q_proj")),
            (Some(1), Some(2), Some(3))
        );
        assert_eq!(find("model.layers.0.self_attn.v_proj"), None);
        let dots =
            Patterns::new(vec![("q.proj".into(), 1), ("layers.10.self.attn.v_proj".into(), 2)]).unwrap();
        assert_eq!(
            (dots.find(Q0).unwrap(), dots.find("model.layers.10.self_attn.v_proj").unwrap()),
            (Some(1), Some(2))
        );
        assert_eq!(dots.find("model.layers.0.self_attn.xq_proj").unwrap(), None);
        assert_eq!(dots.find("proj").unwrap(), None);
    }

    #[test]
    fn hostile_expressions_are_refused_in_bounded_time() {
        assert!(Selection::from_text("(").is_err());
        assert!(Selection::from_text(&"a".repeat(5000)).is_err());
        assert!(Selection::from_text("(((a{1000}){1000}){1000})").is_err());
        let many = (0..300).map(|i| (format!("a{i}$"), 1)).collect();
        assert!(Patterns::new(many).is_err());
        // A look-around forces the backtracking engine, whose steps are limited.
        let slow = Selection::from_text(r"(?=(([a-z]+)*)*\1$)(x+x+)+y").unwrap();
        assert!(slow.matches(&"x".repeat(200)).is_err());
    }
}
