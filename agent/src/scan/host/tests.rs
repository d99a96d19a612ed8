use khien_core::policy::Budget;

use super::{super::governor::Governor, *};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_host_with_a_free_processor_is_not_busy_whatever_waits() {
    let mut site = Site::new(2.0);

    // Many short wake-ups, and the agent itself, wait for each other.
    let short = site.play(60, Second { others: 0.7, own: 1.0, waited: [0.9, 0.0, 0.0], ..IDLE });

    assert_eq!(short, Short::default());
}

#[test]
fn a_host_whose_others_use_all_processors_is_busy_and_free_again_soon_after() {
    for processors in [1.0, 2.0, 64.0] {
        let mut site = Site::new(processors);
        let busy = Second { others: processors - 0.1, own: 0.1, waited: [0.8, 0.0, 0.0], ..IDLE };

        assert!(site.play(10, busy).processors, "{processors}");
        assert!(!site.play(60, Second { others: processors / 4.0, ..IDLE }).processors, "{processors}");
    }
}

#[test]
fn what_the_agent_itself_uses_is_nobodys_need() {
    for processors in [1.0, 2.0] {
        let mut site = Site::new(processors);

        let alone = Second { others: 0.3, own: processors - 0.3, waited: [1.0, 0.0, 0.0], ..IDLE };

        assert_eq!(site.play(60, alone), Short::default(), "{processors}");
    }
}

#[test]
fn programs_for_which_nobody_waits_need_nothing_more() {
    let all = Second { others: 4.0, ..IDLE };

    assert_eq!(Site::new(4.0).play(60, all), Short::default());
}

#[test]
fn a_quota_that_holds_the_agent_is_no_need_of_the_host() {
    // Whoever is throttled waits, by the kernel's word.
    let throttled = Second { own: 0.05, waited: [0.95, 0.0, 0.0], ..IDLE };

    assert_eq!(Site::new(1.0).play(60, throttled), Short::default());
}

#[test]
fn a_disk_is_needed_while_others_use_it_and_somebody_waits() {
    let cases = [
        ("a cold tree that the agent alone reads", 50_000_000, 0, 0.9, false),
        ("the agent reads beside a database", 50_000_000, 3_000_000, 0.9, true),
        ("scattered blocks of a spinning disk", 500_000, 250_000, 0.9, true),
        ("a fast disk for which nobody waits", 50_000_000, 300_000_000, 0.02, false),
        ("a log line now and then", 50_000_000, 20_000, 0.9, false),
    ];
    for (what, read, others, waited, needed) in cases {
        let second = Second { read, moved: read + others, waited: [0.0, waited, 0.0], ..IDLE };

        assert_eq!(Site::new(2.0).play(30, second), Short { disk: needed, ..Short::default() }, "{what}");
    }
}

#[test]
fn reads_over_the_budget_beside_others_close_the_gate_and_the_disk_is_named() {
    let (mut site, mut governor) = (Site::new(2.0), Governor::default());
    let beside_others = |open| {
        let read = if open { 100_000_000 } else { 0 };
        Second { read, moved: read + 3_000_000, waited: [0.0, 0.9, 0.0], ..IDLE }
    };
    let (mut open, mut open_for, mut named) = (true, 0, 0);

    for _ in 0..3_600 {
        let (short, used, now) = site.second(beside_others(open));
        let verdict = governor.judge(&Budget::default(), &used, short, now);
        assert!(verdict.open || verdict.used_up == Short { disk: true, ..Short::default() }, "{verdict:?}");
        open = verdict.open;
        (open_for, named) = (open_for + u64::from(open), named + u64::from(verdict.used_up.disk));
    }

    let each_second = open_for * 100_000_000 / 3_600;
    assert!((4_000_000..6_000_000).contains(&each_second), "{each_second}");
    assert!(named > 3_000);
}

#[test]
fn memory_is_needed_while_somebody_waits_for_it() {
    let short = Second { waited: [0.0, 0.0, 0.4], ..IDLE };

    assert_eq!(Site::new(2.0).play(30, short), Short { memory: true, ..Short::default() });
}

#[test]
fn a_kernel_without_pressure_is_asked_for_what_it_has() {
    let mut site = Site::new(2.0);
    site.host.tells_pressure = false;
    let short = |site: &mut Site, second| site.play(30, second);

    assert_eq!(short(&mut site, Second { others: 1.0, ..IDLE }), Short::default());
    assert!(short(&mut site, Second { others: 1.9, ..IDLE }).processors);
    assert!(!short(&mut site, Second { moved: 9_000_000, ..IDLE }).disk);
    assert!(short(&mut site, Second { moved: 9_000_000, idle_for_disk: 0.6, ..IDLE }).disk);
    site.host.counters.available = 0.03;
    assert!(short(&mut site, IDLE).memory);
}

#[test]
fn where_nothing_can_be_read_others_need_processors_and_disks() {
    let short = Host::default().look(None, &Used::default(), Instant::now());

    assert_eq!(short, Short { processors: true, disk: true, memory: false });
}

#[test]
fn counters_that_go_backwards_or_stand_still_break_nothing() {
    let (mut host, now) = (Host::default(), Instant::now());
    let mut later = Played::idle(2.0);
    later.second(1.0, 0.5);
    let (later, earlier) = (later.counters(), Played::idle(2.0).counters());

    for (counters, second) in [(later, 0), (earlier, 1), (earlier, 1), (earlier, 2), (later, 3)] {
        let short =
            host.look(Some(counters), &Used { cpu: SECOND * 9, read: u64::MAX }, now + SECOND * second);
        assert_eq!(short, Short::default());
    }
}

#[test]
fn the_kernels_words_are_read() {
    let stat =
        "cpu  30 0 10 200 40 0 0 4 0 0\ncpu0 10 0 5 100 20 0 0 2 0 0\ncpu1 20 0 5 100 20 0 0 2 0 0\nintr 5\n";
    let pressure = "some avg10=12.34 avg60=1.00 avg300=0.00 total=5000\nfull avg10=0.00 avg60=0.00 total=7\n";

    let first = Counters::processors(stat, |n| n == 0).unwrap();
    let both = Counters::processors(stat, |_| true).unwrap();

    assert_eq!((first.processors, first.all, first.idle), (1.0, ticks(137), ticks(120)));
    assert_eq!((both.processors, both.all, both.idle_for_disk), (2.0, ticks(284), ticks(40)));
    assert_eq!(Counters::processors("cpu 1 2\n", |_| true), None);
    assert_eq!(Counters::processors(stat, |_| false), None);
    assert_eq!(waited(pressure), Some(Duration::from_millis(5)));
    assert_eq!((waited("nothing"), waited("")), (None, None));
    assert_eq!(moved("nr_free_pages 7\npgpgin 3\npgpgout 2\n"), Some(5_120));
    assert_eq!(moved("pgpgin 3\n"), None);
    assert!((available("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\n") - 0.25).abs() < 1e-9);
}

#[test]
fn this_kernel_tells_what_is_judged_by() {
    let counters = Counters::now().unwrap();

    assert!(counters.processors >= 1.0 && counters.all >= counters.idle, "{counters:?}");
    assert!(counters.moved.is_some() && counters.available > 0.0, "{counters:?}");
}

/// What happens in one second.
#[derive(Debug, Clone, Copy)]
struct Second {
    /// Processors that others use.
    others: f64,
    /// Processors that the agent and its workers use.
    own: f64,
    /// In which part of it somebody waits for processors, disks, memory.
    waited: [f64; 3],
    /// Bytes that are read and written.
    moved: u64,
    /// Of that, bytes that the agent and its workers read.
    read: u64,
    /// Processors without work while somebody waits for a disk.
    idle_for_disk: f64,
}

const IDLE: Second =
    Second { others: 0.0, own: 0.0, waited: [0.0; 3], moved: 0, read: 0, idle_for_disk: 0.0 };

/// A host that is played, and who looks at it.
struct Site {
    host: Played,
    looks: Host,
    now: Instant,
}

impl Site {
    fn new(processors: f64) -> Self {
        let (host, mut looks, now) = (Played::idle(processors), Host::default(), Instant::now());
        looks.look(Some(host.counters()), &Used::default(), now);
        Self { host, looks, now }
    }

    fn play(&mut self, seconds: u32, second: Second) -> Short {
        (0..seconds).fold(Short::default(), |_, _| self.second(second).0)
    }

    fn second(&mut self, second: Second) -> (Short, Used, Instant) {
        self.host.play(second);
        self.now += SECOND;
        let used = Used { cpu: SECOND.mul_f64(second.own), read: second.read };
        (self.looks.look(Some(self.host.counters()), &used, self.now), used, self.now)
    }
}

/// The counters of a host that is played second by second.
pub(crate) struct Played {
    counters: Counters,
    tells_pressure: bool,
}

impl Played {
    pub(crate) fn idle(processors: f64) -> Self {
        let zero = Duration::ZERO;
        let counters = Counters {
            processors,
            all: zero,
            idle: zero,
            idle_for_disk: zero,
            moved: Some(0),
            waited: [Some(zero); 3],
            available: 0.5,
        };
        Self { counters, tells_pressure: true }
    }

    pub(crate) fn counters(&self) -> Counters {
        let waited = if self.tells_pressure { self.counters.waited } else { [None; 3] };
        Counters { waited, ..self.counters }
    }

    /// Others use so many processors for a second, and somebody waits for one in this part of it.
    pub(crate) fn second(&mut self, others: f64, waited: f64) {
        self.play(Second { others, waited: [waited, 0.0, 0.0], ..IDLE });
    }

    fn play(&mut self, second: Second) {
        let counters = &mut self.counters;
        counters.all += SECOND.mul_f64(counters.processors);
        counters.idle += SECOND.mul_f64((counters.processors - second.others - second.own).max(0.0));
        counters.idle_for_disk += SECOND.mul_f64(second.idle_for_disk);
        counters.moved = counters.moved.map(|moved| moved + second.moved);
        for (sum, part) in counters.waited.iter_mut().zip(second.waited) {
            *sum = sum.map(|sum| sum + SECOND.mul_f64(part));
        }
    }
}
