//! A list of digests and names that the team was sent becomes alerts on every host.

use std::fs;

use crate::harness::{Site, is_at};

const CONTENT: &str = "harmless, but on a list";
/// SHA-1 of [`CONTENT`], in the capitals that some lists use.
const LISTED: &str = "C254A69777DC4DF8AA4B5ED30874BF3D2832FB30";

#[test]
fn a_file_whose_digest_or_name_is_listed_is_an_alert_of_the_list() {
    let site = Site::new();
    let mut up = site.up(&["--agency", "Sở Y tế", "--watch", site.web.to_str().unwrap()]);
    let pack = site.web.with_file_name("pack");
    write_pack(&pack);
    let (code, _, err) = site.cli(&["rules", "push", pack.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    site.until(&["agent", "list"], "the agent with the lists", |agents| {
        agents.to_string().contains("\"pack\":4000000")
    });

    let plain = site.write("ordinary.txt", "neither digest nor name");
    let content = site.write("ordinary.bin", CONTENT);
    let name = site.write("HOA-DON.pdf.khien-locked", "whatever");

    let of_content = up.alert("listed digest", |a| is_at(a, &content));
    let of_name = up.alert("listed name", |a| is_at(a, &name));
    assert_eq!((&of_content["rule"], &of_content["severity"]), (&"list.ministry".into(), &"critical".into()));
    assert_eq!((&of_name["rule"], &of_name["severity"]), (&"list.names".into(), &"high".into()));
    let alerts = site.json(&["alert", "list"]);
    assert!(alerts.as_array().unwrap().iter().all(|a| !is_at(a, &plain)), "{alerts}");
}

fn write_pack(folder: &std::path::Path) {
    let words = "{ vi = \"Tệp trong danh sách\", en = \"A listed file\" }";
    let rule = |id: &str, severity: &str| {
        format!(
            "[[rule]]\nid = \"{id}\"\nseverity = \"{severity}\"\ntitle = {words}\nexplanation = {words}\n\
             next_step = {words}\n"
        )
    };
    let list = |file: &str, rule: &str, kind: &str| {
        format!("[[list]]\nfile = \"{file}\"\nrule = \"{rule}\"\nkind = \"{kind}\"\nsource = \"A05\"\n")
    };
    let manifest = [
        "version = 4000000\n".to_owned(),
        rule("list.ministry", "critical"),
        rule("list.names", "high"),
        list("sha1.list", "list.ministry", "sha1"),
        list("names.list", "list.names", "file_name"),
    ];
    fs::create_dir(folder).unwrap();
    fs::write(folder.join("pack.toml"), manifest.concat()).unwrap();
    fs::write(folder.join("sha1.list"), format!("date,sha1,note\n2026-11-20,{LISTED},seen at a ministry\n"))
        .unwrap();
    fs::write(folder.join("names.list"), "# from a report\n*.khien-locked\n").unwrap();
}
