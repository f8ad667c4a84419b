use super::*;
use proptest::prelude::*;
use protocol::agent::{OpenOrder, TaskEpoch};
use uuid::Uuid;

fn hello() -> Hello {
    Hello {
        server: "https://127.0.0.1:1".to_owned(),
        ca: String::new(),
        key: SigningKey::from_secret(&[7; 32]).to_pem(),
        agent_id: Uuid::from_u128(1),
        instance_id: Uuid::from_u128(2),
        settings: Settings { hold_seconds: 50, backoff_ms_max: 900_000, spread_ms_max: 300_000 },
        facts: Facts::default(),
        status: Status::default(),
        seq_from: 100,
        seq_until: 400,
    }
}

fn now(ms: u64) -> Now {
    Now { ms, wall: Timestamp::from_micros(i64::try_from(ms).unwrap() * 1000) }
}

fn request(output: &Output) -> Option<(Lane, Request)> {
    let Output::Send { lane, body, .. } = output else { return None };
    let key = SigningKey::from_secret(&[7; 32]).public();
    let envelope = Envelope::parse(body, BODY_BYTES_MAX).unwrap();
    let verified = envelope.verify(REQUEST_TYPE, &[key], 1).unwrap();
    Some((*lane, verified.parse().unwrap()))
}

fn requests(outputs: &[Output]) -> Vec<(Lane, Request)> {
    outputs.iter().filter_map(request).collect()
}

fn poll_reply() -> PollReply {
    PollReply {
        now: Timestamp::from_micros(5_000_000),
        roots: Vec::new(),
        index: None,
        approvals: Vec::new(),
        orders: Vec::new(),
        revoke: Vec::new(),
        acked: Vec::new(),
        wait_seconds: 0,
    }
}

fn reply(lane: Lane, body: &impl serde::Serialize) -> Input {
    Input::Reply { lane, status: 200, retry_after: None, body: serde_json::to_vec(body).unwrap() }
}

fn event(n: u32) -> ToNet {
    ToNet::Event { of: TaskEpoch { task: Uuid::from_u128(9), epoch: 1 }, n, text: format!("event {n}") }
}

fn acked(n: u32) -> Acked {
    Acked { task: Uuid::from_u128(9), epoch: 1, n }
}

/// An event comes at an instant, and nothing else until events have waited for others.
fn said(session: &mut Session, n: u32, ms: u64) -> Vec<Output> {
    assert!(requests(&session.handle(Input::Frame(Box::new(event(n))), now(ms))).is_empty(), "it waits for others");
    session.handle(Input::Tick, now(ms + GATHER_MS))
}

#[test]
fn events_that_follow_each_other_travel_together_and_the_first_does_not_wait_longer_for_the_last() {
    let mut session = Session::new(hello(), 3).unwrap();
    session.handle(Input::Tick, now(0));
    for n in 1..=3 {
        let outputs = session.handle(Input::Frame(Box::new(event(n))), now(u64::from(n) * 40));
        assert!(requests(&outputs).is_empty());
    }
    assert_eq!(session.wake_at(), Some(40 + GATHER_MS));
    let sent = requests(&session.handle(Input::Tick, now(40 + GATHER_MS)));
    let [(Lane::Talk, Request { body: Body::Events(events), .. })] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(events.events, ["event 1", "event 2", "event 3"]);
}

#[test]
fn facts_go_with_the_first_poll_and_again_when_it_was_lost() {
    let mut session = Session::new(hello(), 3).unwrap();
    let facts = |outputs: &[Output]| match &requests(outputs).first().unwrap().1.body {
        Body::Poll(poll) => poll.facts.is_some(),
        _ => false,
    };
    assert!(facts(&session.handle(Input::Tick, now(0))));
    let lost = Input::Failed { lane: Lane::Poll, reason: "refused".to_owned() };
    assert!(requests(&session.handle(lost, now(1))).is_empty());
    let outputs = session.handle(Input::Tick, now(session.wake_at().unwrap()));
    assert!(facts(&outputs));
    let outputs = session.handle(reply(Lane::Poll, &poll_reply()), now(5_000));
    assert!(!facts(&outputs), "not again once they arrived");
}

#[test]
fn sequence_numbers_rise_and_more_are_asked_for_in_time() {
    let mut session = Session::new(Hello { seq_until: 103, ..hello() }, 3).unwrap();
    let mut seen = Vec::new();
    let outputs = session.handle(Input::Tick, now(0));
    assert!(outputs.contains(&Output::Tell(ToExecutor::NeedSequence)));
    seen.extend(requests(&outputs).iter().map(|(_, r)| r.seq));
    for ms in 1..10 {
        let outputs = session.handle(reply(Lane::Poll, &poll_reply()), now(ms));
        seen.extend(requests(&outputs).iter().map(|(_, r)| r.seq));
    }
    assert_eq!(seen, [100, 101, 102], "without numbers nothing is sent");
    let frame = Box::new(ToNet::Sequence { from: 1103, until: 2103 });
    assert_eq!(requests(&session.handle(Input::Frame(frame), now(20))).first().unwrap().1.seq, 1103);
}

#[test]
fn an_event_is_sent_beside_a_held_poll_until_it_is_acknowledged() {
    let mut session = Session::new(hello(), 3).unwrap();
    session.handle(Input::Tick, now(0));
    let outputs = said(&mut session, 1, 10);
    assert!(matches!(requests(&outputs).as_slice(), [(Lane::Talk, _)]));
    // Stored nothing: it is sent again.
    session.handle(reply(Lane::Talk, &EventsReply { now: Timestamp::default(), acked: vec![] }), now(120));
    let outputs = session.handle(Input::Tick, now(session.wake_at().unwrap()));
    assert_eq!(requests(&outputs).len(), 1);
    let outputs =
        session.handle(reply(Lane::Talk, &EventsReply { now: Timestamp::default(), acked: vec![acked(1)] }), now(300));
    assert!(outputs.contains(&Output::Tell(ToExecutor::Acked { acked: vec![acked(1)] })));
    assert_eq!(session.undelivered(), 0);
    assert!(requests(&session.handle(Input::Tick, now(100_000))).is_empty());
}

#[test]
fn an_event_that_the_server_leaves_for_later_comes_again_ever_more_rarely() {
    let mut session = Session::new(hello(), 3).unwrap();
    session.handle(Input::Tick, now(0));
    said(&mut session, 1, 10);
    let nothing = || reply(Lane::Talk, &EventsReply { now: Timestamp::default(), acked: vec![] });
    let mut at = 10 + GATHER_MS;
    let mut pauses = Vec::new();
    for _ in 0..12 {
        assert!(requests(&session.handle(nothing(), now(at))).iter().all(|(lane, _)| *lane != Lane::Talk));
        let before = at;
        while !requests(&session.handle(Input::Tick, now(at))).iter().any(|(lane, _)| *lane == Lane::Talk) {
            at += 10;
        }
        pauses.push(at - before);
    }
    assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]), "{pauses:?}");
    assert!(*pauses.last().unwrap() > 1_000, "{pauses:?}");
    // Something new is said soon, and with it what was left.
    session.handle(nothing(), now(at));
    let outputs = said(&mut session, 2, at + RESEND_MS);
    assert!(requests(&outputs).iter().any(|(lane, _)| *lane == Lane::Talk));
}

#[test]
fn a_restart_is_asked_for_after_what_was_done_is_stored() {
    let mut session = Session::new(hello(), 3).unwrap();
    session.handle(Input::Tick, now(0));
    let of = TaskEpoch { task: Uuid::from_u128(9), epoch: 1 };
    let ask = PermitAsk { of, nonce: Uuid::from_u128(4) };
    session.handle(Input::Frame(Box::new(event(1))), now(10));
    let outputs = session.handle(Input::Frame(Box::new(ToNet::Restart(ask))), now(20));
    let sent = requests(&outputs);
    assert!(matches!(&sent[..], [(_, Request { body: Body::Events(_), .. })]), "they wait no longer: {sent:?}");
    let stored = EventsReply { now: Timestamp::default(), acked: vec![acked(1)] };
    session.handle(reply(Lane::Talk, &stored), now(30));
    let outputs = session.handle(Input::Tick, now(100));
    let asked = requests(&outputs);
    assert!(
        matches!(&asked[..], [(Lane::Talk, Request { body: Body::Restart(sent), .. })] if *sent == ask),
        "{asked:?}"
    );
    assert!(outputs.iter().any(|output| matches!(output, Output::Send { path: RESTART_PATH, .. })));
    let answer = protocol::permit::PermitAnswer::Wait { retry_after_seconds: 5 };
    let said = PermitReply { now: Timestamp::default(), answer: answer.clone() };
    let outputs = session.handle(reply(Lane::Talk, &said), now(110));
    assert!(outputs.contains(&Output::Tell(ToExecutor::Restart { of, answer })));
    assert!(requests(&session.handle(Input::Tick, now(10_000))).is_empty(), "once");
}

#[test]
fn a_reply_is_handed_over_in_the_order_that_makes_it_acceptable() {
    let mut session = Session::new(hello(), 3).unwrap();
    session.handle(Input::Tick, now(0));
    let full = PollReply {
        roots: vec!["r".to_owned()],
        index: Some("i".to_owned()),
        approvals: vec!["a".to_owned()],
        orders: vec!["o".to_owned()],
        revoke: vec![TaskEpoch { task: Uuid::nil(), epoch: 1 }],
        ..poll_reply()
    };
    let told: Vec<String> = session
        .handle(reply(Lane::Poll, &full), now(1))
        .iter()
        .filter_map(|output| match output {
            Output::Tell(frame) => serde_json::to_value(frame).unwrap()["is"].as_str().map(str::to_owned),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["time", "roots", "index", "revoke", "approvals", "order"]);
}

#[test]
fn the_same_order_again_and_again_does_not_make_us_spin() {
    let mut session = Session::new(hello(), 3).unwrap();
    session.handle(Input::Tick, now(0));
    let again = PollReply { orders: vec!["o".to_owned()], ..poll_reply() };
    let mut at = 1;
    let mut polls = 0;
    while at < 60_000 {
        polls += requests(&session.handle(reply(Lane::Poll, &again), now(at))).len();
        let wake = session.wake_at().unwrap_or(at);
        polls += requests(&session.handle(Input::Tick, now(wake.max(at)))).len();
        at = wake.max(at) + 1;
    }
    assert!(polls < 20, "{polls} polls in a minute");
}

#[test]
fn failures_back_off_with_jitter_and_retry_after_is_obeyed() {
    let mut session = Session::new(hello(), 3).unwrap();
    session.handle(Input::Tick, now(0));
    let mut at = 0;
    let mut longest = 0;
    for _ in 0..30 {
        session.handle(Input::Failed { lane: Lane::Poll, reason: String::new() }, now(at));
        let wake = session.wake_at().unwrap();
        longest = longest.max(wake - at);
        at = wake;
        session.handle(Input::Tick, now(at));
    }
    assert!((60_000..=900_000).contains(&longest), "{longest}");
    let busy = Input::Reply { lane: Lane::Poll, status: 503, retry_after: Some(40), body: Vec::new() };
    session.handle(busy, now(at));
    let pause = session.wake_at().unwrap() - at;
    assert!((40_000..=50_001).contains(&pause), "{pause}");
}

#[test]
fn content_is_fetched_once_and_a_missing_one_is_said() {
    let mut session = Session::new(hello(), 3).unwrap();
    session.handle(Input::Tick, now(0));
    let want = || Input::Frame(Box::new(ToNet::Want { digest: "d".to_owned() }));
    assert_eq!(requests(&session.handle(want(), now(1))).len(), 1);
    assert!(requests(&session.handle(want(), now(2))).is_empty(), "it is under way");
    let gone = Input::Reply { lane: Lane::Talk, status: 404, retry_after: None, body: Vec::new() };
    let outputs = session.handle(gone, now(3));
    assert!(outputs.iter().any(|o| matches!(o, Output::Tell(ToExecutor::NoContent { .. }))));
    session.handle(want(), now(4));
    let found = Input::Reply { lane: Lane::Talk, status: 200, retry_after: None, body: b"{}".to_vec() };
    let expected = ToExecutor::Content { digest: "d".to_owned(), text: "{}".to_owned() };
    assert!(session.handle(found, now(5)).contains(&Output::Tell(expected)));
}

#[test]
fn the_latest_status_is_what_a_poll_says() {
    let mut session = Session::new(hello(), 3).unwrap();
    let open = vec![OpenOrder { task: Uuid::nil(), epoch: 3, state: "done".to_owned() }];
    let status = Status { root_version: 4, index_version: 5, open: open.clone(), ..Status::default() };
    let outputs = session.handle(Input::Frame(Box::new(ToNet::Status(status))), now(0));
    let sent = requests(&outputs);
    let Body::Poll(poll) = &sent.first().unwrap().1.body else { panic!() };
    assert_eq!((poll.root_version, poll.index_version, &poll.open), (4, 5, &open));
}

proptest! {
    // Every request is signed and verified, which is slow without optimisation.
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever is lost, doubled or late: sequence numbers only rise, each lane has at most one request under way, and once
    /// the line is good again every event arrives and is acknowledged.
    #[test]
    fn events_arrive_through_any_line(line in prop::collection::vec(0_u8..6, 0..60), count in 1_u32..20) {
        let mut session = Session::new(Hello { seq_until: u64::MAX, ..hello() }, 11).unwrap();
        let mut at = 0;
        let mut under_way: Vec<(Lane, Request)> = Vec::new();
        let mut last_seq = 0;
        let mut stored = 0_u32;
        let mut outputs = Vec::new();
        for n in 1..=count {
            outputs.extend(session.handle(Input::Frame(Box::new(event(n))), now(at)));
        }
        let good = std::iter::repeat_n(0, 400);
        for fate in line.into_iter().chain(good) {
            if fate == 0 && stored == count && session.undelivered() == 0 { break }
            for (lane, request) in requests(&std::mem::take(&mut outputs)) {
                prop_assert!(request.seq > last_seq, "sequence numbers rise");
                last_seq = request.seq;
                prop_assert!(under_way.iter().all(|(other, _)| *other != lane), "one request per lane");
                under_way.push((lane, request));
            }
            at = session.wake_at().unwrap_or(at).max(at) + 1;
            let Some((lane, request)) = (!under_way.is_empty()).then(|| under_way.remove(0)) else {
                outputs = session.handle(Input::Tick, now(at));
                continue;
            };
            // The server: in order, nothing twice, no gaps.
            let arrives = fate != 1;
            if let (Body::Events(events), true) = (&request.body, arrives) {
                for text in &events.events {
                    let n: u32 = text.trim_start_matches("event ").parse().unwrap();
                    if n == stored + 1 { stored = n; }
                }
            }
            let answered = fate != 1 && fate != 2;
            let acked = vec![acked(stored)];
            let input = match (answered, fate) {
                (false, _) => Input::Failed { lane, reason: "lost".to_owned() },
                (true, 3) => Input::Reply { lane, status: 503, retry_after: Some(1), body: Vec::new() },
                (true, 4) => Input::Reply { lane, status: 200, retry_after: None, body: b"nonsense".to_vec() },
                (true, _) if lane == Lane::Poll => reply(lane, &PollReply { acked, wait_seconds: 1, ..poll_reply() }),
                (true, _) => reply(lane, &EventsReply { now: Timestamp::default(), acked }),
            };
            outputs = session.handle(input, now(at));
        }
        prop_assert_eq!(stored, count);
        prop_assert_eq!(session.undelivered(), 0);
    }
}

#[test]
fn an_answer_proves_only_what_was_asked_before_its_request() {
    let mut session = Session::new(hello(), 1).unwrap();
    session.handle(Input::Tick, now(0));
    let proven = |outputs: &[Output]| {
        outputs.iter().find_map(|output| match output {
            Output::Tell(ToExecutor::Proven { n }) => Some(*n),
            _ => None,
        })
    };
    // A request is under way when the question comes: its answer is older than the rule.
    let sent = requests(&said(&mut session, 1, 10));
    assert_eq!(sent.len(), 1);
    assert!(requests(&session.handle(Input::Frame(Box::new(ToNet::Prove { n: 1 })), now(120))).is_empty());
    let stored = EventsReply { now: Timestamp::from_micros(5), acked: vec![acked(1)] };
    let outputs = session.handle(reply(Lane::Talk, &stored), now(200));
    assert_eq!(proven(&outputs), None);
    // There is nothing more to say, and a request goes out all the same.
    let sent = requests(&outputs);
    assert!(
        matches!(&sent[..], [(Lane::Talk, Request { body: Body::Events(events), .. })] if events.events.is_empty())
    );
    // Lost: asked again, soon.
    session.handle(Input::Failed { lane: Lane::Talk, reason: "cut".to_owned() }, now(1_100));
    assert!(session.wake_at().is_some_and(|at| at < 400_000));
    let sent = requests(&session.handle(Input::Tick, now(400_000)));
    assert!(sent.iter().any(|(lane, _)| *lane == Lane::Talk));
    let nothing = EventsReply { now: Timestamp::from_micros(6), acked: Vec::new() };
    assert_eq!(proven(&session.handle(reply(Lane::Talk, &nothing), now(400_100))), Some(1));
    let outputs = session.handle(Input::Tick, now(500_000));
    assert!(requests(&outputs).iter().all(|(lane, _)| *lane == Lane::Poll), "asked and answered");
}

#[test]
fn a_proof_travels_over_a_connection_of_its_own_and_is_tried_again_soon() {
    let mut session = Session::new(hello(), 5).unwrap();
    let talk = |outputs: &[Output]| {
        outputs.iter().find_map(|output| match output {
            Output::Send { lane: Lane::Talk, fresh, timeout_ms, .. } => Some((*fresh, *timeout_ms)),
            Output::Send { fresh, .. } => (*fresh).then(|| panic!("polls keep their connection")),
            _ => None,
        })
    };
    let failed = || Input::Failed { lane: Lane::Talk, reason: "cut".to_owned() };
    session.handle(Input::Tick, now(0));
    assert_eq!(talk(&said(&mut session, 1, 10)), Some((false, 60_000)));
    let stored = EventsReply { now: Timestamp::from_micros(5), acked: vec![acked(1)] };
    session.handle(reply(Lane::Talk, &stored), now(200));
    let asked = session.handle(Input::Frame(Box::new(ToNet::Prove { n: 1 })), now(300));
    assert_eq!(talk(&asked), Some((true, PROOF_TIMEOUT_MS)));
    let mut at = 400;
    for _ in 0..PROOF_TRIES / 2 {
        session.handle(failed(), now(at));
        assert!(session.wake_at().is_some_and(|wake| wake <= at + PROOF_RETRY_MS), "{at}: {:?}", session.wake_at());
        at += PROOF_RETRY_MS;
        assert_eq!(talk(&session.handle(Input::Tick, now(at))), Some((true, PROOF_TIMEOUT_MS)));
    }
    // A server that stays away is not asked for ever as if something still waited.
    let mut longest = 0;
    for _ in 0..2 * PROOF_TRIES {
        session.handle(failed(), now(at));
        longest = longest.max(session.wake_at().unwrap() - at);
        at += 2_000_000;
        session.handle(Input::Tick, now(at));
    }
    assert!(longest > 10 * PROOF_RETRY_MS, "{longest}");
    let nothing = EventsReply { now: Timestamp::from_micros(6), acked: Vec::new() };
    let outputs = session.handle(reply(Lane::Talk, &nothing), now(at));
    assert!(outputs.contains(&Output::Tell(ToExecutor::Proven { n: 1 })), "{outputs:?}");
    assert_eq!(talk(&said(&mut session, 2, at + 1000)), Some((false, 60_000)), "what is kept will do again");
}
