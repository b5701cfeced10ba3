//! The files of a user's checker, which a run that goes on is compared with.

use std::collections::BTreeMap;
use std::fs::File;

use stepladder::task::Task;
use stepladder::train::fingerprint::sha256_of;

use super::signals::say;

/// Hashes of the files of `task`'s checker, by name. One that cannot be read has none: the checker itself will say so.
pub(super) fn hashes(task: &dyn Task) -> BTreeMap<String, String> {
    let hash = |file: &String| File::open(file).and_then(sha256_of).ok();
    task.files().into_iter().filter_map(|file| Some((file.clone(), hash(&file)?))).collect()
}

/// Tells which files have changed since `old`. A checker may be corrected, and may keep a log in a file that its command names, so that
/// this is no error.
pub(super) fn tell_changes(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>, before: &str) {
    for (file, _) in old.iter().filter(|(file, hash)| new.get(*file) != Some(*hash)) {
        say(&format!(
            "`{file}`, a file of the checker, is not as it was when {before}: what was judged then may be judged otherwise from here on"
        ));
    }
}
