//! Small line charts as inline SVG whose colours are those of the page, light or dark.

use plotters::coord::Shift;
use plotters::prelude::*;

/// What the numbers of a chart are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// Shares, drawn from 0 to 1 and labelled in per cent.
    Share,
    /// Numbers from 0 up.
    FromZero,
    /// Numbers of any sign.
    Free,
}

/// One line.
#[derive(Debug, Clone, Default)]
pub(super) struct Series {
    /// (step, value)
    pub(super) points: Vec<(f64, f64)>,
    /// (step, low, high)
    pub(super) band: Vec<(f64, f64, f64)>,
    /// Draw a dot on each point.
    pub(super) dots: bool,
}

/// Colours that stand for the page's: each is replaced by a CSS variable, which the SVG inherits.
const ROLES: [(RGBColor, &str, &str); 4] = [
    (RGBColor(1, 2, 3), "#010203", "var(--series-1)"),
    (RGBColor(4, 5, 6), "#040506", "var(--series-2)"),
    (RGBColor(7, 8, 9), "#070809", "var(--muted)"),
    (RGBColor(10, 11, 12), "#0A0B0C", "var(--grid)"),
];
const MUTED: RGBColor = ROLES[2].0;
const GRID: RGBColor = ROLES[3].0;

/// Width and height of a chart in SVG units.
const SIZE: (u32, u32) = (400, 190);

/// A chart of at most two series over steps; `None` if there are fewer than two points to connect.
pub(super) fn line_chart(scale: Scale, series: &[Series]) -> Option<String> {
    if series.iter().all(|line| line.points.len() < 2) {
        return None;
    }
    let mut svg = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        draw(&area, scale, series).and_then(|()| area.present())
    };
    // Drawing into a string has nothing that could fail but an empty range, which `ranges` rules out.
    drawn.ok()?;
    for (_, sentinel, variable) in ROLES {
        svg = svg.replace(sentinel, variable);
    }
    Some(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type DrawResult<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn draw<'a>(area: &Area<'a>, scale: Scale, series: &[Series]) -> DrawResult<'a> {
    let (x, y) = ranges(scale, series);
    let mut chart = ChartBuilder::on(area)
        .margin(6)
        .margin_right(14)
        .x_label_area_size(22)
        .y_label_area_size(46)
        .build_cartesian_2d(x, y)?;
    let format_y = |value: &f64| match scale {
        Scale::Share => format!("{:.0} %", value * 100.0),
        Scale::FromZero | Scale::Free => short(*value),
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .x_labels(6)
        .y_labels(5)
        .x_label_formatter(&|step| step_label(*step))
        .y_label_formatter(&format_y)
        .label_style(("system-ui, sans-serif", 11).into_font().color(&MUTED))
        .draw()?;
    for (line, (color, ..)) in series.iter().zip(ROLES) {
        if !line.band.is_empty() {
            let high = line.band.iter().map(|&(x, _, high)| (x, high));
            let low = line.band.iter().rev().map(|&(x, low, _)| (x, low));
            let outline: Vec<(f64, f64)> = high.chain(low).collect();
            chart.draw_series([Polygon::new(outline, color.mix(0.16).filled())])?;
        }
        chart.draw_series(LineSeries::new(line.points.iter().copied(), color.stroke_width(2)))?;
        if line.dots {
            chart.draw_series(line.points.iter().map(|&point| Circle::new(point, 4, color.filled())))?;
        }
    }
    Ok(())
}

/// Over a few steps the axis is divided at fractions too, which are no steps and would repeat their neighbours' numbers.
fn step_label(step: f64) -> String {
    if (step - step.round()).abs() < 1e-6 { format!("{step:.0}") } else { String::new() }
}

fn ranges(scale: Scale, series: &[Series]) -> (std::ops::Range<f64>, std::ops::Range<f64>) {
    let span = |values: &mut dyn Iterator<Item = f64>| {
        values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
    };
    let points = || series.iter().flat_map(|line| &line.points);
    let (first, last) = span(&mut points().map(|point| point.0));
    let (low, high) = span(&mut points().map(|point| point.1));
    let pad = ((high - low) * 0.08).max(high.abs() * 0.1).max(1e-6);
    let y = match scale {
        Scale::Share => 0.0..1.0,
        Scale::FromZero => 0.0..(high + pad).max(1e-6),
        Scale::Free => low - pad..high + pad,
    };
    (first..last.max(first + 1.0), y)
}

/// A number in at most three significant digits, without trailing zeros.
pub(crate) fn short(value: f64) -> String {
    let decimals = match value.abs() {
        // Rounding errors around 0.
        size if size < 1e-9 => 0,
        size if !(1e-3..1e5).contains(&size) => return format!("{value:.0e}"),
        size if size < 0.1 => 3,
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{:.decimals$}", if value.abs() < 1e-9 { 0.0 } else { value });
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_the_pages() {
        let line = Series {
            points: vec![(0.0, 0.1), (1.0, 0.5)],
            band: vec![(0.0, 0.0, 0.2), (1.0, 0.4, 0.6)],
            dots: true,
        };
        let svg = line_chart(Scale::Share, &[line]).expect("two points");
        assert!(svg.starts_with("<svg") && svg.contains("var(--series-1)") && svg.contains("var(--grid)"));
        assert!(ROLES.iter().all(|(_, sentinel, _)| !svg.contains(sentinel)));
    }

    #[test]
    fn labels_are_the_steps_each_once() {
        let line = Series { points: vec![(1.0, 0.1), (2.0, 0.2), (3.0, 0.5)], ..Series::default() };
        let svg = line_chart(Scale::Share, &[line]).expect("three points");
        let labels: Vec<&str> =
            svg.lines().map(str::trim).filter(|line| line.parse::<f64>().is_ok()).collect();
        assert_eq!(labels, ["1", "2", "3"]);
    }

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.0, "0"),
            (30.0, "30"),
            (0.05, "0.05"),
            (0.0123, "0.012"),
            (-1.5, "-1.5"),
            (1e-5, "1e-5"),
            (123.4, "123"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn degenerate_data_draws_or_declines() {
        assert_eq!(line_chart(Scale::Free, &[]), None);
        let one = Series { points: vec![(3.0, 1.0)], ..Series::default() };
        assert_eq!(line_chart(Scale::Free, &[one]), None);
        for scale in [Scale::Share, Scale::FromZero, Scale::Free] {
            let flat = Series { points: vec![(1.0, 0.0), (2.0, 0.0)], ..Series::default() };
            assert!(line_chart(scale, &[flat]).is_some());
        }
    }
}
