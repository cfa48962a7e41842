//! What happens in the shop: requests, their calls, and the threads that serve them.

use super::super::message::Severity;
use super::super::random::Random;

/// 2025-03-04T09:30:00Z, in milliseconds since 1970.
const OPENING_MS: u64 = 1_741_080_600_000;
const MINUTES_MS: u64 = 120_000;
/// When the database has no connection slot left.
const OUTAGE_MS: std::ops::Range<u64> = 60_000..85_000;

/// The shop's services.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Service {
    Gateway,
    Checkout,
    Payments,
    Inventory,
    PaymentsDb,
}

impl Service {
    pub(super) const ALL: [Self; 5] =
        [Self::Gateway, Self::Checkout, Self::Payments, Self::Inventory, Self::PaymentsDb];

    pub(super) const fn file(self) -> &'static str {
        match self {
            Self::Gateway => "gateway.log",
            Self::Checkout => "checkout.log",
            Self::Payments => "payments.log",
            Self::Inventory => "inventory.log",
            Self::PaymentsDb => "payments-db.log",
        }
    }
    const fn threads(self) -> &'static str {
        match self {
            Self::Gateway => "http",
            Self::Checkout => "worker",
            Self::Payments => "pool-1-thread",
            Self::Inventory => "grpc",
            Self::PaymentsDb => "conn",
        }
    }
}

/// One line of a log.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) time_ms: u64,
    pub(super) service: Service,
    pub(super) level: Severity,
    pub(super) thread: String,
    pub(super) request: Option<String>,
    pub(super) trace: Option<String>,
    pub(super) message: String,
    pub(super) status: Option<u16>,
    pub(super) duration_ms: Option<u64>,
    pub(super) stack: Option<&'static str>,
}

pub(super) const PAYMENTS_STACK: &str = "com.shop.payments.ChargeFailed: payments-db refused the connection\n\
    \tat com.shop.payments.Charges.insert(Charges.java:141)\n\
    \tat com.shop.payments.ChargeHandler.handle(ChargeHandler.java:58)\n\
    Caused by: java.sql.SQLTransientConnectionException: no connection slot after 250 ms\n\
    \tat com.shop.payments.db.Pool.acquire(Pool.java:88)\n\
    \t... 11 more";

pub(super) const DB_STACK: &str = "com.shop.db.SlotsExhausted: 20 of 20 connection slots in use\n\
    \tat com.shop.db.Slots.acquire(Slots.java:88)\n\
    \tat com.shop.db.Session.open(Session.java:37)\n\
    Caused by: java.util.concurrent.TimeoutException: waited 250 ms\n\
    \tat com.shop.db.Slots.await(Slots.java:112)\n\
    \t... 6 more";

/// A call in progress: who serves which request, and the time it is there.
struct Call {
    service: Service,
    thread: usize,
    now_ms: u64,
}

struct Shop {
    random: Random,
    /// By service, until when each thread is busy.
    busy_until_ms: [Vec<u64>; 5],
    request: String,
    trace: Option<String>,
    order: u64,
    failed: u64,
    lines: Vec<Line>,
}

/// Every line of the shop's two minutes, by request.
pub(super) fn two_minutes(seed: u64) -> Vec<Line> {
    let mut shop = Shop {
        random: Random::new(seed),
        busy_until_ms: [const { Vec::new() }; 5],
        request: String::new(),
        trace: None,
        order: 5000,
        failed: 0,
        lines: Vec::new(),
    };
    let mut arrival_ms = 400;
    let mut number = 0;
    let mut retried = false;
    while arrival_ms < MINUTES_MS - 4_000 {
        shop.request = format!("req-{}", 1001 + number);
        let trace = format!("{:016x}{:016x}", shop.random.bits(), shop.random.bits());
        shop.trace = (number % 3 == 0).then_some(trace);
        let outage = OUTAGE_MS.contains(&arrival_ms);
        match shop.random.below(10) {
            0..5 => {
                let fate = if !outage {
                    Fate::Charged
                } else if shop.failed >= 6 && !retried {
                    retried = true;
                    Fate::Retried
                } else {
                    Fate::Failed
                };
                shop.checkout(arrival_ms, fate, number % 29 == 20 && !outage);
            }
            5..8 => shop.product(arrival_ms, number % 31 == 12),
            _ => shop.order_status(arrival_ms),
        }
        number += 1;
        arrival_ms +=
            if shop.random.chance(45) { shop.random.between(9, 160) } else { shop.random.between(900, 4200) };
    }
    shop.database_notes();
    shop.lines
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Charged,
    Retried,
    Failed,
}

impl Shop {
    fn begin(&mut self, service: Service, now_ms: u64) -> Call {
        let threads = &mut self.busy_until_ms[service as usize];
        let free = threads.iter().position(|until| *until < now_ms);
        let thread = free.unwrap_or_else(|| {
            threads.push(0);
            threads.len() - 1
        });
        // Busy until the call's end is known.
        threads[thread] = u64::MAX;
        Call { service, thread, now_ms }
    }
    fn end(&mut self, call: &Call) {
        self.busy_until_ms[call.service as usize][call.thread] = call.now_ms;
    }
    fn pass(&mut self, call: &mut Call, least_ms: u64, most_ms: u64) {
        call.now_ms += self.random.between(least_ms, most_ms);
    }
    fn say(&mut self, call: &Call, level: Severity, message: String) -> &mut Line {
        let at = self.lines.len();
        self.lines.push(Line {
            time_ms: OPENING_MS + call.now_ms,
            service: call.service,
            level,
            thread: format!("{}-{}", call.service.threads(), call.thread + 1),
            request: Some(self.request.clone()),
            // Only the first and the third service pass traces on.
            trace: if matches!(call.service, Service::Gateway | Service::Payments) {
                self.trace.clone()
            } else {
                None
            },
            message,
            status: None,
            duration_ms: None,
            stack: None,
        });
        &mut self.lines[at]
    }
    /// A line that does not name its request; its thread tells.
    fn mutter(&mut self, call: &Call, level: Severity, message: String) {
        let line = self.say(call, level, message);
        (line.request, line.trace) = (None, None);
    }
    fn answer(&mut self, mut gateway: Call, route: &str, status: u16, from_ms: u64) {
        self.pass(&mut gateway, 1, 3);
        let took = gateway.now_ms - from_ms;
        let level = if status < 500 { Severity::Info } else { Severity::Error };
        let message = match status {
            502 => format!("{route} {status} in {took} ms: checkout failed"),
            _ => format!("{route} {status} in {took} ms"),
        };
        let line = self.say(&gateway, level, message);
        (line.status, line.duration_ms) = (Some(status), Some(took));
        self.end(&gateway);
    }

    fn checkout(&mut self, at_ms: u64, fate: Fate, slow: bool) {
        let mut gateway = self.begin(Service::Gateway, at_ms);
        self.say(&gateway, Severity::Info, "POST /checkout".to_owned());
        self.order += 1;
        let (order, items) = (self.order, self.random.between(1, 5));
        let cents = self.random.between(990, 24_900);
        let total = format!("{}.{:02} EUR", cents / 100, cents % 100);

        self.pass(&mut gateway, 2, 4);
        let mut checkout = self.begin(Service::Checkout, gateway.now_ms);
        self.say(&checkout, Severity::Info, format!("order {order}: checkout of {items} items"));
        self.pass(&mut checkout, 1, 3);
        checkout.now_ms = self.reserve(checkout.now_ms, items, slow);
        self.pass(&mut checkout, 1, 2);
        self.mutter(&checkout, Severity::Debug, format!("prices and shipping calculated: {total}"));
        self.pass(&mut checkout, 1, 3);

        let (charged, done_ms) = self.charge(checkout.now_ms, order, &total, fate);
        checkout.now_ms = done_ms;
        self.pass(&mut checkout, 2, 4);
        if charged {
            self.say(&checkout, Severity::Info, format!("order {order} confirmed"));
        } else {
            self.failed += 1;
            let message = format!("order {order} not placed: payments answered 503");
            self.say(&checkout, Severity::Error, message);
        }
        self.end(&checkout);
        gateway.now_ms = checkout.now_ms;
        self.answer(gateway, "POST /checkout", if charged { 201 } else { 502 }, at_ms);
    }

    fn reserve(&mut self, now_ms: u64, items: u64, slow: bool) -> u64 {
        let mut inventory = self.begin(Service::Inventory, now_ms);
        self.say(&inventory, Severity::Info, format!("reserving {items} items"));
        self.pass(&mut inventory, 1, 4);
        let (sku, stock) = (self.random.between(1, 60), self.random.between(3, 90));
        self.mutter(&inventory, Severity::Debug, format!("stock of sku-{sku:03}: {stock}"));
        let from_ms = inventory.now_ms;
        if slow {
            self.pass(&mut inventory, 1700, 2300);
            let took = inventory.now_ms - from_ms;
            self.say(&inventory, Severity::Warn, format!("slow query on stock: {took} ms"));
        }
        self.pass(&mut inventory, 5, 19);
        let line = self.say(&inventory, Severity::Info, format!("{items} items reserved"));
        line.duration_ms = Some(inventory.now_ms - now_ms);
        self.end(&inventory);
        inventory.now_ms
    }

    /// Charges an order; true when it was charged, and the time of the answer.
    fn charge(&mut self, now_ms: u64, order: u64, total: &str, fate: Fate) -> (bool, u64) {
        let mut payments = self.begin(Service::Payments, now_ms);
        self.say(&payments, Severity::Info, format!("charging {total} for order {order}"));
        if fate != Fate::Charged {
            self.pass(&mut payments, 2, 4);
            payments.now_ms = self.refuse(payments.now_ms);
            self.pass(&mut payments, 2, 5);
        }
        if fate == Fate::Failed {
            let first = self.failed < 3;
            let message = format!("charge for order {order} failed: payments-db refused the connection");
            let line = self.say(&payments, Severity::Error, message);
            line.stack = first.then_some(PAYMENTS_STACK);
            self.end(&payments);
            return (false, payments.now_ms);
        }
        if fate == Fate::Retried {
            let message = format!("charge for order {order}: attempt 1 of 3 failed, retrying in 200 ms");
            self.say(&payments, Severity::Warn, message);
            payments.now_ms += 200;
            self.say(&payments, Severity::Info, format!("charge for order {order}: attempt 2 of 3"));
        }
        self.pass(&mut payments, 2, 4);
        payments.now_ms = self.insert(payments.now_ms);
        self.pass(&mut payments, 20, 70);
        let line = self.say(&payments, Severity::Info, format!("charge for order {order} authorised"));
        line.duration_ms = Some(payments.now_ms - now_ms);
        self.end(&payments);
        (true, payments.now_ms)
    }

    fn insert(&mut self, now_ms: u64) -> u64 {
        let mut db = self.begin(Service::PaymentsDb, now_ms);
        self.say(&db, Severity::Debug, "connection opened".to_owned());
        let from_ms = db.now_ms;
        self.pass(&mut db, 3, 11);
        let took = db.now_ms - from_ms;
        self.say(&db, Severity::Info, format!("INSERT INTO charges: 1 row in {took} ms"));
        self.pass(&mut db, 1, 3);
        self.mutter(&db, Severity::Debug, "COMMIT".to_owned());
        self.end(&db);
        db.now_ms
    }

    fn refuse(&mut self, now_ms: u64) -> u64 {
        let mut db = self.begin(Service::PaymentsDb, now_ms);
        self.say(&db, Severity::Warn, "waiting for a connection slot".to_owned());
        db.now_ms += 250;
        let with_stack = self.failed.is_multiple_of(2);
        let message = "connection refused: 20 of 20 connection slots in use".to_owned();
        let line = self.say(&db, Severity::Error, message);
        line.stack = with_stack.then_some(DB_STACK);
        self.end(&db);
        db.now_ms
    }

    fn product(&mut self, at_ms: u64, slow: bool) {
        let mut gateway = self.begin(Service::Gateway, at_ms);
        let sku = self.random.between(1, 60);
        let route = format!("GET /products/{sku}");
        self.say(&gateway, Severity::Info, route.clone());
        self.pass(&mut gateway, 1, 3);
        let mut inventory = self.begin(Service::Inventory, gateway.now_ms);
        self.say(&inventory, Severity::Info, format!("looking up sku-{sku:03}"));
        let from_ms = inventory.now_ms;
        if slow {
            self.pass(&mut inventory, 1400, 1900);
            let took = inventory.now_ms - from_ms;
            self.say(&inventory, Severity::Warn, format!("slow query on products: {took} ms"));
        }
        self.pass(&mut inventory, 2, 12);
        let line = self.say(&inventory, Severity::Info, format!("found sku-{sku:03}"));
        line.duration_ms = Some(inventory.now_ms - from_ms);
        self.end(&inventory);
        gateway.now_ms = inventory.now_ms;
        self.answer(gateway, &route, 200, at_ms);
    }

    fn order_status(&mut self, at_ms: u64) {
        let mut gateway = self.begin(Service::Gateway, at_ms);
        let order = 4000 + self.random.between(1, 999);
        let route = format!("GET /orders/{order}");
        self.say(&gateway, Severity::Info, route.clone());
        self.pass(&mut gateway, 1, 3);
        let mut checkout = self.begin(Service::Checkout, gateway.now_ms);
        self.say(&checkout, Severity::Info, format!("status of order {order}"));
        self.pass(&mut checkout, 2, 6);
        let state = *self.random.pick(&[&"confirmed", &"shipped", &"delivered"]);
        self.say(&checkout, Severity::Info, format!("order {order} is {state}"));
        self.end(&checkout);
        gateway.now_ms = checkout.now_ms;
        self.answer(gateway, &route, 200, at_ms);
    }

    /// What the database says of itself; no request asked for it.
    fn database_notes(&mut self) {
        let notes = [
            (12_000, Severity::Info, "checkpoint complete: wrote 212 buffers in 1.8 s"),
            (44_000, Severity::Info, "reporting job started: 16 connections"),
            (52_500, Severity::Warn, "18 of 20 connection slots in use"),
            (58_750, Severity::Warn, "19 of 20 connection slots in use, oldest transaction open for 14 s"),
            (72_000, Severity::Info, "checkpoint complete: wrote 96 buffers in 0.9 s"),
            (85_200, Severity::Info, "reporting job cancelled, 16 connection slots released"),
            (102_000, Severity::Info, "checkpoint complete: wrote 188 buffers in 1.6 s"),
        ];
        for (now_ms, level, message) in notes {
            // A thread of its own: these lines belong to no request.
            let call = Call { service: Service::PaymentsDb, thread: 98, now_ms };
            self.mutter(&call, level, message.to_owned());
            if let Some(line) = self.lines.last_mut() {
                "monitor".clone_into(&mut line.thread);
            }
        }
    }
}
