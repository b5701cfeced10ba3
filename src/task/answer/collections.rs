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
        self.all(a.iter().zip(b).map(|(a, b)| self.values(a, b)))
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

    pub(super) fn intervals(&self, known: &Value, answer: &Value) -> Same {
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
