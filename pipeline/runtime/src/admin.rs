//! The admin endpoint: health, metrics, the configuration. Loopback by default; any other address needs a token.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// A question about what runs, as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What follows `/query/`; empty for `/query` itself.
    pub question: String,
    /// The parameters of the address, in order.
    pub parameters: Vec<(String, String)>,
    /// The body of a POST, at most [`BODY_BYTES_MAX`] long.
    pub body: Option<Bytes>,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// What the body is.
    pub media_type: &'static str,
    /// Headers beyond that.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

/// Answers questions; the runtime does not know which there are.
pub trait Questions: Send + Sync {
    /// Answers one. Bounds of its own keep it from slowing what runs.
    fn answer(&self, asked: Asked) -> BoxFuture<'static, Reply>;
}

/// The longest body of a question.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// What the endpoint serves.
#[derive(Clone, Default)]
pub struct Admin {
    /// The figures and the health of the run.
    pub metrics: Arc<Metrics>,
    /// The resolved configuration, secrets hidden.
    pub config: Arc<str>,
    /// The bearer token that requests must carry; none on loopback, if so wished.
    pub token: Option<Arc<str>>,
    /// Who answers `/query`; without one there is no such path.
    pub questions: Option<Arc<dyn Questions>>,
    /// Further paths that need the token, where there is one.
    pub doors: Router,
    /// Further paths that everybody may see: pages that hold nothing of what runs.
    pub pages: Router,
}

/// Why the endpoint cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// An address that others can reach needs a token.
    #[error("admin address {0} can be reached by others and needs `admin.token`")]
    NeedsToken(SocketAddr),
    /// The address cannot be used.
    #[error("admin address {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's word.
        source: std::io::Error,
    },
}

impl Admin {
    /// Opens `address` (port 0 for any free one) and returns the address in use, and the task that serves until `stop`.
    pub async fn serve(
        self,
        address: SocketAddr,
        stop: CancellationToken,
    ) -> Result<(SocketAddr, impl Future<Output = ()> + Send), AdminError> {
        if !address.ip().is_loopback() && self.token.is_none() {
            return Err(AdminError::NeedsToken(address));
        }
        let listen = |source| AdminError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let bound = listener.local_addr().map_err(listen)?;
        let app = Router::new()
            .route("/health/live", get(live))
            .route("/health/ready", get(ready))
            .route("/metrics", get(metrics))
            .route("/config", get(config))
            .route("/query", get(questions))
            .route("/query/{*question}", get(question).post(question))
            .with_state(self.clone())
            .merge(self.doors.clone())
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(middleware::from_fn_with_state(self.clone(), authorize))
            .merge(self.pages);
        let serve = async move {
            let served = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await;
            if let Err(error) = served {
                tracing::warn!(%error, "the admin endpoint ended");
            }
        };
        Ok((bound, serve))
    }
}

async fn authorize(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    if let Some(token) = &admin.token {
        let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        if !same(given.as_bytes(), token.as_bytes()) {
            return (StatusCode::UNAUTHORIZED, "this endpoint needs `Authorization: Bearer TOKEN`\n")
                .into_response();
        }
    }
    next.run(request).await
}

/// Compares without telling by its duration how much is right.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

async fn live() -> &'static str {
    "ok\n"
}

async fn ready(State(admin): State<Admin>) -> Response {
    let health = admin.metrics.read_health();
    if !health.started {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response();
    }
    if health.troubles.is_empty() {
        return "ok\n".into_response();
    }
    let troubles: Vec<String> =
        health.troubles.iter().map(|(place, what)| format!("{place}: {what}")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, troubles.join("\n") + "\n").into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], admin.metrics.prometheus()).into_response()
}

async fn config(State(admin): State<Admin>) -> Response {
    ([(header::CONTENT_TYPE, "application/yaml")], admin.config.to_string()).into_response()
}

type Parameters = Query<Vec<(String, String)>>;

async fn questions(State(admin): State<Admin>, Query(parameters): Parameters) -> Response {
    answer(&admin, Asked { question: String::new(), parameters, body: None }).await
}

async fn question(
    State(admin): State<Admin>,
    Path(question): Path<String>,
    method: Method,
    Query(parameters): Parameters,
    body: Bytes,
) -> Response {
    let body = (method == Method::POST).then_some(body);
    answer(&admin, Asked { question, parameters, body }).await
}

async fn answer(admin: &Admin, asked: Asked) -> Response {
    let Some(questions) = &admin.questions else { return StatusCode::NOT_FOUND.into_response() };
    let Reply { status, media_type, headers, body } = questions.answer(asked).await;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, [(header::CONTENT_TYPE, media_type)], body).into_response();
    for (name, value) in headers {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn get(address: SocketAddr, path: &str, more: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    fn admin(token: Option<&str>) -> Admin {
        let config = "time: {}\n".into();
        Admin {
            metrics: Arc::default(),
            config,
            token: token.map(Into::into),
            questions: Some(Arc::new(Echo)),
            doors: Router::new().route("/door", axum::routing::get(async || "open")),
            pages: Router::new().route("/", axum::routing::get(async || "page")),
        }
    }

    struct Echo;

    impl Questions for Echo {
        fn answer(&self, asked: Asked) -> BoxFuture<'static, Reply> {
            let body = format!("{asked:?}");
            let headers = vec![("retry-after", "1".to_owned())];
            Box::pin(async { Reply { status: 503, media_type: "text/plain", headers, body } })
        }
    }

    #[tokio::test]
    async fn questions_reach_whoever_answers_them_and_need_the_token_too() {
        let stop = CancellationToken::new();
        let served = admin(Some("secret")).serve("127.0.0.1:0".parse().unwrap(), stop.clone()).await;
        let (address, serve) = served.unwrap();
        let task = async {
            let path = "/query/correlation/run?rule=a%20b&limit=5";
            assert!(get(address, path, "").await.starts_with("HTTP/1.1 401"));
            let answer = get(address, path, "Authorization: Bearer secret\r\n").await;
            assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
            assert!(answer.contains("retry-after: 1"), "{answer}");
            let asked =
                r#"question: "correlation/run", parameters: [("rule", "a b"), ("limit", "5")], body: None"#;
            assert!(answer.contains(asked), "{answer}");
            stop.cancel();
        };
        tokio::join!(serve, task);
    }

    #[tokio::test]
    async fn health_metrics_and_configuration_are_served() {
        let admin = admin(None);
        let metrics = Arc::clone(&admin.metrics);
        let stop = CancellationToken::new();
        let (address, serve) = admin.serve("127.0.0.1:0".parse().unwrap(), stop.clone()).await.unwrap();
        let task = async {
            assert!(get(address, "/health/live", "").await.starts_with("HTTP/1.1 200"));
            assert!(get(address, "/health/ready", "").await.starts_with("HTTP/1.1 503"));
            metrics.health(|health| health.started = true);
            assert!(get(address, "/health/ready", "").await.starts_with("HTTP/1.1 200"));
            metrics.health(|health| {
                health.troubles.insert("sink file".into(), "disk full".into());
            });
            assert!(get(address, "/health/ready", "").await.contains("sink file: disk full"));
            assert!(get(address, "/metrics", "").await.contains("logbraid_in_events_total 0"));
            assert!(get(address, "/config", "").await.ends_with("time: {}\n"));
            assert!(get(address, "/nothing", "").await.starts_with("HTTP/1.1 404"));
            stop.cancel();
        };
        tokio::join!(serve, task);
    }

    #[tokio::test]
    async fn a_token_is_asked_for_and_needed_beyond_loopback() {
        let public = admin(None).serve("0.0.0.0:0".parse().unwrap(), CancellationToken::new()).await;
        assert!(matches!(public.err(), Some(AdminError::NeedsToken(_))));
        let stop = CancellationToken::new();
        let (address, serve) =
            admin(Some("secret")).serve("127.0.0.1:0".parse().unwrap(), stop.clone()).await.unwrap();
        let task = async {
            assert!(get(address, "/metrics", "").await.starts_with("HTTP/1.1 401"));
            assert!(get(address, "/door", "").await.starts_with("HTTP/1.1 401"));
            let door = get(address, "/door", "Authorization: Bearer secret\r\n").await;
            assert!(door.ends_with("open"), "{door}");
            assert!(get(address, "/", "").await.ends_with("page"), "the page itself is no secret");
            assert!(
                get(address, "/metrics", "Authorization: Bearer wrong!\r\n")
                    .await
                    .starts_with("HTTP/1.1 401")
            );
            assert!(
                get(address, "/metrics", "Authorization: Bearer secret\r\n")
                    .await
                    .starts_with("HTTP/1.1 200")
            );
            stop.cancel();
        };
        tokio::join!(serve, task);
    }
}
