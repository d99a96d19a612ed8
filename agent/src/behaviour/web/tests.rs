use khien_core::event::FileFacts;

use super::{
    super::{
        content::{Samples, Says},
        hand,
        pages::{BY_ANYBODY, BY_SERVER},
        sample::{activity, at, process, systems},
    },
    *,
};

const ROOT: &str = "/var/www/html";
const SCRIPT: &[u8] = b"<?php echo 1;\n";
const DAY: i64 = 24 * 3_600_000;

/// A web root and what was told of it.
#[derive(Default)]
struct Site {
    web: Web,
    told: Vec<Verdict>,
}

impl Site {
    fn does(&mut self, path: &str, change: Change, who: Option<&Process>, facts: &Facts) -> Option<Ask> {
        self.does_at(path, change, who, (facts, 0))
    }

    fn does_at(
        &mut self,
        path: &str,
        change: Change,
        who: Option<&Process>,
        (facts, millis): (&Facts, i64),
    ) -> Option<Ask> {
        let activity = activity(&format!("{ROOT}{path}"), change, who, millis);
        let it = Deeds::new(&activity, ROOT.as_bytes(), hand::of(who, systems));
        let (told, ask) = self.web.heard(&it, at(millis));
        self.told.extend(told);
        if ask.is_some() {
            self.told.extend(self.web.saw(&it, facts, at(millis)));
        }
        ask
    }

    fn tick(&mut self, millis: i64) {
        self.told.extend(self.web.tick(at(millis)));
    }

    fn rules(&self) -> Vec<&str> {
        self.told.iter().map(|v| v.behaviour.deed.rule().strip_prefix("khien.web.").unwrap()).collect()
    }
}

fn facts(content: &[u8]) -> Facts {
    Facts {
        file: serde_json::from_value::<FileFacts>(serde_json::json!({
            "size": content.len(), "mode": 33188, "uid": 33, "gid": 33, "owner": null, "modified": at(0),
        }))
        .unwrap(),
        changed: at(0),
        born: None,
        unsettled: false,
        says: Says::of(
            b"/.htaccess",
            &Samples { head: content.to_vec(), further: Vec::new() },
            content.len() as u64,
            false,
            Some(content),
        ),
        sha256: Some(Sha256::of(content)),
        too_large: false,
        release: None,
        pages: None,
    }
}

fn from(modified: i64) -> Facts {
    let mut facts = facts(SCRIPT);
    facts.file.modified = at(modified);
    facts
}

fn in_release(modified: i64, neighbours: [i64; 5]) -> Facts {
    Facts { release: Release::of(&neighbours.map(at)), ..from(modified) }
}

fn server() -> Process {
    process("/usr/sbin/php-fpm8.2", "www-data")
}

fn editor() -> Process {
    process("/usr/bin/vim", "admin")
}

fn rsync() -> Process {
    process("/usr/bin/rsync", "deploy")
}

#[test]
fn a_script_in_an_upload_folder_is_told_by_its_name_or_by_its_content() {
    let mut site = Site::default();
    site.does("/uploads/2026/a.php", Change::Created, Some(&editor()), &facts(SCRIPT));
    assert_eq!(site.rules(), ["script_in_uploads"]);
    let mut other = Site::default();

    other.does("/tai-lieu/anh.jpg", Change::Written, None, &facts(b"\xff\xd8\xff\xe0\0<?php x();"));

    assert_eq!(other.rules(), ["script_in_uploads"]);
    assert_eq!(other.told[0].behaviour.deed, Deed::ScriptInUploads { disguised: true });
    assert_eq!(other.told[0].path, format!("{ROOT}/tai-lieu/anh.jpg").as_str().into());
    assert!(other.told[0].sha256.is_some());
}

#[test]
fn what_belongs_into_an_upload_folder_is_not_told() {
    let mut site = Site::default();

    site.does("/uploads/anh.jpg", Change::Created, Some(&server()), &facts(b"\xff\xd8\xff\xe0\0picture"));
    site.does(
        "/uploads/index.php",
        Change::Created,
        Some(&server()),
        &facts(b"<?php\n// Silence is golden.\n"),
    );
    site.does("/uploads/empty.php", Change::Created, Some(&server()), &facts(b""));
    site.does("/apps/files/a.php", Change::Created, Some(&rsync()), &facts(SCRIPT));
    site.tick(20_000);

    assert_eq!(site.rules(), [""; 0]);
}

#[test]
fn a_script_that_the_web_server_writes_is_told_and_its_compiled_templates_are_not() {
    let mut site = Site::default();

    site.does("/templates_c/0a1b.php", Change::Created, Some(&server()), &facts(SCRIPT));
    site.does("/storage/framework/views/0a.php", Change::Written, Some(&server()), &facts(SCRIPT));
    site.does("/data.json", Change::Written, Some(&server()), &facts(b"{}"));
    assert_eq!(site.rules(), [""; 0]);

    site.does("/inc/x.php", Change::Written, Some(&process("/bin/sh", "www-data")), &facts(SCRIPT));
    assert_eq!(site.rules(), ["script_by_server"]);
    assert_eq!(site.told[0].process.as_ref().unwrap().exe, Some("/bin/sh".into()));
}

#[test]
fn a_name_that_hides_a_script_is_told_and_a_deployed_one_is_not() {
    let mut site = Site::default();
    site.does("/lib/tool.phar", Change::Created, Some(&rsync()), &facts(SCRIPT));
    site.does("/lib/logo.png", Change::Created, Some(&editor()), &facts(b"\x89PNG"));
    assert_eq!(site.rules(), [""; 0]);

    site.does("/img/logo.php.png", Change::Created, Some(&server()), &facts(b"\x89PNG"));

    assert_eq!(site.rules(), ["hidden_extension"]);
}

#[test]
fn a_time_that_the_web_server_or_a_touch_sets_back_is_told() {
    let mut by_server = Site::default();
    by_server.does("/inc/x.php", Change::Written, Some(&server()), &from(-400 * DAY));
    by_server.tick(300);
    let mut touched = Site::default();
    touched.does("/inc/y.php", Change::Created, Some(&editor()), &from(0));
    touched.does_at(
        "/inc/y.php",
        Change::Attributes,
        Some(&process("/usr/bin/touch", "admin")),
        (&from(-9 * DAY), 5_000),
    );

    assert!(by_server.rules().contains(&"forged_time"), "{:?}", by_server.rules());
    assert!(by_server.rules().contains(&"script_by_server"));
    assert_eq!(touched.rules(), ["forged_time"]);
}

#[test]
fn an_old_time_that_a_copy_a_deployment_or_a_chmod_brings_is_not_told() {
    let mut site = Site::default();
    for (n, tool) in
        ["/usr/bin/cp", "/usr/bin/rsync", "/usr/bin/tar", "/usr/bin/git", "/usr/bin/unzip"].iter().enumerate()
    {
        site.does(
            &format!("/inc/{n}.php"),
            Change::Written,
            Some(&process(tool, "admin")),
            &from(-400 * DAY),
        );
    }
    site.does("/old.php", Change::Attributes, Some(&process("/usr/bin/chmod", "admin")), &from(-400 * DAY));
    site.does("/moved.php", Change::MovedIn { from: None }, Some(&editor()), &from(-400 * DAY));
    // A tool that is not known, or a kernel that does not tell: many at once are a deployment.
    for n in 0..40 {
        site.does(&format!("/new/{n}.php"), Change::Written, None, &from(-400 * DAY));
    }
    site.tick(20_000);

    assert_eq!(site.rules(), [""; 0]);
}

#[test]
fn an_old_time_without_a_known_writer_is_told_if_the_file_stands_alone() {
    let mut site = Site::default();

    site.does("/inc/x.php", Change::Written, None, &from(-400 * DAY));
    site.tick(5_000);
    let early = site.told.len();
    site.tick(10_100);

    assert_eq!((early, site.rules()), (0, vec!["forged_time"]));
}

#[test]
fn a_script_newer_than_its_release_is_told_when_it_stands_alone() {
    let release = [-90 * DAY, -90 * DAY + 1_000, -90 * DAY + 2_000, -90 * DAY, -90 * DAY + 60_000];
    let mut alone = Site::default();
    alone.does("/inc/x.php", Change::Written, Some(&editor()), &in_release(0, release));
    alone.tick(10_100);
    let mut many = Site::default();
    for n in 0..40 {
        many.does(&format!("/inc/{n}.php"), Change::Written, Some(&editor()), &in_release(0, release));
    }
    many.tick(10_100);
    let mut grown = Site::default();
    grown.does(
        "/x.php",
        Change::Written,
        Some(&editor()),
        &in_release(0, [-1, -2, -3, -40, -500].map(|d| d * DAY)),
    );
    grown.does("/y.php", Change::Written, Some(&rsync()), &in_release(0, release));
    grown.tick(10_100);

    assert_eq!(alone.rules(), ["late_script"]);
    assert_eq!(alone.told[0].behaviour.deed, Deed::LateScript { release: at(-90 * DAY + 60_000) });
    assert_eq!((many.rules(), grown.rules()), (vec![], vec![]));
}

#[test]
fn a_changed_configuration_is_told_once_and_one_that_runs_pictures_as_such() {
    let mut site = Site::default();
    let plain = facts(b"RewriteEngine On\n");
    site.does("/.htaccess", Change::Written, Some(&editor()), &plain);
    site.does("/.htaccess", Change::Written, Some(&editor()), &plain);
    site.does("/a/.htaccess", Change::Written, Some(&rsync()), &plain);
    assert_eq!(site.rules(), ["config"]);

    site.does(
        "/img/.htaccess",
        Change::Created,
        Some(&rsync()),
        &facts(b"AddType application/x-httpd-php .jpg\n"),
    );

    assert_eq!(site.rules(), ["config", "config_runs_files"]);
}

#[test]
fn a_configuration_that_is_too_large_to_be_read_is_told_as_such_once_whoever_brings_it() {
    let mut site = Site::default();
    let large = |changed| {
        let mut large = Facts { sha256: None, too_large: true, changed: at(changed), ..facts(b"") };
        large.file.size = 3 << 20;
        large
    };
    site.does("/.htaccess", Change::Written, Some(&rsync()), &large(0));
    site.does_at("/.htaccess", Change::Attributes, Some(&rsync()), (&large(0), 70_000));
    site.does_at("/.htaccess", Change::Written, Some(&editor()), (&large(0), 70_000));
    assert_eq!(site.rules(), ["config_unread"]);
    assert_eq!(site.told[0].behaviour.deed, Deed::ServerConfigUnread { size: 3 << 20 });

    site.does_at("/.htaccess", Change::Written, Some(&editor()), (&large(9), 140_000));

    assert_eq!(site.rules(), ["config_unread"; 2]);
}

#[test]
fn a_sitemap_that_is_known_is_not_measured_by_what_it_has_become() {
    let mut site = Site::default();
    let path = Untrusted::from(format!("{ROOT}/sitemap.xml").as_str());
    let grown = Facts { pages: Some(5_000), ..facts(b"<urlset>") };
    site.web.knows_sitemap(path.clone(), 120);

    // The web roots are searched again before the look at the sitemap.
    site.web.knows_sitemap(path, 5_000);
    site.does("/sitemap.xml", Change::Written, Some(&server()), &grown);

    assert_eq!(site.rules(), ["sitemap"]);
}

#[test]
fn a_configuration_that_is_removed_is_told() {
    let mut site = Site::default();

    site.does("/uploads/.htaccess", Change::Removed, Some(&server()), &facts(b""));

    assert_eq!(site.rules(), ["config"]);
}

#[test]
fn a_sitemap_that_grows_tenfold_is_told_and_one_that_grows_as_usual_is_not() {
    let mut site = Site::default();
    let lists = |pages| Facts { pages: Some(pages), ..facts(b"<urlset>") };
    site.web.knows_sitemap(format!("{ROOT}/sitemap.xml").as_str().into(), 120);
    site.does("/sitemap.xml", Change::Written, Some(&server()), &lists(140));
    site.does("/sitemap-new.xml", Change::Created, Some(&server()), &lists(9_000));
    assert_eq!(site.rules(), [""; 0]);

    site.does("/sitemap.xml", Change::Written, Some(&server()), &lists(5_000));

    assert_eq!(site.rules(), ["sitemap"]);
    assert_eq!(site.told[0].behaviour.deed, Deed::SitemapGrew { before: 140, now: 5_000 });
}

#[test]
fn pages_that_the_web_server_makes_in_masses_are_told_with_their_number() {
    let mut site = Site::default();
    let page = facts(b"<html>");
    for n in 0..=BY_SERVER {
        site.does(&format!("/tin/{n}.html"), Change::Created, Some(&server()), &page);
    }
    for n in 0..300 {
        site.does_at(&format!("/more/{n}.html"), Change::Created, Some(&server()), (&page, 1_000));
    }
    site.tick(5_000);

    assert_eq!(site.rules(), ["mass_pages", "mass_pages"]);
    assert_eq!((site.told[0].behaviour.count, site.told[1].behaviour.count), (201, 501));
    assert_eq!(site.told[0].path, ROOT.into());
}

#[test]
fn pages_of_a_cache_of_a_deployment_or_of_a_slow_writer_are_not_a_mass() {
    let mut site = Site::default();
    let page = facts(b"<html>");
    for n in 0..3_000 {
        site.does(&format!("/wp-content/cache/{n}.html"), Change::Created, Some(&server()), &page);
        site.does(&format!("/new/{n}.html"), Change::Created, Some(&rsync()), &page);
        site.does_at(&format!("/slow/{n}.html"), Change::Created, Some(&server()), (&page, n * 1_000));
    }
    for n in 0..BY_ANYBODY {
        site.does(&format!("/by/{n}.html"), Change::Created, None, &page);
    }

    assert_eq!(site.rules(), [""; 0]);
}

#[test]
fn an_update_by_the_web_server_is_two_alerts_not_a_thousand() {
    let mut site = Site::default();
    for n in 0..1_000 {
        site.does_at(
            &format!("/wp-admin/{n}.inc.php"),
            Change::Written,
            Some(&server()),
            (&facts(SCRIPT), n),
        );
    }
    for second in 1..=20 {
        site.tick(second * 1_000);
    }

    assert_eq!(site.rules(), ["script_by_server", "script_by_server"]);
    assert_eq!((site.told[1].path.clone(), site.told[1].behaviour.count), (ROOT.into(), 1_000));
}
