//! Clients that ask for more than two limits admit, at every gateway and without a pause, and what they saw.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use flamegate_e2e::{Request, control::NewKey, eventually, http1::Connection};

use super::bound::{Admitted, Bound};

/// Of both limits.
pub const BURST: u64 = 20;
/// Of both limits: T, in microseconds.
pub const EMISSION_US: u64 = 20_000;
/// Between two requests of a client, so that it asks for two to four times what a limit admits.
const PAUSE: Duration = Duration::from_millis(5);

/// The limits: one refuses while nothing can be lent, the other goes by each gateway's own limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `refuse`.
    Strict,
    /// `gateway`.
    Own,
}

const KINDS: [Kind; 2] = [Kind::Strict, Kind::Own];

/// What clients do, and what they saw: one of each gateway with each key.
pub struct Load {
    ports: Vec<u16>,
    keys: [NewKey; 2],
    begun: Instant,
    over: AtomicBool,
    requests: AtomicU64,
    /// By kind, then by gateway.
    admitted: [Vec<Mutex<Vec<Admitted>>>; 2],
    wrong: Mutex<Vec<String>>,
}

impl Load {
    /// For gateways on these ports; the keys in the order of [`Kind`].
    pub fn new(ports: Vec<u16>, keys: [NewKey; 2]) -> Self {
        let admitted = [(); 2].map(|()| ports.iter().map(|_| Mutex::default()).collect());
        let (over, requests) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { ports, keys, begun: Instant::now(), over, requests, admitted, wrong: Mutex::default() }
    }

    /// Runs the clients as long as `work` does, by a panic, too.
    pub fn during(self: &Arc<Self>, work: impl FnOnce()) {
        struct End<'l>(&'l AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        thread::scope(|scope| {
            for gateway in 0..self.ports.len() {
                for kind in KINDS {
                    scope.spawn(move || self.run(gateway, kind));
                }
            }
            let _end = End(&self.over);
            work();
        });
    }

    fn run(&self, gateway: usize, kind: Kind) {
        let request = Request::get("/v1/agents").bearer(&self.keys[kind as usize].key);
        let mut connection = Connection::open(self.ports[gateway]).expect("a gateway");
        while !self.over.load(Ordering::Relaxed) {
            let sent = self.now();
            let answer = connection.send(&request).map(|answer| answer.status);
            let answered = self.now();
            self.requests.fetch_add(1, Ordering::Relaxed);
            match answer {
                Ok(200) => lock(&self.admitted[kind as usize][gateway]).push((sent, answered)),
                Ok(429) => {}
                other => {
                    lock(&self.wrong).push(format!("{kind:?} at gateway {gateway}, {sent} µs: {other:?}"));
                    return;
                }
            }
            thread::sleep(PAUSE);
        }
    }

    /// The moment, in microseconds since the load was made.
    pub fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).expect("not that long")
    }

    /// Waits until each gateway has admitted so many more by tokens: whatever the strict limit admits is by one.
    pub fn await_tokens(&self, many: usize) {
        let strict = &self.admitted[Kind::Strict as usize];
        let before: Vec<usize> = strict.iter().map(|seen| lock(seen).len()).collect();
        for (gateway, before) in before.into_iter().enumerate() {
            eventually("tokens are lent", || {
                let wrong = lock(&self.wrong);
                assert!(wrong.is_empty(), "{wrong:#?}");
                drop(wrong);
                let more = lock(&strict[gateway]).len() - before;
                if more >= many { Ok(()) } else { Err(format!("gateway {gateway} has admitted {more}")) }
            });
        }
    }

    /// What all gateways have admitted of a limit.
    pub fn admitted(&self, kind: Kind) -> Vec<Admitted> {
        self.admitted[kind as usize].iter().flat_map(|seen| lock(seen).clone()).collect()
    }

    /// What was sent and answered from one moment until another one.
    fn admitted_within(&self, kind: Kind, (from, until): (u64, u64)) -> Vec<Admitted> {
        let mut admitted = self.admitted(kind);
        admitted.retain(|(sent, answered)| *sent >= from && *answered <= until);
        admitted
    }

    /// While nothing is lent, from one moment until another one: the strict limit admits nothing, the other one once for each gateway.
    pub fn judge_silence(&self, silence: (u64, u64)) {
        assert_eq!(self.admitted_within(Kind::Strict, silence), [], "nothing is lent in {silence:?} µs");
        held("while nothing is lent", self.gateways(), &self.admitted_within(Kind::Own, silence));
    }

    /// Says what was seen, and fails when it was anything but 200 and 429, or above the bound: once for the strict limit; for the other one once
    /// more than there are gateways, for an interval may reach from what was lent into what each of them admits by itself.
    pub fn judge(&self) {
        let wrong = lock(&self.wrong);
        assert!(wrong.is_empty(), "{wrong:#?}");
        let (requests, took) = (self.requests.load(Ordering::Relaxed), self.begun.elapsed());
        println!("{requests} requests of {} clients in {took:.0?}", 2 * self.ports.len());
        held("a limit that refuses while nothing is lent", 1, &self.admitted(Kind::Strict));
        let times = self.gateways() + 1;
        held("a limit that each gateway then counts for itself", times, &self.admitted(Kind::Own));
    }

    fn gateways(&self) -> u64 {
        self.ports.len() as u64
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many a limit would have admitted without its burst from the first to the last of these; at least 1.
fn ideal(admitted: &[Admitted]) -> usize {
    let begun = admitted.iter().map(|(sent, _)| *sent).min().unwrap_or_default();
    let over = admitted.iter().map(|(_, answered)| *answered).max().unwrap_or_default();
    usize::try_from((over - begun) / EMISSION_US).map_or(1, |many| many.max(1))
}

fn held(what: &str, times: u64, admitted: &[Admitted]) {
    let excess = Bound { times, burst: BURST, emission_us: EMISSION_US }.excess(admitted);
    let (count, ideal) = (admitted.len(), ideal(admitted));
    println!(
        "{what}: {count} admitted ({} % of L / T), {excess} above {times} times the bound",
        count * 100 / ideal
    );
    assert!(excess <= 0, "{what}: {excess} above {times} times burst + L / T");
}
