//! Two control planes on PostgreSQL and on an engine that fails over by Sentinel, and two gateways under more load than two limits admit:
//! whatever happens to engine and control planes, what clients saw is within the bound.
//!
//! `make fleet-failover`: `FLAMEGATE_FLEET_FAILOVERS` says how often another engine takes over, `FLAMEGATE_CHAOS_SEED` how, and what else happens.

use std::{
    collections::BTreeMap,
    env,
    panic::{self, AssertUnwindSafe},
    time::{Duration, Instant},
};

use flamegate_e2e::{eventually, random::Random};

use super::engines::Engines;
use super::world::{SLOW_BURST, World};

/// What happens. Each is over when both gateways are lent tokens again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// The primary is killed, and what it has written last is lost.
    KilledWithWritesLost,
    /// The primary goes on for a while beside the one that the sentinel has put in its place: one control plane is with it, the other with
    /// its successor.
    Parted,
    /// The primary stands still, and goes on with its books.
    Frozen,
    /// The primary is there again at once, empty.
    RestartedEmpty,
    /// The primary is killed.
    Killed,
    /// The sentinel is told to hand over.
    HandedOver,
    /// A control plane is killed.
    ControlPlaneKilled,
}

impl Fault {
    const ALL: [Self; 7] = [
        Self::KilledWithWritesLost,
        Self::Parted,
        Self::Frozen,
        Self::RestartedEmpty,
        Self::Killed,
        Self::HandedOver,
        Self::ControlPlaneKilled,
    ];
    /// Each of all first, then by chance: one of the others after every three failovers.
    const OTHERS_EVERY: usize = 4;

    /// Whether another engine takes over.
    const fn is_failover(self) -> bool {
        matches!(self, Self::KilledWithWritesLost | Self::Parted | Self::Killed | Self::HandedOver)
    }

    fn of(round: usize, random: &mut Random) -> Self {
        let (failovers, others): (Vec<_>, Vec<_>) = Self::ALL.iter().partition(|fault| fault.is_failover());
        let among = if round.is_multiple_of(Self::OTHERS_EVERY) { others } else { failovers };
        Self::ALL.get(round).copied().unwrap_or_else(|| random.pick(&among))
    }
}

/// From when until when nothing is lent at all, in microseconds on the clock of the load.
type Silence = (u64, u64);

/// What was lent is over a second after the last moment at which it can have been.
const LEASE_US: u64 = 1_000_000;
/// A new history begins with that second, the two of `min-replicas-max-lag`, and two more.
const SILENT_US: u64 = 5_000_000;
/// How many requests each gateway admits by itself with the key of [`World::slow_key`].
const ALONE: u64 = 3;

struct Series {
    engines: Engines,
    world: World,
    silences: Vec<Silence>,
    /// Bytes that engines had written when they were killed, and that are nowhere.
    lost: u64,
    took: BTreeMap<Fault, Vec<Duration>>,
}

impl Series {
    fn start() -> Self {
        let engines = Engines::start();
        let world = World::start("fleet-failover", &engines.url());
        Self { engines, world, silences: Vec::new(), lost: 0, took: BTreeMap::new() }
    }

    /// Nothing happens, until each gateway has admitted what is half of ten seconds.
    fn calm(&mut self) {
        self.world.load.await_tokens(250);
        println!("calm:");
        self.judge();
    }

    /// Holds what was seen until now to the bound.
    fn judge(&mut self) {
        self.world.load.judge();
        self.silences.drain(..).for_each(|silence| self.world.load.judge_silence(silence));
    }

    /// One fault, from a time when tokens are lent to the next one.
    fn round(&mut self, fault: Fault, control: usize) {
        self.world.load.await_tokens(10);
        let begun = Instant::now();
        self.suffer(fault, control);
        if fault == Fault::ControlPlaneKilled {
            // The other one lends to both gateways.
            self.world.load.await_tokens(10);
            self.world.fleet.controls[control].start();
        } else {
            self.engines.heal();
        }
        self.world.load.await_tokens(1);
        self.took.entry(fault).or_default().push(begun.elapsed());
        self.world.await_mode(1.0);
    }

    fn suffer(&mut self, fault: Fault, control: usize) {
        match fault {
            Fault::KilledWithWritesLost => {
                let before = self.engines.hold_back();
                let written = eventually("something is written that will be lost", || {
                    let written = self.engines.written()?;
                    if written >= before + 1_000 { Ok(written) } else { Err(format!("{before}, {written}")) }
                });
                self.end_engine(Engines::kill);
                self.engines.await_successor();
                let lost = self.engines.lost(written);
                assert!(lost > 0, "the successor has everything");
                self.lost += lost;
            }
            Fault::Killed => {
                self.end_engine(Engines::kill);
                self.engines.await_successor();
            }
            Fault::RestartedEmpty => self.end_engine(Engines::restart),
            Fault::Parted => self.part(control),
            Fault::Frozen => self.freeze(control),
            Fault::HandedOver => {
                self.engines.hand_over();
                self.engines.await_successor();
            }
            Fault::ControlPlaneKilled => self.world.fleet.controls[control].kill(),
        }
    }

    /// Whatever is there next begins a new history.
    fn end_engine(&mut self, how: fn(&mut Engines)) {
        let before = self.world.load.now();
        how(&mut self.engines);
        self.silences.push((self.world.load.now() + LEASE_US, before + SILENT_US));
    }

    fn part(&mut self, control: usize) {
        let not_lent = |world: &World| world.calls(1 - control, &["away", "silent"]);
        let before = not_lent(&self.world);
        self.engines.part();
        self.engines.await_successor();
        // It finds the successor, while the other one has its connection to the primary still.
        self.world.fleet.controls[control].kill();
        self.world.fleet.controls[control].start();
        eventually("the other one gets nothing more from the primary", || {
            let now = not_lent(&self.world);
            if now > before { Ok(()) } else { Err(format!("{now} calls")) }
        });
    }

    /// What each gateway has admitted by itself is in the book when the engine goes on.
    fn freeze(&mut self, control: usize) {
        let key = self.world.slow_key(control, "gateway");
        self.engines.freeze();
        let frozen = self.world.load.now();
        self.world.await_mode(2.0);
        for gateway in [0, 1] {
            // Nothing can be lent, so whatever is admitted is by itself; until it knows that, a request waits for a token that does not come.
            let mut alone = 0;
            eventually("each gateway goes by its own limiter", || {
                alone += u64::from(self.world.ask(gateway, &key) == 200);
                if alone == ALONE { Ok(()) } else { Err(format!("{gateway} has admitted {alone}")) }
            });
        }
        self.silences.push((frozen + LEASE_US, self.world.load.now()));
        self.engines.thaw();
        eventually("what both gateways have admitted is debited", || {
            // More than that when the engine found a call after all that the gateway has told again.
            match self.world.book(control, &key)? {
                (left, 0) if left <= SLOW_BURST - 2 * ALONE => Ok(()),
                book => Err(format!("{book:?} left and lent")),
            }
        });
    }

    /// Says what was done.
    fn report(&mut self) {
        for (fault, took) in &mut self.took {
            took.sort_unstable();
            let (times, half, longest) = (took.len(), took[took.len() / 2], took[took.len() - 1]);
            println!("{fault:?}: {times} times; lent again after {half:.1?}, at most {longest:.1?}");
        }
        println!("{} bytes of engines that were killed were lost", self.lost);
    }
}

fn number(variable: Result<String, env::VarError>, otherwise: u64) -> u64 {
    variable.ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
#[ignore = "takes ten minutes: make fleet-failover"]
fn the_bound_holds_through_failovers_that_lose_writes_and_deaths_of_control_planes() {
    let failovers = number(env::var("FLAMEGATE_FLEET_FAILOVERS"), 50);
    let seed = number(env::var("FLAMEGATE_CHAOS_SEED"), 1);
    let mut random = Random::new(seed);
    let mut series = Series::start();
    let load = series.world.load.clone();
    // Also what was seen before something else went wrong is judged.
    let ended = panic::catch_unwind(AssertUnwindSafe(|| {
        load.during(|| {
            series.calm();
            let (mut round, mut done) = (0, 0);
            while done < failovers {
                let fault = Fault::of(round, &mut random);
                let control = random.below(2);
                round += 1;
                println!(
                    "seed {seed}, {round}: {fault:?}, at control plane {control}; {done} failovers before"
                );
                series.round(fault, control);
                series.judge();
                done += u64::from(fault.is_failover());
            }
        });
    }));
    series.report();
    series.judge();
    ended.unwrap_or_else(|cause| panic::resume_unwind(cause));
}
