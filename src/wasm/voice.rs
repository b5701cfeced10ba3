//! Who speaks: the model as it was loaded, with the adapter that is there, or with the head of a library.

/// What a text is by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Voice {
    /// The model as it was loaded.
    Base,
    /// The adapter that was trained or loaded.
    Adapter,
    /// The head of a library.
    Head,
}

impl Voice {
    /// What a call asks for: the head of a library comes before the adapter.
    pub(super) fn of(adapter: bool, head: bool) -> Self {
        match (adapter, head) {
            (_, true) => Self::Head,
            (true, false) => Self::Adapter,
            (false, false) => Self::Base,
        }
    }
}
