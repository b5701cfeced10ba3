//! Kinds of values: what fits, what to call it, and how a text is read.

use serde_json::Value;

/// Largest number of anything that a run makes or holds at once.
pub const MOST: u64 = 1 << 20;
/// A whole number.
pub(super) const ANY: Takes = Takes::Whole(0, u64::MAX);
/// A whole number above 0.
pub(super) const SOME: Takes = Takes::Whole(1, u64::MAX);
/// A number of things that a run makes or holds, at least one.
pub(super) const COUNT: Takes = Takes::Whole(1, MOST);
/// A number of things that a run makes or holds, which may be none.
pub(super) const LIMIT: Takes = Takes::Whole(0, MOST);

/// The values that a setting takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Takes {
    /// A whole number of at least the one and at most the other; [`u64::MAX`] is no bound.
    Whole(u64, u64),
    /// A number that is finite as a 32-bit float too.
    Number(Bounds),
    /// True or false.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of at least one of these words.
    Words(&'static [&'static str]),
    /// JSON of a form that the setting's sentence says, and that its type checks.
    Json,
}

/// The bounds of a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Nothing is below.
    pub low: f64,
    /// Nothing is above; infinity is no bound.
    pub high: f64,
    /// The lower bound itself is out.
    pub above_low: bool,
    /// The upper bound itself is out.
    pub below_high: bool,
}

impl Bounds {
    const fn new(low: f64, high: f64) -> Self {
        Self { low, high, above_low: false, below_high: false }
    }

    fn hold(&self, value: f64) -> bool {
        let low = if self.above_low { value > self.low } else { value >= self.low };
        let high = if self.below_high { value < self.high } else { value <= self.high };
        low && high && (value as f32).is_finite()
    }

    fn words(&self) -> String {
        let Self { low, high, above_low, below_high } = *self;
        match (above_low, below_high, high.is_finite()) {
            (false, _, false) => format!("a number from {low} up"),
            (true, _, false) => format!("a number above {low}"),
            (false, false, true) => format!("a number from {low} to {high}"),
            (true, false, true) => format!("a number above {low}, at most {high}"),
            (false, true, true) => format!("a number from {low} to below {high}"),
            (true, true, true) => format!("a number above {low} and below {high}"),
        }
    }
}

impl Takes {
    /// A number above 0.
    pub const POSITIVE: Self = Self::Number(Bounds { above_low: true, ..Bounds::new(0.0, f64::INFINITY) });
    /// A number from 0 up.
    pub const NON_NEGATIVE: Self = Self::Number(Bounds::new(0.0, f64::INFINITY));
    /// A number from 0 to 1.
    pub const SHARE: Self = Self::Number(Bounds::new(0.0, 1.0));
    /// A number above 0, at most 1.
    pub const POSITIVE_SHARE: Self = Self::Number(Bounds { above_low: true, ..Bounds::new(0.0, 1.0) });
    /// A number from 0 to below 1.
    pub const SHARE_BELOW_ONE: Self = Self::Number(Bounds { below_high: true, ..Bounds::new(0.0, 1.0) });

    /// A number from `-size` to `size`.
    pub const fn up_to(size: f64) -> Self {
        Self::Number(Bounds::new(-size, size))
    }

    /// Whether `value` is one of them.
    pub fn fits(&self, value: &Value) -> bool {
        match self {
            Self::Whole(from, to) => value.as_u64().is_some_and(|number| (*from..=*to).contains(&number)),
            Self::Number(bounds) => value.as_f64().is_some_and(|number| bounds.hold(number)),
            Self::Flag => value.is_boolean(),
            Self::Word(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            Self::Words(words) => value.as_array().is_some_and(|items| {
                let known = |item: &Value| item.as_str().is_some_and(|word| words.contains(&word));
                !items.is_empty() && items.iter().all(known)
            }),
            Self::Json => true,
        }
    }

    /// Whether they are numbers.
    pub fn is_number(&self) -> bool {
        matches!(self, Self::Whole(..) | Self::Number(_))
    }

    /// `text` as one of them if it can be, else as JSON, else as a word. Whether it fits is not said.
    pub fn read(&self, text: &str) -> Value {
        let value = match self {
            // Also forms that JSON has not, such as `.5`.
            Self::Number(_) => text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from),
            Self::Words(_) if !text.trim_start().starts_with('[') => {
                Some(text.split(',').map(|word| Value::from(word.trim())).collect())
            }
            _ => None,
        };
        value.or_else(|| serde_json::from_str(text).ok()).unwrap_or_else(|| Value::String(text.to_owned()))
    }

    /// What they are, for messages: `a number from 0 to 1`.
    pub fn words(&self) -> String {
        match self {
            Self::Whole(from, u64::MAX) => format!("a whole number from {from} up"),
            Self::Whole(from, to) => format!("a whole number from {from} to {to}"),
            Self::Number(bounds) => bounds.words(),
            Self::Flag => "true or false".into(),
            Self::Word(words) => list(words),
            Self::Words(words) => format!("a list of {}", words.join(", ")),
            Self::Json => "what its sentence says, as JSON".into(),
        }
    }

    /// What they are, for a message about `value`, which is none of them: `a number above 0 that fits 32-bit floats`.
    pub fn words_for(&self, value: &Value) -> String {
        let too_large = value.as_f64().is_some_and(|number| !(number as f32).is_finite());
        match self {
            Self::Number(_) if too_large => format!("{} that fits 32-bit floats", self.words()),
            _ => self.words(),
        }
    }

    /// The name of a value in the help of an option.
    pub fn value_name(&self) -> &'static str {
        match self {
            Self::Whole(..) => "N",
            Self::Number(_) => "X",
            Self::Flag => "BOOL",
            Self::Word(_) => "NAME",
            Self::Words(_) => "NAMES",
            Self::Json => "JSON",
        }
    }
}

/// `a, b or c`.
pub fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bounds_are_in_or_out() {
        for (takes, good, bad) in [
            (
                Takes::POSITIVE,
                vec![json!(1), json!(1e-300)],
                vec![json!(0), json!(-1), json!("1"), json!(null)],
            ),
            (Takes::NON_NEGATIVE, vec![json!(0), json!(3e38)], vec![json!(-1e-9), json!(1e39)]),
            (Takes::SHARE, vec![json!(0), json!(1)], vec![json!(1.01), json!(-0.01)]),
            (Takes::POSITIVE_SHARE, vec![json!(1)], vec![json!(0)]),
            (Takes::SHARE_BELOW_ONE, vec![json!(0)], vec![json!(1)]),
            (Takes::up_to(2.0), vec![json!(-2), json!(2)], vec![json!(2.1)]),
            (Takes::Whole(1, 3), vec![json!(1), json!(3)], vec![json!(0), json!(4), json!(1.5), json!(-1)]),
            (Takes::Flag, vec![json!(true)], vec![json!(1), json!("true")]),
            (Takes::Word(&["a", "b"]), vec![json!("a")], vec![json!("c"), json!(1)]),
            (
                Takes::Words(&["a", "b"]),
                vec![json!(["b"]), json!(["b", "a"])],
                vec![json!("a"), json!([]), json!(["c"])],
            ),
        ] {
            assert!(good.iter().all(|value| takes.fits(value)), "{takes:?}");
            assert!(!bad.iter().any(|value| takes.fits(value)), "{takes:?}");
            assert!(!takes.words().is_empty());
        }
        assert_eq!(Takes::Word(&["a", "b", "c"]).words(), "a, b or c");
        assert_eq!(Takes::Words(&["a", "b"]).read("b, a"), json!(["b", "a"]));
        assert_eq!(Takes::Words(&["a", "b"]).read(r#"["b"]"#), json!(["b"]));
        assert_eq!(Takes::SHARE_BELOW_ONE.words(), "a number from 0 to below 1");
    }
}
