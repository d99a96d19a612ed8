//! Office documents, their macros, and PDF.

use khien_core::event::NotSeen;

use crate::{MARK, look, look_well, make, troubles};

/// A module's stream: compiled code, then the source.
fn module() -> Vec<u8> {
    let source = [b"Attribute VB_Name = \"Module1\"\r\n", MARK].concat();
    [&b"compiled code"[..], &make::ovba(&source)].concat()
}

fn project() -> Vec<u8> {
    make::ole(Some("VBA"), &[("dir", &make::ovba(b"dir")), ("Module1", &module())])
}

fn docx(project: &[u8]) -> Vec<u8> {
    make::zip(&[
        ("[Content_Types].xml", b"<Types/>"),
        ("word/document.xml", b"<document/>"),
        ("word/vbaProject.bin", project),
    ])
}

fn pdf(dictionary: &str, data: &[u8]) -> Vec<u8> {
    let head = format!("%PDF-1.7\n12 0 obj\n<< {dictionary} /Length {} >>\nstream\r\n", data.len());
    [head.as_bytes(), data, b"\nendstream\nendobj\ntrailer << /Root 1 0 R >>\n%%EOF"].concat()
}

#[test]
fn the_source_of_a_macro_is_read_in_old_and_new_documents() {
    let old = make::ole(Some("VBA"), &[("dir", &make::ovba(b"dir")), ("Module1", &module())]);

    assert_eq!(look_well("a.doc", &old).holding(), ["VBA/Module1.bas"]);
    assert_eq!(look_well("a.docm", &docx(&project())).holding(), ["word/vbaProject.bin › VBA/Module1.bas"]);
}

#[test]
fn streams_of_a_document_are_read_with_their_folders() {
    let ole = make::ole(Some("Thư mục"), &[("một", MARK), ("hai", b"2")]);

    let seen = look_well("a.doc", &ole);

    assert_eq!(seen.marked(), ["Thư mục/một"]);
    assert_eq!(seen.files.len(), 2);
}

#[test]
fn what_is_embedded_in_a_document_is_looked_into() {
    let packed = [
        &[0u8; 4][..],
        b"\x02\0a.zip\0C:\\a.zip\0\0\0\x03\0\x06\0\0\0C:\\b\0",
        &(make::zip(&[("a.txt", MARK)]).len() as u32).to_le_bytes(),
        &make::zip(&[("a.txt", MARK)]),
    ]
    .concat();
    let ole = make::ole(None, &[("\u{1}Ole10Native", &packed)]);

    let seen = look_well("oleObject1.bin", &ole);

    assert!(seen.marked().contains(&r"\u{1}Ole10Native › a.zip › a.txt"), "{:?}", seen.marked());
}

#[test]
fn an_encrypted_document_is_told() {
    let new = make::ole(None, &[("EncryptionInfo", b"x"), ("EncryptedPackage", b"y")]);
    let word = make::ole(None, &[("WordDocument", &[0xec, 0xa5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])]);
    let excel = make::ole(None, &[("Workbook", &[9, 8, 2, 0, 0, 6, 0x2f, 0, 2, 0, 1, 0, 10, 0, 0, 0])]);

    for document in [new, word, excel] {
        let (_, outcome) = look("a.docx", &document);
        assert_eq!(troubles(&outcome), [(String::new(), NotSeen::Encrypted)]);
        assert!(outcome.worst().is_trouble());
    }
}

#[test]
fn the_streams_of_a_pdf_are_undone_filter_by_filter() {
    let hex: String = MARK.iter().map(|b| format!("{b:02x}")).collect();
    let hex_of_zlib: String = make::zlib(MARK).iter().map(|b| format!("{b:02X}")).collect();
    let mut wrong_sum = make::zlib(MARK);
    wrong_sum.truncate(wrong_sum.len() - 4);
    let cases = [
        ("/Filter /FlateDecode", make::zlib(MARK)),
        ("/Filter /FlateDecode", wrong_sum),
        ("/Type /ObjStm /Filter [ /Fl#61teDecode ]", make::zlib(MARK)),
        ("/Filter /ASCIIHexDecode", format!("{hex}>").into_bytes()),
        ("/Filter [/AHx /Fl]", format!("{hex_of_zlib}>").into_bytes()),
        ("/Type /EmbeddedFile", MARK.to_vec()),
    ];

    for (dictionary, data) in cases {
        assert_eq!(look_well("a.pdf", &pdf(dictionary, &data)).marked(), ["12 0 obj"], "{dictionary}");
    }
}

#[test]
fn what_is_attached_to_a_pdf_is_looked_into() {
    let bytes = pdf("/Type /EmbeddedFile /Filter /FlateDecode", &make::zlib(&make::zip(&[("a", MARK)])));

    assert_eq!(look_well("a.pdf", &bytes).marked(), ["12 0 obj › a"]);
}

#[test]
fn a_pdf_that_is_encrypted_or_packed_strangely_is_told() {
    let encrypted =
        [&pdf("/Filter /FlateDecode", b"\x01\x02garbage")[..], b"trailer << /Encrypt 9 0 R >>"].concat();
    let strange = pdf("/Filter /OwnDecode", b"x");

    assert_eq!(troubles(&look("a.pdf", &encrypted).1), [(String::new(), NotSeen::Encrypted)]);
    assert_eq!(troubles(&look("a.pdf", &strange).1), [("12 0 obj".to_owned(), NotSeen::Unsupported)]);
}

#[test]
fn a_picture_in_a_pdf_is_no_trouble() {
    let seen = look_well("a.pdf", &pdf("/Subtype /Image /Filter /DCTDecode", b"\xff\xd8\xff"));

    assert!(seen.files.is_empty());
}

#[test]
fn a_length_that_lies_hides_no_stream() {
    let packed = make::zlib(MARK);
    let head = "%PDF-1.7\n1 0 obj\n<< /Filter /FlateDecode /Length 2 >>\nstream\n".as_bytes();
    let bytes = [head, &packed, b"\nendstream\n"].concat();

    assert_eq!(look_well("a.pdf", &bytes).marked(), ["1 0 obj"]);
}
