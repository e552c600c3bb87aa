//! A browser on which somebody has signed in before. It proves nothing of who sits there now: attempts from there are counted by
//! themselves, so that strangers who try the same account keep nobody out.

use sha2::{Digest as _, Sha256};

use super::user::User;
use crate::domain::error::Error;
use crate::domain::random;

/// A user's browser, as its cookie says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The user's id.
    pub user: String,
    /// Of the user's stamp when they signed in: with another password, or after "sign out everywhere", all devices are strangers' again.
    stamp: String,
    /// What tells it from the user's other ones.
    pub id: String,
    /// Of the address that they sign in with: whom it may be of is known before anything is read.
    mail: String,
}

/// Most users of one browser that are remembered.
const MOST: usize = 4;
const BETWEEN_PARTS: char = '-';
const BETWEEN_DEVICES: char = '~';

impl Device {
    /// A new one, on which this user has just signed in.
    pub fn new(user: &User) -> Result<Self, Error> {
        let id = random::base62(16)?.to_string();
        Ok(Self { user: user.id.clone(), stamp: stamp(user), id, mail: short_hash(&user.email) })
    }

    /// Whether somebody with this address has signed in on it; what has happened since is not known.
    pub fn may_be_of(&self, email: &str) -> bool {
        self.mail == short_hash(email)
    }

    /// Its user, and their stamp at that time: what places are taken for.
    pub fn place(&self) -> String {
        format!("{}{BETWEEN_PARTS}{}", self.user, self.stamp)
    }

    /// Whether this user has signed in on it, and nothing has happened since that makes it a stranger's.
    pub fn is_of(&self, user: &User) -> bool {
        self.user == user.id && self.stamp == stamp(user)
    }
}

/// The devices of a cookie's text; what is none is left out.
pub fn read(text: &str) -> Vec<Device> {
    let device = |part: &str| {
        let mut parts = part.split(BETWEEN_PARTS).map(str::to_owned);
        Some(Device { user: parts.next()?, stamp: parts.next()?, id: parts.next()?, mail: parts.next()? })
    };
    text.split(BETWEEN_DEVICES).filter_map(device).take(MOST).collect()
}

/// The cookie's text once this user has signed in: theirs first, and those of others who use the same browser.
pub fn write(user: &User, known: &[Device]) -> Result<String, Error> {
    let own = known.iter().find(|device| device.is_of(user) && device.may_be_of(&user.email)).cloned();
    let own = own.map_or_else(|| Device::new(user), Ok)?;
    let others = known.iter().filter(|device| device.user != user.id).take(MOST - 1);
    let text = |Device { user, stamp, id, mail }: &Device| {
        [user.as_str(), stamp, id, mail].join(&BETWEEN_PARTS.to_string())
    };
    let texts: Vec<_> = std::iter::once(&own).chain(others).map(text).collect();
    Ok(texts.join(&BETWEEN_DEVICES.to_string()))
}

/// Of the stamp, which is a secret of the session.
pub(crate) fn stamp(user: &User) -> String {
    short_hash(&user.stamp)
}

fn short_hash(text: &str) -> String {
    let hash = Sha256::digest(text);
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn user(name: &str, stamp: &str) -> User {
        User {
            seq: 1,
            id: format!("usr_{name}"),
            email: format!("{name}@example.com"),
            stamp: stamp.to_owned(),
            is_operator: false,
            memberships: Vec::new(),
            created_at: Timestamp::UNIX_EPOCH,
            disabled_at: None,
            vouched_by: None,
            has_second_factor: false,
        }
    }

    #[test]
    fn a_browser_remembers_its_last_users_and_each_keeps_their_device() {
        let (ada, bob) = (user("ada", "s1"), user("bob", "s2"));
        let first = read(&write(&ada, &[]).unwrap());
        let both = read(&write(&bob, &first).unwrap());
        assert!(both.len() == 2 && both[0].is_of(&bob) && both[1] == first[0]);
        let again = read(&write(&ada, &both).unwrap());
        assert_eq!((again.len(), &again[0].id), (2, &first[0].id), "the same device as before");
        let mut known = again;
        for name in ["c", "d", "e", "f"] {
            known = read(&write(&user(name, "s"), &known).unwrap());
        }
        assert_eq!(
            known.iter().map(|device| device.user.as_str()).collect::<Vec<_>>(),
            ["usr_f", "usr_e", "usr_d", "usr_c"]
        );
    }

    #[test]
    fn with_another_stamp_it_is_a_strangers() {
        let (ada, changed) = (user("ada", "s1"), user("ada", "s2"));
        let device = read(&write(&ada, &[]).unwrap());
        assert!(device[0].is_of(&ada) && !device[0].is_of(&changed) && !device[0].is_of(&user("bob", "s1")));
        let renewed = read(&write(&changed, &device).unwrap());
        assert!(renewed.len() == 1 && renewed[0].id != device[0].id);
        assert!(read("").is_empty() && read("usr_ada-x").is_empty());
        assert!(device[0].may_be_of("ada@example.com") && !device[0].may_be_of("bob@example.com"));
        assert_ne!(device[0].place(), renewed[0].place(), "nor has it the places of the other");
    }
}
