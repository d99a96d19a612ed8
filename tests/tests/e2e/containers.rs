//! Detect what lies inside files: an attachment of an official message, an archive with a password.

use std::fs;

use data_encoding::BASE64;

use crate::harness::{Site, is_at, web_shell};

/// One stored file of a zip: its bytes, and what its flags say.
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a str,
    pub(crate) bytes: &'a [u8],
    pub(crate) flags: u16,
}

#[test]
fn a_web_shell_deep_inside_an_official_message_is_an_alert_with_its_way_in() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let shell = web_shell("inside");
    let docx = zip(&[
        Entry { name: "[Content_Types].xml", bytes: b"<Types/>", flags: 0 },
        Entry { name: "word/embeddings/x.php", bytes: shell.as_bytes(), flags: 0 },
    ]);
    let attachment = zip(&[Entry { name: "thongbao.docx", bytes: &docx, flags: 0 }]);

    let path = site.write("cong-van.edxml", &edxml("thongbao.docx", &attachment));

    let alert = up.alert("alert inside a message", |a| is_at(a, &path));
    assert_eq!(alert["rule"], "webshell.php.request_exec", "{alert}");
    let inside = serde_json::json!(["thongbao.docx", "word/embeddings/x.php"]);
    assert_eq!(alert["file"]["inside"], inside, "{alert}");
    let id = alert["id"].to_string();
    let (code, shown, err) = site.cli(&["alert", "show", id.trim_matches('"')]);
    assert_eq!(code, 0, "{err}");
    let way = "cong-van.edxml › thongbao.docx › word/embeddings/x.php";
    assert!(shown.contains(way), "{shown}");
}

#[test]
fn an_archive_with_a_password_is_told_as_not_scanned() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let path = site.web.join("mat.zip");

    fs::write(&path, zip(&[Entry { name: "bao-cao.docx", bytes: b"twelve bytes and more", flags: 1 }]))
        .unwrap();

    let alert = up.alert("alert about an archive", |a| is_at(a, &path) && a["rule"] == "khien.scan.failed");
    assert_eq!(alert["what"]["en"], "bao-cao.docx: it has a password", "{alert}");
    assert_eq!(alert["what"]["vi"], "bao-cao.docx: có mật khẩu", "{alert}");
}

fn edxml(name: &str, attachment: &[u8]) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<edXML xmlns=\"http://www.mic.gov.vn/TBT/QCVN_102_2016\">\
         <AttachmentEncoded><Attachment><AttachmentName>{name}</AttachmentName><edXML:ContentTransferEncoded \
         xmlns:edXML=\"http://www.mic.gov.vn/TBT/QCVN_102_2016\">{}</edXML:ContentTransferEncoded></Attachment>\
         </AttachmentEncoded></edXML>\n",
        BASE64.encode(attachment)
    )
}

pub(crate) fn zip(entries: &[Entry<'_>]) -> Vec<u8> {
    let (mut bytes, mut list) = (Vec::new(), Vec::new());
    for Entry { name, bytes: content, flags } in entries {
        let at = bytes.len() as u32;
        let size = (content.len() as u32).to_le_bytes();
        // Flags, method, time, date, sum, packed and unpacked size, lengths of the name and of what follows it.
        let common =
            [&flags.to_le_bytes()[..], &[0; 10], &size, &size, &(name.len() as u16).to_le_bytes(), &[0, 0]]
                .concat();
        bytes.extend([b"PK\x03\x04\x14\0", &common[..], name.as_bytes(), content].concat());
        let place = [&[0; 10][..], &at.to_le_bytes()].concat();
        list.extend([b"PK\x01\x02\x14\0\x14\0", &common[..], &place, name.as_bytes()].concat());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let (size, at) = ((list.len() as u32).to_le_bytes(), (bytes.len() as u32).to_le_bytes());
    [&bytes[..], &list, b"PK\x05\x06\0\0\0\0", &count, &count, &size, &at, &[0, 0]].concat()
}
