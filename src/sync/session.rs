//! Where the session of this process lies: in shared data beside the lease. It is made at the sync's first tick and outlives the context
//! that made it: whoever takes the lease over speaks for the same process.

use crate::bytes::Reader;
use crate::contract::session::Session;
use crate::host::{Expect, HostError, SharedData, Write, random_u64};

/// Shared-data key of the session.
pub const SESSION_KEY: &str = "flamegate/session";
const VERSION: u8 = 1;
/// Two candidates meet here once in the life of a process.
const ATTEMPTS: u32 = 4;

/// The session of this process; makes it when there is none. Bytes of an unknown form say nothing and are replaced.
/// `None` when others wrote all the time: try again at the next tick.
pub fn obtain<H: SharedData>(host: &H) -> Result<Option<Session>, HostError> {
    for _ in 0..ATTEMPTS {
        let stored = host.read(SESSION_KEY)?;
        if let Some(session) = stored.as_ref().and_then(|stored| decode(&stored.bytes)) {
            return Ok(Some(session));
        }
        let expect = stored.map_or(Expect::Absent, |stored| Expect::Version(stored.cas));
        let made = random();
        if host.write(SESSION_KEY, &encode(&made), expect)? == Write::Stored {
            return Ok(Some(made));
        }
    }
    Ok(None)
}

fn random() -> Session {
    let mut bytes = [0; 16];
    let (first, second) = bytes.split_at_mut(8);
    first.copy_from_slice(&random_u64().to_le_bytes());
    second.copy_from_slice(&random_u64().to_le_bytes());
    Session::new(bytes)
}

fn encode(session: &Session) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.extend_from_slice(session.bytes());
    out
}

fn decode(bytes: &[u8]) -> Option<Session> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? != VERSION {
        return None;
    }
    let session = Session::new(reader.array()?);
    reader.end()?;
    Some(session)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn one_process_has_one_session() {
        let host = FakeHost::at(1);
        let session = obtain(&host).unwrap().unwrap();
        assert_eq!(obtain(&host).unwrap(), Some(session));
        host.wipe();
        assert!(obtain(&host).unwrap().unwrap() != session, "another process");
    }

    #[test]
    fn whoever_loses_the_race_takes_the_winners() {
        let host = FakeHost::at(1);
        host.write(SESSION_KEY, b"\xFFforeign", Expect::Any).unwrap();
        host.inject_conflicts(1);
        let session = obtain(&host).unwrap().unwrap();
        assert_eq!(obtain(&host).unwrap(), Some(session));
        host.wipe();
        host.write(SESSION_KEY, b"", Expect::Any).unwrap();
        host.inject_conflicts(100);
        assert_eq!(obtain(&host), Ok(None), "the next tick tries again");
    }
}
