//! Evidence that is no file's copy.

use super::*;

#[test]
fn evidence_that_was_made_once_is_not_made_again_and_of_nothing_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().canonicalize().unwrap();
    let responder = Responder { quarantine: home.join("quarantine"), evidence: home.join("evidence"), home };
    fs::create_dir_all(&responder.evidence).unwrap();
    let (order, name) = (khien_core::OrderId([7; 16]), "packets-60s.pcapng".into());
    let make = |leave, text: &'static [u8]| {
        let write = |out: &mut dyn std::io::Write| out.write_all(text).map(|()| text.len());
        responder.stage_made(&taking(order, leave), &name, write).map(|staged| staged.preserved.sha256)
    };

    assert_eq!(make(Leave::Act, b""), Err(Reason::NoSuchPackets));
    assert_eq!(make(Leave::Look, b"one"), Err(Reason::ExpiredBefore));
    assert_eq!(make(Leave::Act, b"one"), Ok(Sha256::of(b"one")));
    assert_eq!(make(Leave::Act, b"two"), Ok(Sha256::of(b"one")), "memory has moved on, the file has not");
    responder.let_go(order);
    assert_eq!(fs::read_dir(&responder.evidence).unwrap().count(), 0);
}
