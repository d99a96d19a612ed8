//! One report as every renderer takes it: the parts of an official document (NĐ 30/2020/NĐ-CP, Phụ lục I) and its body.
//!
//! All text in it is [`Text`]: bounded, and without any character that could control or fool a reader.

use serde::{Deserialize, Serialize};

pub mod build;
pub mod number;
mod text;

pub use text::{MAX_TEXT, Text};

/// The version of the JSON form that `khien-pdf` reads.
pub const FORMAT: u32 = 1;
/// The most rows of one table; more are counted in a line below it.
pub const MAX_ROWS: usize = 200;
/// What stands where a person still has to write.
pub const BLANK: &str = "……………………";

/// A report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// [`FORMAT`].
    pub format: u32,
    /// The day of the document in Vietnam, `YYYY-MM-DD`.
    pub date: Text,
    /// The top of the first page.
    pub head: Head,
    /// The type of document, such as `BÁO CÁO NHANH`.
    pub title: Text,
    /// What it is about, under the type.
    pub subject: Text,
    /// To whom it goes.
    pub to: Vec<Text>,
    /// The body.
    pub body: Vec<Block>,
    /// Who signs.
    pub signature: Signature,
    /// The lines of `Nơi nhận`.
    pub copies: Vec<Text>,
}

/// The top of the first page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The parent body, if there is one.
    pub parent: Option<Text>,
    /// The issuing body.
    pub issuer: Text,
    /// `Số: 05/BC-ĐƯCSC`.
    pub number: Text,
    /// `Đắk Lắk, ngày 05 tháng 01 năm 2027`.
    pub place_and_date: Text,
}

/// Who signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Authority and title, one line each.
    pub title: Vec<Text>,
    /// Full name.
    pub name: Text,
}

/// A part of the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Block {
    /// A numbered heading.
    Heading {
        /// The heading with its number.
        text: Text,
    },
    /// `Label: value`, or only text where the label is empty.
    Line {
        /// The label.
        label: Text,
        /// The value.
        text: Text,
        /// Whether the value is the blank that a person has to fill.
        blank: bool,
    },
    /// One line of a list.
    Item {
        /// The line.
        text: Text,
    },
    /// Boxes of which a person ticks one.
    Choice {
        /// The question.
        label: Text,
        /// The boxes.
        options: Vec<Tick>,
    },
    /// A table.
    Table {
        /// The heads of its columns.
        columns: Vec<Column>,
        /// Its rows.
        rows: Vec<Vec<Text>>,
    },
}

/// One box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tick {
    /// What it says.
    pub label: Text,
    /// Whether it is ticked.
    pub ticked: bool,
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its head.
    pub title: Text,
    /// Its share of the width, in percent.
    pub width: u8,
}

/// The words that stand on every official document.
pub mod words {
    /// Quốc hiệu.
    pub const NATION: &str = "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM";
    /// Tiêu ngữ.
    pub const MOTTO: &str = "Độc lập - Tự do - Hạnh phúc";
    /// The head of the list of copies.
    pub const COPIES: &str = "Nơi nhận:";
    /// The head of the list of addressees.
    pub const TO: &str = "Kính gửi:";
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample() -> Document {
        Document {
            format: FORMAT,
            date: "2026-11-22".into(),
            head: Head {
                parent: Some("UBND TỈNH ĐẮK LẮK".into()),
                issuer: "ĐỘI ỨNG CỨU SỰ CỐ".into(),
                number: "Số: 05/BC-ĐƯCSC".into(),
                place_and_date: "Đắk Lắk, ngày 22 tháng 11 năm 2026".into(),
            },
            title: "BÁO CÁO NHANH".into(),
            subject: "Sự cố an ninh mạng".into(),
            to: vec!["Bộ Công an".into()],
            body: vec![
                Block::Heading { text: "1. Mô tả".into() },
                Block::Line {
                    label: "Tóm tắt".into(), text: "<webshell> & \"khác\"".into(), blank: false
                },
                Block::Choice {
                    label: "Mức độ".into(),
                    options: vec![Tick { label: "Nghiêm trọng".into(), ticked: true }],
                },
                Block::Table {
                    columns: vec![Column { title: "TT".into(), width: 100 }],
                    rows: vec![vec!["*không* #phải [mã] <typst>".into()]],
                },
            ],
            signature: Signature {
                title: vec!["ĐỘI TRƯỞNG".into()], name: "Nguyễn Văn Ẩn".into()
            },
            copies: vec!["Như trên;".into(), "Lưu: VT.".into()],
        }
    }

    #[test]
    fn a_document_reads_back_from_its_json() {
        let document = sample();

        let json = serde_json::to_string(&document).unwrap();

        assert_eq!(serde_json::from_str::<Document>(&json).unwrap(), document);
    }

    #[test]
    fn a_document_with_an_unknown_part_is_refused() {
        let json = serde_json::to_string(&sample()).unwrap().replacen("\"format\"", "\"x\":1,\"format\"", 1);

        assert!(serde_json::from_str::<Document>(&json).is_err());
    }
}
