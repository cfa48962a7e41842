use logbraid_core::component::{Component, ConfigError, Context, ReadFile, settings};
use logbraid_core::{Element, EventTime, FindingKind, Flags, Id, Operator, Record};
use proptest::prelude::*;
use serde_json::json;

use super::{Limits, Miner, Templates};
use crate::testing::{at, built, events, findings, refused, run};

fn mined(messages: &[&str]) -> Miner {
    let mut miner = Miner::new(Limits::default());
    for message in messages {
        miner.add(message, at(0.0));
    }
    miner
}

fn patterns(miner: &Miner) -> Vec<String> {
    let mut patterns: Vec<String> =
        miner.templates().map(|template| format!("{}× {}", template.count, template.pattern)).collect();
    patterns.sort();
    patterns
}

#[test]
fn a_word_varies_once_it_has_shown_several_texts_in_otherwise_equal_messages() {
    let opened = ["anna", "ben", "carl"].map(|user| format!("session opened for user {user} by root"));
    let opened: Vec<&str> = opened.iter().map(String::as_str).collect();
    assert_eq!(patterns(&mined(&opened[..2])).len(), 2);
    assert_eq!(patterns(&mined(&opened)), ["3× session opened for user <*> by root"]);
    let mut miner = mined(&opened);
    let seen = miner.add("session opened for user zoe by root", at(1.0));
    assert!(!seen.fresh);
}

#[test]
fn short_messages_are_not_swallowed() {
    let messages = ["cache warm", "cache cold", "cache full", "cache gone", "cache lost"];
    assert_eq!(patterns(&mined(&messages)).len(), 5);
}

#[test]
fn a_slot_stays_in_the_template_until_it_has_shown_several_texts() {
    let lines = |users: &[&str]| -> Vec<String> {
        users.iter().map(|user| format!("login user={user} ok")).collect()
    };
    let two = lines(&["root", "guest", "root"]);
    let two: Vec<&str> = two.iter().map(String::as_str).collect();
    assert_eq!(patterns(&mined(&two)), ["1× login user=guest ok", "2× login user=root ok"]);
    let many = lines(&["root", "guest", "a", "b", "c", "root"]);
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(patterns(&mined(&many)), ["6× login user=<*> ok"]);
    assert_eq!(patterns(&mined(&["login user=7 ok", "login user=root ok"])), ["2× login user=<*> ok"]);
}

#[test]
fn a_wider_template_says_which_ones_it_was_before() {
    let mut miner = mined(&["user anna has logged out now", "user ben has logged out now"]);
    let old: Vec<_> = miner.templates().map(|template| template.id).collect();
    miner.add("user carl has logged out now", at(0.0));
    let wide = miner.templates().next().expect("one is left").id;
    assert_eq!(miner.len(), 1);
    assert!(old.iter().all(|id| miner.renamed(*id) == wide), "{:?}", miner.take_renamed());
}

#[test]
fn what_was_not_seen_for_the_longest_time_leaves() {
    let mut miner = Miner::new(Limits { templates_max: 50, ..Limits::default() });
    let word = |n: usize| ["alpha", "beta", "gamma", "delta"][n % 4].repeat(1 + n / 4);
    for n in 0..500 {
        miner.add(&format!("{} stays", word(n)), at(0.0));
        miner.add("always here", at(0.0));
    }
    assert!(miner.len() <= 50, "{}", miner.len());
    assert!(miner.templates().any(|template| template.pattern == "always here" && template.count == 500));
    assert_eq!(miner.evicted() + miner.len() as u64, 501);
}

#[test]
fn seeds_are_known_whatever_stands_for_what_varies() {
    let mut miner = Miner::new(Limits::default());
    miner.seed("card <*> of <*> declined by bank user=<*>", 10, EventTime::MIN, EventTime::MIN);
    for message in ["card 7 of anna declined by bank user=x", "card gold of 9 declined by bank user=1"] {
        assert!(!miner.add(message, at(0.0)).fresh, "{message}");
    }
    assert_eq!(patterns(&miner), ["12× card <*> of <*> declined by bank user=<*>"]);
}

fn told(config: serde_json::Value, notation: &str) -> Vec<Record> {
    let elements = events(notation).into_iter().map(Element::Event).collect();
    run(vec![Box::new(built::<Templates>(config))], elements)
}

#[test]
fn a_template_that_a_service_never_wrote_is_told_with_its_request() {
    let log = "0 pay w1 card 1 charged|500 pay w1 card 2 charged|2000 pay w1 corr=r-1 ERROR bank said no|\
               2100 pay w1 corr=r-2 ERROR bank said no|2200 new w2 hello there";
    let found = findings(told(json!({"warm_up": "1s"}), log));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].kind, FindingKind::NewTemplate);
    assert_eq!(found[0].title, "pay: never seen before: bank said no");
    assert_eq!(found[0].key.as_ref().map(|key| key.value.as_str()), Some("r-1"));
}

#[test]
fn learning_that_a_word_varies_is_no_news() {
    let log = "0 pay w1 session opened for user anna by root|0 pay w1 session opened for user ben by root|\
               2000 pay w1 session opened for user carl by root|3000 pay w1 session opened for user dora by root";
    assert_eq!(findings(told(json!({"warm_up": "1s"}), log)).len(), 0);
}

#[test]
fn a_template_that_comes_again_after_long_is_rare() {
    let log = "0 pay w1 disk nearly full|10 pay w1 tick|60000 pay w1 tick|3700000 pay w1 tick|7300000 pay w1 disk nearly full";
    let found = findings(told(json!({"warm_up": "1s", "rare_after": "1h30m"}), log));
    let titles: Vec<&str> = found.iter().map(|finding| finding.title.as_str()).collect();
    assert_eq!(titles, ["pay: seen again after 2h: disk nearly full"]);
}

#[test]
fn templates_are_counted_by_service_and_window() {
    let log = "0 pay w1 took 5ms|10 pay w1 ERROR took 7ms|20 db w1 took 1ms|70000 pay w1 took 9ms";
    let counts: Vec<_> = told(json!({}), log)
        .into_iter()
        .filter_map(|record| match record {
            Record::Template(count) => Some((count.service.unwrap_or_default(), count.pattern, count.count)),
            _ => None,
        })
        .collect();
    let one = |service: &str, count| (service.to_owned(), "took <*>".to_owned(), count);
    assert_eq!(counts.len(), 3);
    assert!(counts.contains(&one("pay", 2)) && counts.contains(&one("db", 1)) && counts[2] == one("pay", 1));
}

#[test]
fn events_carry_their_template_and_the_first_of_it_is_marked() {
    let mut chain = logbraid_core::Chain::new(
        vec![Box::new(built::<Templates>(json!({"warm_up": "1s"})))],
        true,
        logbraid_core::Span::from_seconds(60),
    );
    let mut elements: Vec<Element> =
        events("0 pay w1 all well|2000 pay w1 something new|2100 pay w1 something new")
            .into_iter()
            .map(Element::Event)
            .collect();
    let mut due = Vec::new();
    chain.push(&mut elements, &mut due);
    let entries: Vec<_> = due
        .into_iter()
        .filter_map(|due| match due.record {
            Record::Entry(event) => Some((event.template(), event.flags().has(Flags::NEW_TEMPLATE))),
            _ => None,
        })
        .collect();
    assert_eq!(entries.iter().map(|(_, new)| *new).collect::<Vec<_>>(), [false, true, false]);
    assert!(entries[1].0 == entries[2].0 && entries[0].0 != entries[1].0);
}

#[test]
fn masks_name_what_else_varies() {
    let log = "0 pay w1 order ab-x gone|1 pay w1 order cd-y gone";
    let records = told(json!({"masks": ["[a-z]{2}-[a-z]"]}), log);
    let count = records.iter().filter(|record| matches!(record, Record::Template(_))).count();
    assert_eq!(count, 1);
    assert!(
        refused::<Templates>(json!({"masks": ["["]})).starts_with("`masks.0` is not a regular expression")
    );
    assert_eq!(refused::<Templates>(json!({"max": 0})), "`max` must be from 1 to 1000000 (try `10000`)");
}

fn seeded(read: ReadFile) -> Result<Templates, ConfigError> {
    let mut fields = logbraid_core::Fields::default();
    let time = logbraid_core::progress::TimeSettings::default();
    let carry = logbraid_core::Span::ZERO;
    let mut context = Context { fields: &mut fields, time, carry, originals: false, read };
    let config =
        settings(&json!({"warm_up": "1s", "rare_after": "2h", "seed": "known"})).expect("they are right");
    Templates::build(config, &mut context)
}

#[test]
fn what_a_seed_file_knows_is_not_new() {
    // Texts are known of every service, records of theirs; what became part of something wider goes by its new name.
    let read: ReadFile = |_| {
        let narrow = Id::of(&["narrow"]);
        Ok(format!(
            "# comment\n\nbank said no\n\
             {{\"type\":\"template\",\"template\":\"{narrow}\",\"pattern\":\"user anna has left us\",\"service\":\"pay\",\"start\":\"2024-01-15T09:00:00Z\"}}\n\
             {{\"type\":\"template\",\"template\":\"00000000000000aa\",\"pattern\":\"user <*> has left us\",\"service\":\"pay\",\"start\":\"2024-01-15T09:00:00Z\",\"renamed\":[\"{narrow}\"]}}\n\
             {{\"type\":\"templa"
        )
        .into_bytes())
    };
    let log = "0 pay w1 hello|2000 pay w1 bank said no|2001 pay w1 user anna has left us|2002 pay w1 news|\
               2003 db w1 hello|5000 db w1 user ben has left us";
    let operator = seeded(read).expect("the file is right");
    assert_eq!(operator.miner.len(), 2);
    let elements = events(log).into_iter().map(Element::Event).collect();
    let found = findings(run(vec![Box::new(operator)], elements));
    let titles: Vec<&str> = found.iter().map(|finding| finding.title.as_str()).collect();
    // What a service is known by counts for its warm-up, too.
    let expected = [
        "pay: never seen before: hello",
        "pay: never seen before: news",
        "db: never seen before: user <*> has left us",
    ];
    assert_eq!(titles, expected);
    let error = |read| {
        let error = seeded(read).map(drop).expect_err("it is wrong");
        format!("{} ({})", error.message, error.help.unwrap_or_default())
    };
    insta::assert_snapshot!(error(|_| Ok(b"fine\n{\"template\":\"x\"}\n".to_vec())));
    insta::assert_snapshot!(error(|_| Err(std::io::ErrorKind::NotFound.into())));
}

fn message() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "open", "close", "user", "anna", "ben", "for", "7", "x=1", "x=a", "db.local",
    ]);
    prop::collection::vec(word, 1..6).prop_map(|words| words.join(" "))
}

#[test]
fn what_will_be_seen_again_after_a_restart_is_new_again_and_what_was_before_is_not() {
    let log = "0 pay w1 all well|2000 pay w1 early news|3000 pay w1 late news";
    let mut first = built::<Templates>(json!({"warm_up": "1s"}));
    let mut out = logbraid_core::Emit::default();
    for event in events(log) {
        first.on_event(event, &mut out);
    }
    let learned = first.learned(at(2500.0)).expect("something was learned");
    assert_eq!(first.learned(at(2500.0)), None);
    let mut second = built::<Templates>(json!({"warm_up": "1s"}));
    assert!(second.recall(&learned));
    let again = events(log).into_iter().map(Element::Event).collect();
    let found = findings(run(vec![Box::new(second)], again));
    let titles: Vec<&str> = found.iter().map(|finding| finding.title.as_str()).collect();
    assert_eq!(titles, ["pay: never seen before: late news"]);
    // Once nothing before it is held any more, it is known for good.
    let learned = first.learned(at(4000.0)).expect("more is known");
    let mut third = built::<Templates>(json!({"warm_up": "1s"}));
    assert!(third.recall(&learned));
    let again = events(log).into_iter().map(Element::Event).collect();
    assert!(findings(run(vec![Box::new(third)], again)).is_empty());
    assert!(!built::<Templates>(json!({})).recall("{\"version\":99}"));
}

proptest! {
    /// What was learned before a stop and is given back makes the rest of the stream look as if there had been none.
    #[test]
    fn a_restart_neither_repeats_nor_forgets(messages in prop::collection::vec(message(), 2..80), cut in 0_usize..80) {
        let notation: Vec<String> = messages
            .iter()
            .enumerate()
            .map(|(n, message)| format!("{} pay w1 {message}", n * 100))
            .collect();
        let all = events(&notation.join("|"));
        let cut = cut.min(all.len());
        let titles = |found: Vec<logbraid_core::Finding>| -> Vec<String> {
            found.into_iter().map(|finding| finding.title).collect()
        };
        let config = json!({"warm_up": "1s"});
        let whole = titles(findings(run(
            vec![Box::new(built::<Templates>(config.clone()))],
            all.iter().cloned().map(Element::Event).collect(),
        )));
        let mut first = built::<Templates>(config.clone());
        let mut out = logbraid_core::Emit::default();
        for event in &all[..cut] {
            first.on_event(event.clone(), &mut out);
        }
        first.on_watermark(at(cut as f64 * 100.0), &mut out);
        let mut second = built::<Templates>(config);
        if let Some(learned) = first.learned(EventTime::MAX) {
            prop_assert!(second.recall(&learned));
        }
        let rest = titles(findings(run(
            vec![Box::new(second)],
            all[cut..].iter().cloned().map(Element::Event).collect(),
        )));
        // Titles of what is still being learned may name a wider template; news stays news.
        prop_assert!(rest.len() <= whole.len(), "{rest:?} {whole:?}");
    }

    #[test]
    fn every_message_is_counted_once(messages in prop::collection::vec(message(), 0..200)) {
        let mut miner = Miner::new(Limits::default());
        for message in &messages {
            miner.add(message, at(0.0));
        }
        let counted: u64 = miner.templates().map(|template| template.count).sum();
        prop_assert_eq!(counted, messages.len() as u64);
        for template in miner.templates() {
            prop_assert_eq!(miner.renamed(template.id), template.id);
            prop_assert_eq!(miner.pattern(template.id), Some(template.pattern.as_str()));
        }
    }
}
