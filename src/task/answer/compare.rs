//! Whether two values are the same.

use std::cell::Cell;

use super::Same;
use super::amounts::rounding;
use super::dates;
use super::identity::{Ratio, ratio};
use super::special::{REMAINDER, choices, clock, times};
use super::term::Term;
use super::value::{Junction, Value};
use super::words;

/// Parts of expressions that one comparison may evaluate at points. Lists of a dozen expressions need some thousands.
const MAX_WORK: usize = 6_000;

/// Compares values, granting a relative error to numbers.
#[derive(Debug, Clone)]
pub(super) struct Comparison {
    pub(super) tolerance: f64,
    /// Work that is left; with none, nothing can be told.
    left: Cell<usize>,
}

impl Comparison {
    /// A comparison that grants that relative error.
    pub(super) fn new(tolerance: f64) -> Self {
        Self { tolerance, left: Cell::new(MAX_WORK) }
    }

    /// Takes work that two terms cause from what is left; false if that is too little.
    pub(super) fn affords(&self, a: &Term, b: &Term) -> bool {
        let size = match (a, b) {
            (Term::Literal(_), Term::Literal(_)) => 0,
            _ => a.size() + b.size(),
        };
        let left = self.left.get().checked_sub(size);
        self.left.set(left.unwrap_or(0));
        left.is_some()
    }

    /// Yes if any pair of readings is the same, no if all differ.
    pub(super) fn any<'a>(
        &self,
        known: impl IntoIterator<Item = &'a Value>,
        answer: impl IntoIterator<Item = &'a Value> + Clone,
    ) -> Same {
        let mut result = None;
        for a in known {
            for b in answer.clone() {
                match self.values(a, b) {
                    Same::Yes => return Same::Yes,
                    other if result != Some(Same::Unknown) => result = Some(other),
                    _ => {}
                }
            }
        }
        result.unwrap_or(Same::Unknown)
    }

    pub(super) fn values(&self, known: &Value, answer: &Value) -> Same {
        match (known, answer) {
            (Value::Either(a), b) => self.any(a, [b]),
            (a, Value::Either(b)) => self.any([a], b),
            (Value::Named { .. }, _) | (_, Value::Named { .. }) => self.named(known, answer),
            (Value::Equation(a, b), Value::Equation(c, d)) => self.equations((a, b), (c, d)),
            (Value::Equation(..), Value::Quantity { .. }) | (Value::Quantity { .. }, Value::Equation(..)) => {
                Same::Unknown
            }
            (Value::Less { sides: a, closed }, Value::Less { sides: b, closed: other }) => {
                match ratio((&a.0, &a.1), (&b.0, &b.1)) {
                    Ratio::Positive => Same::from(closed == other),
                    Ratio::Negative => Same::No,
                    _ => Same::Unknown,
                }
            }
            (Value::Less { .. }, _) | (_, Value::Less { .. }) => Same::Unknown,
            (
                Value::Quantity { term, unit, doubtful },
                Value::Quantity { term: other, unit: other_unit, doubtful: other_doubtful },
            ) => {
                let verdict = self.quantities((term, unit.as_ref()), (other, other_unit.as_ref()));
                let rounded = || {
                    rounding(term, other).is_some_and(|tolerance| {
                        let coarse = Self { tolerance, left: self.left.clone() };
                        coarse.quantities((term, unit.as_ref()), (other, other_unit.as_ref())) != Same::No
                    })
                };
                if verdict == Same::No && (*doubtful || *other_doubtful || rounded()) {
                    Same::Unknown
                } else {
                    verdict
                }
            }
            (Value::Based { .. }, _) | (_, Value::Based { .. }) => self.based(known, answer),
            (Value::Infinity(a), Value::Infinity(b)) => Same::from(a == b),
            (Value::Ratio(a), Value::Ratio(b)) => self.ratios(a, b),
            (Value::Ratio(a), Value::Quantity { term, unit: None, .. })
            | (Value::Quantity { term, unit: None, .. }, Value::Ratio(a))
                if a.len() == 2 =>
            {
                self.ratios(a, &[term.clone(), Term::whole(1)])
            }
            (Value::Time { .. }, Value::Time { .. }) => times(known, answer),
            // `4:00` may be said as 4.
            (Value::Time { .. }, Value::Quantity { .. }) | (Value::Quantity { .. }, Value::Time { .. }) => {
                Same::Unknown
            }
            // A known `10:30` may be a time, of which 1:3 is no other form.
            (Value::Time { hour, minute, .. }, Value::Ratio(b)) => {
                match self.ratios(&clock(*hour, *minute), b) {
                    Same::Yes => Same::Unknown,
                    verdict => verdict,
                }
            }
            (Value::Ratio(a), Value::Time { hour, minute, .. }) => self.ratios(a, &clock(*hour, *minute)),
            (
                Value::Date { year, month, day },
                Value::Date { year: other_year, month: other_month, day: other_day },
            ) => dates::same((*year, *month, *day), (*other_year, *other_month, *other_day)),
            // `June 1944` for the year alone; the year alone is less than a month of it.
            (Value::Quantity { unit: None, .. }, Value::Date { year: year @ 1.., .. }) => {
                self.values(known, &Value::plain(Term::whole(*year)))
            }
            (Value::Date { year: year @ 1.., .. }, Value::Quantity { unit: None, .. }) => {
                match self.values(&Value::plain(Term::whole(*year)), answer) {
                    Same::Yes => Same::Unknown,
                    verdict => verdict,
                }
            }
            (Value::Range(a, b), Value::Range(c, d)) => Same::all([self.values(a, c), self.values(b, d)]),
            (Value::Range(..), _) | (_, Value::Range(..)) => match known {
                Value::Quantity { .. } => Same::No,
                _ if matches!(answer, Value::Quantity { .. }) => Same::No,
                _ => Same::Unknown,
            },
            (Value::Choice(..), _) | (_, Value::Choice(..)) => choices(known, answer),
            (Value::Text(a), Value::Text(b)) => {
                if words::same_text(a, b) {
                    Same::Yes
                } else {
                    words::compare(a, b)
                }
            }
            (Value::Matrix(a), Value::Matrix(b)) => self.matrices(a, b),
            (Value::Matrix(rows), Value::List { items, .. }) => self.vector(rows, items, false),
            (Value::List { items, .. }, Value::Matrix(rows)) => self.vector(rows, items, true),
            (Value::List { .. }, Value::List { .. }) => self.lists(known, answer),
            (Value::Interval { .. } | Value::Union(_), Value::Interval { .. } | Value::Union(_)) => {
                self.intervals(known, answer)
            }
            (Value::Interval { .. }, Value::List { open: '(' | '[', items, .. })
            | (Value::List { open: '(' | '[', items, .. }, Value::Interval { .. })
                if items.len() == 2 =>
            {
                self.intervals(known, answer)
            }
            (Value::Union(_), Value::List { open, items, .. })
            | (Value::List { open, items, .. }, Value::Union(_)) => {
                if matches!(open, '(' | '[') && items.len() == 2 {
                    self.intervals(known, answer)
                } else {
                    Same::Unknown
                }
            }
            // `0.5 or 1/2` says one thing in two ways.
            (Value::List { items, junction: Some(Junction::Or), .. }, other)
                if items.iter().all(|item| self.values(item, other) == Same::Yes) =>
            {
                Same::Yes
            }
            (other, Value::List { items, junction: Some(Junction::Or), .. })
                if items.iter().all(|item| self.values(other, item) == Same::Yes) =>
            {
                Same::Yes
            }
            // One item is the item itself.
            (Value::List { items, .. }, other) if items.len() == 1 => self.values(&items[0], other),
            (other, Value::List { items, .. }) if items.len() == 1 => self.values(other, &items[0]),
            (Value::Text(_), _) | (_, Value::Text(_)) => Same::Unknown,
            // One of several things that have a name.
            (Value::List { items, .. }, other) | (other, Value::List { items, .. })
                if items.iter().all(|item| matches!(item, Value::Named { .. }))
                    && items.iter().any(|item| self.values(item, other) == Same::Yes) =>
            {
                Same::Unknown
            }
            // `42, certainly`.
            (Value::List { open: ' ', items, .. }, other) | (other, Value::List { open: ' ', items, .. })
                if items.iter().any(|item| matches!(item, Value::Text(_)))
                    && items.iter().any(|item| self.values(item, other) == Same::Yes) =>
            {
                Same::Unknown
            }
            // Values of clearly different kinds.
            _ => Same::No,
        }
    }

    pub(super) fn named(&self, known: &Value, answer: &Value) -> Same {
        match (known, answer) {
            (
                Value::Named { name, left, value },
                Value::Named { name: other_name, left: other_left, value: other_value },
            ) => {
                let plain = self.values(value, other_value);
                // `y` and `f(x)`, but not `P(A)` and `P(B)`.
                let function = |name: &str| {
                    let argument = name.get(1..).unwrap_or_default();
                    matches!(argument, "(x)" | "(t)" | "(n)") || matches!(name, "y" | "f" | "g")
                };
                if name == other_name || (function(name) && function(other_name)) {
                    return plain;
                }
                if let (Some(left), Some(right), Some(other_left), Some(other_right)) =
                    (left, term(value), other_left, term(other_value))
                {
                    match self.equations((left, right), (other_left, other_right)) {
                        Same::Yes => return Same::Yes,
                        verdict if right.has_variable() || other_right.has_variable() => return verdict,
                        _ => {}
                    }
                }
                if plain == Same::Yes { Same::Unknown } else { plain }
            }
            (Value::Named { left: Some(left), value, .. }, Value::Equation(a, b))
            | (Value::Equation(a, b), Value::Named { left: Some(left), value, .. }) => match term(value) {
                Some(right) => self.equations((left, right), (a, b)),
                None => Same::Unknown,
            },
            // `17 2/9` may be `17 remainder 2`.
            (Value::Named { name, .. }, _) | (_, Value::Named { name, .. }) if name == REMAINDER => {
                Same::Unknown
            }
            (Value::Named { value, .. }, other) => self.values(value, other),
            (other, Value::Named { value, .. }) => self.values(other, value),
            _ => Same::Unknown,
        }
    }

    /// Whether two equations have the same solutions, by the ratio of what they set to zero.
    pub(super) fn equations(&self, a: (&Term, &Term), b: (&Term, &Term)) -> Same {
        if !self.affords(a.0, a.1) || !self.affords(b.0, b.1) {
            return Same::Unknown;
        }
        match ratio(a, b) {
            Ratio::Positive | Ratio::Negative => Same::Yes,
            Ratio::None => Same::No,
            Ratio::Unknown => Same::Unknown,
        }
    }
}

/// The term of a plain quantity, or of the first reading that is one.
fn term(value: &Value) -> Option<&Term> {
    match value {
        Value::Quantity { term, unit: None, .. } => Some(term),
        Value::Either(readings) => readings.iter().find_map(term),
        _ => None,
    }
}
