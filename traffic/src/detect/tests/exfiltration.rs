use super::*;

const MB: u64 = 1_000_000;

fn upload(megabytes: u64) -> Carried<'static> {
    Carried { seconds: 600, sent: megabytes * MB, got: 50_000, ..ANSWERED }
}

#[test]
fn much_to_one_server_outside_is_told_with_the_bytes() {
    let mut trace = Trace::usual();

    for n in 0..10 {
        trace.flow(n * MINUTE, "10.0.0.5", "203.0.113.7:443", upload(60));
    }

    let subject = trace.only();
    assert_eq!(subject.what, Pattern::Exfiltration { bytes: 540 * MB, usual: None });
    assert_eq!(subject.server, Some("203.0.113.7".parse().unwrap()));
}

#[test]
fn what_goes_home_comes_in_or_goes_to_a_known_place_is_none() {
    let mut trace = Trace::new(r#"{"known": ["backup.example"], "beacon": {"on": false}}"#);

    trace.resolve(0, "s3.backup.example", "203.0.113.8");
    for n in 0..50 {
        trace.flow(n * MINUTE, "10.0.0.5", "10.9.0.7:443", upload(600));
        trace.flow(n * MINUTE, "203.0.113.9", "10.0.0.80:443", Carried { got: 900 * MB, ..ANSWERED });
        trace.flow(n * MINUTE, "10.0.0.6", "203.0.113.7:443", Carried { got: 900 * MB, ..ANSWERED });
        let known = Carried { name: Some("s3.backup.example"), ..upload(600) };
        trace.flow(n * MINUTE, "10.0.0.7", "203.0.113.8:443", known);
        // Half a gigabyte, but to many places.
        trace.flow(n * MINUTE, "10.0.0.8", &format!("203.0.113.{}:443", n + 10), upload(60));
    }

    assert_eq!(trace.rules(), [""; 0]);
}

#[test]
fn a_backup_of_each_night_is_told_once_and_theft_by_day_still_is() {
    let mut trace = Trace::usual();
    // Seven in the morning is hour 0 of the trace: two at night is hour 19, give or take an hour.
    let night = |day: i64, late: i64| day * DAY + 19 * HOUR + late;
    for day in 0..21 {
        for hour in 0..10 {
            trace.flow(day * DAY + hour * HOUR, "10.0.0.5", "203.0.113.1:443", upload(3));
        }
        let size = if day % 7 == 6 { 8_000 } else { 2_000 };
        trace.flow(night(day, (day % 3 - 1) * 50 * MINUTE), "10.0.0.5", "203.0.113.7:443", upload(size));
    }

    assert_eq!(trace.rules(), ["khien.net.exfiltration"], "the first night");
    trace.flow(21 * DAY + 4 * HOUR, "10.0.0.5", "203.0.113.66:443", upload(1_500));
    let Subject::Traffic(theft) = &trace.found[1].subject else { panic!() };
    let Pattern::Exfiltration { bytes, usual: Some(usual) } = theft.what else { panic!("{theft:?}") };
    assert!(bytes == 1_500 * MB && usual < 5 * MB, "{usual}");
}

#[test]
fn a_long_upload_is_counted_part_by_part_and_no_byte_twice() {
    let mut trace = Trace::usual();
    let ends = trace.ends("10.0.0.5", "203.0.113.7:443");

    for part in 1..=20 {
        let so_far = Carried { sent: part * 25 * MB, ended: FlowEnd::Ongoing, ..upload(0) };
        trace.told(0, ends.clone(), so_far);
    }
    assert_eq!(trace.rules(), [""; 0], "500 MB in all");
    trace.told(0, ends, Carried { sent: 520 * MB, ..upload(0) });

    assert_eq!(trace.only().what, Pattern::Exfiltration { bytes: 520 * MB, usual: None });
}
