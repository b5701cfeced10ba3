//! Sampling: what it chooses for certain, and how it moves the rows on.

use stepladder::kernel::NONE;
use stepladder::kernel::attention::PAGE;
use stepladder::kernel::sample::{self, MAX_STOPS, Settings, State};

use super::case::Case;
use crate::common::{Dtype, Policy, Random, wide};
use crate::reference::log_softmax;

/// Greedy, with room for many tokens and no stop.
pub(crate) const GREEDY: Settings = Settings {
    temperature: 0.0,
    top_p: 1.0,
    min_p: 0.0,
    top_k: 0,
    seed: 0,
    first: 0,
    limit: 1_000,
    stops: 0,
    stop: [0; MAX_STOPS],
};

/// A decode batch before a step.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) vocab: usize,
    pub(crate) z: Vec<f32>,
    pub(crate) settings: Vec<Settings>,
    pub(crate) position: Vec<u32>,
    pub(crate) live: Vec<u32>,
    pub(crate) row_pages: usize,
    pub(crate) pages: Vec<u32>,
    pub(crate) capacity: usize,
}

impl Batch {
    /// Live rows at position 0 with these logits `[rows, vocab]`.
    pub(crate) fn new(vocab: usize, z: Vec<f32>, settings: Vec<Settings>) -> Self {
        let rows = settings.len();
        assert_eq!(z.len(), rows * vocab);
        Self {
            vocab,
            z,
            settings,
            position: vec![0; rows],
            live: vec![1; rows],
            row_pages: 1,
            pages: (0..rows as u32).collect(),
            capacity: 1,
        }
    }
}

/// The buffers of a batch in a case.
struct Indices {
    settings: usize,
    pages: usize,
    token: usize,
    position: usize,
    live: usize,
    pair: usize,
    out: usize,
}

fn case(name: &str, batch: &Batch) -> (Case, Indices) {
    let mut case = Case::new(name);
    let rows = batch.settings.len();
    let z = case.input(&[rows, batch.vocab], &batch.z);
    let indices = Indices {
        settings: case.words(&[rows, Settings::WORDS], bytemuck::cast_slice(&batch.settings)),
        pages: case.words(&[rows, batch.row_pages], &batch.pages),
        token: case.output(&[rows]),
        position: case.words(&[rows], &batch.position),
        live: case.words(&[rows], &batch.live),
        pair: case.output(&[rows, 2]),
        out: case.output(&[rows, batch.capacity, 2]),
    };
    let Indices { settings, pages, token, position, live, pair, out } = indices;
    case.record(move |rec, b| {
        let state = State {
            settings: b[settings].clone(),
            pages: b[pages].clone(),
            token: b[token].clone(),
            position: b[position].clone(),
            live: b[live].clone(),
            pair: b[pair].clone(),
            out: b[out].clone(),
        };
        sample::forward(rec, &b[z], &state)
    });
    (case, indices)
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![moves()];
    let mut random = Random::new(40);
    for (rows, vocab) in [(1, 1), (3, 7), (7, 64), (9, 1_003)] {
        let filters = [
            ("greedy", GREEDY),
            // Filters do not matter to the greedy choice.
            ("greedy with filters", Settings { top_k: 3, top_p: 0.1, min_p: 0.5, ..GREEDY }),
            ("top_k 1", Settings { temperature: 1.5, top_k: 1, ..GREEDY }),
            ("top_p 0", Settings { temperature: 1.5, top_p: 0.0, ..GREEDY }),
            ("min_p 1", Settings { temperature: 1.5, min_p: 1.0, ..GREEDY }),
        ];
        for (name, settings) in filters {
            let z: Vec<f32> = random.normal(rows * vocab).iter().map(|z| 3.0 * z - 7.0).collect();
            cases.push(certain(
                &format!("{name}, {rows} rows of {vocab}"),
                Batch::new(vocab, z, vec![settings; rows]),
            ));
        }
    }
    // Ties go to the lower index, within and across the threads' shares, and masked tokens are no candidates.
    let mut ties = vec![-1.0f32; 3 * 200];
    for (row, largest) in [(0, [199, 70]), (1, [5, 133]), (2, [64, 0])] {
        largest.iter().for_each(|at| ties[row * 200 + at] = 2.5);
        ties[row * 200 + 20] = f32::MIN;
    }
    cases.push(certain("ties", Batch::new(200, ties, vec![GREEDY; 3])));
    cases
}

/// The first largest logit is chosen.
fn certain(name: &str, batch: Batch) -> Case {
    let (mut case, at) = case(name, &batch);
    let mut tokens = Vec::new();
    for (row, z) in batch.z.chunks(batch.vocab).enumerate() {
        let best = (0..z.len()).reduce(|best, i| if z[i] > z[best] { i } else { best }).unwrap();
        tokens.push(best as u32);
        case.bits_from(at.out, row * 2, vec![best as u32]);
        let policy = Policy::with_exp(Dtype::F32, batch.vocab).at_least(1.0);
        case.near_from(at.out, row * 2 + 1, vec![log_softmax::row(&wide(z))[best]], policy);
    }
    case.bits(at.token, tokens);
    case
}

/// One stop token, then up to the last place others that no row chooses.
fn stops(first: u32, last: u32) -> [u32; MAX_STOPS] {
    let mut stops = [last; MAX_STOPS];
    stops[..MAX_STOPS - 1].fill(first);
    stops
}

/// Row by row: goes on, stops at a token, stops at the limit, idle, goes on to its next page, out of room in `out`, at the end of its pages.
fn moves() -> Case {
    let vocab = 9;
    let mut random = Random::new(41);
    let rows = 7;
    let mut z = random.normal(rows * vocab);
    (0..rows).for_each(|row| z[row * vocab + row] = 10.0);
    let edge = PAGE as u32 - 1;
    let mut batch = Batch::new(vocab, z, vec![GREEDY; rows]);
    batch.row_pages = 2;
    batch.pages = (100..114).collect();
    batch.capacity = 3;
    batch.position = vec![4, 4, 6, 4, edge, 7, 2 * edge + 1];
    batch.live[3] = 0;
    // Token 0 stands in places that are not used.
    batch.settings[0] = Settings { first: 4, stops: 1, stop: stops(7, 0), ..GREEDY };
    // Token 1 is the last of all stops.
    batch.settings[1] = Settings { first: 3, stops: MAX_STOPS as u32, stop: stops(8, 1), ..GREEDY };
    batch.settings[2] = Settings { first: 4, limit: 3, ..GREEDY };
    batch.settings[4] = Settings { first: edge - 1, limit: 3, ..GREEDY };
    batch.settings[5] = Settings { first: 4, ..GREEDY };
    batch.settings[6] = Settings { first: 2 * edge, ..GREEDY };
    let (mut case, at) = case("moves", &batch);
    let same = super::case::UNWRITTEN;
    let page = PAGE as u32;
    case.bits(at.token, vec![0, 1, 2, same, 4, 5, 6]);
    case.bits(at.position, vec![5, 5, 7, 4, edge + 1, 8, 2 * page]);
    case.bits(at.live, vec![1, 0, 0, 0, 1, 1, 0]);
    case.bits(
        at.pair,
        vec![0, 100 * page + 5, 1, NONE, 2, NONE, same, same, 4, 109 * page, 5, 110 * page + 8, 6, NONE],
    );
    // (row, step) of `out` that are written; row 5 has no room for its step 3.
    let written = [(0, 0), (1, 1), (2, 2), (4, 1), (6, 1)];
    for row in 0..rows {
        for step in 0..3 {
            let token = if written.contains(&(row, step)) { row as u32 } else { same };
            case.bits_from(at.out, (row * 3 + step) * 2, vec![token]);
        }
    }
    case.untouched(at.settings);
    case.untouched(at.pages);
    case
}
