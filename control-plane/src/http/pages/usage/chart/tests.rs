//! What a chart shows of counts that are told.

use jiff::Timestamp;

use super::*;

fn now() -> Timestamp {
    "2026-12-01T10:34:56Z".parse().unwrap()
}

fn at(text: &str) -> Minute {
    crate::domain::usage::minute_of(text.parse().unwrap())
}

fn bucket(start: &str, admitted: u64, rate_limited: u64, revoked: u64) -> Bucket {
    Bucket { start: at(start), tally: Tally { admitted, rate_limited, revoked, ..Tally::default() } }
}

fn html(span: Span, found: &[Bucket], since: Option<Minute>) -> String {
    Chart::new(span, &span.period(now()), found, since).render().unwrap()
}

#[test]
fn each_span_ends_with_the_bar_that_is_now() {
    for (span, from, to, bars) in [
        (Span::Hour, "2026-12-01T09:35:00Z", "2026-12-01T10:35:00Z", 60),
        (Span::Day, "2026-11-30T11:00:00Z", "2026-12-01T11:00:00Z", 24),
        (Span::Week, "2026-11-24T12:00:00Z", "2026-12-01T12:00:00Z", 28),
        (Span::Month, "2026-11-02T00:00:00Z", "2026-12-02T00:00:00Z", 30),
    ] {
        let period = span.period(now());
        assert_eq!((period.from, period.to), (at(from), at(to)), "{span:?}");
        assert_eq!((period.to - period.from) / span.minutes(), bars);
        assert_eq!(Span::named(Some(span.query())), span);
    }
    assert_eq!((Span::named(None), Span::named(Some("year"))), (Span::Day, Span::Day));
}

#[test]
fn parts_are_stacked_from_the_ground_and_add_up() {
    let chart = Chart::new(
        Span::Week,
        &Span::Week.period(now()),
        // Two hours of one bar.
        &[bucket("2026-12-01T06:00:00Z", 50, 20, 0), bucket("2026-12-01T08:00:00Z", 0, 5, 25)],
        Some(0),
    );
    assert_eq!(chart.scale, ["100", "50", "0"]);
    assert_eq!(chart.bars.len(), 1);
    let x = 27 * STEP;
    let parts = [("admitted", x, 80, 80), ("limited", x, 40, 40), ("refused", x, 0, 40)];
    assert_eq!(chart.bars[0].parts, parts);
    assert_eq!(
        chart.bars[0].title,
        "1 Dec, 06:00 UTC\nAdmitted: 50\nRate limited (429): 25\nRefused (401, 403): 25"
    );
    assert_eq!(chart.reasons, [("revoked", "25".to_owned())]);
}

#[test]
fn what_has_passed_in_shadow_is_told_apart_from_what_was_refused() {
    let tally = Tally {
        admitted: 50,
        rate_limited: 30,
        shadow_limited: 25,
        forbidden: 10,
        expired: 10,
        shadow_refused: 10,
        ..Tally::default()
    };
    let found = [Bucket { start: at("2026-12-01T08:00:00Z"), tally }];
    let chart = Chart::new(Span::Week, &Span::Week.period(now()), &found, Some(0));
    assert_eq!(
        chart.bars[0].title,
        "1 Dec, 06:00 UTC\nAdmitted: 50\nPassed in shadow: 35\nRate limited (429): 5\nRefused (401, 403): 10"
    );
    assert_eq!(
        chart.label,
        "Requests, last 7 days: 50 admitted, 35 passed in shadow, 5 rate limited, 10 refused"
    );
    let told: Vec<_> = chart.legend.iter().map(|(class, ..)| *class).collect();
    assert_eq!(told, ["admitted", "shadowed", "limited", "refused"]);
    let shown = chart.render().unwrap();
    for there in [
        "In shadow</th>",
        ">35</td>",
        "Refused, or passed in shadow: not allowed for this request 10, expired 10.",
    ] {
        assert!(shown.contains(there), "{there} not in {shown}");
    }
    let without = html(Span::Week, &[bucket("2026-12-01T08:00:00Z", 1, 2, 3)], Some(0));
    assert!(!without.to_lowercase().contains("shadow"), "{without}");
}

#[test]
fn what_is_little_beside_much_is_seen_and_stays_inside() {
    let chart = Chart::new(
        Span::Day,
        &Span::Day.period(now()),
        &[bucket("2026-12-01T10:00:00Z", u64::MAX / 2, 1, 1)],
        Some(0),
    );
    let parts = &chart.bars[0].parts;
    assert_eq!(parts.len(), 3);
    assert!(parts.iter().all(|(_, _, y, height)| *height >= 1 && y + height <= HEIGHT));
}

#[test]
fn scales_are_round_and_never_too_small() {
    for (most, expected) in [(0, 2), (1, 2), (3, 4), (4, 4), (5, 10), (11, 20), (41, 100), (96_120, 100_000)]
    {
        assert_eq!(top(most), expected, "{most}");
    }
    assert_eq!(top(u64::MAX), u64::MAX);
    for (number, text) in [(100, "100"), (4_000, "4,000"), (20_000, "20k"), (40_000_000, "40M")] {
        assert_eq!(short(number), text);
    }
}

#[test]
fn what_nobody_counted_is_said_and_not_drawn_as_nothing() {
    let nobody = html(Span::Day, &[], None);
    assert!(nobody.contains("No data yet") && !nobody.contains("<svg"), "{nobody}");
    let quiet = html(Span::Day, &[], Some(0));
    assert!(quiet.contains("No requests in the last 24 hours."), "{quiet}");
    let begun = html(Span::Day, &[bucket("2026-12-01T10:00:00Z", 1, 0, 0)], Some(at("2026-12-01T08:20:00Z")));
    // 21 of 24 bars are before that.
    let older = bucket("2026-12-01T06:00:00Z", 1, 0, 0);
    let later = html(Span::Day, &[older], Some(at("2026-12-01T08:20:00Z")));
    assert!(later.contains(r#"<rect class="unknown" x="0" y="0" width="228""#), "{later}");
    assert!(begun.contains(r#"<rect class="unknown" x="0" y="0" width="252""#), "{begun}");
}

#[test]
fn nothing_of_it_needs_a_style_or_a_script() {
    let all = html(Span::Month, &[bucket("2026-12-01T00:00:00Z", 1_234, 2, 3)], Some(0));
    for forbidden in ["style", "<script", "onclick", "href=\"http"] {
        assert!(!all.contains(forbidden), "{forbidden} in {all}");
    }
    for there in ["role=\"img\"", "<table", "1,234", "<title>", "1 Dec"] {
        assert!(all.contains(there), "{there} not in {all}");
    }
}
