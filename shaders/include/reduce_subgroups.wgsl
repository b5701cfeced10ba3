// The reductions of reduce.wgsl with subgroup operations: two barriers instead of 2 + log2(WG). The order is fixed by how
// the device forms subgroups. Every thread gets the result; both must be called in uniform control flow.
var<workgroup> reduce_scratch: array<f32, WG>;

fn reduce_sum(value: f32, thread: u32) -> f32 {
    let lane = subgroupExclusiveAdd(1u);
    let lanes = subgroupAdd(1u);
    let part = subgroupAdd(value);
    reduce_scratch[thread] = select(0.0, part, lane == 0u);
    workgroupBarrier();
    var sum = 0.0;
    for (var i = lane; i < WG; i += lanes) { sum += reduce_scratch[i]; }
    let total = subgroupAdd(sum);
    workgroupBarrier();
    return total;
}

fn reduce_max(value: f32, thread: u32) -> f32 {
    let lane = subgroupExclusiveAdd(1u);
    let lanes = subgroupAdd(1u);
    reduce_scratch[thread] = subgroupMax(value);
    workgroupBarrier();
    var largest = reduce_scratch[0];
    for (var i = lane; i < WG; i += lanes) { largest = max(largest, reduce_scratch[i]); }
    largest = subgroupMax(largest);
    workgroupBarrier();
    return largest;
}
