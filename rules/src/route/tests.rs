//! Proofs against the engine: what the engine says matches, the table must have let through.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use super::{
    Part, Routed, Scanner,
    need::Need,
    plan,
    table::{Memory, Parts, Table},
};

mod files;
mod generate;
mod shown;

use generate::Dice;
use shown::shown;

/// Cases that run always. `KHIEN_ROUTING_CASES` asks for more.
const CASES: u64 = 60;
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

#[test]
fn a_rule_that_matches_was_never_ruled_out() {
    let cases = std::env::var("KHIEN_ROUTING_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(CASES);
    let first = std::env::var("KHIEN_ROUTING_FIRST").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    let (mut matched, mut skipped, mut asked) = (0_u64, 0_u64, 0_u64);

    for case in first..first + cases {
        let mut dice = Dice::new(case);
        let source = accepted(&generate::rules(&mut dice, 50));
        let files: Vec<_> = (0..40).map(|_| files::file(&mut dice)).collect();
        let (m, s, a) = check_each_rule(&source, &files, case);
        matched += m;
        skipped += s;
        asked += a;
    }

    assert!(matched * 50 > asked, "too few rules match to prove anything: {matched} of {asked}");
    assert!(skipped * 5 > asked, "too few rules are ruled out to prove anything: {skipped} of {asked}");
}

#[test]
fn groups_find_what_one_engine_finds_and_show_the_same_places() {
    for case in 1_000..1_004 {
        let mut dice = Dice::new(case);
        let source = accepted(&generate::rules(&mut dice, 150));
        let parts = [Part { namespace: "default", text: &source }];
        let routed = Routed::compile(&parts, &compiler).unwrap();
        let routed = Routed::deserialize(&routed.serialize().unwrap()).unwrap();
        let whole = Routed::whole(&parts, &compiler).unwrap();
        assert!(routed.groups.len() > 3 && routed.rules().count() == whole.rules().count());
        let (mut one, mut other) = (routed.scanner(), whole.scanner());

        for _ in 0..60 {
            let bytes = files::file(&mut dice);
            assert_eq!(
                shown(&mut one, &bytes),
                shown(&mut other, &bytes),
                "case {case}: {bytes:?}\n{source}"
            );
        }
    }
}

/// Gives each family of rules a group of its own and asks the table for each file. Returns how many rules matched, how
/// many were ruled out, and how many there were.
fn check_each_rule(source: &str, files: &[Vec<u8>], case: u64) -> (u64, u64, u64) {
    let parts = [Part { namespace: "default", text: source }];
    let families = plan::proved(&parts).unwrap();
    let mut totals = (0, 0, 0);
    let whole = Routed::whole(&parts, &compiler).unwrap();
    let mut engine = whole.scanner();
    for some in families.chunks(60) {
        let needs: Vec<(Need, u8)> = some
            .iter()
            .enumerate()
            .map(|(at, (_, need))| (need.clone(), u8::try_from(at).unwrap()))
            .collect();
        let (table, mut memory) = (Table::new(Parts::of(&needs)), Memory::default());
        for bytes in files {
            let on = table.groups(bytes, &mut memory);
            let found = engine.scan(bytes, TIMEOUT, |r| Some(r.identifier().to_owned())).unwrap();
            for (at, (names, need)) in some.iter().enumerate() {
                let matches = names.iter().any(|n| found.contains(n));
                let let_through = (on >> at) & 1 != 0;
                assert!(
                    !matches || let_through,
                    "case {case}: {names:?} matches but was ruled out by {need:?}\n{bytes:?}\n{source}"
                );
                totals = (totals.0 + u64::from(matches), totals.1 + u64::from(!let_through), totals.2 + 1);
            }
        }
    }
    totals
}

/// Keeps the rules that the engine takes.
fn accepted(rules: &[String]) -> String {
    let imports = "import \"pe\"\nimport \"elf\"\nimport \"dotnet\"\nimport \"math\"\nimport \"hash\"\n";
    let mut trial = compiler();
    trial.add_source(imports).unwrap();
    let kept = rules.iter().filter(|rule| trial.add_source(rule.as_str()).is_ok());
    kept.fold(imports.to_owned(), |all, rule| all + rule + "\n")
}

fn compiler() -> yara_x::Compiler<'static> {
    let mut compiler = yara_x::Compiler::new();
    compiler.enable_includes(false);
    compiler
}
