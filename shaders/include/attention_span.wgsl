// Which keys a query sees, for the kernels of attention/full.wgsl and attention/tiled.wgsl. Sequences lie one after the other; those that
// begin alike may lie as a tree: first the rows of their common beginning, once, then those of each. The span of a row is
// (x, y) the first row and the end of the beginning that its sequence shares, (z, z) if it shares none or lies in it,
//  z    the first row of its own sequence, or of the beginning that it lies in,
//  w    one past the last row that may see it: the end of its sequence, or of the tree if it lies in its beginning.
// Neither x nor z falls from one row to the next.

// Whether query t sees key j.
fn sees(t: u32, j: u32) -> bool {
    let s = span[t];
    return ((j >= s.x) & (j < s.y)) | ((j >= s.z) & (j <= t));
}

// Where the next keys begin after `count` from j on, for queries of which the first has span s: what lies between the beginning and
// its own sequence is left out. No later query sees an earlier key than the first does, but for those that it sees itself.
fn next_keys(j: u32, count: u32, s: vec4<u32>) -> u32 {
    let next = j + count;
    return select(next, max(next, s.z), next >= s.y);
}

// One past the last query that sees one of the `count` keys from j on.
fn queries_end(j: u32, count: u32) -> u32 {
    var end = 0u;
    for (var i = 0u; i < count; i++) {
        end = max(end, span[min(j + i, p.tokens - 1u)].w);
    }
    return end;
}
