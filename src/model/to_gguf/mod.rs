//! A model as a GGUF file for llama.cpp, Ollama and LM Studio: what it says of the model and its tokenizer, how its tensors are
//! stored, and how all lies in the file. Native only.
//!
//! Names of keys and of tokens' types are those of the `gguf` package (`gguf/constants.py`) and of llama.cpp's converter
//! (`conversion/*.py`).

pub mod describe;
pub mod layout;
pub mod plan;
pub mod quantisation;
pub mod quantise;
mod quantise_k;
pub mod vocabulary;

/// Moves row i of the first half of each head to 2 i, and row i of the second to 2 i + 1, in rows of `cols` values that are
/// whole `heads` heads. llama.cpp rotates neighbours where Hugging Face rotates halves. `None` if they are no such rows.
pub fn interleave(values: &[f32], cols: usize, heads: usize) -> Option<Vec<f32>> {
    let rows = values.len() / cols.max(1);
    let half = rows / (2 * heads).max(1);
    if half * 2 * heads != rows || rows * cols != values.len() {
        return None;
    }
    let mut moved = Vec::with_capacity(values.len());
    for head in 0..heads {
        for pair in 0..half {
            for side in 0..2 {
                let row = (2 * head + side) * half + pair;
                moved.extend_from_slice(&values[row * cols..(row + 1) * cols]);
            }
        }
    }
    Some(moved)
}
