//! What a file must be like for a rule to match: proofs, and how they combine.
//!
//! A [`Need`] is a list of ways. A rule can match a file only if at least one way holds for it. Whatever is not proved is
//! left out, so a need may hold for files that the rule does not match, never the other way round.

use super::literal::Literal;

/// Ways kept side by side; more are melted into one that asks less.
const MAX_WAYS: usize = 6;
/// Strings of which one must occur; a longer list proves too little to be worth its place.
const MAX_STRINGS: usize = 400;
/// Bytes of a file's head that are compared.
pub(crate) const MAX_HEAD: usize = 16;

/// Bytes that must be at a fixed place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Head {
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
}

/// One way for a rule to match: every part must hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Way {
    /// Smallest and largest size, both included.
    pub(crate) size: (u64, u64),
    pub(crate) head: Option<Head>,
    /// One of these must be in the file. `None`: nothing is known.
    pub(crate) strings: Option<Vec<Literal>>,
}

/// The ways for a rule to match. None at all: it never matches.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Need {
    pub(crate) ways: Vec<Way>,
}

impl Head {
    pub(crate) fn holds(&self, bytes: &[u8]) -> bool {
        let start = usize::try_from(self.offset).ok();
        let range = start.and_then(|s| Some(s..s.checked_add(self.bytes.len())?));
        range.and_then(|r| bytes.get(r)).is_some_and(|found| found == self.bytes)
    }

    /// Tells whether only programs of Windows begin like this.
    pub(crate) fn is_windows(&self) -> bool {
        self.offset == 0 && self.bytes.starts_with(b"MZ")
    }

    fn chance(&self) -> f32 {
        match &self.bytes[..] {
            [0x7f, b'E', ..] => 0.2,
            [b'M', b'Z', ..] => 0.1,
            [_] => 0.1,
            _ => 0.03,
        }
    }
}

impl Way {
    const ANY: Self = Self { size: (0, u64::MAX), head: None, strings: None };

    /// Returns a guess of the share of files for which it holds.
    pub(crate) fn chance(&self) -> f32 {
        let head = self.head.as_ref().map_or(1.0, Head::chance);
        head * self.strings.as_ref().map_or(1.0, |s| chance_of(s))
    }

    fn and(&self, other: &Self) -> Self {
        let strings = match (&self.strings, &other.strings) {
            (Some(a), Some(b)) => Some(if chance_of(b) < chance_of(a) { b } else { a }.clone()),
            (a, b) => a.as_ref().or(b.as_ref()).cloned(),
        };
        let head = match (&self.head, &other.head) {
            (Some(a), Some(b)) => Some(if rank(b) < rank(a) { b } else { a }.clone()),
            (a, b) => a.as_ref().or(b.as_ref()).cloned(),
        };
        Self { size: (self.size.0.max(other.size.0), self.size.1.min(other.size.1)), head, strings }
    }

    /// Returns a way that holds whenever one of the two does.
    fn or(&self, other: &Self) -> Self {
        let strings = match (&self.strings, &other.strings) {
            (Some(a), Some(b)) => united(a, b),
            _ => None,
        };
        let head = self.head.as_ref().filter(|h| other.head.as_ref() == Some(h)).cloned();
        Self { size: (self.size.0.min(other.size.0), self.size.1.max(other.size.1)), head, strings }
    }
}

/// Prefers the very start of a file, then more bytes.
fn rank(head: &Head) -> (u64, std::cmp::Reverse<usize>) {
    (head.offset, std::cmp::Reverse(head.bytes.len()))
}

/// Guesses the share of middling files that hold one of the strings.
fn chance_of(strings: &[Literal]) -> f32 {
    strings.iter().map(|s| (14.0 - s.bits()).exp2().min(1.0)).sum::<f32>()
}

fn united(a: &[Literal], b: &[Literal]) -> Option<Vec<Literal>> {
    let mut all = [a, b].concat();
    all.sort();
    all.dedup();
    (all.len() <= MAX_STRINGS).then_some(all)
}

impl Need {
    /// Nothing is proved: the rule is always evaluated.
    pub(crate) fn always() -> Self {
        Self { ways: vec![Way::ANY] }
    }

    /// No file can match.
    pub(crate) fn never() -> Self {
        Self { ways: Vec::new() }
    }

    pub(crate) fn one_of(strings: Vec<Literal>) -> Self {
        let fits = !strings.is_empty() && strings.len() <= MAX_STRINGS;
        if fits { Self { ways: vec![Way { strings: Some(strings), ..Way::ANY }] } } else { Self::always() }
    }

    pub(crate) fn head(offset: u64, bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::always();
        }
        let bytes = bytes[..bytes.len().min(MAX_HEAD)].to_vec();
        Self { ways: vec![Way { head: Some(Head { offset, bytes }), ..Way::ANY }] }
    }

    pub(crate) fn size(least: u64, most: u64) -> Self {
        Self { ways: vec![Way { size: (least, most), ..Way::ANY }] }
    }

    /// Tells whether nothing at all is proved.
    pub(crate) fn is_always(&self) -> bool {
        self.ways.contains(&Way::ANY)
    }

    /// Returns a guess of the share of files for which it holds.
    pub(crate) fn chance(&self) -> f32 {
        self.ways.iter().map(Way::chance).sum()
    }

    /// Both must hold.
    pub(crate) fn and(self, other: Self) -> Self {
        if self.ways.len() * other.ways.len() > MAX_WAYS {
            return if other.chance() < self.chance() { other } else { self };
        }
        let pairs = self.ways.iter().flat_map(|a| other.ways.iter().map(move |b| a.and(b)));
        Self { ways: pairs.collect() }.tidy()
    }

    /// One must hold.
    pub(crate) fn or(self, other: Self) -> Self {
        Self { ways: [self.ways, other.ways].concat() }.tidy()
    }

    /// At least `n` of the needs must hold, and `n` is at least one: of any `len - n + 1` of them, one holds.
    pub(crate) fn at_least(n: usize, mut needs: Vec<Self>) -> Self {
        if n == 0 || needs.is_empty() {
            return Self::always();
        }
        needs.sort_by(|a, b| a.chance().total_cmp(&b.chance()));
        needs.truncate((needs.len() + 1).saturating_sub(n).max(1));
        needs.into_iter().fold(Self::never(), Self::or)
    }

    /// Melts ways that differ in their strings alone, and all of them when there are too many.
    fn tidy(mut self) -> Self {
        if self.is_always() {
            return Self::always();
        }
        let mut kept: Vec<Way> = Vec::new();
        for way in self.ways.drain(..) {
            let same = kept.iter_mut().find(|k| {
                k.size == way.size && k.head == way.head && k.strings.is_some() == way.strings.is_some()
            });
            match same {
                Some(same) => *same = same.or(&way),
                None => kept.push(way),
            }
        }
        if kept.len() > MAX_WAYS {
            let melted = kept.iter().skip(1).fold(kept[0].clone(), |all, way| all.or(way));
            kept = vec![melted];
        }
        Self { ways: kept }
    }
}
