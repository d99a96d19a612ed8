//! How a reason is written and read. Reading never fails, and cuts what is too long.

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use super::{Lack, MAX_CODE, MAX_LIST, MAX_TEXT, Reason};
use crate::Untrusted;

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unknown { code } => {
                let mut map = s.serialize_map(Some(1))?;
                map.serialize_entry("code", code)?;
                map.end()
            }
            // The derived form, which an attribute above puts beside the trait.
            known => Self::serialize(known, s),
        }
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(read(&Value::deserialize(d)?))
    }
}

/// Reads any value: a reason must never be why a report is lost.
fn read(value: &Value) -> Reason {
    if let Some(text) = value.as_str() {
        return Reason::Said { text: Untrusted::cut(&crate::untrusted::unescape(text), MAX_TEXT) };
    }
    Reason::deserialize(value).unwrap_or_else(|_| {
        let code = value.get("code").and_then(Value::as_str).unwrap_or_default();
        Reason::Unknown { code: Untrusted::cut(code.as_bytes(), MAX_CODE) }
    })
}

pub(super) fn short<'de, D: Deserializer<'de>>(d: D) -> Result<Untrusted, D::Error> {
    Ok(Untrusted::cut(Untrusted::deserialize(d)?.raw(), MAX_TEXT))
}

pub(super) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de> + Short>(d: D) -> Result<Vec<T>, D::Error> {
    let mut all = Vec::<T>::deserialize(d)?;
    all.truncate(MAX_LIST);
    Ok(all.into_iter().map(Short::short).collect())
}

/// A reason in a reason. One that holds a third is kept by its code alone.
pub(super) fn inner<'de, D: Deserializer<'de>>(d: D) -> Result<Box<Reason>, D::Error> {
    let reason = <Reason as Deserialize>::deserialize(d)?;
    Ok(Box::new(match reason.is_nested() {
        true => Reason::Unknown { code: Untrusted::from(reason.code().as_str()) },
        false => reason,
    }))
}

pub(super) fn maybe_inner<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Box<Reason>>, D::Error> {
    inner(d).map(Some)
}

pub(super) fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// The share of one processor of agents that do not name it.
pub(super) fn usual_percent() -> u32 {
    5
}

/// What a list in a reason may hold.
pub(super) trait Short {
    fn short(self) -> Self;
}

impl Short for Untrusted {
    fn short(self) -> Self {
        Self::cut(self.raw(), MAX_TEXT)
    }
}

impl Short for Lack {
    fn short(self) -> Self {
        self
    }
}
