//! What a host is short of, by the counters of its kernel. Pure but for [`Counters::now`].
//!
//! Others need something if both hold, over the last ten seconds: somebody waited for it, by the kernel's word (pressure,
//! PSI), and others than the agent use nearly all there is.
//!
//! ```text
//!             somebody waited        others
//! processors  a tenth of the time    leave less than a quarter of them, and less than one
//! disks       a tenth of the time    read and write 128 KB a second or more
//! memory      a tenth of the time    whoever reads files drives out what others keep there
//! ```
//! The first alone says little: the agent itself waits for a cold disk, short wake-ups wait for each other while a processor
//! is idle, and who has a quota, be it the agent, waits for his next turn. The second alone harms nobody: the workers give way
//! to whoever wants a processor. A kernel without pressure information is asked for what it has instead: how long processors
//! had nothing to do but wait for disks, and how much memory is left.

use std::{
    fmt, fs,
    time::{Duration, Instant},
};

use rustix::thread::{CpuSet, sched_getaffinity};

use super::usage::{Used, ticks};

/// What is longer ago counts ever less.
const WINDOW: f64 = 10.0;
/// Somebody waited for so much of the time.
const WAITED: f64 = 0.1;
/// Of all processors the agent may run on, others leave less.
const LEFT: f64 = 0.25;
/// And less than this many.
const LEFT_MOST: f64 = 1.0;
/// Bytes a second that others read and write: a spinning disk gives some 400 KB of scattered blocks, so this is a third of
/// what it can do for them.
const MOVED: f64 = 131_072.0;
/// Of all memory less is left.
const AVAILABLE: f64 = 0.05;

/// What others need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Short {
    pub(crate) processors: bool,
    pub(crate) disk: bool,
    pub(crate) memory: bool,
}

impl Short {
    /// Tells whether others need anything.
    pub(crate) fn of_anything(self) -> bool {
        self.processors || self.disk || self.memory
    }
}

/// What the kernel counts, at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Counters {
    /// Processors that the agent may run on.
    processors: f64,
    /// The time of all these.
    all: Duration,
    /// Of that, without work.
    idle: Duration,
    /// Of all processors, without work while somebody waited for a disk.
    idle_for_disk: Duration,
    /// Bytes read from disks and written to them.
    moved: Option<u64>,
    /// How long somebody waited for processors, disks, memory.
    waited: [Option<Duration>; 3],
    /// Which part of all memory could still be had.
    available: f64,
}

/// Remembers the last ten seconds.
#[derive(Debug, Default)]
pub(crate) struct Host {
    last: Option<(Instant, Counters)>,
    /// For processors, disks, memory: in which part of the time somebody waited.
    waited: [Average; 3],
    /// Processors that others leave.
    left: Average,
    /// Processors without work while somebody waited for a disk.
    idle_for_disk: Average,
    /// Bytes a second that others read and write.
    moved: Average,
}

impl Host {
    /// Takes note of the counters and of what the agent and its workers used since the last look, and says what others
    /// need. Where nothing can be read they need everything.
    pub(crate) fn look(&mut self, counters: Option<Counters>, used: &Used, now: Instant) -> Short {
        let Some(counters) = counters else { return Short { processors: true, disk: true, memory: false } };
        if let Some((at, before)) = self.last.replace((now, counters)) {
            let seconds = now.saturating_duration_since(at).as_secs_f64();
            if seconds > 0.0 {
                self.take(&before, &counters, used, seconds);
            }
        }
        Short { processors: self.processors(&counters), disk: self.disk(), memory: self.memory(&counters) }
    }

    fn take(&mut self, before: &Counters, now: &Counters, used: &Used, seconds: f64) {
        let part = |before: Duration, now: Duration| now.saturating_sub(before).as_secs_f64() / seconds;
        for (average, (before, now)) in self.waited.iter_mut().zip(before.waited.iter().zip(now.waited)) {
            average.take(before.zip(now).map(|(before, now)| part(before, now)), seconds);
        }
        let (all, idle) = (part(before.all, now.all), part(before.idle, now.idle));
        let free = (idle + used.cpu.as_secs_f64() / seconds) / all;
        self.left.take((all > 0.0).then(|| free.min(1.0) * now.processors), seconds);
        self.idle_for_disk.take(Some(part(before.idle_for_disk, now.idle_for_disk)), seconds);
        let moved = before.moved.zip(now.moved).map(|(before, now)| now.saturating_sub(before));
        // Both are counted where the kernel asks a disk, so what is left is what others had read.
        self.moved.take(moved.map(|bytes| bytes.saturating_sub(used.read) as f64 / seconds), seconds);
    }

    fn processors(&self, counters: &Counters) -> bool {
        let somebody_waited = self.waited[0].0.is_none_or(|part| part >= WAITED);
        let most = (counters.processors * LEFT).min(LEFT_MOST);
        somebody_waited && self.left.0.is_some_and(|left| left < most)
    }

    fn disk(&self) -> bool {
        let waited = self.waited[1].0.or(self.idle_for_disk.0);
        waited.is_some_and(|part| part >= WAITED) && self.moved.0.is_none_or(|bytes| bytes >= MOVED)
    }

    fn memory(&self, counters: &Counters) -> bool {
        self.waited[2].0.map_or(counters.available < AVAILABLE, |part| part >= WAITED)
    }
}

/// For logs: what it judges by.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |part: Average| part.0.unwrap_or_default() * 100.0;
        let [processors, disks, memory] = self.waited.map(percent);
        let left = self.left.0.unwrap_or_default();
        let moved = self.moved.0.unwrap_or_default() / 1e6;
        write!(
            f,
            "waited for processors {processors:.0} %, disks {disks:.0} %, memory {memory:.0} % of the time; "
        )?;
        write!(f, "others leave {left:.2} processors and move {moved:.2} MB a second")
    }
}

/// An average over the last seconds; none while nothing is known.
#[derive(Debug, Clone, Copy, Default)]
struct Average(Option<f64>);

impl Average {
    /// Takes what was so for some seconds.
    fn take(&mut self, value: Option<f64>, seconds: f64) {
        let weight = 1.0 - (-seconds / WINDOW).exp();
        self.0 = value.map(|value| self.0.map_or(value, |was| was + (value - was) * weight));
    }
}

impl Counters {
    /// Asks the kernel.
    pub(crate) fn now() -> Option<Self> {
        let read = |name: &str| fs::read_to_string(format!("/proc/{name}")).unwrap_or_default();
        let allowed = sched_getaffinity(None).ok();
        let may_use = |n: usize| n >= CpuSet::MAX_CPU || allowed.as_ref().is_none_or(|set| set.is_set(n));
        Some(Self {
            moved: moved(&read("vmstat")),
            waited: ["cpu", "io", "memory"].map(|what| waited(&read(&format!("pressure/{what}")))),
            available: available(&read("meminfo")),
            ..Self::processors(&read("stat"), may_use)?
        })
    }

    /// Reads the lines `cpu` (all processors) and `cpu0` (one) of proc_stat(5): user, nice, system, idle, idle while
    /// somebody waits for a disk, and what interrupts and the machine below took.
    fn processors(stat: &str, may_use: impl Fn(usize) -> bool) -> Option<Self> {
        let (mut processors, mut all, mut idle, mut idle_for_disk) = (0.0, 0u64, 0u64, None);
        for line in stat.lines() {
            let Some((number, times)) = line.strip_prefix("cpu").and_then(|rest| rest.split_once(' ')) else {
                break;
            };
            let times: Vec<u64> =
                times.split_ascii_whitespace().take(8).map_while(|t| t.parse().ok()).collect();
            let [_, _, _, nothing, disk, ..] = times[..] else { return None };
            match number.parse() {
                Err(_) => idle_for_disk = Some(ticks(disk)),
                Ok(number) if may_use(number) => {
                    processors += 1.0;
                    all = times.iter().fold(all, |sum, time| sum.saturating_add(*time));
                    idle = idle.saturating_add(nothing).saturating_add(disk);
                }
                Ok(_) => {}
            }
        }
        let (all, idle, idle_for_disk) = (ticks(all), ticks(idle), idle_for_disk?);
        let (moved, waited, available) = (None, [None; 3], 1.0);
        (processors > 0.0).then_some(Self { processors, all, idle, idle_for_disk, moved, waited, available })
    }
}

/// Reads `some avg10=1.23 avg60=… avg300=… total=…`, microseconds.
fn waited(pressure: &str) -> Option<Duration> {
    let line = pressure.lines().find_map(|line| line.strip_prefix("some "))?;
    let total = line.split(' ').find_map(|word| word.strip_prefix("total="))?;
    Some(Duration::from_micros(total.parse().ok()?))
}

/// Reads `pgpgin` and `pgpgout`, kilobytes.
fn moved(vmstat: &str) -> Option<u64> {
    let value = |name: &str| field(vmstat, name).map(|kilobytes| kilobytes.saturating_mul(1_024));
    Some(value("pgpgin ")?.saturating_add(value("pgpgout ")?))
}

fn available(meminfo: &str) -> f64 {
    match (field(meminfo, "MemTotal:"), field(meminfo, "MemAvailable:")) {
        (Some(all), Some(available)) if all > 0 => available as f64 / all as f64,
        _ => 1.0,
    }
}

fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
pub(super) mod tests;
