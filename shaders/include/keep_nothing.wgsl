// Of the input of a first half nobody else needs what it takes.
fn keep(row: u32, thread: u32) {}
