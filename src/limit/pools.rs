//! One bucket of pools: of each account that is in use its tokens and what is wanted of it; and its bytes, which is how it lies in
//! shared data.

use std::num::{NonZeroU32, NonZeroU64};

use super::gcra::{Quota, Tat};
use super::pool::{Lent, Pool, Report, Term};
use super::slot::{Account, Subject};
use super::terms::Terms;
use crate::bytes::{Reader, put_text};
use crate::contract::record::Scope;
use crate::host::Monotonic;

/// What the workers want of an account, and what the control plane said of it last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Tokens for requests that wait and are not in an ask yet.
    pub want: u32,
    /// With fewer tokens than this it is worth asking for more; set by the sync.
    pub low: u32,
    /// What the fleet had left.
    pub left: u32,
    /// What other gateways held.
    pub held_elsewhere: u32,
    /// When the ask that is out was sent; 0 when none is.
    pub asked_at: Monotonic,
    /// There are no tokens before this moment, as the control plane said.
    pub refused_until: Monotonic,
    /// Until when it is not worth asking, which may be sooner: others may give tokens back.
    pub ask_again_at: Monotonic,
    /// What was admitted here while nothing could be lent and the control plane was not told of, as the state of a limiter.
    pub alone: Tat,
    /// When a worker came last.
    pub used_at: Monotonic,
}

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose, and by which numbers.
    pub account: Account,
    /// The same for the control plane.
    pub terms: Terms,
    /// Tokens and reports.
    pub pool: Pool,
    /// The rest.
    pub demand: Demand,
}

/// A bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pools(pub Vec<Entry>);

/// Most accounts in a bucket.
pub const MAX_ENTRIES: usize = 128;
/// An account that nobody uses stays for so long, in nanoseconds: late reports find it.
pub const STAYS_NS: u64 = 5_000_000_000;
/// Whatever was asked for longer ago has no answer, in nanoseconds: the length of a lease.
const ANSWERED_NS: u64 = 1_000_000_000;
const VERSION: u8 = 1;

impl Entry {
    /// True when it holds nothing and nobody came for a while.
    pub fn is_over(&self, now: Monotonic) -> bool {
        let is_used = now.saturating_sub(self.demand.used_at) < STAYS_NS;
        let is_told = self.demand.want == 0 && self.demand.alone <= now && self.demand.refused_until <= now;
        !is_used && is_told && self.pool.is_empty()
    }

    /// True while an ask is out: an answer comes, or it is known within the length of a lease that none does.
    pub const fn is_asked(&self, now: Monotonic) -> bool {
        self.demand.asked_at > 0 && now.saturating_sub(self.demand.asked_at) < ANSWERED_NS
    }
}

impl Pools {
    /// The account's entry, if there is one.
    pub fn get(&mut self, account: Account) -> Option<&mut Entry> {
        self.0.iter_mut().find(|entry| entry.account == account)
    }

    /// The account's entry, a new one where there is none; `None` where there is no room.
    pub fn get_or_add(&mut self, account: Account, terms: &Terms, now: Monotonic) -> Option<&mut Entry> {
        let known = self.0.iter().position(|entry| entry.account == account);
        let index = match known {
            Some(index) => index,
            None => {
                self.0.retain(|entry| !entry.is_over(now));
                if self.0.len() >= MAX_ENTRIES {
                    return None;
                }
                let (terms, pool, demand) = (terms.clone(), Pool::default(), Demand::default());
                self.0.push(Entry { account, terms, pool, demand });
                self.0.len().saturating_sub(1)
            }
        };
        let entry = self.0.get_mut(index)?;
        entry.demand.used_at = now;
        Some(entry)
    }

    /// Understands a bucket; bytes of nobody we know hold nothing.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut reader = Reader::new(bytes);
        if reader.u8() != Some(VERSION) {
            return Self::default();
        }
        let mut entries = Vec::new();
        while reader.end().is_none() {
            let Some(entry) = read_entry(&mut reader) else { return Self::default() };
            entries.push(entry);
        }
        Self(entries)
    }

    /// The bucket's bytes; none when it holds nothing.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.0.len().saturating_mul(ROOM));
        if !self.0.is_empty() {
            out.push(VERSION);
        }
        for entry in &self.0 {
            write_entry(&mut out, entry);
        }
        out
    }
}

/// Bytes of an entry with names of usual length.
const ROOM: usize = 256;

fn write_entry(out: &mut Vec<u8>, entry: &Entry) {
    let Entry { account, terms, pool, demand } = entry;
    let (emission_ns, burst) = account.quota.parts();
    out.extend_from_slice(&account.subject.0);
    out.extend_from_slice(&emission_ns.to_le_bytes());
    out.extend_from_slice(&burst.to_le_bytes());
    out.push(u8::from(terms.scope == Scope::Workspace));
    put_text(out, &terms.owner);
    put_text(out, &terms.name);
    for lent in &pool.lent {
        out.extend_from_slice(&lent.tokens.to_le_bytes());
        [lent.generation, lent.term.end, lent.term.ahead].iter().for_each(|n| put(out, *n));
    }
    for report in &pool.reports {
        put(out, report.generation);
        [report.spent, report.returned].iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
    }
    let numbers = [demand.want, demand.low, demand.left, demand.held_elsewhere];
    numbers.iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
    for moment in [demand.asked_at, demand.refused_until, demand.ask_again_at, demand.alone, demand.used_at] {
        put(out, moment);
    }
}

fn read_entry(reader: &mut Reader<'_>) -> Option<Entry> {
    let subject = Subject(reader.array()?);
    let quota = Quota::from_parts(NonZeroU64::new(reader.u64()?)?, NonZeroU32::new(reader.u32()?)?);
    let scope = if reader.u8()? == 0 { Scope::Key } else { Scope::Workspace };
    let (owner, name) = (reader.text()?.to_owned(), reader.text()?.to_owned());
    let terms = Terms { owner, scope, name };
    let mut pool = Pool::default();
    for lent in &mut pool.lent {
        let (tokens, generation) = (reader.u32()?, reader.u64()?);
        *lent = Lent { tokens, generation, term: Term { end: reader.u64()?, ahead: reader.u64()? } };
    }
    for report in &mut pool.reports {
        *report = Report { generation: reader.u64()?, spent: reader.u32()?, returned: reader.u32()? };
    }
    let (want, low, left, held_elsewhere) = (reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?);
    let (asked_at, refused_until, ask_again_at) = (reader.u64()?, reader.u64()?, reader.u64()?);
    let (alone, used_at) = (reader.u64()?, reader.u64()?);
    let demand =
        Demand { want, low, left, held_elsewhere, asked_at, refused_until, ask_again_at, alone, used_at };
    Some(Entry { account: Account { subject, quota }, terms, pool, demand })
}

fn put(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}
