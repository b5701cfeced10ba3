//! Decoding on a GPU: what a row gets depends on where it stands, not on how much room it has.

use stepladder::Error;
use stepladder::gpu::{Gpu, GpuOptions};
use stepladder::kernel::attention::decode_split::{part_elements, splits};
use stepladder::kernel::attention::{Heads, PAGE, Rows, decode};

use crate::common::{self, Random, read_words, run};

const HEADS: Heads = Heads::new(6, 2, 32);

/// The words of the attention of one row at `position` with room for `row_pages` pages.
fn attention(gpu: &Gpu, position: usize, row_pages: usize) -> Vec<u32> {
    let (mut random, pages) = (Random::new(60), position / PAGE + 1);
    let q = random.normal(HEADS.heads * HEADS.head_dim);
    let kv = HEADS.kv_heads * HEADS.head_dim;
    let [k, v] = [(); 2].map(|()| random.normal(pages * PAGE * kv));
    // Behind its position a row has no pages yet.
    let table: Vec<u32> =
        (0..row_pages).map(|page| if page < pages { page as u32 } else { u32::MAX }).collect();
    let [k, v] = [k, v].map(|data| gpu.upload("kv", &[pages * PAGE, kv], &data).unwrap());
    let word = |value: u32| gpu.upload("word", &[1], &[value]).unwrap();
    let (position, live) = (word(position as u32), word(1));
    let table = gpu.upload("pages", &[1, row_pages], &table).unwrap();
    let q = gpu.upload("q", &[1, HEADS.heads * HEADS.head_dim], &q).unwrap();
    let o = gpu.buffer("o", q.shape()).unwrap();
    let parts = gpu.buffer("parts", &[part_elements(HEADS, 1, row_pages)]).unwrap();
    let rows = Rows { position: &position, live: &live, pages: &table, parts: Some(&parts) };
    run(gpu, |rec| decode::forward(rec, HEADS, rows, &q, &k, &v, &o)).unwrap();
    read_words(gpu, &o)
}

#[test]
fn parts_that_have_no_room_are_refused() {
    let gpu = common::open(&GpuOptions { as_software: Some(false), ..GpuOptions::default() });
    let b = |shape: &[usize]| gpu.buffer("shape", shape).unwrap();
    let (q, kv) = (b(&[1, HEADS.heads * HEADS.head_dim]), b(&[PAGE, HEADS.kv_heads * HEADS.head_dim]));
    let (word, pages, parts) = (b(&[1]), b(&[1, 40]), b(&[part_elements(HEADS, 1, 40) - 1]));
    let rows = Rows { position: &word, live: &word, pages: &pages, parts: Some(&parts) };
    let refused = run(&gpu, |rec| decode::forward(rec, HEADS, rows, &q, &kv, &kv, &q));
    assert!(matches!(refused, Err(Error::Shape { arg: "parts", .. })), "{refused:?}");
}

#[test]
fn the_room_of_a_row_does_not_change_its_bits() {
    let gpu = common::open(&GpuOptions { as_software: Some(false), ..GpuOptions::default() });
    assert_ne!(splits(HEADS, 1, 40), splits(HEADS, 1, 200));
    for position in [0, 15, 63, 64, 300, 639] {
        assert_eq!(attention(&gpu, position, 40), attention(&gpu, position, 200), "position {position}");
    }
}
