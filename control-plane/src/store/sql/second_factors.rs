//! Rows of `second_factors` and `recovery_codes`.

use async_trait::async_trait;

use super::columns::Columns as _;
use super::statement::{Sql, Statement};
use super::values::{timestamp, unsigned};
use crate::domain::error::Error;
use crate::domain::users::second_factor::{SecondFactor, Secret};
use crate::store::seam::second_factors::{ReadSecondFactors, WriteSecondFactors};

#[async_trait]
impl<S: Sql> ReadSecondFactors for S {
    async fn second_factor(&mut self, user_seq: i64) -> Result<Option<SecondFactor>, Error> {
        let find = "SELECT secret, since, last_step FROM second_factors WHERE user_seq = $1";
        let Some(row) = self.row(Statement::new(find).bind(user_seq)).await? else { return Ok(None) };
        let secret = Secret::of(&row.bytes("secret")?);
        let secret = secret.ok_or_else(|| Error::internal("a second factor's secret is not 20 bytes"))?;
        let (since, last_step) = (timestamp(row.number("since")?)?, row.number("last_step")?);
        Ok(Some(SecondFactor { secret, since, last_step }))
    }

    async fn recovery_codes_left(&mut self, user_seq: i64) -> Result<u64, Error> {
        let count = Statement::new("SELECT count(*) AS n FROM recovery_codes WHERE user_seq = $1");
        unsigned(self.number(count.bind(user_seq)).await?)
    }
}

#[async_trait]
impl<S: Sql> WriteSecondFactors for S {
    async fn insert_second_factor(
        &mut self,
        user_seq: i64,
        factor: &SecondFactor,
        codes: &[[u8; 32]],
    ) -> Result<(), Error> {
        let insert = Statement::new(
            "INSERT INTO second_factors (user_seq, secret, since, last_step) VALUES ($1, $2, $3, $4)",
        )
        .bind(user_seq)
        .bind(factor.secret.bytes())
        .bind(factor.since.as_millisecond())
        .bind(factor.last_step);
        self.run(insert).await?;
        for hash in codes {
            let insert = Statement::new("INSERT INTO recovery_codes (user_seq, hash) VALUES ($1, $2)");
            self.run(insert.bind(user_seq).bind(hash.as_slice())).await?;
        }
        Ok(())
    }

    async fn set_last_step(&mut self, user_seq: i64, step: i64) -> Result<(), Error> {
        let set = Statement::new("UPDATE second_factors SET last_step = $1 WHERE user_seq = $2");
        self.run(set.bind(step).bind(user_seq)).await.map(drop)
    }

    async fn use_recovery_code(&mut self, user_seq: i64, hash: [u8; 32]) -> Result<bool, Error> {
        let delete = Statement::new("DELETE FROM recovery_codes WHERE user_seq = $1 AND hash = $2");
        Ok(self.run(delete.bind(user_seq).bind(hash.as_slice())).await? == 1)
    }

    async fn delete_second_factor(&mut self, user_seq: i64) -> Result<(), Error> {
        for table in ["recovery_codes", "second_factors"] {
            let delete = Statement::new(format!("DELETE FROM {table} WHERE user_seq = $1"));
            self.run(delete.bind(user_seq)).await?;
        }
        Ok(())
    }
}
