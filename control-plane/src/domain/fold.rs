//! Text as a search compares it: letters of either case, composed or not, narrow or wide, are the same.
//!
//! This is the compatibility caseless matching of the Unicode standard (section 3.13, D146). A database does it in no
//! way that two of them share (SQLite's `lower` knows ASCII only), so what is searched is stored folded by this and
//! compared byte by byte. Unicode promises that the folding of a character never changes once it has one, and names hold
//! no character that is not assigned, so what is stored stays right.

use icu_casemap::CaseMapper;
use icu_normalizer::{DecomposingNormalizer, DecomposingNormalizerBorrowed};

/// The text, folded. What is found in one text as a part is found in the other after both were folded.
pub(crate) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let (cases, compatible) = (CaseMapper::new(), DecomposingNormalizer::new_nfkd());
    let canonical: DecomposingNormalizerBorrowed<'_> = DecomposingNormalizer::new_nfd();
    let once = compatible.normalize(&cases.fold_string(&canonical.normalize(text))).into_owned();
    compatible.normalize(&cases.fold_string(&once)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_the_same_folds_to_the_same() {
        for (one, other) in [
            ("Ärger", "a\u{308}RGER"),
            ("Straße", "STRASSE"),
            ("STRAẞE", "strasse"),
            ("ὈΔΥΣΣΕΎΣ", "ὀδυσσεύς"),
            ("ﬁn", "FIN"),
            ("Ａ１", "a1"),
            ("Å", "a\u{30a}"),
            ("\u{212b}", "å"),
            ("e\u{323}\u{302}", "\u{1ec7}"),
            ("각", "\u{1100}\u{1161}\u{11a8}"),
            ("ℌ", "h"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} {other}");
        }
        assert_ne!(fold("a"), fold("á"));
        assert_ne!(fold("ı"), fold("i"), "a letter of its own in Turkish");
    }

    #[test]
    fn folding_again_changes_nothing_and_ascii_is_lower_case() {
        for text in ["Ärger ΰ ẛ̣ ŉ İ ﷺ", "plain TEXT 100%_\\'", "", "👩🏽‍🚀"] {
            assert_eq!(fold(&fold(text)), fold(text), "{text}");
        }
        assert_eq!(fold("Key_A1 %"), "key_a1 %");
    }
}
