//! Dates, whole ones and months of a year: read and compared.

use super::Same;
use super::value::Value;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
/// Days that may stand before a date, which says as much without.
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
/// Years that a month is written with in digits alone: `12/2020` is a date, `3/5000` is none.
const YEARS: std::ops::Range<u32> = 1000..3000;

/// The number of the month that a word in lower case is, or the beginning of.
fn month(word: &str) -> Option<u32> {
    let place = MONTHS.iter().position(|name| word.len() >= 3 && name.starts_with(word))?;
    Some(place as u32 + 1)
}

/// Whether a word in lower case is a month or the beginning of one.
pub(super) fn is_month(word: &str) -> bool {
    month(word).is_some()
}

/// The parts of a date in digits between two of that mark, with how many digits each has.
fn parts(text: &str, mark: char) -> Option<Vec<(u32, usize)>> {
    text.split(mark)
        .map(str::trim)
        .map(|part| {
            let digits = (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            Some((part.parse().ok().filter(|_| digits)?, part.len()))
        })
        .collect()
}

/// Whether a date is a fraction too, as `12/2020` is. That `2020-02` is a difference nobody means.
pub(super) fn is_fraction(text: &str) -> bool {
    parts(text, '/').is_some_and(|parts| parts.len() == 2)
}

/// A real date; a day of 0 stands for the whole month.
fn date(year: u32, month: u32, day: u32) -> Option<Value> {
    ((1..=12).contains(&month) && day <= 31).then_some(Value::Date { year, month, day })
}

/// `2024-10-03`, `October 3, 2024`, `3 Oct 2024`; `10/03/2024` in both orders; `October 2024`, `10/2024`.
pub(super) fn dates(text: &str) -> Vec<Value> {
    let day = |value: &Value| matches!(value, Value::Date { day: 1.., .. });
    for mark in ['-', '/', '.'] {
        match parts(text, mark).as_deref() {
            Some([(year, 4), (month, _), (day_of, _)]) => {
                return date(*year, *month, *day_of).into_iter().filter(day).collect();
            }
            Some([(first, a), (second, b), (year, c)])
                if *c == 4 || mark != '/' && [*a, *b, *c] == [2, 2, 2] =>
            {
                let both = [date(*year, *first, *second), date(*year, *second, *first)];
                return both.into_iter().flatten().filter(day).collect();
            }
            Some([(month, 1 | 2), (year, 4)] | [(year, 4), (month, 2)])
                if mark != '.' && YEARS.contains(year) =>
            {
                return date(*year, *month, 0).into_iter().collect();
            }
            _ => {}
        }
    }
    let (mut named, mut numbers) = (None, Vec::new());
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        let lower = word.trim_end_matches('.').to_lowercase();
        let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        if let Some(month) = month(&lower).filter(|_| named.is_none()) {
            named = Some(month);
        } else if !digits.is_empty() && matches!(&lower[digits.len()..], "" | "st" | "nd" | "rd" | "th") {
            let Ok(number) = digits.parse::<u32>() else { return Vec::new() };
            numbers.push((number, digits.len()));
        } else if !matches!(lower.as_str(), "of" | "the" | "on" | "in") && !WEEKDAYS.contains(&lower.as_str())
        {
            return Vec::new();
        }
    }
    match (named, numbers.as_slice()) {
        (Some(month), [(day_of, _), (year, 4)]) => {
            date(*year, month, *day_of).into_iter().filter(day).collect()
        }
        (Some(month), [(day_of, 1 | 2)]) => date(0, month, *day_of).into_iter().filter(day).collect(),
        (Some(month), [(year, 4)]) => date(*year, month, 0).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Whether two dates in digits are the same, if both are written with the same marks, so that their parts are in the same order.
pub(super) fn in_one_notation(known: &str, answer: &str) -> Option<Same> {
    ['/', '-', '.'].into_iter().find_map(|mark| {
        let (a, b) = (parts(known, mark)?, parts(answer, mark)?);
        let whole = |parts: &[(u32, usize)]| parts.len() == 3 && parts[2].1 == 4;
        let same = || a.iter().zip(&b).all(|((a, _), (b, _))| a == b);
        (whole(&a) && whole(&b)).then(|| Same::from(same()))
    })
}

/// Whether two dates are the same, each with its year, month and day, of which 0 stands for one that was not said.
pub(super) fn same((year, month, day): (u32, u32, u32), (b_year, b_month, b_day): (u32, u32, u32)) -> Same {
    let said = |a: u32, b: u32| match (a == b, a == 0 || b == 0) {
        (true, _) => Same::Yes,
        (false, true) => Same::Unknown,
        (false, false) => Same::No,
    };
    // `24` for `2024`.
    let short = year < 100 || b_year < 100;
    let years = match said(year, b_year) {
        Same::No if short && year % 100 == b_year % 100 => Same::Unknown,
        years => years,
    };
    Same::all([Same::from(month == b_month), said(day, b_day), years])
}

/// Signs of the eras as they are written, with the unit that each is read as.
const ERAS: [(&str, &str); 8] = [
    ("B.C.E", "BC"),
    ("BCE", "BC"),
    ("B.C", "BC"),
    ("BC", "BC"),
    ("A.D", "AD"),
    ("AD", "AD"),
    ("C.E", "AD"),
    ("CE", "AD"),
];

/// A year with its era behind it: `AD 79` and `79 C.E.` as `79 AD`.
pub(super) fn year(text: &str) -> Option<String> {
    let text = text.trim_end_matches('.');
    let (year, era) = ERAS.iter().find_map(|(sign, era)| {
        let before = || text.strip_prefix(sign).map(|rest| rest.trim_start_matches('.'));
        let year = text.strip_suffix(sign).or_else(before)?.trim();
        let digits = year.bytes().all(|b| b.is_ascii_digit() || b == b',');
        (digits && year.starts_with(|c: char| c.is_ascii_digit())).then_some((year, era))
    })?;
    Some(format!("{year} {era}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_and_compared() {
        for (text, expected) in [
            ("June 1944", vec![(1944, 6, 0)]),
            ("06/1944", vec![(1944, 6, 0)]),
            ("1944-06", vec![(1944, 6, 0)]),
            ("3/4/2024", vec![(2024, 3, 4), (2024, 4, 3)]),
            ("June 6, 1944", vec![(1944, 6, 6)]),
            ("June 6", vec![(0, 6, 6)]),
            ("2024-10-00", vec![]),
            ("3/5000", vec![]),
            ("12.2020", vec![]),
        ] {
            let values: Vec<Value> =
                expected.into_iter().map(|(year, month, day)| Value::Date { year, month, day }).collect();
            assert_eq!(dates(text), values, "{text}");
        }
        assert_eq!(same((1944, 6, 0), (1944, 7, 0)), Same::No);
        assert_eq!(same((1944, 6, 0), (1944, 6, 6)), Same::Unknown);
        assert_eq!(same((2024, 6, 6), (24, 6, 6)), Same::Unknown);
        assert_eq!(in_one_notation("3/4/2024", "4/3/2024"), Some(Same::No));
        assert_eq!(in_one_notation("3/4/2024", "03/04/2024"), Some(Same::Yes));
        assert_eq!(in_one_notation("3/4/2024", "4.3.2024"), None);
    }

    #[test]
    fn eras_have_many_signs() {
        for (text, expected) in [
            ("AD 79", Some("79 AD")),
            ("79 C.E.", Some("79 AD")),
            ("44 B.C.", Some("44 BC")),
            ("44 BCE", Some("44 BC")),
            ("ABC", None),
            ("3 AC", None),
        ] {
            assert_eq!(year(text).as_deref(), expected, "{text}");
        }
    }
}
