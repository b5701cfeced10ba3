// A product whose y (or dy) lies in up to three segments, one behind the other in W's rows, such as queries, keys and values.
// Each is a matrix [m, width] of its own within one buffer, with a LoRA adapter and a bias of its own.
// W may be rows `row0 ..` of the whole matrix, stored from row `first` of its buffer on.
struct Params {
    start: vec4<u32>,       // first column of each segment; behind the last the number of all columns
    y_at: vec4<u32>,        // first element of each in y or dy
    low_at: vec4<u32>,      // first element of each one's `low` [m, rank]
    matrix_at: vec4<u32>,   // first element of each one's B [width, rank] or A [rank, k]
    bias_at: vec4<u32>,     // first element of each one's bias [width]
    rank: vec4<u32>,        // 0 where there is no adapter
    scale: vec4<f32>,
    m: u32, n: u32, k: u32, row0: u32, first: u32, accumulate: u32, biased: u32,
    eps: f32,               // of an input's norm
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(7) var<storage, read> bias: array<f32>;   // what `bias_at` counts in

// The segment of a column, counted in the whole matrix.
fn segment_of(col: u32) -> u32 { return u32(col >= p.start.y) + u32(col >= p.start.z); }

fn segment_width(s: u32) -> u32 { return p.start[s + 1u] - p.start[s]; }

// Where y has row `row` of column `col` of this part; one row further is `segment_width` elements further.
fn y_index(row: u32, col: u32) -> u32 {
    let s = segment_of(p.row0 + col);
    return p.y_at[s] + row * segment_width(s) + p.row0 + col - p.start[s];
}

fn y_step(col: u32) -> u32 { return segment_width(segment_of(p.row0 + col)); }

fn bias_of(col: u32) -> f32 {
    if p.biased == 0u { return 0.0; }
    let s = segment_of(p.row0 + col);
    return bias[p.bias_at[s] + p.row0 + col - p.start[s]];
}
