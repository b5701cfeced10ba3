//! Which cache pages belong to whom. Full pages of a prompt are shared by its samples, those of a prefix that every
//! prompt begins with by all.

use super::kept::Kept;
use crate::kernel::attention::PAGE;
use crate::model::index32;

/// Where a page keeps what belongs to a position.
pub(super) fn place(page: u32, position: usize) -> u32 {
    page * PAGE as u32 + (position % PAGE) as u32
}

/// The pool of pages, with the number of rows that use each.
#[derive(Debug, Default)]
pub(super) struct Pages {
    users: Vec<u32>,
    free: Vec<u32>,
    /// Pages of the prefix that every prompt begins with.
    prefix: Vec<u32>,
    /// Tokens of that prefix; its last page may go on with what follows.
    prefix_tokens: usize,
}

/// Pages of one prompt and its samples.
#[derive(Debug)]
pub(super) struct Group {
    /// Full pages of the prompt, those of the prefix first.
    pub(super) shared: Vec<u32>,
    /// The pages after these, for each sample.
    private: Vec<Vec<u32>>,
}

impl Group {
    /// The page table of a sample, in order of positions.
    pub(super) fn table(&self, sample: usize) -> Vec<u32> {
        [self.shared.as_slice(), &self.private[sample]].concat()
    }

    /// Where a sample keeps the key and value of a position.
    pub(super) fn place(&self, sample: usize, position: usize) -> u32 {
        let index = position / PAGE;
        let page = match self.shared.get(index) {
            Some(page) => *page,
            None => self.private[sample][index - self.shared.len()],
        };
        place(page, position)
    }
}

impl Pages {
    /// A pool of `total` free pages.
    pub(super) fn new(total: usize) -> Self {
        Self {
            users: vec![0; total],
            free: (0..index32(total)).rev().collect(),
            prefix: Vec::new(),
            prefix_tokens: 0,
        }
    }

    /// A pool of `total` pages that holds `kept`, which the only prompt to come begins with.
    pub(super) fn holding(total: usize, kept: &Kept) -> Self {
        let mut pages = Self::new(total);
        pages.free.retain(|page| !kept.table.contains(page));
        for &page in &kept.table {
            pages.users[page as usize] = 1;
        }
        pages.prefix.clone_from(&kept.table);
        pages.prefix_tokens = kept.tokens.len();
        pages
    }

    pub(super) fn total(&self) -> usize {
        self.users.len()
    }

    /// Whether no prompt has pages beside the prefix.
    pub(super) fn all_free(&self) -> bool {
        self.free.len() + self.prefix.len() == self.users.len()
    }

    /// Tokens of the prefix.
    pub(super) fn prefix_tokens(&self) -> usize {
        self.prefix_tokens
    }

    /// Sets `count` pages aside for a prefix that every prompt to come begins with, until the pool is replaced: none if
    /// too few are free, and then every prompt has its own.
    pub(super) fn take_prefix(&mut self, count: usize) -> &[u32] {
        if count <= self.free.len() {
            self.prefix = self.free.split_off(self.free.len() - count);
            self.prefix_tokens = count * PAGE;
            for &page in &self.prefix {
                // The pool itself is a user, so that rows that end never free it.
                self.users[page as usize] = 1;
            }
        }
        &self.prefix
    }

    /// Pages for a prompt of `prompt` tokens, which is longer than the prefix, with `samples` completions of up to
    /// `limit` tokens; `None` if too few are free. The prompt's last token is fed by the decode loop, so its key is never
    /// shared.
    pub(super) fn take_group(&mut self, prompt: usize, limit: usize, samples: usize) -> Option<Group> {
        let full = ((prompt - 1) / PAGE).max(self.prefix.len());
        let own = (prompt + limit).div_ceil(PAGE).saturating_sub(full);
        let shared = full - self.prefix.len();
        if shared + own * samples > self.free.len() {
            return None;
        }
        let mut take = |count: usize, users: usize| {
            let pages = self.free.split_off(self.free.len() - count);
            for &page in &pages {
                self.users[page as usize] = index32(users);
            }
            pages
        };
        let (shared, private) = (take(shared, samples), (0..samples).map(|_| take(own, 1)).collect());
        for &page in &self.prefix {
            self.users[page as usize] += index32(samples);
        }
        Some(Group { shared: [self.prefix.as_slice(), &shared].concat(), private })
    }

    /// `count` pages for one user; `None` if too few are free.
    pub(super) fn take(&mut self, count: usize) -> Option<Vec<u32>> {
        let pages = self.free.split_off(self.free.len().checked_sub(count)?);
        for &page in &pages {
            self.users[page as usize] = 1;
        }
        Some(pages)
    }

    /// Gives pages that are taken one user more.
    pub(super) fn share(&mut self, pages: &[u32]) {
        for &page in pages {
            self.users[page as usize] += 1;
        }
    }

    /// Gives a row's pages back; shared ones return with their last user.
    pub(super) fn release(&mut self, table: &[u32]) {
        for &page in table {
            let users = &mut self.users[page as usize];
            *users = users.saturating_sub(1);
            if *users == 0 {
                self.free.push(page);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn samples_share_full_prompt_pages_and_nothing_else() {
        let mut pages = Pages::new(16);
        let group = pages.take_group(PAGE * 2 + 5, PAGE, 3).unwrap();
        assert_eq!(group.shared.len(), 2);
        let tables: Vec<_> = (0..3).map(|sample| group.table(sample)).collect();
        assert!(tables.iter().all(|table| table[..2] == group.shared[..] && table.len() == 4));
        let mut private: Vec<u32> = tables.iter().flat_map(|table| table[2..].to_vec()).collect();
        private.sort_unstable();
        private.dedup();
        assert_eq!(private.len(), 6);
        for table in &tables {
            assert!(!pages.all_free());
            pages.release(table);
        }
        assert!(pages.all_free());
    }

    #[test]
    fn a_prefix_outlives_its_users() {
        let mut pages = Pages::new(8);
        let prefix = pages.take_prefix(2).to_vec();
        assert_eq!((prefix.len(), pages.prefix_tokens()), (2, 2 * PAGE));
        assert!(pages.all_free());
        let first = pages.take_group(PAGE * 2 + 1, PAGE - 1, 2).unwrap();
        let second = pages.take_group(PAGE * 3 + 1, PAGE - 1, 1).unwrap();
        assert_eq!(first.shared, prefix);
        assert_eq!((&second.shared[..2], second.shared.len()), (&prefix[..], 3));
        assert_eq!(second.place(0, PAGE + 3), prefix[1] * PAGE as u32 + 3);
        assert!(pages.take_group(PAGE * 2 + 1, PAGE * 3, 1).is_none());
        for table in [first.table(0), first.table(1), second.table(0)] {
            assert!(!pages.all_free());
            pages.release(&table);
        }
        assert!(pages.all_free());
        let third = pages.take_group(PAGE * 2 + 1, PAGE * 6 - 1, 1).unwrap();
        assert!(third.table(0)[2..].iter().all(|page| !prefix.contains(page)));
        // What does not fit is not shared.
        assert!(Pages::new(1).take_prefix(2).is_empty());
    }

    #[test]
    fn a_prompt_goes_on_in_the_pages_that_are_held() {
        let kept = Kept { tokens: vec![5; PAGE + 3], table: vec![6, 2] };
        let mut pages = Pages::holding(8, &kept);
        assert_eq!(pages.prefix_tokens(), PAGE + 3);
        let group = pages.take_group(PAGE * 2 + 1, PAGE, 1).unwrap();
        let table = group.table(0);
        assert_eq!((&table[..2], table.len()), (&[6, 2][..], 4));
        assert_eq!(group.place(0, PAGE + 3), 2 * PAGE as u32 + 3, "the second page is not full");
        assert!(table[2..].iter().all(|page| ![6, 2].contains(page)));
        pages.release(&table);
        assert!(pages.all_free());
        // A prompt that ends inside of what is held.
        let group = pages.take_group(PAGE + 4, 1, 1).unwrap();
        assert_eq!(group.table(0), [6, 2]);
    }

    #[test]
    fn a_group_that_does_not_fit_takes_nothing() {
        let mut pages = Pages::new(4);
        assert!(pages.take_group(1, PAGE * 5, 1).is_none());
        assert!(pages.all_free());
        assert!(pages.take_group(1, PAGE - 1, 4).is_some());
        assert!(pages.take_group(1, 1, 1).is_none());
    }
}
