//! Each measure over time, one beside the other.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::{
    BLACK, ChartBuilder, IntoDrawingArea as _, IntoFont as _, LineSeries, RGBColor, SVGBackend, WHITE,
};

use super::{
    sample::Sample,
    verdict::{MEASURES, Measure, Verdict},
};

const COLUMNS: usize = 3;
/// Of one measure, in pixels.
const WIDTH: u32 = 380;
const HEIGHT: u32 = 200;

const FLAT: RGBColor = RGBColor(31, 119, 180);
const GROWING: RGBColor = RGBColor(214, 39, 40);

/// Draws all measures into a file.
pub(super) fn draw(file: &Path, samples: &[Sample]) -> Result<()> {
    let rows = MEASURES.len().div_ceil(COLUMNS);
    let (columns, lines) = (u32::try_from(COLUMNS)?, u32::try_from(rows)?);
    let area = SVGBackend::new(file, (columns * WIDTH, lines * HEIGHT)).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| anyhow!("cannot draw {}: {error}", file.display());
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    for (measure, panel) in MEASURES.iter().zip(area.split_evenly((rows, COLUMNS))) {
        draw_one(measure, samples, &panel).map_err(|error| failed(&error))?;
    }
    area.present().map_err(|error| failed(&error))
}

type Panel<'a> = plotters::drawing::DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw_one(
    measure: &Measure,
    samples: &[Sample],
    panel: &Panel<'_>,
) -> Result<(), Box<dyn std::error::Error>> {
    let points: Vec<(f64, f64)> =
        measure.points(samples).into_iter().map(|(at, value)| (at / 60.0, value)).collect();
    let end = points.last().map_or(1.0, |(at, _)| at.max(0.01));
    // From zero, so that what trembles is not taken for what moves.
    let top = points.iter().map(|(_, value)| *value).fold(1.0, f64::max) * 1.15;
    let colour = if measure.trend(samples).verdict == Verdict::Growing { GROWING } else { FLAT };
    let title = if measure.unit.is_empty() {
        measure.name.to_owned()
    } else {
        format!("{} ({})", measure.name, measure.unit)
    };
    let mut chart = ChartBuilder::on(panel)
        .caption(title, ("sans-serif", 15).into_font().color(&BLACK))
        .margin(8)
        .x_label_area_size(34)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..end, 0.0..top)?;
    chart.configure_mesh().max_light_lines(0).x_labels(6).y_labels(5).x_desc("minutes").draw()?;
    chart.draw_series(LineSeries::new(points, &colour))?;
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn every_measure_has_its_panel_and_what_grows_its_colour() {
        let samples: Vec<_> = (0..100)
            .map(|at| Sample { at_s: f64::from(at), pins: f64::from(at), ..Sample::default() })
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("soak.svg");

        draw(&file, &samples).unwrap();

        let picture = std::fs::read_to_string(file).unwrap();
        assert!(MEASURES.iter().all(|measure| picture.contains(measure.name)), "{picture}");
        assert_eq!(picture.matches("#D62728").count(), 1, "one grows");
    }

    #[test]
    fn nothing_measured_is_an_empty_picture_and_no_failure() {
        let folder = tempfile::tempdir().unwrap();

        draw(&folder.path().join("soak.svg"), &[]).unwrap();
    }
}
