//! Dates for templates, in UTC and in English.

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// `seconds` since 1970 UTC in the notation of C's `strftime`.
///
/// # Errors
/// Names a directive that is not known, such as those of week numbers.
pub(super) fn format(seconds: i64, pattern: &str) -> Result<String, String> {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let month_name = MONTHS[month as usize - 1];
    let day_name = DAYS[days.rem_euclid(7) as usize];
    let mut out = String::new();
    let mut rest = pattern.chars();
    while let Some(character) = rest.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let directive = match rest.next() {
            Some('-') => rest.next().map(|directive| format!("-{directive}")),
            Some(directive) => Some(directive.to_string()),
            None => None,
        };
        out += &match directive.as_deref().unwrap_or("") {
            "Y" => year.to_string(),
            "y" => format!("{:02}", year.rem_euclid(100)),
            "m" => format!("{month:02}"),
            "d" => format!("{day:02}"),
            "e" => format!("{day:2}"),
            "-d" => day.to_string(),
            "B" => month_name.to_string(),
            "b" => month_name[..3].to_string(),
            "A" => day_name.to_string(),
            "a" => day_name[..3].to_string(),
            "H" => format!("{hour:02}"),
            "I" => format!("{:02}", (hour + 11) % 12 + 1),
            "M" => format!("{minute:02}"),
            "S" => format!("{second:02}"),
            "F" => format!("{year}-{month:02}-{day:02}"),
            "T" => format!("{hour:02}:{minute:02}:{second:02}"),
            "R" => format!("{hour:02}:{minute:02}"),
            "D" | "x" => format!("{month:02}/{day:02}/{:02}", year.rem_euclid(100)),
            "X" => format!("{hour:02}:{minute:02}:{second:02}"),
            "c" => format!(
                "{} {} {day:2} {hour:02}:{minute:02}:{second:02} {year}",
                &day_name[..3],
                &month_name[..3]
            ),
            "h" => month_name[..3].to_string(),
            "-m" => month.to_string(),
            "-H" => hour.to_string(),
            "-I" => ((hour + 11) % 12 + 1).to_string(),
            "-M" => minute.to_string(),
            "-S" => second.to_string(),
            "-y" => year.rem_euclid(100).to_string(),
            "-j" => (days - days_from_year(year) + 1).to_string(),
            "u" => ((days + 3).rem_euclid(7) + 1).to_string(),
            "w" => (days + 4).rem_euclid(7).to_string(),
            "s" => seconds.to_string(),
            "Z" => "UTC".to_string(),
            "z" => "+0000".to_string(),
            "n" => "\n".to_string(),
            "t" => "\t".to_string(),
            "p" => (if hour < 12 { "AM" } else { "PM" }).to_string(),
            "j" => format!("{:03}", days - days_from_year(year) + 1),
            "%" => "%".to_string(),
            other => return Err(format!("strftime_now: directive %{other} is not known")),
        };
    }
    Ok(out)
}

/// Days from 1970-01-01 to the first of January of `year`.
fn days_from_year(year: i64) -> i64 {
    let before = year - 1;
    365 * (year - 1970) + before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400) - 477
}

/// Year, month and day (from 1) of a day counted from 1970-01-01, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    let mut year = 1970 + days.div_euclid(366);
    while days_from_year(year + 1) <= days {
        year += 1;
    }
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let mut day = days - days_from_year(year);
    for (month, length) in
        [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].into_iter().enumerate()
    {
        if day < length {
            return (year, month as i64 + 1, day + 1);
        }
        day -= length;
    }
    (year, 12, 31)
}

#[cfg(test)]
mod tests {
    use super::format;

    #[test]
    fn dates_are_those_of_python() {
        // datetime.fromtimestamp(seconds, UTC).strftime(pattern)
        for (seconds, expected) in [
            (0, "1970-01-01 Thu January 00:00:00 001 12 AM"),
            (951_782_399, "2000-02-28 Mon February 23:59:59 059 11 PM"),
            (951_868_799, "2000-02-29 Tue February 23:59:59 060 11 PM"),
            (1_735_689_599, "2024-12-31 Tue December 23:59:59 366 11 PM"),
            (1_795_000_000, "2026-11-18 Wed November 11:06:40 322 11 AM"),
            (-86_401, "1969-12-30 Tue December 23:59:59 364 11 PM"),
        ] {
            assert_eq!(format(seconds, "%Y-%m-%d %a %B %H:%M:%S %j %I %p").as_deref(), Ok(expected));
        }
        // 1970-01-01 was a Thursday: datetime.fromtimestamp(0, UTC).strftime(...)
        let rest = "%F %T %R %D %c|%h|%-m %-H %-I %-M %-S %-j|%u %w %s %Z %z";
        let expected =
            "1970-01-01 00:00:00 00:00 01/01/70 Thu Jan  1 00:00:00 1970|Jan|1 0 12 0 0 1|4 4 0 UTC +0000";
        assert_eq!(format(0, rest).as_deref(), Ok(expected));
        assert_eq!(format(0, "%e|%-d|%y|%b|%A|100%%").as_deref(), Ok(" 1|1|70|Jan|Thursday|100%"));
        assert!(format(0, "%Q").is_err() && format(0, "%").is_err());
    }
}
