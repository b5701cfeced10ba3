//! Numbers in English words: `twenty-one`, `a hundred`, `two and a half`, `three quarters`, `seven point five`.

/// Words below twenty, each at the place of its value.
const SMALL: &[&str] = &[
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: &[&str] = &["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
/// Powers of a thousand, from the first.
const SCALES: &[&str] = &["thousand", "million", "billion", "trillion"];
/// Parts of a whole with how many make it.
const PARTS: &[(&str, u64)] = &[
    ("half", 2),
    ("third", 3),
    ("quarter", 4),
    ("fourth", 4),
    ("fifth", 5),
    ("sixth", 6),
    ("seventh", 7),
    ("eighth", 8),
    ("ninth", 9),
    ("tenth", 10),
    ("eleventh", 11),
    ("twelfth", 12),
    ("fifteenth", 15),
    ("sixteenth", 16),
    ("twentieth", 20),
    ("hundredth", 100),
    ("thousandth", 1000),
];
/// Most pieces of a text that is read as words for a value.
const MAX_PIECES: usize = 60;

/// A word, or anything else between two spaces.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    /// In lower case if it is a word, else empty.
    pub(super) word: String,
    pub(super) start: usize,
    pub(super) end: usize,
    /// A mark of punctuation behind it, which is no part of it.
    pub(super) stop: Option<char>,
}

impl Piece {
    /// Whether it is that word.
    pub(super) fn is(&self, word: &str) -> bool {
        self.word == word
    }
}

/// The pieces of a text. A hyphen between words parts them, brackets hold together; `None` if there are too many.
pub(super) fn pieces(text: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let (mut start, mut depth) = (0, 0i32);
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ' ' if depth <= 0 || at == text.len() => {
                if start < at {
                    add(text, start, at, &mut pieces);
                }
                if pieces.len() > MAX_PIECES {
                    return None;
                }
                start = at + 1;
            }
            _ => {}
        }
    }
    Some(pieces)
}

fn add(text: &str, start: usize, end: usize, pieces: &mut Vec<Piece>) {
    let whole = &text[start..end];
    let plain = whole.trim_end_matches([',', '.', ';', ':', '?']);
    let stop = whole[plain.len()..].chars().next();
    let (plain, end) = if plain.is_empty() { (whole, end) } else { (plain, start + plain.len()) };
    let words: Vec<&str> = plain.split('-').collect();
    let word = |word: &&str| word.len() > 1 && word.bytes().all(|b| b.is_ascii_alphabetic());
    if !words.iter().all(word) {
        let letter = matches!(plain.as_bytes(), [b] if b.is_ascii_alphabetic());
        let word = if letter { plain.to_ascii_lowercase() } else { String::new() };
        return pieces.push(Piece { word, start, end, stop });
    }
    let mut from = start;
    for word in words {
        let to = from + word.len();
        pieces.push(Piece {
            word: word.to_ascii_lowercase(),
            start: from,
            end: to,
            stop: stop.filter(|_| to == end),
        });
        from = to + 1;
    }
}

/// Whether a character is a number in Chinese or Japanese, which is not read.
pub(super) fn is_han(character: char) -> bool {
    "〇零一二两三四五六七八九十百千万億亿半".contains(character)
}

/// The part of a whole that a word names, and whether it is in the plural.
fn part(word: &str) -> Option<(u64, bool)> {
    let find = |word: &str| PARTS.iter().find(|(name, _)| *name == word).map(|(_, count)| *count);
    match word {
        "halves" => Some((2, true)),
        _ => find(word)
            .map(|count| (count, false))
            .or_else(|| find(word.strip_suffix('s')?).map(|count| (count, true))),
    }
}

/// Whether a word belongs to a number.
pub(super) fn is_numeral(word: &str) -> bool {
    let whole = |word: &str| {
        SMALL.contains(&word)
            || TENS.contains(&word)
            || SCALES.contains(&word)
            || matches!(word, "hundred" | "dozen")
    };
    whole(word) || word.strip_suffix('s').is_some_and(whole) || part(word).is_some()
}

/// Ordinals that are not their number with `th` behind it.
const ORDINALS: &[(&str, &str)] = &[
    ("first", "one"),
    ("second", "two"),
    ("third", "three"),
    ("fifth", "five"),
    ("eighth", "eight"),
    ("ninth", "nine"),
    ("twelfth", "twelve"),
];

/// The number whose place an ordinal names: `third` is `three`, `twentieth` is `twenty`.
pub(super) fn cardinal_of(word: &str) -> Option<&'static str> {
    if let Some((_, number)) = ORDINALS.iter().find(|(name, _)| *name == word) {
        return Some(number);
    }
    let stem = word.strip_suffix("th")?;
    let ten = stem.strip_suffix("ie");
    let named = |name: &&&str| **name == stem || ten.is_some() && ten == name.strip_suffix('y');
    SMALL[1..].iter().chain(TENS).chain(&["hundred"]).chain(SCALES).find(named).copied()
}

/// A whole number in digits or in words.
pub(super) fn value_of(text: &str) -> Option<u64> {
    if let Ok(value) = text.parse() {
        return Some(value);
    }
    let pieces = pieces(text)?;
    cardinal(&pieces, 0).filter(|(_, end, _)| *end == pieces.len()).map(|(value, ..)| value)
}

/// The place in a list of ordinals, from one: `third` is 3.
pub(super) fn ordinal(word: &str) -> Option<u64> {
    match word {
        "second" => Some(2),
        "half" | "quarter" => None,
        _ => part(word).filter(|(_, plural)| !plural).map(|(count, _)| count),
    }
}

/// A number that some pieces say.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Numeral {
    /// In digits: `21`, `2\frac{1}{2}`, `7.5`.
    pub(super) notation: String,
    /// Whether words say it, or a part of it.
    pub(super) spoken: bool,
    /// Whether it is a part of a whole, and not more.
    pub(super) fraction: bool,
    /// Whether the words may mean something else: three quarters may be coins.
    pub(super) doubtful: bool,
    /// The place behind its last piece.
    pub(super) end: usize,
}

/// A whole number in words from `at` on, the place behind it, and whether there is an `and` in it.
fn cardinal(pieces: &[Piece], at: usize) -> Option<(u64, usize, bool)> {
    let (mut total, mut current, mut some, mut joined) = (0u64, 0u64, false, false);
    // The last word's size: a smaller one may follow it only.
    let mut below = u64::MAX;
    let mut end = at;
    while let Some(piece) = pieces.get(end) {
        let word = piece.word.as_str();
        let place = |list: &[&str]| list.iter().position(|known| *known == word).map(|place| place as u64);
        let next = pieces.get(end + 1).map_or("", |next| next.word.as_str());
        let large = |word: &str| word == "hundred" || SCALES.contains(&word);
        if !some && matches!(word, "a" | "an") && large(next) {
            current = 1;
            below = 1;
        } else if let Some(value) = place(SMALL) {
            if below <= value || (value == 0 && some) {
                break;
            }
            current += value;
            below = if value < 10 { 1 } else { 0 };
        } else if let Some(ten) = place(TENS) {
            if below <= 10 {
                break;
            }
            current += 10 * (ten + 2);
            below = 10;
        } else if word == "hundred" && (1..100).contains(&current) {
            current *= 100;
            below = 100;
        } else if let Some(power) = place(SCALES) {
            let scale = 1000u64.pow(u32::try_from(power).ok()? + 1);
            if current == 0 || (total > 0 && total % (scale * 1000) != 0) {
                break;
            }
            total += std::mem::take(&mut current) * scale;
            below = u64::MAX;
        } else if word == "and"
            && some
            && large(&pieces[end - 1].word)
            && (SMALL[1..].contains(&next) || TENS.contains(&next))
        {
            joined = true;
        } else {
            break;
        }
        some = true;
        end += 1;
        // `one thousand, two hundred`, but not `twenty, three`.
        let comma = piece.stop == Some(',') && SCALES.contains(&word) && place(SCALES).is_some();
        if piece.stop.is_some() && !(comma && (SMALL.contains(&next) || TENS.contains(&next))) {
            break;
        }
    }
    some.then_some((total + current, end, joined))
}

/// A part of a whole from `at` on: `half`, `a third`, `three quarters`. Above and below the bar, and the place behind it.
fn fraction(pieces: &[Piece], at: usize, text: &str) -> Option<(u64, u64, usize)> {
    let first = pieces.get(at)?;
    if first.is("half") {
        return Some((1, 2, at + 1));
    }
    if first.stop.is_some() {
        return None;
    }
    let (above, end) = match first.word.as_str() {
        "a" | "an" => (1, at + 1),
        "" => (text[first.start..first.end].parse::<u64>().ok()?, at + 1),
        _ => match cardinal(pieces, at)? {
            (value, end, false) => (value, end),
            _ => return None,
        },
    };
    let last = pieces.get(end).filter(|_| pieces[end - 1].stop.is_none())?;
    let (below, plural) = part(&last.word)?;
    // `twenty fifth` is a place in a list.
    (plural == (above != 1)).then_some((above, below, end + 1))
}

/// The number from `at` on, as far as it goes; `None` if there is none, or more words for numbers follow that do not belong to it.
pub(super) fn number(pieces: &[Piece], at: usize, text: &str) -> Option<Numeral> {
    let numeral = longest(pieces, at, text)?;
    let more = pieces.get(numeral.end).filter(|_| pieces[numeral.end - 1].stop.is_none());
    // Digits with `million` behind them are a quantity, and so is `two and a half million`.
    let scaled = |word: &str| !numeral.spoken || numeral.notation.contains('\\') && is_scale(word);
    let goes_on = more
        .is_some_and(|more| is_numeral(&more.word) && (part(&more.word).is_some() || !scaled(&more.word)));
    (!goes_on).then_some(numeral)
}

/// Whether a word multiplies what is before it.
pub(super) fn is_scale(word: &str) -> bool {
    SCALES.contains(&word) || matches!(word, "hundred" | "dozen")
}

fn longest(pieces: &[Piece], at: usize, text: &str) -> Option<Numeral> {
    let found = |notation: String, spoken: bool, end: usize| Numeral {
        notation,
        spoken,
        fraction: false,
        doubtful: false,
        end,
    };
    let word = |place: usize| pieces.get(place).map_or("", |piece| piece.word.as_str());
    let first = pieces.get(at)?;
    if let Some((above, below, end)) = fraction(pieces, at, text) {
        // `half a dozen`, `half an hour`.
        if first.is("half")
            && matches!(word(end), "a" | "an")
            && first.stop.is_none()
            && let Some(scale) = scale(word(end + 1))
        {
            return Some(found((scale / 2).to_string(), true, end + 2));
        }
        let quarters = below == 4 && word(end - 1).starts_with("quarter");
        return Some(Numeral {
            fraction: true,
            doubtful: quarters && first.word != "one",
            ..found(format!("\\frac{{{above}}}{{{below}}}"), true, end)
        });
    }
    let digit = |place: usize| SMALL[..10].iter().position(|name| *name == word(place));
    let decimals = |from: usize| -> (String, usize) {
        let mut digits = String::new();
        let mut end = from;
        while let Some(digit) = digit(end).filter(|_| end == from || pieces[end - 1].stop.is_none()) {
            digits.push_str(&digit.to_string());
            end += 1;
        }
        (digits, end)
    };
    if first.is("point") {
        let (digits, end) = decimals(at + 1);
        return (!digits.is_empty()).then(|| found(format!("0.{digits}"), true, end));
    }
    let source = &text[first.start..first.end];
    let (whole, end, spoken) = match cardinal(pieces, at) {
        Some((value, end, _)) => (value.to_string(), end, true),
        None if matches!(first.word.as_str(), "a" | "an") && word(at + 1) == "dozen" => {
            ("1".to_owned(), at + 1, true)
        }
        None if first.word.is_empty() && source.bytes().all(|b| b.is_ascii_digit()) => {
            (source.to_owned(), at + 1, false)
        }
        None => return None,
    };
    if pieces[end - 1].stop.is_some() {
        return Some(found(whole, spoken, end));
    }
    if spoken && word(end) == "dozen" {
        let dozens = whole.parse::<u64>().ok()?.checked_mul(12)?;
        let numeral = found(dozens.to_string(), true, end + 1);
        return Some(and_a_part(pieces, &numeral, text).unwrap_or(numeral));
    }
    if spoken && word(end) == "point" {
        let (digits, end) = decimals(end + 1);
        return (!digits.is_empty()).then(|| found(format!("{whole}.{digits}"), true, end));
    }
    if let Some(numeral) = and_a_part(pieces, &found(whole.clone(), spoken, end), text) {
        return Some(numeral);
    }
    if word(end) == "and"
        && let Some((above, below, end)) =
            fraction(pieces, end + 1, text).filter(|(above, below, _)| above < below)
    {
        return Some(found(format!("{whole}\\frac{{{above}}}{{{below}}}"), true, end));
    }
    // `three (3)`, `3 (three)`.
    let again = pieces.get(end).is_some_and(|next| repeats(&whole, &text[next.start..next.end]));
    Some(found(whole, spoken || again, end + usize::from(again)))
}

/// How many a word for many makes.
fn scale(word: &str) -> Option<u64> {
    match word {
        "dozen" => Some(12),
        "hundred" => Some(100),
        _ => SCALES.iter().position(|name| *name == word).map(|place| 1000u64.pow(place as u32 + 1)),
    }
}

/// `a dozen and a half`, `a million and a half`: the part is most likely one of the last word, and may be one of a whole, as it is in
/// `a hundred and a half`.
fn and_a_part(pieces: &[Piece], whole: &Numeral, text: &str) -> Option<Numeral> {
    let last = pieces.get(whole.end.checked_sub(1)?).filter(|last| last.stop.is_none())?;
    let scale = scale(&last.word).filter(|scale| !matches!(scale, 100 | 1000))?;
    pieces.get(whole.end).filter(|and| and.is("and") && and.stop.is_none())?;
    let (above, below, end) =
        fraction(pieces, whole.end + 1, text).filter(|(above, below, _)| above < below)?;
    let part = scale.checked_mul(above)?;
    let sum = whole.notation.parse::<u64>().ok()?.checked_add(part / below)?;
    (part % below == 0).then(|| Numeral {
        notation: sum.to_string(),
        spoken: true,
        doubtful: true,
        end,
        ..whole.clone()
    })
}

/// Whether a bracket says a number once more.
fn repeats(whole: &str, bracket: &str) -> bool {
    let inside = bracket.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    inside.is_some_and(|inside| {
        inside == whole
            || pieces(inside).is_some_and(|pieces| {
                cardinal(&pieces, 0)
                    .is_some_and(|(value, end, _)| end == pieces.len() && value.to_string() == whole)
            })
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_words() {
        for (text, expected) in [
            ("seventy-two", Some("72")),
            ("One hundred and five", Some("105")),
            ("twelve thousand three hundred", Some("12300")),
            ("one thousand, two hundred", Some("1200")),
            ("zero", Some("0")),
            ("a hundred", Some("100")),
            ("two dozen", Some("24")),
            ("a dozen and a half", Some("18")),
            ("two dozen and a half", Some("30")),
            ("a million and a half", Some("1500000")),
            ("half a million", Some("500000")),
            ("two and a half", Some("2\\frac{1}{2}")),
            ("2 and three quarters", Some("2\\frac{3}{4}")),
            ("one-third", Some("\\frac{1}{3}")),
            ("25 hundredths", Some("\\frac{25}{100}")),
            ("seven point two five", Some("7.25")),
            ("three (3)", Some("3")),
            ("3 (three)", Some("3")),
            ("two three", None),
            ("twenty, three", None),
            ("twenty twelve", None),
            ("twenty fifth", None),
            ("two and three", None),
            ("two thousand and thirds", None),
            ("seven days", None),
            ("third", None),
            ("and", None),
        ] {
            let pieces = pieces(text).unwrap();
            let number = number(&pieces, 0, text).filter(|number| number.end == pieces.len());
            assert_eq!(number.map(|number| number.notation).as_deref(), expected, "{text}");
        }
    }
}
