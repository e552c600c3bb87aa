//! Reading the little-endian values that live in shared data. Every read is checked: the bytes may be from another
//! version, another plugin or nobody we know. And comparing bytes.

/// A cursor over bytes. Every method returns `None` at the end instead of reading past it.
#[derive(Clone, Copy)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// One byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    /// Four bytes, little-endian.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes, little-endian.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A length byte and that many bytes of UTF-8.
    pub fn text(&mut self) -> Option<&'a str> {
        let len = self.u8()?;
        std::str::from_utf8(self.take(usize::from(len))?).ok()
    }

    /// `Some(())` when nothing is left.
    pub fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// Appends a length byte and the text. Texts longer than 255 bytes are cut; the checks on records keep them far below.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let len = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    out.push(len);
    out.extend_from_slice(bytes.get(..usize::from(len)).unwrap_or(bytes));
}

/// Equality, eight bytes at a time: slices are compared byte by byte on WebAssembly, at ten instructions each. Not for
/// secrets: how long it takes tells where texts differ.
#[inline]
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    // The last word overlaps the one before.
    if let (Some(left_end), Some(right_end)) = (left.last_chunk::<8>(), right.last_chunk::<8>()) {
        let words = left.as_chunks::<8>().0.iter().zip(right.as_chunks::<8>().0);
        let mut words = words.chain([(left_end, right_end)]);
        return words.all(|(left, right)| u64::from_le_bytes(*left) == u64::from_le_bytes(*right));
    }
    if let (Some(left_end), Some(right_end)) = (left.last_chunk::<4>(), right.last_chunk::<4>()) {
        let words = left.first_chunk::<4>().zip(right.first_chunk::<4>()).into_iter();
        let mut words = words.chain([(left_end, right_end)]);
        return words.all(|(left, right)| u32::from_le_bytes(*left) == u32::from_le_bytes(*right));
    }
    left == right
}

/// True when all bytes are visible ASCII (0x21 to 0x7E) other than a comma, eight bytes at a time, as in [`equal`].
pub fn is_visible(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks();
    match text.last_chunk::<8>() {
        // The last word overlaps the one before.
        Some(end) => words.iter().chain([end]).all(|word| is_visible_word(u64::from_le_bytes(*word))),
        None => rest.iter().all(|byte| byte.is_ascii_graphic() && *byte != b','),
    }
}

/// True when there is a comma, eight bytes at a time, as in [`equal`].
pub fn has_comma(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks();
    match text.last_chunk::<8>() {
        Some(end) => {
            let end = commas(u64::from_le_bytes(*end));
            words.iter().fold(end, |found, word| found | commas(u64::from_le_bytes(*word))) != 0
        }
        None => rest.contains(&b','),
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Looks at eight bytes ("Bit Twiddling Hacks", Sean Eron Anderson: a byte that is zero, less or more than a number). What is
/// subtracted borrows from a neighbour only below a byte that is refused anyway.
const fn is_visible_word(word: u64) -> bool {
    let below = word.wrapping_sub(ONES.wrapping_mul(0x21)) & !word;
    let above = word.wrapping_add(ONES) | word;
    (below | above) & HIGH | commas(word) == 0
}

/// A bit that is set when there is a comma among eight bytes, and may be set above one.
const fn commas(word: u64) -> u64 {
    let comma = word ^ (ONES.wrapping_mul(b',' as u64));
    comma.wrapping_sub(ONES) & !comma & HIGH
}

#[cfg(test)]
mod tests {
    use super::{equal, has_comma, is_visible};

    #[test]
    fn visible_is_what_it_is_byte_by_byte() {
        let plain = |text: &[u8]| text.iter().all(|byte| byte.is_ascii_graphic() && *byte != b',');
        for len in 0..20 {
            for place in 0..len {
                for byte in 0..=u8::MAX {
                    for around in [b'!', b'~', b'-', b'a'] {
                        let mut text = vec![around; len];
                        text[place] = byte;
                        assert_eq!(
                            is_visible(&text),
                            plain(&text),
                            "{byte:#x} at {place} of {len} among {around:#x}"
                        );
                        assert_eq!(has_comma(&text), byte == b',', "{byte:#x} at {place} of {len}");
                    }
                }
            }
        }
    }

    #[test]
    fn equality_is_that_of_slices() {
        let text = b"0123456789abcdef0123456789";
        for len in 0..text.len() {
            let same = &text[..len];
            assert!(equal(same, same));
            assert!(!equal(same, &text[..=len]) && !equal(&text[..=len], same));
            for changed in 0..len {
                let mut other = same.to_vec();
                other[changed] ^= 0x80;
                assert!(!equal(same, &other), "{changed} of {len}");
            }
        }
    }
}
