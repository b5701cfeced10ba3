// Rotary position embedding (Su et al., 2021) of queries and keys in the half-split order of Hugging Face checkpoints, in place.
//   forward  (x[i], x[i+r]) → (x[i]·cos − x[i+r]·sin, x[i+r]·cos + x[i]·sin),   r = turned/2, i < r
// cos and sin come from a table by position; `sign` −1 rotates back, which is the gradient. Where the first `turned` numbers of a head
// are not all of it, the others are pairs too, and the table has cos 1 and sin 0 for them.
//   forward_cached  rotates the queries in place, and writes each (row, place) pair's rotated keys and its values to places of
//                   the cache, as kv_write.wgsl does; the keys themselves stay as they are.
//   forward_cached_f16  the same into pages of 16-bit floats, two a word
// Grid: a thread owns one pair, of keys and values for forward_cached_f16 two neighbouring ones; a row's queries
// come before its keys, or before those of all (row, place) pairs.
// Reference: tests/reference/rope.rs
//! use grid
//! use halves
struct Params {
    rows: u32, heads: u32, kv_heads: u32, head_dim: u32, turned: u32, sign: f32,
    pairs: u32, q_at: u32, k_at: u32, v_at: u32,   // of forward_cached
}
const NONE: u32 = 0xffffffffu;
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> position: array<u32>;   // [rows]
@group(0) @binding(2) var<storage, read> table: array<vec2<f32>>;   // [positions, head_dim / 2] of (cos, sin)
@group(0) @binding(3) var<storage, read_write> q: array<f32>;   // [rows, heads, head_dim]
@group(0) @binding(4) var<storage, read_write> k: array<f32>;   // [rows, kv_heads, head_dim]

@group(0) @binding(5) var<storage, read_write> qkv: array<f32>;   // where the three begin at `q_at`, `k_at`, `v_at`
@group(0) @binding(6) var<storage, read> pair: array<vec2<u32>>;   // [pairs] of (row, place)
@group(0) @binding(7) var<storage, read_write> k_pages: array<f32>;   // [places, kv_heads, head_dim]
@group(0) @binding(8) var<storage, read_write> v_pages: array<f32>;   // [places, kv_heads, head_dim]
@group(0) @binding(9) var<storage, read_write> k_words: array<u32>;   // [places, kv_heads, head_dim / 2]
@group(0) @binding(10) var<storage, read_write> v_words: array<u32>;   // [places, kv_heads, head_dim / 2]

// The first number of pair i of a head, and how far behind it the second is.
fn pair_of(i: u32, h: u32) -> vec2<u32> {
    let r = p.turned / 2u;
    return select(vec2<u32>(i + r, h - r), vec2<u32>(i, r), i < r);
}

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let h = p.head_dim / 2u;
    let index = group_index(group, groups) * WG + thread;
    let all = p.heads + p.kv_heads;
    if index >= p.rows * all * h { return; } // guard
    let i = index % h;
    let head = index / h % all;
    let row = index / h / all;
    let turn = table[position[row] * h + i];
    let s = turn.y * p.sign;
    let two = pair_of(i, h);
    if head < p.heads {
        let at = (row * p.heads + head) * p.head_dim + two.x;
        let a = q[at];
        let b = q[at + two.y];
        q[at] = a * turn.x - b * s;
        q[at + two.y] = b * turn.x + a * s;
    } else {
        let at = (row * p.kv_heads + head - p.heads) * p.head_dim + two.x;
        let a = k[at];
        let b = k[at + two.y];
        k[at] = a * turn.x - b * s;
        k[at + two.y] = b * turn.x + a * s;
    }
}

// Rotates a pair of a head of the queries, of which this is number `index` over all.
fn turn_query(index: u32, h: u32) {
    let i = index % h;
    let row = index / h / p.heads;
    let turn = table[position[row] * h + i];
    let two = pair_of(i, h);
    let at = p.q_at + index / h * p.head_dim + two.x;
    let a = qkv[at];
    let b = qkv[at + two.y];
    qkv[at] = a * turn.x - b * turn.y;
    qkv[at + two.y] = b * turn.x + a * turn.y;
}

@compute @workgroup_size(WG)
fn forward_cached(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                  @builtin(local_invocation_index) thread: u32) {
    let h = p.head_dim / 2u;
    let index = group_index(group, groups) * WG + thread;
    let queries = p.rows * p.heads * h;
    if index < queries {
        turn_query(index, h);
        return;
    }
    let i = index % h;
    let number = (index - queries) / h;
    if number >= p.pairs * p.kv_heads { return; } // guard
    let link = pair[number / p.kv_heads];
    if link.y == NONE { return; } // guard
    let turn = table[position[link.x] * h + i];
    let head = number % p.kv_heads;
    let two = pair_of(i, h);
    let key = (link.x * p.kv_heads + head) * p.head_dim + two.x;
    let to = (link.y * p.kv_heads + head) * p.head_dim + two.x;
    let a = qkv[p.k_at + key];
    let b = qkv[p.k_at + key + two.y];
    k_pages[to] = a * turn.x - b * turn.y;
    k_pages[to + two.y] = b * turn.x + a * turn.y;
    v_pages[to] = qkv[p.v_at + key];
    v_pages[to + two.y] = qkv[p.v_at + key + two.y];
}

@compute @workgroup_size(WG)
fn forward_cached_f16(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                      @builtin(local_invocation_index) thread: u32) {
    let h = p.head_dim / 2u;
    let index = group_index(group, groups) * WG + thread;
    let queries = p.rows * p.heads * h;
    if index < queries {
        turn_query(index, h);
        return;
    }
    let quads = h / 2u;
    let number = (index - queries) / quads;
    if number >= p.pairs * p.kv_heads { return; } // guard
    let link = pair[number / p.kv_heads];
    if link.y == NONE { return; } // guard
    let i = (index - queries) % quads * 2u;
    let first = table[position[link.x] * h + i];
    let second = table[position[link.x] * h + i + 1u];
    let head = number % p.kv_heads;
    // Neighbouring pairs are neighbours in their head too: `turned` is a multiple of 4.
    let two = pair_of(i, h);
    let key = p.k_at + (link.x * p.kv_heads + head) * p.head_dim + two.x;
    let value = p.v_at + (link.x * p.kv_heads + head) * p.head_dim + two.x;
    let to = ((link.y * p.kv_heads + head) * p.head_dim + two.x) / 2u;
    let a = vec2<f32>(qkv[key], qkv[key + 1u]);
    let b = vec2<f32>(qkv[key + two.y], qkv[key + two.y + 1u]);
    k_words[to] = halves(a.x * first.x - b.x * first.y, a.y * second.x - b.y * second.y);
    k_words[to + two.y / 2u] = halves(b.x * first.x + a.x * first.y, b.y * second.x + a.y * second.y);
    v_words[to] = halves(qkv[value], qkv[value + 1u]);
    v_words[to + two.y / 2u] = halves(qkv[value + two.y], qkv[value + two.y + 1u]);
}
