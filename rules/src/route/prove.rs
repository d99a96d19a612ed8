//! Proves from a rule's condition what a file must be like for the rule to match.
//!
//! Every case here is a step that holds for all files; whatever is not named proves nothing. `not`, `none`, zero and
//! what may be undefined without making the whole false are left alone on purpose.

use std::collections::{HashMap, HashSet};

use yara_x_parser::ast::{
    BinaryExpr, Expr, ForIn, ForOf, FuncCall, Iterable, MatchAnchor, Of, OfItems, PatternMatch, PatternSet,
    Quantifier, Rule, With,
};

use super::{
    need::Need,
    pattern::{self, Known},
};

/// Nesting of a condition that is followed.
const MAX_DEPTH: usize = 60;

/// Fields of `pe` that have no value in a file that does not begin with `MZ`, so that every comparison with one fails.
const PE: &[&str] = &[
    "machine",
    "subsystem",
    "os_version",
    "subsystem_version",
    "image_version",
    "linker_version",
    "opthdr_magic",
    "characteristics",
    "dll_characteristics",
    "timestamp",
    "image_base",
    "checksum",
    "base_of_code",
    "base_of_data",
    "entry_point",
    "entry_point_raw",
    "dll_name",
    "export_timestamp",
    "section_alignment",
    "file_alignment",
    "size_of_optional_header",
    "size_of_code",
    "size_of_image",
    "size_of_headers",
    "number_of_symbols",
    "number_of_sections",
    "number_of_resources",
    "number_of_imports",
    "number_of_exports",
    "number_of_signatures",
    "number_of_imported_functions",
    "number_of_version_infos",
    "sections",
    "resources",
    "version_info",
    "signatures",
    "pdb_path",
];
/// Calls on `pe` that are false or have no value in a file that does not begin with `MZ`.
const PE_CALLS: &[&str] = &["is_dll", "is_32bit", "is_64bit", "imports", "exports", "locale", "language"];
/// Fields of `elf` that have no value in a file that does not begin with its magic bytes.
const ELF: &[&str] = &[
    "type",
    "machine",
    "osabi",
    "entry_point",
    "number_of_sections",
    "number_of_segments",
    "sections",
    "segments",
    "symtab",
    "dynsym",
    "dynamic",
    "sh_offset",
    "ph_offset",
    "symtab_entries",
    "dynsym_entries",
];
/// Fields of `dotnet`, which are read from a PE only.
const DOTNET: &[&str] = &[
    "module_name",
    "version",
    "number_of_streams",
    "number_of_guids",
    "number_of_resources",
    "number_of_classes",
    "streams",
    "guids",
    "resources",
    "classes",
    "assembly_refs",
    "modulerefs",
    "user_strings",
    "typelib",
];

/// What is known while a condition is read.
pub(crate) struct Prover<'a> {
    patterns: Vec<(&'a str, Known)>,
    /// The needs of the rules that came before, by name.
    rules: &'a HashMap<String, Need>,
    modules: &'a HashSet<String>,
    locals: Vec<&'a str>,
    /// What `$` stands for inside `for … of`.
    each: Option<Need>,
}

/// Proves what a rule needs.
pub(crate) fn rule<'a>(
    rule: &'a Rule<'a>,
    rules: &'a HashMap<String, Need>,
    modules: &'a HashSet<String>,
) -> Need {
    let patterns = rule.patterns.iter().flatten().map(|p| (bare(p.identifier().name), pattern::known(p)));
    let mut prover = Prover { patterns: patterns.collect(), rules, modules, locals: Vec::new(), each: None };
    prover.truth(&rule.condition, 0)
}

/// Returns a pattern's name without its sign.
fn bare(name: &str) -> &str {
    name.trim_start_matches(['$', '#', '@', '!'])
}

impl<'a> Prover<'a> {
    /// Returns what holds when the expression is true.
    fn truth(&mut self, expr: &'a Expr<'a>, depth: usize) -> Need {
        if depth > MAX_DEPTH {
            return Need::always();
        }
        let below = depth + 1;
        match expr {
            Expr::And(parts) => {
                parts.operands().fold(Need::always(), |all, part| all.and(self.truth(part, below)))
            }
            Expr::Or(parts) => {
                parts.operands().fold(Need::never(), |all, part| all.or(self.truth(part, below)))
            }
            Expr::PatternMatch(found) => self.occurs_at(found),
            Expr::PatternCount(count) => self.occurs(count.identifier.name),
            Expr::Of(of) => self.of(of, below),
            Expr::ForOf(each) => self.for_of(each, below),
            Expr::ForIn(each) => self.for_in(each, below),
            Expr::With(with) => self.with(with, below),
            Expr::Ident(name) if !self.locals.contains(&name.name) => {
                self.rules.get(name.name).cloned().unwrap_or_else(Need::always)
            }
            Expr::FieldAccess(_) | Expr::Lookup(_) => self.field(expr, true),
            Expr::FuncCall(call) => self.call(call),
            Expr::Eq(pair) => self.compare(pair, "=="),
            Expr::Ne(pair) => self.compare(pair, "!="),
            Expr::Lt(pair) => self.compare(pair, "<"),
            Expr::Le(pair) => self.compare(pair, "<="),
            Expr::Gt(pair) => self.compare(pair, ">"),
            Expr::Ge(pair) => self.compare(pair, ">="),
            Expr::Contains(pair)
            | Expr::IContains(pair)
            | Expr::StartsWith(pair)
            | Expr::IStartsWith(pair)
            | Expr::EndsWith(pair)
            | Expr::IEndsWith(pair)
            | Expr::IEquals(pair)
            | Expr::Matches(pair) => self.field(&pair.lhs, false),
            _ => Need::always(),
        }
    }

    fn pattern(&self, name: &str) -> Option<&Known> {
        self.patterns.iter().find(|(n, _)| *n == bare(name)).map(|(_, known)| known)
    }

    /// Returns what holds when a pattern occurs, or in a loop the one of the loop.
    fn occurs(&self, name: &str) -> Need {
        if bare(name).is_empty() {
            return self.each.clone().unwrap_or_else(Need::always);
        }
        self.pattern(name).map_or_else(Need::always, |known| known.need.clone())
    }

    fn occurs_at(&self, found: &PatternMatch<'_>) -> Need {
        let name = found.identifier.name;
        let occurs = self.occurs(name);
        let Some(MatchAnchor::At(at)) = &found.anchor else { return occurs };
        let start = self.pattern(name).and_then(|known| known.start.as_deref());
        match (number(&at.expr), start) {
            (Some(offset), Some(start)) if !bare(name).is_empty() => occurs.and(Need::head(offset, start)),
            _ => occurs,
        }
    }

    fn of(&mut self, of: &'a Of<'a>, depth: usize) -> Need {
        let needs: Vec<_> = match &of.items {
            OfItems::PatternSet(set) => self.set(set),
            OfItems::BoolExprTuple(items) => items.iter().map(|e| self.truth(e, depth)).collect(),
        };
        match least(&of.quantifier, needs.len()) {
            Some(n) => Need::at_least(n, needs),
            None => Need::always(),
        }
    }

    fn set(&self, set: &PatternSet<'_>) -> Vec<Need> {
        let wanted = |name: &str| match set {
            PatternSet::Them { .. } => true,
            PatternSet::Set(items) => items.iter().any(|item| {
                let item_name = bare(item.identifier);
                if item.wildcard { name.starts_with(item_name) } else { name == item_name }
            }),
        };
        self.patterns.iter().filter(|(name, _)| wanted(name)).map(|(_, known)| known.need.clone()).collect()
    }

    /// The body holds for at least one pattern of the set; so `$` in it means: one of them occurs.
    fn for_of(&mut self, each: &'a ForOf<'a>, depth: usize) -> Need {
        let needs = self.set(&each.pattern_set);
        if least(&each.quantifier, needs.len()).is_none() {
            return Need::always();
        }
        let before = self.each.replace(Need::at_least(1, needs));
        let body = self.truth(&each.body, depth);
        self.each = before;
        body
    }

    fn for_in(&mut self, each: &'a ForIn<'a>, depth: usize) -> Need {
        // A loop over nothing is not trusted to be false when all must hold.
        if matches!(each.quantifier, Quantifier::All { .. }) || least(&each.quantifier, 1).is_none() {
            return Need::always();
        }
        let over = match &each.iterable {
            Iterable::Expr(expr) => self.field(expr, false),
            _ => Need::always(),
        };
        let names = each.variables.iter().map(|v| v.name);
        over.and(self.inside(names, &each.body, depth))
    }

    fn with(&mut self, with: &'a With<'a>, depth: usize) -> Need {
        let names = with.declarations.iter().map(|d| d.identifier.name);
        self.inside(names, &with.body, depth)
    }

    fn inside(&mut self, names: impl Iterator<Item = &'a str>, body: &'a Expr<'a>, depth: usize) -> Need {
        let before = self.locals.len();
        self.locals.extend(names);
        let need = self.truth(body, depth);
        self.locals.truncate(before);
        need
    }

    /// A comparison with something that has no value is false.
    fn compare(&self, pair: &'a BinaryExpr<'a>, sign: &str) -> Need {
        let turned = match sign {
            "<" => ">",
            "<=" => ">=",
            ">" => "<",
            ">=" => "<=",
            same => same,
        };
        let (left, right) = (&pair.lhs, &pair.rhs);
        let known = match (number(left), number(right)) {
            (None, Some(n)) => self.measured(left, sign, n),
            (Some(n), None) => self.measured(right, turned, n),
            _ => Need::always(),
        };
        let sides = [left, right].map(|side| self.side(side));
        sides.into_iter().fold(known, Need::and)
    }

    /// Returns what holds when one side of a comparison has a value.
    fn side(&self, side: &'a Expr<'a>) -> Need {
        match side {
            Expr::PatternOffset(place) | Expr::PatternLength(place) => self.occurs(place.identifier.name),
            Expr::FuncCall(call)
                if call.identifier.name == "imphash" && self.module_of(call) == Some("pe") =>
            {
                mz()
            }
            _ => self.field(side, false),
        }
    }

    fn measured(&self, what: &Expr<'_>, sign: &str, n: u64) -> Need {
        match what {
            Expr::Filesize { .. } => sized(sign, n),
            Expr::PatternCount(count) => match (sign, n) {
                (">", _) | (">=" | "==", 1..) | ("!=", 0) => self.occurs(count.identifier.name),
                _ => Need::always(),
            },
            Expr::FuncCall(call) if sign == "==" => read_at(call, n),
            _ => Need::always(),
        }
    }

    /// Returns what holds when a module's field has a value, or is true.
    fn field(&self, expr: &Expr<'_>, as_truth: bool) -> Need {
        let Some((module, field)) = root(expr, 0) else { return Need::always() };
        if !self.modules.contains(module) || self.locals.contains(&module) {
            return Need::always();
        }
        match module {
            "pe" if PE.contains(&field) || (as_truth && field == "is_pe") => mz(),
            "dotnet" if DOTNET.contains(&field) || (as_truth && field == "is_dotnet") => mz(),
            "elf" if ELF.contains(&field) => Need::head(0, b"\x7fELF"),
            _ => Need::always(),
        }
    }

    fn call(&self, call: &FuncCall<'_>) -> Need {
        let proves = self.module_of(call) == Some("pe") && PE_CALLS.contains(&call.identifier.name);
        if proves { mz() } else { Need::always() }
    }

    /// Returns the module that a call is made on directly.
    fn module_of<'e>(&self, call: &'e FuncCall<'_>) -> Option<&'e str> {
        let Some(Expr::Ident(module)) = &call.object else { return None };
        let is_module = self.modules.contains(module.name) && !self.locals.contains(&module.name);
        is_module.then_some(module.name)
    }
}

fn mz() -> Need {
    Need::head(0, b"MZ")
}

fn sized(sign: &str, n: u64) -> Need {
    match sign {
        "<" if n > 0 => Need::size(0, n - 1),
        "<=" => Need::size(0, n),
        ">" => Need::size(n.saturating_add(1), u64::MAX),
        ">=" => Need::size(n, u64::MAX),
        "==" => Need::size(n, n),
        _ => Need::always(),
    }
}

/// Returns how many must hold, if that is at least one for sure.
fn least(quantifier: &Quantifier<'_>, all: usize) -> Option<usize> {
    match quantifier {
        Quantifier::None { .. } => None,
        Quantifier::Any { .. } => Some(1),
        Quantifier::All { .. } => Some(all.max(1)),
        Quantifier::Percentage(share) => number(share).filter(|n| *n > 0).map(|_| 1),
        Quantifier::Expr(count) => number(count).filter(|n| *n > 0).and_then(|n| usize::try_from(n).ok()),
    }
}

/// Returns a number that is written out.
fn number(expr: &Expr<'_>) -> Option<u64> {
    match expr {
        Expr::LiteralInteger(literal) if !literal.is_unsigned => u64::try_from(literal.value).ok(),
        _ => None,
    }
}

/// Returns the module and the field that an access begins with.
fn root<'e>(expr: &'e Expr<'_>, depth: usize) -> Option<(&'e str, &'e str)> {
    if depth > MAX_DEPTH {
        return None;
    }
    match expr {
        Expr::Lookup(lookup) => root(&lookup.primary, depth + 1),
        Expr::FieldAccess(path) => match path.as_slice() {
            [Expr::Ident(module), Expr::Ident(field), ..] => Some((module.name, field.name)),
            [Expr::Ident(module), Expr::Lookup(lookup), ..] => match &lookup.primary {
                Expr::Ident(field) => Some((module.name, field.name)),
                _ => None,
            },
            [first, ..] => root(first, depth + 1),
            [] => None,
        },
        _ => None,
    }
}

/// Returns the bytes that a call such as `uint16(0)` must have read to be equal to a number.
fn read_at(call: &FuncCall<'_>, n: u64) -> Need {
    let (None, [offset]) = (&call.object, &call.args[..]) else { return Need::always() };
    let (Some(offset), name) = (number(offset), call.identifier.name) else { return Need::always() };
    let (width, most) = match name {
        "uint8" | "uint8be" => (1, 0xff),
        "int8" | "int8be" => (1, 0x7f),
        "uint16" | "uint16be" => (2, 0xffff),
        "int16" | "int16be" => (2, 0x7fff),
        "uint32" | "uint32be" => (4, 0xffff_ffff),
        "int32" | "int32be" => (4, 0x7fff_ffff),
        _ => return Need::always(),
    };
    if n > most {
        return Need::always();
    }
    let big = n.to_be_bytes();
    let mut bytes = big[big.len() - width..].to_vec();
    if !name.ends_with("be") {
        bytes.reverse();
    }
    Need::head(offset, &bytes)
}
