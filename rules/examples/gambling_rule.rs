//! Writes `packs/base/seo.yar` from the word lists of `vietnamese::gambling`.

use std::{error::Error, fs, path::Path};

use khien_rules::vietnamese::gambling;

fn main() -> Result<(), Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packs/base/seo.yar");
    let source = gambling::source()?;
    fs::write(&path, &source)?;
    eprintln!("{}: {} bytes", path.display(), source.len());
    Ok(())
}
