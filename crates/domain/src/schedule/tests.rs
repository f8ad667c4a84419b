//! Tables for clocks and words; the rules against a walk from day to day.

use super::*;
use jiff::civil::{Date, Time, date, time};
use proptest::prelude::*;

fn once(at: &str, zone: Zone) -> Schedule {
    Schedule::Once { at: at.parse().unwrap(), zone, window: None }
}

fn rome() -> Zone {
    Zone::Named("Europe/Rome".to_owned())
}

fn every(number: u32, rule: Rule, start: Date, zone: Zone) -> Recurring {
    Recurring { start, time: time(2, 30, 0, 0), every: number, rule, ends: Ends::Never, zone, window: None }
}

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn s1_10_on_demand_is_now() {
    let now = Timestamp::from_micros(5);
    let resolved = Schedule::OnDemand.resolve("", now).unwrap();
    assert_eq!((resolved.at, resolved.end), (now, None), "and it stays open until it was tried");
}

#[test]
fn s1_11_s1_12_r6_civil_times_resolve_in_the_chosen_zone() {
    for (at, zone, agent, instant, fit) in [
        ("2026-01-15T03:00", rome(), "", "2026-01-15T02:00:00Z", Fit::Exact),
        ("2026-03-29T02:30", rome(), "", "2026-03-29T01:30:00Z", Fit::Gap),
        ("2026-10-25T02:30", rome(), "", "2026-10-25T00:30:00Z", Fit::Overlap),
        ("2026-01-15T03:00", Zone::Agent, "America/New_York", "2026-01-15T08:00:00Z", Fit::Exact),
        ("2026-03-08T02:30", Zone::Agent, "America/New_York", "2026-03-08T07:30:00Z", Fit::Gap),
        ("2026-11-01T01:30", Zone::Agent, "America/New_York", "2026-11-01T05:30:00Z", Fit::Overlap),
        // Half an hour of daylight saving, and a zone that skipped a whole day.
        ("2026-10-04T02:15", Zone::Agent, "Australia/Lord_Howe", "2026-10-03T15:45:00Z", Fit::Gap),
        ("2011-12-30T03:00", Zone::Agent, "Pacific/Apia", "2011-12-30T13:00:00Z", Fit::Gap),
        ("2026-01-15T03:00", Zone::Agent, "", "2026-01-15T03:00:00Z", Fit::UnknownZone),
        ("2026-01-15T03:00", Zone::Agent, "Mars/Base", "2026-01-15T03:00:00Z", Fit::UnknownZone),
    ] {
        let resolved = once(at, zone).resolve(agent, Timestamp::default()).unwrap();
        assert_eq!((resolved.at.to_string().as_str(), resolved.fit), (instant, fit), "{at} {agent}");
    }
}

#[test]
fn an_unknown_named_zone_is_refused() {
    let schedule = once("2026-01-15T03:00", Zone::Named("Mars/Base".to_owned()));
    assert_eq!(schedule.validate().unwrap_err().code, "unknown_zone");
    assert_eq!(schedule.resolve("UTC", Timestamp::default()).unwrap_err().code, "unknown_zone");
}

#[test]
fn a_date_beyond_the_calendar_is_refused() {
    let far = once("9999-12-31T23:59", Zone::Named("America/New_York".to_owned()));
    assert_eq!(far.resolve("", Timestamp::default()).unwrap_err().code, "time_out_of_range");
}

#[test]
fn what_cannot_be_a_schedule() {
    let start = date(2026, 1, 1);
    let good = every(1, Rule::Daily, start, Zone::Agent);
    let of = |rule| every(1, rule, start, Zone::Agent);
    for (schedule, code) in [
        (Recurring { every: 0, ..good.clone() }, "bad_every"),
        (Recurring { every: 367, ..good.clone() }, "bad_every"),
        (of(Rule::Weekly { days: vec![] }), "bad_weekdays"),
        (of(Rule::MonthDay { day: 0 }), "bad_day"),
        (of(Rule::MonthDay { day: 32 }), "bad_day"),
        (of(Rule::PatchTuesday { offset: 28 }), "bad_offset"),
        (of(Rule::PatchTuesday { offset: i8::MIN }), "bad_offset"),
        (Recurring { start: date(1999, 12, 31), ..good.clone() }, "bad_start"),
        (Recurring { start: date(2200, 1, 1), ..good.clone() }, "bad_start"),
        (Recurring { ends: Ends::On(date(2025, 12, 31)), ..good.clone() }, "bad_end"),
        (Recurring { ends: Ends::After(0), ..good.clone() }, "bad_end"),
        (Recurring { ends: Ends::After(10_001), ..good.clone() }, "bad_end"),
        (Recurring { ends: Ends::On(date(2026, 1, 30)), ..of(Rule::LastDay) }, "never_runs"),
        (Recurring { window: Some(0), ..good.clone() }, "bad_window"),
        (Recurring { window: Some(10_081), ..good.clone() }, "bad_window"),
        (Recurring { zone: Zone::Named("Mars/Base".to_owned()), ..good.clone() }, "unknown_zone"),
    ] {
        assert_eq!(Schedule::Recurring(schedule.clone()).validate().unwrap_err().code, code, "{schedule:?}");
    }
    assert_eq!(Schedule::Recurring(good).validate(), Ok(()));
}

#[test]
fn known_days() {
    let start = date(2026, 1, 15);
    let weekly = |days: &[Weekday]| Rule::Weekly { days: days.to_vec() };
    for (number, rule, expected) in [
        (1, Rule::Daily, ["2026-01-15", "2026-01-16", "2026-01-17"]),
        (10, Rule::Daily, ["2026-01-15", "2026-01-25", "2026-02-04"]),
        (1, weekly(&[Weekday::Sun, Weekday::Mon]), ["2026-01-18", "2026-01-19", "2026-01-25"]),
        (2, weekly(&[Weekday::Mon, Weekday::Thu]), ["2026-01-15", "2026-01-26", "2026-01-29"]),
        (1, Rule::MonthDay { day: 31 }, ["2026-01-31", "2026-02-28", "2026-03-31"]),
        (1, Rule::MonthDay { day: 14 }, ["2026-02-14", "2026-03-14", "2026-04-14"]),
        (3, Rule::MonthDay { day: 15 }, ["2026-01-15", "2026-04-15", "2026-07-15"]),
        (1, Rule::MonthWeekday { nth: Nth::Last, weekday: Weekday::Fri }, ["2026-01-30", "2026-02-27", "2026-03-27"]),
        (1, Rule::MonthWeekday { nth: Nth::First, weekday: Weekday::Wed }, ["2026-02-04", "2026-03-04", "2026-04-01"]),
        (1, Rule::LastDay, ["2026-01-31", "2026-02-28", "2026-03-31"]),
        (1, Rule::PatchTuesday { offset: 0 }, ["2026-02-10", "2026-03-10", "2026-04-14"]),
        // The Patch Tuesday of January lies before the start, the run three days after it does not.
        (1, Rule::PatchTuesday { offset: 3 }, ["2026-01-16", "2026-02-13", "2026-03-13"]),
        (1, Rule::PatchTuesday { offset: -27 }, ["2026-02-11", "2026-03-18", "2026-04-15"]),
    ] {
        let schedule = every(number, rule, start, Zone::Agent);
        let found: Vec<String> = schedule.on_or_after(start).take(3).map(|at| at.date().to_string()).collect();
        assert_eq!(found, expected, "{:?} every {number}", schedule.rule);
    }
}

#[test]
fn the_calendars_end_ends_a_schedule() {
    let schedule = Recurring { start: date(2199, 1, 1), ..every(366, Rule::Daily, date(2199, 1, 1), Zone::Agent) };
    assert!(schedule.on_or_after(date(9999, 1, 1)).count() <= 1);
    assert_eq!(schedule.following(date(9999, 12, 31).at(2, 30, 0, 0)), None);
}

/// A turn ends where the next begins, a window before that, an action before the window.
#[test]
fn windows_by_table() {
    let daily = |window| Schedule::Recurring(Recurring { window, ..every(1, Rule::Daily, date(2026, 1, 1), rome()) });
    let once = |window| Schedule::Once { at: "2026-01-15T02:30".parse().unwrap(), zone: rome(), window };
    for (schedule, at, end, start_by) in [
        (once(None), "2026-01-15T02:30", None, None),
        (once(Some(240)), "2026-01-15T02:30", Some("2026-01-15T05:30:00Z"), Some("2026-01-15T05:25:00Z")),
        (once(Some(1)), "2026-01-15T02:30", Some("2026-01-15T01:31:00Z"), Some("2026-01-15T01:30:30Z")),
        (daily(None), "2026-01-15T02:30", Some("2026-01-16T01:30:00Z"), Some("2026-01-16T01:25:00Z")),
        (daily(Some(60)), "2026-01-15T02:30", Some("2026-01-15T02:30:00Z"), Some("2026-01-15T02:25:00Z")),
        (daily(Some(10_080)), "2026-01-15T02:30", Some("2026-01-16T01:30:00Z"), Some("2026-01-16T01:25:00Z")),
        // A window is as long as it says, whatever the clocks do meanwhile.
        (daily(Some(240)), "2026-10-25T02:30", Some("2026-10-25T04:30:00Z"), Some("2026-10-25T04:25:00Z")),
        (daily(Some(240)), "2026-03-29T02:30", Some("2026-03-29T05:30:00Z"), Some("2026-03-29T05:25:00Z")),
    ] {
        let resolved = schedule.resolve_at(at.parse().unwrap(), "").unwrap();
        let shown = resolved.end.map(|end| (end.at.to_string(), end.start_by.to_string()));
        let expected = end.zip(start_by).map(|(end, by)| (end.to_owned(), by.to_owned()));
        assert_eq!(shown, expected, "{schedule:?} {at}");
    }
}

#[test]
fn a_schedule_begins_with_a_time_that_no_asset_has_passed() {
    let schedule = Schedule::Recurring(every(1, Rule::Daily, date(2026, 1, 1), Zone::Agent));
    let zones = ["Pacific/Kiritimati".to_owned(), "America/New_York".to_owned()];
    // 02:30 of the 15th is 12:30 UTC of the 14th in Kiritimati.
    let first = |now| schedule.first_to_come(&zones, instant(now)).unwrap().to_string();
    assert_eq!(first("2026-01-14T12:29:59Z"), "2026-01-15T02:30:00");
    assert_eq!(first("2026-01-14T12:30:00Z"), "2026-01-16T02:30:00");
    let earliest = schedule.earliest("2026-01-15T02:30".parse().unwrap(), &zones).unwrap();
    assert_eq!(earliest, instant("2026-01-14T12:30:00Z"));
    let over = Recurring { ends: Ends::After(3), ..every(1, Rule::Daily, date(2026, 1, 1), Zone::Agent) };
    assert_eq!(Schedule::Recurring(over).first_to_come(&zones, instant("2026-01-14T00:00:00Z")), None);
}

#[test]
fn in_words() {
    let of = |rule| every(1, rule, date(2026, 1, 1), rome());
    for (schedule, expected) in [
        (of(Rule::Daily), "Every day at 02:30 (Europe/Rome)"),
        (every(3, Rule::Daily, date(2026, 1, 1), Zone::Agent), "Every 3 days at 02:30 (each asset's own time zone)"),
        (
            Recurring { every: 2, ..of(Rule::Weekly { days: vec![Weekday::Sat, Weekday::Mon, Weekday::Thu] }) },
            "Every 2 weeks on Monday, Thursday and Saturday at 02:30 (Europe/Rome)",
        ),
        (
            of(Rule::MonthDay { day: 31 }),
            "Every month on day 31, or on the last where the month is shorter, at 02:30 (Europe/Rome)",
        ),
        (
            of(Rule::MonthWeekday { nth: Nth::Last, weekday: Weekday::Fri }),
            "Every month on the last Friday at 02:30 (Europe/Rome)",
        ),
        (of(Rule::LastDay), "Every month on the last day at 02:30 (Europe/Rome)"),
        (
            Recurring { window: Some(240), ends: Ends::After(6), ..of(Rule::PatchTuesday { offset: 1 }) },
            "Every month 1 day after Patch Tuesday at 02:30 (Europe/Rome), for 4 hours, 6 times",
        ),
        (
            Recurring { window: Some(90), ends: Ends::On(date(2026, 12, 31)), ..of(Rule::PatchTuesday { offset: -2 }) },
            "Every month 2 days before Patch Tuesday at 02:30 (Europe/Rome), for 90 minutes, until 2026-12-31",
        ),
    ] {
        assert_eq!(words::whole(&Schedule::Recurring(schedule)), expected);
    }
    assert_eq!(words::whole(&Schedule::OnDemand), "On demand");
    assert_eq!(words::whole(&once("2026-01-15T03:00", rome())), "2026-01-15 03:00 (Europe/Rome)");
}

#[test]
fn schedules_survive_storage_and_old_ones_are_read() {
    for schedule in [
        Schedule::Recurring(Recurring {
            window: Some(5),
            ends: Ends::On(date(2026, 5, 1)),
            ..every(1, Rule::Weekly { days: vec![Weekday::Mon] }, date(2026, 1, 1), rome())
        }),
        Schedule::Recurring(every(2, Rule::PatchTuesday { offset: -3 }, date(2026, 1, 1), Zone::Agent)),
        Schedule::OnDemand,
    ] {
        let text = serde_json::to_string(&schedule).unwrap();
        assert_eq!(serde_json::from_str::<Schedule>(&text).unwrap(), schedule, "{text}");
    }
    let old = r#"{"when":"once","at":"2026-01-15T03:00:00","zone":"agent"}"#;
    assert_eq!(serde_json::from_str::<Schedule>(old).unwrap(), once("2026-01-15T03:00", Zone::Agent));
}

// The oracle: does the rule hold on this day? Asked of one day after the other, by other means than the product's.

fn monday_of(day: Date) -> Date {
    day.checked_sub(i64::from(day.weekday().to_monday_zero_offset()).days()).unwrap()
}

fn months(day: Date) -> i32 {
    i32::from(day.year()) * 12 + i32::from(day.month())
}

fn holds(schedule: &Recurring, day: Date) -> bool {
    let number = i32::try_from(schedule.every).unwrap();
    let tomorrow = day.tomorrow().unwrap();
    let in_turn = |other: Date| (months(other) - months(schedule.start)).rem_euclid(number) == 0;
    let place = (day.day() - 1) / 7;
    let weekday = |day: Date| Weekday::ALL[usize::try_from(day.weekday().to_monday_zero_offset()).unwrap()];
    day >= schedule.start
        && match &schedule.rule {
            Rule::Daily => (day - schedule.start).get_days() % number == 0,
            Rule::Weekly { days } => {
                let weeks = (monday_of(day) - monday_of(schedule.start)).get_days() / 7;
                days.contains(&weekday(day)) && weeks % number == 0
            }
            Rule::MonthDay { day: wanted } => {
                let last = tomorrow.month() != day.month();
                in_turn(day) && (day.day() == *wanted || (last && *wanted > day.day()))
            }
            Rule::MonthWeekday { nth: Nth::Last, weekday: wanted } => {
                let week_on = day.checked_add(7.days()).unwrap();
                in_turn(day) && weekday(day) == *wanted && week_on.month() != day.month()
            }
            Rule::MonthWeekday { nth, weekday: wanted } => {
                let nth = Nth::ALL.iter().position(|other| other == nth).unwrap();
                in_turn(day) && weekday(day) == *wanted && usize::try_from(place).unwrap() == nth
            }
            Rule::LastDay => in_turn(day) && tomorrow.month() != day.month(),
            Rule::PatchTuesday { offset } => {
                let patch = day.checked_sub(i64::from(*offset).days()).unwrap();
                weekday(patch) == Weekday::Tue && (8..=14).contains(&patch.day()) && in_turn(patch)
            }
        }
}

fn rules() -> impl Strategy<Value = (u32, Rule)> {
    let weekday = || prop::sample::select(Weekday::ALL.to_vec());
    prop_oneof![
        (1_u32..=40).prop_map(|every| (every, Rule::Daily)),
        (1_u32..=6, prop::collection::vec(weekday(), 1..5)).prop_map(|(every, days)| (every, Rule::Weekly { days })),
        (1_u32..=5, 1_i8..=31).prop_map(|(every, day)| (every, Rule::MonthDay { day })),
        (1_u32..=5, prop::sample::select(Nth::ALL.to_vec()), weekday())
            .prop_map(|(every, nth, weekday)| (every, Rule::MonthWeekday { nth, weekday })),
        (1_u32..=5).prop_map(|every| (every, Rule::LastDay)),
        (1_u32..=5, -27_i8..=27).prop_map(|(every, offset)| (every, Rule::PatchTuesday { offset })),
    ]
}

proptest! {
    /// Five years, day by day, from any day of the schedule on.
    #[test]
    fn times_are_those_a_walk_from_day_to_day_finds(
        (number, rule) in rules(),
        (year, month, day) in (2023_i16..=2028, 1_i8..=12, 1_i8..=28),
        skipped in 0_i64..1_500,
        ends in prop_oneof![
            Just(Ends::Never),
            (0_i64..1_800).prop_map(|days| Ends::On(date(2023, 1, 1).checked_add(days.days()).unwrap())),
            (1_u32..60).prop_map(Ends::After),
        ],
    ) {
        let start = date(year, month, day);
        let schedule = Recurring { ends, ..every(number, rule, start, Zone::Agent) };
        let last = start.checked_add((5 * 365).days()).unwrap();
        let mut walked = Vec::new();
        let mut day = start;
        while day <= last {
            if holds(&schedule, day) {
                walked.push(day);
            }
            day = day.tomorrow().unwrap();
        }
        match ends {
            Ends::Never => {}
            Ends::On(end) => walked.retain(|day| *day <= end),
            Ends::After(count) => walked.truncate(usize::try_from(count).unwrap()),
        }
        let from = start.checked_add(skipped.days()).unwrap();
        walked.retain(|day| *day >= from);
        let found: Vec<Date> =
            schedule.on_or_after(from).map(DateTime::date).take_while(|day| *day <= last).collect();
        prop_assert_eq!(found, walked);
    }

    /// Wherever and whenever: it starts not before its civil time says, and ends before it ends.
    #[test]
    fn a_turn_never_reaches_into_the_next(
        (number, rule) in rules(),
        zone in prop::sample::select(vec!["Europe/Rome", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo", ""]),
        window in prop::option::of(1_u32..=10_080),
        minute in 0_i8..60,
        hour in 0_i8..24,
    ) {
        let recurring = Recurring {
            time: Time::new(hour, minute, 0, 0).unwrap(),
            window,
            ..every(number, rule, date(2026, 2, 20), Zone::Agent)
        };
        let schedule = Schedule::Recurring(recurring);
        let times: Vec<DateTime> = schedule.times_after(None).take(30).collect();
        for pair in times.windows(2) {
            let (one, next) = (schedule.resolve_at(pair[0], zone).unwrap(), schedule.resolve_at(pair[1], zone).unwrap());
            let end = one.end.unwrap();
            prop_assert!(one.at < next.at && end.at <= next.at, "{} {}", pair[0], pair[1]);
            prop_assert!(one.at < end.start_by && end.start_by < end.at);
            prop_assert!(end.at.seconds_since(end.start_by) <= RUN_SECONDS);
            if let Some(minutes) = window {
                prop_assert!(end.at <= one.at.plus_seconds(i64::from(minutes) * 60));
            }
        }
    }
}

#[test]
fn what_is_taken_back_waits_for_the_next_window() {
    let zones = ["America/New_York".to_owned()];
    let now = instant("2026-11-18T12:00:00Z");
    let back = |schedule: &Schedule| schedule.back(&zones, now);
    let windowed = |at: &str, zone: Zone| Schedule::Once { at: at.parse().unwrap(), zone, window: Some(90) };
    // Nobody said when hosts must be left alone.
    assert_eq!(back(&Schedule::OnDemand), Schedule::OnDemand);
    assert_eq!(back(&once("2026-12-01T03:00", rome())), Schedule::OnDemand);
    let daily = every(1, Rule::Daily, date(2026, 1, 1), rome());
    assert_eq!(back(&Schedule::Recurring(daily.clone())), Schedule::OnDemand);
    // The next window of a recurring job; half past two in Rome has passed today.
    let daily = Recurring { window: Some(90), ..daily };
    assert_eq!(back(&Schedule::Recurring(daily.clone())), windowed("2026-11-19T02:30", rome()));
    // After the last one, and of a job that ran once: the same time of a day that no asset has passed.
    let over = Recurring { ends: Ends::On(date(2026, 2, 1)), ..daily };
    assert_eq!(back(&Schedule::Recurring(over)), windowed("2026-11-19T02:30", rome()));
    assert_eq!(back(&windowed("2026-01-15T18:00", rome())), windowed("2026-11-18T18:00", rome()));
    assert_eq!(back(&windowed("2026-01-15T11:00", Zone::Agent)), windowed("2026-11-19T11:00", Zone::Agent));
    // One that lies ahead is its own.
    assert_eq!(back(&windowed("2027-01-15T03:00", rome())), windowed("2027-01-15T03:00", rome()));
}
