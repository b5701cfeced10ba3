//! The results as SVG plots that stand alone, on light and dark pages alike.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::results::{ACCEPTED, ArmResult, Results};

/// Colours by arm, told apart also by readers who see few (Okabe and Ito).
const COLORS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(120, 120, 120),
    RGBColor(160, 90, 40),
];
/// Text and lines that can be read on white and on black.
const INK: RGBColor = RGBColor(125, 125, 125);
const SIZE: (u32, u32) = (720, 400);
/// Pixels around a plot, and those to its right that the names of its series take.
const MARGIN: u32 = 10;
const LEGEND_WIDTH: u32 = 230;
/// Most labels of an axis of many values.
const LABELS: usize = 11;
const FONT: &str = "system-ui, sans-serif";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Failure<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>;
type Outcome<'a> = Result<(), Failure<'a>>;

/// Every plot that the results have data for, with its name.
pub fn all(results: &Results) -> Vec<(&'static str, String)> {
    [
        ("accuracy", accuracy(results)),
        ("levels", levels(results)),
        ("yield", yields(results)),
        ("kl", kl(results)),
    ]
    .into_iter()
    .filter_map(|(name, svg)| Some((name, svg?)))
    .collect()
}

fn svg(draw: impl for<'a> FnOnce(&Area<'a>) -> Outcome<'a>) -> Option<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        // Drawing into a string fails for empty ranges only.
        draw(&area).ok()?;
        area.present().ok()?;
    }
    Some(text)
}

/// (x, mean, lowest, highest) over seeds on a common grid, each seed's course interpolated.
fn band(courses: &[Vec<(f64, f64)>]) -> Vec<BandPoint> {
    let courses: Vec<&Vec<(f64, f64)>> = courses.iter().filter(|course| course.len() > 1).collect();
    let end =
        courses.iter().filter_map(|course| course.last()).map(|point| point.0).fold(f64::INFINITY, f64::min);
    let most = courses.iter().map(|course| course.len()).max().unwrap_or(0);
    if most < 2 || !end.is_finite() {
        return Vec::new();
    }
    (0..most)
        .map(|i| {
            let x = end * i as f64 / (most - 1) as f64;
            let values: Vec<f64> = courses.iter().map(|course| at(course, x)).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            (x, mean, low, values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
        })
        .collect()
}

/// `(x, mean, lowest, highest)`.
type BandPoint = (f64, f64, f64, f64);

/// The course at `x`, on the straight line between its points.
fn at(course: &[(f64, f64)], x: f64) -> f64 {
    let next = course.iter().position(|point| point.0 >= x).unwrap_or(course.len() - 1);
    let (x1, y1) = course[next];
    let Some((x0, y0)) = next.checked_sub(1).map(|before| course[before]) else { return y1 };
    if x1 <= x0 { y1 } else { y0 + (y1 - y0) * ((x - x0) / (x1 - x0)).clamp(0.0, 1.0) }
}

/// Pass@1 on the hard problems against training tokens, mean and range over seeds.
fn accuracy(results: &Results) -> Option<String> {
    let arms: Vec<(&ArmResult, Vec<BandPoint>)> = results
        .arms
        .iter()
        .filter(|arm| !arm.ablation)
        .map(|arm| {
            let courses: Vec<Vec<(f64, f64)>> = arm
                .seeds
                .iter()
                .map(|outcome| outcome.curve.iter().map(|&(tokens, _, hard)| (tokens as f64, hard)).collect())
                .collect();
            (arm, band(&courses))
        })
        .filter(|(_, band)| !band.is_empty())
        .collect();
    let right = arms.iter().filter_map(|(_, band)| band.last()).map(|point| point.0).fold(0.0, f64::max);
    let top = arms.iter().flat_map(|(_, band)| band).map(|point| point.3).fold(0.0, f64::max);
    if right <= 0.0 {
        return None;
    }
    let title = "Hard held-out problems solved (pass@1) by training tokens";
    svg(|area| {
        let thousands = |tokens: &f64| format!("{:.0} k", tokens / 1000.0);
        let mut chart = frame(
            area,
            title,
            (0.0..right, 0.0..(top * 1.1).clamp(0.02, 1.0)),
            MARGIN,
            (LABELS, &thousands),
        )?;
        for (index, (arm, band)) in arms.iter().enumerate() {
            let color = COLORS[index % COLORS.len()];
            let outline: Vec<(f64, f64)> =
                band.iter().map(|p| (p.0, p.3)).chain(band.iter().rev().map(|p| (p.0, p.2))).collect();
            chart.draw_series([Polygon::new(outline, color.mix(0.18).filled())])?;
            chart
                .draw_series(LineSeries::new(band.iter().map(|p| (p.0, p.1)), color.stroke_width(2)))?
                .label(arm.label.clone())
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], color.stroke_width(3)));
        }
        legend(&mut chart)
    })
}

/// A line with its name.
pub(crate) struct Line {
    pub(crate) label: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Shares against a count, a line for each of `series`; `None` without points.
pub(crate) fn lines(title: &str, series: &[Line]) -> Option<String> {
    let right = series.iter().flat_map(|line| &line.points).map(|point| point.0).fold(0.0, f64::max);
    if right <= 1.0 {
        return None;
    }
    svg(|area| {
        let count = |count: &f64| format!("{count:.0}");
        let labels = (right as usize, &count as &Label);
        let mut chart = frame(area, title, (1.0..right, 0.0..1.0), LEGEND_WIDTH, labels)?;
        for (place, line) in series.iter().enumerate() {
            let color = COLORS[place % COLORS.len()];
            chart.draw_series(LineSeries::new(line.points.iter().copied(), color.stroke_width(2)))?;
            name_beside(area, place, &line.label)?;
        }
        Ok(())
    })
}

type Chart<'a, 'b> = ChartContext<
    'b,
    SVGBackend<'a>,
    Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
>;

/// What stands at a place of an axis.
type Label = dyn Fn(&f64) -> String;

/// A plot of shares over `x`, whose axis has at most so many labels, with so many pixels to its right.
fn frame<'a, 'b>(
    area: &'b Area<'a>,
    title: &str,
    (x, y): (std::ops::Range<f64>, std::ops::Range<f64>),
    right: u32,
    (labels, label): (usize, &Label),
) -> Result<Chart<'a, 'b>, Failure<'a>> {
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 15).into_font().color(&INK))
        .margin(MARGIN)
        .margin_right(right)
        .x_label_area_size(28)
        .y_label_area_size(52)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.3))
        .axis_style(INK)
        .x_labels(labels)
        .x_label_formatter(&label)
        .y_label_formatter(&|share| format!("{:.0} %", share * 100.0))
        .label_style((FONT, 12).into_font().color(&INK))
        .draw()?;
    Ok(chart)
}

fn legend<'a: 'b, 'b>(chart: &mut Chart<'a, 'b>) -> Outcome<'a> {
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .border_style(TRANSPARENT)
        .background_style(TRANSPARENT)
        .label_font((FONT, 13).into_font().color(&INK))
        .draw()
}

/// Bars in groups: a label with one value a series, each with its lowest and highest.
struct Bars {
    label: String,
    values: Vec<Option<(f64, f64, f64)>>,
}

/// The name of a series, with its colour, beside a plot that leaves [`LEGEND_WIDTH`] pixels for it.
fn name_beside<'a>(area: &Area<'a>, place: usize, name: &str) -> Outcome<'a> {
    let (x, y) = ((SIZE.0 - LEGEND_WIDTH + 14) as i32, 50 + 22 * place as i32);
    let color = COLORS[place % COLORS.len()];
    area.draw(&Rectangle::new([(x, y), (x + 12, y + 10)], color.filled()))?;
    area.draw(&Text::new(name, (x + 18, y - 1), (FONT, 12).into_font().color(&INK)))
}

/// Grouped bars with whiskers and the names of the series beside them; `suffix` follows the numbers of the axis, which are values times `scale`.
fn bars(title: &str, series: &[&str], groups: &[Bars], scale: f64, suffix: &str) -> Option<String> {
    let top = groups.iter().flat_map(|g| g.values.iter().flatten()).map(|v| v.2).fold(0.0, f64::max);
    if top <= 0.0 || groups.is_empty() {
        return None;
    }
    let width = series.len() as f64 + 1.0;
    svg(|area| {
        let beside = if series.len() > 1 { LEGEND_WIDTH } else { MARGIN };
        let mut chart = ChartBuilder::on(area)
            .caption(title, (FONT, 15).into_font().color(&INK))
            .margin(MARGIN)
            .margin_right(beside)
            .x_label_area_size(28)
            .y_label_area_size(52)
            .build_cartesian_2d(0.0..width * groups.len() as f64, 0.0..top * 1.05)?;
        let label = |x: &f64| {
            let index = (x / width).floor();
            // A label stands at the middle of its group alone.
            let middle = (x - index * width - width / 2.0).abs() < 1e-6;
            groups.get(index as usize).filter(|_| middle).map_or(String::new(), |group| group.label.clone())
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(INK.mix(0.3))
            .axis_style(INK)
            .x_labels(0)
            .x_label_formatter(&label)
            .y_label_formatter(&|value| format!("{}{suffix}", crate::ladder::report::short(value * scale)))
            .label_style((FONT, 12).into_font().color(&INK))
            .draw()?;
        for (place, name) in series.iter().enumerate() {
            let color = COLORS[place % COLORS.len()];
            let mut drawn = Vec::new();
            let mut whiskers = Vec::new();
            for (index, group) in groups.iter().enumerate() {
                let Some((mean, low, high)) = group.values.get(place).copied().flatten() else { continue };
                let x = index as f64 * width + 0.5 + place as f64;
                drawn.push(Rectangle::new([(x + 0.05, 0.0), (x + 0.95, mean)], color.filled()));
                whiskers.push(PathElement::new(vec![(x + 0.5, low), (x + 0.5, high)], INK.stroke_width(2)));
            }
            chart.draw_series(drawn)?;
            chart.draw_series(whiskers)?;
            if series.len() > 1 {
                name_beside(area, place, name)?;
            }
        }
        // The axis has no room for words: each group's name stands under its bars.
        let style = (FONT, 12).into_font().color(&INK).pos(plotters::style::text_anchor::Pos::new(
            plotters::style::text_anchor::HPos::Center,
            plotters::style::text_anchor::VPos::Top,
        ));
        for (index, group) in groups.iter().enumerate() {
            let x = (index as f64 + 0.5) * width;
            let at = chart.backend_coord(&(x, 0.0));
            area.draw(&Text::new(group.label.clone(), (at.0, at.1 + 6), style.clone()))?;
        }
        Ok(())
    })
}

fn spread(values: &[f64]) -> Option<(f64, f64, f64)> {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (!values.is_empty()).then(|| (values.iter().sum::<f64>() / values.len() as f64, low, high))
}

/// Pass rate by level of the arms that answer once, mean and range over seeds.
fn levels(results: &Results) -> Option<String> {
    let once = |arm: &&ArmResult| {
        let chosen = arm.name.ends_with("-majority") || arm.name.ends_with("-best");
        !arm.ablation && !arm.seeds.is_empty() && !chosen
    };
    let arms: Vec<&ArmResult> = results.arms.iter().filter(once).take(COLORS.len()).collect();
    let names: Vec<&str> = arms.iter().map(|arm| arm.label.as_str()).collect();
    let groups: Vec<Bars> = results
        .groups
        .iter()
        .filter(|group| group.name.starts_with("level"))
        .map(|group| Bars {
            label: group.name.clone(),
            values: arms
                .iter()
                .map(|arm| {
                    let rates: Vec<f64> =
                        arm.seeds.iter().filter_map(|outcome| Some(outcome.rate(&group.places)?.0)).collect();
                    spread(&rates)
                })
                .collect(),
        })
        .collect();
    bars("Held-out problems solved by level", &names, &groups, 100.0, " %")
}

/// Share of written variants that became problems of the tree, and of groups with a signal, by arm.
fn yields(results: &Results) -> Option<String> {
    let arms = results.arms.iter().filter(|arm| arm.seeds.iter().any(|outcome| !outcome.signal.is_empty()));
    let groups: Vec<Bars> = arms
        .map(|arm| {
            let accepted: Vec<f64> = arm
                .seeds
                .iter()
                .filter(|outcome| !outcome.variants.is_empty())
                .map(|outcome| {
                    let written: u64 = outcome.variants.values().sum();
                    outcome.variants.get(ACCEPTED).copied().unwrap_or(0) as f64 / written.max(1) as f64
                })
                .collect();
            let signal: Vec<f64> = arm
                .seeds
                .iter()
                .map(|o| o.signal.iter().map(|p| p.1).sum::<f64>() / o.signal.len().max(1) as f64)
                .collect();
            Bars { label: arm.name.clone(), values: vec![spread(&accepted), spread(&signal)] }
        })
        .collect();
    bars("Yield by arm", &["variants accepted", "groups with signal"], &groups, 100.0, " %")
}

/// KL to the base on the answers to the held-out problems, by arm.
fn kl(results: &Results) -> Option<String> {
    let groups: Vec<Bars> = results
        .arms
        .iter()
        .filter_map(|arm| {
            let values: Vec<f64> = arm.seeds.iter().filter_map(|outcome| outcome.kl).collect();
            Some(Bars { label: arm.name.clone(), values: vec![Some(spread(&values)?)] })
        })
        .collect();
    bars("KL to the base, nats per token", &["policy against base"], &groups, 1.0, "")
}
