//! Which names look alike: `Demo` and `Dеmo` with a Cyrillic letter are one name to whoever reads them.
//!
//! By the skeletons of Unicode's confusables (UTS 39). Those also take `rn` for `m` and `1` for `l`, which two names of real customers may
//! differ in: where both are plain ASCII the reader is trusted, unless the name is chosen freely and stands for rights, as a
//! credential's does.

use unicode_security::confusable_detection::skeleton;

use crate::domain::error::Error;

/// What names are compared with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letters {
    /// Two names in ASCII may look as alike as they like.
    AsciiIsPlain,
    /// Every pair.
    All,
}

/// True when two names differ and look alike.
pub(crate) fn are_twins(one: &str, other: &str, letters: Letters) -> bool {
    let plain = letters == Letters::AsciiIsPlain && one.is_ascii() && other.is_ascii();
    one != other && !plain && skeleton(one).eq(skeleton(other))
}

/// Refuses a name that looks like that of something else that is there already.
pub(crate) fn refuse_twin(
    name: &str,
    there: impl IntoIterator<Item = (String, String)>,
    letters: Letters,
) -> Result<(), Error> {
    match there.into_iter().find(|(_, other)| are_twins(name, other, letters)) {
        None => Ok(()),
        Some((id, other)) => {
            let message = format!(
                "the name looks like '{other}', which is another one: people could not tell them apart"
            );
            Err(Error::Conflict { message, id: Some(id) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_differ_and_look_alike() {
        for (one, other, in_all, in_text) in [
            ("Demo", "D\u{435}mo", true, true),
            ("Acme", "\u{410}\u{441}m\u{435}", true, true),
            ("scope", "\u{455}\u{441}\u{43e}\u{440}\u{435}", true, true),
            ("Ärger", "A\u{308}rger", true, true),
            ("❤", "❤\u{fe0f}", true, true),
            ("eu-1", "eu-l", true, false),
            ("modem", "modern", true, false),
            ("Demo", "Demo", false, false),
            ("Demo", "Demos", false, false),
            ("東京", "京都", false, false),
        ] {
            assert_eq!(are_twins(one, other, Letters::All), in_all, "{one} {other}");
            assert_eq!(are_twins(one, other, Letters::AsciiIsPlain), in_text, "{one} {other}");
        }
    }
}
