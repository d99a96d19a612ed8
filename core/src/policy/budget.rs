//! What scanning may take of a host.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

/// What scanning may take of a host while others need it, and of its memory always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Budget {
    /// Of one processor, in percent, while others need the processors or memory.
    pub cpu_percent: Within<1, 100, 5>,
    /// Megabytes that are read from disks in a second, while others need a disk or memory. The usual figure is a
    /// twentieth of what a spinning disk reads in a row.
    pub io_mb_per_second: Within<1, 1_000, 5>,
    /// Megabytes of memory that a scan worker may take beside its rules. With fewer than the least it could not unpack
    /// what the limits of unpacking allow.
    pub worker_memory_mb: Within<256, 4_096, 512>,
}

/// A whole number from `LEAST` to `MOST`; where nothing is said it is `USUAL`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Within<const LEAST: u32, const MOST: u32, const USUAL: u32>(u32);

impl<const LEAST: u32, const MOST: u32, const USUAL: u32> Within<LEAST, MOST, USUAL> {
    /// Takes a number if it is within the bounds.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        (LEAST..=MOST).contains(&number).then_some(Self(number))
    }

    /// Returns the number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl<const LEAST: u32, const MOST: u32, const USUAL: u32> Default for Within<LEAST, MOST, USUAL> {
    fn default() -> Self {
        const { assert!(LEAST <= USUAL && USUAL <= MOST) };
        Self(USUAL)
    }
}

impl<const LEAST: u32, const MOST: u32, const USUAL: u32> fmt::Debug for Within<LEAST, MOST, USUAL> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<const LEAST: u32, const MOST: u32, const USUAL: u32> Serialize for Within<LEAST, MOST, USUAL> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<'de, const LEAST: u32, const MOST: u32, const USUAL: u32> Deserialize<'de>
    for Within<LEAST, MOST, USUAL>
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u32(Bounds)
    }
}

/// Reads a number and, whatever stands in its place, says what is allowed.
struct Bounds<const LEAST: u32, const MOST: u32, const USUAL: u32>;

impl<const LEAST: u32, const MOST: u32, const USUAL: u32> de::Visitor<'_> for Bounds<LEAST, MOST, USUAL> {
    type Value = Within<LEAST, MOST, USUAL>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {LEAST} to {MOST}")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        let within = u32::try_from(number).ok().and_then(Within::new);
        within.ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        let within = u32::try_from(number).ok().and_then(Within::new);
        within.ok_or_else(|| E::invalid_value(de::Unexpected::Signed(number), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Budget, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn what_a_pack_does_not_say_is_as_usual() {
        let usual = read("{}").unwrap();
        let some = read(r#"{"cpu_percent": 20, "newer": true}"#).unwrap();

        assert_eq!(usual, Budget::default());
        assert_eq!((usual.cpu_percent.get(), usual.io_mb_per_second.get()), (5, 5));
        assert_eq!((some.cpu_percent.get(), some.worker_memory_mb.get()), (20, 512));
        assert_eq!(read(&serde_json::to_string(&some).unwrap()).unwrap(), some);
    }

    #[test]
    fn a_figure_out_of_its_range_is_refused_and_the_range_is_said() {
        for wrong in ["0", "101", "-1", "5.5", "\"5\"", "99999999999", "null"] {
            let error = read(&format!(r#"{{"cpu_percent": {wrong}}}"#)).unwrap_err();
            assert!(error.contains("a whole number from 1 to 100"), "{error}");
        }
        assert!(read(r#"{"io_mb_per_second": 1001}"#).unwrap_err().contains("from 1 to 1000"));
        assert!(read(r#"{"worker_memory_mb": 255}"#).unwrap_err().contains("from 256 to 4096"));
        for edge in ["1", "100"] {
            assert!(read(&format!(r#"{{"cpu_percent": {edge}}}"#)).is_ok());
        }
    }
}
