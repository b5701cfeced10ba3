// Reductions over a workgroup of WG threads in a fixed order. Every thread gets the result.
// Both must be called in uniform control flow.
var<workgroup> reduce_scratch: array<f32, WG>;

fn reduce_sum(value: f32, thread: u32) -> f32 {
    reduce_scratch[thread] = value;
    workgroupBarrier();
    for (var stride = WG / 2u; stride > 0u; stride /= 2u) {
        if thread < stride { reduce_scratch[thread] += reduce_scratch[thread + stride]; }
        workgroupBarrier();
    }
    let total = reduce_scratch[0];
    workgroupBarrier();
    return total;
}

fn reduce_max(value: f32, thread: u32) -> f32 {
    reduce_scratch[thread] = value;
    workgroupBarrier();
    for (var stride = WG / 2u; stride > 0u; stride /= 2u) {
        if thread < stride { reduce_scratch[thread] = max(reduce_scratch[thread], reduce_scratch[thread + stride]); }
        workgroupBarrier();
    }
    let largest = reduce_scratch[0];
    workgroupBarrier();
    return largest;
}
