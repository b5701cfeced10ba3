//! Whether two lists, sets, intervals or matrices are the same.

use super::Same;
use super::compare::Comparison;
use super::value::Value;

/// Most items of lists whose order means nothing.
const MAX_UNORDERED: usize = 64;

impl Comparison {
    pub(super) fn matrices(&self, a: &[Vec<Value>], b: &[Vec<Value>]) -> Same {
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
    pub(super) fn vector(&self, rows: &[Vec<Value>], items: &[Value], swapped: bool) -> Same {
        if rows.len() != 1 && rows[0].len() != 1 {
            return if items.len() == rows.len() { Same::Unknown } else { Same::No };
        }
        let flat: Vec<_> = rows.iter().flatten().cloned().collect();
        if swapped { self.in_order(items, &flat) } else { self.in_order(&flat, items) }
    }

    pub(super) fn in_order(&self, a: &[Value], b: &[Value]) -> Same {
        if a.len() != b.len() {
            return Same::No;
        }
        Same::all(a.iter().zip(b).map(|(a, b)| self.values(a, b)))
    }

    /// Whether each item of one is an item of the other; of sets, items that are written twice count once.
    pub(super) fn in_any_order(&self, a: &[Value], b: &[Value], sets: bool) -> Same {
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

    pub(super) fn lists(&self, known: &Value, answer: &Value) -> Same {
        let (
            Value::List { open: a_open, close: a_close, items: a, joined: a_joined, junction: a_word },
            Value::List { open: b_open, close: b_close, items: b, joined: b_joined, junction: b_word },
        ) = (known, answer)
        else {
            return Same::Unknown;
        };
        // Solutions are the same with `and` and with `or`; propositions and names are not.
        let number = |item: &Value| match item {
            Value::Quantity { term, .. } => !term.has_variable(),
            Value::Named { .. } | Value::List { .. } | Value::Either(_) => true,
            _ => false,
        };
        if matches!((a_word, b_word), (Some(a), Some(b)) if a != b) && !a.iter().chain(b).all(number) {
            return match self.in_any_order(a, b, true) {
                Same::Yes => Same::Unknown,
                verdict => verdict,
            };
        }
        // `x = 3, y = 4`: by name.
        if let (Some(a), Some(b)) = (by_name(a), by_name(b)) {
            let verdict = Same::all(a.iter().map(|(name, value)| {
                b.iter()
                    .find(|(other, _)| other == name)
                    .map_or(Same::Unknown, |(_, other)| self.values(value, other))
            }));
            return if verdict == Same::Yes && a.len() != b.len() { Same::Unknown } else { verdict };
        }
        if let (Some(named), None) | (None, Some(named)) = (by_name(a), by_name(b)) {
            let swapped = by_name(a).is_none();
            return self.unnamed(named, if swapped { a } else { b }, swapped);
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
            let brackets = !bare(a_open) && !bare(b_open);
            let other = (a_open, a_close) != (b_open, b_close) && !angle(*a_open) && !angle(*b_open);
            // `[1,2]` and `(1,2)` differ as intervals, `{1,2}` and `(1,2)` as sets.
            let doubtful = brackets && (a.len() == 2 && other || set(a_open) != set(b_open));
            return if doubtful { Same::Unknown } else { Same::Yes };
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

    /// A list whose items have names against one without names, which may be in the order of the one or of the names.
    fn unnamed(&self, mut named: Vec<(&str, &Value)>, plain: &[Value], swapped: bool) -> Same {
        let compared = |named: &[(&str, &Value)]| {
            if named.len() != plain.len() {
                return Same::No;
            }
            Same::all(named.iter().zip(plain).map(|((_, value), plain)| {
                if swapped { self.values(plain, value) } else { self.values(value, plain) }
            }))
        };
        let written = compared(&named);
        // `x`, `y` and `z` have an order of their own.
        if named.iter().all(|(name, _)| matches!(*name, "x" | "y" | "z")) {
            named.sort_by_key(|(name, _)| name.to_string());
            let sorted = compared(&named);
            if sorted != written {
                return Same::Unknown;
            }
        }
        let values: Vec<Value> = named.iter().map(|(_, value)| (*value).clone()).collect();
        match written {
            Same::No if self.in_any_order(&values, plain, false) != Same::No => Same::Unknown,
            verdict => verdict,
        }
    }

    pub(super) fn intervals(&self, known: &Value, answer: &Value) -> Same {
        match (known, answer) {
            (Value::Union(a), Value::Union(b)) => {
                match self.in_any_order(a, b, true) {
                    Same::Yes => Same::Yes,
                    _ if self.cover(known, answer) => Same::Yes,
                    // The same points may be cut into other pieces.
                    Same::No if a.len() != b.len() => Same::Unknown,
                    verdict => verdict,
                }
            }
            (Value::Union(_), _) | (_, Value::Union(_)) => Same::from(self.cover(known, answer)),
            _ => {
                let (Some((a_low, a_high, a_name)), Some((b_low, b_high, b_name))) =
                    (ends(known), ends(answer))
                else {
                    return Same::Unknown;
                };
                let verdict = Same::all([
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

impl Comparison {
    /// Whether two unions are of the same intervals once those that meet are joined: `[1,2] ∪ [2,3]` is `[1,3]`.
    fn cover(&self, known: &Value, answer: &Value) -> bool {
        let (Some(a), Some(b)) = (self.joined(known), self.joined(answer)) else { return false };
        let end = |a: (&Value, bool), b: (&Value, bool)| a.1 == b.1 && self.values(a.0, b.0) == Same::Yes;
        a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| end(a.0, b.0) && end(a.1, b.1))
    }

    /// The intervals of a union from the lowest on, those that meet as one; `None` if an end is no number.
    fn joined<'a>(&self, value: &'a Value) -> Option<Vec<(End<'a>, End<'a>)>> {
        let parts =
            if let Value::Union(parts) = value { parts.as_slice() } else { std::slice::from_ref(value) };
        let mut spans = Vec::new();
        for part in parts.iter().take(MAX_UNORDERED) {
            let (low, high, _) = ends(part)?;
            spans.push((position(low.0)?, low, position(high.0)?, high));
        }
        spans.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.1.cmp(&a.1.1)));
        let mut out: Vec<(End<'a>, f64, End<'a>)> = Vec::new();
        for (_, low, at, high) in spans {
            match out.last_mut() {
                Some((_, end, last)) if self.meets(last, *end, low) => {
                    let equal = self.values(last.0, high.0) == Same::Yes;
                    if equal {
                        last.1 |= high.1;
                    } else if at > *end {
                        (*end, *last) = (at, high);
                    }
                }
                _ => out.push((low, at, high)),
            }
        }
        (parts.len() <= MAX_UNORDERED).then(|| out.into_iter().map(|(low, _, high)| (low, high)).collect())
    }

    /// Whether an interval that begins at `low` leaves no gap to one that ends at `high`.
    fn meets(&self, high: &End<'_>, at: f64, low: End<'_>) -> bool {
        match self.values(high.0, low.0) {
            Same::Yes => high.1 || low.1,
            _ => position(low.0).is_some_and(|low| low < at),
        }
    }
}

/// One end of an interval, and whether it belongs to it.
type End<'a> = (&'a Value, bool);

/// Where an end is on the line of numbers.
fn position(value: &Value) -> Option<f64> {
    match value {
        Value::Infinity(negative) => Some(if *negative { f64::NEG_INFINITY } else { f64::INFINITY }),
        Value::Quantity { term, unit: None, doubtful: false } if !term.has_variable() => {
            Some(term.constant().real.value).filter(|value| value.is_finite())
        }
        _ => None,
    }
}

/// The values of items that all have a name, with their names.
fn by_name(items: &[Value]) -> Option<Vec<(&str, &Value)>> {
    items
        .iter()
        .map(|item| match item {
            Value::Named { name, value, .. } => Some((name.as_str(), &**value)),
            _ => None,
        })
        .collect()
}

fn angle(open: char) -> bool {
    open == '⟨'
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
