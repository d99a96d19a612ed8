//! Copies are sealed while they are taken.

use khien_core::{
    SealKey,
    seal::{self, OpenKey, SEED},
};

use super::*;
use crate::respond::evidence::{Staged, Taking};

fn key() -> OpenKey {
    OpenKey::from_seed(&[7; SEED])
}

/// How the tests take a copy: sealed to a key that they have.
pub(crate) fn taking(order: OrderId, leave: Leave) -> Taking {
    Taking { order, key: key().public(), leave }
}

/// Opens a copy as the hub does.
pub(crate) fn opened(staged: &Staged) -> Vec<u8> {
    let mut plain = Vec::new();
    let known = seal::open(&staged.read(0, usize::MAX).unwrap()[..], &key(), &mut plain).unwrap();
    assert_eq!((known.sha256, known.size), (staged.preserved.sha256, staged.preserved.size));
    plain
}

#[test]
fn evidence_is_the_bytes_that_were_named_even_if_the_file_goes() {
    let host = Host::new();
    let file = host.drop_shell();
    let order = OrderId([1; 16]);
    let (act, look) = (taking(order, Leave::Act), taking(order, Leave::Look));

    let first = host.responder.stage(&act, &file).unwrap();
    fs::remove_file(host.file()).unwrap();
    let again = host.responder.stage(&act, &file).unwrap();

    assert_eq!(again.preserved, first.preserved);
    assert_eq!((opened(&again), again.sealed), (SHELL.to_vec(), seal::sealed_size(SHELL.len() as u64)));
    let pieces = [again.read(0, 5).unwrap(), again.read(5, 1_000).unwrap()].concat();
    assert_eq!(
        pieces,
        first.read(0, usize::MAX).unwrap(),
        "what was sent before a cut fits what is sent after"
    );
    assert!(host.responder.stage(&look, &file).is_ok(), "it was taken in time");
    host.responder.let_go(order);
    assert_eq!(host.responder.stage(&act, &file).unwrap_err(), Reason::FileNotThere);
    assert_eq!(host.responder.stage(&look, &file).unwrap_err(), Reason::ExpiredBefore);
}

#[test]
fn nothing_that_can_be_read_lies_on_the_disk_while_a_copy_is_taken_or_after() {
    let host = Host::new();
    let order = OrderId([1; 16]);
    let marker = b"mat khau cua nguoi dung";
    let evidence = host.responder.evidence.clone();
    let readable = || {
        let files = fs::read_dir(&evidence).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
        files.filter(|bytes| bytes.windows(marker.len()).any(|window| window == marker)).count()
    };

    let staged = host.responder.stage_made(&taking(order, Leave::Act), &"packets.pcapng".into(), |out| {
        for _ in 0..5_000 {
            out.write_all(marker)?;
        }
        out.flush()?;
        assert_eq!((fs::read_dir(&evidence)?.count(), readable()), (1, 0), "while it is taken");
        Ok(1)
    });

    assert_eq!(opened(&staged.unwrap()), marker.repeat(5_000));
    assert_eq!((fs::read_dir(&evidence).unwrap().count(), readable()), (1, 0));
}

#[test]
fn a_copy_that_is_open_cut_or_sealed_to_another_key_is_taken_anew() {
    let host = Host::new();
    let file = host.drop_shell();
    let act = taking(OrderId([1; 16]), Leave::Act);
    let look = Taking { leave: Leave::Look, ..act };
    let place = host.responder.evidence.join(act.order.to_string());
    host.responder.stage(&act, &file).unwrap();
    let whole = fs::read(&place).unwrap();

    for wrong in [SHELL, &SHELL.repeat(10), &whole[..whole.len() - 1], &whole[1..], b""] {
        fs::write(&place, wrong).unwrap();
        assert_eq!(host.responder.stage(&look, &file).unwrap_err(), Reason::ExpiredBefore);
        assert_eq!(opened(&host.responder.stage(&act, &file).unwrap()), SHELL);
    }
    let other = Taking { key: OpenKey::from_seed(&[8; SEED]).public(), ..act };
    assert_eq!(
        host.responder.stage(&Taking { leave: Leave::Look, ..other }, &file).unwrap_err(),
        Reason::ExpiredBefore
    );
    host.responder.stage(&other, &file).unwrap();
    assert_eq!(host.responder.stage(&look, &file).unwrap_err(), Reason::ExpiredBefore);
}

#[test]
fn a_key_to_which_nothing_can_be_sealed_leaves_nothing_behind() {
    let host = Host::new();
    let file = host.drop_shell();
    let bad = Taking { key: SealKey([0; 32]), ..taking(OrderId([1; 16]), Leave::Act) };

    assert_eq!(host.responder.stage(&bad, &file).unwrap_err(), Reason::NoEvidenceKey);

    assert_eq!(fs::read_dir(&host.responder.evidence).unwrap().count(), 0);
}
