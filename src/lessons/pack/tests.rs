#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::rc::Rc;

use super::super::card::examples::{card, lesson};
use super::super::library::{Library, count_asked};
use super::super::{anchors::Anchor, ledger::Entry};
use super::*;

/// A file in memory that has room for so many bytes.
#[derive(Debug, Clone, Default)]
struct Memory {
    bytes: Rc<RefCell<Vec<u8>>>,
    room: Rc<Cell<Option<usize>>>,
}

impl Memory {
    fn of(bytes: &[u8]) -> Self {
        Self { bytes: Rc::new(RefCell::new(bytes.to_vec())), ..Self::default() }
    }
}

impl Growing for Memory {
    fn size(&self) -> Result<u64> {
        Ok(self.bytes.borrow().len() as u64)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let bytes = self.bytes.borrow();
        let part = bytes.get(offset as usize..offset as usize + out.len());
        let part = part.ok_or_else(|| Error::read("memory", io::ErrorKind::UnexpectedEof.into()))?;
        out.copy_from_slice(part);
        Ok(())
    }

    fn write_at(&self, offset: u64, new: &[u8]) -> Result<()> {
        let mut bytes = self.bytes.borrow_mut();
        let room =
            self.room.get().map_or(new.len(), |room| room.saturating_sub(offset as usize).min(new.len()));
        let end = offset as usize + room;
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset as usize..end].copy_from_slice(&new[..room]);
        match room == new.len() {
            true => Ok(()),
            false => Err(Error::write("memory", io::ErrorKind::StorageFull.into())),
        }
    }

    fn truncate(&self, size: u64) -> Result<()> {
        self.bytes.borrow_mut().truncate(size as usize);
        Ok(())
    }
}

fn slots() -> Option<[Box<dyn Growing>; 2]> {
    Some([Box::new(Memory::default()), Box::new(Memory::default())])
}

fn open(file: &Memory) -> Result<Pack> {
    Pack::open("notes", Box::new(file.clone()), slots())
}

/// The length of a library's file, and what is in it.
type Step = (usize, Vec<(String, u64)>);

/// A library with two lessons, one of them rejected, as it grows, and how it stands after each step.
fn story() -> (Memory, Vec<Step>) {
    let file = Memory::default();
    let mut steps = Vec::new();
    let mut note = || steps.push((file.bytes.borrow().len(), open(&file).unwrap().files().unwrap()));
    note();
    let anchor = Anchor { prompt: "?".into(), prompt_tokens: 1, tokens: vec![1, 2], logprobs: vec![-1.0] };
    let mut library = Library::create_in(Box::new(open(&file).unwrap()), &card(), &[anchor]).unwrap();
    note();
    // A lesson is its folder and then its line.
    let folder =
        |library: &mut Library, name: &str| library.propose(lesson(name), Vec::new(), b"{}\n").unwrap();
    assert_eq!(folder(&mut library, "one"), 1);
    note();
    library.note(Entry::Rejected { lesson: 1, reason: "no".into() }).unwrap();
    note();
    assert_eq!(folder(&mut library, "two"), 2);
    note();
    count_asked(&open(&file).unwrap(), 3).unwrap();
    note();
    (file, steps)
}

#[test]
fn a_library_is_read_back() {
    let (file, _) = story();
    let library = Library::open_in(Box::new(open(&file).unwrap())).unwrap();
    assert_eq!((library.card(), library.asked().unwrap()), (&card(), 3));
    let names: Vec<&str> = library.lessons().map(|lesson| lesson.card.name.as_str()).collect();
    assert_eq!(names, ["one", "two"]);
    assert_eq!((library.standing().pending(), library.ledger().lines().len()), (Some(2), 3));
    assert_eq!(library.anchors().unwrap().len(), 1);
    let paths: Vec<String> =
        open(&file).unwrap().files().unwrap().into_iter().map(|(path, _)| path).collect();
    assert_eq!(
        paths,
        [
            "asked.jsonl",
            "base/anchors.jsonl",
            "ledger.jsonl",
            "lessons/0001-one/facts.jsonl",
            "lessons/0001-one/lesson.json",
            "lessons/0001-one/source.jsonl",
            "lessons/0002-two/facts.jsonl",
            "lessons/0002-two/lesson.json",
            "lessons/0002-two/source.jsonl",
            "library.json",
        ]
    );
    // To be read only, nothing is written.
    let read_only = Pack::open("notes", Box::new(file.clone()), None).unwrap();
    assert!(read_only.write("x", b"1").is_err());
    assert!(Library::open_in(Box::new(read_only)).unwrap().note(Entry::Proposed { lesson: 3 }).is_err());
}

/// A tab that is closed while a record is written leaves the library as it was before that or after it, and it goes on from
/// there.
#[test]
fn cut_at_any_byte_it_is_as_before_or_after() {
    let (file, steps) = story();
    let bytes = file.bytes.borrow().clone();
    for cut in 0..=bytes.len() {
        // What the disk has of the rest are zeros, or nothing.
        for zeros in [0, 100, bytes.len() - cut] {
            let torn = Memory::of(&[&bytes[..cut], &vec![0; zeros]].concat());
            let pack = open(&torn).unwrap();
            let last = steps.iter().rev().find(|(length, _)| *length <= cut).unwrap();
            let found = pack.files().unwrap();
            // A lesson's folder without its line is one more state, in which the lesson does not count.
            assert!(found == last.1 || found.len() == last.1.len() + 3, "{cut}: {found:?}");
            pack.write("x", b"after").unwrap();
            assert_eq!(open(&torn).unwrap().read("x", 9).unwrap(), b"after");
            assert_eq!(open(&torn).unwrap().files().unwrap().len(), found.len() + 1);
            if found.iter().any(|(path, _)| path == "library.json") {
                Library::open_in(Box::new(open(&torn).unwrap())).unwrap();
            }
        }
    }
}

#[test]
fn damage_before_the_last_record_is_said() {
    let (file, steps) = story();
    for place in [MAGIC.len(), MAGIC.len() + 9, MAGIC.len() + FIXED + 3, steps[2].0 + 20] {
        let damaged = Memory::of(&file.bytes.borrow());
        damaged.bytes.borrow_mut()[place] ^= 0x40;
        let error = open(&damaged).unwrap_err().to_string();
        assert!(error.contains("is damaged at byte") && error.contains("bring back"), "{place}: {error}");
        assert_eq!(damaged.bytes.borrow().len(), file.bytes.borrow().len());
    }
    let error = open(&Memory::of(b"PK\x03\x04")).unwrap_err().to_string();
    assert!(error.contains("is no library of lessons"), "{error}");
}

/// A length is not believed.
#[test]
fn what_a_record_says_is_bounded_by_the_file() {
    let head = br#"{"change":"put","folder":null,"files":[["a",18446744073709551615],["b",2]]}"#;
    for body in [u64::MAX, 1 << 40, 1] {
        let lengths = [&(head.len() as u32).to_le_bytes()[..], &body.to_le_bytes()].concat();
        let parts = [MAGIC, &MARK, &lengths, &sum(&[&lengths, head]), &sum(&[b"x"]), head.as_slice(), b"x"];
        match open(&Memory::of(&parts.concat())) {
            Ok(pack) => assert!(pack.files().unwrap().is_empty()),
            Err(error) => assert!(error.to_string().contains("damaged"), "{error}"),
        }
    }
}

#[test]
fn without_room_a_change_did_not_happen() {
    let (file, steps) = story();
    let before = file.bytes.borrow().clone();
    let mut library = Library::open_in(Box::new(open(&file).unwrap())).unwrap();
    file.room.set(Some(before.len() + 30));
    assert_eq!(library.note(Entry::Rejected { lesson: 2, reason: "no".into() }).unwrap_err().code(), "io");
    assert_eq!(library.standing().pending(), Some(2));
    assert_eq!(*file.bytes.borrow(), before);
    file.room.set(None);
    library.note(Entry::Rejected { lesson: 2, reason: "no".into() }).unwrap();
    assert_eq!(Library::open_in(Box::new(open(&file).unwrap())).unwrap().standing().pending(), None);
    assert_eq!(steps.len(), 6);
}

fn state(number: f32) -> State {
    State { tensors: [("a".to_owned(), vec![number; 9])].into(), ..State::default() }
}

/// Cut at any byte while it is saved, a checkpoint leaves the one before it.
#[test]
fn one_of_two_checkpoints_is_whole() {
    let files = [Memory::default(), Memory::default()];
    let pack = || {
        let slots = files.each_ref().map(|file| Box::new(file.clone()) as Box<dyn Growing>);
        Pack::open("notes", Box::new(Memory::default()), Some(slots)).unwrap()
    };
    let last = || pack().checkpoint("lessons/1", &|_, _| Ok(())).unwrap();
    assert_eq!(last(), None);
    for number in 1..=3 {
        pack().save_checkpoint("lessons/1", &state(number as f32)).unwrap();
        assert_eq!(last(), Some(state(number as f32)));
    }
    // The third is in the first file; the next goes to the second.
    let length = files[0].bytes.borrow().len();
    for room in 0..length {
        files[1].room.set(Some(room));
        assert!(pack().save_checkpoint("lessons/1", &state(4.0)).is_err());
        assert_eq!(last(), Some(state(3.0)), "{room}");
    }
    let none = |_: &State, file: &Path| Err(Error::input(file, "a", "is another", "none"));
    assert_eq!(pack().checkpoint("lessons/1", &none).unwrap(), None);
    pack().remove_checkpoints("lessons/1").unwrap();
    assert_eq!(last(), None);
}
