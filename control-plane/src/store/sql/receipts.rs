//! Rows of `revocation_receipts`.

use async_trait::async_trait;
use jiff::Timestamp;

use super::columns::Columns;
use super::statement::{Sql, Statement};
use super::values::{signed, timestamp, unsigned};
use crate::domain::error::Error;
use crate::domain::receipts::Measured;
use crate::store::seam::receipts::{ReadReceipts, WriteReceipts};

const SELECT: &str = "SELECT key_seq, workspace_seq, measured_at, gateways, enforced, cut_off, slowest_ms FROM revocation_receipts";

#[async_trait]
impl<S: Sql> ReadReceipts for S {
    async fn find_receipt(&mut self, key_seq: i64) -> Result<Option<Measured>, Error> {
        let find = Statement::new(format!("{SELECT} WHERE key_seq = $1")).bind(key_seq);
        self.row(find).await?.as_ref().map(measured).transpose()
    }

    async fn newest_receipts(
        &mut self,
        workspace_seq: i64,
        since: Timestamp,
        most: u32,
    ) -> Result<Vec<Measured>, Error> {
        let find = Statement::new(format!(
            "{SELECT} WHERE workspace_seq = $1 AND measured_at >= $2 ORDER BY measured_at DESC LIMIT $3"
        ));
        let find = find.bind(workspace_seq).bind(since.as_millisecond()).bind(most);
        self.rows(find).await?.iter().map(measured).collect()
    }
}

#[async_trait]
impl<S: Sql> WriteReceipts for S {
    async fn store_receipts(&mut self, receipts: &[Measured]) -> Result<(), Error> {
        for receipt in receipts {
            let store = Statement::new(
                "INSERT INTO revocation_receipts (key_seq, workspace_seq, measured_at, gateways, enforced, cut_off, slowest_ms)
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (key_seq) DO NOTHING",
            )
            .bind(receipt.key_seq)
            .bind(receipt.workspace_seq)
            .bind(receipt.at.as_millisecond())
            .bind(signed(receipt.gateways)?)
            .bind(signed(receipt.enforced)?)
            .bind(signed(receipt.cut_off)?)
            .bind(receipt.slowest_ms.map(signed).transpose()?);
            self.run(store).await?;
        }
        Ok(())
    }
}

fn measured(row: &impl Columns) -> Result<Measured, Error> {
    Ok(Measured {
        key_seq: row.number("key_seq")?,
        workspace_seq: row.number("workspace_seq")?,
        at: timestamp(row.number("measured_at")?)?,
        gateways: unsigned(row.number("gateways")?)?,
        enforced: unsigned(row.number("enforced")?)?,
        cut_off: unsigned(row.number("cut_off")?)?,
        slowest_ms: row.maybe_number("slowest_ms")?.map(unsigned).transpose()?,
    })
}
