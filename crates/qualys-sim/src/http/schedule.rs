//! Schedules of scans (spec section 7.6): they are listed and never run.

use super::call::Call;
use super::params::{Kind, Known};
use super::reply::{Refusal, Reply};
use super::select::{belongs, within};
use super::subscription::runs;
use super::xml::Xml;
use crate::subscription::{APPLIANCES, Frequency, GROUPS, NETWORKS, PROFILES, SCHEDULES, Schedule};
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

const ROOT: &str = "SCHEDULE_SCAN_LIST_OUTPUT";

const LIST: &[Known] = &[
    ("id", Kind::Ids),
    ("active", Kind::Flag),
    ("scan_type", Kind::OneOf(&["perimeter", "certview", "ec2certview"])),
    ("show_notifications", Kind::Flag),
    ("show_cloud_details", Kind::Flag),
    ("client_id", Kind::Number),
    ("client_name", Kind::Text),
];

/// Answers a call.
pub(super) fn answer(call: &Call) -> Result<Reply, Refusal> {
    let action = call.action()?;
    if action != "list" {
        return Err(call.unknown_action(action));
    }
    call.params.check(&[LIST])?;
    let ids = call.params.ids("id");
    let wanted = |schedule: &&Schedule| {
        ids.as_ref().is_none_or(|ids| within(ids, u64::from(schedule.id)))
            && call.params.get("active").is_none_or(|flag| (flag == "1") == schedule.active)
            && call.params.get("scan_type").is_none()
    };
    let found: Vec<&Schedule> = SCHEDULES.iter().filter(wanted).collect();
    let mut xml = Xml::at_depth(2);
    if !found.is_empty() {
        xml.open("SCHEDULE_SCAN_LIST");
        for schedule in found {
            row(&mut xml, call, schedule);
        }
        xml.close("SCHEDULE_SCAN_LIST");
    }
    let dtd = format!("/api/{}.0/fo/schedule/scan/schedule_scan_list_output.dtd", call.version);
    Ok(Reply::xml(call.prologue(ROOT, &dtd) + &xml.finish() + &call.epilogue(ROOT)))
}

fn row(xml: &mut Xml, call: &Call, schedule: &Schedule) {
    let world = &call.app.world;
    let group = GROUPS.iter().find(|group| group.id == schedule.group);
    let ranges = runs(call, |index| group.is_some_and(|group| belongs(world, group, index)));
    let target: Vec<String> = ranges.iter().map(|(low, high)| format!("{low}-{high}")).collect();
    xml.open("SCAN");
    xml.number("ID", schedule.id);
    xml.number("ACTIVE", u64::from(schedule.active));
    xml.cdata("TITLE", schedule.title);
    xml.leaf("USER_LOGIN", &world.options.username);
    xml.cdata("TARGET", &target.join(","));
    if world.options.switches.networks
        && let Some((id, _)) = NETWORKS.iter().find(|(id, _)| group.is_some_and(|group| group.network == *id))
    {
        xml.number("NETWORK_ID", *id);
    }
    let appliance = group.and_then(|group| group.appliance);
    if let Some(appliance) = APPLIANCES.iter().find(|one| appliance == Some(one.id)) {
        xml.leaf("ISCANNER_NAME", appliance.name);
    }
    if schedule.by_address {
        xml.open("USER_ENTERED_IPS");
        for (low, high) in &ranges {
            xml.open("RANGE");
            xml.leaf("START", &low.to_string());
            xml.leaf("END", &high.to_string());
            xml.close("RANGE");
        }
        xml.close("USER_ENTERED_IPS");
    } else if let Some(group) = group {
        xml.open("ASSET_GROUP_TITLE_LIST");
        xml.cdata("ASSET_GROUP_TITLE", group.title);
        xml.close("ASSET_GROUP_TITLE_LIST");
    }
    if let Some(profile) = PROFILES.iter().find(|profile| profile.id == schedule.profile) {
        xml.open("OPTION_PROFILE");
        xml.cdata("TITLE", profile.title);
        xml.number("DEFAULT_FLAG", u64::from(profile.is_default));
        xml.close("OPTION_PROFILE");
    }
    xml.leaf("PROCESSING_PRIORITY", "0 - No Priority");
    when(xml, call, schedule);
    xml.close("SCAN");
}

fn when(xml: &mut Xml, call: &Call, schedule: &Schedule) {
    xml.open("SCHEDULE");
    let element = match schedule.frequency {
        Frequency::Days(days) => format!("DAILY frequency_days=\"{days}\""),
        Frequency::Weekday(day) => format!("WEEKLY frequency_weeks=\"1\" weekdays=\"{day}\""),
        Frequency::DayOfMonth(day) => format!("MONTHLY frequency_months=\"1\" day_of_month=\"{day}\""),
    };
    xml.element(&element, "");
    let start = day_of(call.app.world.source.origin);
    xml.leaf("START_DATE_UTC", &start.strftime("%Y-%m-%dT00:00:00Z").to_string());
    xml.number("START_HOUR", schedule.hour.unsigned_abs());
    xml.number("START_MINUTE", 0_u32);
    if schedule.active
        && let Some(next) = next_launch(schedule, start, call.now)
    {
        // The sample in the guide has no zone.
        xml.leaf("NEXTLAUNCH_UTC", &next.strftime("%Y-%m-%dT%H:%M:%S").to_string());
    }
    xml.open("TIME_ZONE");
    xml.leaf("TIME_ZONE_CODE", "GB");
    xml.leaf("TIME_ZONE_DETAILS", "(GMT) United Kingdom: UTC");
    xml.close("TIME_ZONE");
    xml.number("DST_SELECTED", 0_u32);
    xml.close("SCHEDULE");
}

fn day_of(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// The first launch after an instant; counted from the schedule's first day.
fn next_launch(schedule: &Schedule, start: Date, now: Timestamp) -> Option<Timestamp> {
    let time = Time::new(schedule.hour, 0, 0, 0).ok()?;
    let mut day = start;
    // A day at most a month and a day ahead fits; the days before the present are walked over at once.
    let today = day_of(now);
    if let (Frequency::Days(every), true) = (schedule.frequency, today > day) {
        let passed = day.until(today).ok()?.get_days();
        day = day.checked_add((passed - passed % i32::from(every.max(1))).days()).ok()?;
    } else {
        day = day.max(today);
    }
    for _ in 0..=62 {
        let fits = match schedule.frequency {
            Frequency::Days(every) => start.until(day).ok()?.get_days() % i32::from(every.max(1)) == 0,
            Frequency::Weekday(wanted) => day.weekday().to_sunday_zero_offset() == wanted,
            Frequency::DayOfMonth(wanted) => day.day() == wanted,
        };
        let at = day.to_datetime(time).to_zoned(TimeZone::UTC).ok()?.timestamp();
        if fits && at > now {
            return Some(at);
        }
        day = day.tomorrow().ok()?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(frequency: Frequency, now: &str) -> String {
        let schedule = Schedule { frequency, hour: 2, ..*SCHEDULES.first().expect("a schedule") };
        let start: Date = "2026-09-01".parse().expect("a day");
        let now = now.parse().expect("an instant");
        next_launch(&schedule, start, now).expect("a launch").to_string()
    }

    #[test]
    fn the_next_launch_lies_ahead_on_a_day_of_the_schedule() {
        let cases = [
            (Frequency::Days(1), "2026-09-01T01:59:59Z", "2026-09-01T02:00:00Z"),
            (Frequency::Days(1), "2026-09-01T02:00:00Z", "2026-09-02T02:00:00Z"),
            (Frequency::Days(3), "2027-03-01T00:00:00Z", "2027-03-03T02:00:00Z"),
            // The first of September 2026 is a Tuesday.
            (Frequency::Weekday(2), "2026-09-01T03:00:00Z", "2026-09-08T02:00:00Z"),
            (Frequency::Weekday(0), "2026-09-01T03:00:00Z", "2026-09-06T02:00:00Z"),
            (Frequency::DayOfMonth(31), "2026-09-01T03:00:00Z", "2026-10-31T02:00:00Z"),
        ];
        for (frequency, now, expected) in cases {
            assert_eq!(next(frequency, now), expected, "{frequency:?} after {now}");
        }
    }
}
