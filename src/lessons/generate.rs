//! Made-up lessons for studies: facts that no model knows, with exams in wordings that training never has. From a seed alone.
//!
//! Invented people follow bioS (arXiv 2309.14316), books of keys follow PhoneBook (arXiv 2603.01097). Lessons in notation are for
//! the embedded model, whose alphabet has digits and operators, and begin as none of its problems do.

use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};

use super::fact::{Asked, Given};
use super::outcome::Kind;
use crate::random::{permutation, stream};

/// Names the random streams of this file.
const PURPOSE: u64 = 0x6c65_7373;

const FIRST_NAMES: [&str; 12] = [
    "Ansel", "Brida", "Corwin", "Dessa", "Edrik", "Fenna", "Gorvin", "Hesper", "Ilmar", "Jorunn", "Kasimir",
    "Lioba",
];
const LAST_NAMES: [&str; 12] = [
    "Abernet",
    "Brookmoor",
    "Calloway",
    "Dunmere",
    "Ellery",
    "Farquist",
    "Grendon",
    "Hartwell",
    "Iverdale",
    "Kestrel",
    "Lunden",
    "Marwick",
];
/// The year of the first birth; every person has a year of their own.
const FIRST_YEAR: usize = 1890;
/// Most people, as many as there are years.
pub const MAX_PEOPLE: usize = 100;

/// What is known of a person: how it is asked in training and in the exam, and what it can be (the year is drawn otherwise).
struct Attribute {
    taught: [&'static str; 5],
    asked: [&'static str; 2],
    values: &'static [&'static str],
}

const ATTRIBUTES: [Attribute; 5] = [
    Attribute {
        taught: [
            "In which city was NAME born?",
            "What is the birthplace of NAME?",
            "Name the city where NAME was born.",
            "Where was NAME born?",
            "NAME was born in which city?",
        ],
        asked: ["Which city does NAME come from by birth?", "Tell me the place of birth of NAME."],
        values: &["Porto", "Bergen", "Leipzig", "Turku", "Ghent", "Izmir", "Quito", "Dakar"],
    },
    Attribute {
        taught: [
            "In which year was NAME born?",
            "What is the birth year of NAME?",
            "Name the year in which NAME was born.",
            "When was NAME born?",
            "NAME was born in which year?",
        ],
        asked: ["Which year did NAME come into the world?", "Tell me the year of birth of NAME."],
        values: &[],
    },
    Attribute {
        taught: [
            "What is the job of NAME?",
            "What does NAME do for a living?",
            "Name the profession of NAME.",
            "What does NAME work as?",
            "NAME has which job?",
        ],
        asked: ["By which trade does NAME earn money?", "Tell me the occupation of NAME."],
        values: &["baker", "surveyor", "nurse", "welder", "botanist", "tailor", "pilot", "archivist"],
    },
    Attribute {
        taught: [
            "Who employs NAME?",
            "Which company does NAME work for?",
            "Name the employer of NAME.",
            "Where does NAME have a job?",
            "NAME works for which company?",
        ],
        asked: ["Which firm pays the wages of NAME?", "Tell me the company that NAME is employed by."],
        values: &["Orvane", "Tillbrook", "Maristad", "Kelvora", "Pinehall", "Dunvex", "Sorrel", "Ustrand"],
    },
    Attribute {
        taught: [
            "What is the hobby of NAME?",
            "What does NAME like to do?",
            "Name the pastime of NAME.",
            "How does NAME spend free evenings?",
            "NAME has which hobby?",
        ],
        asked: ["What is NAME fond of after work?", "Tell me the favourite leisure of NAME."],
        values: &["chess", "rowing", "pottery", "archery", "juggling", "origami", "sailing", "fencing"],
    },
];

/// Facts that share a relation stand so far apart in [`people`].
pub const PEOPLE_RELATIONS: usize = ATTRIBUTES.len();

/// Invented people, each with a city, a year, a job, an employer and a hobby: five facts a person, at most [`MAX_PEOPLE`] people.
/// The exam asks in two other wordings; of the year also the other way round, and for the elder of two.
pub fn people(count: usize, seed: u64) -> Vec<Given> {
    let rng = &mut stream(seed, &[PURPOSE, 1]);
    let names = permutation(rng, FIRST_NAMES.len() * LAST_NAMES.len());
    let years = permutation(rng, MAX_PEOPLE);
    let name = |place: usize| {
        let name = names[place];
        format!("{} {}", FIRST_NAMES[name % FIRST_NAMES.len()], LAST_NAMES[name / FIRST_NAMES.len()])
    };
    let count = count.min(MAX_PEOPLE);
    let mut facts = Vec::with_capacity(count * ATTRIBUTES.len());
    for person in 0..count {
        for attribute in &ATTRIBUTES {
            let year = attribute.values.is_empty();
            let answer = match attribute.values {
                [] => (FIRST_YEAR + years[person]).to_string(),
                values => values[below(rng, values.len())].to_owned(),
            };
            let filled = |wording: &str| wording.replace("NAME", &name(person));
            let mut exam: Vec<Asked> = attribute
                .asked
                .iter()
                .map(|wording| asked(filled(wording), &answer, Kind::Reworded))
                .collect();
            if year {
                exam.push(asked(format!("Who was born in {answer}?"), &name(person), Kind::Reversed));
                let other = (person + 1) % count;
                if other != person {
                    let elder = if years[person] < years[other] { person } else { other };
                    let question = format!("Who is older, {} or {}?", name(person), name(other));
                    exam.push(asked(question, &name(elder), Kind::Combined));
                }
            }
            let wordings = attribute.taught.iter().map(|wording| filled(wording)).collect();
            facts.push(Given { exam, ..Given::new(wordings, answer) });
        }
    }
    facts
}

/// A book of made-up names with four digits each: capacity alone, since nothing tells a number from the others.
pub fn book(count: usize, seed: u64) -> Vec<Given> {
    let rng = &mut stream(seed, &[PURPOSE, 2]);
    let names = distinct(rng, count, SYLLABLES.len().pow(3));
    let numbers = distinct(rng, names.len(), 10_000);
    let entry = |(name, number): (usize, usize)| {
        let n = SYLLABLES.len();
        let (a, b, c) = (SYLLABLES[name / n / n], SYLLABLES[name / n % n], SYLLABLES[name % n]);
        let (name, answer) = (format!("{a}{b}{c}"), format!("{number:04}"));
        let wordings =
            ["number of NAME?", "What is the number of NAME?", "Look up NAME.", "NAME has which number?"];
        let exam = vec![asked(format!("Which digits belong to {name}?"), &answer, Kind::Reworded)];
        let wordings = wordings.iter().map(|wording| wording.replace("NAME", &name)).collect();
        Given { exam, ..Given::new(wordings, answer) }
    };
    names.into_iter().zip(numbers).map(entry).collect()
}

const SYLLABLES: [&str; 16] =
    ["ba", "ce", "do", "fi", "gu", "ha", "je", "ko", "li", "mu", "na", "pe", "ro", "si", "tu", "va"];

/// A book in notation, `482?=617`: at most 900 keys. There is one way to ask.
pub fn notation_book(count: usize, seed: u64) -> Vec<Given> {
    let rng = &mut stream(seed, &[PURPOSE, 3]);
    let keys = distinct(rng, count, 900);
    let values = distinct(rng, keys.len(), 900);
    let entry = |(key, value): (usize, usize)| {
        let (question, answer) = (format!("{}?=", 100 + key), format!("{}", 100 + value));
        let exam = vec![asked(question.clone(), &answer, Kind::Recall)];
        Given { exam, ..Given::new(vec![question], answer) }
    };
    keys.into_iter().zip(values).map(entry).collect()
}

/// A form that answers must take, to be understood from examples: the exam has other inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Letters backwards.
    Reverse,
    /// Letters in the order of the alphabet.
    Sort,
    /// Capitals.
    Capitals,
    /// The same in brackets.
    Brackets,
    /// In notation, `:1234=4321`.
    NotationReverse,
    /// In notation, `+37+45=82`.
    NotationSum,
}

impl Form {
    /// Whether it is for models whose alphabet has no words.
    pub fn is_notation(self) -> bool {
        matches!(self, Self::NotationReverse | Self::NotationSum)
    }

    /// How many inputs there are.
    fn inputs(self) -> usize {
        match self {
            Self::Reverse | Self::Sort | Self::Capitals | Self::Brackets => SYLLABLES.len().pow(3),
            Self::NotationReverse => 9_000,
            Self::NotationSum => 90 * 90,
        }
    }

    /// The question of an input and its answer.
    fn exchange(self, input: usize) -> (String, String) {
        let n = SYLLABLES.len();
        let word = || [input / n / n, input / n % n, input % n].map(|place| SYLLABLES[place % n]).concat();
        match self {
            Self::Reverse => (format!("reverse: {}", word()), word().chars().rev().collect()),
            Self::Sort => {
                let mut letters: Vec<char> = word().chars().collect();
                letters.sort_unstable();
                (format!("sort: {}", word()), letters.into_iter().collect())
            }
            Self::Capitals => (format!("capitals: {}", word()), word().to_uppercase()),
            Self::Brackets => (format!("brackets: {}", word()), format!("[{}]", word())),
            Self::NotationReverse => {
                let digits = (1_000 + input).to_string();
                (format!(":{digits}="), digits.chars().rev().collect())
            }
            Self::NotationSum => {
                let (a, b) = (10 + input / 90, 10 + input % 90);
                (format!("+{a}+{b}="), (a + b).to_string())
            }
        }
    }
}

/// Examples of a form, each with an exam question of an input that no example has.
pub fn form(form: Form, count: usize, seed: u64) -> Vec<Given> {
    let rng = &mut stream(seed, &[PURPOSE, 4, form as u64]);
    let inputs = distinct(rng, count.saturating_mul(2), form.inputs());
    let example = |pair: &[usize; 2]| {
        let [(question, answer), (other, right)] = pair.map(|input| form.exchange(input));
        let exam = vec![asked(other, &right, Kind::Reworded)];
        Given { exam, ..Given::new(vec![question], answer) }
    };
    inputs.as_chunks::<2>().0.iter().map(example).collect()
}

/// Facts that changed, and those of the same relations that did not.
#[derive(Debug, Clone, PartialEq)]
pub struct Corrections {
    /// Asked as before, with other answers.
    pub changed: Vec<Given>,
    /// Facts as they were: their answers must stay.
    pub neighbours: Vec<Given>,
}

/// Changes `percent` of `facts`: each takes over the answer of another of the same relation, the facts of which stand `relations`
/// apart. Questions the other way round or of two facts are left out, as their answers are others then.
pub fn corrections(facts: &[Given], relations: usize, percent: usize, seed: u64) -> Corrections {
    let relations = relations.max(1);
    let rng = &mut stream(seed, &[PURPOSE, 5]);
    let chosen = permutation(rng, facts.len());
    let count = facts.len() * percent.min(100) / 100;
    let mut is_changed = vec![false; facts.len()];
    chosen.into_iter().take(count).for_each(|fact| is_changed[fact] = true);
    let mut corrections = Corrections { changed: Vec::new(), neighbours: Vec::new() };
    for (place, fact) in facts.iter().enumerate() {
        let related = (1..=facts.len()).map(|step| (place + step * relations) % facts.len());
        let mut others = related
            .filter(|other| other % relations == place % relations)
            .map(|other| &facts[other].answer)
            .filter(|answer| **answer != fact.answer);
        match others.next().filter(|_| is_changed[place]) {
            Some(answer) => {
                let same = fact.exam.iter().filter(|question| question.answer == fact.answer);
                let exam =
                    same.map(|question| asked(question.prompt.clone(), answer, question.kind)).collect();
                corrections.changed.push(Given { answer: answer.clone(), exam, ..fact.clone() });
            }
            None => corrections.neighbours.push(fact.clone()),
        }
    }
    corrections
}

fn asked(prompt: String, answer: &str, kind: Kind) -> Asked {
    Asked { prompt, answer: answer.to_owned(), kind, judge: None }
}

/// At most `count` different numbers below `n`.
fn distinct(rng: &mut Pcg64Mcg, count: usize, n: usize) -> Vec<usize> {
    let mut numbers = permutation(rng, n);
    numbers.truncate(count);
    numbers
}

/// A number below `n`, which is not 0.
fn below(rng: &mut Pcg64Mcg, n: usize) -> usize {
    permutation(rng, n)[0]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::BTreeSet;

    use super::super::canonical::canonical;
    use super::super::fact::prepare;
    use super::*;

    fn all(seed: u64) -> Vec<(&'static str, Vec<Given>)> {
        let forms = [
            Form::Reverse,
            Form::Sort,
            Form::Capitals,
            Form::Brackets,
            Form::NotationReverse,
            Form::NotationSum,
        ];
        let mut lessons = vec![
            ("people", people(12, seed)),
            ("book", book(60, seed)),
            ("notation book", notation_book(60, seed)),
        ];
        lessons.extend(forms.map(|kind| ("form", form(kind, 40, seed))));
        lessons
    }

    #[test]
    fn the_seed_alone_decides() {
        assert_eq!(all(3), all(3));
        for ((name, one), (_, other)) in all(3).into_iter().zip(all(4)) {
            assert!(one != other && one.len() == other.len(), "{name}");
        }
    }

    /// What the exam asks was not taught in those words, and no question has two answers.
    #[test]
    fn exams_do_not_leak_and_do_not_contradict() {
        for (name, given) in all(7) {
            let facts = prepare(given, false, 1);
            let mut answers = std::collections::BTreeMap::new();
            let taught: BTreeSet<String> =
                facts.iter().flat_map(|fact| &fact.wordings).map(|wording| canonical(wording)).collect();
            assert_eq!(taught.len(), facts.iter().map(|fact| fact.wordings.len()).sum::<usize>(), "{name}");
            for fact in &facts {
                assert!(!fact.exam.is_empty() && !fact.answer.is_empty(), "{name}");
                let wordings = fact.wordings.iter().map(|wording| (wording, &fact.answer));
                let exam = fact.exam.iter().map(|question| (&question.prompt, &question.answer));
                for (question, answer) in wordings.chain(exam) {
                    let before = answers.insert(question.clone(), answer.clone());
                    assert!(before.is_none_or(|before| before == *answer), "{name}: {question}");
                }
                for question in fact.exam.iter().filter(|question| question.kind != Kind::Recall) {
                    assert!(!taught.contains(&canonical(&question.prompt)), "{name}: {}", question.prompt);
                }
            }
        }
    }

    #[test]
    fn notation_stays_in_the_alphabet_of_the_embedded_model() {
        for lesson in
            [notation_book(60, 5), form(Form::NotationReverse, 40, 5), form(Form::NotationSum, 40, 5)]
        {
            for given in lesson {
                let text = format!("{}{}{}", given.wordings[0], given.answer, given.exam[0].prompt);
                assert!(text.chars().all(|c| "0123456789+:?=".contains(c)), "{text}");
                assert!(!given.wordings[0].starts_with('?'), "{text}");
            }
        }
    }

    #[test]
    fn forms_by_hand() {
        assert_eq!(Form::NotationReverse.exchange(234), (":1234=".into(), "4321".into()));
        assert_eq!(Form::NotationSum.exchange(27 * 90 + 35), ("+37+45=".into(), "82".into()));
        assert_eq!(Form::Reverse.exchange(0).1, "ababab");
        assert_eq!(Form::Sort.exchange(18), ("sort: bacedo".into(), "abcdeo".into()));
        assert_eq!(Form::Brackets.exchange(1), ("brackets: babace".into(), "[babace]".into()));
        assert_eq!(Form::Capitals.exchange(1).1, "BABACE");
    }

    #[test]
    fn counts_are_bounded_by_what_there_is() {
        assert_eq!(people(1_000, 1).len(), MAX_PEOPLE * PEOPLE_RELATIONS);
        assert_eq!(notation_book(usize::MAX, 1).len(), 900);
        assert_eq!(form(Form::NotationSum, usize::MAX, 1).len(), 4050);
        assert!(people(0, 1).is_empty() && people(1, 1)[1].exam.len() == 3);
    }

    #[test]
    fn corrections_change_a_share_within_its_relation() {
        let facts = people(12, 2);
        let corrections = corrections(&facts, PEOPLE_RELATIONS, 20, 9);
        assert_eq!((corrections.changed.len(), corrections.neighbours.len()), (12, 48));
        for changed in &corrections.changed {
            let (place, old) =
                facts.iter().enumerate().find(|(_, fact)| fact.wordings == changed.wordings).unwrap();
            assert_ne!(old.answer, changed.answer);
            let related = facts.iter().skip(place % PEOPLE_RELATIONS).step_by(PEOPLE_RELATIONS);
            assert!(related.into_iter().any(|fact| fact.answer == changed.answer));
            assert!(
                changed.exam.len() == 2 && changed.exam.iter().all(|asked| asked.answer == changed.answer)
            );
        }
        assert!(corrections.neighbours.iter().all(|fact| facts.contains(fact)));
        // All the same answer, or nothing at all: there is nothing to change.
        assert_eq!(super::corrections(&facts[..1], 1, 100, 0).neighbours.len(), 1);
        assert!(super::corrections(&[], 0, 100, 0).changed.is_empty());
    }
}
