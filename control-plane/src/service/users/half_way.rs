//! What a browser keeps for us between two steps: that its user has shown the password and has to show a code yet, and the second factor
//! that somebody is setting up. Signed, so that nobody can make one up, and bound to the user's stamp: with another password, or after
//! "sign out everywhere", it is nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::error::Error;
use crate::domain::users::User;
use crate::domain::users::device::{Device, stamp};
use crate::domain::users::second_factor::{RecoveryCode, Secret};
use crate::service::signer::Signer;

/// Somebody who has shown the password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HalfWay {
    /// The user's id.
    pub(super) user: String,
    /// Their address, for which attempts count.
    pub(super) email: String,
    /// Of the user's stamp, as devices have it.
    pub(super) stamp: String,
    /// Until when it is good (Unix seconds).
    until: i64,
}

/// A second factor that is not set up yet. It is on its user's screen, and nowhere else.
pub struct SetUp {
    /// For the app.
    pub secret: Secret,
    /// For whoever loses the app.
    pub codes: Vec<RecoveryCode>,
    user: String,
    stamp: String,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    user: String,
    stamp: String,
    secret: Vec<u8>,
    codes: Vec<String>,
}

/// How long somebody may look for their telephone, in seconds.
const GOOD_FOR: i64 = 300;
const HALF_WAY: &str = "half-way";
const SET_UP: &str = "second-factor";

impl HalfWay {
    /// Of a user who has shown the password at this time (Unix seconds).
    pub fn of(user: &User, now: i64) -> Self {
        let until = now.saturating_add(GOOD_FOR);
        Self { user: user.id.clone(), email: user.email.clone(), stamp: stamp(user), until }
    }

    /// The text for the form.
    pub fn seal(&self, signer: &Signer) -> String {
        seal(signer, HALF_WAY, self)
    }

    /// What a form says, if we have signed it and it is good at this time.
    pub fn open(signer: &Signer, text: &str, now: i64) -> Option<Self> {
        open::<Self>(signer, HALF_WAY, text).filter(|half| now < half.until)
    }

    /// Whether the user has signed in on this device, with the password that they have.
    pub(super) fn knows(&self, device: &Device) -> bool {
        device.place() == format!("{}-{}", self.user, self.stamp) && device.may_be_of(&self.email)
    }

    pub(super) fn is_of(&self, user: &User) -> bool {
        self.user == user.id && self.stamp == stamp(user) && user.disabled_at.is_none()
    }
}

impl SetUp {
    /// A new one for a user.
    pub fn generate(user: &User) -> Result<Self, Error> {
        let (secret, codes) = (Secret::generate()?, RecoveryCode::generate_all()?);
        Ok(Self { secret, codes, user: user.id.clone(), stamp: stamp(user) })
    }

    /// The text for the form.
    pub fn seal(&self, signer: &Signer) -> String {
        let codes = self.codes.iter().map(|code| code.reveal().to_owned()).collect();
        let (user, stamp) = (self.user.clone(), self.stamp.clone());
        let secret = self.secret.bytes().to_vec();
        seal(signer, SET_UP, &Sealed { user, stamp, secret, codes })
    }

    /// What a form says, if it is this user's.
    pub fn open(signer: &Signer, text: &str, user: &User) -> Option<Self> {
        let sealed = open::<Sealed>(signer, SET_UP, text)?;
        let is_theirs = sealed.user == user.id && sealed.stamp == stamp(user);
        let secret = Secret::of(&sealed.secret).filter(|_| is_theirs)?;
        let codes = sealed.codes.iter().map(|code| RecoveryCode::of(code)).collect();
        Some(Self { secret, codes, user: sealed.user, stamp: sealed.stamp })
    }
}

fn seal(signer: &Signer, purpose: &str, what: &impl Serialize) -> String {
    signer.sign(purpose, &URL_SAFE_NO_PAD.encode(serde_json::to_vec(what).unwrap_or_default()))
}

fn open<T: DeserializeOwned>(signer: &Signer, purpose: &str, text: &str) -> Option<T> {
    let json = URL_SAFE_NO_PAD.decode(signer.verify(purpose, text)?).ok()?;
    serde_json::from_slice(&json).ok()
}
