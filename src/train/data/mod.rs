//! Training data: lines of JSON to token sequences, their order, and their packing into batches.

mod dialogue;
mod encode;
mod fields;
mod harmless;
mod learning_fields;
mod message_fields;
mod order;
mod pack;
mod record;
mod turns;

pub use crate::model::chat::Message;
pub use dialogue::Dialogue;
pub use encode::{Dataset, Example, Place, TextEncoder};
pub use order::{Cursor, Order};
pub use pack::{PackedBatch, pack};
pub use record::Record;
pub use turns::Turns;
