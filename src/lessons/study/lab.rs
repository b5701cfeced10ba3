//! What the jobs of a study of lessons work with.

use crate::ladder::learner::Learner;
use crate::train::fingerprint;

/// The model at work, and who watches.
pub struct Lab<'a> {
    /// A learner whose adapter has the shape that every arm learns.
    pub learner: &'a mut Learner,
    /// What ties the study to its model.
    pub base: Option<fingerprint::Base>,
    /// Seconds since some moment.
    pub clock: &'a dyn Fn() -> f64,
    /// Hears a line of news.
    pub words: &'a dyn Fn(&str),
    /// Whether to stop.
    pub stopped: &'a dyn Fn() -> bool,
}
