//! The sync as a state machine: an event in, at most one effect out. It has no host, no clock and no table.
//!
//! ```text
//!            ┌────────────── tick ──────────────┐
//!  Ready ──poll──▶ Polling ──page──▶ Applying ──┴─ more of a reset, nothing new ─▶ Ready
//!    ▲                │                  │ a change
//!    │             failure               ▼
//!    └── time ── Pausing            Settling ── every worker enforces it ──▶ Ready
//! ```
//! A failure changes nothing but the time of the next poll: the last good table stays. `after` is an acknowledgement, so
//! the next poll waits until every live worker enforces what it acknowledges.

use crate::contract::key::KeyHash;
use crate::host::Monotonic;
use crate::table::writer::ApplyError;

use crate::contract::page::{ChangesQuery, Page};
use crate::contract::protocol::Protocol;

use super::failure::Kind;
use super::patience::{POLL_GRACE_SECONDS, Patience, REFUSED_NS};

/// What the polls say and how patient they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of this gateway.
    pub gateway: String,
    /// How long the control plane may hold a poll, in seconds, at most.
    pub wait_seconds: u32,
    /// Records asked for per page.
    pub page_size: u32,
    /// The same while there is no table that requests are decided by, until one does not arrive.
    pub first_page_size: u32,
    /// First and longest pause after a failure, in milliseconds.
    pub retry_ms: (u32, u32),
}

/// Where the table stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Name of the history.
    pub epoch: String,
    /// Revision in it.
    pub revision: u64,
    /// The revision's tag, when it is known.
    pub tag: Option<String>,
}

impl Position {
    /// True when parts of a table at both may be put together.
    fn is_of_one_table_with(&self, other: &Self) -> bool {
        let protocol = |at: &Self| at.tag.as_deref().map_or(Protocol::One, |tag| Protocol::of_tag(tag).0);
        self.epoch == other.epoch && protocol(self) == protocol(other)
    }
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// Time passed. `enforced`: every live worker enforces the table as it is.
    Tick {
        /// See above.
        enforced: bool,
    },
    /// The poll could not be sent, or its answer was none, an error or not a page.
    Failed(Kind),
    /// The poll's answer.
    Page(Page),
    /// How the effect that had to be applied went.
    Applied(Result<(), ApplyError>),
}

/// What has to be done now.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask the control plane.
    Poll(ChangesQuery),
    /// Apply a page of changes.
    ApplyDifference(Page),
    /// Apply a page of a whole table that was asked for behind `after`.
    ApplyReset {
        /// The page.
        page: Page,
        /// The cursor that it was asked with.
        after: Option<KeyHash>,
    },
    /// Note that the table is confirmed.
    Confirm,
}

/// The state of the sync.
#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    patience: Patience,
    position: Option<Position>,
    reset: Option<ResetProgress>,
    phase: Phase,
    failures: u32,
    resets_in_a_row: u32,
}

#[derive(Debug)]
enum Phase {
    Ready,
    Polling { sent: Monotonic },
    Applying(Applying),
    Settling { not_before: Monotonic },
    Pausing { until: Monotonic },
}

/// What becomes true when the effect is applied.
#[derive(Debug)]
enum Applying {
    Reached(Position),
    ResetDone(Position),
    ResetGoesOn(ResetProgress),
    NothingNew { confirmed: Position, held: bool },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ResetProgress {
    target: Position,
    cursor: KeyHash,
}

const NANOS_PER_MILLI: u64 = 1_000_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// An answer with nothing new that comes sooner than this was not held; the next poll is paced as after a failure.
const HELD_NS: u64 = 500 * NANOS_PER_MILLI;

impl Machine {
    /// Starts from where the table stands; `None` when there is no table.
    /// `resets_in_a_row` is the predecessor's, when one was given up over a damaged table.
    pub const fn new(settings: Settings, position: Option<Position>, resets_in_a_row: u32) -> Self {
        // The first poll acknowledges where the table stands, so the workers have to be there.
        let phase = if position.is_some() { Phase::Settling { not_before: 0 } } else { Phase::Ready };
        let patience = Patience::new(settings.wait_seconds);
        Self { settings, patience, position, reset: None, phase, failures: 0, resets_in_a_row }
    }

    /// Where the table stands as far as the machine knows; `None` while it has none or is receiving a whole one.
    pub const fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    /// How many whole tables came with nothing else between them.
    pub const fn resets_in_a_row(&self) -> u32 {
        self.resets_in_a_row
    }

    /// How often in a row the control plane could not be followed.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Takes an event and says what to do. `dice` is a random number for the jitter.
    pub fn on(&mut self, event: Event, now: Monotonic, dice: u64) -> Option<Effect> {
        match (event, &self.phase) {
            (Event::Tick { .. }, Phase::Ready) => Some(self.poll(now)),
            (Event::Tick { enforced: true }, Phase::Settling { not_before }) if *not_before <= now => {
                Some(self.poll(now))
            }
            (Event::Tick { .. }, Phase::Pausing { until }) if *until <= now => Some(self.poll(now)),
            (Event::Tick { .. }, Phase::Polling { sent }) if self.is_lost(*sent, now) => {
                self.unanswered(Kind::Lost, *sent, now, dice)
            }
            (Event::Failed(kind), Phase::Polling { sent }) => self.unanswered(kind, *sent, now, dice),
            (Event::Page(page), Phase::Polling { sent }) => {
                let held = now.saturating_sub(*sent) >= HELD_NS;
                self.take_page(page, held).or_else(|| self.fail(now, dice))
            }
            (Event::Applied(result), Phase::Applying(_)) => self.applied(result, now, dice),
            // An answer that nobody waits for any more, or a tick with nothing to do.
            _ => None,
        }
    }

    fn is_lost(&self, sent: Monotonic, now: Monotonic) -> bool {
        let patience = u64::from(self.patience.wait().saturating_add(POLL_GRACE_SECONDS).saturating_mul(2));
        now.saturating_sub(sent) > patience.saturating_mul(NANOS_PER_SECOND)
    }

    fn poll(&mut self, now: Monotonic) -> Effect {
        self.phase = Phase::Polling { sent: now };
        let position = self.position.as_ref();
        Effect::Poll(ChangesQuery {
            epoch: position.map(|position| position.epoch.clone()),
            after: position.map_or(0, |position| position.revision),
            tag: position.and_then(|position| position.tag.clone()),
            gateway: self.settings.gateway.clone(),
            limit: if position.is_some() { self.settings.page_size } else { self.settings.first_page_size },
            wait: self.patience.wait(),
            // The driver knows these four.
            stale: false,
            workers: None,
            accepts: Protocol::One,
            shadow: None,
            cursor: self.reset.as_ref().map(|reset| reset.cursor),
        })
    }

    /// The effect that a page asks for; `None` for a page that makes no sense here.
    fn take_page(&mut self, page: Page, held: bool) -> Option<Effect> {
        if page.reset {
            return self.take_reset_page(page);
        }
        let position = self.position.as_ref().filter(|position| position.epoch == page.epoch);
        let (Some(position), None) = (position, &self.reset) else {
            if self.reset.take().is_some() {
                self.position = None;
            }
            return None;
        };
        let is_empty = page.upserts.is_empty() && page.removals.is_empty();
        if is_empty && page.revision == position.revision {
            if page.more {
                return None;
            }
            // A gateway that had no tag learns it here.
            let confirmed = Position { tag: page.tag.or_else(|| position.tag.clone()), ..position.clone() };
            self.phase = Phase::Applying(Applying::NothingNew { confirmed, held });
            return Some(Effect::Confirm);
        }
        if page.revision <= position.revision {
            return None;
        }
        let reached = position_of(&page);
        self.phase = Phase::Applying(Applying::Reached(reached));
        Some(Effect::ApplyDifference(page))
    }

    fn take_reset_page(&mut self, page: Page) -> Option<Effect> {
        let progress = self.reset.take();
        // From here on the table is neither the old one nor the new one: only the end of a reset makes it one again.
        self.position = None;
        // Another epoch in the middle, or one part for another protocol: what was received so far belongs to a table that is no more.
        let here = position_of(&page);
        if progress.as_ref().is_some_and(|progress| !progress.target.is_of_one_table_with(&here)) {
            return None;
        }
        let after = progress.as_ref().map(|progress| progress.cursor);
        let target = progress.map_or(here, |progress| progress.target);
        let last = page.upserts.last().map(|upsert| upsert.hash.0);
        self.phase = Phase::Applying(match last.filter(|_| page.more) {
            Some(cursor) => Applying::ResetGoesOn(ResetProgress { target, cursor }),
            None => Applying::ResetDone(target),
        });
        Some(Effect::ApplyReset { page, after })
    }

    fn applied(&mut self, result: Result<(), ApplyError>, now: Monotonic, dice: u64) -> Option<Effect> {
        let phase = std::mem::replace(&mut self.phase, Phase::Ready);
        let Phase::Applying(applying) = phase else { return None };
        if let Err(error) = result {
            let lost = matches!(error, ApplyError::NoTable | ApplyError::BrokenReset);
            if lost || !matches!(applying, Applying::NothingNew { .. } | Applying::Reached(_)) {
                self.position = None;
            }
            return self.fail(now, dice);
        }
        if !matches!(applying, Applying::ResetDone(_)) {
            self.failures = 0;
        }
        match applying {
            Applying::NothingNew { confirmed, held } => {
                self.position = Some(confirmed);
                self.resets_in_a_row = 0;
                if held {
                    self.patience.answered();
                    return Some(self.poll(now));
                }
                self.phase = Phase::Pausing { until: now.saturating_add(self.pause(dice)) };
                None
            }
            Applying::ResetGoesOn(progress) => {
                self.reset = Some(progress);
                Some(self.poll(now))
            }
            Applying::Reached(position) => {
                self.resets_in_a_row = 0;
                self.settle(position, now)
            }
            Applying::ResetDone(position) => {
                self.settings.first_page_size = self.settings.page_size;
                // Two control planes that take turns would otherwise have the whole table rewritten without an end.
                self.failures = self.resets_in_a_row;
                let not_before = if self.failures == 0 { now } else { now.saturating_add(self.pause(dice)) };
                self.resets_in_a_row = self.resets_in_a_row.saturating_add(1);
                self.settle(position, not_before)
            }
        }
    }

    fn settle(&mut self, position: Position, not_before: Monotonic) -> Option<Effect> {
        self.position = Some(position);
        self.phase = Phase::Settling { not_before };
        None
    }

    /// A poll has no page. One that may have been held makes the next ones shorter. One for a whole table never is; its page may have
    /// been too large, and then the others are small, or each of them would be tried in vain.
    fn unanswered(&mut self, kind: Kind, sent: Monotonic, now: Monotonic, dice: u64) -> Option<Effect> {
        let lived = now.saturating_sub(sent);
        if self.position.is_some() && kind.may_be_cut() {
            self.patience.cut(lived);
        }
        if self.position.is_none() && kind.may_be_too_large(lived < REFUSED_NS) {
            self.settings.first_page_size = self.settings.page_size;
        }
        self.fail(now, dice)
    }

    fn fail(&mut self, now: Monotonic, dice: u64) -> Option<Effect> {
        self.phase = Phase::Pausing { until: now.saturating_add(self.pause(dice)) };
        self.failures = self.failures.saturating_add(1);
        None
    }

    /// Exponential backoff in nanoseconds, with jitter between half of the step and the step, so that a fleet does not
    /// return in one wave.
    fn pause(&self, dice: u64) -> u64 {
        let (first, longest) = self.settings.retry_ms;
        let step = first
            .checked_shl(self.failures.min(16))
            .filter(|step| *step >= first)
            .unwrap_or(longest)
            .min(longest);
        let step = u64::from(step).saturating_mul(NANOS_PER_MILLI);
        let half = step / 2;
        let jitter = dice.checked_rem(half.saturating_add(1)).unwrap_or(0);
        half.saturating_add(jitter)
    }
}

/// Where a page brings the table.
fn position_of(page: &Page) -> Position {
    Position { epoch: page.epoch.clone(), revision: page.revision, tag: page.tag.clone() }
}

#[cfg(test)]
mod tests;
