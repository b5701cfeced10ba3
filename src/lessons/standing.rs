//! What counts after all that a ledger tells: which lessons, which head.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::gate::Verdict;
use super::ledger::{Cost, Entry, Line};

/// How a lesson stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is in the library, and not learnt or not examined yet.
    Proposed,
    /// A candidate was examined, and somebody has to decide.
    Waiting,
    /// The head knows it.
    Accepted,
    /// It is kept apart.
    Rejected,
    /// It was taken back.
    RolledBack,
}

/// A head of the past or the present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadRecord {
    /// Its name; `None` for the base.
    pub head: Option<String>,
    /// The lesson that made it; `None` for the base and for what was consolidated.
    pub lesson: Option<u32>,
    /// The head before it.
    pub parent: Option<String>,
    /// Lessons that were left out when it was made.
    pub without: Vec<u32>,
}

/// What counts.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    head: Option<String>,
    active: Vec<u32>,
    status: BTreeMap<u32, Status>,
    candidates: BTreeMap<u32, String>,
    verdicts: BTreeMap<u32, Verdict>,
    costs: BTreeMap<u32, Cost>,
    heads: Vec<HeadRecord>,
}

impl Standing {
    /// After `lines`.
    pub fn of(lines: &[Line]) -> Self {
        let base = HeadRecord { head: None, lesson: None, parent: None, without: Vec::new() };
        let mut standing = Self { heads: vec![base], ..Self::default() };
        for line in lines {
            standing.take(&line.entry);
        }
        standing
    }

    fn take(&mut self, entry: &Entry) {
        match entry {
            Entry::Proposed { lesson } => _ = self.status.insert(*lesson, Status::Proposed),
            Entry::Learned { lesson, head, cost } => {
                self.candidates.insert(*lesson, head.clone());
                *self.costs.entry(*lesson).or_default() += *cost;
            }
            Entry::Examined { lesson, cost, .. } => *self.costs.entry(*lesson).or_default() += *cost,
            Entry::Concluded { lesson, head, verdict } => {
                self.candidates.insert(*lesson, head.clone());
                self.verdicts.insert(*lesson, verdict.clone());
                self.status.insert(*lesson, Status::Waiting);
            }
            Entry::Accepted { lesson, head } => {
                self.active.push(*lesson);
                self.status.insert(*lesson, Status::Accepted);
                self.candidates.insert(*lesson, head.clone());
                self.become_head(Some(head.clone()), Some(*lesson), &[]);
            }
            Entry::Rejected { lesson, .. } => _ = self.status.insert(*lesson, Status::Rejected),
            Entry::RolledBack { lessons, head } => {
                self.drop_lessons(lessons);
                self.head.clone_from(head);
            }
            Entry::Consolidated { without, head, .. } => {
                self.drop_lessons(without);
                self.become_head(head.clone(), None, without);
            }
        }
    }

    fn drop_lessons(&mut self, lessons: &[u32]) {
        self.active.retain(|lesson| !lessons.contains(lesson));
        for lesson in lessons {
            self.status.insert(*lesson, Status::RolledBack);
        }
    }

    fn become_head(&mut self, head: Option<String>, lesson: Option<u32>, without: &[u32]) {
        let parent = std::mem::replace(&mut self.head, head.clone());
        self.heads.push(HeadRecord { head, lesson, parent, without: without.to_vec() });
    }

    /// The head that is served; `None` for the base.
    pub fn head(&self) -> Option<&str> {
        self.head.as_deref()
    }

    /// Lessons that count, in the order in which they were accepted.
    pub fn active(&self) -> &[u32] {
        &self.active
    }

    /// How a lesson stands; `None` for one that the ledger does not name.
    pub fn status(&self, lesson: u32) -> Option<Status> {
        self.status.get(&lesson).copied()
    }

    /// All lessons that the ledger names.
    pub fn lessons(&self) -> impl Iterator<Item = u32> {
        self.status.keys().copied()
    }

    /// The lesson that is not decided yet; there is at most one.
    pub fn pending(&self) -> Option<u32> {
        let open = |status: &Status| matches!(status, Status::Proposed | Status::Waiting);
        self.status.iter().find(|(_, status)| open(status)).map(|(lesson, _)| *lesson)
    }

    /// The head that was made for a lesson last.
    pub fn candidate(&self, lesson: u32) -> Option<&str> {
        self.candidates.get(&lesson).map(String::as_str)
    }

    /// The gate's last word on a lesson.
    pub fn verdict(&self, lesson: u32) -> Option<&Verdict> {
        self.verdicts.get(&lesson)
    }

    /// What a lesson took so far.
    pub fn cost(&self, lesson: u32) -> Cost {
        self.costs.get(&lesson).copied().unwrap_or_default()
    }

    /// Every head that there was, the base first.
    pub fn heads(&self) -> &[HeadRecord] {
        &self.heads
    }

    /// What taking a lesson back means: the head before it, and the lessons from it on that count. `None` for a lesson that does
    /// not count, and where that head knows one that was left out since.
    pub fn before(&self, lesson: u32) -> Option<(Option<String>, Vec<u32>)> {
        let place = self.active.iter().position(|active| *active == lesson)?;
        let made = self.heads.iter().rposition(|record| record.lesson == Some(lesson))?;
        let left_out = self.heads[made..].iter().any(|record| !record.without.is_empty());
        (!left_out).then(|| (self.heads[made].parent.clone(), self.active[place..].to_vec()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn after(entries: &[Entry]) -> Standing {
        let lines: Vec<Line> = entries.iter().map(|entry| Line { at: 0, entry: entry.clone() }).collect();
        Standing::of(&lines)
    }

    fn accepted(lesson: u32) -> Entry {
        Entry::Accepted { lesson, head: format!("h{lesson}") }
    }

    #[test]
    fn lessons_come_and_go() {
        let proposed = |lesson| Entry::Proposed { lesson };
        assert_eq!((after(&[]).head(), after(&[]).pending()), (None, None));
        let mut story = vec![proposed(1)];
        assert_eq!(after(&story).pending(), Some(1));
        story.extend([accepted(1), proposed(2), accepted(2)]);
        let standing = after(&story);
        assert_eq!((standing.head(), standing.active(), standing.pending()), (Some("h2"), &[1, 2][..], None));
        assert_eq!(standing.before(2), Some((Some("h1".into()), vec![2])));
        assert_eq!(standing.before(1), Some((None, vec![1, 2])));
        story.push(Entry::RolledBack { lessons: vec![2], head: Some("h1".into()) });
        story.extend([proposed(3), accepted(3)]);
        let standing = after(&story);
        assert_eq!((standing.head(), standing.active()), (Some("h3"), &[1, 3][..]));
        // Made from the head that was served then, not from the one that was taken back.
        assert_eq!(standing.before(3), Some((Some("h1".into()), vec![3])));
        assert_eq!(standing.before(2), None);
        assert_eq!(standing.status(2), Some(Status::RolledBack));
        story.extend([proposed(4), Entry::Rejected { lesson: 4, reason: "no".into() }]);
        assert_eq!((after(&story).head(), after(&story).pending()), (Some("h3"), None));
    }

    /// A head of the past may know what was left out for good.
    #[test]
    fn what_was_left_out_does_not_come_back() {
        let consolidated = |without: Vec<u32>| Entry::Consolidated {
            without,
            head: Some("all".into()),
            cost: Cost::default(),
        };
        let standing = after(&[accepted(1), accepted(2), consolidated(vec![1])]);
        assert_eq!((standing.head(), standing.active()), (Some("all"), &[2][..]));
        assert_eq!(standing.before(2), None);
        let standing = after(&[accepted(1), accepted(2), consolidated(vec![]), accepted(3)]);
        assert_eq!(standing.before(3), Some((Some("all".into()), vec![3])));
        assert_eq!(standing.before(2), Some((Some("h1".into()), vec![2, 3])));
    }
}
