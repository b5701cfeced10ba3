// The transformed input is used here only: do not store it.
fn keep(row: u32, thread: u32) {}
