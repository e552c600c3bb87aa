//! A program under callgrind: instructions executed by each of its threads between two moments.
//!
//! Instrumentation is off while the program starts, so that loading a million keys takes seconds and not an hour.
//! `--smc-check=all-non-file` because V8 and LuaJIT write machine code.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::process::Process;

/// A program under callgrind.
pub struct Callgrind {
    /// The program.
    pub process: Process,
    prefix: PathBuf,
    dumps: u32,
    zeroed: Instant,
    by_address: bool,
}

/// More threads than any of the programs starts.
const MOST_THREADS: usize = 64;

/// Instructions between two moments.
#[derive(Clone, Debug)]
pub struct Count {
    /// For each thread of the program, in the order in which they were started.
    pub threads: Vec<u64>,
    /// How often each of them locked a mutex of the C library. Envoy's store of shared data has one for the process.
    pub locks: Vec<u64>,
    /// Time between the two moments.
    pub elapsed: Duration,
    /// The dump of the busiest of them, where functions without names are told apart by their address.
    pub dump: Option<String>,
}

impl Callgrind {
    /// Starts the command line `args` without instrumentation. `by_address`: functions without names are told apart.
    pub fn start(
        name: &str,
        folder: &Path,
        args: &[String],
        env: &[(&str, &str)],
        by_address: bool,
    ) -> Result<Self> {
        let prefix = folder.join(format!("{name}.callgrind"));
        let mut line: Vec<String> =
            ["valgrind", "--tool=callgrind", "--smc-check=all-non-file", "--instr-atstart=no"]
                .map(str::to_owned)
                .to_vec();
        // Whoever waits for the others' lock gets it: the main thread, too, which asks for tokens, while a worker is busy.
        line.extend(["--separate-threads=yes", "--fair-sched=try"].map(str::to_owned));
        if by_address || keeps_dumps() {
            line.push("--dump-instr=yes".to_owned());
        }
        line.push(format!("--callgrind-out-file={}", prefix.display()));
        line.extend(args.iter().cloned());
        let process = Process::start(name, folder, &line, env)?;
        Ok(Self { process, prefix, dumps: 0, zeroed: Instant::now(), by_address })
    }

    /// Starts counting. Everything is translated anew, so a warm-up has to follow.
    pub fn instrument(&mut self) -> Result<()> {
        self.tell(&["instrumentation", "on"])
    }

    /// Sets all counters to zero.
    pub fn zero(&mut self) -> Result<()> {
        self.tell(&["zero"])?;
        self.zeroed = Instant::now();
        Ok(())
    }

    /// The counters since [`Self::zero`].
    pub fn count(&mut self) -> Result<Count> {
        let elapsed = self.zeroed.elapsed();
        self.tell(&["dump", "bench"])?;
        self.dumps += 1;
        let (mut threads, mut locks) = (Vec::new(), Vec::new());
        let mut busiest = (0, None);
        // A thread that has ended writes no file, and its place stays empty.
        for thread in 1..=MOST_THREADS {
            let path = format!("{}.{}-{thread:02}", self.prefix.display(), self.dumps);
            let Ok(text) = fs::read_to_string(&path) else {
                threads.push(0);
                locks.push(0);
                continue;
            };
            // `totals` is the sum of the functions of this thread; `summary` is cut at the last thread switch.
            let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).unwrap_or("0");
            let total: u64 = total.trim().parse().with_context(|| format!("{path}: {total}"))?;
            threads.push(total);
            locks.push(calls_to(&text, "pthread_mutex_lock"));
            if self.by_address && total > busiest.0 {
                busiest = (total, Some(text));
            }
            if !keeps_dumps() {
                fs::remove_file(&path)?;
            }
        }
        ensure!(
            threads.iter().any(|count| *count > 0),
            "no dump {} of {}",
            self.dumps,
            self.prefix.display()
        );
        Ok(Count { threads, locks, elapsed, dump: busiest.1 })
    }

    fn tell(&mut self, words: &[&str]) -> Result<()> {
        self.process.check_alive()?;
        let status = Command::new("vgdb")
            .arg(format!("--pid={}", self.process.id()))
            .args(words)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .context("vgdb, of Debian's package valgrind")?;
        ensure!(status.success(), "vgdb {words:?}: {status}");
        Ok(())
    }
}

impl Count {
    /// All threads together.
    pub fn total(&self) -> u64 {
        self.threads.iter().sum()
    }

    /// The thread that worked most: the one worker of a proxy that is busy with requests.
    pub fn busiest(&self) -> usize {
        (0..self.threads.len()).max_by_key(|thread| self.threads[*thread]).unwrap_or(0)
    }

    /// What remains of a thread's count (`None`: of all) without what it does when idle for the same time.
    pub fn without_idle(&self, idle: &Self, thread: Option<usize>) -> f64 {
        let of = |count: &Self| {
            let number = thread.map_or_else(|| count.total(), |t| count.threads.get(t).copied().unwrap_or(0));
            number as f64
        };
        of(self) - of(idle) * self.elapsed.as_secs_f64() / idle.elapsed.as_secs_f64()
    }
}

/// True when the dumps stay where they are, with instructions by address, for `callgrind_annotate`.
fn keeps_dumps() -> bool {
    std::env::var_os("FLAMEGATE_BENCH_KEEP_DUMPS").is_some()
}

/// Sum of the calls to functions whose name ends in `name` (the format is in valgrind's manual, "Callgrind Format
/// Specification": a called function is named once and a number afterwards).
fn calls_to(dump: &str, name: &str) -> u64 {
    let mut numbers: Vec<&str> = Vec::new();
    let (mut calls, mut called) = (0, false);
    for line in dump.lines() {
        if let Some(function) = line.strip_prefix("cfn=").or_else(|| line.strip_prefix("fn=")) {
            let (number, text) = function.split_once(' ').unwrap_or((function, ""));
            // A mutex of the C library appears as pthread_mutex_lock@@GLIBC_2.2.5.
            if text.split('@').next().is_some_and(|text| text.ends_with(name)) && !numbers.contains(&number) {
                numbers.push(number);
            }
            called = line.starts_with("cfn=") && numbers.contains(&number);
        } else if let Some(count) = line.strip_prefix("calls=").filter(|_| called) {
            calls += count.split(' ').next().and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::calls_to;

    #[test]
    fn calls_are_found_by_name_and_by_number() {
        let dump = "fn=(1) main\n1 5\ncfn=(2) pthread_mutex_lock@@GLIBC_2.2.5\ncalls=3 10\n1 60\nfn=(4) other\ncfn=(2)\n\
                    calls=4 10\n1 9\ncfn=(5) pthread_mutex_unlock\ncalls=7 1\n1 1\ncfn=(1)\ncalls=9 1\n";
        assert_eq!(calls_to(dump, "pthread_mutex_lock"), 7);
    }
}
