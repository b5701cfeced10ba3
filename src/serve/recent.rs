//! Answers that were given last, in memory alone, so that feedback can name them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// Most answers that are remembered, and most bytes of them and their prompts together.
const MAX_ANSWERS: usize = 1000;
const MAX_BYTES: usize = 16 << 20;

/// What was asked and answered under one id.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Exchange {
    /// Each prompt, a text or the messages of a conversation; or why no lesson can be made of it.
    pub(super) asked: Result<Vec<Value>, &'static str>,
    /// Each completion, those of the first prompt first.
    pub(super) answers: Vec<String>,
}

impl Exchange {
    fn bytes(&self) -> usize {
        let asked = self.asked.iter().flatten().map(|prompt| prompt.to_string().len());
        asked.chain(self.answers.iter().map(String::len)).sum()
    }
}

#[derive(Debug, Default)]
struct Held {
    by_id: HashMap<String, (Exchange, usize)>,
    /// The oldest first.
    order: VecDeque<String>,
    bytes: usize,
}

/// The answers that were given last.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Held>);

impl Recent {
    /// Remembers an answer; older ones make room.
    pub(super) fn put(&self, id: &str, exchange: Exchange) {
        let bytes = exchange.bytes();
        if bytes > MAX_BYTES {
            return;
        }
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.bytes += bytes;
        held.order.push_back(id.to_owned());
        held.by_id.insert(id.to_owned(), (exchange, bytes));
        while held.order.len() > MAX_ANSWERS || held.bytes > MAX_BYTES {
            let Some(oldest) = held.order.pop_front() else { break };
            if let Some((_, bytes)) = held.by_id.remove(&oldest) {
                held.bytes -= bytes;
            }
        }
    }

    /// What was answered under an id, if it is remembered.
    pub(super) fn get(&self, id: &str) -> Option<Exchange> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.by_id.get(id).map(|(exchange, _)| exchange.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(bytes: usize) -> Exchange {
        Exchange { asked: Ok(Vec::new()), answers: vec!["x".repeat(bytes)] }
    }

    #[test]
    fn old_answers_make_room() {
        let recent = Recent::default();
        for number in 0..MAX_ANSWERS + 3 {
            recent.put(&number.to_string(), exchange(4));
        }
        assert_eq!((recent.get("2"), recent.get("3")), (None, Some(exchange(4))));
        for id in ["a", "b", "c"] {
            recent.put(id, exchange(MAX_BYTES / 2));
        }
        assert!(recent.get("3").is_none() && recent.get("a").is_none());
        assert!(recent.get("b").is_some() && recent.get("c").is_some());
        recent.put("d", exchange(MAX_BYTES + 1));
        assert!(recent.get("d").is_none() && recent.get("c").is_some());
    }
}
