//! Small marks used on every page: icons, state chips, severity and score badges, bars and times.
//!
//! Each is plain data that prints itself as HTML. None decides anything: which state or band applies is said by
//! `domain`, and the words come with it. Colour never stands alone, every mark prints its word or number.

use crate::assets;
use askama::Template;
use askama::filters::HtmlSafe;
use jiff::{SignedDuration, Timestamp};
use std::fmt;

/// An icon of the sprite. It is decoration: the word beside it is what a screen reader says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icon(pub &'static str);

impl fmt::Display for Icon {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "<svg class=\"q-icon\" aria-hidden=\"true\"><use href=\"{}#{}\"/></svg>", assets::ICONS_SVG, self.0)
    }
}
impl HtmlSafe for Icon {}

/// An icon by its name; see the table in `build.rs`.
#[must_use]
pub fn icon(name: &str) -> Icon {
    let found = assets::ICONS.iter().find(|icon| **icon == name);
    debug_assert!(found.is_some(), "the sprite has no icon {name}");
    Icon(found.copied().unwrap_or("minus"))
}

/// Text made safe between tags and inside quoted attributes, for what prints itself.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// A number, however many references a template puts before it.
pub trait Number: Copy {
    /// The number.
    fn number(self) -> i64;
}

impl Number for i64 {
    fn number(self) -> i64 {
        self
    }
}

impl<T: Number> Number for &T {
    fn number(self) -> i64 {
        (*self).number()
    }
}

/// A number with thousands separated by commas.
#[must_use]
pub fn count(number: impl Number) -> String {
    let number = number.number();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('−');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The colour family of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Done well, and fixed.
    Ok,
    /// Happening now.
    Run,
    /// Needs a look.
    Warn,
    /// Went wrong.
    Fail,
    /// Nothing happens.
    Idle,
    /// Will happen at a known time.
    Sched,
    /// Mitigated, which never looks like fixed.
    Mit,
    /// Plain information.
    Info,
}

impl Tone {
    /// The class in the style sheet.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Tone::Ok => "ok",
            Tone::Run => "run",
            Tone::Warn => "warn",
            Tone::Fail => "fail",
            Tone::Idle => "idle",
            Tone::Sched => "sched",
            Tone::Mit => "mit",
            Tone::Info => "info",
        }
    }

    /// The icon that goes with it; `Run` has the pulsing dot instead.
    #[must_use]
    pub fn icon(self) -> Option<&'static str> {
        match self {
            Tone::Ok => Some("check"),
            Tone::Run | Tone::Info => None,
            Tone::Warn => Some("alert-triangle"),
            Tone::Fail => Some("x"),
            Tone::Idle => Some("minus"),
            Tone::Sched => Some("clock"),
            Tone::Mit => Some("shield-check"),
        }
    }
}

/// A state or a property as icon, word and colour.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<span class="q-chip {{ tone.class() }}"{% if let Some(title) = title %} title="{{ title }}"{% endif %}>{% if tone == Tone::Run && icon.is_none() %}<span class="q-dot"></span>{% elif let Some(name) = icon %}{{ super::icon(name) }}{% endif %}{{ text }}</span>"#
)]
pub struct Chip {
    tone: Tone,
    icon: Option<&'static str>,
    text: String,
    title: Option<String>,
}
impl HtmlSafe for Chip {}

impl Chip {
    /// A chip with the usual icon of its tone.
    pub fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, icon: tone.icon(), text: text.into(), title: None }
    }

    /// With another icon.
    #[must_use]
    pub fn with_icon(mut self, icon: &'static str) -> Self {
        self.icon = Some(icon);
        self
    }

    /// With a longer explanation shown on hover.
    #[must_use]
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// The word it shows.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its tone.
    #[must_use]
    pub fn tone(&self) -> Tone {
        self.tone
    }
}

/// The bands of a detection score: Critical 90-100, High 70-89, Medium 40-69, Low 1-39 (design, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Band {
    /// No score.
    None,
    /// 1-39.
    Low,
    /// 40-69.
    Medium,
    /// 70-89.
    High,
    /// 90-100.
    Critical,
}

impl Band {
    /// The band a score lies in.
    #[must_use]
    pub fn of(score: i64) -> Self {
        match score {
            90.. => Band::Critical,
            70..=89 => Band::High,
            40..=69 => Band::Medium,
            1..=39 => Band::Low,
            _ => Band::None,
        }
    }

    /// The class in the style sheet.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Band::Critical => "crit",
            Band::High => "high",
            Band::Medium => "med",
            Band::Low => "low",
            Band::None => "none",
        }
    }

    /// What people call it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Band::Critical => "Critical",
            Band::High => "High",
            Band::Medium => "Medium",
            Band::Low => "Low",
            Band::None => "No score",
        }
    }
}

/// A Qualys severity, 1 to 5, with its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Severity(pub i64);

impl fmt::Display for Severity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, word) = match self.0 {
            5.. => ("crit", "Urgent"),
            4 => ("high", "Critical"),
            3 => ("med", "Serious"),
            2 => ("low", "Medium"),
            _ => ("none", "Minimal"),
        };
        write!(out, "<span class=\"q-chip {class}\">{} {word}</span>", self.0)
    }
}
impl HtmlSafe for Severity {}

/// One score in the colour of its band.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Score(pub i64);

impl fmt::Display for Score {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let band = Band::of(self.0);
        write!(out, "<span class=\"q-score {}\" title=\"{}\">{}</span>", band.class(), band.word(), self.0)
    }
}
impl HtmlSafe for Score {}

/// A score, for templates.
#[must_use]
pub fn score(number: impl Number) -> Score {
    Score(number.number())
}

/// A score before and after mitigation. Nothing is shown where there is no score, one badge where nothing changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Template)]
#[template(path = "parts/change.html")]
pub struct Change {
    /// The inherent score.
    pub before: Option<i64>,
    /// The residual score, or the one expected.
    pub after: Option<i64>,
    /// Whether the inherent score is our estimate because the scanner gave none.
    pub estimated: bool,
    /// Where a click leads; it opens in the dialog.
    pub href: Option<String>,
}
impl HtmlSafe for Change {}

impl Change {
    /// A plain change without a link.
    #[must_use]
    pub fn new(before: Option<i64>, after: Option<i64>) -> Self {
        Self { before, after, ..Self::default() }
    }

    /// With the address of its drill-down.
    #[must_use]
    pub fn linked(mut self, href: impl Into<String>) -> Self {
        self.href = Some(href.into());
        self
    }

    fn lowered(&self) -> Option<(i64, i64)> {
        self.before.zip(self.after).filter(|(before, after)| before != after)
    }
}

/// One part of a bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its colour; `Fail` is hatched as well.
    pub class: &'static str,
    /// Its share, in units of the whole.
    pub value: i64,
    /// Its name for screen readers.
    pub label: &'static str,
}

/// A stacked bar drawn as SVG, so that no inline style is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bar {
    /// The parts, left to right.
    pub segments: Vec<Segment>,
    /// The whole; the parts may sum to less.
    pub total: i64,
    /// Whether it is the tall one of a record page.
    pub tall: bool,
}

impl Bar {
    /// A bar of named parts.
    #[must_use]
    pub fn new(parts: &[(Tone, i64, &'static str)], total: i64) -> Self {
        let segments =
            parts.iter().map(|(tone, value, label)| Segment { class: tone.class(), value: *value, label }).collect();
        Self { segments, total, tall: false }
    }

    /// A score out of 100 in the colour of its band.
    #[must_use]
    pub fn of_score(score: i64) -> Self {
        Self {
            segments: vec![Segment { class: Band::of(score).class(), value: score, label: "points" }],
            total: 100,
            tall: false,
        }
    }

    /// The tall one.
    #[must_use]
    pub fn tall(mut self) -> Self {
        self.tall = true;
        self
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self.segments.iter().filter(|segment| segment.value > 0).collect();
        let label = parts.iter().map(|part| format!("{} {}", part.value, part.label)).collect::<Vec<_>>().join(", ");
        let size = if self.tall { "q-bar tall" } else { "q-bar" };
        write!(
            out,
            "<svg class=\"{size}\" role=\"img\" aria-label=\"{} of {}\">",
            if label.is_empty() { "none" } else { &label },
            self.total
        )?;
        let mut at = 0.0;
        for part in parts {
            #[expect(clippy::cast_precision_loss, reason = "a percentage on screen")]
            let width = part.value as f64 * 100.0 / self.total.max(1) as f64;
            write!(out, "<rect class=\"q-seg-{}\" x=\"{at:.2}%\" width=\"{width:.2}%\" height=\"100%\"/>", part.class)?;
            at += width;
        }
        out.write_str("</svg>")
    }
}
impl HtmlSafe for Bar {}

/// A moment as people read it in lists ("6 min ago"), with the exact instant on hover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When {
    iso: String,
    shown: String,
    title: String,
}

impl When {
    /// Relative to `now`.
    #[must_use]
    pub fn near(at: Timestamp, now: Timestamp) -> Self {
        Self { shown: relative(at, now), ..Self::exact(at) }
    }

    /// The date and time in UTC, for records.
    #[must_use]
    pub fn exact(at: Timestamp) -> Self {
        let civil = at.to_zoned(jiff::tz::TimeZone::UTC);
        Self {
            iso: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            shown: civil.strftime("%-d %b %Y %H:%M UTC").to_string(),
            title: civil.strftime("%-d %B %Y %H:%M:%S UTC").to_string(),
        }
    }

    /// The time of day in UTC, for logs.
    #[must_use]
    pub fn clock(at: Timestamp) -> Self {
        Self { shown: at.strftime("%H:%M:%S").to_string(), ..Self::exact(at) }
    }
}

impl fmt::Display for When {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "<time datetime=\"{}\" title=\"{}\">{}</time>", self.iso, self.title, self.shown)
    }
}
impl HtmlSafe for When {}

/// "6 min ago", "in 13 h", "just now"; days up to a month, then the date.
fn relative(at: Timestamp, now: Timestamp) -> String {
    let distance = at.duration_since(now);
    let (past, seconds) = (distance <= SignedDuration::ZERO, distance.unsigned_abs().as_secs());
    let amount = match seconds {
        0..=44 => return if past { "just now".into() } else { "in a moment".into() },
        45..=3_569 => format!("{} min", seconds.div_ceil(60)),
        3_570..=86_399 => format!("{} h", (seconds + 1_800) / 3_600),
        86_400..=2_678_399 => format!("{} d", (seconds + 43_200) / 86_400),
        _ => return at.strftime("%-d %b %Y").to_string(),
    };
    if past { format!("{amount} ago") } else { format!("in {amount}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (61_204, "61,204"), (-1_234_567, "−1,234,567")]
        {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn bands_end_where_the_design_says() {
        for (score, word) in [
            (100, "Critical"),
            (90, "Critical"),
            (89, "High"),
            (70, "High"),
            (69, "Medium"),
            (40, "Medium"),
            (39, "Low"),
            (1, "Low"),
            (0, "No score"),
        ] {
            assert_eq!(Band::of(score).word(), word, "{score}");
        }
    }

    #[test]
    fn a_change_is_read_out_and_collapses_when_nothing_changed() {
        let lowered = Change::new(Some(90), Some(60)).to_string();
        assert!(lowered.contains("score before 90, after 60"), "{lowered}");
        assert_eq!(Change::new(Some(90), Some(90)).to_string().matches("q-score").count(), 1);
        assert!(!Change::new(None, None).to_string().contains("q-score"));
    }

    #[test]
    fn times_are_relative_both_ways() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().expect("a time");
        for (at, text) in [
            ("2026-11-22T11:54:00Z", "6 min ago"),
            ("2026-11-23T01:00:00Z", "in 13 h"),
            ("2026-11-20T12:00:00Z", "2 d ago"),
            ("2026-11-22T11:59:59Z", "just now"),
            ("2025-01-02T00:00:00Z", "2 Jan 2025"),
        ] {
            assert_eq!(relative(at.parse().expect("a time"), now), text);
        }
    }

    #[test]
    fn chips_escape_their_text() {
        assert!(!Chip::new(Tone::Fail, "<b>").to_string().contains("<b>"));
    }
}
