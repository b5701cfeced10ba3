//! ladder.
