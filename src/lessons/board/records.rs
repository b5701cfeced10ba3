//! What a board is made from, out of a library.

use super::{BoardHead, BoardLesson, Records};
use crate::Result;
use crate::lessons::card::Lesson;
use crate::lessons::ledger::{Cost, Entry};
use crate::lessons::library::{BASE, Library};
use crate::lessons::outcome::Sitting;
use crate::lessons::standing::{HeadRecord, Status};

impl Records {
    /// Everything that `library` knows. Questions whose facts were replaced by a lesson that counts are left out.
    ///
    /// # Errors
    /// Those of reading the library.
    pub fn of(library: &Library) -> Result<Self> {
        let standing = library.standing();
        let mut heads: Vec<HeadRecord> = standing.heads().to_vec();
        // Candidates that are not in line: waiting, or kept apart.
        for lesson in library.lessons() {
            let number = lesson.card.number;
            let made = standing.candidate(number).filter(|_| {
                matches!(standing.status(number), Some(Status::Waiting | Status::Rejected | Status::Proposed))
            });
            if let Some(head) = made {
                let parent = lesson.card.parent.clone();
                let head = Some(head.to_owned());
                heads.push(HeadRecord { head, lesson: Some(number), parent, without: Vec::new() });
            }
        }
        let mut rows: Vec<BoardHead> = Vec::with_capacity(heads.len());
        for (place, record) in heads.iter().enumerate() {
            let before = &heads[..place];
            let parent = before.iter().rposition(|other| other.head == record.parent);
            let name = record.head.as_deref().unwrap_or(BASE);
            let scores =
                library.lessons().map(|lesson| sitting(library, lesson, name)).collect::<Result<Vec<_>>>()?;
            rows.push(BoardHead {
                hash: record.head.clone(),
                lesson: record.lesson,
                parent,
                scores,
                drift: drift(library, record.head.as_deref()),
            });
        }
        let served = heads.iter().rposition(|record| record.head.as_deref() == standing.head()).unwrap_or(0);
        let lessons =
            library.lessons().map(|lesson| board_lesson(library, lesson)).collect::<Result<Vec<_>>>()?;
        let mut other_cost = Cost::default();
        for line in library.ledger().lines() {
            if let Entry::Consolidated { cost, .. } = &line.entry {
                other_cost += *cost;
            }
        }
        Ok(Self {
            model: library.card().model.clone(),
            lessons,
            heads: rows,
            served,
            asked: library.asked()?,
            other_cost,
            rules: library.card().gate.clone(),
        })
    }
}

fn board_lesson(library: &Library, lesson: &Lesson) -> Result<BoardLesson> {
    let number = lesson.card.number;
    let standing = library.standing();
    let holds = holds(library, lesson);
    let questions = lesson.questions().zip(&holds).filter(|(_, holds)| **holds);
    let mut in_context = Vec::new();
    for name in library.notes_examined(lesson)? {
        if let Some(sitting) = sitting(library, lesson, &name)? {
            in_context.push((name, sitting));
        }
    }
    Ok(BoardLesson {
        number,
        name: lesson.card.name.clone(),
        kind: lesson.card.kind.name().into(),
        status: standing.status(number).unwrap_or(Status::Proposed),
        questions: questions.map(|((_, question), _)| question.clone()).collect(),
        cost: standing.cost(number),
        adapter_bytes: standing.candidate(number).map_or(0, |head| library.head_bytes(head)),
        context_tokens: lesson.card.context_tokens,
        reached: lesson.card.reached,
        in_context,
    })
}

/// For each question of a lesson, whether what it asks still holds.
fn holds(library: &Library, lesson: &Lesson) -> Vec<bool> {
    lesson.questions().map(|(fact, _)| !library.is_superseded(lesson.card.number, fact, None)).collect()
}

/// An exam under a name, without what does not hold.
fn sitting(library: &Library, lesson: &Lesson, name: &str) -> Result<Option<Sitting>> {
    let Some(mut sitting) = library.results(lesson, name)? else { return Ok(None) };
    let mut holds = holds(library, lesson).into_iter();
    sitting.outcomes.retain(|_| holds.next().unwrap_or(true));
    Ok(Some(sitting))
}

/// The drift of a head when it was examined last.
fn drift(library: &Library, head: Option<&str>) -> Option<f64> {
    let head = head?;
    library.ledger().lines().iter().rev().find_map(|line| match &line.entry {
        Entry::Examined { head: examined, drift, .. } if examined == head => Some(*drift),
        _ => None,
    })
}
