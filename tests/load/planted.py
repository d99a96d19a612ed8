"""Rules that match and the files in which they do, for a comparison of what scanners find: made, and always the same.

Each kind below is a shape of rules that public collections use. Of each there are some variants with words and numbers of their
own. A planted file holds what one or more of them look for, or what misses one by a hair.
"""

import base64, collections, getpass, hashlib, os, random, string, struct

from measure import WORDS

# Rules of one kind.
VARIANTS = 6
# Of so many planted files one misses.
MISSES = 5
# Written in rules of others as variables: each file has its own values.
NAMED = ("filename", "filepath", "extension", "filetype", "owner")

# What makes one rule: strings and condition, and what writes a file. `hit` and `miss` take the dice and noise and return the
# content; `name` is that of a file which matches.
Rule = collections.namedtuple("Rule", "name kind strings condition hit miss file imports before", defaults=(None, "", ""))


def word(dice, most=14):
    """Longer than any word of the noise, and in none."""
    return "".join(dice.choices(string.ascii_lowercase, k=dice.randint(9, most)))


def put(*parts):
    """Writes parts into noise, somewhere."""
    def write(dice, noise):
        at = dice.randrange(len(noise) + 1)
        given = b"".join(part(dice) if callable(part) else part for part in parts)
        return noise[:at] + b" " + given + b" " + noise[at:]
    return write


def head(*parts, least=0):
    """Writes parts before noise, of which there are at least so many bytes."""
    def write(dice, noise):
        given = b"".join(part(dice) if callable(part) else part for part in parts)
        return given + noise + bytes(max(least - len(given + noise), 0))
    return write


def sized(given, least, most):
    """Writes a part and as much noise as makes a file of this size."""
    def write(dice, noise):
        size = dice.randint(least, most)
        return (given + b" " + noise * (size // max(len(noise), 1) + 1))[:size]
    return write


def either(*ways):
    return lambda dice, noise: dice.choice(ways)(dice, noise)


def tail(given):
    return lambda dice, noise: noise + given


def mixed(text):
    return lambda dice: bytes(dice.choice((c, c ^ 0x20)) for c in text)


def xored(text, keys):
    def write(dice):
        key = dice.choice(keys)
        return bytes(c ^ key for c in text)
    return write


def coded(text, wide=False):
    """In base64, behind none, one or two other bytes."""
    def write(dice):
        given = base64.b64encode(dice.randbytes(dice.randrange(3)) + text + dice.randbytes(4))
        return utf16(given) if wide else given
    return write


def filler(least, most):
    return lambda dice: b"\x01" * dice.randint(least, most)


def utf16(text):
    return text.decode().encode("utf-16-le")


def hexed(text):
    return " ".join(f"{c:02X}" for c in text)


def pe(sections, stamp):
    """The headers of a Windows program with empty sections."""
    dos = b"MZ" + bytes(58) + struct.pack("<I", 0x80) + bytes(64)
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, sections, stamp, 0, 0, 0xF0, 0x22)
    optional = struct.pack("<HBBIIIIIQIIHHHHHHIIIIHHQQQQII", 0x20B, 14, 0, 0, 0, 0, 0, 0, 0x400000, 0x1000, 0x200, 6, 0, 0, 0, 6, 0, 0,
                           0x1000 * (sections + 1), 0x400, 0, 3, 0, 0x100000, 0x1000, 0x100000, 0x1000, 0, 16) + bytes(128)
    table = b"".join(struct.pack("<8sIIIIIIHHI", f".s{n}".encode(), 0x200, 0x1000 * (n + 1), 0, 0, 0, 0, 0, 0, 0x40000040)
                     for n in range(sections))
    return (dos + coff + optional + table).ljust(0x400, b"\0")


def elf(kind, machine):
    """The header of a program without sections."""
    return b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, 0, 0, 0, 0, 64, 0, 0, 0, 0, 0)


def strings(**given):
    return "".join(f"        ${name} = {value}\n" for name, value in given.items())


def kinds(dice, n):
    """Returns a rule of each kind."""
    a, b, c, d = (word(dice) for _ in range(4))
    A, B, C, D = (w.encode() for w in (a, b, c, d))
    text = {"a": f'"{a}"', "b": f'"{b}"', "c": f'"{c}"'}
    key, start, size, stamp = dice.randrange(1, 256), dice.randrange(4, 64), dice.randrange(2_000, 9_000), dice.randrange(1 << 30)
    one = lambda modifier: strings(a=f'"{a}" {modifier}')
    rule = lambda kind, *rest, **more: Rule(f"planted_{kind}_{n}", kind, *rest, **more)
    return [
        # Strings and their modifiers.
        rule("any", strings(**text), "any of them", either(put(A), put(B), put(C)), put(A[:-1])),
        rule("all", strings(**text), "all of them", put(B, b" ", C, b" ", A), put(B, b" ", A)),
        rule("some", strings(**text), "2 of ($a, $b, $c)", either(put(A, B), put(C, A)), put(B, B)),
        rule("nocase", one("nocase"), "$a", put(mixed(A)), put(mixed(A[:-1]), b"1")),
        rule("wide", one("wide"), "$a", put(utf16(A)), put(A)),
        rule("both", one("wide ascii"), "$a", either(put(utf16(A)), put(A)), put(utf16(A[:-1]))),
        rule("fullword", one("fullword"), "$a", put(b"(", A, b")"), put(b"x", A, b" ", A, b"0")),
        rule("xor", one("xor"), "$a", put(xored(A, range(1, 256))), put(xored(A[:-1], [key]))),
        rule("xor_range", one("xor(1-31)"), "$a", put(xored(A, range(1, 32))), put(xored(A, range(128, 256)))),
        rule("base64", one("base64"), "$a", put(coded(A)), put(coded(A[::-1]))),
        rule("base64wide", one("base64wide"), "$a", put(coded(A, True)), put(coded(A))),
        # Regular expressions.
        rule("regex", strings(a=f"/{a}[0-9]{{4,8}}{b}/"), "$a", put(A, b"12345", B), put(A, b"123", B)),
        rule("regex_or", strings(a=f"/({a}|{b})_[a-f0-9]{{6}}\\.php/ nocase"), "$a", either(put(mixed(A), b"_0fFa12.PHP"), put(B, b"_abcdef.php")),
             put(A, b"_abcdeg.php")),
        rule("regex_dot", strings(a=f"/{a}.{{2,40}}{b}/s"), "$a", put(A, b"\n\n", filler(0, 38), B), put(A, b"\n", B)),
        rule("regex_word", strings(a=f"/\\b{a}\\b/"), "$a", put(b"-", A, b"-"), put(b"_", A, b"-")),
        rule("regex_start", strings(a=f"/^{a}[ab]+{b}/"), "$a", head(A, b"abba", B), put(A, b"abba", B)),
        # Bytes.
        rule("hex", strings(a=f"{{ {hexed(A[:4])} ?? {hexed(B[:4])} 4? ?1 {hexed(C[:4])} }}"), "$a",
             put(A[:4], b"\xff", B[:4], b"\x4f\xf1", C[:4]), put(A[:4], b"\xff", B[:4], b"\x5f\xf1", C[:4])),
        rule("hex_jump", strings(a=f"{{ {hexed(A)} [4-12] {hexed(B)} }}"), "$a", put(A, filler(4, 12), B), put(A, filler(13, 40), B)),
        rule("hex_jumps", strings(a=f"{{ {hexed(A)} [2-6] {hexed(B)} [0-300] {hexed(C)} }}"), "$a",
             put(A, filler(2, 6), B, filler(0, 300), C), put(A, filler(2, 6), B, filler(301, 400), C)),
        rule("hex_far", strings(a=f"{{ {hexed(A)} [10-] {hexed(B)} }}"), "$a", put(A, filler(10, 900), B), put(A, filler(0, 9), B)),
        rule("hex_or", strings(a=f"{{ {hexed(A)} ( {hexed(B[:2])} | {hexed(C[:3])} ) {hexed(D)} }}"), "$a",
             either(put(A, B[:2], D), put(A, C[:3], D)), put(A, C[:2], D)),
        # Counts, offsets, lengths.
        rule("count", strings(a=text["a"]), "#a >= 3", put(A, b" ", A, b"-", A), put(A, b" ", A)),
        rule("count_is", strings(a=text["a"]), "#a == 2", put(A, b"--", A), put(A, b"--", A, b"--", A)),
        rule("count_in", strings(a=text["a"]), "#a in (0..200) == 2", head(A, b" ", A, filler(300, 400), A), head(A, filler(300, 400), A)),
        rule("order", strings(a=text["a"], b=text["b"]), "$a and $b and @a < @b", put(A, b" ", B), put(B, b" ", A)),
        rule("distance", strings(a=text["a"], b=text["b"]), "@b - @a == 40", put(A.ljust(40), B), put(A.ljust(41), B)),
        rule("length", strings(a=f"/{a}[0-9]+;/"), f"!a[1] == {len(a) + 8}", put(A, b"1234567;"), put(A, b"123456;")),
        rule("at", strings(a=text["a"]), f"$a at {start}", head(b"#" * start, A), head(b"#" * (start + 1), A)),
        rule("in", strings(a=text["a"]), "$a in (100..300)", head(filler(100, 280), A), head(filler(301, 900), A)),
        rule("from_end", strings(a=text["a"]), f"$a at filesize - {len(a)}", tail(A), tail(A + b"!")),
        # Numbers of the file, loops, negation, other rules.
        rule("between", strings(a=text["a"]), "$a and filesize > 3000 and filesize < 4000", sized(A, 3_001, 3_999), sized(A, 4_000, 5_000)),
        rule("size", strings(a=text["a"]), f"$a and filesize == {size}", sized(A, size, size), sized(A, size + 1, size + 1)),
        rule("number", strings(a=text["a"]), f"uint32be(4) == {0xC0DE0000 + key} and $a", head(b"HEAD\xc0\xde\0", bytes([key]), A),
             head(b"HEAD\xc0\xdf\0", bytes([key]), A)),
        rule("script", strings(a=text["a"]), "uint32be(0) == 0x3c3f7068 and $a", head(b"<?php\n// ", A), head(b"<!-- <?php\n// ", A)),
        rule("for_any", strings(a=text["a"]), f"for any i in (1..#a) : (uint8(@a[i] + {len(a)}) == 0x21)", put(A, b"? ", A, b"!"),
             put(A, b"? ", A, b".")),
        rule("for_all", strings(a=text["a"]), f"#a > 1 and for all i in (1..#a) : (uint8(@a[i] + {len(a)}) == 0x21)",
             put(A, b"! ", A, b"!"), put(A, b"! ", A, b".")),
        rule("for_of", strings(**text), "for 2 of ($a, $b, $c) : (# > 1)", put(A, b" ", A, b" ", C, b" ", C), put(A, b" ", A, b" ", C)),
        rule("for_bytes", "", f"for any i in (0..30) : (uint16be(i) == {0xEE00 + key} and uint16be(i + 2) == {0xB700 + key})",
             head(filler(1, 30), b"\xee", bytes([key]), b"\xb7", bytes([key])), head(filler(40, 90), b"\xee", bytes([key]), b"\xb7", bytes([key]))),
        rule("not", strings(a=text["a"], b=text["b"]), "$a and not $b", put(A), put(A, b" ", B)),
        rule("none", strings(a=text["a"], n1=text["b"], n2=text["c"]), "$a and none of ($n*)", put(A), put(A, b" ", C)),
        rule("other", strings(b=text["b"]), f"planted_part_{n} and $b", put(A, b" ", B), put(B),
             before=f'private rule planted_part_{n} {{ strings: $a = "{a}" condition: $a }}\n'),
        rule("entropy", strings(a=text["a"]), "$a and math.entropy(0, filesize) > 7.0", lambda dice, _: dice.randbytes(4_000) + A,
             lambda dice, _: b"x" * 4_000 + A, imports="math"),
        rule("hash", "", f'hash.sha256(0, {len(A)}) == "{hashlib.sha256(A).hexdigest()}"', head(A), head(A[:-1], b"!"), imports="hash"),
        # Programs.
        rule("mz", strings(a=text["a"]), "uint16(0) == 0x5A4D and filesize < 100KB and $a", head(b"MZ", filler(60, 90), A), head(b"ZM", A)),
        rule("pe_sign", strings(a=text["a"]), "uint16(0) == 0x5A4D and uint32(uint32(0x3C)) == 0x4550 and $a", head(pe(2, stamp), A),
             head(b"MZ", bytes(62), A, least=200)),
        rule("pe", strings(a=text["a"]), f"pe.number_of_sections == 3 and pe.timestamp == {stamp} and $a", head(pe(3, stamp), A),
             head(pe(3, stamp + 1), A), imports="pe"),
        rule("pe_section", "", f'pe.is_64bit() and for any s in pe.sections : (s.name == ".s4") and pe.timestamp == {stamp}',
             head(pe(5, stamp)), head(pe(4, stamp)), imports="pe"),
        rule("elf_magic", strings(a=text["a"]), "uint32(0) == 0x464c457f and $a", head(elf(2, 62), A), put(elf(2, 62), A)),
        rule("elf", strings(a=text["a"]), "elf.type == elf.ET_DYN and elf.machine == elf.EM_AARCH64 and $a", head(elf(3, 183), A),
             head(elf(2, 183), A), imports="elf"),
        # What a file is called, and whose it is.
        rule("named_file", strings(b=text["b"]), f'filename == "{a}.php" and $b', put(B), put(C), file=f"{a}.php"),
        rule("named_matches", strings(b=text["b"]), f"filename matches /^{a}[0-9]+\\.[a-z]{{3}}$/ and $b", put(B), put(C), file=f"{a}77.inc"),
        rule("named_ending", strings(b=text["b"]), f'extension == ".{c[:5]}" and $b', put(B), put(A), file=f"x{d}.{c[:5].upper()}"),
        rule("named_path", strings(b=text["b"]), f'filepath contains "/{a}/" and not extension == ".txt" and $b', put(B), put(C), file=f"{a}/f.x"),
        rule("named_kind", strings(b=text["b"]), 'filetype == "EXE" and $b', head(b"MZ", B), head(b"PK\3\4", B), file=f"{a}.scr"),
        rule("named_owner", strings(b=text["b"]), f'owner == "{getpass.getuser()}" and $b', put(B), put(C), file=f"{a}.own"),
    ]


def rules():
    """Returns all rules, each with words of its own."""
    count = len(kinds(random.Random(0), 0))
    return [kinds(random.Random(f"{n} {at}"), n)[at] for n in range(VARIANTS) for at in range(count)]


def write_rules(folder):
    """Writes them, a kind to a file. Returns how many there are."""
    os.makedirs(folder, exist_ok=True)
    made = rules()
    for kind in dict.fromkeys(rule.kind for rule in made):
        these = [rule for rule in made if rule.kind == kind]
        with open(os.path.join(folder, f"planted-{kind}.yar"), "w", encoding="ascii") as file:
            file.writelines(f'import "{name}"\n' for name in sorted({rule.imports for rule in these} - {""}))
            for rule in these:
                given = f"    strings:\n{rule.strings}" if rule.strings else ""
                file.write(f"{rule.before}rule {rule.name} {{\n{given}    condition:\n        {rule.condition}\n}}\n")
    return len(made)


def write_files(folder, count):
    """Writes files that hold what the rules look for, each rule in turn. Returns the pairs of rule and path that must match."""
    dice, made, wanted = random.Random(20261123), rules(), set()
    for n in range(count):
        rule, misses = made[n % len(made)], n // len(made) % MISSES == MISSES - 1
        noise = " ".join(dice.choices(WORDS, k=int(dice.lognormvariate(7.0, 1.0)) // 6 + 1)).encode()
        name = rule.file if rule.file else f"{n}.{dice.choice(('txt', 'php', 'bin', 'dat'))}"
        path = os.path.join(folder, f"{n // len(made):03d}", str(n), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write((rule.miss if misses else rule.hit)(dice, noise))
        if not misses:
            wanted.add((rule.name, path))
    return wanted
