//! Times of day and dates in words: `half past three`, `noon`, `1530 hours`, `1h30m`, `the third of October`.

use super::dates::is_month;
use super::numerals::{cardinal_of, value_of};

/// Words for times of day.
const NAMED: [(&str, &str); 3] = [("noon", "12:00 pm"), ("midday", "12:00 pm"), ("midnight", "12:00 am")];
/// What stands behind a time and says in which half of the day it is.
const HALVES: [(&str, &str); 7] = [
    (" in the morning", " am"),
    (" in the afternoon", " pm"),
    (" in the evening", " pm"),
    (" am", " am"),
    (" pm", " pm"),
    (" a.m", " am"),
    (" p.m", " pm"),
];

/// A text in lower case that says a time, a span of time or a date, in digits.
pub(super) fn read(text: &str) -> Option<String> {
    let text = text.strip_prefix("at ").unwrap_or(text);
    if let Some((_, time)) = NAMED.iter().find(|(name, _)| text.trim_start_matches("12 ") == *name) {
        return Some((*time).to_owned());
    }
    time(text).or_else(|| military(text)).or_else(|| span(text)).or_else(|| date(text))
}

/// `half past three`, `a quarter to 3 in the afternoon`, `ten minutes past four`.
fn time(text: &str) -> Option<String> {
    let (text, half) = HALVES
        .iter()
        .find_map(|(words, half)| Some((text.strip_suffix(words)?, *half)))
        .unwrap_or((text, ""));
    let text = text.strip_suffix(" o'clock").unwrap_or(text);
    let (minutes, hour, past) = [(" past ", true), (" after ", true), (" to ", false), (" before ", false)]
        .into_iter()
        .find_map(|(word, past)| text.split_once(word).map(|(minutes, hour)| (minutes, hour, past)))?;
    let hour = value_of(hour).filter(|hour| (1..=12).contains(hour))?;
    let minutes = match minutes {
        "half" if past => 30,
        "quarter" | "a quarter" => 15,
        // `ten to three` may be a ratio.
        minutes => {
            let counted = minutes.strip_suffix(" minutes");
            let spelled = counted.or_else(|| (past && text.contains(" past ")).then_some(minutes))?;
            value_of(spelled).filter(|minutes| (1..60).contains(minutes))?
        }
    };
    let (hour, minutes) = match (past, hour) {
        (true, hour) => (hour, minutes),
        (false, 1) => (12, 60 - minutes),
        (false, hour) => (hour - 1, 60 - minutes),
    };
    Some(format!("{hour}:{minutes:02}{half}"))
}

/// `1530 hours`.
fn military(text: &str) -> Option<String> {
    let digits = text.strip_suffix(" hours").or_else(|| text.strip_suffix(" hrs"))?;
    let time = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit());
    let (hour, minutes) = time.then(|| digits.split_at(2))?;
    (hour < "25" && minutes < "60").then(|| format!("{hour}:{minutes}"))
}

/// `1h30m`, `2h 5min`.
fn span(text: &str) -> Option<String> {
    let (hours, rest) = text.split_once('h')?;
    let minutes = rest.trim().strip_suffix("min").or_else(|| rest.trim().strip_suffix('m'))?.trim();
    let digits = |part: &str| !part.is_empty() && part.len() < 6 && part.bytes().all(|b| b.is_ascii_digit());
    (digits(hours.trim()) && digits(minutes)).then(|| format!("{} hours {minutes} minutes", hours.trim()))
}

/// A date whose day is a word: `the third of October`, `July fourth, 1776`.
fn date(text: &str) -> Option<String> {
    let mut days = 0;
    let words: Vec<String> = text
        .split(' ')
        .map(|word| {
            let plain = word.trim_end_matches(',');
            let (tens, last) = plain.rsplit_once('-').map_or((0, plain), |(tens, last)| {
                (value_of(tens).filter(|tens| *tens >= 20).unwrap_or(100), last)
            });
            match cardinal_of(last).and_then(value_of).filter(|day| day + tens <= 31) {
                Some(day) => {
                    days += 1;
                    format!("{}{}", day + tens, &word[plain.len()..])
                }
                None => word.to_owned(),
            }
        })
        .collect();
    let months = text.split([' ', ',']).filter(|word| is_month(word)).count();
    (days == 1 && months == 1).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn times_and_dates_in_words() {
        for (text, expected) in [
            ("noon", Some("12:00 pm")),
            ("half past three", Some("3:30")),
            ("a quarter to one in the afternoon", Some("12:45 pm")),
            ("ten minutes to four", Some("3:50")),
            ("twenty past 4 pm", Some("4:20 pm")),
            ("1530 hours", Some("15:30")),
            ("1h30m", Some("1 hours 30 minutes")),
            ("the third of october", Some("the 3 of october")),
            ("july twenty-first, 1999", Some("july 21, 1999")),
            ("ten to three", None),
            ("9999 hours", None),
            ("two thirds", None),
        ] {
            assert_eq!(read(text).as_deref(), expected, "{text}");
        }
    }
}
