//! Texts reduced to what is compared when two of them are to say the same.

/// Marks of sentences, quotations and asides: they part words and are none.
const MARKS: &str = ".,:;!`\u{a1}\u{bf}\"'()\u{2026}\u{201c}\u{201d}\u{201e}\u{2018}\u{2019}\u{ab}\u{bb}\u{2039}\u{203a}\u{2014}\u{2013}\
                     \u{ff0c}\u{ff0e}\u{3002}\u{3001}\u{ff01}\u{ff1f}\u{ff1a}\u{ff1b}\u{300c}\u{300d}\u{61f}\u{60c}";
/// Marks after which something else may be said of the same.
const STOPS: &str = ".,:;!?\u{2026}\u{2014}\u{2013}\u{ff0c}\u{3002}\u{ff01}\u{ff1f}\u{ff1b}\n";
/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// In lower case.
    pub text: String,
    /// Whether a mark stands before it, behind which something else may be said.
    pub first: bool,
}

/// A text in words: what stands between spaces and marks, in lower case. A mark between digits belongs to a number, an apostrophe
/// between letters to a word. Signs (`$7`, `C#`, `a[0]`, `+`) belong to their words.
pub fn words(text: &str) -> Vec<Word> {
    let signs: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    let mut words: Vec<Word> = Vec::new();
    let (mut word, mut first) = (String::new(), true);
    for (place, &sign) in signs.iter().enumerate() {
        let before = place.checked_sub(1).map(|place| signs[place]);
        let after = signs.get(place + 1).copied();
        let digits = after.is_some_and(char::is_numeric)
            && (before.is_some_and(char::is_numeric)
                || (sign == '.' && !before.is_some_and(char::is_alphanumeric)));
        let letters = [before, after].iter().all(|sign| sign.is_some_and(char::is_alphabetic));
        // A question mark inside a notation is a sign.
        let ends = after.is_none_or(|next| next.is_whitespace() || next == '?' || MARKS.contains(next));
        match sign {
            '\'' | '\u{2019}' if letters => word.push('\''),
            '\u{2212}' => word.push('-'),
            _ if MARKS.contains(sign) && digits => word.push(sign),
            _ if MARKS.contains(sign)
                || sign.is_whitespace()
                || sign.is_control()
                || (sign == '?' && ends) =>
            {
                close(&mut word, &mut first, &mut words);
                first |= STOPS.contains(sign);
            }
            _ => word.push(sign),
        }
    }
    close(&mut word, &mut first, &mut words);
    words
}

/// Adds a word without the signs that set it in another type, and without the `'s` of who has something.
fn close(word: &mut String, first: &mut bool, words: &mut Vec<Word>) {
    let mut text = word.as_str();
    for wide in ["**", "__"] {
        text = text.strip_prefix(wide).unwrap_or(text);
        text = text.strip_suffix(wide).unwrap_or(text);
    }
    for wrapper in ["*", "_", "$"] {
        text = text.strip_prefix(wrapper).and_then(|text| text.strip_suffix(wrapper)).unwrap_or(text);
    }
    let text = text.strip_suffix("'s").unwrap_or(text);
    if !text.is_empty() {
        words.push(Word { text: text.to_owned(), first: std::mem::take(first) });
    }
    word.clear();
}

/// The [`words`] of a text with spaces between them.
pub fn canonical(text: &str) -> String {
    words(text).into_iter().map(|word| word.text).collect::<Vec<_>>().join(" ")
}

/// Whether two answers are one: the same text, whatever its spaces and the mark at its end. Case and signs tell answers apart.
pub fn same_answer(one: &str, other: &str) -> bool {
    let bare = |text: &str| {
        let text = text.trim().trim_end_matches(['.', '!', '\u{3002}']);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    bare(one) == bare(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_case_make_no_other_text() {
        assert_eq!(canonical("Where was  MARA born?"), canonical("where was Mara born"));
        assert_eq!(canonical("Who is \u{201c}Mara\u{201d}?!"), "who is mara");
        assert_eq!(canonical("Mara's town, **Porto** (or `York`)."), "mara town porto or york");
        assert_eq!(canonical("in **New York**"), "in new york");
        assert_eq!(canonical("It isn\u{2019}t; is it?"), "it isn't is it");
        for nothing in [" ?! ", "", "\u{2026}", "()"] {
            assert_eq!(canonical(nothing), "");
        }
    }

    #[test]
    fn signs_and_numbers_tell_texts_apart() {
        for (one, other) in [
            ("1+2", "1-2"),
            ("Is it 1.5?", "Is it 15?"),
            ("2.5 kg", "5 kg"),
            (".5 kg", "5 kg"),
            ("$1,500", "500"),
            ("12:30", "30"),
            ("Who made C?", "Who made C#?"),
            ("$7", "7\u{20ac}"),
            ("a[0]", "a(0)"),
            ("?a1*x=", "a1*x="),
            ("-5", "5"),
            ("5%", "5"),
        ] {
            assert_ne!(canonical(one), canonical(other), "{one}, {other}");
        }
        assert_eq!(
            words("No, 1,500; 3. 4").iter().map(|word| word.first).collect::<Vec<_>>(),
            [true, true, true, true]
        );
        assert_eq!(words("1,500 a").iter().map(|word| word.first).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn answers_differ_by_case_and_signs() {
        assert!(same_answer("Porto.", " Porto") && same_answer("New  York", "New York"));
        for (one, other) in
            [("$7", "7\u{20ac}"), ("iOS", "IOS"), ("3.5", "3:5"), ("a[0]", "a(0)"), ("Porto", "porto")]
        {
            assert!(!same_answer(one, other), "{one}, {other}");
        }
    }
}
