//! Training data: lines of JSON to token sequences, and their order.

mod dialogue;
mod encode;
mod example;
mod fields;
mod harmless;
mod learning_fields;
mod message_fields;
mod names;
mod order;
mod record;
mod turns;

pub use crate::model::chat::Message;
pub use dialogue::Dialogue;
pub use encode::Dataset;
pub use example::{Example, Place, TextEncoder};
pub use order::{Cursor, Order};
pub use record::Record;
pub use turns::Turns;
