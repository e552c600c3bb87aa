//! The tag of the revision that the table is at: a random name that the control plane gave to the change. A revision with
//! another tag is another history, however equal the numbers.
//!
//! It lies under a key of its own, with the position that it belongs to, and is written after `status`: a tag of another
//! position is none. The gateway is then judged by its revision alone, as one is that knows no tags.

use crate::bytes::{Reader, put_text};
use crate::contract::record::is_name;
use crate::host::{Expect, HostError, SharedData};

/// Shared-data key of the tag.
pub const TAG_KEY: &str = "flamegate/tag";
const VERSION: u8 = 1;

/// The tag of `revision` in `epoch`; `None` when it is not known.
pub fn read<H: SharedData>(host: &H, epoch: &str, revision: u64) -> Result<Option<String>, HostError> {
    let stored = host.read(TAG_KEY)?.and_then(|stored| decode(&stored.bytes));
    Ok(stored.filter(|(of, at, _)| of == epoch && *at == revision).map(|(_, _, tag)| tag))
}

/// Notes the tag of `revision` in `epoch`.
pub fn write<H: SharedData>(host: &H, epoch: &str, revision: u64, tag: &str) -> Result<(), HostError> {
    let mut out = vec![VERSION];
    out.extend_from_slice(&revision.to_le_bytes());
    put_text(&mut out, epoch);
    put_text(&mut out, tag);
    host.write(TAG_KEY, &out, Expect::Any).map(drop)
}

/// Epoch, revision and tag.
pub fn decode(bytes: &[u8]) -> Option<(String, u64, String)> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? != VERSION {
        return None;
    }
    let revision = reader.u64()?;
    let (epoch, tag) = (reader.text()?.to_owned(), reader.text()?.to_owned());
    reader.end()?;
    // It goes into a path as it is.
    (is_name(&epoch) && is_name(&tag)).then_some((epoch, revision, tag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn a_tag_speaks_for_its_position_only() {
        let host = FakeHost::at(1);
        assert_eq!(read(&host, "e_1", 7), Ok(None));
        write(&host, "e_1", 7, "t_a").unwrap();
        assert_eq!(read(&host, "e_1", 7), Ok(Some("t_a".to_owned())));
        assert_eq!(
            read(&host, "e_1", 8),
            Ok(None),
            "status is ahead: its writer died before it wrote the tag"
        );
        assert_eq!(read(&host, "e_2", 7), Ok(None), "another history");
    }

    #[test]
    fn foreign_bytes_are_no_tag() {
        let host = FakeHost::at(1);
        write(&host, "e_1", 7, "t_a").unwrap();
        let good = host.read(TAG_KEY).unwrap().unwrap().bytes;
        for len in 0..good.len() {
            host.write(TAG_KEY, &good[..len], Expect::Any).unwrap();
            assert_eq!(read(&host, "e_1", 7), Ok(None), "{len} bytes");
        }
        host.write(TAG_KEY, &[&good[..], b"x"].concat(), Expect::Any).unwrap();
        assert_eq!(read(&host, "e_1", 7), Ok(None), "longer");
        write(&host, "e_1", 7, "t&a=1").unwrap();
        assert_eq!(read(&host, "e_1", 7), Ok(None), "not a name");
    }
}
