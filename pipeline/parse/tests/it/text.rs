use super::{check, one};
use logbraid_core::Format;

#[test]
fn a_time_at_the_head_is_read_in_any_layout() {
    let day = "2024-01-15T10:00:00";
    let cases = [
        ("2024-01-15T10:00:00Z", ""),
        ("2024-01-15 10:00:00", ""),
        ("2024-01-15_10:00:00", ""),
        ("2024-01-15:10:00:00", ""),
        ("2024/01/15 10:00:00", ""),
        ("2024.01.15 10:00:00", ""),
        ("2024-01-15T10:00:00,123", ".123"),
        ("2024-01-15 10:00:00.123456", ".123456"),
        ("2024-01-15T11:00:00+0100", ""),
        ("2024-01-15T11:00:00+01:00", ""),
        ("2024-01-15 11:00:00 +0100", ""),
        ("2024-01-15T11:00:00+01", ""),
        ("2024-01-15 05:00:00 EST", ""),
        ("2024-01-15 10:00:00 UTC", ""),
        ("15/Jan/2024:10:00:00 +0000", ""),
        ("15.01.2024 10:00:00", ""),
        ("15 Jan 2024 10:00:00", ""),
        ("15-Jan-2024 10:00:00.5", ".500"),
        ("Mon Jan 15 10:00:00 2024", ""),
        ("Mon Jan 15 10:00:00 UTC 2024", ""),
        ("Mon, 15 Jan 2024 10:00:00 GMT", ""),
        ("Jan 15, 2024 10:00:00 AM", ""),
        ("January 15, 2024 10:00:00", ""),
        ("240115 100000", ""),
        ("20240115-10:00:0:6", ".006"),
        ("20240115T100000Z", ""),
        ("20240115100000", ""),
        ("24/01/15 10:00:00", ""),
        ("01/15/2024 10:00:00", ""),
        ("15/01/2024 10:00:00", ""),
        ("1705312800", ""),
        ("1705312800.25", ".250"),
        ("1705312800123", ".123"),
        ("1705312800123456", ".123456"),
        ("1705312800123456789", ".123456789"),
        ("2024-01-15-10.00.00.363779", ".363779"),
        ("[2024-01-15 10:00:00]", ""),
        ("[Mon Jan 15 10:00:00.5 2024]", ".500"),
        ("(2024-01-15 10:00:00)", ""),
        ("- 1705312800 2024.01.15", ""),
        ("2024-01-15 10:00", ""),
    ];
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(time, fraction)| {
            let event = one(&format!("{time} something happened"));
            let found = (event.time().to_string(), event.message().to_owned());
            (found != (format!("{day}{fraction}Z"), "something happened".to_owned()))
                .then(|| format!("{time}: {found:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_missing_year_is_the_newest_that_is_not_in_the_future() {
    // Read on 2026-06-01.
    let year = |line: &str| one(line).time().to_string()[..10].to_owned();
    assert_eq!(year("May 31 10:00:00 host app: x"), "2026-05-31");
    assert_eq!(year("Jun  1 23:00:00 host app: x"), "2026-06-01");
    assert_eq!(year("Dec 31 23:59:59 host app: x"), "2025-12-31");
    assert_eq!(year("Feb 29 10:00:00 host app: x"), "2024-02-29");
    assert_eq!(year("03-17 16:13:38.811 1702 2395 D Tag: x"), "2026-03-17");
}

#[test]
fn heads_are_taken_apart_in_any_order_that_makes_sense() {
    check(&[
        (
            "081109 203615 148 INFO dfs.DataNode$PacketResponder: PacketResponder 1 terminating",
            "2008-11-09T20:36:15Z INFO thread=148 logger=dfs.DataNode$PacketResponder | PacketResponder 1 terminating",
        ),
        (
            "2015-10-18 18:01:47,978 INFO [IPC Server handler 19 on 62270] org.apache.Foo: Created x",
            "2015-10-18T18:01:47.978Z INFO thread=IPC Server handler 19 on 62270 logger=org.apache.Foo | Created x",
        ),
        (
            "2015-07-29 17:41:44,747 - INFO  [QuorumPeer[myid=1]/0:0:2181:Fast@774] - Notification time out: 3200",
            "2015-07-29T17:41:44.747Z INFO thread=QuorumPeer[myid=1]/0:0:2181:Fast@774 | Notification time out: 3200",
        ),
        (
            "17/06/09 20:10:40 INFO spark.SecurityManager: Changing view acls",
            "2017-06-09T20:10:40Z INFO logger=spark.SecurityManager | Changing view acls",
        ),
        (
            "20171223-22:15:29:606|Step_LSC|30002312|onStandStepChanged 3579",
            "2017-12-23T22:15:29.606Z thread=30002312 logger=Step_LSC | onStandStepChanged 3579",
        ),
        (
            "[Sun Dec 04 04:47:44 2005] [notice] workerEnv.init() ok",
            "2005-12-04T04:47:44Z INFO | workerEnv.init() ok",
        ),
        (
            "[Wed Oct 11 14:32:52.123456 2023] [core:error] [pid 35708:tid 4328] [client 72.15.99.187:1234] AH00037: no",
            "2023-10-11T14:32:52.123456Z ERROR thread=4328 | [client 72.15.99.187:1234] AH00037: no",
        ),
        (
            "2024/01/15 10:00:00 [error] 1234#5678: *90 connect() failed",
            "2024-01-15T10:00:00Z ERROR thread=1234#5678 | *90 connect() failed",
        ),
        (
            "2016-09-28 04:30:30, Info                  CBS    Loaded Servicing Stack",
            "2016-09-28T04:30:30Z INFO logger=CBS | Loaded Servicing Stack",
        ),
        (
            "[10.30 16:49:06] chrome.exe - proxy:5070 open through proxy",
            "2025-10-30T16:49:06Z logger=chrome.exe | proxy:5070 open through proxy",
        ),
        (
            "2024-01-15 10:00:00.123  INFO 12345 --- [nio-8080-exec-1] c.e.demo.Controller  : hello",
            "2024-01-15T10:00:00.123Z INFO thread=nio-8080-exec-1 logger=c.e.demo.Controller | hello",
        ),
        (
            "10:00:00.123 [main] INFO  com.foo.Bar - logback",
            "2026-05-31T10:00:00.123Z INFO thread=main logger=com.foo.Bar | logback",
        ),
        (
            "2024-01-15 10:00:00,123 - mymodule - INFO - python",
            "2024-01-15T10:00:00.123Z INFO logger=mymodule | python",
        ),
        ("WARNING:root:python default", "WARN logger=root | python default"),
        (
            "2024-01-15 10:00:00.123 | INFO     | __main__:main:12 - loguru",
            "2024-01-15T10:00:00.123Z INFO logger=__main__:main:12 | loguru",
        ),
        ("2024/01/15 10:00:00 main.go:12: go", "2024-01-15T10:00:00Z logger=main.go:12 | go"),
        (
            "[2024-01-15T10:00:00Z INFO  krate::module] rust",
            "2024-01-15T10:00:00Z INFO logger=krate::module | rust",
        ),
        (
            "2024-01-15T10:00:00.123456Z  INFO krate::module: tracing",
            "2024-01-15T10:00:00.123456Z INFO logger=krate::module | tracing",
        ),
        (
            "I, [2024-01-15T10:00:00.123456 #1234]  INFO -- main: ruby",
            "2024-01-15T10:00:00.123456Z INFO thread=1234 logger=main | ruby",
        ),
        (
            "2024-01-15 10:00:00.123 UTC [1234] LOG:  postgres",
            "2024-01-15T10:00:00.123Z INFO thread=1234 | postgres",
        ),
        (
            "2024-01-15T10:00:00.123456Z 8 [Warning] [MY-010068] [Server] mysql",
            "2024-01-15T10:00:00.123456Z WARN thread=8 | [MY-010068] [Server] mysql",
        ),
        ("2024-01-15 10:00:00.123 +00:00 [INF] serilog", "2024-01-15T10:00:00.123Z INFO | serilog"),
        (
            "03-17 16:13:38.811  1702  2395 D WindowManager: android",
            "2026-03-17T16:13:38.811Z DEBUG thread=2395 logger=WindowManager | android",
        ),
        ("E/ActivityManager( 1234): android", "ERROR thread=1234 logger=ActivityManager | android"),
        (
            "I0115 10:00:00.000001       1 file.go:123] klog",
            "2026-01-15T10:00:00.000001Z INFO thread=1 logger=file.go:123 | klog",
        ),
        ("[INFO] [worker-1] brackets", "INFO thread=worker-1 | brackets"),
        (
            "2024-01-15T10:00:00Z level=warn msg=\"pairs behind a head\" request_id=r1",
            "2024-01-15T10:00:00Z WARN correlation=r1 | pairs behind a head",
        ),
        (
            "time=2024-01-15T10:00:00.000Z level=INFO source=a.go:1 msg=\"go slog\" took=3ms",
            "2024-01-15T10:00:00Z INFO ms=3 | go slog",
        ),
        ("panic: runtime error: index out of range", "FATAL | runtime error: index out of range"),
    ]);
}

#[test]
fn layouts_that_no_rule_was_written_for_still_come_apart() {
    check(&[
        (
            "- 1117838570 2005.06.03 R02-M1-N0-C:J12-U11 2005-06-03-15.42.50.363779 R02-M1-N0-C:J12-U11 RAS KERNEL INFO instruction cache parity error corrected",
            "2005-06-03T22:42:50Z INFO | instruction cache parity error corrected",
        ),
        (
            "134681 node-246 unix.hw state_change.unavailable 1077804742 1 Component State Change: bad",
            "2004-02-26T14:12:22Z | Component State Change: bad",
        ),
        (
            "- 1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228/dn228 crond(pam_unix)[2915]: session closed",
            "2005-11-09T20:01:01Z thread=2915 logger=crond(pam_unix) | session closed",
        ),
        (
            "nova-api.log.1.2017-05-16_13:53:08 2017-05-16 00:00:00.008 25746 INFO nova.api.wsgi [req-38101a0b 113d 54fa - - -] 10.11.10.1 \"GET /\"",
            "2017-05-16T00:00:00.008Z INFO thread=25746 correlation=req-38101a0b logger=nova.api.wsgi | 10.11.10.1 \"GET /\"",
        ),
    ]);
}

#[test]
fn heads_of_well_known_servers_come_apart() {
    check(&[
        (
            "[2024-01-15T10:00:00,123][INFO ][o.e.n.Node               ] [node-1] started",
            "2024-01-15T10:00:00.123Z INFO thread=node-1 logger=o.e.n.Node | started",
        ),
        (
            "INFO  [main] 2024-01-15 10:00:00,123 CassandraDaemon.java:650 - Startup complete",
            "2024-01-15T10:00:00.123Z INFO thread=main logger=CassandraDaemon.java:650 | Startup complete",
        ),
        (
            r#"{"t":{"$date":"2024-01-15T10:00:00.123+00:00"},"s":"W","c":"NETWORK","ctx":"conn1","msg":"mongo"}"#,
            "2024-01-15T10:00:00.123Z WARN thread=conn1 | mongo",
        ),
        (
            "2024-01-15T10:00:00.123+0000 I NETWORK  [conn1] mongo",
            "2024-01-15T10:00:00.123Z INFO thread=conn1 logger=NETWORK | mongo",
        ),
        ("1234:M 15 Jan 2024 10:00:00.123 * redis", "2024-01-15T10:00:00.123Z | * redis"),
        (
            "[2024-01-15 10:00:00 +0000] [1234] [INFO] gunicorn",
            "2024-01-15T10:00:00Z INFO thread=1234 | gunicorn",
        ),
        (
            "[2024-01-15 10:00:00,123: WARNING/MainProcess] celery",
            "2024-01-15T10:00:00.123Z WARN logger=MainProcess | celery",
        ),
        (
            "[15-Jan-2024 10:00:00 UTC] PHP Warning:  Undefined variable",
            "2024-01-15T10:00:00Z WARN | PHP Warning:  Undefined variable",
        ),
        ("[12345.678901] usb 1-1: kernel", "| usb 1-1: kernel"),
        (
            "2024-01-15T10:00:00.123Z\tINFO\tcontroller/x.go:12\tzap",
            "2024-01-15T10:00:00.123Z INFO logger=controller/x.go:12 | zap",
        ),
        (
            "2024-01-15 10:00:00 n1 app[123]: ISO time with a blank",
            "2024-01-15T10:00:00Z service=app host=n1 thread=123 | ISO time with a blank",
        ),
        (
            "2024-01-15T10:00:00.000Z\t5759e988-bd86-2e3f-e1be-46a994272793\tINFO\tlambda",
            "2024-01-15T10:00:00Z INFO correlation=5759e988-bd86-2e3f-e1be-46a994272793 | lambda",
        ),
        (
            "2024-01-15 10:00:00,123|INFO|http-nio-8080-exec-1|com.foo.Bar|hello|world",
            "2024-01-15T10:00:00.123Z INFO thread=http-nio-8080-exec-1 logger=com.foo.Bar | hello|world",
        ),
        ("Duration: 12.5 ms, billed duration: 13 ms", "ms=12.5 | Duration: 12.5 ms, billed duration: 13 ms"),
    ]);
}

#[test]
fn prose_is_left_alone() {
    check(&[
        ("2024-01-15 10:00:00 42 items processed", "2024-01-15T10:00:00Z | 42 items processed"),
        (
            "2024-01-15 10:00:00 Request failed with ERROR code",
            "2024-01-15T10:00:00Z ERROR | Request failed with ERROR code",
        ),
        ("plain words here", "| plain words here"),
        ("see http://x.y/z: it works", "| see http://x.y/z: it works"),
        (
            "2024-01-15 10:00:00 INFO java.lang.IllegalStateException: no",
            "2024-01-15T10:00:00Z INFO | java.lang.IllegalStateException: no",
        ),
        ("the error was in thread pool started", "| the error was in thread pool started"),
    ]);
}

#[test]
fn syslog_in_all_its_forms() {
    check(&[
        (
            "<165>1 2003-10-11T22:14:15.003Z mymachine evntslog 77 ID47 [ex@32473 iut=\"3\" request_id=\"r-1\"] An event",
            "2003-10-11T22:14:15.003Z INFO service=evntslog host=mymachine thread=77 correlation=r-1 | An event",
        ),
        ("<34>1 2003-10-11T22:14:15.003Z - - - - - \u{feff}bare", "2003-10-11T22:14:15.003Z ERROR | bare"),
        (
            "<34>Oct 11 22:14:15 mymachine su[12]: 'su root' failed",
            "2025-10-11T22:14:15Z ERROR service=su host=mymachine thread=12 | 'su root' failed",
        ),
        ("<13>hello without anything", "INFO | hello without anything"),
        (
            "Jun 14 15:16:01 combo sshd(pam_unix)[19939]: authentication failure; uid=0",
            "2025-06-14T15:16:01Z ERROR service=sshd host=combo thread=19939 | authentication failure; uid=0",
        ),
        (
            "Jun 14 15:16:01 combo kernel: Out of memory: Kill process 7",
            "2025-06-14T15:16:01Z FATAL service=kernel host=combo | Out of memory: Kill process 7",
        ),
        (
            "Jun 14 15:16:01 combo app: WARN only a warning: failed to",
            "2025-06-14T15:16:01Z WARN service=app host=combo | WARN only a warning: failed to",
        ),
        (
            "Jul  1 09:29:02 mac com.apple.launchd[1] (com.apple.domain): Failed to bootstrap",
            "2025-07-01T09:29:02Z ERROR service=com.apple.launchd host=mac thread=1 | Failed to bootstrap",
        ),
        (
            "2024-01-15T10:00:00.5+01:00 n1 app[123]: rsyslog with ISO time",
            "2024-01-15T09:00:00.500Z service=app host=n1 thread=123 | rsyslog with ISO time",
        ),
    ]);
}

#[test]
fn access_logs_say_how_requests_ended() {
    check(&[
        (
            "127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] \"GET /a.gif HTTP/1.0\" 200 2326",
            "2000-10-10T20:55:36Z INFO | 127.0.0.1 GET /a.gif HTTP/1.0 200",
        ),
        (
            "::1 - - [10/Oct/2000:13:55:36 +0000] \"GET /\\\"x HTTP/1.0\" 404 - \"-\" \"agent\"",
            "2000-10-10T13:55:36Z WARN | ::1 GET /\\\"x HTTP/1.0 404",
        ),
        (
            "10.0.0.1 - - [10/Oct/2000:13:55:36 +0000] \"POST / HTTP/1.1\" 503 12 \"-\" \"a\" request_id=r-7",
            "2000-10-10T13:55:36Z ERROR correlation=r-7 | 10.0.0.1 POST / HTTP/1.1 503",
        ),
    ]);
    assert_eq!(
        one("127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.0\" 200 1").row().format,
        Format::Clf
    );
}

#[test]
fn ids_are_found_in_text_in_every_spelling() {
    check(&[
        (
            "handling requestId=abc-1 traceId=4bf92f3577b34da6a3ce929d0e0e4736 spanId=00f067aa0ba902b7.",
            "correlation=abc-1 trace=4bf92f3577b34da6a3ce929d0e0e4736 span=00f067aa0ba902b7 | handling requestId=abc-1 traceId=4bf92f3577b34da6a3ce929d0e0e4736 spanId=00f067aa0ba902b7.",
        ),
        (
            "x correlation-id: c-9, parent_span_id=p1",
            "correlation=c-9 parent=p1 | x correlation-id: c-9, parent_span_id=p1",
        ),
        (
            "done [req-77] in pool-1-thread-3",
            "thread=pool-1-thread-3 correlation=req-77 | done [req-77] in pool-1-thread-3",
        ),
        (
            "got {\"request_id\": \"q-1\"} from tid=12",
            "thread=12 correlation=q-1 | got {\"request_id\": \"q-1\"} from tid=12",
        ),
        (
            "X-Amzn-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8 ok",
            "trace=1-5759e988-bd862e3fe1be46a994272793 parent=53995c3f42cd8ad8 | X-Amzn-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8 ok",
        ),
        ("query took 12 ms", "ms=12 | query took 12 ms"),
        ("request id missing, trace id none", "| request id missing, trace id none"),
    ]);
}

#[test]
fn the_service_comes_from_a_kubernetes_path() {
    let id = "0".repeat(64);
    let of = |path: &str| logbraid_parse::service_from_path(path);
    assert_eq!(
        of(&format!("/var/log/containers/cart-5d4f7c9b8-abcde_shop_server-{id}.log")).as_deref(),
        Some("cart-5d4f7c9b8-abcde")
    );
    assert_eq!(of(&format!("cart-5d4f7c9b8-x2k4q_shop_server-{id}.log")).as_deref(), Some("cart"));
    assert_eq!(of(&format!("db-0_shop_postgres-{id}.log")).as_deref(), Some("postgres"));
    assert_eq!(of("/var/log/pods/shop_cart-5d4f7c9b8-x2k4q_0a1b/proxy/0.log").as_deref(), Some("proxy"));
    assert_eq!(of("app.log"), None);
}
