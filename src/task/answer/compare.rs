//! Whether two values are the same.

use std::cell::Cell;

use num_rational::BigRational;

use super::Same;
use super::identity::{Ratio, identical, ratio};
use super::number::{Number, same};
use super::term::Term;
use super::units::Unit;
use super::value::Value;
use super::words;

/// Most items of lists whose order means nothing.
const MAX_UNORDERED: usize = 64;

/// Parts of expressions that one comparison may evaluate at points. Lists of a dozen expressions need some thousands.
const MAX_WORK: usize = 6_000;

/// Compares values, granting a relative error to numbers.
#[derive(Debug, Clone)]
pub(super) struct Comparison {
    tolerance: f64,
    /// Work that is left; with none, nothing can be told.
    left: Cell<usize>,
}

impl Comparison {
    /// A comparison that grants that relative error.
    pub(super) fn new(tolerance: f64) -> Self {
        Self { tolerance, left: Cell::new(MAX_WORK) }
    }

    /// Takes work that two terms cause from what is left; false if that is too little.
    fn affords(&self, a: &Term, b: &Term) -> bool {
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

    fn all(&self, pairs: impl IntoIterator<Item = Same>) -> Same {
        let mut result = Same::Yes;
        for same in pairs {
            match same {
                Same::No => return Same::No,
                Same::Unknown => result = Same::Unknown,
                Same::Yes => {}
            }
        }
        result
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
            (Value::Time { hour, minute: 0, second: 0, .. }, Value::Quantity { term, unit: None, .. })
            | (Value::Quantity { term, unit: None, .. }, Value::Time { hour, minute: 0, second: 0, .. }) => {
                match identical_or_constant(&Term::whole(*hour), term, 0.0) {
                    Same::Yes => Same::Unknown,
                    verdict => verdict,
                }
            }
            (Value::Time { hour, minute, .. }, Value::Ratio(b)) => self.ratios(&clock(*hour, *minute), b),
            (Value::Ratio(a), Value::Time { hour, minute, .. }) => self.ratios(a, &clock(*hour, *minute)),
            (
                Value::Date { year, month, day },
                Value::Date { year: other_year, month: other_month, day: other_day },
            ) => match (month, day) == (other_month, other_day) {
                false => Same::No,
                true if year == other_year => Same::Yes,
                true if *year == 0 || *other_year == 0 => Same::Unknown,
                // `24` for `2024`.
                true if *year < 100 || *other_year < 100 => {
                    if year % 100 == other_year % 100 {
                        Same::Unknown
                    } else {
                        Same::No
                    }
                }
                true => Same::No,
            },
            (Value::Range(a, b), Value::Range(c, d)) => self.all([self.values(a, c), self.values(b, d)]),
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
                if matches!(open, '(' | '[') && items.len() == 2 { Same::No } else { Same::Unknown }
            }
            // One item is the item itself.
            (Value::List { items, .. }, other) if items.len() == 1 => self.values(&items[0], other),
            (other, Value::List { items, .. }) if items.len() == 1 => self.values(other, &items[0]),
            (Value::Text(_), _) | (_, Value::Text(_)) => Same::Unknown,
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

    fn quantities(&self, (a, known): (&Term, Option<&Unit>), (b, answer): (&Term, Option<&Unit>)) -> Same {
        if !self.affords(a, b) {
            return Same::Unknown;
        }
        if a.has_variable() || b.has_variable() {
            return match (known, answer) {
                (Some(known), Some(answer)) if known.dimensions != answer.dimensions => Same::Unknown,
                _ if a.has_variable() && b.has_variable() => identical(a, b, self.tolerance),
                // What looks like a variable may cancel.
                _ => match identical(a, b, self.tolerance) {
                    Same::No if matches!(a, Term::Variable(_)) || matches!(b, Term::Variable(_)) => {
                        single(a, b)
                    }
                    verdict => verdict,
                },
            };
        }
        let (a, b) = (a.constant(), b.constant());
        let plain = same(&a, &b, self.tolerance);
        match (known, answer) {
            (None, None) => plain,
            (Some(unit), None) | (None, Some(unit)) => {
                if unit.is("%") {
                    return self.percent(&a, &b, known.is_some(), plain);
                }
                // Thousands and millions, of dollars or of anything.
                if unit.is("count")
                    || unit.is_money() && unit.factor >= BigRational::from_integer(1000.into())
                {
                    let scaled = if known.is_some() {
                        same(&a.times(&unit.factor), &b, self.tolerance)
                    } else {
                        same(&a, &b.times(&unit.factor), self.tolerance)
                    };
                    // In millions, 5 may stand for five million.
                    return if plain == Same::Yes && scaled != Same::Yes { Same::Unknown } else { scaled };
                }
                if plain == Same::No && unit.is("°") {
                    let turned = Term::Degrees(Box::new(Term::whole(1))).constant();
                    let radians = |number: &Number| super::term::multiply(number, &turned);
                    return if known.is_some() {
                        same(&radians(&a), &b, self.tolerance)
                    } else {
                        same(&a, &radians(&b), self.tolerance)
                    };
                }
                if plain == Same::Yes && unit.doubtful { Same::Unknown } else { plain }
            }
            (Some(known), Some(answer)) => self.united((&a, known), (&b, answer), plain),
        }
    }

    /// Numbers with a unit each.
    fn united(&self, (a, known): (&Number, &Unit), (b, answer): (&Number, &Unit), plain: Same) -> Same {
        if known.dimensions == answer.dimensions {
            return same(&a.times(&known.factor), &b.times(&answer.factor), self.tolerance);
        }
        let angle = |unit: &Unit| unit.is("°") || unit.is("rad");
        if angle(known) && angle(answer) {
            let turned = Term::Degrees(Box::new(Term::whole(1))).constant();
            let radians = |number: &Number, unit: &Unit| {
                if unit.is("°") { super::term::multiply(number, &turned) } else { number.clone() }
            };
            return same(&radians(a, known), &radians(b, answer), self.tolerance);
        }
        if !known.known && !answer.known && known.shares_words(answer) {
            return same(&a.times(&known.factor), &b.times(&answer.factor), self.tolerance);
        }
        // A degree sign and a scale of temperature, which is often left away.
        let temperature = |unit: &Unit| unit.is("°C") || unit.is("°F");
        let bare = (known.is("°") && temperature(answer)) || (answer.is("°") && temperature(known));
        match plain {
            Same::Yes if bare => Same::Yes,
            Same::Yes if known.known && answer.known => Same::No,
            // Things have many names: 5 children are 5 kids.
            Same::Yes => Same::Unknown,
            _ if temperature(known) && temperature(answer) => Same::Unknown,
            other => other,
        }
    }

    /// A per cent sign on one side: `28 %` is 28 where per cents are asked for, and 0.28 by value.
    fn percent(&self, a: &Number, b: &Number, known: bool, plain: Same) -> Same {
        if plain == Same::Yes {
            return Same::Yes;
        }
        let hundredth = BigRational::new(1.into(), 100.into());
        if known {
            return match same(&a.times(&hundredth), b, self.tolerance) {
                Same::No => plain,
                _ => Same::Unknown,
            };
        }
        match same(a, &b.times(&hundredth), self.tolerance) {
            Same::No => plain,
            verdict => verdict,
        }
    }

    /// Digits with a base. The base may be left away; the same number in another base is not what was asked for, perhaps.
    fn based(&self, known: &Value, answer: &Value) -> Same {
        let equal = |a: &Term, b: &Term| a.constant().exact == b.constant().exact;
        match (known, answer) {
            (Value::Based { base, value, .. }, Value::Based { base: other_base, value: other_value, .. }) => {
                match (base == other_base, equal(value, other_value)) {
                    (true, same) => Same::from(same),
                    (false, true) => Same::Unknown,
                    (false, false) => Same::No,
                }
            }
            (Value::Based { digits, value, .. }, Value::Quantity { term, unit: None, .. })
            | (Value::Quantity { term, unit: None, .. }, Value::Based { digits, value, .. })
                if !term.has_variable() =>
            {
                if !digits.has_variable() && equal(digits, term) {
                    Same::Yes
                } else if equal(value, term) {
                    Same::Unknown
                } else {
                    Same::No
                }
            }
            _ => Same::Unknown,
        }
    }

    fn ratios(&self, a: &[Term], b: &[Term]) -> Same {
        if a.len() != b.len() {
            return Same::No;
        }
        self.all((1..a.len()).map(|place| {
            let product = |x: &Term, y: &Term| Term::Product(vec![(false, x.clone()), (false, y.clone())]);
            identical_or_constant(&product(&a[0], &b[place]), &product(&a[place], &b[0]), self.tolerance)
        }))
    }

    fn named(&self, known: &Value, answer: &Value) -> Same {
        match (known, answer) {
            (
                Value::Named { name, left, value },
                Value::Named { name: other_name, left: other_left, value: other_value },
            ) => {
                let plain = self.values(value, other_value);
                let function = |name: &str| name.contains('(') || matches!(name, "y" | "f" | "g");
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
            (Value::Named { value, .. }, other) => self.values(value, other),
            (other, Value::Named { value, .. }) => self.values(other, value),
            _ => Same::Unknown,
        }
    }

    /// Whether two equations have the same solutions, by the ratio of what they set to zero.
    fn equations(&self, a: (&Term, &Term), b: (&Term, &Term)) -> Same {
        if !self.affords(a.0, a.1) || !self.affords(b.0, b.1) {
            return Same::Unknown;
        }
        match ratio(a, b) {
            Ratio::Positive | Ratio::Negative => Same::Yes,
            Ratio::None => Same::No,
            Ratio::Unknown => Same::Unknown,
        }
    }

    fn matrices(&self, a: &[Vec<Value>], b: &[Vec<Value>]) -> Same {
        let flat = |rows: &[Vec<Value>]| rows.iter().flatten().cloned().collect::<Vec<_>>();
        if a.len() != b.len() || a[0].len() != b[0].len() {
            // A row for a column of the same numbers.
            let vectors = |rows: &[Vec<Value>]| rows.len() == 1 || rows[0].len() == 1;
            let same = vectors(a) && vectors(b) && self.in_order(&flat(a), &flat(b)) != Same::No;
            return if same { Same::Unknown } else { Same::No };
        }
        self.in_order(&flat(a), &flat(b))
    }

    /// A matrix of one row or column, and a list.
    fn vector(&self, rows: &[Vec<Value>], items: &[Value], swapped: bool) -> Same {
        if rows.len() != 1 && rows[0].len() != 1 {
            return if items.len() == rows.len() { Same::Unknown } else { Same::No };
        }
        let flat: Vec<_> = rows.iter().flatten().cloned().collect();
        if swapped { self.in_order(items, &flat) } else { self.in_order(&flat, items) }
    }

    fn in_order(&self, a: &[Value], b: &[Value]) -> Same {
        if a.len() != b.len() {
            return Same::No;
        }
        self.all(a.iter().zip(b).map(|(a, b)| self.values(a, b)))
    }

    /// Whether each item of one is an item of the other; of sets, items that are written twice count once.
    fn in_any_order(&self, a: &[Value], b: &[Value], sets: bool) -> Same {
        let once = |items: &[Value]| {
            let mut kept: Vec<Value> = Vec::new();
            for item in items.iter().take(MAX_UNORDERED + 1) {
                if !sets || kept.iter().all(|other| self.values(other, item) != Same::Yes) {
                    kept.push(item.clone());
                }
            }
            kept
        };
        if a.len().max(b.len()) > MAX_UNORDERED {
            return Same::Unknown;
        }
        let (a, mut b) = (once(a), once(b));
        if a.len() != b.len() {
            return Same::No;
        }
        let mut rest = Vec::new();
        for item in &a {
            match b.iter().position(|other| self.values(item, other) == Same::Yes) {
                Some(place) => drop(b.remove(place)),
                None => rest.push(item),
            }
        }
        let open = rest.iter().all(|item| b.iter().any(|other| self.values(item, other) == Same::Unknown));
        match (rest.is_empty(), open) {
            (true, _) => Same::Yes,
            (false, true) => Same::Unknown,
            (false, false) => Same::No,
        }
    }

    fn lists(&self, known: &Value, answer: &Value) -> Same {
        let (
            Value::List { open: a_open, close: a_close, items: a, joined: a_joined },
            Value::List { open: b_open, close: b_close, items: b, joined: b_joined },
        ) = (known, answer)
        else {
            return Same::Unknown;
        };
        // `x = 3, y = 4`: by name.
        if let (Some(a), Some(b)) = (by_name(a), by_name(b)) {
            return self.all(a.iter().map(|(name, value)| {
                b.iter()
                    .find(|(other, _)| other == name)
                    .map_or(Same::Unknown, |(_, other)| self.values(value, other))
            }));
        }
        let set = |open: &char| matches!(open, '⦃' | '{');
        let bare = |open: &char| *open == ' ';
        if (set(a_open) || *a_joined) && (set(b_open) || bare(b_open) || *b_joined)
            || (set(b_open) || *b_joined) && bare(a_open)
        {
            return self.in_any_order(a, b, true);
        }
        let ordered = self.in_order(a, b);
        if ordered == Same::Yes {
            let pair = a.len() == 2 && !bare(a_open) && !bare(b_open);
            // `[1,2]` and `(1,2)` differ as intervals, `{1,2}` and `(1,2)` as sets.
            return if pair && (a_open, a_close) != (b_open, b_close) && !(angle(*a_open) || angle(*b_open)) {
                Same::Unknown
            } else if set(a_open) != set(b_open) && !bare(a_open) && !bare(b_open) {
                Same::Unknown
            } else {
                Same::Yes
            };
        }
        let numbers =
            |items: &[Value]| !items.iter().any(|item| matches!(item, Value::Text(_) | Value::Choice(..)));
        match (bare(a_open) && bare(b_open), self.in_any_order(a, b, false)) {
            // Solutions one after the other; words may be asked for in their order.
            (true, Same::Yes) if numbers(a) && numbers(b) => Same::Yes,
            (true, Same::Yes) => Same::Unknown,
            (false, Same::Yes | Same::Unknown) if set(a_open) || set(b_open) => Same::Unknown,
            _ => ordered,
        }
    }

    fn intervals(&self, known: &Value, answer: &Value) -> Same {
        match (known, answer) {
            (Value::Union(a), Value::Union(b)) => {
                let verdict = self.in_any_order(a, b, true);
                // The same points may be cut into other pieces.
                if verdict == Same::No && a.len() != b.len() { Same::Unknown } else { verdict }
            }
            (Value::Union(_), _) | (_, Value::Union(_)) => Same::No,
            _ => {
                let (Some((a_low, a_high, a_name)), Some((b_low, b_high, b_name))) =
                    (ends(known), ends(answer))
                else {
                    return Same::Unknown;
                };
                let verdict = self.all([
                    Same::from(a_low.1 == b_low.1),
                    Same::from(a_high.1 == b_high.1),
                    self.values(a_low.0, b_low.0),
                    self.values(a_high.0, b_high.0),
                ]);
                let renamed = matches!((a_name, b_name), (Some(a), Some(b)) if a != b);
                if verdict == Same::Yes && renamed { Same::Unknown } else { verdict }
            }
        }
    }
}

/// The relative error that rounded decimals inside of an expression may leave, as in `0.333x` for a third of `x`. A decimal alone is
/// judged by its digits.
fn rounding(a: &Term, b: &Term) -> Option<f64> {
    let digits = |term: &Term| if matches!(term, Term::Literal(_)) { None } else { term.fewest_digits() };
    let (fewest, both) = match (digits(a), digits(b)) {
        (Some(a), Some(b)) => (a.min(b), true),
        (Some(fewest), None) | (None, Some(fewest)) => (fewest, false),
        (None, None) => return None,
    };
    let enough = if both { 6 } else { 3 };
    (fewest >= enough).then(|| 0.1f64.powi(i32::try_from(fewest).unwrap_or(i32::MAX) - 1))
}

/// The values of items that all have a name, with their names.
fn by_name(items: &[Value]) -> Option<Vec<(&str, &Value)>> {
    let named = |item| match item {
        &Value::Named { ref name, ref value, .. } => Some((name.as_str(), &**value)),
        _ => None,
    };
    items.iter().map(named).collect()
}

fn angle(open: char) -> bool {
    open == '⟨'
}

/// A variable alone may be the letter of a choice; a known number may be what it stands for.
fn single(a: &Term, b: &Term) -> Same {
    let letter = |term: &Term| matches!(term, Term::Variable(name) if name.len() == 1 && name.to_ascii_lowercase().as_str() <= "e");
    let stands = (letter(a) && !b.has_variable()) || (letter(b) && !a.has_variable());
    if stands { Same::Unknown } else { Same::No }
}

fn identical_or_constant(a: &Term, b: &Term, tolerance: f64) -> Same {
    if a.has_variable() || b.has_variable() {
        identical(a, b, tolerance)
    } else {
        same(&a.constant(), &b.constant(), tolerance)
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

/// Lower and upper end with whether each belongs to it, and the variable.
type Ends<'a> = ((&'a Value, bool), (&'a Value, bool), Option<&'a str>);

fn ends(value: &Value) -> Option<Ends<'_>> {
    match value {
        Value::Interval { low, high, variable } => {
            Some(((&low.0, low.1), (&high.0, high.1), variable.as_deref()))
        }
        Value::List { open, close, items, .. } => match items.as_slice() {
            [low, high] => Some(((low, *open == '['), (high, *close == ']'), None)),
            _ => None,
        },
        _ => None,
    }
}

fn clock(hour: u32, minute: u32) -> [Term; 2] {
    [Term::whole(hour), Term::whole(minute)]
}

fn times(known: &Value, answer: &Value) -> Same {
    let (
        Value::Time { hour: a, minute, second, half },
        Value::Time { hour: b, minute: other_minute, second: other_second, half: other_half },
    ) = (known, answer)
    else {
        return Same::Unknown;
    };
    if (minute, second) == (other_minute, other_second) {
        if a == b {
            return Same::Yes;
        }
        // Which half of the day was left away by one of them.
        if half != other_half && a % 12 == b % 12 {
            // An hour past noon says it as well.
            let spoken = if *half { b } else { a };
            return Same::from((1..=12).contains(spoken));
        }
    }
    // As ratios, 10:15 and 20:30 are the same.
    if !half && !other_half && a * other_minute == b * minute && *second == 0 && *other_second == 0 {
        return Same::Unknown;
    }
    Same::No
}

/// Letters of choices, with what they stand for.
fn choices(known: &Value, answer: &Value) -> Same {
    let letter = |value: &Value| match value {
        Value::Choice(letter, _) => Some(*letter),
        Value::Quantity { term: Term::Variable(name), unit: None, .. } if name.len() == 1 => {
            name.chars().next().map(|letter| letter.to_ascii_uppercase())
        }
        _ => None,
    };
    match (letter(known), letter(answer)) {
        (Some(a), Some(b)) => Same::from(a == b),
        _ => match (known, answer) {
            (Value::Choice(..), Value::List { .. }) | (Value::List { .. }, Value::Choice(..)) => Same::No,
            // Several letters in one word.
            (Value::Choice(..), Value::Quantity { term: Term::Product(letters), .. })
            | (Value::Quantity { term: Term::Product(letters), .. }, Value::Choice(..))
                if letters.iter().all(|(_, letter)| matches!(letter, Term::Variable(_))) =>
            {
                Same::No
            }
            _ => Same::Unknown,
        },
    }
}
