//! The account of the tasks that were given out: each is admitted once, whatever a network does to messages about it.
//!
//! It is part of a checkpoint ([`crate::ladder::policy::Policy::state`]), so that an account and what it stands for, weights and
//! tree, are replaced by the same rename. A task is given out again after a crash, by the same number and with the same contents,
//! and an answer to it that came meanwhile counts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is the first to a task that waits for one.
    Admitted,
    /// Its task was answered or abandoned before.
    Duplicate,
    /// It answers no task of this run, or another than the one of this number.
    Unknown,
}

/// Answers by their fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fates {
    /// Answers that count.
    pub admitted: u64,
    /// Further ones to a task that is closed.
    pub duplicate: u64,
    /// Answers that belong to no task.
    pub unknown: u64,
    /// Messages that are no answers: damaged, or against what their task says.
    pub refused: u64,
    /// Tasks that were closed without an answer, since the user stopped the run.
    pub abandoned: u64,
}

/// Tasks by number, from 0. Closed ones are those below the watermark and a set above it; all others that were planned wait.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    planned: u64,
    watermark: u64,
    above: BTreeSet<u64>,
    /// Tasks that wait, with the hash of what they ask for.
    outstanding: BTreeMap<u64, String>,
    /// Place in the log of answers up to which all were read.
    position: u64,
    fates: Fates,
}

impl Ledger {
    /// The number of the next task.
    pub fn next(&self) -> u64 {
        self.planned
    }

    /// Notes that task [`Ledger::next`] waits; `digest` is the hash of what it asks for.
    pub fn plan(&mut self, digest: String) {
        self.outstanding.insert(self.planned, digest);
        self.planned += 1;
    }

    /// Whether the task of this number and hash waits for its answer.
    pub fn waits(&self, number: u64, digest: &str) -> bool {
        self.outstanding.get(&number).is_some_and(|own| own == digest)
    }

    /// What becomes of an answer to the task of this number and hash, which is closed if it waits.
    pub fn admit(&mut self, number: u64, digest: &str) -> Fate {
        let fate = match self.outstanding.get(&number) {
            Some(own) if own == digest => Fate::Admitted,
            None if number < self.planned => Fate::Duplicate,
            _ => Fate::Unknown,
        };
        match fate {
            Fate::Admitted => {
                self.close(number);
                self.fates.admitted += 1;
            }
            Fate::Duplicate => self.fates.duplicate += 1,
            Fate::Unknown => self.fates.unknown += 1,
        }
        fate
    }

    /// Counts an answer that is none.
    pub fn refuse(&mut self) {
        self.fates.refused += 1;
    }

    /// Closes all tasks that wait. What asked for them asks again, with the same seeds, under new numbers.
    pub fn abandon(&mut self) {
        for number in std::mem::take(&mut self.outstanding).into_keys() {
            self.close(number);
            self.fates.abandoned += 1;
        }
    }

    /// Notes that answers were read up to this place.
    pub fn read(&mut self, position: u64) {
        self.position = self.position.max(position);
    }

    /// Forgets how far answers were read: their log may have been begun anew.
    pub fn read_again(&mut self) {
        self.position = 0;
    }

    /// Place in the log of answers up to which all were read.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Tasks that wait.
    pub fn waiting(&self) -> usize {
        self.outstanding.len()
    }

    /// Answers by their fate.
    pub fn fates(&self) -> Fates {
        self.fates
    }

    fn close(&mut self, number: u64) {
        self.outstanding.remove(&number);
        self.above.insert(number);
        while self.above.remove(&self.watermark) {
            self.watermark += 1;
        }
    }

    /// Says what contradicts itself in a ledger that was read.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check(&self) -> Result<(), String> {
        let numbers = || self.above.iter().chain(self.outstanding.keys());
        if self.watermark > self.planned {
            return Err(format!("{} tasks are closed of {} planned", self.watermark, self.planned));
        }
        if let Some(number) = numbers().find(|number| !(self.watermark..self.planned).contains(number)) {
            return Err(format!(
                "task {number} is not between {} and {}, which are open",
                self.watermark, self.planned
            ));
        }
        let known = self.above.len() as u64 + self.outstanding.len() as u64;
        let both = self.outstanding.keys().any(|number| self.above.contains(number));
        if both || known != self.planned - self.watermark {
            return Err("a task is both answered and awaited, or neither".into());
        }
        Ok(())
    }
}
