// Sums that the threads of a workgroup share out, in a fixed order. Each thread puts its part of TM·TN results into `parts`
// (result, thread) and calls `shared_sum` in uniform control flow; thread t gets result t, t < TM·TN <= WG.
const RESULTS: u32 = TM * TN;
const HELPERS: u32 = max(1u, WG / RESULTS);   // threads for each result at first
const RUN: u32 = WG / HELPERS;   // parts that each of them adds up
var<workgroup> parts: array<f32, WG * RESULTS>;   // [RESULTS, WG]
var<workgroup> runs: array<f32, WG>;   // [RESULTS, HELPERS]

fn shared_sum(thread: u32) -> f32 {
    workgroupBarrier();
    if thread < HELPERS * RESULTS {
        let start = thread / HELPERS * WG + thread % HELPERS * RUN;
        var run = 0.0;
        for (var i = 0u; i < RUN; i++) { run += parts[start + i]; }
        runs[thread] = run;
    }
    workgroupBarrier();
    var total = 0.0;
    if thread < RESULTS {
        for (var i = 0u; i < HELPERS; i++) { total += runs[thread * HELPERS + i]; }
    }
    return total;
}
