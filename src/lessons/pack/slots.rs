//! Checkpoints in two files that are written in turn, so that one of them is whole at every moment.

use super::Growing;
use crate::Result;

/// Begins a file that holds a checkpoint.
const MARK: [u8; 8] = *b"\xffstate01";
/// Mark, sequence number and length stand before the bytes, which have a checksum of their own
/// ([`State`](crate::train::checkpoint::State)).
const HEADER: usize = MARK.len() + 16;

/// The two files.
#[derive(Debug)]
pub struct Slots([Box<dyn Growing>; 2]);

impl Slots {
    pub(super) fn new(files: [Box<dyn Growing>; 2]) -> Self {
        Self(files)
    }

    /// What was saved, the newest first; bytes that were not written whole may be among it.
    pub(super) fn kept(&self) -> impl Iterator<Item = Result<Vec<u8>>> {
        let mut found: Vec<_> = self.0.iter().filter_map(|file| Some((header(&**file)?, file))).collect();
        found.sort_by_key(|((sequence, _), _)| std::cmp::Reverse(*sequence));
        found.into_iter().map(|((_, length), file)| {
            let mut bytes = vec![0; length];
            file.read_at(HEADER as u64, &mut bytes).map(|()| bytes)
        })
    }

    /// Puts a checkpoint in the place of the older of the two.
    pub(super) fn save(&self, bytes: &[u8]) -> Result<()> {
        let sequences = self.0.each_ref().map(|file| header(&**file).map_or(0, |(sequence, _)| sequence));
        let [one, two] = sequences;
        let file = &self.0[usize::from(one > two)];
        // Until it is there again the file counts as none; it keeps its space meanwhile.
        file.write_at(0, &[0; HEADER])?;
        file.write_at(HEADER as u64, bytes)?;
        let header = [&MARK[..], &(one.max(two) + 1).to_le_bytes(), &(bytes.len() as u64).to_le_bytes()];
        file.write_at(0, &header.concat())?;
        file.truncate((HEADER + bytes.len()) as u64)
    }

    /// Removes both.
    pub(super) fn clear(&self) -> Result<()> {
        self.0.iter().try_for_each(|file| file.truncate(0))
    }
}

/// Sequence number and length of the checkpoint in a file.
fn header(file: &dyn Growing) -> Option<(u64, usize)> {
    let mut header = [0; HEADER];
    file.read_at(0, &mut header).ok()?;
    let (mark, numbers) = header.split_at(MARK.len());
    let (sequence, length) = numbers.split_at(8);
    let (sequence, length) =
        (u64::from_le_bytes(sequence.try_into().ok()?), u64::from_le_bytes(length.try_into().ok()?));
    let fits = file.size().ok()?.checked_sub(HEADER as u64)? >= length;
    (mark == MARK && fits).then_some(())?;
    Some((sequence, usize::try_from(length).ok()?))
}
