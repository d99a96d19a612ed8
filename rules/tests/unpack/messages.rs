//! Mail, edXML and base64 in scripts.

use khien_core::event::NotSeen;

use crate::{MARK, look, look_well, make, troubles};

fn mail(kind: &str, encoding: &str, disposition: &str, body: &str) -> Vec<u8> {
    format!(
        "Received: from a by b\r\nFrom: a@b\r\nSubject: =?UTF-8?B?Y8O0bmc=?=\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed;\r\n boundary=\"=_b\"\r\n\r\npreamble\r\n--=_b\r\n\
         Content-Type: text/plain\r\n\r\nhello\r\n--=_b\r\nContent-Type: {kind}\r\n\
         Content-Transfer-Encoding: {encoding}\r\nContent-Disposition: {disposition}\r\n\r\n{body}\r\n--=_b--\r\n"
    )
    .into_bytes()
}

fn lines(text: &str) -> String {
    text.as_bytes().chunks(76).map(|line| format!("{}\r\n", String::from_utf8_lossy(line))).collect()
}

#[test]
fn the_parts_of_a_mail_are_decoded_and_named() {
    let zip = lines(&make::base64(&make::zip(&[("a.txt", MARK)])));
    let attached = "attachment; filename*=UTF-8''c%C3%B4ng%20v%C4%83n.zip";
    let seen = look_well("a.eml", &mail("application/zip", "base64", attached, &zip));
    assert_eq!(seen.marked(), ["công văn.zip › a.txt"]);

    let quoted: String = MARK.iter().map(|b| format!("={b:02X}")).collect();
    let seen = look_well("a.eml", &mail("text/html", "Quoted-Printable", "inline", &quoted));
    assert!(seen.holding().contains(&"part 2 (text/html)"), "{:?}", seen.files);
}

#[test]
fn a_message_in_a_message_is_looked_into() {
    let inner = mail("text/plain", "base64", "attachment; filename=x.txt", &make::base64(MARK));
    let outer = mail(
        "message/rfc822",
        "7bit",
        "attachment",
        &String::from_utf8(inner).unwrap().replace("=_b", "=_c"),
    );

    assert!(look_well("a.eml", &outer).holding().iter().any(|way| way.ends_with(" › x.txt")));
}

#[test]
fn every_message_of_a_mailbox_is_looked_into() {
    let one = mail("text/plain", "base64", "attachment; filename=x.txt", &make::base64(MARK));
    let mailbox = [b"From a@b Mon\n", &one[..], b"\nFrom c@d Tue\n", &one].concat();

    let seen = look_well("mbox", &mailbox);

    let ways: Vec<_> = seen.holding().into_iter().filter(|way| way.ends_with("x.txt")).collect();
    assert_eq!(ways, ["message 1 › x.txt", "message 2 › x.txt"]);
}

#[test]
fn the_attachment_of_an_official_message_shows_its_way_in() {
    let project = make::ole(
        Some("VBA"),
        &[("dir", b"\x01\0"), ("M", &make::ovba(&[b"Attribute VB_Name\r\n", MARK].concat()))],
    );
    let docx = make::zip(&[("[Content_Types].xml", b"<Types/>"), ("word/vbaProject.bin", &project)]);
    let message = make::edxml("thongbao.docx", &make::zip(&[("thongbao.docx", &docx)]));

    let seen = look_well("cong-van.edxml", &message);

    assert_eq!(seen.holding(), ["thongbao.docx › word/vbaProject.bin › VBA/M.bas"]);
}

#[test]
fn an_official_message_is_read_however_it_is_spelled() {
    let attachment = make::zip(&[("a.txt", MARK)]);
    let plain = String::from_utf8(make::edxml("a &amp; b.txt", &attachment)).unwrap();
    let old = plain
        .replace("http://www.mic.gov.vn/TBT/QCVN_102_2016", "http://www.e-doc.vn/Schema/")
        .replace("Bussiness", "Business");
    let other_prefix = plain.replace("edXML:ContentTransferEncoded", "x:ContentTransferEncoded");
    let no_prefix = plain.replace("edXML:ContentTransferEncoded", "ContentTransferEncoded");
    let literal = plain
        .replace("QCVN_102_2016\">UEs", "QCVN_102_2016\"><![CDATA[UEs")
        .replace("</edXML:ContentTransferEncoded>", "]]></edXML:ContentTransferEncoded>");
    let numbered = plain.replace("\">UEs", "\">&#85;&#x45;<!-- x -->s");
    assert!(literal.contains("CDATA") && numbered.contains("&#85;"));
    let wide = |unit: fn(u16) -> [u8; 2], mark: u16| -> Vec<u8> {
        std::iter::once(mark).chain(plain.encode_utf16()).flat_map(unit).collect()
    };

    for message in [&plain, &old, &other_prefix, &no_prefix, &literal, &numbered] {
        let seen = look_well("a.edxml", message.as_bytes());
        assert_eq!(seen.marked(), ["a & b.txt › a.txt"], "{message}");
    }
    for message in [wide(u16::to_le_bytes, 0xfeff), wide(u16::to_be_bytes, 0xfeff)] {
        assert_eq!(look_well("a.edxml", &message).marked(), ["[utf-16] › a & b.txt › a.txt"]);
    }
}

#[test]
fn an_official_message_with_a_dtd_is_told_and_looked_into_all_the_same() {
    let plain = String::from_utf8(make::edxml("a", &make::zip(&[("a.txt", MARK)]))).unwrap();
    let bomb =
        "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\"><!ENTITY f SYSTEM \"file:///etc/passwd\">]>";
    let message = plain.replacen("<edXML ", &format!("{bomb}<edXML "), 1);

    let (seen, outcome) = look("a.edxml", message.as_bytes());

    assert_eq!(seen.marked(), ["a › a.txt"]);
    assert_eq!(troubles(&outcome), [(String::new(), NotSeen::Unreadable)]);
}

#[test]
fn base64_in_a_script_is_decoded_once_and_twice() {
    let once = make::base64(&MARK.repeat(3));
    let twice = make::base64(once.as_bytes());

    let first = look_well("a.php", format!("<?php $x = \"{once}\"; ?>").as_bytes());
    let second = look_well("a.php", format!("<?php $x = \"{twice}\"; ?>").as_bytes());

    assert_eq!(first.holding(), ["base64@12", "[decoded]"]);
    assert_eq!(second.holding()[0], "base64@12 › base64@0");
}

#[test]
fn one_word_does_not_turn_a_script_into_a_document_or_a_letter() {
    let blob = make::base64(&MARK.repeat(3));
    for word in ["/*%PDF-*/", "\nFrom: a\nTo: b\nSubject: c\nContent-Type: multipart/mixed; boundary=zz\n\n"]
    {
        let script = format!("<?php {word} x('{blob}');");

        assert!(
            look("a.php", script.as_bytes()).0.holding().iter().any(|way| way.contains("base64@")),
            "{word:?}"
        );
    }
}

#[test]
fn base64_of_deflated_text_is_undone() {
    for (packed, way) in [(make::deflate(&MARK.repeat(9)), "raw"), (make::zlib(&MARK.repeat(9)), "zlib")] {
        let script = format!("<?php x('{}');", make::base64(&packed));
        assert_eq!(look_well("a.php", script.as_bytes()).holding(), ["base64@9", "[decoded]"], "{way}");
    }
}

#[test]
fn a_list_of_checksums_is_no_container() {
    let list: String =
        (0..20_000u64).map(|n| format!("{}  file {n}\n", khien_core::Sha256::of(&n.to_le_bytes()))).collect();

    assert!(look_well("SHA256SUMS", list.as_bytes()).files.is_empty());
}

#[test]
fn too_many_blobs_are_told() {
    let line = make::base64(&MARK.repeat(2));
    let page: String = (0..600).map(|_| format!("'{line}';\n")).collect();

    let (seen, outcome) = look("a.sql", page.as_bytes());

    assert_eq!(seen.files.len(), 512);
    assert_eq!(troubles(&outcome), [(String::new(), NotSeen::Entries)]);
}
