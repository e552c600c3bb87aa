//! `flamegate-bench graph`: where a request's instructions go, by callgrind's call graph: what is the filter's own, what each of its host
//! calls costs, and what Envoy does around them. It says how far a row could come down at most.

mod dump;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::{
    instructions::{Instructions, Plan},
    measure::Effort,
    results::Results,
    rows::{self, USUAL_KEYS},
};

use dump::{Call, Dump};

/// The rows, and what each calls of the host that those before it do not, the dearest first. Envoy's programs have no symbols, so this
/// is how a host call's name is known.
pub const ROWS: [(&str, &[&str]); 6] = [
    ("bare-hot", &[READS, ASKS]),
    ("missing", &[ANSWERS]),
    ("headers-plain", &[ADDS, REMOVES]),
    ("shipped-hot", &[PUBLISHES]),
    ("used-up", &[CLOCK]),
    ("random", &[]),
];
const READS: &str = "host call: all headers are read";
pub const ASKS: &str = "host call: is the stream open, a second later";
const ANSWERS: &str = "host call: the answer is handed over";
const ADDS: &str = "host calls: a header is added";
const REMOVES: &str = "host call: a header is removed";
const PUBLISHES: &str = "host call: a value of filter state is set";
const CLOCK: &str = "host call: the clock is read";
/// All of them, in the order of the table.
pub const HOST_CALLS: [&str; 7] = [READS, REMOVES, ADDS, PUBLISHES, CLOCK, ANSWERS, ASKS];

/// A host call that fewer requests make is one of ticks.
const OF_A_REQUEST: f64 = 0.5;

/// One row, taken apart; instructions per request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Graph {
    /// Its name.
    pub row: String,
    /// What it adds, counted in the same run.
    pub added: f64,
    /// The filter's code, without what it calls.
    pub own: f64,
    /// Host calls by name, with how many there are and what they cost together.
    pub calls: BTreeMap<String, (f64, f64)>,
    /// Host calls of ticks.
    pub ticks: f64,
    /// From the host to the filter's code and back.
    pub entry: f64,
    /// The response, made once the filter has been left; only where it answers.
    pub response: Option<f64>,
}

impl Graph {
    /// What is left: Envoy's filter and its context made and destroyed, the route looked up again, edited headers and filter state destroyed;
    /// less the answer of the route that a refused request does not get.
    pub fn rest(&self) -> f64 {
        let calls: f64 = self.calls.values().map(|(_, instructions)| instructions).sum();
        self.added - self.own - calls - self.ticks - self.entry - self.response.unwrap_or_default()
    }
}

/// Measures all of them and prints the table.
pub fn run(effort: Effort) -> Result<Vec<Graph>> {
    let mut results = Results::default();
    let only = ROWS.iter().map(|(row, _)| (*row).to_owned()).collect();
    let plan = Plan {
        only,
        exact: true,
        keys: vec![USUAL_KEYS],
        effort,
        save: None,
        resume: false,
        by_address: true,
    };
    let mut run = Instructions::new(&plan, &mut results)?;
    run.run()?;
    let dumps = std::mem::take(&mut run.dumps);
    let mut known = BTreeMap::new();
    ROWS.iter()
        .map(|(row, new)| {
            let measured = results.row(row, USUAL_KEYS).context("it was measured")?;
            let text = dumps.get(*row).with_context(|| format!("no dump of {row}"))?;
            let refused = rows::find(row).is_some_and(|row| row.status != 200);
            let taken = taken_apart(text, effort.requests, refused, new, &mut known);
            let graph = Graph { row: (*row).to_owned(), added: measured.added(), ..taken.context(*row)? };
            print(&graph);
            Ok(graph)
        })
        .collect()
}

/// Takes a dump of so many requests apart. `new`: host calls that are not among the `known` yet.
fn taken_apart(
    text: &str,
    requests: u32,
    refused: bool,
    new: &[&str],
    known: &mut BTreeMap<String, String>,
) -> Result<Graph> {
    let dump = Dump::read(text);
    let per_request = |instructions: u64| instructions as f64 / f64::from(requests);
    let (mut calls, mut ticks, mut unknown) = (BTreeMap::new(), 0.0, Vec::new());
    for Call { function, calls: count, instructions } in dump.host_calls() {
        let (count, instructions) = (per_request(count), per_request(instructions));
        match known.get(&function) {
            _ if count < OF_A_REQUEST => ticks += instructions,
            Some(name) => drop(calls.insert(name.clone(), (count, instructions))),
            None => unknown.push((function, count, instructions)),
        }
    }
    unknown.sort_by(|(_, _, one), (_, _, other)| other.total_cmp(one));
    if unknown.len() != new.len() {
        bail!("{} host calls that the rows before have not, not {}: {unknown:?}", unknown.len(), new.len());
    }
    for ((function, count, instructions), name) in unknown.into_iter().zip(new) {
        calls.insert((*name).to_owned(), (count, instructions));
        known.insert(function, (*name).to_owned());
    }
    let (entry, response) = dump.entry().context("nothing enters the filter's code")?;
    Ok(Graph {
        row: String::new(),
        added: 0.0,
        own: per_request(dump.own()),
        calls,
        ticks,
        entry: per_request(entry),
        response: refused.then(|| per_request(response)),
    })
}

fn print(graph: &Graph) {
    println!("{}: adds {:.0}", graph.row, graph.added);
    for (name, (count, instructions)) in &graph.calls {
        println!("  {instructions:>7.0} {name} ({count:.2} a request)");
    }
    println!("  {:>7.0} host calls of ticks", graph.ticks);
    println!("  {:>7.0} into the filter's code and back", graph.entry);
    if let Some(response) = graph.response {
        println!("  {response:>7.0} the response is made");
    }
    println!("  {:>7.0} Envoy around it", graph.rest());
    println!("  {:>7.0} the filter's own code", graph.own);
}
