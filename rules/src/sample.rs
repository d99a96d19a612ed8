//! The one sample that is never stored: the EICAR test file, which every scanner takes for malware.

/// The EICAR test string with every byte one higher, so that no file of ours contains it.
const SHIFTED: &[u8; 68] = b"Y6P\"Q&ABQ\\5]Q[Y65)Q_*8DD*8~%FJDBS.TUBOEBSE.BOUJWJSVT.UFTU.GJMF\"%I,I+";

/// Builds the EICAR test file.
#[must_use]
pub fn eicar() -> Vec<u8> {
    SHIFTED.iter().map(|b| b - 1).collect()
}
