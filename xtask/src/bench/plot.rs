//! What a short connection costs with each alternative, as a picture.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use plotters::prelude::{
    BLACK, ChartBuilder, Circle, Color as _, IntoDrawingArea as _, IntoFont as _, PathElement, RGBColor,
    SVGBackend, WHITE,
};

use super::{connections, findings::Row, ours::OURS, part::Part, report::Report, statistics::Estimate};

const WIDTH: u32 = 820;
/// Of what is around the rows, and of each, in pixels.
const FRAME: u32 = 110;
const ROW: u32 = 30;
/// Of the names.
const LABELS: u32 = 330;

const BLUE: RGBColor = RGBColor(31, 119, 180);
const GREY: RGBColor = RGBColor(127, 127, 127);

/// Draws the part `connections` into a file.
pub(super) fn draw(file: &Path, report: &Report) -> Result<()> {
    let measured = report.parts.iter().find(|outcome| outcome.part == Part::Connections);
    let tables = measured.map(|outcome| outcome.findings.tables.as_slice()).unwrap_or_default();
    let table = tables.iter().find(|table| table.title == connections::WHOLE_COST);
    let table = table.context("nothing to draw: the part `connections` was not measured")?;
    draw_rows(file, &table.rows, &report.machine.to_string())
        .map_err(|error| anyhow!("cannot draw {}: {error}", file.display()))
}

fn draw_rows(file: &Path, rows: &[Row], machine: &str) -> Result<(), Box<dyn std::error::Error>> {
    let bars: Vec<(&str, Estimate)> = rows
        .iter()
        .filter_map(|row| {
            let against = row.against.iter().find(|against| against.base == connections::NOTHING)?;
            let Estimate { value, low, high } = against.ratio;
            let [value, low, high] = [value, low, high].map(|times| 100.0 * (times - 1.0));
            Some((row.what.as_str(), Estimate { value, low, high }))
        })
        .collect();
    let count = u32::try_from(bars.len())?;
    let area = SVGBackend::new(file, (WIDTH, FRAME + ROW * count)).into_drawing_area();
    area.fill(&WHITE)?;
    let least = bars.iter().map(|(_, bar)| bar.low).fold(0.0, f64::min);
    let most = bars.iter().map(|(_, bar)| bar.high).fold(1.0, f64::max);
    let room = 0.05 * (most - least);
    let names = |at: &f64| {
        let name = bars.iter().enumerate().find(|(index, _)| place(*index).to_bits() == at.to_bits());
        name.map_or_else(String::new, |(_, (name, _))| (*name).to_owned())
    };
    let bottom = f64::from(count) - 0.5;
    let mut chart = ChartBuilder::on(&area)
        .caption(
            "A short connection over loopback, both ends governed: CPU time against nothing attached",
            ("sans-serif", 15).into_font().color(&BLACK),
        )
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(LABELS)
        .build_cartesian_2d(least - room..most + room, bottom..-0.5)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .max_light_lines(0)
        .y_labels(bars.len() + 1)
        .y_label_formatter(&names)
        .x_label_formatter(&|percent| format!("{percent:+.0} %"))
        .x_desc(format!("median and its 95 % interval; {machine}"))
        .draw()?;
    for (index, (name, bar)) in bars.iter().enumerate() {
        let colour = if name.starts_with(OURS) { BLUE } else { GREY };
        let at = place(index);
        chart.draw_series([PathElement::new(vec![(bar.low, at), (bar.high, at)], colour.stroke_width(3))])?;
        chart.draw_series([Circle::new((bar.value, at), 5, colour.filled())])?;
    }
    area.present()?;
    Ok(())
}

fn place(index: usize) -> f64 {
    u32::try_from(index).map_or(f64::INFINITY, f64::from)
}
