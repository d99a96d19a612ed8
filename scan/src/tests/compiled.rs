//! Rules that come compiled: signed with a pack, or made by the caller.

use khien_core::bundle::Form;
use khien_rules::compiled::Built;

use super::*;

#[test]
fn rules_of_others_run_compiled_and_are_told_of_each_file() {
    let pool = Tested::new();
    let text =
        "rule php { strings: $a = \"mark\" condition: $a and filename == \"a.php\" and owner == \"root\" }";
    let source = khien_core::bundle::Source { name: "a.yar".to_owned(), text: text.to_owned() };
    let foreign = khien_rules::foreign::compile(&[source]).unwrap();
    pool.runtime.block_on(pool.pool.load_compiled(Arc::new(foreign.pack), &foreign.compiled)).unwrap();
    let scan = |name: &str| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"a mark").unwrap();
        let path = Untrusted::from(name);
        let externals = Externals { path: path.clone(), owner: Some("root".into()) };
        let begun = pool.runtime.block_on(pool.pool.begin(file, path, Some(externals), false)).unwrap();
        pool.runtime.block_on(begun.ended()).scanned.outcome
    };

    assert_eq!(scan("/srv/a.php"), ScanOutcome::Matched);
    assert_eq!(scan("/srv/b.php"), ScanOutcome::Clean);
    assert_eq!(scan(&format!("/{}\u{1}/a.php", "\u{1}".repeat(4_000))), ScanOutcome::Matched);
}

#[test]
fn a_compiled_form_that_is_none_is_refused() {
    let pool = Tested::new();

    let refused = pool.runtime.block_on(pool.pool.load_compiled(Arc::new(marked_pack(2)), b"no rules"));

    assert!(matches!(refused, Err(Reason::RulesBroken { .. })), "{refused:?}");
    assert_eq!(pool.scan(MARK).scanned.outcome, ScanOutcome::Matched);
}

#[test]
fn a_compiled_form_is_loaded_and_finds_what_its_source_finds() {
    let pack = marked_pack(1);

    let mut worker = started(&pack, compiled(&pack, unchanged));

    assert_eq!(worker.way, Way::Compiled);
    assert_eq!(scanned(&mut worker, What::File, MARK).outcome, ScanOutcome::Matched);
    assert_eq!(scanned(&mut worker, What::File, b"nothing").outcome, ScanOutcome::Clean);
    assert_eq!(scanned(&mut worker, What::Stream, MARK).outcome, ScanOutcome::Clean);
    assert_eq!(scanned(&mut worker, What::Stream, b"x KHIEN-STREAM-MARK").outcome, ScanOutcome::Matched);
}

#[test]
fn a_compiled_form_altered_by_one_bit_is_never_loaded_and_the_rules_work() {
    let pack = marked_pack(1);
    let size = khien_rules::compiled::build(&pack).unwrap().bytes.len();

    for at in [0, size / 2, size - 1] {
        let mut worker = started(&pack, compiled(&pack, |bytes, _| bytes[at] ^= 1));

        assert!(
            matches!(worker.way, Way::Source { unusable: Some(_) }),
            "bit of byte {at}: {:?}",
            worker.way
        );
        assert_eq!(scanned(&mut worker, What::File, MARK).outcome, ScanOutcome::Matched);
    }
}

#[test]
fn a_compiled_form_that_is_cut_gone_or_another_is_never_loaded_and_the_rules_work() {
    let pack = marked_pack(1);
    let changes: [fn(&mut Vec<u8>, &mut Form); 4] = [
        |bytes, _| bytes.truncate(100),
        |bytes, _| bytes.clear(),
        // Signed, but not what it says it is.
        |bytes, form| {
            *bytes = b"not compiled rules".to_vec();
            (form.sha256, form.size) = (Sha256::of(bytes), bytes.len() as u64);
        },
        |_, form| form.inflated = 10,
    ];

    for change in changes {
        let mut worker = started(&pack, compiled(&pack, change));

        assert!(matches!(worker.way, Way::Source { unusable: Some(_) }), "{:?}", worker.way);
        assert_eq!(scanned(&mut worker, What::File, MARK).outcome, ScanOutcome::Matched);
    }
}

pub(super) fn started(pack: &Pack, compiled: Compiled) -> Process {
    Process::start(&program(), &Brought::new(pack, Some(compiled)).unwrap()).unwrap()
}

/// A compiled form whose bytes or description were changed after it was built.
pub(super) fn compiled(pack: &Pack, change: impl Fn(&mut Vec<u8>, &mut Form)) -> Compiled {
    let Built { mut form, mut bytes } = khien_rules::compiled::build(pack).unwrap();
    change(&mut bytes, &mut form);
    Compiled { file: file_of(&bytes), form }
}

fn scanned(worker: &mut Process, what: What, bytes: &[u8]) -> Scanned {
    let (limit, millis) = (1 << 20, 10_000);
    let request = ScanRequest { number: 7, what, limit, millis, digest: false, externals: None };
    match worker.ask(&Request::Scan(request), file_of(bytes).as_fd(), SOON) {
        Ok(Reply::Scanned(reply)) if reply.number == 7 => reply.scanned,
        other => panic!("{other:?}"),
    }
}

pub(super) fn unchanged(_: &mut Vec<u8>, _: &mut Form) {}
