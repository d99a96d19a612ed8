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

#[test]
fn a_responder_is_told_on_which_list_an_address_a_name_or_a_url_stands() {
    let site = Site::new();
    let pack = site.web.with_file_name("pack");
    write_pack(&pack);
    let manifest = fs::read_to_string(pack.join("pack.toml")).unwrap();
    let list = |kind: &str| {
        format!(
            "[[list]]\nfile = \"{kind}.list\"\nrule = \"list.ministry\"\nkind = \"{kind}\"\nsource = \"A05\"\n"
        )
    };
    let lists: String = ["address", "domain", "url"].map(list).concat();
    fs::write(pack.join("pack.toml"), manifest + &lists).unwrap();
    fs::write(pack.join("address.list"), "198.51.100.0/24\n203.0.113.7 # seen\n10.0.0.5\n").unwrap();
    fs::write(pack.join("domain.list"), "0.0.0.0 evil.example\n0.0.0.0 ours.example\n").unwrap();
    fs::write(pack.join("url.list"), "hxxp://shared[.]example/kit/\n").unwrap();
    fs::write(pack.join("allow.txt"), "ours.example\n198.51.100.8\n").unwrap();
    let folder = pack.to_str().unwrap();

    let checked = site.json(&["rules", "check", folder]);
    let values = ["198.51[.]100.9", "hxxps://www.evil[.]example/a", "198.51.100.8", "ours.example", LISTED];
    let found = site.json(&[&["rules", "lookup", "--pack", folder], &values[..]].concat());

    let lists = checked["lists"].as_array().unwrap();
    let counts: Vec<_> = lists.iter().map(|l| (&l["entries"], &l["refused"], &l["allowed"])).collect();
    assert_eq!(
        counts,
        [
            (&2.into(), &1.into(), &0.into()),
            (&1.into(), &0.into(), &1.into()),
            (&1.into(), &0.into(), &0.into())
        ]
    );
    let told: Vec<_> =
        found.as_array().unwrap().iter().map(|f| (&f["kind"], &f["entry"], &f["allowed"])).collect();
    assert_eq!(
        told,
        [
            (&"address".into(), &"198.51.100.0/24".into(), &false.into()),
            (&"domain".into(), &"evil.example".into(), &false.into()),
            (&"address".into(), &"198.51.100.0/24".into(), &true.into()),
            (&"file".into(), &LISTED.to_lowercase().as_str().into(), &false.into()),
        ]
    );
    let (code, out, err) = site.cli(&["rules", "lookup", "--pack", folder, "clean.example"]);
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(err.contains("clean.example: stands on no list"), "{err}");
    assert_eq!(site.cli(&["rules", "lookup", "no value"]).0, 2);
}
