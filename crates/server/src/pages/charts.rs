//! Charts drawn on the server as SVG: they need no script, print well and carry a table beside them.

use super::chips::{Tone, escape};
use askama::filters::HtmlSafe;
use std::fmt;

/// A line without axes that shows the way a number went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spark {
    /// Old to new.
    pub values: Vec<i64>,
    /// Its colour: `Run`, `Fail`, `Mit` or `Idle`.
    pub tone: Tone,
}

impl fmt::Display for Spark {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.values.len() < 2 {
            return Ok(());
        }
        let (low, high) = range(&self.values);
        write!(
            out,
            "<svg class=\"q-spark\" viewBox=\"0 0 104 38\" aria-hidden=\"true\"><polyline class=\"{}\" points=\"",
            self.tone.class()
        )?;
        for (at, value) in self.values.iter().enumerate() {
            let x = share(at, self.values.len() - 1) * 104.0;
            let y = 35.0 - fraction(*value - low, high - low) * 32.0;
            write!(out, "{x:.1},{y:.1} ")?;
        }
        out.write_str("\"/></svg>")
    }
}
impl HtmlSafe for Spark {}

/// One layer of a stacked area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Its name.
    pub label: &'static str,
    /// `crit`, `high`, `med`, `low` or `mit`; the last is light with a dashed edge, for mitigated is not fixed.
    pub class: &'static str,
    /// One value per point in time.
    pub values: Vec<i64>,
}

impl Layer {
    /// The value at one point in time, for the table beside the chart.
    #[must_use]
    pub fn at(&self, point: &usize) -> i64 {
        self.values.get(*point).copied().unwrap_or(0)
    }
}

/// Stacked areas over time, the first layer at the bottom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Areas {
    /// What it shows, for screen readers.
    pub title: String,
    /// The layers, bottom up.
    pub layers: Vec<Layer>,
    /// The words below, one per point in time; about five of them are drawn.
    pub labels: Vec<String>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 236.0;
const LEFT: f64 = 40.0;
const BOTTOM: f64 = 212.0;
const TOP: f64 = 10.0;

impl Areas {
    /// The layers' values summed from the bottom, per point in time.
    fn stacked(&self) -> Vec<Vec<i64>> {
        let mut below = vec![0; self.labels.len()];
        let mut stacks = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            for (sum, value) in below.iter_mut().zip(&layer.values) {
                *sum += value.max(&0);
            }
            stacks.push(below.clone());
        }
        stacks
    }

    /// Whether there is anything to draw.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.len() < 2 || self.layers.iter().all(|layer| layer.values.iter().all(|value| *value == 0))
    }
}

impl fmt::Display for Areas {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stacks = self.stacked();
        let steps = self.labels.len().saturating_sub(1);
        if steps == 0 {
            return Ok(());
        }
        let highest = stacks.last().and_then(|stack| stack.iter().max()).copied().unwrap_or(0);
        let step = nice_step(highest);
        let top = step * (highest.max(1) + step - 1).div_euclid(step);
        let x = |at: usize| LEFT + share(at, steps) * (WIDTH - LEFT - 4.0);
        let y = |value: i64| BOTTOM - fraction(value, top) * (BOTTOM - TOP);

        write!(
            out,
            "<svg class=\"q-chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escape(&self.title)
        )?;
        for line in 0..=(top / step) {
            let value = line * step;
            write!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{0:.1}\" y2=\"{0:.1}\"/><text x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\">{value}</text>",
                y(value),
                LEFT - 6.0,
                y(value) + 4.0
            )?;
        }
        let ground = vec![0; self.labels.len()];
        for (at, layer) in self.layers.iter().enumerate() {
            let Some(upper) = stacks.get(at) else { continue };
            let lower = at.checked_sub(1).and_then(|under| stacks.get(under)).unwrap_or(&ground);
            write!(out, "<polygon class=\"area-{}\" points=\"", layer.class)?;
            for (point, value) in upper.iter().enumerate() {
                write!(out, "{:.1},{:.1} ", x(point), y(*value))?;
            }
            for (point, value) in lower.iter().enumerate().rev() {
                write!(out, "{:.1},{:.1} ", x(point), y(*value))?;
            }
            out.write_str("\"/>")?;
            if layer.class == "mit" {
                out.write_str("<polyline class=\"edge\" points=\"")?;
                for (point, value) in upper.iter().enumerate() {
                    write!(out, "{:.1},{:.1} ", x(point), y(*value))?;
                }
                out.write_str("\"/>")?;
            }
        }
        let every = steps.div_ceil(4).max(1);
        for (at, label) in self.labels.iter().enumerate().filter(|(at, _)| at % every == 0 || *at == steps) {
            if at != steps && steps - at < every.div_ceil(2) {
                continue;
            }
            let anchor = if at == 0 {
                "start"
            } else if at == steps {
                "end"
            } else {
                "middle"
            };
            write!(
                out,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
                x(at),
                HEIGHT - 6.0,
                escape(label)
            )?;
        }
        out.write_str("</svg>")
    }
}
impl HtmlSafe for Areas {}

/// The scale of a detection score with the four bands and a knob for before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// The inherent score.
    pub before: i64,
    /// The residual score.
    pub after: i64,
}

impl fmt::Display for Scale {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let x = |score: i64| fraction(score.clamp(0, 100), 100) * 500.0 + 6.0;
        write!(
            out,
            "<svg class=\"q-scale\" viewBox=\"0 0 512 44\" role=\"img\" aria-label=\"score {} before, {} after mitigation\">",
            self.before, self.after
        )?;
        for (class, from, to) in [("low", 0, 40), ("med", 40, 70), ("high", 70, 90), ("crit", 90, 100)] {
            write!(
                out,
                "<rect class=\"q-seg-{class}\" x=\"{:.1}\" y=\"22\" width=\"{:.1}\" height=\"8\" rx=\"3\"/>",
                x(from) + 1.0,
                x(to) - x(from) - 2.0
            )?;
        }
        let (from, to) = (x(self.before), x(self.after));
        if self.before != self.after {
            write!(
                out,
                "<path class=\"arc\" d=\"M{from:.1} 18 Q{:.1} -6 {to:.1} 18\"/><circle class=\"knob to\" cx=\"{to:.1}\" cy=\"26\" r=\"6\"/>",
                f64::midpoint(from, to)
            )?;
        }
        write!(out, "<circle class=\"knob from\" cx=\"{from:.1}\" cy=\"26\" r=\"6\"/></svg>")
    }
}
impl HtmlSafe for Scale {}

fn range(values: &[i64]) -> (i64, i64) {
    (values.iter().min().copied().unwrap_or(0), values.iter().max().copied().unwrap_or(0))
}

/// `part` of `whole` on a drawing; nothing of nothing is nothing.
#[expect(clippy::cast_precision_loss, reason = "a position on a drawing")]
fn fraction(part: i64, whole: i64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn share(part: usize, whole: usize) -> f64 {
    fraction(i64::try_from(part).unwrap_or(i64::MAX), i64::try_from(whole).unwrap_or(i64::MAX))
}

/// A distance of grid lines that gives about four of them and reads well: 1, 2, 3 or 5 times a power of ten.
fn nice_step(highest: i64) -> i64 {
    let wanted = (highest / 4).max(1);
    let mut power = 1;
    while power * 10 <= wanted {
        power *= 10;
    }
    [1, 2, 3, 5, 10].into_iter().map(|times| times * power).find(|step| *step >= wanted).unwrap_or(power * 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_read_well() {
        for (highest, step) in [(0, 1), (3, 1), (17, 5), (100, 30), (1_100, 300), (9_999, 3_000), (61_000, 20_000)] {
            assert_eq!(nice_step(highest), step, "{highest}");
        }
    }

    #[test]
    fn nothing_and_one_point_draw_nothing_and_do_not_fail() {
        assert_eq!(Areas::default().to_string(), "");
        assert_eq!(Spark { values: vec![4], tone: Tone::Run }.to_string(), "");
        let flat = Areas {
            title: "a \"b\"".into(),
            layers: vec![Layer { label: "x", class: "crit", values: vec![0, 0] }],
            labels: vec!["<".into(), "b".into()],
        };
        assert!(flat.is_empty());
        let svg = flat.to_string();
        assert!(!svg.contains("NaN") && svg.contains("&lt;") && svg.contains("a &quot;b&quot;"), "{svg}");
    }
}
