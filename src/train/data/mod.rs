//! Training data: lines of JSON to token sequences, their order, and their packing into batches.

mod encode;
mod order;
mod pack;
mod record;

pub use crate::model::chat::Message;
pub use encode::{Dataset, Example, Place, TextEncoder};
pub use order::{Cursor, Order};
pub use pack::{PackedBatch, pack};
pub use record::Record;
