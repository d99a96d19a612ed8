//! Who writes the report: facts of an agency that no sensor knows, read from the team's own file.

use serde::Deserialize;

/// The longest file that is read, in bytes.
const MAX_FILE: usize = 64 << 10;

/// What the team says about itself and its system. Everything may be absent; nothing is guessed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Organization {
    /// The issuing body, such as `Đội Ứng cứu sự cố tỉnh`.
    pub name: Option<String>,
    /// Its parent body.
    pub parent: Option<String>,
    /// The official place name for the date line.
    pub place: Option<String>,
    /// To whom reports go; the form's own recipient if empty.
    pub recipients: Vec<String>,
    /// The lines of `Nơi nhận`, without the leading `-`.
    pub copies: Vec<String>,
    /// Number and symbol of the document.
    pub document: DocumentNames,
    /// Whom the authority may call.
    pub contact: Contact,
    /// Who signs.
    pub signer: Signer,
    /// The affected system.
    pub system: System,
}

/// How the document is registered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DocumentNames {
    /// Its number; given on issue, so usually absent in a draft.
    pub number: Option<String>,
    /// The symbol after the slash, such as `BC-ĐƯCSC`.
    pub symbol: Option<String>,
}

/// Whom the authority may call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Contact {
    /// Full name.
    pub name: Option<String>,
    /// Phone.
    pub phone: Option<String>,
    /// E-mail.
    pub email: Option<String>,
}

/// Who signs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Signer {
    /// The line above the title where one signs for another, such as `KT. ĐỘI TRƯỞNG`.
    pub authority: Option<String>,
    /// Title, such as `ĐỘI TRƯỞNG`.
    pub title: Option<String>,
    /// Full name.
    pub name: Option<String>,
}

/// The affected system.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct System {
    /// Its owner (`chủ quản`).
    pub owner: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Its security level, 1 to 5.
    pub level: Option<String>,
    /// The decision that approved the level: number and date.
    pub decision: Option<String>,
}

/// The file about the organization cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OrganizationError {
    /// It is far larger than any such file.
    #[error("read the organization file: larger than 64 KiB")]
    TooLarge,
    /// It is not the TOML that is wanted.
    #[error("read the organization file")]
    Malformed(#[source] Box<toml::de::Error>),
}

impl Organization {
    /// Reads it from TOML text.
    ///
    /// # Errors
    /// [`OrganizationError`]; an unknown key is an error, so that a misspelt one is not lost.
    pub fn parse(text: &str) -> Result<Self, OrganizationError> {
        if text.len() > MAX_FILE {
            return Err(OrganizationError::TooLarge);
        }
        toml::from_str(text).map_err(|e| OrganizationError::Malformed(Box::new(e)))
    }

    /// Returns what it says for a field of a form.
    pub(crate) fn field(&self, id: &str) -> Option<&str> {
        let value = match id {
            "org.name" => &self.name,
            "doc.symbol" => &self.document.symbol,
            "doc.number" => &self.document.number,
            "doc.place" => &self.place,
            "signer.title" => &self.signer.title,
            "signer.name" => &self.signer.name,
            "contact.name" => &self.contact.name,
            "contact.phone" => &self.contact.phone,
            "contact.email" => &self.contact.email,
            "system.owner" => &self.system.owner,
            "system.name" => &self.system.name,
            "system.level" => &self.system.level,
            "system.decision" => &self.system.decision,
            _ => return None,
        };
        value.as_deref().map(str::trim).filter(|v| !v.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_an_error() {
        assert!(Organization::parse("naem = 'Đội'").is_err());
        assert!(Organization::parse("[signer]\ntilte = 'Đội trưởng'").is_err());
    }

    #[test]
    fn everything_may_be_absent() {
        assert_eq!(Organization::parse("").unwrap(), Organization::default());
    }

    #[test]
    fn a_blank_value_says_nothing() {
        let org = Organization::parse("name = '  '").unwrap();

        assert_eq!(org.field("org.name"), None);
    }

    #[test]
    fn a_huge_file_is_refused() {
        let text = format!("name = '{}'", "x".repeat(MAX_FILE));

        assert!(matches!(Organization::parse(&text), Err(OrganizationError::TooLarge)));
    }
}
