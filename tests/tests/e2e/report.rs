//! Report: a filled official document, what is missing listed, and a STIX bundle.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::{
    harness::{Site, sha256, web_shell},
    place::{cannot_run, copy_program, is_built, program},
    playbook::{asked, incident, state},
};

/// Drafts the quick report and returns what the command printed.
fn draft(site: &Site, incident: &str, more: &[&str]) -> Value {
    let out = site.home.join("out");
    std::fs::create_dir_all(&out).unwrap();
    let args =
        ["report", "draft", "--incident", incident, "--form", "nd331-nhanh", "--out", out.to_str().unwrap()];
    site.json(&[&args, more].concat())
}

fn file(drafted: &Value, ending: &str) -> String {
    let files = drafted["files"].as_array().unwrap().iter().map(|f| f.as_str().unwrap());
    files
        .into_iter()
        .find(|f| f.ends_with(ending))
        .unwrap_or_else(|| panic!("no {ending}: {drafted}"))
        .to_owned()
}

fn printed(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn the_quick_report_is_filled_and_says_what_is_missing() {
    if !is_built("khien-pdf") {
        return cannot_run("khien-pdf is not built, which tests/run does first");
    }
    let site = Site::new();
    let mut up = site.up(&["--agency", "Sở Y tế", "--watch", site.web.to_str().unwrap()]);
    let incident = incident(&site, &mut up, "report.php");
    let run = asked(&site, &incident);
    site.json(&["run", "approve", &run, "--yes", "--wait"]);
    state(&site, &run, "done");

    let drafted = draft(&site, &incident, &[]);

    let missing = drafted["missing"].to_string();
    assert!(missing.contains("signer.name"), "what nobody said is listed, not invented: {missing}");
    let pdf = printed("pdftotext", &["-layout", &file(&drafted, ".pdf"), "-"]);
    let docx = printed("unzip", &["-p", &file(&drafted, ".docx"), "word/document.xml"]);
    for text in [&pdf, &docx] {
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for wanted in
            ["CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", "Độc lập - Tự do - Hạnh phúc", "BÁO CÁO NHANH", &incident]
        {
            assert!(flat.contains(wanted), "{wanted} is missing in: {flat}");
        }
    }
    let hash = sha256(&web_shell("report.php"));
    assert!(docx.contains(&hash), "the evidence is named by its hash");
    let stix: Value =
        serde_json::from_str(&std::fs::read_to_string(file(&drafted, ".json")).unwrap()).unwrap();
    assert_eq!(stix["type"], "bundle");
    let objects = stix["objects"].as_array().unwrap();
    assert!(objects.iter().any(|o| o["type"] == "file" && o["hashes"]["SHA-256"] == hash), "{stix}");

    let again = draft(&site, &incident, &["--set", "signer.name=Nguyễn Thị Hoài"]);
    assert!(!again["missing"].to_string().contains("signer.name"));
    assert_ne!(file(&again, ".docx"), file(&drafted, ".docx"), "a draft never overwrites another");
    let pdf = printed("pdftotext", &["-layout", &file(&again, ".pdf"), "-"]);
    assert!(pdf.contains("Nguyễn Thị Hoài"), "{pdf}");
}

#[test]
fn without_the_pdf_program_the_docx_is_made_and_the_way_is_told() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let incident = incident(&site, &mut up, "nopdf.php");
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("khien");
    copy_program(program("khien"), &alone);
    site.khien.set(alone).unwrap();

    let drafted = draft(&site, &incident, &[]);

    assert!(Path::new(&file(&drafted, ".docx")).exists());
    assert!(!drafted["files"].to_string().contains(".pdf"));
    assert!(drafted["without_pdf"].as_str().unwrap().contains("khien-pdf"), "{drafted}");
}
