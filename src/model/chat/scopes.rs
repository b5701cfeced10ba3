//! What tags say of names otherwise than the engine: `with`, whose values do not see its names, and defaults of macros.

use std::ops::Range;

use super::tag::Tag;

/// A change of a tag's text.
pub(super) type Edit = (Range<usize>, String);

/// Makes the assignments of a `with` one of a tuple, as in `{% with (a, b) = (1, a) %}`, since each value is that of
/// before the block. The ranges are of targets with their signs, the last edit closes the values.
pub(super) fn with(tag: &Tag<'_>) -> Option<(Vec<Range<usize>>, Vec<Edit>)> {
    let word = |index: usize| tag.tokens.get(index).map_or("", |&token| tag.word(token));
    let (mut depth, mut first, mut equals) = (0usize, 1, None);
    let mut pairs = Vec::new();
    for index in 1..=tag.tokens.len() {
        match word(index) {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            "=" if depth == 0 && equals.is_none() => equals = Some(index),
            "," | "" if depth == 0 => {
                if let Some(equals) = equals.filter(|&equals| first < equals && equals + 1 < index) {
                    pairs.push((first, equals, index));
                    first = index + 1;
                } else if index == tag.tokens.len() {
                    return None;
                } else {
                    // A comma of a target.
                    continue;
                }
                equals = None;
            }
            _ => {}
        }
    }
    let (start, end) = (|index: usize| tag.tokens[index].start, |index: usize| tag.tokens[index].end);
    let is_tuple = |&(first, equals, _): &(usize, usize, usize)| equals > first + 1;
    let last = pairs.last()?.2;
    if pairs.len() < 2 && !pairs.iter().any(is_tuple) {
        return None;
    }
    let target = |pair: &(usize, usize, usize)| {
        let text = &tag.text[start(pair.0)..end(pair.1 - 1)];
        if is_tuple(pair) && !text.starts_with('(') { format!("({text})") } else { text.to_string() }
    };
    let targets: Vec<String> = pairs.iter().map(target).collect();
    let ranges: Vec<Range<usize>> = pairs.iter().map(|pair| start(pair.0)..start(pair.1 + 1)).collect();
    let (open, close) = if pairs.len() > 1 { ("(", ")") } else { ("", "") };
    let targets = format!("{open}{}{close} = {open}", targets.join(", "));
    let texts = std::iter::once(targets).chain(std::iter::repeat(String::new()));
    let mut edits: Vec<Edit> = ranges.iter().cloned().zip(texts).collect();
    edits.push((end(last - 1)..end(last - 1), close.into()));
    Some((ranges, edits))
}

/// A parameter of a macro that the default of another names, which sees it in Jinja and not in the engine.
pub(super) fn named_by_default<'a>(tag: &Tag<'a>) -> Option<&'a str> {
    let word = |index: usize| tag.tokens.get(index).map_or("", |&token| tag.word(token));
    let open = (1..tag.tokens.len()).find(|&index| word(index) == "(")?;
    let (mut depth, mut names) = (0usize, Vec::new());
    for index in open..tag.tokens.len() {
        match word(index) {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            name if depth == 1 && matches!(word(index - 1), "(" | ",") => names.push(name),
            name if names.contains(&name) && word(index - 1) != "." && word(index + 1) != "=" => {
                return Some(name);
            }
            _ => {}
        }
    }
    None
}
