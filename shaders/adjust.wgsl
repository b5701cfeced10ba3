// Changes logits before a token is chosen from them, for rows that ask for it.
//   tokens seen, in the prompt or drawn:  z > 0: z / repetition, else z · repetition  (Keskar et al., 1909.05858)
//   tokens drawn n times, n ≥ 1:          z − presence − frequency·n   (OpenAI's interface)
//   every token:                          z + bias
//   tokens whose bit of the mask is 0:    MASKED, which no filter keeps beside an allowed token
// The token that a step feeds is counted here, by the thread that owns it, if it was drawn.
// Grid: a thread owns one token of one row. Reference: tests/reference/adjust.rs
//! use grid
struct Params { rows: u32, vocab: u32, words: u32 }
struct Settings { repetition: f32, presence: f32, frequency: f32, first: u32, uses: u32 }
const USES_NUMBERS: u32 = 1u;
const USES_MASK: u32 = 2u;
const IN_PROMPT: u32 = 0x80000000u;
const MASKED: f32 = -1.0e30;
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> z: array<f32>;   // [rows, vocab]
@group(0) @binding(2) var<storage, read> settings: array<Settings>;   // [rows]
@group(0) @binding(3) var<storage, read> mask: array<u32>;   // [rows, words], a bit for each token
@group(0) @binding(4) var<storage, read_write> mark: array<vec2<u32>>;   // [rows, vocab] of (bits of the bias, count)
@group(0) @binding(5) var<storage, read> token: array<u32>;   // [rows]
@group(0) @binding(6) var<storage, read> position: array<u32>;   // [rows]
@group(0) @binding(7) var<storage, read> live: array<u32>;   // [rows]

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let i = group_index(group, groups) * WG + thread;
    if i >= p.rows * p.vocab { return; } // guard
    let row = i / p.vocab;
    let c = i % p.vocab;
    let asked = settings[row];
    if asked.uses == 0u || live[row] == 0u { return; } // guard
    var value = z[i];
    if (asked.uses & USES_NUMBERS) != 0u {
        let known = mark[i];
        let is_fed = position[row] > asked.first && token[row] == c;
        let count = known.y + select(0u, 1u, is_fed);
        if is_fed { mark[i] = vec2<u32>(known.x, count); }
        let drawn = f32(count & ~IN_PROMPT);
        if count != 0u { value = select(value * asked.repetition, value / asked.repetition, value > 0.0); }
        value += bitcast<f32>(known.x) - asked.presence * min(drawn, 1.0) - asked.frequency * drawn;
    }
    if (asked.uses & USES_MASK) != 0u && ((mask[row * p.words + c / 32u] >> (c % 32u)) & 1u) == 0u { value = MASKED; }
    z[i] = value;
}
