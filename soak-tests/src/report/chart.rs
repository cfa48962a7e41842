//! Charts, each as PNG for those who look and as SVG for those who print.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Once;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

/// Colours that people who see no red or no green can tell apart (Okabe and Ito), darkest first.
pub const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
];
const INK: RGBColor = RGBColor(40, 40, 40);
const PALE: RGBColor = RGBColor(225, 225, 225);

/// Bars from a common line, on a scale of powers of ten.
#[derive(Debug, Clone)]
pub struct Bars {
    /// What it shows.
    pub title: String,
    /// What a bar's length is.
    pub axis: String,
    /// A bar each: its name, its value, what is written at its end, its colour.
    pub bars: Vec<(String, f64, String, RGBColor)>,
    /// A line at a value, with a name.
    pub mark: Option<(f64, String)>,
    /// What colours mean.
    pub legend: Vec<(String, RGBColor)>,
}

/// Lines over an axis.
#[derive(Debug, Clone)]
pub struct Lines {
    /// What it shows.
    pub title: String,
    /// The axes.
    pub axes: (String, String),
    /// Lines: a name and its points.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
    /// Places on the first axis and what is written there; none for powers of ten.
    pub ticks: Vec<(f64, String)>,
    /// True when the first axis is of powers of ten.
    pub log_x: bool,
    /// True when the second is.
    pub log_y: bool,
}

/// A chart.
#[derive(Debug, Clone)]
pub enum Chart {
    /// Bars.
    Bars(Bars),
    /// Lines.
    Lines(Lines),
}

fn failed(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("a chart cannot be drawn: {error}"))
}

fn font() {
    static FONT: Once = Once::new();
    // The font is part of the program; should it be unreadable, drawing text says so.
    FONT.call_once(|| {
        let _ = register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular());
    });
}

impl Chart {
    /// Writes `NAME.png` and `NAME.svg` into `folder`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> io::Result<()> {
        font();
        fs::create_dir_all(folder)?;
        let size = self.size();
        let png = folder.join(format!("{name}.png"));
        self.draw(&BitMapBackend::new(&png, size).into_drawing_area())?;
        let svg = folder.join(format!("{name}.svg"));
        self.draw(&SVGBackend::new(&svg, size).into_drawing_area())
    }

    fn size(&self) -> (u32, u32) {
        match self {
            Self::Bars(bars) => (1000, 120 + 22 * u32::try_from(bars.bars.len()).unwrap_or(40)),
            Self::Lines(_) => (1000, 560),
        }
    }

    fn draw<B: DrawingBackend>(&self, root: &DrawingArea<B, Shift>) -> io::Result<()> {
        root.fill(&WHITE).map_err(failed)?;
        match self {
            Self::Bars(bars) => bars.draw(root)?,
            Self::Lines(lines) => lines.draw(root)?,
        }
        root.present().map_err(failed)
    }
}

fn text<B: DrawingBackend>(
    root: &DrawingArea<B, Shift>,
    text: &str,
    at: (i32, i32),
    size: u32,
    (side, colour): (HPos, RGBColor),
) -> io::Result<()> {
    let style = ("sans-serif", size).into_font().color(&colour).pos(Pos::new(side, VPos::Center));
    root.draw_text(text, &style, at).map_err(failed)
}

fn power(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{:.0} M", value / 1e6),
        value if value >= 1e3 => format!("{:.0} K", value / 1e3),
        value => format!("{value}"),
    }
}

impl Bars {
    fn draw<B: DrawingBackend>(&self, root: &DrawingArea<B, Shift>) -> io::Result<()> {
        const LEFT: i32 = 330;
        const TOP: i32 = 70;
        const STEP: i32 = 22;
        let (width, _) = root.dim_in_pixel();
        let right = i32::try_from(width).unwrap_or(1000) - 90;
        let bottom = TOP + STEP * i32::try_from(self.bars.len()).unwrap_or(0);
        let values = self.bars.iter().map(|bar| bar.1).filter(|value| *value > 0.0);
        let (least, most) =
            values.fold((1.0_f64, 10.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = (least.log10().floor(), most.log10().ceil());
        #[expect(clippy::cast_possible_truncation, reason = "a place on a chart of 1000 pixels")]
        let place = |value: f64| {
            LEFT + ((value.max(1e-9).log10() - low) / (high - low) * f64::from(right - LEFT)) as i32
        };
        text(root, &self.title, (20, 22), 20, (HPos::Left, INK))?;
        for (at, (name, colour)) in (0..).zip(&self.legend) {
            let x = LEFT + 165 * at;
            root.draw(&Rectangle::new([(x, 44), (x + 12, 56)], colour.filled())).map_err(failed)?;
            text(root, name, (x + 18, 50), 14, (HPos::Left, INK))?;
        }
        #[expect(clippy::cast_possible_truncation, reason = "there are a few powers of ten")]
        for exponent in low as i32..=high as i32 {
            let value = 10_f64.powi(exponent);
            let x = place(value);
            root.draw(&PathElement::new([(x, TOP), (x, bottom)], PALE)).map_err(failed)?;
            text(root, &power(value), (x, bottom + 14), 13, (HPos::Center, INK))?;
        }
        text(root, &self.axis, (LEFT, bottom + 36), 14, (HPos::Left, INK))?;
        let from = place(1.0).min(right);
        for (at, (name, value, end, colour)) in (0..).zip(&self.bars) {
            let y = TOP + STEP * at;
            let x = place(*value);
            root.draw(&Rectangle::new([(from.min(x), y + 3), (from.max(x), y + STEP - 4)], colour.filled()))
                .map_err(failed)?;
            text(root, name, (LEFT - 8, y + STEP / 2), 14, (HPos::Right, INK))?;
            text(root, end, (from.max(x) + 5, y + STEP / 2), 13, (HPos::Left, INK))?;
        }
        if let Some((value, name)) = &self.mark {
            let x = place(*value);
            root.draw(&PathElement::new([(x, TOP - 4), (x, bottom)], INK.stroke_width(1))).map_err(failed)?;
            text(root, name, (x + 4, bottom + 36), 13, (HPos::Left, INK))?;
        }
        Ok(())
    }
}

impl Lines {
    fn draw<B: DrawingBackend>(&self, root: &DrawingArea<B, Shift>) -> io::Result<()> {
        const LEFT: i32 = 80;
        const TOP: i32 = 60;
        let (width, height) = root.dim_in_pixel();
        let (width, height) = (i32::try_from(width).unwrap_or(1000), i32::try_from(height).unwrap_or(560));
        let (right, bottom) = (width - 250, height - 70);
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let (x_of, x_low, x_high) = scale(points().map(|point| point.0), self.log_x, false);
        let (y_of, y_low, y_high) = scale(points().map(|point| point.1), self.log_y, true);
        #[expect(clippy::cast_possible_truncation, reason = "a place on a chart of 1000 pixels")]
        let place = |(x, y): (f64, f64)| {
            let across = (x_of(x) - x_low) / (x_high - x_low).max(1e-9);
            let up = (y_of(y) - y_low) / (y_high - y_low).max(1e-9);
            (LEFT + (across * f64::from(right - LEFT)) as i32, bottom - (up * f64::from(bottom - TOP)) as i32)
        };
        text(root, &self.title, (20, 22), 20, (HPos::Left, INK))?;
        text(root, &self.axes.1, (20, 46), 14, (HPos::Left, INK))?;
        text(root, &self.axes.0, (LEFT, bottom + 42), 14, (HPos::Left, INK))?;
        for (value, name) in steps(y_low, y_high, self.log_y) {
            let (_, y) = place((points().next().map_or(1.0, |point| point.0), value));
            root.draw(&PathElement::new([(LEFT, y), (right, y)], PALE)).map_err(failed)?;
            text(root, &name, (LEFT - 8, y), 13, (HPos::Right, INK))?;
        }
        let ticks = if self.ticks.is_empty() { steps(x_low, x_high, self.log_x) } else { self.ticks.clone() };
        for (value, name) in ticks {
            let (x, _) = place((value, points().next().map_or(1.0, |point| point.1)));
            root.draw(&PathElement::new([(x, TOP), (x, bottom)], PALE)).map_err(failed)?;
            text(root, &name, (x, bottom + 16), 13, (HPos::Center, INK))?;
        }
        let mut taken: Vec<i32> = Vec::new();
        for (at, (name, points)) in self.lines.iter().enumerate() {
            let colour = COLOURS[at % COLOURS.len()];
            let path: Vec<(i32, i32)> = points.iter().map(|point| place(*point)).collect();
            let Some(&(end_x, end_y)) = path.last() else { continue };
            root.draw(&PathElement::new(path.clone(), colour.stroke_width(2))).map_err(failed)?;
            if points.len() <= 12 {
                for point in &path {
                    root.draw(&Circle::new(*point, 3, colour.filled())).map_err(failed)?;
                }
            }
            // Names stand beside the ends of their lines, none over another.
            let mut y = end_y;
            while taken.iter().any(|other| (other - y).abs() < 17) {
                y += 17;
            }
            taken.push(y);
            root.draw(&PathElement::new([(end_x + 3, end_y), (right + 8, y)], colour.mix(0.4)))
                .map_err(failed)?;
            text(root, name, (right + 12, y), 14, (HPos::Left, colour))?;
        }
        Ok(())
    }
}

/// How values become places, and the ends of the scale.
fn scale(values: impl Iterator<Item = f64>, log: bool, from_zero: bool) -> (fn(f64) -> f64, f64, f64) {
    let (low, high) =
        values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return (|value| value, 0.0, 1.0);
    }
    if log {
        let of: fn(f64) -> f64 = |value| value.max(1e-9).log10();
        return (
            of,
            if from_zero { of(low).floor() } else { of(low) },
            if from_zero { of(high).ceil() } else { of(high) },
        );
    }
    (|value| value, if from_zero { 0.0 } else { low }, if from_zero { high * 1.1 } else { high })
}

/// Where lines of a grid go, and what they are called.
fn steps(low: f64, high: f64, log: bool) -> Vec<(f64, String)> {
    if log {
        #[expect(clippy::cast_possible_truncation, reason = "there are a few powers of ten")]
        let exponents = low.ceil() as i32..=high.floor() as i32;
        return exponents.map(|exponent| 10_f64.powi(exponent)).map(|value| (value, power(value))).collect();
    }
    let rough = ((high - low) / 5.0).max(1e-9);
    let unit = 10_f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * unit).find(|step| *step >= rough).unwrap_or(rough);
    let mut value = (low / step).ceil() * step;
    let mut found = Vec::new();
    while value <= high {
        found.push((value, power((value * 1000.0).round() / 1000.0)));
        value += step;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chart_is_written_twice_even_an_empty_one() {
        let folder = tempfile::tempdir().expect("tests may write temporary files");
        let bars = Bars {
            title: "t".to_owned(),
            axis: "a".to_owned(),
            bars: vec![("x".to_owned(), 0.5, "0.5×".to_owned(), COLOURS[0])],
            mark: Some((10.0, "target".to_owned())),
            legend: vec![("ours".to_owned(), COLOURS[0])],
        };
        let lines = Lines {
            title: "t".to_owned(),
            axes: ("x".to_owned(), "y".to_owned()),
            lines: Vec::new(),
            ticks: Vec::new(),
            log_x: true,
            log_y: false,
        };
        for (name, chart) in [("bars", Chart::Bars(bars)), ("lines", Chart::Lines(lines))] {
            chart.write(folder.path(), name).expect("the folder is there");
            let png = fs::read(folder.path().join(format!("{name}.png"))).expect("it was written");
            let svg = fs::read_to_string(folder.path().join(format!("{name}.svg"))).expect("it was written");
            assert!(png.starts_with(b"\x89PNG") && svg.contains("<svg"));
        }
    }

    #[test]
    fn grids_have_round_steps() {
        let values: Vec<f64> = steps(0.0, 100.0, false).into_iter().map(|(value, _)| value).collect();
        assert_eq!(values, [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(steps(0.0, 2.0, true).len(), 3);
    }
}
