//! Names for people: what is shown in a list must be what is there.
//!
//! Refused are control and format characters (among them all that change the direction of text), line and paragraph
//! separators, characters for private use, what Unicode has not assigned, and characters that show nothing: whatever
//! Unicode calls default-ignorable, and a few more that are empty in common fonts. Emoji are fine. A zero-width joiner is
//! accepted between two emoji only, and an emoji variation selector behind one, because families and flags need them;
//! a name that differs from another only by these is drawn as another picture. The price is that Persian and Indic
//! spellings that need a joiner inside a word cannot be used, nor the flags of England, Scotland and Wales.
//!
//! What is kept has one spelling: composed (NFC), because the same word typed on another system comes decomposed, and with
//! single spaces, because a page shows no others.

pub(crate) mod twins;

use icu_properties::props::{
    DefaultIgnorableCodePoint, EmojiModifier, ExtendedPictographic, GeneralCategory,
};
use icu_properties::{CodePointMapData, CodePointSetData};
use unicode_normalization::UnicodeNormalization as _;

use super::error::Problems;

/// Longest name, in characters.
const MAX_CHARS: usize = 100;
/// Longest note, in characters.
const MAX_NOTE_CHARS: usize = 500;

const JOINER: char = '\u{200d}';
const EMOJI_FORM: char = '\u{fe0f}';
/// Shown as nothing, or as a box that says nothing, though Unicode does not call them ignorable: the empty Braille
/// pattern, the object replacement character, a null note head, the Khitan filler.
const BLANKS: [char; 4] = ['\u{2800}', '\u{fffc}', '\u{1d159}', '\u{16fe4}'];

/// A name for people in its one spelling: 1 to 100 characters, all of them visible.
pub(crate) fn check(path: &str, name: &str, problems: &mut Problems) -> Option<String> {
    let name = composed(name.trim());
    let length = name.chars().count();
    if length == 0 || length > MAX_CHARS {
        problems.add(path, format!("1 to {MAX_CHARS} characters, no control characters"));
        return None;
    }
    if let Some(problem) = hidden(&name) {
        problems.add(path, problem);
        return None;
    }
    Some(name.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A note of one line, which may be empty: `None`.
pub(crate) fn check_note(path: &str, note: &str, problems: &mut Problems) -> Option<String> {
    let note = composed(note.trim());
    if note.chars().count() > MAX_NOTE_CHARS {
        problems.add(path, format!("at most {MAX_NOTE_CHARS} characters"));
        return None;
    }
    if let Some(problem) = hidden(&note) {
        problems.add(path, problem);
        return None;
    }
    (!note.is_empty()).then_some(note)
}

/// The composed form of a text (NFC).
pub(crate) fn composed(text: &str) -> String {
    text.nfc().collect()
}

/// What is wrong with the first character that cannot be seen or that changes how others are shown.
pub(crate) fn hidden(text: &str) -> Option<String> {
    let chars: Vec<char> = text.chars().collect();
    let (index, found) = chars.iter().enumerate().find(|(index, _)| !is_plain(&chars, *index))?;
    let (place, code) = (index + 1, u32::from(*found));
    Some(format!(
        "character {place} is U+{code:04X}: control, invisible and direction-changing characters are refused"
    ))
}

fn is_plain(chars: &[char], index: usize) -> bool {
    let Some(&c) = chars.get(index) else { return true };
    let before = chars.get(..index).unwrap_or_default();
    match c {
        JOINER => ends_in_emoji(before) && chars.get(index + 1).is_some_and(|next| is_emoji(*next)),
        EMOJI_FORM => before.last().is_some_and(|last| is_emoji(*last)),
        _ => {
            let category = CodePointMapData::<GeneralCategory>::new().get(c);
            let hidden = matches!(
                category,
                GeneralCategory::Control
                    | GeneralCategory::Format
                    | GeneralCategory::LineSeparator
                    | GeneralCategory::ParagraphSeparator
                    | GeneralCategory::PrivateUse
                    | GeneralCategory::Surrogate
                    | GeneralCategory::Unassigned
            );
            !hidden
                && !BLANKS.contains(&c)
                && !CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        }
    }
}

/// An emoji, with its skin and its form.
fn ends_in_emoji(chars: &[char]) -> bool {
    let skin = CodePointSetData::new::<EmojiModifier>();
    chars.iter().rev().find(|c| **c != EMOJI_FORM && !skin.contains(**c)).is_some_and(|c| is_emoji(*c))
}

fn is_emoji(c: char) -> bool {
    CodePointSetData::new::<ExtendedPictographic>().contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_accepted() {
        for name in [
            "Production App (EU) #1",
            "Zahlungsdienst größer – „neu“",
            "東京 ゲートウェイ",
            "متجر",
            "שירות",
            "भुगतान",
            "결제",
            "👩‍👩‍👧 family",
            "👩🏽‍🚀",
            "🏳️‍🌈",
            "❤️",
            "🇩🇪",
            "e\u{301}",
            "a\u{a0}b",
        ] {
            assert_eq!(hidden(name), None, "{name}");
        }
    }

    #[test]
    fn what_is_not_seen_or_turns_text_around_is_refused_by_its_number() {
        for (name, code) in [
            ("a\u{0}b", "U+0000"),
            ("a\nb", "U+000A"),
            ("a\u{7f}b", "U+007F"),
            ("a\u{85}b", "U+0085"),
            ("pay\u{202e}lortnoc", "U+202E"),
            ("a\u{202a}b", "U+202A"),
            ("a\u{2066}b", "U+2066"),
            ("a\u{2069}b", "U+2069"),
            ("a\u{200e}b", "U+200E"),
            ("a\u{61c}b", "U+061C"),
            ("a\u{200b}b", "U+200B"),
            ("a\u{200c}b", "U+200C"),
            ("a\u{200d}b", "U+200D"),
            ("👩\u{200d}", "U+200D"),
            ("\u{200d}👩", "U+200D"),
            ("1\u{fe0f}", "U+FE0F"),
            ("a\u{fe0e}", "U+FE0E"),
            ("a\u{2028}b", "U+2028"),
            ("a\u{2029}b", "U+2029"),
            ("a\u{2060}b", "U+2060"),
            ("a\u{feff}b", "U+FEFF"),
            ("a\u{ad}b", "U+00AD"),
            ("a\u{34f}b", "U+034F"),
            ("a\u{115f}b", "U+115F"),
            ("a\u{1160}b", "U+1160"),
            ("a\u{17b4}b", "U+17B4"),
            ("a\u{180e}b", "U+180E"),
            ("\u{3164}", "U+3164"),
            ("a\u{ffa0}b", "U+FFA0"),
            ("\u{2800}", "U+2800"),
            ("a\u{fffc}b", "U+FFFC"),
            ("a\u{fff9}b", "U+FFF9"),
            ("a\u{e000}b", "U+E000"),
            ("a\u{378}b", "U+0378"),
            ("a\u{ffff}b", "U+FFFF"),
            ("a\u{1d159}b", "U+1D159"),
            ("a\u{e0041}b", "U+E0041"),
            ("a\u{e0100}b", "U+E0100"),
            ("🏴\u{e0067}\u{e007f}", "U+E0067"),
        ] {
            let problem = hidden(name).unwrap_or_default();
            assert!(problem.contains(&format!("is {code}:")), "{code}: {problem}");
        }
    }

    #[test]
    fn blanks_alone_are_no_name() {
        for name in ["", "  ", "\u{a0}\u{3000}", "\u{2003}\t"] {
            let mut problems = Problems::default();
            assert_eq!((check("name", name, &mut problems), problems.is_empty()), (None, false), "{name:?}");
        }
        let mut problems = Problems::default();
        assert_eq!(check("name", "  x ", &mut problems).as_deref(), Some("x"));
    }

    #[test]
    fn a_name_has_one_spelling() {
        let mut problems = Problems::default();
        for (typed, kept) in [
            ("A\u{308}rger", "\u{c4}rger"),
            ("\u{c4}rger", "\u{c4}rger"),
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}"),
            ("a\u{a0}\u{3000} b", "a b"),
            ("\u{212b}", "\u{c5}"),
        ] {
            assert_eq!(check("name", typed, &mut problems).as_deref(), Some(kept), "{typed:?}");
        }
        // A hundred characters are counted as they are kept.
        assert!(check("name", &"a\u{308}".repeat(100), &mut problems).is_some() && problems.is_empty());
        assert!(check("name", &"a\u{308}".repeat(101), &mut problems).is_none());
        assert_eq!(check("name", "a\nb", &mut problems), None, "no other than blanks");
    }
}
