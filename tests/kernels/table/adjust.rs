//! Biases, penalties and masks before a token is chosen.

use stepladder::kernel::adjust::{self, Adjusted, IN_PROMPT, Settings, USES_MASK, USES_NUMBERS, mask_words};
use stepladder::kernel::sample::State;

use super::case::Case;
use crate::common::{Dtype, Policy, Random};
use crate::reference::adjust::{Token, forward};

/// The logit of what may not be chosen.
const MASKED: f32 = -1.0e30;

pub(crate) fn cases() -> Vec<Case> {
    let mut random = Random::new(51);
    let sizes = [(1, 1), (6, 7), (6, 32), (7, 33), (12, 1_003)];
    sizes.into_iter().map(|(rows, vocab)| case(&mut random, rows, vocab)).collect()
}

/// Rows of every kind in turn: as they are, with numbers, with a mask, with both, ended, and fed with their prompt's last token.
fn case(random: &mut Random, rows: usize, vocab: usize) -> Case {
    let mut case = Case::new(format!("{rows} rows of {vocab}"));
    let words = mask_words(vocab);
    let z: Vec<f32> = random.normal(rows * vocab).iter().map(|z| 3.0 * z).collect();
    // Whole words, but for the first of each row: what is compared at once is a run of tokens alike.
    let word =
        |at: usize, word: u32| if at.is_multiple_of(words) || word == 0 { word } else { word % 2 * u32::MAX };
    let mask: Vec<u32> = (0..rows * words).map(|at| word(at, random.word())).collect();
    let token: Vec<u32> = (0..rows).map(|_| random.below(vocab) as u32).collect();
    let bias = random.normal(rows * vocab);
    let counts: Vec<u32> =
        (0..rows * vocab).map(|_| [0, 0, 1, 5, IN_PROMPT, IN_PROMPT + 2][random.below(6)]).collect();
    let (mut settings, mut position, mut live) = (Vec::new(), vec![9; rows], vec![1; rows]);
    for row in 0..rows {
        let uses =
            [0, USES_NUMBERS, USES_MASK, USES_NUMBERS | USES_MASK, USES_NUMBERS, USES_NUMBERS][row % 6];
        let [presence, frequency] = [0.5 + row as f32, -0.25 * row as f32];
        settings.push(Settings { repetition: 1.3, presence, frequency, first: 4, uses });
        match row % 6 {
            4 => live[row] = 0,
            5 => position[row] = 4,
            _ => {}
        }
    }
    let mark: Vec<u32> =
        bias.iter().zip(&counts).flat_map(|(bias, count)| [bias.to_bits(), *count]).collect();
    let mut want_mark = mark.clone();
    let mut want = Vec::new();
    for row in 0..rows {
        let asked = settings[row];
        for c in 0..vocab {
            let at = row * vocab + c;
            let changes = live[row] == 1 && asked.uses != 0;
            let counts_it = changes && asked.uses & USES_NUMBERS != 0;
            let is_fed = counts_it && position[row] > asked.first && token[row] == c as u32;
            want_mark[2 * at + 1] += u32::from(is_fed);
            let uses = |bit: u32| changes && asked.uses & bit != 0;
            let known = Token {
                bias: if uses(USES_NUMBERS) { f64::from(bias[at]) } else { 0.0 },
                drawn: if uses(USES_NUMBERS) { counts[at] & !IN_PROMPT } else { 0 },
                in_prompt: uses(USES_NUMBERS) && counts[at] & IN_PROMPT != 0,
                is_fed,
                is_allowed: !uses(USES_MASK) || mask[row * words + c / 32] >> (c % 32) & 1 == 1,
            };
            let after = forward(f64::from(z[at]), known, &asked, f64::from(MASKED));
            want.push((known.is_allowed, after));
        }
    }
    let is_same: Vec<bool> = (0..rows).map(|row| live[row] == 0 || settings[row].uses == 0).collect();
    let before: Vec<u32> = z.iter().map(|z| z.to_bits()).collect();
    let z = case.input(&[rows, vocab], &z);
    let settings = case.words(&[rows, Settings::WORDS], bytemuck::cast_slice(&settings));
    let [mask, mark] =
        [(vec![rows, words], mask), (vec![rows, vocab, 2], mark)].map(|(s, w)| case.words(&s, &w));
    let [token, position, live] = [token, position, live].map(|values| case.words(&[rows], &values));
    let (pages, pair, out) = (case.output(&[rows, 1]), case.output(&[rows, 2]), case.output(&[rows, 1, 2]));
    let of_rows = case.output(&[rows, stepladder::kernel::sample::Settings::WORDS]);
    case.record(move |rec, b| {
        let asked = Adjusted { settings: b[settings].clone(), mask: b[mask].clone(), mark: b[mark].clone() };
        let state = State {
            settings: b[of_rows].clone(),
            pages: b[pages].clone(),
            token: b[token].clone(),
            position: b[position].clone(),
            live: b[live].clone(),
            pair: b[pair].clone(),
            out: b[out].clone(),
        };
        adjust::forward(rec, &b[z], &asked, &state)
    });
    for (row, want) in want.chunks(vocab).enumerate() {
        let mut at = row * vocab;
        // Masked numbers are too large to be compared with the others; their bits are.
        for run in want.chunk_by(|a, b| a.0 == b.0) {
            let values = run.iter().map(|(_, value)| *value);
            match run[0].0 {
                true => case.near_from(z, at, values.collect(), Policy::of(Dtype::F32, 4).at_least(8.0)),
                false => case.bits_from(z, at, values.map(|value| (value as f32).to_bits()).collect()),
            }
            at += run.len();
        }
    }
    for row in (0..rows).filter(|row| is_same[*row]) {
        case.bits_from(z, row * vocab, before[row * vocab..][..vocab].to_vec());
    }
    case.bits(mark, want_mark);
    [settings, mask, token, position, live].into_iter().for_each(|buffer| case.untouched(buffer));
    case
}
