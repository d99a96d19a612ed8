//! The header of a 7z: where the packed bytes are, how they were packed, and the names. Every count in it is held
//! against what is left of the header before anything is made of it.

use khien_core::event::NotSeen;

/// Coders of one folder; three are usual.
const MAX_CODERS: u64 = 8;
/// Folders, streams and files; more is met by the limit of entries in any case.
const MAX_COUNT: u64 = 1 << 16;
/// Bytes of a coder's properties.
const MAX_PROPERTIES: u64 = 256;

/// What a header says.
#[derive(Debug, Default)]
pub(super) struct Archive {
    pub(super) folders: Vec<Folder>,
    /// The names of the files that have bytes, in the order of the folders.
    pub(super) names: Vec<Vec<u8>>,
    /// The header itself is what the first folder holds.
    pub(super) is_packed_header: bool,
}

/// One stretch of packed bytes.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// Where it is, from the start of the archive, and how long.
    pub(super) packed: (u64, u64),
    /// What undoes it, in this order.
    pub(super) coders: Vec<Coder>,
    /// How many bytes it unpacks to.
    pub(super) size: u64,
    /// The sizes of the files in it.
    pub(super) files: Vec<u64>,
    /// Whether there is a checksum of all of it.
    has_sum: bool,
}

/// One step of undoing.
#[derive(Debug, Default, Clone)]
pub(super) struct Coder {
    pub(super) id: Vec<u8>,
    pub(super) properties: Vec<u8>,
    /// How many bytes come out of it.
    pub(super) size: u64,
}

type Read<T> = Result<T, NotSeen>;

struct Bytes<'a>(&'a [u8]);

/// Reads a header, or the note that it is packed and where.
pub(super) fn read(bytes: &[u8]) -> Read<Archive> {
    let mut bytes = Bytes(bytes);
    match bytes.byte()? {
        0x17 => Ok(Archive { folders: streams(&mut bytes)?, is_packed_header: true, ..Archive::default() }),
        1 => main(&mut bytes),
        _ => Err(NotSeen::Unreadable),
    }
}

fn main(bytes: &mut Bytes<'_>) -> Read<Archive> {
    let mut archive = Archive::default();
    loop {
        match bytes.byte()? {
            0 => return Ok(archive),
            2 => {
                while bytes.byte()? != 0 {
                    let len = bytes.number()?;
                    bytes.take(len)?;
                }
            }
            3 => drop(streams(bytes)?),
            4 => archive.folders = streams(bytes)?,
            5 => archive.names = files(bytes)?,
            _ => return Err(NotSeen::Unreadable),
        }
    }
}

fn streams(bytes: &mut Bytes<'_>) -> Read<Vec<Folder>> {
    let (mut packed, mut folders, mut before) = (Vec::new(), Vec::new(), 0);
    loop {
        let part = bytes.byte()?;
        // Each comes once, in this order: a part of two bytes that comes again would cost as much as all folders.
        if part != 0 && part <= std::mem::replace(&mut before, part) {
            return Err(NotSeen::Unreadable);
        }
        match part {
            0 => break,
            6 => packed = pack_info(bytes)?,
            7 => folders = folder_info(bytes)?,
            8 => files_in_folders(bytes, &mut folders)?,
            _ => return Err(NotSeen::Unreadable),
        }
    }
    let mut packed = packed.into_iter();
    for folder in &mut folders {
        // A folder that takes more than one stretch has no coders here, and takes its stretches along.
        let stretches = folder.packed.1;
        folder.packed = packed.next().ok_or(NotSeen::Unreadable)?;
        for _ in 1..stretches {
            packed.next().ok_or(NotSeen::Unreadable)?;
        }
        if folder.files.is_empty() && folder.size > 0 {
            folder.files.push(folder.size);
        }
    }
    Ok(folders)
}

fn pack_info(bytes: &mut Bytes<'_>) -> Read<Vec<(u64, u64)>> {
    let mut at = bytes.number()?.checked_add(super::START).ok_or(NotSeen::Unreadable)?;
    let count = bytes.count()?;
    let mut packed = Vec::new();
    loop {
        match bytes.byte()? {
            0 => return Ok(packed),
            9 => {
                for _ in 0..count {
                    let size = bytes.number()?;
                    packed.push((at, size));
                    at = at.checked_add(size).ok_or(NotSeen::Unreadable)?;
                }
            }
            10 => drop(bytes.sums(count)?),
            _ => return Err(NotSeen::Unreadable),
        }
    }
}

fn folder_info(bytes: &mut Bytes<'_>) -> Read<Vec<Folder>> {
    if bytes.byte()? != 11 {
        return Err(NotSeen::Unreadable);
    }
    let count = bytes.count()?;
    bytes.not_elsewhere()?;
    let mut chains = Vec::new();
    for _ in 0..count {
        chains.push(chain(bytes)?);
    }
    if bytes.byte()? != 12 {
        return Err(NotSeen::Unreadable);
    }
    let mut folders = Vec::new();
    for chain in chains {
        folders.push(with_sizes(bytes, chain)?);
    }
    loop {
        match bytes.byte()? {
            0 => return Ok(folders),
            10 => {
                let sums = bytes.sums(count)?;
                folders.iter_mut().zip(sums).for_each(|(folder, has_sum)| folder.has_sum = has_sum);
            }
            _ => return Err(NotSeen::Unreadable),
        }
    }
}

/// The coders of one folder as they are written, and the order in which they undo it.
struct Chain {
    coders: Vec<Coder>,
    order: Vec<usize>,
    outs: u64,
    /// The number of the last stream, that of the files.
    last: u64,
    stretches: u64,
}

fn chain(bytes: &mut Bytes<'_>) -> Read<Chain> {
    let count = bytes.number()?;
    if count == 0 || count > MAX_CODERS {
        return Err(NotSeen::Unreadable);
    }
    let (mut coders, mut ins, mut outs) = (Vec::new(), 0u64, 0u64);
    for _ in 0..count {
        let (coder, coder_ins, coder_outs) = coder(bytes)?;
        coders.push(coder);
        ins += coder_ins;
        outs += coder_outs;
    }
    let pairs = outs.checked_sub(1).ok_or(NotSeen::Unreadable)?;
    let mut bound = Vec::new();
    for _ in 0..pairs {
        bound.push((bytes.number()?, bytes.number()?));
    }
    let stretches = ins.checked_sub(pairs).ok_or(NotSeen::Unreadable)?;
    if stretches > 1 {
        for _ in 0..stretches {
            bytes.number()?;
        }
    }
    let last = (0..outs).find(|out| bound.iter().all(|(_, o)| o != out)).ok_or(NotSeen::Unreadable)?;
    let is_plain = ins == count && outs == count && stretches == 1;
    let order = if is_plain { order(&bound, last)? } else { Vec::new() };
    Ok(Chain { coders, order, outs, last, stretches })
}

/// Follows what is bound to what from the files back to the packed bytes.
fn order(bound: &[(u64, u64)], last: u64) -> Read<Vec<usize>> {
    let (mut order, mut at) = (Vec::new(), last);
    loop {
        order.push(usize::try_from(at).map_err(|_| NotSeen::Unreadable)?);
        if order.len() > bound.len() + 1 {
            return Err(NotSeen::Unreadable);
        }
        match bound.iter().find(|(input, _)| *input == at) {
            Some((_, output)) => at = *output,
            None => break,
        }
    }
    order.reverse();
    Ok(order)
}

fn coder(bytes: &mut Bytes<'_>) -> Read<(Coder, u64, u64)> {
    let flags = bytes.byte()?;
    let id = bytes.take(u64::from(flags & 0x0f))?.to_vec();
    let (ins, outs) = if flags & 0x10 == 0 { (1, 1) } else { (bytes.number()?, bytes.number()?) };
    if ins > 8 || outs > 8 {
        return Err(NotSeen::Unreadable);
    }
    let mut properties = Vec::new();
    if flags & 0x20 != 0 {
        let len = bytes.number()?;
        if len > MAX_PROPERTIES {
            return Err(NotSeen::Unreadable);
        }
        properties = bytes.take(len)?.to_vec();
    }
    Ok((Coder { id, properties, size: 0 }, ins, outs))
}

fn with_sizes(bytes: &mut Bytes<'_>, mut chain: Chain) -> Read<Folder> {
    let mut size = 0;
    for out in 0..chain.outs {
        let one = bytes.number()?;
        if out == chain.last {
            size = one;
        }
        let coder = usize::try_from(out).ok().and_then(|n| chain.coders.get_mut(n));
        coder.into_iter().for_each(|coder| coder.size = one);
    }
    let coders = if chain.order.is_empty() {
        // Not a chain: a coder that nothing here knows stands for it, with the others for what they tell.
        let unknown = Coder { id: vec![0xff], ..Coder::default() };
        std::iter::once(unknown).chain(chain.coders).collect()
    } else {
        chain.order.iter().filter_map(|n| chain.coders.get(*n).cloned()).collect()
    };
    Ok(Folder { packed: (0, chain.stretches), coders, size, ..Folder::default() })
}

fn files_in_folders(bytes: &mut Bytes<'_>, folders: &mut [Folder]) -> Read<()> {
    let mut counts = vec![1; folders.len()];
    let mut has_sizes = false;
    loop {
        match bytes.byte()? {
            0 => break,
            13 => {
                for count in &mut counts {
                    *count = bytes.count()?;
                }
            }
            9 if !has_sizes => {
                has_sizes = true;
                sizes(bytes, folders, &counts)?;
            }
            10 => {
                let own =
                    |(folder, count): (&Folder, &u64)| if folder.has_sum && *count == 1 { 0 } else { *count };
                let many = folders.iter().zip(&counts).map(own).try_fold(0u64, u64::checked_add);
                bytes.sums(many.ok_or(NotSeen::Unreadable)?)?;
            }
            _ => return Err(NotSeen::Unreadable),
        }
    }
    for (folder, count) in folders.iter_mut().zip(counts) {
        if count == 1 && (!has_sizes || folder.files.is_empty()) {
            folder.files = vec![folder.size];
        }
    }
    Ok(())
}

/// The last file of a folder has what the others leave.
fn sizes(bytes: &mut Bytes<'_>, folders: &mut [Folder], counts: &[u64]) -> Read<()> {
    for (folder, count) in folders.iter_mut().zip(counts) {
        let mut left = folder.size;
        for _ in 1..*count {
            let size = bytes.number()?;
            left = left.checked_sub(size).ok_or(NotSeen::Unreadable)?;
            folder.files.push(size);
        }
        if *count > 0 {
            folder.files.push(left);
        }
    }
    Ok(())
}

fn files(bytes: &mut Bytes<'_>) -> Read<Vec<Vec<u8>>> {
    let count = bytes.count()?;
    let (mut names, mut empty) = (Vec::new(), Vec::new());
    loop {
        let kind = bytes.byte()?;
        if kind == 0 {
            break;
        }
        let len = bytes.number()?;
        let mut field = Bytes(bytes.take(len)?);
        match kind {
            14 => empty = field.bits(count)?,
            17 => {
                field.not_elsewhere()?;
                names = field.names(count)?;
            }
            _ => {}
        }
    }
    let has_bytes = |n: &usize| !empty.get(*n).copied().unwrap_or(false);
    Ok(names.into_iter().enumerate().filter(|(n, _)| has_bytes(n)).map(|(_, name)| name).collect())
}

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> Read<u8> {
        let (first, rest) = self.0.split_first().ok_or(NotSeen::Unreadable)?;
        self.0 = rest;
        Ok(*first)
    }

    fn take(&mut self, len: u64) -> Read<&'a [u8]> {
        let len = usize::try_from(len).map_err(|_| NotSeen::Unreadable)?;
        let (taken, rest) = self.0.split_at_checked(len).ok_or(NotSeen::Unreadable)?;
        self.0 = rest;
        Ok(taken)
    }

    /// The leading ones of the first byte tell how many bytes follow; the rest of it is the highest part.
    fn number(&mut self) -> Read<u64> {
        let first = self.byte()?;
        let more = first.leading_ones();
        let mut value = 0u64;
        for n in 0..more {
            value |= u64::from(self.byte()?) << (8 * n);
        }
        if more < 7 {
            value |= u64::from(first & (0x7f >> more)) << (8 * more);
        }
        Ok(value)
    }

    fn count(&mut self) -> Read<u64> {
        let count = self.number()?;
        if count > MAX_COUNT { Err(NotSeen::Entries) } else { Ok(count) }
    }

    /// What is kept in another stream is not followed.
    fn not_elsewhere(&mut self) -> Read<()> {
        if self.byte()? == 0 { Ok(()) } else { Err(NotSeen::Unsupported) }
    }

    fn bits(&mut self, count: u64) -> Read<Vec<bool>> {
        let bytes = self.take(count.div_ceil(8))?;
        let bits = bytes.iter().flat_map(|byte| (0..8).map(move |n| byte >> (7 - n) & 1 == 1));
        Ok(bits.take(usize::try_from(count).unwrap_or(0)).collect())
    }

    /// Reads over checksums, and tells which are there.
    fn sums(&mut self, count: u64) -> Read<Vec<bool>> {
        let len = usize::try_from(count).map_err(|_| NotSeen::Unreadable)?;
        let defined = match self.byte()? {
            0 => self.bits(count)?,
            _ if len > self.0.len() => return Err(NotSeen::Unreadable),
            _ => vec![true; len],
        };
        let there = defined.iter().filter(|is| **is).count() as u64;
        self.take(there * 4)?;
        Ok(defined)
    }

    fn names(&mut self, count: u64) -> Read<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        let mut units = self.0.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        for _ in 0..count {
            if units.len() == 0 {
                break;
            }
            let name: Vec<u16> = units.by_ref().take_while(|unit| *unit != 0).collect();
            names.push(String::from_utf16_lossy(&name).into_bytes());
        }
        Ok(names)
    }
}
