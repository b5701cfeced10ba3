//! Lists, sets, intervals, unions, matrices, ratios, equations and inequalities.

use super::lexer::{Kind, Token};
use super::term::Term;
use super::value::{Junction, Reader, Value, added, equal_constants};

const OPENING: &[char] = &['(', '[', '{', '⦃', '⟨', '⟦', '⌊', '⌈'];
const CLOSING: &[char] = &[')', ']', '}', '⦄', '⟩', '⟧', '⌋', '⌉'];
const RELATIONS: &[char] = &['=', '<', '>', '≤', '≥', '≠', '≈', '∈', '≡', '→'];
/// Most words of the name before an equals sign.
const MAX_NAME: usize = 5;

/// The places of tokens outside of all brackets that satisfy a condition.
fn top_level(tokens: &[Token], wanted: impl Fn(&Token) -> bool) -> Vec<usize> {
    let mut depth = 0i32;
    let mut found = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Symbol(c) if OPENING.contains(&c) => depth += 1,
            Kind::Symbol(c) if CLOSING.contains(&c) => depth -= 1,
            _ if depth <= 0 && wanted(token) => found.push(place),
            _ => {}
        }
    }
    found
}

fn split<'a>(tokens: &'a [Token], places: &[usize]) -> Vec<&'a [Token]> {
    let mut parts = Vec::new();
    let mut start = 0;
    for &place in places {
        parts.push(&tokens[start..place]);
        start = place + 1;
    }
    parts.push(&tokens[start..]);
    parts
}

/// The structure that the tokens have; `None` if they have none and may be a number or an expression. The inner `None`: they have
/// one that cannot be read.
pub(super) fn read(reader: &mut Reader<'_>, tokens: &[Token]) -> Option<Option<Value>> {
    let junction = |token: &Token| matches!(token.word(), Some("and" | "or"));
    let separators =
        top_level(tokens, |token| token.is(',') || token.is(';') || token.is('&') || junction(token));
    if !separators.is_empty() {
        return Some(bare_list(reader, tokens, &separators));
    }
    let unions = top_level(tokens, |token| token.is('∪') || token.word() == Some("U"));
    if !unions.is_empty() {
        let parts = split(tokens, &unions);
        return Some(parts.iter().map(|part| reader.value(part)).collect::<Option<_>>().map(Value::Union));
    }
    let relations =
        top_level(tokens, |token| matches!(token.kind, Kind::Symbol(c) if RELATIONS.contains(&c)));
    if !relations.is_empty() {
        return Some(relation(reader, tokens, &relations));
    }
    if let Some(place) = top_level(tokens, |token| token.is('∖') || token.is('-')).first().copied()
        && matches!(tokens[..place], [ref only] if only.is('ℝ'))
    {
        return Some(excluded(reader, &tokens[place + 1..], None));
    }
    match tokens {
        [only] if only.is('ℝ') => return Some(Some(all_numbers(None))),
        [first, .., last] if first.is('⟦') && last.is('⟧') => {
            return Some(matrix(reader, &tokens[1..tokens.len() - 1]));
        }
        _ => {}
    }
    let colons = top_level(tokens, |token| token.is(':'));
    if !colons.is_empty() {
        let terms = split(tokens, &colons).iter().map(|part| reader.term(part)).collect::<Option<Vec<_>>>();
        return Some(terms.map(Value::Ratio));
    }
    bracketed(reader, tokens)
}

/// Items with commas, `and`, `or` between them.
fn bare_list(reader: &mut Reader<'_>, tokens: &[Token], separators: &[usize]) -> Option<Value> {
    let word = |name: &str| separators.iter().any(|&place| tokens[place].word() == Some(name));
    let (and, or) = (word("and"), word("or"));
    let parts = split(tokens, separators);
    // `1, 2, and 3` has nothing between the comma and the word.
    let last = parts.len() - 1;
    let mut items = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        if part.is_empty() {
            let doubled = place > 0 && place < last && tokens[separators[place]].word().is_some();
            if doubled {
                continue;
            }
            return None;
        }
        items.push(reader.item(part)?);
    }
    // `x = 1, 2`: the name is of all.
    if let Some(Value::Named { name, .. }) = items.first().cloned()
        && items[1..].iter().all(|item| matches!(item, Value::Quantity { .. } | Value::Either(_)))
    {
        items = items
            .into_iter()
            .map(|item| match item {
                named @ Value::Named { .. } => named,
                other => Value::Named { name: name.clone(), left: None, value: Box::new(other) },
            })
            .collect();
    }
    let spans = |item: &Value| matches!(item, Value::Interval { .. } | Value::Union(_));
    if items.iter().all(spans) && items.len() > 1 {
        return if and && !or { intersection(&items) } else { Some(Value::Union(items)) };
    }
    let sum = if and { added(&items) } else { None };
    // One name for all: a set of its values.
    let names: Vec<_> = items
        .iter()
        .map(|item| if let Value::Named { name, .. } = item { Some(name.clone()) } else { None })
        .collect();
    let same_name = names[0].is_some() && names.iter().all(|name| *name == names[0]);
    if same_name {
        items = items
            .into_iter()
            .map(|item| if let Value::Named { value, .. } = item { *value } else { item })
            .collect();
    }
    let joined = and || or || same_name || names.iter().all(Option::is_some);
    let junction = match (and, or) {
        (true, false) => Some(Junction::And),
        (false, true) => Some(Junction::Or),
        _ => None,
    };
    let list = Value::List { open: ' ', close: ' ', items, joined, junction };
    Some(match sum {
        Some(sum) => Value::Either(vec![sum, list]),
        None => list,
    })
}

/// `x > 1 and x < 3`.
fn intersection(items: &[Value]) -> Option<Value> {
    let [Value::Interval { low: a, high: b, variable }, Value::Interval { low: c, high: d, .. }] = items
    else {
        return None;
    };
    let endless = |end: &(Box<Value>, bool)| matches!(*end.0, Value::Infinity(_));
    let low = if endless(a) { c } else { a };
    let high = if endless(b) { d } else { b };
    if (!endless(a) && !endless(c)) || (!endless(b) && !endless(d)) {
        return None;
    }
    Some(Value::Interval { low: low.clone(), high: high.clone(), variable: variable.clone() })
}

fn all_numbers(variable: Option<String>) -> Value {
    let end = |negative| (Box::new(Value::Infinity(negative)), false);
    Value::Interval { low: end(true), high: end(false), variable }
}

/// All numbers but those of a set or a list.
fn excluded(reader: &mut Reader<'_>, tokens: &[Token], variable: Option<String>) -> Option<Value> {
    let points = match reader.value(tokens)? {
        Value::List { items, open: '⦃' | '{' | ' ', .. } => items,
        Value::Either(mut readings) => vec![readings.swap_remove(0)],
        point => vec![point],
    };
    let mut terms = Vec::new();
    for point in points {
        let Value::Quantity { term, unit: None, doubtful: false } = point else { return None };
        if term.has_variable() {
            return None;
        }
        terms.push((term.constant().real.value, term));
    }
    terms.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut low = (Box::new(Value::Infinity(true)), false);
    let mut parts = Vec::new();
    for (_, term) in terms {
        let end = (Box::new(Value::plain(term)), false);
        parts.push(Value::Interval { low, high: end.clone(), variable: variable.clone() });
        low = end;
    }
    parts.push(Value::Interval { low, high: (Box::new(Value::Infinity(false)), false), variable });
    Some(Value::Union(parts))
}

/// Rows parted by `⏎`, columns by `&`.
fn matrix(reader: &mut Reader<'_>, tokens: &[Token]) -> Option<Value> {
    let rows = top_level(tokens, |token| token.is('⏎'));
    let mut out: Vec<Vec<Value>> = Vec::new();
    for row in split(tokens, &rows) {
        if row.is_empty() {
            continue;
        }
        let columns = top_level(row, |token| token.is('&'));
        out.push(split(row, &columns).iter().map(|cell| reader.value(cell)).collect::<Option<_>>()?);
    }
    let width = out.first()?.len();
    out.iter().all(|row| row.len() == width).then_some(Value::Matrix(out))
}

/// Something in one pair of brackets: a tuple, a set, an interval, rows of a matrix, or another value.
fn bracketed(reader: &mut Reader<'_>, tokens: &[Token]) -> Option<Option<Value>> {
    let (first, last) = (tokens.first()?, tokens.last()?);
    let (Kind::Symbol(open), Kind::Symbol(close)) = (&first.kind, &last.kind) else { return None };
    let (mut open, mut close) = (*open, *close);
    // Open intervals of French books: `]1, 2[`.
    let french = matches!((open, close), (']', '[' | ']') | ('[', '['));
    if !(OPENING.contains(&open) && CLOSING.contains(&close) || french) || tokens.len() < 2 {
        return None;
    }
    let inside = &tokens[1..tokens.len() - 1];
    // The first bracket must close at the last.
    let mut depth = 0i32;
    for token in inside {
        match token.kind {
            Kind::Symbol(c) if OPENING.contains(&c) => depth += 1,
            Kind::Symbol(c) if CLOSING.contains(&c) => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return None;
        }
    }
    if french {
        open = if open == ']' { '(' } else { '[' };
        close = if close == '[' { ')' } else { ']' };
    }
    if matches!(open, '⌊' | '⌈' | '⟦') {
        return None;
    }
    let commas = top_level(inside, |token| token.is(',') || token.is(';'));
    if commas.is_empty() {
        if matches!(open, '⦃' | '{') {
            let bar = top_level(inside, |token| token.is('|') || token.is(':'));
            if let [bar] = bar.as_slice() {
                return Some(reader.value(&inside[bar + 1..]));
            }
        }
        let set = open == '⦃';
        return match (set, reader.value(inside)) {
            (true, Some(value)) => {
                Some(Some(Value::List { open, close, items: vec![value], joined: false, junction: None }))
            }
            // Numbers and expressions are read whole, brackets and all.
            (false, Some(value)) if !matches!(value, Value::Quantity { .. } | Value::Either(_)) => {
                Some(Some(value))
            }
            (false, Some(value)) if reader.term(tokens).is_none() => Some(Some(value)),
            _ => None,
        };
    }
    let parts = split(inside, &commas);
    let items: Option<Vec<Value>> = parts.iter().map(|part| reader.item(part)).collect();
    let Some(items) = items else { return Some(None) };
    let row = |item: &Value| match item {
        Value::List { open: '[' | '(', items, .. } => Some(items.clone()),
        _ => None,
    };
    if open == '['
        && close == ']'
        && let Some(rows) = items.iter().map(row).collect::<Option<Vec<_>>>()
        && rows.iter().all(|row| row.len() == rows[0].len())
    {
        return Some(Some(Value::Matrix(rows)));
    }
    let endless = items.iter().any(|item| matches!(item, Value::Infinity(_)));
    let mixed = matches!((open, close), ('(', ']') | ('[', ')'));
    if items.len() == 2 && (mixed || (endless && matches!(open, '(' | '['))) {
        let mut items = items.into_iter();
        let (low, high) = (items.next()?, items.next()?);
        return Some(Some(Value::Interval {
            low: (Box::new(low), open == '['),
            high: (Box::new(high), close == ']'),
            variable: None,
        }));
    }
    Some(Some(Value::List { open, close, items, joined: false, junction: None }))
}

/// The name on the left of an equals sign: words, perhaps with an index or an argument; or letters with operators, but no number.
fn name(reader: &Reader<'_>, tokens: &[Token]) -> Option<String> {
    let words = tokens.iter().filter(|token| token.word().is_some()).count();
    let after_index = |place: usize| place > 0 && (tokens[place - 1].is('_') || tokens[place - 1].is('{'));
    // `f(3)`, `P(-1)`; but `x(3)` is a product.
    let argument = |place: usize| {
        let open = tokens[..place].iter().rposition(|token| token.is('('))?;
        let function = tokens.get(open.checked_sub(1)?)?.word()?;
        let named = matches!(function, "f" | "g" | "h" | "p" | "q")
            || function.len() == 1 && function.bytes().all(|b| b.is_ascii_uppercase());
        Some(named && !tokens[open..place].iter().any(|token| token.is(')')))
    };
    let fits = tokens.iter().enumerate().all(|(place, token)| match &token.kind {
        // `the answer is x` is a sentence.
        Kind::Word(word) => !matches!(
            word.as_str(),
            "is" | "are"
                | "was"
                | "were"
                | "has"
                | "have"
                | "get"
                | "gives"
                | "let"
                | "Let"
                | "suppose"
                | "Suppose"
                | "assume"
                | "Assume"
                | "try"
                | "Try"
                | "if"
                | "If"
        ),
        Kind::Number(_) => after_index(place) || argument(place) == Some(true),
        Kind::Symbol(c) => {
            matches!(c, '_' | '{' | '}' | '(' | ')' | '\'' | '+' | '-' | '/' | '*' | '|' | '°' | '∠')
        }
        Kind::Command(_) => false,
    });
    (fits && (1..=MAX_NAME).contains(&words))
        .then(|| reader.source(tokens).replace([' ', '{', '}'], "").to_lowercase())
}

/// The names in `(x, y)`, of which no two are the same.
fn tuple(reader: &Reader<'_>, tokens: &[Token]) -> Option<Vec<String>> {
    let [first, inside @ .., last] = tokens else { return None };
    let commas = top_level(inside, |token| token.is(','));
    if !first.is('(') || !last.is(')') || commas.is_empty() {
        return None;
    }
    let names: Vec<String> =
        split(inside, &commas).into_iter().map(|part| name(reader, part)).collect::<Option<_>>()?;
    let twice = names.iter().enumerate().any(|(place, name)| names[..place].contains(name));
    (!twice).then_some(names)
}

/// Sides with `=`, `<` and so on between them.
fn relation(reader: &mut Reader<'_>, tokens: &[Token], places: &[usize]) -> Option<Value> {
    let sides = split(tokens, places);
    let signs: Vec<char> =
        places.iter().map(|&place| if let Kind::Symbol(c) = tokens[place].kind { c } else { ' ' }).collect();
    if signs.iter().all(|sign| matches!(sign, '=' | '≈')) {
        return equation(reader, &sides);
    }
    match signs.as_slice() {
        ['∈'] => {
            name(reader, sides[0])?;
            reader.value(sides[1])
        }
        ['≠'] => {
            let variable = if sides[0].is_empty() { None } else { Some(name(reader, sides[0])?) };
            excluded(reader, sides[1], variable)
        }
        // `> 5`, of whatever was asked for.
        [sign @ ('<' | '≤' | '>' | '≥')] if sides[0].is_empty() => {
            let end = (Box::new(reader.value(sides[1])?), matches!(sign, '≤' | '≥'));
            let endless = |negative| (Box::new(Value::Infinity(negative)), false);
            let (low, high) =
                if matches!(sign, '<' | '≤') { (endless(true), end) } else { (end, endless(false)) };
            Some(Value::Interval { low, high, variable: None })
        }
        ['<' | '≤' | '>' | '≥'] => {
            let upward = matches!(signs[0], '<' | '≤');
            let (low, high) = if upward { (sides[0], sides[1]) } else { (sides[1], sides[0]) };
            let closed = matches!(signs[0], '≤' | '≥');
            let sides = (reader.term(low), reader.term(high));
            let end = |value: Value, closed: bool| (Box::new(value), closed);
            match sides {
                (Some(Term::Variable(variable)), high_term) if !high_term.as_ref()?.has_variable() => {
                    let low = end(Value::Infinity(true), false);
                    Some(Value::Interval {
                        low,
                        high: end(reader.value(high)?, closed),
                        variable: Some(variable),
                    })
                }
                (low_term, Some(Term::Variable(variable))) if !low_term.as_ref()?.has_variable() => {
                    let high = end(Value::Infinity(false), false);
                    Some(Value::Interval {
                        low: end(reader.value(low)?, closed),
                        high,
                        variable: Some(variable),
                    })
                }
                (Some(low), Some(high)) => Some(Value::Less { sides: (low, high), closed }),
                _ => None,
            }
        }
        [first, second] => {
            let upward = matches!(first, '<' | '≤') && matches!(second, '<' | '≤');
            let downward = matches!(first, '>' | '≥') && matches!(second, '>' | '≥');
            if !upward && !downward {
                return None;
            }
            let variable = Some(name(reader, sides[1])?);
            let mut ends = [
                (Box::new(reader.value(sides[0])?), matches!(first, '≤' | '≥')),
                (Box::new(reader.value(sides[2])?), matches!(second, '≤' | '≥')),
            ];
            if downward {
                ends.reverse();
            }
            // Infinity is no number that a variable could reach.
            let [low, high] = ends;
            Some(Value::Interval { low, high, variable })
        }
        _ => None,
    }
}

/// `x = 5`, `48+24 = 72`, `x = 2+3 = 5`, `y = 2x+1`, `x^2+y^2 = 25`.
fn equation(reader: &mut Reader<'_>, sides: &[&[Token]]) -> Option<Value> {
    let (first, rest) = sides.split_first()?;
    let last = *rest.last()?;
    let value = reader.value(last);
    // What stands between must say the same as the last.
    let last_term = reader.term(last);
    let agree = |side: &&[Token]| matches!((reader.term(side), &last_term), (Some(a), Some(b)) if equal_constants(&a, b));
    let agree: Vec<bool> = sides[..sides.len() - 1].iter().map(agree).collect();
    if let ([_, _], Some(names), Some(Value::List { open, close, items, .. })) =
        (sides, tuple(reader, first), &value)
        && names.len() == items.len()
    {
        let named = |(name, value): (String, &Value)| Value::Named {
            name,
            left: None,
            value: Box::new(value.clone()),
        };
        return Some(Value::List {
            open: *open,
            close: *close,
            items: names.into_iter().zip(items).map(named).collect(),
            joined: false,
            junction: None,
        });
    }
    if let Some(name) = name(reader, first) {
        if !agree[1..].iter().all(|agrees| *agrees) {
            return None;
        }
        return Some(Value::Named { name, left: reader.term(first), value: Box::new(value?) });
    }
    if let Some(name) = name(reader, last).filter(|_| sides.len() == 2) {
        let value = reader.value(first)?;
        if matches!(&value, Value::Quantity { term, .. } if !term.has_variable()) {
            return Some(Value::Named { name, left: reader.term(last), value: Box::new(value) });
        }
    }
    match (reader.term(first), reader.term(last)) {
        (Some(left), Some(right)) if sides.len() == 2 && (left.has_variable() || right.has_variable()) => {
            Some(Value::Equation(left, right))
        }
        _ if agree.iter().all(|agrees| *agrees) => value,
        // The last side may have a unit: `3 * 4 = 12 cm`.
        _ => match value? {
            Value::Quantity { term, unit, doubtful } if sides.len() == 2 => {
                let left = reader.term(first)?;
                equal_constants(&left, &term).then_some(Value::Quantity { term, unit, doubtful })
            }
            _ => None,
        },
    }
}
