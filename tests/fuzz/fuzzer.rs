//! The loop: takes an input, changes it, runs it, and keeps it if it reached something new.

use std::{
    collections::HashSet,
    fs::{self, File},
    os::unix::fs::FileExt,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use crate::{
    cover::{self, Reached},
    memory,
    mutate::{self, Dice, MAX_LEN},
    targets::Target,
};

/// How long one input may take. An honest one takes milliseconds.
const MAX_TIME: Duration = Duration::from_secs(20);
/// How long a faulty input is made shorter.
const SHRINK_FOR: Duration = Duration::from_secs(10);
/// The most inputs that are kept of what was found, and the longest of them: a clone must stay small.
const MOST_KEPT: usize = 48;
const MAX_KEPT: usize = 1 << 10;
/// What the names of inputs begin with that were kept because of what they reach.
const FOUND: &str = "found-";
/// Where the numbers begin from which inputs are made.
const SEED: u64 = 0x006b_6869_656e;

/// Milliseconds since [`Fuzzer::new`] at which the input now running began; 0 is none.
static BEGAN: AtomicU64 = AtomicU64::new(0);

/// Fuzzes one target.
pub(crate) struct Fuzzer {
    target: &'static Target,
    corpus: Vec<Vec<u8>>,
    reached: Reached,
    begin: Instant,
    /// Holds the input that runs, for whoever finds this process dead.
    current: File,
    peak: usize,
    runs: u64,
}

/// An input that must not be.
pub(crate) struct Fault(pub(crate) String);

/// Runs one input twice, as `cargo test` does with the whole corpus.
pub(crate) fn hold(target: &Target, bytes: &[u8]) -> Result<(), Fault> {
    let once = run(target, bytes, false)?.0;
    let again = run(target, bytes, true)?.0;
    match once == again {
        true => Ok(()),
        false => Err(Fault("gives another result when it is run again".to_owned())),
    }
}

/// Runs one input and returns a digest of what came out, and the memory it took.
fn run(target: &Target, bytes: &[u8], thoroughly: bool) -> Result<(u64, usize), Fault> {
    let before = memory::begin();
    let ended = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(bytes, thoroughly)));
    let took = memory::peak().saturating_sub(before);
    let digest = ended.map_err(|_| Fault("panics".to_owned()))?;
    match took <= target.memory {
        true => Ok((digest, took)),
        false => Err(Fault(format!("takes {took} bytes of memory, at most {} are allowed", target.memory))),
    }
}

/// Returns the inputs of a target that are kept in the repository, by name.
pub(crate) fn kept(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(folder(target)) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut kept: Vec<_> = paths.filter_map(|path| Some((path.clone(), fs::read(path).ok()?))).collect();
    kept.sort();
    kept
}

fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name)
}

impl Fuzzer {
    /// Begins with what is kept in the repository.
    pub(crate) fn new(target: &'static Target, current: File) -> Self {
        let begin = Instant::now();
        thread::spawn(move || watch(begin));
        let corpus = Vec::new();
        Self { target, corpus, reached: Reached::new(), begin, current, peak: 0, runs: 0 }
    }

    /// Runs until the time is over, and says what was done.
    pub(crate) fn go(&mut self, time: Duration) -> String {
        // What was reached while the program started is nobody's.
        self.reached.take();
        self.reached = Reached::new();
        kept(self.target).into_iter().for_each(|(_, bytes)| self.try_one(bytes));
        if self.corpus.is_empty() {
            self.try_one(b"\n".to_vec());
        }
        let (seeds, edges) = (self.corpus.len(), self.reached.edges());
        let name = self.target.name.bytes().fold(0, |all: u64, b| all.wrapping_mul(31) + u64::from(b));
        let mut dice = Dice::new(SEED ^ name.rotate_left(32));
        while self.begin.elapsed() < time {
            let bytes = self.make(&mut dice);
            self.try_one(bytes);
        }
        let seconds = self.begin.elapsed().as_secs_f64();
        format!(
            "{}: {} runs in {seconds:.0} s, {:.0} a second; {seeds} inputs reached {edges} edges, now {} reach {} of {}; \
             at most {} KiB of memory",
            self.target.name,
            self.runs,
            self.runs as f64 / seconds,
            self.corpus.len(),
            self.reached.edges(),
            cover::edges(),
            self.peak >> 10,
        )
    }

    /// Makes a new input: half of the time of one that was found lately.
    fn make(&self, dice: &mut Dice) -> Vec<u8> {
        let all = self.corpus.len();
        let late = all - all.div_ceil(4);
        let one = if dice.roll(2) == 0 { late + dice.roll(all - late) } else { dice.roll(all) };
        let mut bytes = self.corpus[one].clone();
        mutate::change(&mut bytes, &self.corpus[dice.roll(all)], self.target.words, dice);
        bytes
    }

    fn try_one(&mut self, mut bytes: Vec<u8>) {
        bytes.truncate(MAX_LEN);
        self.note(&bytes);
        BEGAN.store(self.begin.elapsed().as_millis().max(1) as u64, Relaxed);
        let ended = run(self.target, &bytes, false);
        self.runs += 1;
        match ended {
            Ok((digest, took)) => {
                self.peak = self.peak.max(took);
                if self.reached.take() > 0 {
                    self.look_again(&bytes, digest);
                    // What only a second look reaches is not worth an input.
                    self.reached.take();
                    self.corpus.push(bytes);
                }
            }
            Err(fault) => self.fail(bytes, &fault),
        }
        BEGAN.store(0, Relaxed);
    }

    /// Holds an input that reached something new against more than the others.
    fn look_again(&self, bytes: &[u8], digest: u64) {
        let fault = match run(self.target, bytes, true) {
            Ok((again, _)) if again == digest => return,
            Ok(_) => Fault("gives another result when it is run again".to_owned()),
            Err(fault) => fault,
        };
        self.fail(bytes.to_vec(), &fault);
    }

    /// Leaves the input where the parent looks for it.
    fn note(&self, bytes: &[u8]) {
        let file = [&(bytes.len() as u64).to_le_bytes()[..], bytes].concat();
        self.current.write_all_at(&file, 0).expect("there is room for one input");
    }

    fn fail(&self, bytes: Vec<u8>, fault: &Fault) -> ! {
        eprintln!("{}: an input of {} bytes {}", self.target.name, bytes.len(), fault.0);
        panic::set_hook(Box::new(|_| {}));
        self.note(&self.shrink(bytes));
        process::exit(1)
    }

    /// Takes out of a faulty input what the fault does not need.
    fn shrink(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let until = Instant::now() + SHRINK_FOR;
        let mut size = bytes.len() / 2;
        while size > 0 {
            let mut at = 0;
            while at < bytes.len() && Instant::now() < until {
                let mut less = bytes.clone();
                less.drain(at..(at + size).min(bytes.len()));
                BEGAN.store(self.begin.elapsed().as_millis() as u64, Relaxed);
                match hold(self.target, &less).is_err() {
                    true => bytes = less,
                    false => at += size,
                }
            }
            size /= 2;
        }
        bytes
    }

    /// Keeps in the repository the few inputs that together reach most; those with a name of their own stay.
    pub(crate) fn keep(&self) {
        let is_found = |path: &Path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(FOUND));
        let (found, named): (Vec<_>, Vec<_>) =
            kept(self.target).into_iter().partition(|(path, _)| is_found(path));
        found.iter().for_each(|(path, _)| fs::remove_file(path).expect("what was read can be removed"));
        let mut known: HashSet<usize> = named.iter().flat_map(|(_, bytes)| self.reached_by(bytes)).collect();
        let short = self.corpus.iter().filter(|bytes| bytes.len() <= MAX_KEPT);
        let all: Vec<_> = short.map(|bytes| (bytes, self.reached_by(bytes))).collect();
        for _ in 0..MOST_KEPT {
            let new = |edges: &[usize]| edges.iter().filter(|edge| !known.contains(edge)).count();
            let Some((bytes, edges)) = all.iter().max_by_key(|(_, edges)| new(edges)) else { return };
            if new(edges) == 0 {
                return;
            }
            known.extend(edges);
            let name = format!("{FOUND}{}", &khien_core::Sha256::of(bytes).to_string()[..12]);
            fs::write(folder(self.target).join(name), bytes).expect("the corpus can be written");
        }
    }

    /// Returns the edges that an input reaches.
    fn reached_by(&self, bytes: &[u8]) -> Vec<usize> {
        cover::reached();
        let _ = run(self.target, bytes, false);
        cover::reached()
    }
}

/// Ends the process when an input takes too long.
fn watch(begin: Instant) {
    loop {
        thread::sleep(Duration::from_millis(500));
        let began = BEGAN.load(Relaxed);
        let now = begin.elapsed().as_millis() as u64;
        if began > 0 && now.saturating_sub(began) > MAX_TIME.as_millis() as u64 {
            eprintln!("an input takes longer than {} s", MAX_TIME.as_secs());
            process::exit(1);
        }
    }
}
