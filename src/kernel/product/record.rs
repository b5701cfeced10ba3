//! One product, cut up by a given tile, as dispatches.
//! No shader of its own: the tile says which.

use super::super::rms_norm::Input;
use super::super::weight::{Part, Weight};
use super::super::word;
use super::joined::{Joined, Params, Segment, Side};
use super::tile::Tile;
use crate::Result;
use crate::gpu::{Buffer, Recorder};

/// [`super::forward_joined`] cut up in one way.
pub(super) fn forward(
    rec: &mut Recorder<'_>,
    tile: Tile,
    w: &Weight,
    input: Input<'_>,
    segments: &[Segment],
    accumulate: bool,
) -> Result<()> {
    let Input { x, norm } = input;
    let [m, k] = x.matrix("product", "x")?;
    x.expect("product", "x", &[m, w.cols])?;
    if let Some(norm) = &norm {
        norm.weight.expect("product", "norm", &[k])?;
    }
    let Some(joined) = Joined::new(segments, Side::Forward, m, w.rows)? else {
        return apart(w, segments, |w, segment, _| {
            forward(rec, tile, w, input, std::slice::from_ref(segment), accumulate)
        });
    };
    for part in &w.parts {
        let variant = tile.variant(w.format, rec.gpu().has_f16(), joined.adapters.is_some());
        let params =
            Params { eps: norm.map_or(0.0, |norm| norm.eps), ..part_params(&joined, part, k, accumulate) };
        // Where there is no bias, nothing reads what is bound in its place.
        let bias = joined.bias.as_ref().unwrap_or(&part.scales);
        let mut arguments = vec![&part.words, &part.scales, x, &joined.y, bias];
        arguments.extend(joined.adapters.iter().flatten());
        arguments.extend(norm.map(|norm| norm.weight));
        let kernel = tile.kernel(joined.adapters.is_some(), norm.is_some());
        rec.dispatch(&kernel, &variant, &params, &arguments, tile.groups(m, part.rows))?;
        rec.flops(2 * m * (part.rows * k + joined.adapter_products * part.rows / w.rows));
        rec.bytes(moved(w, part, x, m) + 4 * (joined.adapter_products * part.rows / w.rows) as u64);
    }
    Ok(())
}

/// [`super::backward_x_joined`] cut up in one way.
pub(super) fn backward_x(
    rec: &mut Recorder<'_>,
    tile: Tile,
    w: &Weight,
    segments: &[Segment],
    dx: &Buffer,
    accumulate: bool,
) -> Result<()> {
    let [m, k] = dx.matrix("product", "dx")?;
    dx.expect("product", "dx", &[m, w.cols])?;
    let Some(joined) = Joined::new(segments, Side::Backward { k }, m, w.rows)? else {
        return apart(w, segments, |w, segment, index| {
            let accumulate = accumulate || index > 0;
            backward_x(rec, tile, w, std::slice::from_ref(segment), dx, accumulate)
        });
    };
    // A thread goes through the rows of W; a few turns of its loops are for the adapters.
    let most_rows = rec.gpu().most_turns() / 2;
    for (index, part) in w.parts.iter().flat_map(|part| part.pieces(most_rows)).enumerate() {
        // The adapters' part is one sum, whatever the number of parts of W.
        let adapters = joined.adapters.as_ref().filter(|_| index == 0);
        let variant = tile.variant(w.format, false, adapters.is_some());
        let params = part_params(&joined, &part, k, accumulate || index > 0);
        let mut arguments = vec![&part.words, &part.scales, &joined.y, dx];
        arguments.extend(adapters.into_iter().flatten());
        let kernel = tile.kernel(adapters.is_some(), false);
        rec.dispatch(&kernel, &variant, &params, &arguments, tile.groups(m, k / 8))?;
        let products = if index == 0 { joined.adapter_products } else { 0 };
        rec.flops(2 * m * (part.rows * k + products));
        rec.bytes(moved(w, &part, dx, m) + 4 * products as u64);
    }
    Ok(())
}

/// Calls `each` with the rows of W that belong to each segment.
fn apart(
    w: &Weight,
    segments: &[Segment],
    mut each: impl FnMut(&Weight, &Segment, usize) -> Result<()>,
) -> Result<()> {
    let mut row = 0;
    for (index, segment) in segments.iter().enumerate() {
        let [_, width] = segment.y.matrix("product", "y")?;
        each(&w.rows_from(row, width)?, segment, index)?;
        row += width;
    }
    Ok(())
}

/// Bytes of a part of W, of its columns of m rows of y, and of x.
fn moved(w: &Weight, part: &Part, x: &Buffer, m: usize) -> u64 {
    w.format.bytes(part.rows, w.cols) + x.bytes() + 4 * (m * part.rows) as u64
}

fn part_params(joined: &Joined, part: &Part, k: usize, accumulate: bool) -> Params {
    Params {
        n: word(part.rows),
        k: word(k),
        row0: word(part.row0),
        first: word(part.first),
        accumulate: accumulate.into(),
        ..joined.params
    }
}
