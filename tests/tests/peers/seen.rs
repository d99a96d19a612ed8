//! What `tshark` says of a file: a row for each packet or message, with fields by name.

use std::{collections::HashMap, path::Path, process::Command};

/// Between fields, and between the values of one.
const FIELD: char = '\u{1f}';
const VALUE: char = '\u{1e}';
/// Who sent it and to whom, of either version of IP and either transport.
const ENDS: [&str; 8] =
    ["ip.src", "ipv6.src", "tcp.srcport", "udp.srcport", "ip.dst", "ipv6.dst", "tcp.dstport", "udp.dstport"];

/// One packet.
#[derive(Debug)]
pub(crate) struct Row(HashMap<String, Vec<String>>);

/// Returns the packets that a display filter lets through.
pub(crate) fn seen(file: &Path, filter: &str, fields: &[&str]) -> Vec<Row> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).args(["-n", "-Y", filter, "-T", "fields", "-E", "occurrence=a"]);
    // Without it `tshark` gives a message up whose segments overtook each other, as they do on a busy machine.
    command.args(["-o", "tcp.reassemble_out_of_order:TRUE"]);
    command.arg("-E").arg(format!("separator={FIELD}")).arg("-E").arg(format!("aggregator={VALUE}"));
    let fields: Vec<_> = ENDS.iter().chain(fields).collect();
    for field in &fields {
        command.arg("-e").arg(field);
    }
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout).unwrap();
    let row = |line: &str| {
        let values = line.split(FIELD).map(|value| {
            let all = value.split(VALUE).filter(|one| !one.is_empty());
            all.map(str::to_owned).collect()
        });
        Row(fields.iter().map(|field| (**field).to_owned()).zip(values).collect())
    };
    text.lines().map(row).collect()
}

impl Row {
    /// Returns all values of a field.
    pub(crate) fn all(&self, field: &str) -> Vec<String> {
        self.0.get(field).cloned().unwrap_or_default()
    }

    /// Returns the first value of a field, or nothing.
    pub(crate) fn one(&self, field: &str) -> String {
        self.all(field).into_iter().next().unwrap_or_default()
    }

    /// Returns a number that is written as `0x…`.
    pub(crate) fn hex(&self, field: &str) -> u32 {
        let text = self.one(field);
        u32::from_str_radix(text.trim_start_matches("0x"), 16)
            .unwrap_or_else(|e| panic!("{field}: {text}: {e}"))
    }

    /// Returns who sent it.
    pub(crate) fn from(&self) -> String {
        self.end(&ENDS[..4])
    }

    /// Returns to whom.
    pub(crate) fn to(&self) -> String {
        self.end(&ENDS[4..])
    }

    fn end(&self, fields: &[&str]) -> String {
        let [v4, v6, tcp, udp] = fields else { unreachable!() };
        let port = [tcp, udp].map(|field| self.one(field)).concat();
        match self.one(v4) {
            v4 if v4.is_empty() => format!("[{}]:{port}", self.one(v6)),
            v4 => format!("{v4}:{port}"),
        }
    }
}
