//! Second factors of users, and their recovery codes, of which there is only the hash.

use async_trait::async_trait;

use crate::domain::error::Error;
use crate::domain::users::second_factor::SecondFactor;

/// Reading.
#[async_trait]
pub trait ReadSecondFactors: Send {
    /// The user's, if they have one.
    async fn second_factor(&mut self, user_seq: i64) -> Result<Option<SecondFactor>, Error>;

    /// How many recovery codes the user has left.
    async fn recovery_codes_left(&mut self, user_seq: i64) -> Result<u64, Error>;
}

/// Writing.
#[async_trait]
pub trait WriteSecondFactors: ReadSecondFactors {
    /// Gives one to a user who has none, with these recovery codes.
    async fn insert_second_factor(
        &mut self,
        user_seq: i64,
        factor: &SecondFactor,
        codes: &[[u8; 32]],
    ) -> Result<(), Error>;

    /// Notes whose code was used.
    async fn set_last_step(&mut self, user_seq: i64, step: i64) -> Result<(), Error>;

    /// Uses a recovery code up; false when the user has no such one.
    async fn use_recovery_code(&mut self, user_seq: i64, hash: [u8; 32]) -> Result<bool, Error>;

    /// Takes it away, with what is left of the recovery codes.
    async fn delete_second_factor(&mut self, user_seq: i64) -> Result<(), Error>;
}
