use std::collections::BTreeMap;

use super::*;

fn text(name: &str) -> String {
    files(42).into_iter().find(|file| file.name == name).unwrap().text
}

#[test]
fn the_committed_demo_logs_are_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/demo");
    for file in files(42) {
        let committed = std::fs::read_to_string(folder.join(file.name)).unwrap_or_default();
        assert!(
            committed == file.text,
            "{} is stale: cargo run -p logbraid-soak -- generate --kind demo --out configs/demo",
            file.name
        );
    }
}

#[test]
fn about_ten_checkouts_fail_and_one_is_retried() {
    let gateway = text("gateway.log");
    let failed = gateway.lines().filter(|line| line.contains("checkout failed")).count();
    assert!((8..=13).contains(&failed), "{failed} failed");
    let answers = gateway.lines().filter(|line| line.contains("\"status\"")).count();
    assert!((60..=100).contains(&answers), "{answers} requests");
    assert_eq!(text("payments.log").matches("retrying in 200 ms").count(), 1);
    assert!(text("inventory.log").matches("slow query").count() >= 2);
}

#[test]
fn files_are_small_and_in_order_and_only_stack_traces_lack_a_time() {
    for file in files(42) {
        assert!(file.text.len() < 60 * 1024, "{} has {} bytes", file.name, file.text.len());
        let heads: Vec<&str> = file
            .text
            .lines()
            .filter(|line| line.contains(" db-1 "))
            .filter_map(|line| line.split(' ').nth(1))
            .collect();
        assert!(heads.is_sorted(), "{}", file.name);
        if file.name != "payments-db.log" {
            assert!(file.text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
        }
    }
    let db = text("payments-db.log");
    assert!(db.contains("\n\tat com.shop.db."), "a stack trace over several lines");
}

#[test]
fn a_thread_serves_one_request_at_a_time() {
    let mut open: BTreeMap<(String, String), (String, u64)> = BTreeMap::new();
    let mut lines = shop::two_minutes(42);
    lines.sort_by_key(|line| line.time_ms);
    let last = |request: &str, service| {
        lines
            .iter()
            .filter(|line| line.service == service && line.request.as_deref() == Some(request))
            .map(|line| line.time_ms)
            .max()
            .unwrap()
    };
    for line in &lines {
        let Some(request) = &line.request else { continue };
        let thread = (format!("{:?}", line.service), line.thread.clone());
        if let Some((other, until)) = open.get(&thread)
            && other != request
        {
            assert!(*until <= line.time_ms, "{thread:?} serves {other} and {request}");
        }
        open.insert(thread, (request.clone(), last(request, line.service)));
    }
}

#[test]
fn errors_spread_from_the_database_to_the_gateway() {
    let lines = shop::two_minutes(42);
    let failed: Vec<&shop::Line> = lines
        .iter()
        .filter(|line| line.service == shop::Service::Gateway && line.message.contains("checkout failed"))
        .collect();
    for end in failed {
        let error = |service| {
            lines
                .iter()
                .find(|line| {
                    line.service == service
                        && line.request == end.request
                        && line.level == super::super::message::Severity::Error
                })
                .unwrap()
                .time_ms
        };
        let db = error(shop::Service::PaymentsDb);
        let payments = error(shop::Service::Payments);
        let checkout = error(shop::Service::Checkout);
        assert!(db < payments && payments < checkout && checkout < end.time_ms);
    }
}
