//! Compiled forms of a pack: what stands in the signed text about each, and whether it fits.
//!
//! ```text
//! signed text ── names ──► engine, processor features, digest ──► the bytes, stored and fetched beside it
//! ```
//! The bytes are machine code. They run only where this signed text names their digest, and are never looked into here.

use serde::{Deserialize, Serialize};

use super::{NetworkLists, Pack};
use crate::{
    Sha256,
    signature::{OperatorKey, Purpose, SignatureError, Signed},
};

/// The most compiled forms of one pack: some engine versions times some processors.
pub const MAX_FORMS: usize = 8;
/// The largest compiled form as it travels, in bytes; 12,000 rules take a fourth of it.
pub const MAX_FORM: usize = 32 << 20;
/// The largest compiled form once inflated, in bytes.
pub const MAX_FORM_INFLATED: u64 = 256 << 20;
/// The largest piece of a compiled form that the hub gives out at once, in bytes.
pub const FORM_PIECE: usize = 1 << 20;
/// The longest name of an engine, in bytes.
const MAX_ENGINE: usize = 128;
/// The most processor features of a form.
const MAX_FEATURES: usize = 64;

/// One compiled form of a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// The engine that runs it: its name and version, ours, and the machine.
    pub engine: String,
    /// The features of the processor that its machine code may use.
    #[serde(default)]
    pub features: Vec<String>,
    /// The [`Pack::origin`] of the rules from which it was compiled.
    pub origin: Sha256,
    /// SHA-256 of its bytes as they travel, in zstd.
    pub sha256: Sha256,
    /// How many they are.
    pub size: u64,
    /// How many they are once inflated.
    pub inflated: u64,
}

/// The engine of this program and the processor on which it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// As in [`Form::engine`].
    pub engine: String,
    /// All that [`Form::features`] may name and this processor has.
    pub features: Vec<String>,
}

/// Why a pack's compiled forms are not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It has none.
    #[error("pack has no compiled form")]
    None,
    /// None is for this engine.
    #[error("pack has no compiled form for `{0}`")]
    Engine(String),
    /// The one for this engine needs a newer processor.
    #[error("compiled form needs a processor with {0}")]
    Processor(String),
    /// It was compiled from other rules than the pack's.
    #[error("compiled form was made from other rules")]
    Origin,
    /// It is larger than allowed.
    #[error("compiled form is larger than {MAX_FORM} bytes, or {MAX_FORM_INFLATED} once inflated")]
    Size,
}

/// A pack with its compiled forms, as it is signed. Programs that know of no forms read the pack alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The pack.
    pub pack: Pack,
    /// Its compiled forms, at most [`MAX_FORMS`].
    pub forms: Vec<Form>,
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    pack: &'a Pack,
    forms: &'a [Form],
}

#[derive(Deserialize)]
struct Forms {
    #[serde(default)]
    forms: Vec<Form>,
}

impl Release {
    /// Returns the text that is signed.
    ///
    /// # Errors
    /// Says why it has no JSON form.
    pub fn body(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Written { pack: &self.pack, forms: &self.forms })
    }

    /// Reads a pack with its compiled forms after a trusted operator's signature held.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn open(signed: &Signed, trusted: &[OperatorKey]) -> Result<Self, SignatureError> {
        let pack = super::open(signed, trusted)?;
        Ok(Self { pack, forms: forms(signed, trusted)? })
    }

    /// Returns the form that a machine may run.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn form(&self, machine: &Machine) -> Result<&Form, Unfit> {
        if self.forms.is_empty() {
            return Err(Unfit::None);
        }
        let origin = self.pack.origin();
        let mut unfit = Unfit::Engine(machine.engine.clone());
        for form in self.forms.iter().filter(|f| f.engine == machine.engine) {
            match form.fits(machine, origin) {
                Ok(()) => return Ok(form),
                Err(why) => unfit = why,
            }
        }
        Err(unfit)
    }
}

impl Form {
    fn fits(&self, machine: &Machine, origin: Sha256) -> Result<(), Unfit> {
        if let Some(missing) = self.features.iter().find(|f| !machine.features.contains(f)) {
            return Err(Unfit::Processor(missing.chars().take(MAX_ENGINE).collect()));
        }
        if self.origin != origin {
            return Err(Unfit::Origin);
        }
        match self.size <= MAX_FORM as u64 && self.inflated <= MAX_FORM_INFLATED {
            true => Ok(()),
            false => Err(Unfit::Size),
        }
    }

    fn is_bounded(&self) -> bool {
        self.engine.len() <= MAX_ENGINE && self.features.len() <= MAX_FEATURES
    }
}

impl Pack {
    /// Returns the digest of all from which rules are compiled: the pack without its lists. No JSON form: a digest that
    /// fits nothing.
    #[must_use]
    pub fn origin(&self) -> Sha256 {
        let bare = Self {
            version: self.version,
            created: self.created,
            rules: self.rules.clone(),
            sources: self.sources.clone(),
            domains: Vec::new(),
            sets: Vec::new(),
            network: NetworkLists::default(),
            policy: self.policy.clone(),
        };
        Sha256::of(&serde_json::to_vec(&bare).unwrap_or_default())
    }
}

/// Reads only the compiled forms of a signed pack after a trusted operator's signature held. One that says more than a
/// form has to say is left out.
///
/// # Errors
/// [`SignatureError`].
pub fn forms(signed: &Signed, trusted: &[OperatorKey]) -> Result<Vec<Form>, SignatureError> {
    let (body, _signers) = signed.verify(Purpose::Pack, trusted)?;
    let read: Forms = serde_json::from_str(body).map_err(|e| SignatureError::Unreadable(e.to_string()))?;
    let mut forms = read.forms;
    forms.truncate(MAX_FORMS);
    forms.retain(Form::is_bounded);
    Ok(forms)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::{Timestamp, bundle, signature::operator_key};

    #[test]
    fn a_signed_pack_names_its_compiled_forms_and_reads_as_a_pack_without_them() {
        let release = release();
        let (signed, keys) = signed(&release);

        assert_eq!(Release::open(&signed, &keys).unwrap(), release);
        assert_eq!(bundle::open(&signed, &keys).unwrap(), release.pack);
        assert_eq!(release.form(&machine()).unwrap(), &release.forms[0]);
    }

    #[test]
    fn a_pack_of_an_older_program_has_no_forms() {
        let (key, pack) = (SigningKey::from_bytes(&[3; 32]), pack());
        let body = serde_json::to_string(&pack).unwrap();
        let old = Release::open(&Signed::new(body, Purpose::Pack, &key), &[operator_key("thu", &key)]);

        assert_eq!(old.unwrap().form(&machine()), Err(Unfit::None));
    }

    #[test]
    fn a_form_for_another_engine_processor_or_pack_is_never_chosen() {
        let other = |change: fn(&mut Form)| {
            let mut release = release();
            change(&mut release.forms[0]);
            release.form(&machine()).cloned()
        };

        assert!(matches!(other(|f| f.engine.push('1')), Err(Unfit::Engine(_))));
        assert_eq!(other(|f| f.features.push("avx9".to_owned())), Err(Unfit::Processor("avx9".to_owned())));
        assert_eq!(other(|f| f.origin = Sha256::of(b"other rules")), Err(Unfit::Origin));
        assert_eq!(other(|f| f.size = MAX_FORM as u64 + 1), Err(Unfit::Size));
        assert_eq!(other(|f| f.inflated = MAX_FORM_INFLATED + 1), Err(Unfit::Size));
    }

    #[test]
    fn a_digest_changed_after_signing_spoils_the_signature() {
        let release = release();
        let (mut signed, keys) = signed(&release);
        let digest = release.forms[0].sha256.to_string();
        signed.body = signed.body.replace(&digest, &Sha256::of(b"evil").to_string());

        assert_eq!(Release::open(&signed, &keys), Err(SignatureError::Altered));
    }

    #[test]
    fn lists_are_no_part_of_the_origin_and_rules_are() {
        let (pack, mut renamed) = (pack(), pack());
        let domain =
            bundle::DomainIndicator { domain: "c2.example".to_owned(), rule: "x.y".parse().unwrap() };
        let network = NetworkLists { allowed: vec!["192.0.2.1".to_owned()], ..NetworkLists::default() };
        let listed = Pack { domains: vec![domain], network, ..pack.clone() };
        renamed.sources[0].text.push(' ');

        assert_eq!(listed.origin(), pack.origin());
        assert_ne!(renamed.origin(), pack.origin());
    }

    fn signed(release: &Release) -> (Signed, Vec<OperatorKey>) {
        let key = SigningKey::from_bytes(&[3; 32]);
        let signed = Signed::new(release.body().unwrap(), Purpose::Pack, &key);
        (signed, vec![operator_key("thu", &key)])
    }

    fn machine() -> Machine {
        Machine { engine: "e 1".to_owned(), features: vec!["avx".to_owned(), "sse3".to_owned()] }
    }

    fn release() -> Release {
        let pack = pack();
        let form = Form {
            engine: "e 1".to_owned(),
            features: vec!["sse3".to_owned()],
            origin: pack.origin(),
            sha256: Sha256::of(b"code"),
            size: 4,
            inflated: 4,
        };
        Release { pack, forms: vec![form] }
    }

    fn pack() -> Pack {
        let source =
            bundle::Source { name: "a.yar".to_owned(), text: "rule a { condition: true }".to_owned() };
        Pack {
            version: 1,
            created: Timestamp::UNIX_EPOCH,
            rules: Vec::new(),
            sources: vec![source],
            domains: Vec::new(),
            sets: Vec::new(),
            network: NetworkLists::default(),
            policy: None,
        }
    }
}
