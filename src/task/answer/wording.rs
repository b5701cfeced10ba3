//! Everyday wordings of amounts, rewritten as what they say: `a loss of $5`, `5 below zero`, `(1,234)` in accounts, `2.5k`,
//! `four score and seven`, `the twenty-first`, `a week`.
//!
//! What the words say for sure is read beside the text or in its place; what they only may say never makes an answer right, but keeps it
//! from being wrong.

use super::numerals::{cardinal_of, is_numeral, is_scale, value_of};
use super::units::is_unit;
use super::vocabulary::{LOSING, LOSSES, among};
use super::{clock, names, spoken};

/// Longest text that is looked at, in bytes.
const MAX_LENGTH: usize = 120;

/// What a text says besides what its notation says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Wording {
    /// Texts that mean the same.
    pub(super) says: Vec<String>,
    /// Texts that it may mean.
    pub(super) may: Vec<String>,
    /// Whether the text itself must not be read: its notation says something else.
    pub(super) instead: bool,
}

impl Wording {
    fn says(text: impl Into<String>) -> Self {
        Self { says: vec![text.into()], ..Self::default() }
    }

    fn may(text: impl Into<String>) -> Self {
        Self { may: vec![text.into()], ..Self::default() }
    }
}

/// Nouns before `of` and an amount that leave it as it is.
const GAINS: &str = "gain profit surplus increase rise growth";
/// What stands behind an amount and makes it negative, leaves it as it is, or may make it negative.
const BELOW: [&str; 9] = [
    "in the red",
    "below zero",
    "below sea level",
    "below ground",
    "under par",
    "below par",
    "in debt",
    "overdrawn",
    "under water",
];
const ABOVE: [&str; 5] = ["in the black", "above zero", "above sea level", "over par", "above par"];
const LESS: [&str; 9] = ["less", "fewer", "short", "lower", "behind", "down", "lost", "owed", "bc"];
/// What stands behind an amount that is not exact; `about` and its kind before it are read elsewhere.
const ROUGHLY: [&str; 5] = ["or so", "or thereabouts", "more or less", "give or take", "approximately"];
/// Words for a number, with whether they say nothing else.
const COUNTS: [(&str, &str, bool); 20] = [
    ("once", "1", true),
    ("twice", "2", true),
    ("thrice", "3", true),
    ("baker's dozen", "13", true),
    ("nought", "0", true),
    ("naught", "0", true),
    ("zilch", "0", true),
    ("score", "20", false),
    ("gross", "144", false),
    ("both", "2", false),
    ("neither", "0", false),
    ("nobody", "0", false),
    ("no one", "0", false),
    ("single", "1", false),
    ("unity", "1", true),
    ("half-dozen", "6", true),
    ("penny", "1 cent", true),
    ("nickel", "5 cents", false),
    ("dime", "10 cents", false),
    ("quarter", "25 cents", false),
];
/// Letters behind a number that count in thousands and so on: the word, and whether they say so without a sign of currency too.
const SCALES: [(&str, &str, bool); 13] = [
    ("k", "thousand", true),
    ("K", "thousand", true),
    ("M", "million", true),
    ("m", "million", false),
    ("mn", "million", true),
    ("mil", "million", true),
    ("mm", "million", false),
    ("MM", "million", true),
    ("b", "billion", false),
    ("B", "billion", false),
    ("T", "trillion", false),
    ("tn", "trillion", true),
    ("trn", "trillion", true),
];

/// What a normalised text says.
pub(super) fn read(text: &str) -> Wording {
    let text = text.trim_end_matches(['.', '!']).trim();
    if text.is_empty() || text.len() > MAX_LENGTH {
        return Wording::default();
    }
    let lower = text.to_lowercase();
    if let Some(named) = names::read(text) {
        return Wording { instead: true, ..Wording::says(named) };
    }
    let readers =
        [bracketed, grouped, scaled, lost, rough, signed, counted, ordinal, range, change, united, feet];
    readers
        .into_iter()
        .find_map(|reader| reader(text, &lower))
        .or_else(|| clock::read(&lower).map(Wording::says))
        .unwrap_or_default()
}

/// Whether a text begins as an amount in digits does.
fn is_written(text: &str) -> bool {
    let amount = text.trim_start_matches(['$', '€', '£', '¥', ' ']);
    amount.starts_with(|c: char| c.is_ascii_digit())
        || amount.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The amount with its sign turned; `None` if it is no amount, or has a sign.
fn negative(amount: &str) -> Option<String> {
    let amount = amount.trim();
    if is_written(amount) {
        return Some(format!("-{amount}"));
    }
    let words = format!("minus {amount}");
    spoken::rewritten(&words).filter(|spoken| spoken.text.starts_with('-')).map(|_| words)
}

/// `(six)` and `[minus six]`; a number in brackets is a negative one in accounts.
fn bracketed(text: &str, _: &str) -> Option<Wording> {
    let inside = [('(', ')'), ('[', ']')]
        .into_iter()
        .find_map(|(open, close)| text.strip_prefix(open)?.strip_suffix(close))?
        .trim();
    let round = text.starts_with('(');
    let amount = |c: char| c.is_ascii_digit() || matches!(c, '$' | '€' | '£' | ',' | '.' | '%' | ' ');
    if is_written(inside) && inside.chars().all(amount) && !inside.contains(", ") {
        return round.then(|| Wording::may(format!("-{inside}")));
    }
    let words = inside.starts_with(['-', '+']) || inside.starts_with(|c: char| c.is_ascii_alphabetic());
    let spoken = inside.len() > 1 && words && spoken::rewritten(inside).is_some();
    spoken.then(|| Wording {
        says: vec![inside.to_owned()],
        may: negative(inside).filter(|_| round && !inside.starts_with(['-', '+'])).into_iter().collect(),
        instead: false,
    })
}

/// Groups of thousands that points part, `1.234.567,5`, or spaces before a decimal comma, `1 234,5`.
fn grouped(text: &str, _: &str) -> Option<Wording> {
    let digits = text.trim_start_matches(['-', '$', '€', '£', ' ']);
    let (whole, decimals) =
        digits.split_once(',').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let mark = if whole.contains('.') { '.' } else { ' ' };
    // `10.000` is ten thousand, or ten to three decimals.
    let sure = mark == ' ' || decimals.is_some() || whole.matches('.').count() > 1;
    let groups: Vec<&str> = whole.split(mark).collect();
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let three = groups.iter().skip(1).all(|group| group.len() == 3 && all_digits(group));
    if groups.len() < 2 || !three || groups[0].len() > 3 || !all_digits(groups[0]) {
        return None;
    }
    match decimals {
        None if mark == ' ' => return None,
        Some(decimals) if !all_digits(decimals) => return None,
        _ => {}
    }
    let sign = &text[..text.len() - digits.len()];
    let decimals = decimals.map_or(String::new(), |decimals| format!(".{decimals}"));
    let number = format!("{sign}{}{decimals}", groups.concat());
    Some(if sure { Wording::says(number) } else { Wording::may(number) })
}

/// `2.5k`, `$1M`, `£3m`.
fn scaled(text: &str, _: &str) -> Option<Wording> {
    let amount = text.strip_prefix('-').unwrap_or(text);
    let money = amount.starts_with(['$', '€', '£', '¥']);
    let start = amount.find(|c: char| c.is_ascii_digit()).filter(|_| is_written(amount))?;
    let end = start + amount[start..].find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',')))?;
    let (number, letters) = amount.split_at(end);
    let (letters, rest) = letters.trim_start().split_once(' ').unwrap_or((letters.trim_start(), ""));
    let (_, word, clear) = SCALES.iter().find(|(name, ..)| *name == letters)?;
    if !(rest.is_empty() || rest.bytes().all(|b| b.is_ascii_alphabetic() || b == b' ')) {
        return None;
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    let scaled = format!("{sign}{number} {word} {rest}").trim_end().to_owned();
    // A decimal comma.
    let comma = number.split_once(',').map(|(whole, part)| format!("{sign}{whole}.{part} {word} {rest}"));
    match (money, *clear) {
        _ if comma.is_some() => Some(Wording { may: comma.into_iter().collect(), ..Wording::says(scaled) }),
        (true, _) => Some(Wording { instead: true, ..Wording::says(scaled) }),
        (false, true) => Some(Wording::says(scaled)),
        (false, false) => Some(Wording::may(scaled)),
    }
}

/// `a loss of 5`, `5 below zero`, `5 less`. Who asks for the loss wants 5, so the other sign is not wrong.
fn lost(text: &str, lower: &str) -> Option<Wording> {
    let both = |amount: &str, sure: bool| {
        let negative = negative(amount)?;
        Some(match sure {
            true => Wording { says: vec![negative], may: vec![amount.to_owned()], instead: true },
            false => Wording::may(negative),
        })
    };
    // Other letters than English ones can change their length in lower case.
    if text.len() != lower.len() {
        return None;
    }
    let rest = ["a ", "an ", "the "].iter().find_map(|article| lower.strip_prefix(article)).unwrap_or(lower);
    let rest = ["net ", "total ", "overall "].iter().find_map(|size| rest.strip_prefix(size)).unwrap_or(rest);
    let (first, behind) = rest.split_once(' ')?;
    let behind = text.get(text.len() - behind.len()..)?;
    let of = behind.get(..3).filter(|of| of.eq_ignore_ascii_case("of ")).map(|of| &behind[of.len()..]);
    if let Some(amount) = of {
        if among(first, LOSSES) {
            return both(amount, true);
        }
        return (among(first, GAINS) && negative(amount).is_some())
            .then(|| Wording { instead: true, ..Wording::says(amount) });
    }
    if among(first, LOSING) {
        return both(behind.strip_prefix("by ").unwrap_or(behind), false);
    }
    let before = |ends: &[&str]| {
        let end =
            ends.iter().find(|end| lower.strip_suffix(**end).is_some_and(|rest| rest.ends_with(' ')))?;
        text.get(..text.len() - end.len()).map(str::trim)
    };
    if let Some(amount) = before(&BELOW) {
        return both(amount, true);
    }
    if let Some(amount) = before(&ABOVE) {
        return negative(amount).map(|_| Wording { instead: true, ..Wording::says(amount) });
    }
    if let Some(amount) = before(&LESS) {
        return both(amount, false);
    }
    // `a $500 loss`.
    let (amount, noun) = text.get(text.len() - rest.len()..)?.rsplit_once(' ')?;
    among(&noun.to_lowercase(), LOSSES).then(|| both(amount, false))?
}

/// What an amount may be in a sentence that speaks of a loss: `He ended with a loss of $12.`
pub(super) fn lost_in(sentence: &str, amount: &str) -> Option<String> {
    let lower = sentence.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty()).collect();
    let noun = words.windows(2).any(|pair| among(pair[0], LOSSES) && matches!(pair[1], "of" | "is" | "was"));
    let told = noun
        || BELOW.iter().any(|below| lower.contains(below))
        || words.iter().any(|word| among(word, LOSING));
    negative(amount).filter(|_| told)
}

/// `3.14 or so`, `20ish`.
fn rough(text: &str, lower: &str) -> Option<Wording> {
    if let Some(number) = lower.strip_suffix("ish").map(|number| number.trim_end_matches('-')) {
        return (is_written(number) || value_of(number).is_some()).then(|| Wording::may(number));
    }
    let end = ROUGHLY.iter().find(|end| lower.ends_with(&format!(" {end}")))?;
    let amount = text.get(..text.len().checked_sub(end.len())?)?.trim_end_matches([' ', ',']);
    negative(amount).map(|_| Wording::says(amount))
}

/// `plus three`.
fn signed(_: &str, lower: &str) -> Option<Wording> {
    let amount = ["plus ", "positive "].iter().find_map(|sign| lower.strip_prefix(sign))?;
    spoken::rewritten(amount).map(|_| Wording::says(amount))
}

/// `twice`, `a couple`, `threescore`, `four score and seven`.
fn counted(text: &str, lower: &str) -> Option<Wording> {
    let bare = lower.strip_prefix("a ").unwrap_or(lower);
    // `a couple of apples`; one pair is two things.
    let (word, of) = bare.split_once(" of ").map_or((bare, ""), |(word, of)| (word, of));
    if matches!(word, "couple" | "pair") {
        let says = format!("2 {of}").trim_end().to_owned();
        return Some(Wording { may: vec![format!("1 {bare}")], ..Wording::says(says) });
    }
    if let Some((_, number, clear)) = COUNTS.iter().find(|(word, ..)| *word == bare) {
        return Some(if *clear { Wording::says(*number) } else { Wording::may(*number) });
    }
    if let Some(value) = roman(text) {
        return Some(Wording::may(value.to_string()));
    }
    // Words for nothing of something. `no solution` is an answer of its own.
    if let Some(thing) = lower.strip_prefix("no ") {
        let count = thing.ends_with('s') && !thing.contains([' ', ',']) && !thing.starts_with("solution");
        return count.then(|| Wording::may("0"));
    }
    let (scores, rest) = bare.split_once("score")?;
    let scores = scores.trim_end_matches([' ', '-']);
    let rest = match rest {
        "" => String::new(),
        rest => format!(" plus {}", rest.trim_start_matches(" and ").trim()),
    };
    is_numeral(scores).then(|| Wording::says(format!("{scores} times 20{rest}")))
}

/// A number in Roman digits.
fn roman(text: &str) -> Option<u32> {
    const DIGITS: [(&str, u32); 13] = [
        ("M", 1000),
        ("CM", 900),
        ("D", 500),
        ("CD", 400),
        ("C", 100),
        ("XC", 90),
        ("L", 50),
        ("XL", 40),
        ("X", 10),
        ("IX", 9),
        ("V", 5),
        ("IV", 4),
        ("I", 1),
    ];
    let (mut rest, mut value) = (text, 0);
    for (digit, size) in DIGITS {
        let most = if digit.len() == 2 || matches!(digit, "D" | "L" | "V") { 1 } else { 3 };
        for _ in 0..most {
            let Some(after) = rest.strip_prefix(digit) else { break };
            (rest, value) = (after, value + size);
        }
    }
    rest.is_empty().then_some(value)
}

/// `the twenty-first`, `third place`. A third may be a part.
fn ordinal(_: &str, lower: &str) -> Option<Wording> {
    let place = lower.strip_prefix("the ").unwrap_or(lower);
    let place = [" place", " position"].iter().find_map(|end| place.strip_suffix(end)).unwrap_or(place);
    let start = place.rfind([' ', '-']).map_or(0, |at| at + 1);
    let number = cardinal_of(&place[start..])?;
    let one = if start == 0 && is_scale(number) { "one " } else { "" };
    let whole = format!("{one}{}{number}", &place[..start]);
    // `one third` is none.
    let fraction =
        spoken::rewritten(&place.replace('-', " ")).is_some_and(|spoken| spoken.text.contains('\\'));
    if start > 0 && fraction {
        return None;
    }
    // A hundredth is a part sooner than a place.
    if start == 0 && is_scale(number) && !lower.starts_with("the ") && place == lower {
        return Some(Wording { may: vec![whole.clone(), format!("one over {whole}")], ..Wording::default() });
    }
    let part = (!matches!(number, "one" | "two")).then(|| format!("one over {whole}"));
    (start == 0 || spoken::rewritten(&whole).is_some()).then(|| Wording {
        says: vec![whole],
        may: part.into_iter().collect(),
        instead: false,
    })
}

/// `between 10 and 20`, `from 10 to 20`.
fn range(text: &str, lower: &str) -> Option<Wording> {
    let (inside, mark) = match (lower.strip_prefix("between "), lower.strip_prefix("from ")) {
        (Some(inside), _) => (inside, " and "),
        (_, Some(inside)) => (inside, " to "),
        _ => return None,
    };
    let (from, to) = text.get(text.len() - inside.len()..)?.split_once(mark)?;
    (is_written(from) && is_written(to)).then(|| Wording::may(format!("{from} to {to}")))
}

/// `two dollars fifty`.
fn change(_: &str, lower: &str) -> Option<Wording> {
    let (dollars, cents) = lower.split_once(" dollars ")?;
    let cents = cents.strip_prefix("and ").unwrap_or(cents);
    let (dollars, cents) = (value_of(dollars)?, value_of(cents).filter(|cents| *cents < 100)?);
    Some(Wording::says(format!("{dollars} dollars and {cents} cents")))
}

/// `a week`, `an hour and a half`.
fn united(_: &str, lower: &str) -> Option<Wording> {
    let (count, rest) = lower.split_once(' ')?;
    let article = matches!(count, "a" | "an");
    let count = if article { "one" } else { count };
    let (unit, part) = rest.split_once(" and ").map_or((rest, None), |(unit, part)| (unit, Some(part)));
    if !is_unit(unit) || is_numeral(unit) || !(article || is_numeral(count) || is_written(count)) {
        return None;
    }
    match part {
        Some(part @ ("a half" | "a quarter" | "a third" | "three quarters")) => {
            Some(Wording { instead: true, ..Wording::says(format!("{count} and {part} {unit}")) })
        }
        None if article => Some(Wording { instead: true, ..Wording::says(format!("{count} {unit}")) }),
        _ => None,
    }
}

/// `5'11"`, of which the last mark may be gone.
fn feet(text: &str, _: &str) -> Option<Wording> {
    let (feet, inches) = text.split_once('\'')?;
    let inches = inches.trim_end_matches(['"', '\'']).trim();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(feet) {
        return None;
    }
    match inches {
        "" => Some(Wording::may(format!("{feet} feet"))),
        inches if digits(inches) => Some(Wording::says(format!("{feet} feet {inches} inches"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn wordings_say_what_they_mean() {
        for (text, says, may) in [
            ("a loss of $5", "-$5", "$5"),
            ("(1,234)", "", "-1,234"),
            ("(minus six)", "minus six", ""),
            ("5 below zero", "-5", "5"),
            ("$2.5m", "$2.5 million", ""),
            ("1m", "", "1 million"),
            ("1.234.567,5", "1234567.5", ""),
            ("four score and seven", "four times 20 plus seven", ""),
            ("the twenty-fifth", "twenty-five", "one over twenty-five"),
            ("third", "three", "one over three"),
            ("an hour and a half", "one and a half hour", ""),
            ("half past three", "3:30", ""),
            ("two thirds", "", ""),
            ("(A)", "", ""),
            ("(1, 2)", "", ""),
            ("loss of appetite", "", ""),
        ] {
            let wording = read(text);
            assert_eq!(
                (wording.says.concat().as_str(), wording.may.concat().as_str()),
                (says, may),
                "{text}"
            );
        }
    }
}
