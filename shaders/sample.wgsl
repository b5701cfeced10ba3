// Chooses the next token of every row and moves the row on, without the CPU.
//   log-probability of the choice under softmax(z), whatever the temperature and filters
//   temperature 0: the largest logit, the lower index on a tie
//   otherwise argmax_j (s_j + Gumbel_j) over the tokens kept,  s = (z − max z)/temperature
// Kept: the `top_k` largest (ties included), of these the fewest whose mass reaches `top_p`, of these s ≥ log min_p.
// Thresholds are found over the bits of −s (non-negative floats order as integers), three bits in each pass: no sort.
// Gumbel noise comes from (seed, position, token), so that a row's text does not depend on its neighbours.
// Then: out, token, position, the place of the next key and value; a stop token, the limit or the end of its pages ends the row.
// Grid: one workgroup per row, whose threads take AHEAD of its numbers at a time. Reference: tests/reference/sample.rs
//! use grid
//! use reduce
//! use random
struct Params { rows: u32, vocab: u32, row_pages: u32, capacity: u32 }
struct Settings {
    temperature: f32, top_p: f32, min_p: f32, top_k: u32,
    seed: u32, first: u32, limit: u32, stops: u32,
    stop: array<vec4<u32>, 4>,
}
const NONE: u32 = 0xffffffffu;
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;   // [rows, vocab]
@group(0) @binding(2) var<storage, read> settings: array<Settings>;   // [rows]
@group(0) @binding(3) var<storage, read> pages: array<u32>;   // [rows, row_pages]
@group(0) @binding(4) var<storage, read_write> token: array<u32>;   // [rows]
@group(0) @binding(5) var<storage, read_write> position: array<u32>;   // [rows]
@group(0) @binding(6) var<storage, read_write> live: array<u32>;   // [rows]
@group(0) @binding(7) var<storage, read_write> pair: array<vec2<u32>>;   // [rows] of (row, place)
@group(0) @binding(8) var<storage, read_write> out: array<vec2<u32>>;   // [rows, capacity] of (token, log-prob)

var<workgroup> row_live: u32;
var<workgroup> row_position: u32;
var<workgroup> best_value: array<f32, WG>;
var<workgroup> best_index: array<u32, WG>;

// −s of a token, which is ≥ 0.
fn depth(base: u32, c: u32, largest: f32, temperature: f32) -> f32 {
    return max(0.0, (largest - z[base + c]) / temperature);
}

// How much mass (or how many tokens, if `count`) lies at a depth of at most the one with these bits.
fn mass_within(base: u32, bits: u32, largest: f32, temperature: f32, count: bool, thread: u32) -> f32 {
    var sum = 0.0;
    for (var c = thread; c < p.vocab; c += AHEAD * WG) {
        var d = array<f32, AHEAD>();
        for (var a = 0u; a < AHEAD; a++) { // unroll
            d[a] = depth(base, min(c + a * WG, p.vocab - 1u), largest, temperature);
        }
        for (var a = 0u; a < AHEAD; a++) { // unroll
            if bitcast<u32>(d[a]) <= bits && c + a * WG < p.vocab { sum += select(exp(-d[a]), 1.0, count); }
        }
    }
    return reduce_sum(sum, thread);
}

// `bits` less `count` steps, or 0.
fn lowered(bits: u32, step: u32, count: u32) -> u32 { return select(bits - count * step, 0u, count > bits / step); }

var<workgroup> masses: array<mat2x4<f32>, WG>;

// mass_within for `bits` less 0 to 7 steps.
fn masses_within(base: u32, bits: u32, step: u32, largest: f32, temperature: f32, count: bool, thread: u32) -> mat2x4<f32> {
    let near = vec4<u32>(bits, lowered(bits, step, 1u), lowered(bits, step, 2u), lowered(bits, step, 3u));
    let far = vec4<u32>(lowered(bits, step, 4u), lowered(bits, step, 5u), lowered(bits, step, 6u), lowered(bits, step, 7u));
    let none = vec4<f32>();
    var sum = mat2x4<f32>();
    for (var c = thread; c < p.vocab; c += AHEAD * WG) {
        var d = array<f32, AHEAD>();
        for (var a = 0u; a < AHEAD; a++) { // unroll
            d[a] = depth(base, min(c + a * WG, p.vocab - 1u), largest, temperature);
        }
        for (var a = 0u; a < AHEAD; a++) { // unroll
            let value = vec4<f32>(select(0.0, select(exp(-d[a]), 1.0, count), c + a * WG < p.vocab));
            let at = vec4<u32>(bitcast<u32>(d[a]));
            sum[0] += select(none, value, at <= near);
            sum[1] += select(none, value, at <= far);
        }
    }
    masses[thread] = sum;
    workgroupBarrier();
    for (var stride = WG / 2u; stride > 0u; stride /= 2u) {
        if thread < stride { masses[thread] += masses[thread + stride]; }
        workgroupBarrier();
    }
    let total = masses[0];
    workgroupBarrier();
    return total;
}

// The smallest bits at which mass_within reaches `goal`.
fn threshold(base: u32, goal: f32, largest: f32, temperature: f32, count: bool, thread: u32) -> u32 {
    var bits = 0x7f7fffffu;
    for (var round = 0u; round < 11u; round++) {
        let step = 1u << (30u - 3u * round);
        let mass = masses_within(base, bits, step, largest, temperature, count, thread);
        var steps = 0u;
        for (var i = 0u; i < 8u; i++) { // unroll
            if mass[i / 4u][i % 4u] >= goal { steps = i; }
        }
        bits = lowered(bits, step, steps);
    }
    return bits;
}

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let row = group_index(group, groups);
    if row >= p.rows { return; } // guard, the same for the whole workgroup
    if thread == 0u {
        row_live = live[row];
        row_position = position[row];
    }
    if workgroupUniformLoad(&row_live) == 0u { return; } // guard
    let here = workgroupUniformLoad(&row_position);
    let chosen = settings[row];
    let base = row * p.vocab;

    var largest = -3.0e38;
    for (var c = thread; c < p.vocab; c += AHEAD * WG) {
        for (var a = 0u; a < AHEAD; a++) { // unroll
            largest = max(largest, z[base + min(c + a * WG, p.vocab - 1u)]);
        }
    }
    largest = reduce_max(largest, thread);
    var total = 0.0;
    for (var c = thread; c < p.vocab; c += AHEAD * WG) {
        var s = array<f32, AHEAD>();
        for (var a = 0u; a < AHEAD; a++) { // unroll
            s[a] = z[base + min(c + a * WG, p.vocab - 1u)] - largest;
        }
        for (var a = 0u; a < AHEAD; a++) { // unroll
            total += select(0.0, exp(s[a]), c + a * WG < p.vocab);
        }
    }
    total = reduce_sum(total, thread);

    let greedy = chosen.temperature <= 0.0;
    let temperature = select(chosen.temperature, 1.0, greedy);
    var bits = 0x7f7fffffu;
    if !greedy {
        if chosen.top_k > 0u && chosen.top_k < p.vocab {
            bits = threshold(base, f32(chosen.top_k), largest, temperature, true, thread);
        }
        if chosen.top_p < 1.0 {
            let kept = mass_within(base, bits, largest, temperature, false, thread);
            bits = min(bits, threshold(base, kept * chosen.top_p, largest, temperature, false, thread));
        }
        if chosen.min_p > 0.0 {
            let most = -log(chosen.min_p);
            // Not max(0.0, most): of min_p 1 that may be −0 (SwiftShader's is), whose bits are those of a large number.
            bits = min(bits, select(0u, bitcast<u32>(most), most > 0.0));
        }
    }
    var value = -3.0e38;
    var index = p.vocab;
    for (var c = thread; c < p.vocab; c += WG) {
        var score = z[base + c];
        if !greedy {
            let d = depth(base, c, largest, temperature);
            if bitcast<u32>(d) > bits { continue; }
            score = -log(exponential(chosen.seed, here, c)) - d; // Gumbel noise is −log of an exponential
        }
        if score > value || index == p.vocab {
            value = score;
            index = c;
        }
    }
    best_value[thread] = value;
    best_index[thread] = index;
    workgroupBarrier();
    for (var stride = WG / 2u; stride > 0u; stride /= 2u) {
        if thread < stride {
            let other = thread + stride;
            let better = best_value[other] > best_value[thread]
                || (best_value[other] == best_value[thread] && best_index[other] < best_index[thread]);
            // A thread that saw no kept token has no index.
            if best_index[other] < p.vocab && (best_index[thread] >= p.vocab || better) {
                best_value[thread] = best_value[other];
                best_index[thread] = best_index[other];
            }
        }
        workgroupBarrier();
    }
    if thread != 0u { return; } // guard, no barrier follows

    let next = min(best_index[0], p.vocab - 1u);
    let step = here - chosen.first;
    if step < p.capacity {
        out[row * p.capacity + step] = vec2<u32>(next, bitcast<u32>(z[base + next] - largest - log(total)));
    }
    // Behind a row's last page lies another row's first.
    var stopped = step + 1u >= chosen.limit || (here + 1u) / PAGE >= p.row_pages;
    for (var i = 0u; i < chosen.stops; i++) { stopped = stopped || next == settings[row].stop[i / 4u][i % 4u]; }
    token[row] = next;
    position[row] = here + 1u;
    if stopped {
        live[row] = 0u;
        pair[row] = vec2<u32>(row, NONE);
    } else {
        let place = pages[row * p.row_pages + (here + 1u) / PAGE] * PAGE + (here + 1u) % PAGE;
        pair[row] = vec2<u32>(row, place);
    }
}
