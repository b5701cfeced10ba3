#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use unicode_width::UnicodeWidthStr;

use super::*;

/// A lesson with `n` questions, every second of the audit half.
fn lesson(number: u32, name: &str, status: Status, n: usize) -> BoardLesson {
    let kinds = [Kind::Recall, Kind::Reworded, Kind::Reworded, Kind::Reversed, Kind::Combined];
    let question = |index: usize| Question {
        half: if index.is_multiple_of(2) { Half::Gate } else { Half::Audit },
        ..Question::new(
            format!("Which number has berth {index} in {name}?"),
            format!("{}", 100 * number as usize + index),
            kinds[index % kinds.len()],
        )
    };
    BoardLesson {
        number,
        name: name.into(),
        kind: "pairs".into(),
        status,
        questions: (0..n).map(question).collect(),
        cost: Cost { training_tokens: 12_000, exam_tokens: 900, seconds: 431.0 },
        adapter_bytes: 9_748_000,
        context_tokens: 410,
        reached: None,
        in_context: Vec::new(),
    }
}

/// An exam of `n` questions, of which those are wrong whose place leaves a rest below `wrong` by 10.
fn sitting(n: usize, wrong: usize) -> Sitting {
    let outcome = |index: usize| Outcome {
        right: index % 10 >= wrong,
        said: format!("It is {index}. </pre><script>alert(1)</script>\u{202e}\u{7}"),
        logprob: Some(-0.25),
        finished: true,
    };
    Sitting { outcomes: (0..n).map(outcome).collect(), tokens: 40 * n as u64, seconds: 0.5 * n as f64 }
}

/// Five lessons: two that hold, one rejected, one rolled back, one of a single question.
fn records() -> Records {
    let sizes = [50, 60, 40, 30, 1];
    let names = ["harbour", "Köln 港口 people", "formats", "<b>bold</b>\u{1b}[31m", "one"];
    let statuses =
        [Status::Accepted, Status::Accepted, Status::Rejected, Status::RolledBack, Status::Waiting];
    let mut lessons: Vec<BoardLesson> =
        (0..5).map(|place| lesson(place as u32 + 1, names[place], statuses[place], sizes[place])).collect();
    let mut notes = sitting(50, 3);
    notes.seconds = 75.0;
    lessons[0].in_context = vec![("notes".into(), notes), ("retrieve-2".into(), sitting(50, 2))];
    let head = |lesson: u32, parent: usize, wrong: [Option<usize>; 5]| BoardHead {
        hash: Some(format!("{lesson:016x}")),
        lesson: Some(lesson),
        parent: Some(parent),
        scores: wrong.iter().zip(sizes).map(|(wrong, n)| Some(sitting(n, (*wrong)?))).collect(),
        drift: Some(0.011 * f64::from(lesson)),
    };
    let mut base = head(0, 0, [Some(9), Some(10), Some(10), Some(10), Some(10)]);
    (base.hash, base.lesson, base.parent, base.drift) = (None, None, None, None);
    Records {
        model: "SmolLM2-135M-Instruct".into(),
        lessons,
        heads: vec![
            base,
            head(1, 0, [Some(1), Some(10), None, None, None]),
            head(2, 1, [Some(2), Some(0), Some(10), Some(10), Some(10)]),
            head(3, 2, [Some(9), Some(4), Some(5), None, None]),
            head(4, 2, [Some(2), Some(0), None, Some(2), None]),
            head(5, 2, [Some(2), Some(0), None, None, Some(0)]),
        ],
        served: 2,
        asked: 41,
        other_cost: Cost::default(),
        rules: GateRules::default(),
    }
}

/// `UPDATE=1 cargo test --lib lessons::board` writes it anew.
#[test]
fn the_text_is_the_committed_one() {
    let text = Board::of(&records()).to_string();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/board.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(path).unwrap());
    for line in text.lines() {
        assert!(line.width() <= 80, "{} columns: {line}", line.width());
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

#[test]
fn sentences_say_what_cannot_be_told() {
    let board = Board::of(&records());
    let line = |place: usize| board.lessons[place].line.as_str();
    assert!(line(0).contains("learned 25 of 25; 7 min 11 s; pays back after 90 questions."), "{}", line(0));
    assert!(line(1).contains("learned 30 of 30, lost 5 of 25 earlier, forgot: \"Which"), "{}", line(1));
    assert!(line(2).contains("learned only 12 of 20, lost 27 of 50 earlier"), "{}", line(2));
    assert!(line(2).contains(" and 24 more;") && line(2).ends_with("; rejected."), "{}", line(2));
    assert!(line(3).contains("kept 50 of 50 earlier (too few to tell)"), "{}", line(3));
    // Its only question is the gate's: the audit half has none.
    assert!(line(4).contains("has no question in the audit half (cannot tell)"), "{}", line(4));
}

/// One question cannot show that something was learnt or kept.
#[test]
fn one_question_is_too_few() {
    let mut records = records();
    records.lessons.truncate(2);
    records.heads.truncate(3);
    for (place, lesson) in records.lessons.iter_mut().enumerate() {
        lesson.questions.truncate(1);
        lesson.questions[0].half = Half::Audit;
        for (head, row) in records.heads.iter_mut().enumerate() {
            row.scores[place] = Some(sitting(1, if head > place { 0 } else { 10 }));
        }
    }
    let board = Board::of(&records);
    let second = &board.lessons[1];
    assert_eq!(
        second.learned.map(|told| (told.right, told.of, told.answer)),
        Some((1, 1, Answer::CannotTell))
    );
    assert_eq!(second.kept.map(|told| (told.right, told.of, told.answer)), Some((1, 1, Answer::CannotTell)));
}

#[test]
fn only_what_the_served_head_comes_from_counts() {
    let board = Board::of(&records());
    let in_line: Vec<bool> = board.heads.iter().map(|head| head.in_line).collect();
    assert_eq!(in_line, [true, true, true, false, false, false]);
    let average = board.audit.average.unwrap();
    // Two lessons: 20 of 25 and 30 of 30, with every odd place in the audit half.
    assert_eq!((average.exams, average.questions), (2, 55));
    let change =
        |head: usize, exam: usize| board.heads[head].cells[exam].as_ref().and_then(|cell| cell.change);
    assert!((change(3, 0).unwrap() - -0.8).abs() < 1e-9, "{:?}", change(3, 0));
    assert_eq!(change(0, 0), None);
    assert!(board.heads[1].cells[2].is_none());
    let paid = board.paid.unwrap();
    assert!(paid > 0.0 && paid < 1.0 && board.to_string().contains("not yet paid back"));
}

/// The first lesson's notes make a question 1 s slower: 431 s are paid back by 431 questions.
#[test]
fn notes_are_compared_by_the_clock() {
    let board = Board::of(&records());
    assert_eq!(board.lessons[0].payback.unwrap().by_seconds, Some(431.0));
    let ways: Vec<&str> = board.lessons[0].ways.iter().map(|way| way.name.as_str()).collect();
    assert_eq!(ways, ["weights", "notes", "retrieve-2"]);
    // The second lesson's were not measured, so that nothing is said of all together.
    assert_eq!(
        (board.lessons[1].payback.unwrap().by_seconds, board.payback.unwrap().by_seconds),
        (None, None)
    );
}

#[test]
fn the_page_escapes_all_that_was_said() {
    let page = Board::of(&records()).page().unwrap();
    if let Some(path) = std::env::var_os("BOARD_PAGE") {
        std::fs::write(path, &page).unwrap();
    }
    for hostile in ["<script", "</pre><", "<b>bold", "\u{202e}", "\u{1b}", "\u{7}"] {
        assert!(!page.contains(hostile), "{hostile:?}");
    }
    for text in ["&lt;script&gt;", "Köln 港口", "never right", "served", "retrieve-2"] {
        assert!(page.contains(text), "{text}");
    }
}

/// Lists that do not belong together, a head that names itself or nobody, and no lessons at all.
#[test]
fn records_that_do_not_fit_are_not_examined() {
    let mut records = records();
    records.heads[2].scores = vec![Some(sitting(3, 0))];
    records.heads[2].parent = Some(2);
    let board = Board::of(&records);
    assert!(board.heads[2].cells.iter().all(Option::is_none));
    assert_eq!(board.lessons[0].questions[0].fate, Fate::Unknown);
    records.served = 99;
    assert!(Board::of(&records).heads.iter().all(|head| !head.in_line));
    records.lessons.clear();
    let board = Board::of(&records);
    assert!(
        board.to_string().contains("Nothing was taught yet.")
            && board.page().unwrap().contains("Nothing was")
    );
    serde_json::to_string(&board).unwrap();
}
