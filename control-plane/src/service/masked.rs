//! Row numbers as tenants see them. The numbers of a table count everybody's doings, so whoever is for one workspace sees others in their
//! place: each row has one, for that workspace, and they say nothing of order, number or neighbours. A Feistel network of ten rounds over
//! 52 bits, which JSON's numbers hold, with the signing key's HMAC as its round (as FF1 of NIST SP 800-38G is built); it can be turned
//! back, so a cursor leads to its row and nothing is stored.

use super::signer::Signer;

/// The numbers of one table for one workspace.
pub struct Masked<'s> {
    /// Whose key.
    pub signer: &'s Signer,
    /// Of which rows.
    pub table: &'static str,
    /// For which workspace.
    pub workspace_seq: i64,
}

/// Bits of a half.
const HALF: u32 = 26;
const MASK: i64 = (1 << HALF) - 1;
const ROUNDS: u8 = 10;

impl Masked<'_> {
    /// What stands for a row. Above 52 bits there is none.
    pub fn number(&self, row: i64) -> i64 {
        let halves = (row >> HALF & MASK, row & MASK);
        let (left, right) =
            (0..ROUNDS).fold(halves, |(left, right), round| (right, left ^ self.round(round, right)));
        left << HALF | right
    }

    /// The row that a number stands for; `None` for what is no such number.
    pub fn row(&self, number: i64) -> Option<i64> {
        if number >> (2 * HALF) != 0 {
            return None;
        }
        let halves = (number >> HALF, number & MASK);
        let (left, right) =
            (0..ROUNDS).rev().fold(halves, |(left, right), round| (right ^ self.round(round, left), left));
        Some(left << HALF | right)
    }

    fn round(&self, round: u8, half: i64) -> i64 {
        self.signer.number("row", &format!("{}-{}-{round}-{half}", self.table, self.workspace_seq)) & MASK
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_row_has_a_number_of_its_own_that_leads_back_and_tells_nothing() {
        let signer = Signer::of([7; 32]);
        let of = |table, workspace_seq| Masked { signer: &signer, table, workspace_seq };
        let (ours, others, keys) = (of("audit", 1), of("audit", 2), of("keys", 1));
        let mut seen = BTreeSet::new();
        let mut up = 0;
        for row in 1..=200 {
            let number = ours.number(row);
            assert!(seen.insert(number) && (0..1 << 52).contains(&number));
            assert_eq!(ours.row(number), Some(row));
            assert!(others.number(row) != number && keys.number(row) != number);
            up += i32::from(ours.number(row + 1) > number);
        }
        assert!((60..140).contains(&up), "in no order: {up} of 200 go up");
        assert_eq!(ours.row(ours.number((1 << 52) - 1)), Some((1 << 52) - 1));
        assert_eq!((ours.row(1 << 52), ours.row(i64::MAX), ours.row(-1)), (None, None, None));
    }
}
