//! Charts as SVG text: bars and lines, readable on light and dark pages, without a library.

use std::fmt::Write as _;

/// One bar.
pub struct Bar {
    /// What stands before it.
    pub label: String,
    /// Its length.
    pub value: f64,
    /// Whether it is one of ours.
    pub ours: bool,
}

/// One line.
pub struct Line {
    /// What stands beside it.
    pub label: String,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

const COLOURS: [&str; 8] =
    ["#d9480f", "#1971c2", "#2f9e44", "#9c36b5", "#e8a200", "#0c8599", "#c2255c", "#5c7080"];
const WIDTH: f64 = 800.0;
/// Space for labels on the left of bars, and on the right for numbers.
const LEFT: f64 = 270.0;
const RIGHT: f64 = 70.0;

/// Horizontal bars.
pub fn bars(title: &str, bars: &[Bar]) -> String {
    let most = bars.iter().map(|bar| bar.value).fold(1.0, f64::max);
    let height = 50.0 + 26.0 * bars.len() as f64;
    let mut svg = start(title, height);
    for (index, bar) in bars.iter().enumerate() {
        let y = 40.0 + 26.0 * index as f64;
        let width = (WIDTH - LEFT - RIGHT) * bar.value.max(0.0) / most;
        let colour = if bar.ours { COLOURS[0] } else { COLOURS[7] };
        text(&mut svg, LEFT - 8.0, y + 14.0, "end", &bar.label);
        // Writing to a String cannot fail.
        let _ = writeln!(
            svg,
            "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"18\" fill=\"{colour}\"/>"
        );
        text(&mut svg, LEFT + width + 6.0, y + 14.0, "start", &thousands(bar.value));
    }
    svg.push_str("</svg>\n");
    svg
}

/// Lines over an axis with `ticks`; the other axis from 0, or over `range`.
pub fn lines(title: &str, ticks: &[(f64, &str)], range: Option<(f64, f64)>, lines: &[Line]) -> String {
    const HEIGHT: f64 = 360.0;
    const AREA: (f64, f64, f64, f64) = (80.0, 50.0, 520.0, 310.0);
    let (x0, y0, x1, y1) = AREA;
    let most = lines.iter().flat_map(|line| &line.points).map(|point| point.1).fold(1.0, f64::max);
    let (low, high) = range.unwrap_or((0.0, round_up(most)));
    let last = ticks.last().map_or(1.0, |tick| tick.0);
    let x = |value: f64| x0 + (x1 - x0) * value / last;
    let y = |value: f64| y1 - (y1 - y0) * (value.clamp(low, high) - low) / (high - low);
    let mut svg = start(title, HEIGHT);
    for step in 0..=5 {
        let value = low + (high - low) * f64::from(step) / 5.0;
        let _ = writeln!(
            svg,
            "<line x1=\"{x0}\" x2=\"{x1}\" y1=\"{0:.1}\" y2=\"{0:.1}\" stroke=\"#888\" stroke-opacity=\"0.3\"/>",
            y(value)
        );
        let label = if range.is_some() { format!("{value:.1}") } else { thousands(value) };
        text(&mut svg, x0 - 8.0, y(value) + 4.0, "end", &label);
    }
    for (value, label) in ticks {
        text(&mut svg, x(*value), y1 + 22.0, "middle", label);
    }
    for (index, line) in lines.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let points: Vec<String> =
            line.points.iter().map(|(a, b)| format!("{:.1},{:.1}", x(*a), y(*b))).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        );
        for (a, b) in &line.points {
            let _ =
                writeln!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", x(*a), y(*b));
        }
        let row = 60.0 + 22.0 * index as f64;
        let _ = writeln!(
            svg,
            "<rect x=\"545\" y=\"{:.1}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>",
            row - 10.0
        );
        text(&mut svg, 563.0, row, "start", &line.label);
    }
    svg.push_str("</svg>\n");
    svg
}

fn start(title: &str, height: f64) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<title>{title}</title>\n\
         <style>text{{fill:#222}}@media(prefers-color-scheme:dark){{text{{fill:#ddd}}}}</style>\n"
    );
    let _ = writeln!(svg, "<text x=\"12\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{title}</text>");
    svg
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, content: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>");
}

/// The next round number: 1, 2 or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|round| *round >= value).unwrap_or(value)
}

/// A whole number with commas.
pub fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value <= -0.5 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::{Bar, Line, bars, lines, round_up, thousands};

    #[test]
    fn numbers_are_readable() {
        assert_eq!(thousands(1_234_567.4), "1,234,567");
        assert_eq!(thousands(-40.0), "-40");
        assert_eq!(thousands(-0.3), "0");
        assert_eq!(round_up(41_000.0), 50_000.0);
        assert_eq!(round_up(0.0), 1.0);
    }

    #[test]
    fn charts_are_closed_and_show_every_value() {
        let bar = Bar { label: "a".to_owned(), value: 12_345.0, ours: true };
        let svg = bars("title", &[bar]);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.contains("12,345"));
        let line = Line { label: "b".to_owned(), points: vec![(0.0, 1.0), (1.0, 2.0)] };
        let svg = lines("title", &[(0.0, "0"), (1.0, "1")], None, &[line]);
        assert_eq!(svg.matches("<circle").count(), 2);
    }
}
