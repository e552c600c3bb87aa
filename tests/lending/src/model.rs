//! The model: states, what can happen in each, and the one thing that must hold in all.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use flamegate::host::Now;
use flamegate::limit::pool::{Lent as Lot, Pool, Report, Term};
use flamegate_control::books::{History, Rows};
use flamegate_control::domain::lending::book::LEASE_US;
use flamegate_control::domain::lending::{Book, Numbers, Step};
use stateright::{Model, Property};

use crate::weak::without_clamp;

/// How large the world is, and what is wrong with its rule.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// Gateways.
    pub gateways: usize,
    /// The limit's burst; its T is a tick.
    pub burst: u64,
    /// Most tokens in one ask.
    pub most_wanted: u64,
    /// The world ends after so many ticks.
    pub ticks: u8,
    /// Most messages on their way at once.
    pub most_messages: usize,
    /// How often something goes wrong: a message lost or twice, a gateway dead, a clock that stands, a history lost.
    pub most_faults: u8,
    /// What is wrong with the rule.
    pub weakness: Weakness,
}

/// A rule that looks right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// The rule.
    None,
    /// What is lent does not count against the bucket.
    LentIsForgotten,
    /// Tokens are told of when they are taken, not when they are used.
    SpentWhenTaken,
    /// A history that begins goes on from nothing, at once.
    Resumes,
}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// In ticks, as nobody but the world knows it.
    now: u8,
    /// By the engine's clock, in ticks.
    engine: u8,
    book: Option<Book>,
    /// What a replica has of the book.
    replica: Option<Book>,
    mark: u32,
    /// When the history opens, in ticks of the engine.
    opens_at: u8,
    pools: Vec<Pool>,
    /// Calls of gateways and answers, in no order.
    messages: Vec<Message>,
    faults: u8,
    /// Of one ideal bucket that counts what is admitted: when it is empty again, in ticks.
    ideal: i16,
}

/// On its way. An answer is that of one call; who has died has none that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Message {
    Ask { gateway: usize, asked: u8, want: u64 },
    Grant { gateway: usize, asked: u8, tokens: u32, generation: u64 },
    Told { generation: u64, spent: u32, returned: u32 },
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time goes on, and the engine's clock with it.
    Tick,
    /// Time goes on, and the engine's clock stands.
    Stall,
    /// A gateway asks for so many.
    Ask(usize, u64),
    /// The message at this place arrives.
    Arrive(usize),
    /// The same, and it will come again: an ask that something on the way repeats.
    ArriveAndStay(usize),
    /// The message at this place is lost.
    Lose(usize),
    /// A gateway admits a request.
    Admit(usize),
    /// A gateway gives back what it has.
    GiveBack(usize),
    /// A gateway tells what it has to tell.
    Tell(usize),
    /// A gateway ends without a word, and another begins in its place.
    Die(usize),
    /// The engine loses everything.
    Lost,
    /// A replica takes its place, with what it has.
    FailOver,
    /// The replica gets what the engine has.
    Replicate,
}

const TICK_US: u64 = LEASE_US / 2;
const LEASE_TICKS: u8 = 2;
const TICK_NS: u64 = TICK_US * 1_000;
/// The first moment: nothing is before it.
const BEGIN: u8 = 4;

impl Fleet {
    fn numbers(&self) -> Numbers {
        Numbers { emission_us: TICK_US.try_into().expect("not zero"), burst: self.burst, revision: 1 }
    }

    fn history(&self, world: &World) -> History {
        History { mark: world.mark, opens_at: u64::from(world.opens_at) * TICK_US, rows: Rows::UNKNOWN }
    }

    /// One step of the book, if there is a history that lends.
    fn step(&self, world: &mut World, step: Step) -> Option<(u64, u64)> {
        if world.engine < world.opens_at {
            return None;
        }
        let (history, now) = (self.history(world), u64::from(world.engine) * TICK_US);
        let step = history.own(step, now);
        // The first one of the world is of a limit that is younger.
        let owes = world.mark > 0 && self.weakness != Weakness::Resumes;
        let since = owes.then_some(history.opens_at);
        let rule = if self.weakness == Weakness::LentIsForgotten { without_clamp } else { Book::step };
        let (book, lent) = rule(world.book, now, since, self.numbers(), step);
        world.book = Some(book);
        Some((lent.tokens, history.told(lent.generation)))
    }

    /// Another history, from what is left.
    fn begin_anew(&self, world: &mut World, left: Option<Book>) {
        world.mark += 1;
        world.book = left;
        world.replica = left;
        let pause = if self.weakness == Weakness::Resumes { 0 } else { LEASE_TICKS };
        world.opens_at = world.engine + pause;
    }

    fn arrive(&self, world: &mut World, message: Message) {
        match message {
            Message::Ask { gateway, asked, want } => {
                let answer = self.step(world, Step { want, ..Step::default() });
                if let Some((tokens, generation)) = answer.filter(|(tokens, _)| *tokens > 0) {
                    let tokens = u32::try_from(tokens).expect("few");
                    world.messages.push(Message::Grant { gateway, asked, tokens, generation });
                }
            }
            Message::Grant { gateway, asked, tokens, generation } => {
                let term = Term { end: u64::from(asked + LEASE_TICKS) * TICK_NS, ahead: 0 };
                if !term.is_over(at(world.now), 0) {
                    world.pools[gateway].put(Lot { tokens, generation, term });
                    if self.weakness == Weakness::SpentWhenTaken {
                        world.messages.push(Message::Told { generation, spent: tokens, returned: 0 });
                    }
                }
            }
            Message::Told { generation, spent, returned } => {
                let (spent, returned) = (spent.into(), returned.into());
                self.step(world, Step { generation, spent, returned, ..Step::default() });
            }
        }
    }

    /// A request is let through with a token of the pool.
    fn admit(&self, world: &mut World, gateway: usize) -> bool {
        let taken = world.pools[gateway].take(1, 1, at(world.now), 0).unwrap_or_default();
        if taken.tokens == 0 {
            return false;
        }
        if self.weakness != Weakness::SpentWhenTaken {
            world.pools[gateway].spent(taken.generation, 1);
        }
        world.ideal = world.ideal.max(i16::from(world.now)) + 1;
        true
    }

    /// How far above the bound the worst interval is, in requests.
    fn excess(&self, world: &World) -> i64 {
        i64::from(world.ideal) - i64::from(world.now) - i64::try_from(self.burst).expect("small")
    }

    fn happen(&self, world: &mut World, event: Event) -> bool {
        match event {
            Event::Tick => (world.now, world.engine) = (world.now + 1, world.engine + 1),
            Event::Stall => world.now += 1,
            Event::Ask(gateway, want) => {
                world.messages.push(Message::Ask { gateway, asked: world.now, want })
            }
            Event::Arrive(place) => {
                let message = world.messages.remove(place);
                self.arrive(world, message);
            }
            Event::ArriveAndStay(place) => {
                let message = world.messages[place];
                self.arrive(world, message);
            }
            Event::Lose(place) => drop(world.messages.remove(place)),
            Event::Admit(gateway) => return self.admit(world, gateway),
            Event::GiveBack(gateway) => world.pools[gateway].let_go(0, at(world.now), 0),
            Event::Tell(gateway) => {
                let told =
                    world.pools[gateway].take_reports().map(|Report { generation, spent, returned }| {
                        Message::Told { generation, spent, returned }
                    });
                world.messages.extend(told);
            }
            Event::Die(gateway) => {
                world.pools[gateway] = Pool::default();
                let is_its = |message: &Message| matches!(message, Message::Grant { gateway: to, .. } if *to == gateway);
                world.messages.retain(|message| !is_its(message));
            }
            Event::Lost => self.begin_anew(world, None),
            Event::FailOver => self.begin_anew(world, world.replica),
            Event::Replicate => world.replica = world.book,
        }
        true
    }
}

impl World {
    /// Gives the gateways names that depend on nothing but what is theirs. Where two have the same by chance, a state is looked at twice.
    fn rename(&mut self) {
        let mut order: Vec<(u64, usize)> = (0..self.pools.len()).map(|of| (self.print(of), of)).collect();
        order.sort_unstable();
        if order.iter().map(|(_, old)| *old).is_sorted() {
            return;
        }
        self.pools = order.iter().map(|(_, old)| self.pools[*old].clone()).collect();
        for message in &mut self.messages {
            if let Message::Ask { gateway, .. } | Message::Grant { gateway, .. } = message {
                *gateway = order.iter().position(|(_, old)| old == gateway).expect("a gateway");
            }
        }
    }

    /// Of what is one gateway's: its pool, and the messages that are its.
    fn print(&self, of: usize) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.pools[of].hash(&mut hasher);
        let its = self.messages.iter().filter_map(|message| match *message {
            Message::Ask { gateway, asked, want } if gateway == of => Some((asked, want, 0)),
            Message::Grant { gateway, asked, tokens, generation } if gateway == of => {
                Some((asked, tokens.into(), generation))
            }
            _ => None,
        });
        // Their order says nothing.
        let mut its: Vec<_> = its.collect();
        its.sort_unstable();
        its.hash(&mut hasher);
        hasher.finish()
    }
}

impl Model for Fleet {
    type State = World;
    type Action = Event;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            now: BEGIN,
            engine: BEGIN,
            book: None,
            replica: None,
            mark: 0,
            opens_at: BEGIN,
            pools: vec![Pool::default(); self.gateways],
            messages: Vec::new(),
            faults: 0,
            ideal: 0,
        }]
    }

    fn actions(&self, world: &World, events: &mut Vec<Event>) {
        let may_fail = world.faults < self.most_faults;
        let has_room = world.messages.len() < self.most_messages;
        if world.now < BEGIN + self.ticks {
            events.push(Event::Tick);
            if may_fail {
                events.push(Event::Stall);
            }
        }
        for (gateway, pool) in world.pools.iter().enumerate() {
            if has_room {
                events.extend((1..=self.most_wanted).map(|want| Event::Ask(gateway, want)));
            }
            if pool.tokens() > 0 {
                events.extend([Event::Admit(gateway), Event::GiveBack(gateway)]);
            }
            if world.messages.len() + pool.reports().count() <= self.most_messages
                && pool.reports().next().is_some()
            {
                events.push(Event::Tell(gateway));
            }
            if may_fail && !pool.is_empty() {
                events.push(Event::Die(gateway));
            }
        }
        for (place, message) in world.messages.iter().enumerate() {
            events.push(Event::Arrive(place));
            if may_fail {
                events.push(Event::Lose(place));
            }
            if may_fail && matches!(message, Message::Ask { .. }) && has_room {
                events.push(Event::ArriveAndStay(place));
            }
        }
        if may_fail && world.book.is_some() {
            events.extend([Event::Lost, Event::FailOver]);
        }
        if may_fail && world.replica != world.book {
            events.push(Event::Replicate);
        }
    }

    fn next_state(&self, world: &World, event: Event) -> Option<World> {
        let mut next = world.clone();
        if !self.happen(&mut next, event) {
            return None;
        }
        let is_fault = matches!(
            event,
            Event::Stall
                | Event::ArriveAndStay(_)
                | Event::Lose(_)
                | Event::Die(_)
                | Event::Lost
                | Event::FailOver
        );
        next.faults += u8::from(is_fault);
        if next.faults == self.most_faults {
            // It will not take the engine's place any more.
            next.replica = None;
        }
        // Gateways have no names and messages no order, so states that differ in nothing else are one.
        next.rename();
        next.messages.sort_unstable();
        // What an ideal bucket has forgotten makes no difference either.
        next.ideal = next.ideal.max(i16::from(next.now));
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("the fleet admits at most burst + L / T", |fleet: &Self, world: &World| {
            fleet.excess(world) <= 0
        })]
    }
}

/// The clocks of a gateway: they show the world's time at the latest, which is the most that they can get wrong.
fn at(now: u8) -> Now {
    let monotonic = u64::from(now) * TICK_NS;
    Now { monotonic, wall: monotonic }
}
