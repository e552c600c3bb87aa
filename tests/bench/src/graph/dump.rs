//! One thread's dump of callgrind, read as a call graph, with V8's code for the filter found in it ("Callgrind Format Specification" in
//! valgrind's manual). Functions are known by their address.

use std::collections::{HashMap, HashSet};

/// V8's code for the filter lies above this address, all programs and libraries below.
const GENERATED: u64 = 1 << 40;
/// What a caller of the filter's code does besides, at most, while it does nothing but call; what it does with an answer is much more.
const NOTHING_BUT_A_CALL: u64 = 5_000;
/// Callers between the filter's code and Envoy's chain of filters.
const MOST_CALLERS: usize = 12;

/// So many calls may have begun before the counters were set to zero, or not have ended when they were read. Where one returns that began
/// before, callgrind takes that for a call of the caller by the callee, with all that comes after it.
const AT_THE_EDGES: u64 = 2;

/// A function's number in the dump.
type Function = u32;

/// Calls of a function, and what they cost with all that it calls.
#[derive(Clone, Copy, Debug, Default)]
struct Edge {
    calls: u64,
    instructions: u64,
}

/// A call graph.
#[derive(Debug, Default)]
pub struct Dump {
    names: HashMap<Function, String>,
    own: HashMap<Function, u64>,
    edges: HashMap<(Function, Function), Edge>,
}

/// A function of the host that the filter calls.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its address.
    pub function: String,
    /// How often.
    pub calls: u64,
    /// With the way there and back.
    pub instructions: u64,
}

impl Dump {
    /// Reads the text of a dump.
    pub fn read(text: &str) -> Self {
        let mut dump = Self::default();
        let (mut function, mut called, mut calls) = (0, 0, None);
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("fn=") {
                function = dump.name(name);
            } else if let Some(name) = line.strip_prefix("cfn=") {
                called = dump.name(name);
            } else if let Some(count) = line.strip_prefix("calls=") {
                calls = count.split(' ').next().and_then(|count| count.parse::<u64>().ok());
            } else if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)) {
                let cost = line.rsplit(' ').next().and_then(|cost| cost.parse::<u64>().ok()).unwrap_or(0);
                match calls.take() {
                    None => *dump.own.entry(function).or_default() += cost,
                    Some(count) => {
                        let edge = dump.edges.entry((function, called)).or_default();
                        edge.calls += count;
                        edge.instructions += cost;
                    }
                }
            }
        }
        dump
    }

    /// The number of `(12) name` or `(12)`.
    fn name(&mut self, text: &str) -> Function {
        let (number, name) = text.split_once(' ').unwrap_or((text, ""));
        let number = number.trim_matches(['(', ')']).parse().unwrap_or(0);
        if !name.is_empty() {
            self.names.insert(number, name.to_owned());
        }
        number
    }

    /// True for V8's code.
    fn is_generated(&self, function: Function) -> bool {
        let Some(name) = self.names.get(&function).and_then(|name| name.strip_prefix("0x")) else {
            return false;
        };
        let address = name.split('\'').next().unwrap_or_default();
        u64::from_str_radix(address, 16).is_ok_and(|address| address > GENERATED)
    }

    fn callees(&self, of: Function) -> Vec<(Function, Edge)> {
        let edges = self.edges.iter().filter(|((from, _), _)| *from == of);
        let mut callees: Vec<_> = edges.map(|((_, to), edge)| (*to, *edge)).collect();
        callees.sort_by_key(|(function, edge)| (std::cmp::Reverse(edge.instructions), *function));
        callees
    }

    fn callers(&self, of: Function) -> Vec<(Function, Edge)> {
        self.edges.iter().filter(|((_, to), _)| *to == of).map(|((from, _), edge)| (*from, *edge)).collect()
    }

    /// Instructions of the filter's code itself. What V8 makes to lead into it and out of it to the host is not among them.
    pub fn own(&self) -> u64 {
        let (bridges, entrances) = (self.bridges(), self.entrances());
        let own = self.own.iter().filter(|(function, _)| self.is_generated(**function));
        own.filter(|(function, _)| !bridges.contains(function) && !entrances.contains(function))
            .map(|(_, cost)| cost)
            .sum()
    }

    /// V8's code that is called by the host and leads into the filter's.
    fn entrances(&self) -> HashSet<Function> {
        let into = self.edges.keys().filter(|(from, to)| !self.is_generated(*from) && self.is_generated(*to));
        into.map(|(_, to)| *to).collect()
    }

    /// The one function by which V8 calls the host.
    fn gate(&self) -> Option<Function> {
        let mut out: HashMap<Function, u64> = HashMap::new();
        for ((from, to), edge) in &self.edges {
            if edge.calls > AT_THE_EDGES && self.is_generated(*from) && !self.is_generated(*to) {
                *out.entry(*to).or_default() += edge.instructions;
            }
        }
        out.into_iter().max_by_key(|(function, cost)| (*cost, *function)).map(|(function, _)| function)
    }

    /// V8's code that calls it: one function for each number of arguments.
    fn bridges(&self) -> HashSet<Function> {
        let callers = self.gate().map(|gate| self.callers(gate)).unwrap_or_default();
        callers
            .into_iter()
            .map(|(function, _)| function)
            .filter(|function| self.is_generated(*function))
            .collect()
    }

    /// What the filter calls of the host.
    pub fn host_calls(&self) -> Vec<Call> {
        let Some(gate) = self.gate() else { return Vec::new() };
        let mut found: Vec<Call> = Vec::new();
        for (thunk, edge) in self.callees(gate) {
            // Behind the gate stands one function for each number of arguments, which does nothing but call a second one. Whatever else is
            // called there, memory for one, is not of this shape.
            let Some((second, inner)) = self.callees(thunk).first().copied() else { continue };
            let nearly_all = inner.instructions * 10 >= edge.instructions * 9;
            if nearly_all && same(inner.calls, edge.calls) && self.is_called_by(second, thunk) {
                found.extend(self.targets(second, inner));
            }
        }
        self.with_the_way(found)
    }

    /// The host's own functions that `second` calls: each call of it ends in one of them.
    fn targets(&self, second: Function, edge: Edge) -> Vec<Call> {
        let (mut targets, mut left) = (Vec::new(), edge.calls);
        for (function, inner) in self.callees(second) {
            if inner.calls <= left + AT_THE_EDGES && self.is_called_by(function, second) {
                left = left.saturating_sub(inner.calls);
                targets.push(self.call(function, inner));
            }
        }
        // Where they cannot be told, all that it does is one.
        if left * 10 > edge.calls { vec![self.call(second, edge)] } else { targets }
    }

    /// True when `caller` alone calls it, but for what was going on when the counters were set to zero.
    fn is_called_by(&self, function: Function, caller: Function) -> bool {
        self.callers(function).iter().all(|(from, edge)| *from == caller || edge.calls <= AT_THE_EDGES)
    }

    fn call(&self, function: Function, edge: Edge) -> Call {
        let function = self.names.get(&function).cloned().unwrap_or_default();
        Call { function, calls: edge.calls, instructions: edge.instructions }
    }

    /// The same with what V8 and the host need for any call, in equal parts.
    fn with_the_way(&self, mut calls: Vec<Call>) -> Vec<Call> {
        let all: u64 = self.gate().map_or(0, |gate| {
            let bridges = self.bridges();
            let outside =
                self.edges.iter().filter(|((from, to), _)| !bridges.contains(from) && bridges.contains(to));
            let through: u64 = outside.map(|(_, edge)| edge.instructions).sum();
            // Without an edge into them (they are never called from elsewhere) the gate's own cost has to do.
            through.max(self.callers(gate).iter().map(|(_, edge)| edge.instructions).sum())
        });
        let inside: u64 = calls.iter().map(|call| call.instructions).sum();
        let count: u64 = calls.iter().map(|call| call.calls).sum();
        for call in &mut calls {
            call.instructions += all.saturating_sub(inside) * call.calls / count.max(1);
        }
        calls
    }

    /// What it costs to get into the filter's code and back for its requests' callback, and what the last caller does once it has been left.
    pub fn entry(&self) -> Option<(u64, u64)> {
        let into = self.edges.iter().filter(|((from, to), edge)| {
            edge.calls > AT_THE_EDGES && !self.is_generated(*from) && self.is_generated(*to)
        });
        let (&(mut function, _), edge) = into.max_by_key(|(key, edge)| (edge.instructions, **key))?;
        let (base, most) = (edge.instructions, edge.instructions + NOTHING_BUT_A_CALL * edge.calls);
        let lead: u64 = self.entrances().iter().filter_map(|function| self.own.get(function)).sum();
        let mut last = base;
        for _ in 0..MOST_CALLERS {
            let (caller, edge) =
                self.callers(function).into_iter().max_by_key(|(caller, edge)| (edge.calls, *caller))?;
            if edge.instructions > most {
                return Some((last.saturating_sub(base) + lead, edge.instructions - last));
            }
            last = edge.instructions;
            function = caller;
        }
        None
    }
}

/// True for counts of the same calls.
fn same(one: u64, other: u64) -> bool {
    one.abs_diff(other) <= AT_THE_EDGES
}
