//! Compiled groups and their table as one piece of bytes, and back.
//!
//! ```text
//! "khien-route 2" · engine · groups · conditions · bare targets · strings
//! ```
//! The groups hold machine code that will run, and no sum of their own: load only bytes of which a verified signature
//! names the digest, or that this program has just made.

use yara_x::Rules;

use super::{
    Routed,
    lean::lean,
    literal::Literal,
    need::{Head, MAX_HEAD},
    table::{Condition, Entry, MAX_GROUPS, Parts, Table},
};

/// What a file begins with.
const MAGIC: &[u8] = b"khien-route 2\n";
/// The engine whose compiled form is inside; another one must not run it.
pub const ENGINE: &str = concat!("yara-x 1.22.1 khien ", env!("CARGO_PKG_VERSION"));
/// The most that is loaded.
const MAX_SIZE: usize = 512 << 20;

/// Why compiled rules were not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is something else, or was cut or changed.
    #[error("compiled rules are damaged or not compiled rules at all")]
    Damaged,
    /// Another version of this program or its engine wrote it.
    #[error("compiled rules are for another version, this one needs `{ENGINE}`")]
    OtherVersion,
    /// The engine refused them, for example because they were compiled for another processor.
    #[error("engine refused compiled rules")]
    Engine(#[source] Box<yara_x::errors::SerializationError>),
}

impl Routed {
    /// Returns the compiled form.
    ///
    /// # Errors
    /// [`LoadError::Engine`].
    pub fn serialize(&self) -> Result<Vec<u8>, LoadError> {
        let mut all = Writer(MAGIC.to_vec());
        all.bytes(ENGINE.as_bytes());
        all.number(self.groups.len());
        for group in &self.groups {
            all.bytes(&lean(group.serialize().map_err(|e| LoadError::Engine(Box::new(e)))?));
        }
        all.parts(&self.table.parts);
        Ok(all.0)
    }

    /// Loads a compiled form. It runs as machine code: the caller has verified a signature over it before.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn deserialize(bytes: &[u8]) -> Result<Self, LoadError> {
        let rest = bytes.strip_prefix(MAGIC).filter(|r| r.len() <= MAX_SIZE).ok_or(LoadError::Damaged)?;
        let mut body = Reader(rest);
        match body.bytes() {
            Some(engine) if engine == ENGINE.as_bytes() => Self::of_body(body),
            Some(_) => Err(LoadError::OtherVersion),
            None => Err(LoadError::Damaged),
        }
    }

    fn of_body(mut body: Reader<'_>) -> Result<Self, LoadError> {
        let count = body.count(MAX_GROUPS).ok_or(LoadError::Damaged)?;
        let mut groups = Vec::with_capacity(count);
        for _ in 0..count {
            let group = body.bytes().ok_or(LoadError::Damaged)?;
            groups.push(Rules::deserialize(group).map_err(|e| LoadError::Engine(Box::new(e)))?);
        }
        let parts = body.parts(count).ok_or(LoadError::Damaged)?;
        Ok(Self { groups, table: Table::new(parts) })
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, n: usize) {
        self.0.extend((n as u64).to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.0.extend(bytes);
    }

    fn targets(&mut self, targets: &[(u32, u8)]) {
        self.number(targets.len());
        for (condition, group) in targets {
            self.0.extend(condition.to_le_bytes());
            self.0.push(*group);
        }
    }

    fn parts(&mut self, parts: &Parts) {
        self.number(parts.conditions.len());
        for condition in &parts.conditions {
            self.0.extend(condition.size.0.to_le_bytes());
            self.0.extend(condition.size.1.to_le_bytes());
            self.0.extend(condition.head.as_ref().map_or(0, |h| h.offset).to_le_bytes());
            self.bytes(condition.head.as_ref().map_or(&[], |h| &h.bytes));
        }
        self.targets(&parts.bare);
        self.number(parts.entries.len());
        for entry in &parts.entries {
            self.bytes(&entry.literal.bytes);
            self.0.extend([u8::from(entry.literal.folded), entry.literal.key_at]);
            self.targets(&entry.targets);
        }
    }
}

/// Reads what a [`Writer`] wrote, and takes nothing on trust.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, n: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn wide(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    /// Reads a count of things that take at least one byte each.
    fn count(&mut self, most: usize) -> Option<usize> {
        let n = usize::try_from(self.wide()?).ok()?;
        (n <= most && n <= self.0.len()).then_some(n)
    }

    fn bytes(&mut self) -> Option<&'b [u8]> {
        let n = self.count(usize::MAX)?;
        self.take(n)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn targets(&mut self, conditions: usize, groups: usize) -> Option<Vec<(u32, u8)>> {
        let count = self.count(usize::MAX)?;
        let target = |r: &mut Self| {
            let condition = u32::from_le_bytes(r.take(4)?.try_into().ok()?);
            let group = r.byte()?;
            let fits = (condition as usize) < conditions && usize::from(group) < groups;
            fits.then_some((condition, group))
        };
        (0..count).map(|_| target(self)).collect()
    }

    fn condition(&mut self) -> Option<Condition> {
        let (size, offset) = ((self.wide()?, self.wide()?), self.wide()?);
        let bytes = self.bytes()?.to_vec();
        let head = (!bytes.is_empty()).then_some(Head { offset, bytes });
        head.as_ref().is_none_or(|h| h.bytes.len() <= MAX_HEAD).then_some(Condition { size, head })
    }

    fn parts(&mut self, groups: usize) -> Option<Parts> {
        let count = self.count(usize::MAX)?;
        let conditions: Vec<_> = (0..count).map(|_| self.condition()).collect::<Option<_>>()?;
        let bare = self.targets(conditions.len(), groups)?;
        let count = self.count(usize::MAX)?;
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let literal = Literal::stored(self.bytes()?.to_vec(), self.byte()? != 0, self.byte()?)?;
            entries.push(Entry { literal, targets: self.targets(conditions.len(), groups)? });
        }
        Some(Parts { conditions, bare, entries })
    }
}
