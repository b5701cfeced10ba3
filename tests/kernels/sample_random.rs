//! Sampling: what it chooses by chance.

use stepladder::gpu::Gpu;
use stepladder::kernel::sample::{self, Settings, State};

use crate::common::{self, Dtype, Policy, Random, chi_square, close, wide};
use crate::reference::log_softmax;
use crate::reference::sample::{Kept, distribution, kept};
use crate::table::sample::{Batch, GREEDY};

/// Rounding may decide about tokens that are this near to a threshold.
const SLACK: f64 = 1e-5;

/// The (token, log-probability) that each row of the batch chooses.
fn choices(gpu: &Gpu, batch: &Batch) -> Vec<(u32, f32)> {
    let rows = batch.settings.len();
    let words = |data: &[u32], shape: &[usize]| gpu.upload("sample", shape, data).unwrap();
    let state = State {
        settings: words(bytemuck::cast_slice(&batch.settings), &[rows, Settings::WORDS]),
        pages: words(&batch.pages, &[rows, batch.row_pages]),
        token: words(&vec![0; rows], &[rows]),
        position: words(&batch.position, &[rows]),
        live: words(&batch.live, &[rows]),
        pair: words(&vec![0; 2 * rows], &[rows, 2]),
        out: words(&vec![0; 2 * rows], &[rows, 1, 2]),
    };
    let z = gpu.upload("z", &[rows, batch.vocab], &batch.z).unwrap();
    common::run(gpu, |rec| sample::forward(rec, &z, &state)).unwrap();
    let out = common::read_words(gpu, &state.out);
    out.chunks(2).map(|pair| (pair[0], f32::from_bits(pair[1]))).collect()
}

const SAMPLED: Settings = Settings { temperature: 1.0, ..GREEDY };

const FILTERS: [(&str, Settings); 7] = [
    ("temperature 1", SAMPLED),
    ("temperature 0.6", Settings { temperature: 0.6, ..SAMPLED }),
    ("top_k 5", Settings { temperature: 1.7, top_k: 5, ..SAMPLED }),
    ("top_p 0.8", Settings { top_p: 0.8, ..SAMPLED }),
    ("min_p 0.1", Settings { temperature: 1.2, min_p: 0.1, ..SAMPLED }),
    ("all filters", Settings { temperature: 1.3, top_k: 12, top_p: 0.85, min_p: 0.05, ..SAMPLED }),
    ("filters that keep all", Settings { top_k: 1_000, top_p: 1.0, min_p: 0.0, ..SAMPLED }),
];

/// One row of logits, sampled with many seeds at one position and with one seed at many positions.
fn follows_the_distribution(gpu: &Gpu, name: &str, z: &[f32], settings: Settings) {
    const ROWS: usize = 4_000;
    let kept = kept(&wide(z), &settings, SLACK);
    assert!(!kept.contains(&Kept::Either), "{name}: rounding decides about a token");
    let p = distribution(&wide(z), &settings, &kept);
    let logprobs = log_softmax::row(&wide(z));
    for many_seeds in [true, false] {
        let mut batch = Batch::new(z.len(), z.repeat(ROWS), vec![settings; ROWS]);
        for row in 0..ROWS as u32 {
            if many_seeds {
                batch.settings[row as usize].seed = row;
            } else {
                // Far from the place of the next key, so that one page is enough.
                batch.settings[row as usize].first = row;
                batch.settings[row as usize].limit = 1;
                batch.position[row as usize] = row;
            }
        }
        let chosen = choices(gpu, &batch);
        let mut counts = vec![0; z.len()];
        for (token, _) in &chosen {
            counts[*token as usize] += 1;
        }
        for (token, count) in counts.iter().enumerate() {
            assert!(*count == 0 || kept[token] == Kept::Yes, "{name}: chose {token}, which is filtered out");
        }
        if let Err(text) = chi_square(&counts, &p) {
            panic!("{name}, many seeds {many_seeds}: {text}: {counts:?} of {p:?}");
        }
        let (tokens, got): (Vec<u32>, Vec<f32>) = chosen.into_iter().unzip();
        let want: Vec<f64> = tokens.iter().map(|&token| logprobs[token as usize]).collect();
        close(&got, &want, Policy::with_exp(Dtype::F32, z.len())).unwrap();
    }
}

fn every_filter_follows_the_distribution(gpu: &Gpu) {
    let z: Vec<f32> = Random::new(50).normal(24).iter().map(|z| 1.5 * z).collect();
    for (name, settings) in FILTERS {
        follows_the_distribution(gpu, name, &z, settings);
    }
    // Ties at the edge of the top k: all of them stay.
    let ties = [1.0, 0.5, 0.5, 0.5, 0.0, 0.0, -1.0];
    follows_the_distribution(gpu, "ties", &ties, Settings { top_k: 2, ..SAMPLED });
}

#[test]
fn choices_follow_the_distribution() {
    every_filter_follows_the_distribution(common::gpu());
}

#[test]
fn choices_follow_the_distribution_under_default_limits() {
    every_filter_follows_the_distribution(common::gpu_default_limits());
}

#[test]
fn filters_keep_what_the_reference_keeps() {
    // Many logits of random shapes and sizes; of each, many seeds.
    const SEEDS: usize = 64;
    let mut random = Random::new(51);
    let gpu = common::gpu();
    let mut chosen_of_kept = 0;
    for vocab in [5, 63, 64, 65, 500] {
        for (name, settings) in FILTERS {
            let z: Vec<f32> = random.normal(vocab).iter().map(|z| 4.0 * z).collect();
            let kept = kept(&wide(&z), &settings, SLACK);
            let mut batch = Batch::new(vocab, z.repeat(SEEDS), vec![settings; SEEDS]);
            batch.settings.iter_mut().for_each(|settings| settings.seed = random.word());
            for (token, _) in choices(gpu, &batch) {
                assert_ne!(kept[token as usize], Kept::No, "{name}: token {token} of {vocab}");
                chosen_of_kept += 1;
            }
        }
    }
    assert_eq!(chosen_of_kept, 5 * FILTERS.len() * SEEDS);
}

#[test]
fn a_row_does_not_depend_on_its_neighbours() {
    let (rows, vocab) = (9, 300);
    let mut random = Random::new(52);
    let z = random.normal(rows * vocab);
    let mut settings = vec![SAMPLED; rows];
    for (row, settings) in settings.iter_mut().enumerate() {
        *settings = Settings { seed: random.word(), ..FILTERS[row % FILTERS.len()].1 };
    }
    let batch = Batch::new(vocab, z, settings);
    let together = choices(common::gpu(), &batch);
    assert_eq!(together, choices(common::gpu(), &batch), "the same batch again");
    for (row, choice) in together.iter().enumerate() {
        let alone = Batch::new(vocab, batch.z[row * vocab..][..vocab].to_vec(), vec![batch.settings[row]]);
        assert_eq!(choices(common::gpu(), &alone)[0], *choice, "row {row} alone");
    }
    let mut turned = batch.clone();
    turned.z.rotate_left(4 * vocab);
    turned.settings.rotate_left(4);
    let mut expected = together.clone();
    expected.rotate_left(4);
    assert_eq!(choices(common::gpu(), &turned), expected, "other places");
    let tokens: std::collections::BTreeSet<u32> = together.iter().map(|choice| choice.0).collect();
    assert!(tokens.len() > 3, "rows with other logits and seeds choose other tokens: {tokens:?}");
}
