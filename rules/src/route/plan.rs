//! Divides the rules of a pack into groups that are compiled apart, so that few of them run on any one file.
//!
//! Rules that name each other stay together and in order, and a namespace with a global rule stays whole. Which group
//! a rule is in changes the cost of a scan and never its result.
//!
//! There are few groups: each that a file asks is one more pass of the engine over the file. Small files pay for conditions
//! and ask one or two groups, however many there are; in a file of megabytes nearly every group has a string. What a
//! server's files are not has a group that they never ask: rules for programs of Windows are half of a public collection. So
//! has a rule with expressions for every way in which words can be written: behind another rule's string it takes 300 µs for
//! a page of 3 KB in Vietnamese where all others take 50. CPU seconds with 6,000 generated rules (of which none alone uses
//! a module), on a busy machine, before these two were apart:
//!
//! ```text
//! groups                              3,000 files < 64 KiB   200 files < 1 MB   14 files of 1 to 12 MB
//! 12, cut by chance and number                1.2                                        2.1
//!  4, rare strings in two                     1.3                  1.1                   1.6
//!  3, as here                                 1.3                  1.2                   1.5
//!  2, those with a head with the often        1.7                  1.2                   1.4
//!  the engine alone                        5.5 to 7.1           2.1 to 2.3            1.2 to 1.7
//! ```
//! In turns in one process, files of megabytes cost 1.06 to 1.22 times the engine alone (12 groups: 1.26 to 1.59). One
//! engine of all rules beside the groups, for large files, would save that, and take 10 MB more of compiled form, twice
//! the time to compile, and memory for both in each worker. One engine with a gate before each group costs 0.95 for small
//! files: it still prepares all patterns.

use std::collections::{BTreeSet, HashMap, HashSet};

use yara_x_parser::{
    Parser,
    ast::{AST, Item, RuleFlags},
    cst::{CSTStream, Event, SyntaxKind},
};

use super::{
    Part,
    need::{Head, Need},
    prove,
};

/// Packs with fewer rules than this are not worth more than two groups.
const FEW: usize = 64;
/// Kinds of groups.
const KINDS: usize = 5;
/// A rule of more bytes than this has expressions enough to cost more than all others together: one that lists the ways in
/// which words are written takes forty times as long over a page of such words as all else.
const LONG: usize = 16 << 10;
/// Groups for long rules.
const MOST_LONG: usize = 4;
/// From this guessed share of files on, a rule counts as one that often has to run.
const OFTEN: f32 = 0.02;

/// One rule of a source.
struct Unit<'s> {
    part: usize,
    text: &'s str,
    names: BTreeSet<&'s str>,
    name: &'s str,
    is_private: bool,
    is_global: bool,
    has_patterns: bool,
    need: Need,
}

/// Rules that must stay together.
struct Family {
    units: Vec<usize>,
    need: Need,
    uses_module: bool,
    /// Bytes of their text.
    length: usize,
}

/// One group: the sources to compile, and what its rules need.
pub(crate) struct Planned {
    pub(crate) sources: Vec<(usize, String)>,
    pub(crate) needs: Vec<Need>,
    pub(crate) has_patterns: bool,
}

/// Divides the rules. `None`: they cannot be taken apart, and are compiled in one piece.
pub(crate) fn groups(parts: &[Part<'_>]) -> Option<Vec<Planned>> {
    let (units, imports) = all_read(parts, &|| true)?;
    let groups = shared_out(families(parts, &units), units.len());
    Some(groups.into_iter().map(|group| planned(&group, &units, &imports)).collect())
}

/// Returns what the rules of each family need. `None`: they cannot be read, or it was not to go on.
pub(crate) fn needs(parts: &[Part<'_>], goes_on: &dyn Fn() -> bool) -> Option<Vec<Need>> {
    let (units, _) = all_read(parts, goes_on)?;
    Some(families(parts, &units).into_iter().map(|family| family.need).collect())
}

/// Returns each family's public rules and what it needs.
#[cfg(test)]
pub(crate) fn proved(parts: &[Part<'_>]) -> Option<Vec<(Vec<String>, Need)>> {
    let (units, _) = all_read(parts, &|| true)?;
    let names = |f: &Family| {
        f.units.iter().map(|at| &units[*at]).filter(|u| !u.is_private).map(|u| u.name.to_owned()).collect()
    };
    Some(families(parts, &units).into_iter().map(|f| (names(&f), f.need)).collect())
}

fn all_read<'s>(
    parts: &[Part<'s>],
    goes_on: &dyn Fn() -> bool,
) -> Option<(Vec<Unit<'s>>, Vec<BTreeSet<String>>)> {
    if !is_sorted_by_namespace(parts) {
        return None;
    }
    let mut units = Vec::new();
    let mut proved = Proved::default();
    for (at, part) in parts.iter().enumerate() {
        units.extend(read(at, part, &mut proved, goes_on)?);
    }
    Some((units, proved.imports))
}

/// Tells whether each namespace is one run of parts.
fn is_sorted_by_namespace(parts: &[Part<'_>]) -> bool {
    let mut seen = HashSet::new();
    parts.chunk_by(|a, b| a.namespace == b.namespace).all(|run| seen.insert(run[0].namespace))
}

/// What is known of the namespace that is being read.
#[derive(Default)]
struct Proved {
    namespace: String,
    rules: HashMap<String, Need>,
    modules: HashSet<String>,
    /// The modules that each part may use.
    imports: Vec<BTreeSet<String>>,
}

fn read<'s>(
    at: usize,
    part: &Part<'s>,
    proved: &mut Proved,
    goes_on: &dyn Fn() -> bool,
) -> Option<Vec<Unit<'s>>> {
    if !goes_on() {
        return None;
    }
    let ast = AST::from(part.text);
    if !ast.errors().is_empty() || ast.items().any(|item| matches!(item, Item::Include(_))) {
        return None;
    }
    if proved.namespace != part.namespace || at == 0 {
        proved.namespace = part.namespace.to_owned();
        proved.rules.clear();
        proved.modules.clear();
    }
    proved.modules.extend(ast.imports().map(|i| i.module_name.to_owned()));
    proved.imports.push(proved.modules.iter().cloned().collect());
    let mut units = places(at, part.text);
    if units.len() != ast.rules().count() {
        return None;
    }
    for (unit, rule) in units.iter_mut().zip(ast.rules()) {
        if unit.name != rule.identifier.name || !goes_on() {
            return None;
        }
        unit.is_private = rule.flags.contains(RuleFlags::Private);
        unit.is_global = rule.flags.contains(RuleFlags::Global);
        unit.has_patterns = rule.patterns.as_ref().is_some_and(|p| !p.is_empty());
        unit.need = prove::rule(rule, &proved.rules, &proved.modules);
        proved.rules.insert(unit.name.to_owned(), unit.need.clone());
    }
    Some(units)
}

/// Finds where each rule stands in a source, and every name that it mentions.
fn places(part: usize, text: &str) -> Vec<Unit<'_>> {
    let events =
        CSTStream::from(Parser::new(text.as_bytes())).whitespaces(false).newlines(false).comments(false);
    let mut units = Vec::new();
    let mut current: Option<(usize, Vec<&str>)> = None;
    for event in events {
        match (event, &mut current) {
            (Event::Begin { kind: SyntaxKind::RULE_DECL, span }, _) => {
                current = Some((span.start(), Vec::new()))
            }
            (Event::End { kind: SyntaxKind::RULE_DECL, span }, _) => {
                let Some((start, names)) = current.take() else { continue };
                units.extend(unit(part, text.get(start..span.end()), names));
            }
            (Event::Token { kind: SyntaxKind::IDENT, span }, Some((_, names))) => {
                names.extend(text.get(span.range()));
            }
            _ => {}
        }
    }
    units
}

fn unit<'s>(part: usize, text: Option<&'s str>, names: Vec<&'s str>) -> Option<Unit<'s>> {
    Some(Unit {
        part,
        text: text?,
        name: names.first()?,
        names: names.into_iter().collect(),
        is_private: false,
        is_global: false,
        has_patterns: false,
        need: Need::always(),
    })
}

/// Joins rules that name each other, and all rules of a namespace that has a global one.
fn families(parts: &[Part<'_>], units: &[Unit<'_>]) -> Vec<Family> {
    let place = |u: &Unit<'_>| parts[u.part].namespace;
    let by_name: HashMap<_, _> = units.iter().enumerate().map(|(at, u)| ((place(u), u.name), at)).collect();
    let global: HashMap<_, _> =
        units.iter().enumerate().filter(|(_, u)| u.is_global).map(|(at, u)| (place(u), at)).collect();
    let mut head: Vec<usize> = (0..units.len()).collect();
    for (at, unit) in units.iter().enumerate() {
        let named = unit.names.iter().filter_map(|n| by_name.get(&(place(unit), *n)));
        for other in named.chain(global.get(place(unit))) {
            let (a, b) = (top(&mut head, at), top(&mut head, *other));
            head[a.max(b)] = a.min(b);
        }
    }
    let mut families: HashMap<usize, Vec<usize>> = HashMap::new();
    for at in 0..units.len() {
        families.entry(top(&mut head, at)).or_default().push(at);
    }
    let mut families: Vec<_> = families.into_values().collect();
    families.sort();
    families.into_iter().map(|members| family(units, members)).collect()
}

fn top(head: &mut [usize], mut at: usize) -> usize {
    while head[at] != at {
        head[at] = head[head[at]];
        at = head[at];
    }
    at
}

fn family(units: &[Unit<'_>], members: Vec<usize>) -> Family {
    let of = || members.iter().map(|at| &units[*at]);
    let need = if of().any(|u| u.is_global) {
        Need::always()
    } else {
        of().filter(|u| !u.is_private).fold(Need::never(), |all, u| all.or(u.need.clone()))
    };
    let uses_module =
        of().any(|u| ["pe", "elf", "dotnet", "macho", "dex", "hash"].iter().any(|m| u.names.contains(m)));
    let length = of().map(|u| u.text.len()).sum();
    Family { units: members, need, uses_module, length }
}

/// Puts families into groups: those that run always or often, those that a file's head alone decides, those for programs
/// of Windows, those that make a module read the file, and the rest; long ones each for themselves.
fn shared_out(families: Vec<Family>, rules: usize) -> Vec<Vec<Family>> {
    let mut kinds: [Vec<Family>; KINDS] = Default::default();
    let mut long = Vec::new();
    for family in families {
        match kind(&family, rules) {
            kind if kind > 0 && family.length > LONG && long.len() < MOST_LONG => long.push(vec![family]),
            kind => kinds[kind].push(family),
        }
    }
    kinds.into_iter().filter(|group| !group.is_empty()).chain(long).collect()
}

fn kind(family: &Family, rules: usize) -> usize {
    let ways = &family.need.ways;
    let bare = |with_head: bool| ways.iter().any(|w| w.strings.is_none() && w.head.is_some() == with_head);
    match () {
        () if bare(false) => 0,
        () if rules < FEW => 2,
        () if ways.iter().all(|w| w.head.as_ref().is_some_and(Head::is_windows)) => 4,
        () if bare(true) => 1,
        () if family.uses_module => 3,
        () if family.need.chance() > OFTEN => 0,
        () => 2,
    }
}

/// Writes the sources of a group: the imports that its rules use, then the rules in their order.
fn planned(group: &[Family], units: &[Unit<'_>], imports: &[BTreeSet<String>]) -> Planned {
    let mut members: Vec<_> = group.iter().flat_map(|f| &f.units).copied().collect();
    members.sort_unstable();
    let mut sources = Vec::new();
    for run in members.chunk_by(|a, b| units[*a].part == units[*b].part) {
        let part = units[run[0]].part;
        let used =
            imports[part].iter().filter(|m| run.iter().any(|at| units[*at].names.contains(m.as_str())));
        let mut text: String = used.map(|m| format!("import \"{m}\"\n")).collect();
        for at in run {
            text.push_str(units[*at].text);
            text.push('\n');
        }
        sources.push((part, text));
    }
    let needs = group.iter().map(|f| f.need.clone()).collect();
    Planned { sources, needs, has_patterns: members.iter().any(|at| units[*at].has_patterns) }
}
