//! Questions to a running logbraid: the same request as JSON, and its answer as it comes.

use std::fmt::Write as _;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use logbraid_query::Asked;
use serde_json::{Value, json};

use super::args::AskArgs;
use super::live::{ANSWER_BYTES_MAX, FOUND, Looks, VERSION};
use super::write::Form;
use crate::cli::{Fault, Status, Terminal, print};
use crate::problem::Problem;
use crate::render::text::escaped;

/// Where a running logbraid listens when the address names no port.
const PORT: u16 = 9600;
const CONNECT_WAIT: Duration = Duration::from_secs(5);
const ANSWER_WAIT: Duration = Duration::from_mins(2);
/// How often a busy one is asked again.
const TRIES: u32 = 4;
/// The token that is sent, if it is set.
const TOKEN: &str = "LOGBRAID_TOKEN";

/// A running logbraid, `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address(String);

/// The running logbraid that `inputs` name; none when they are files.
pub(crate) fn address(inputs: &[String]) -> Result<Option<Address>, Problem> {
    let Some(url) = inputs.iter().find(|input| is_url(input)) else { return Ok(None) };
    if inputs.len() > 1 {
        let message = "a running logbraid cannot be asked together with other inputs";
        return Err(Problem::new("input", message).help(format!("ask `{url}` alone")));
    }
    let Some(rest) = url.strip_prefix("http://") else {
        let message = format!("'{url}': a running logbraid is asked over http, not https");
        return Err(
            Problem::new("input", message).help("use a tunnel, such as `ssh -L 9600:127.0.0.1:9600 HOST`")
        );
    };
    let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
    if place.is_empty() || !path.is_empty() || place.contains(['@', '?', '#']) {
        let message = format!("'{url}' is not the address of a running logbraid");
        return Err(Problem::new("input", message).help("write it like `http://127.0.0.1:9600`"));
    }
    let has_port = place.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(Some(Address(if has_port { place.to_owned() } else { format!("{place}:{PORT}") })))
}

fn is_url(input: &str) -> bool {
    input.starts_with("http://") || input.starts_with("https://")
}

/// What a running logbraid answered.
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    found: Option<bool>,
    version: Option<String>,
    pub(crate) body: String,
}

impl Address {
    /// Asks the question `name` with `request`; the answer as it came. One that is busy is asked again.
    pub(crate) async fn question(&self, name: &str, request: &Value) -> Result<Response, Fault> {
        let path = format!("/query/{}", name.replace(' ', "/"));
        let mut tries = 1;
        let response = loop {
            let response = send(self, &path, Some(request.to_string())).await?;
            if response.status != StatusCode::SERVICE_UNAVAILABLE || tries == TRIES {
                break response;
            }
            tries += 1;
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        if response.status == StatusCode::OK && response.found.is_some() {
            return Ok(response);
        }
        Err(refusal(self, name, &response))
    }

    /// Gets what it shows under `path`.
    pub(crate) async fn get(&self, path: &str) -> Result<String, Fault> {
        let response = send(self, path, None).await?;
        if response.status == StatusCode::OK {
            return Ok(response.body);
        }
        Err(refusal(self, path, &response))
    }
}

/// Asks, and prints the answer.
pub(super) fn ask(
    address: &Address,
    asked: &dyn Asked,
    args: &AskArgs,
    terminal: &Terminal,
) -> Result<Status, Fault> {
    let shape = args.shape_of(asked, terminal);
    args.door.check()?;
    let looks = Looks {
        output: Some(
            match shape.form {
                Form::Json => "json",
                Form::Ndjson => "ndjson",
                Form::Pretty => "pretty",
            }
            .to_owned(),
        ),
        pretty: shape.indent,
        width: (shape.form == Form::Pretty).then_some(shape.width),
        colour: shape.colour,
    };
    let mut body = json!({});
    for part in [asked.to_json()?, json!(args.door), json!(looks)] {
        if let (Some(body), Value::Object(part)) = (body.as_object_mut(), part) {
            for (key, value) in part {
                // The question's own options come first.
                body.entry(key).or_insert(value);
            }
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Fault::Failure(error.to_string()))?;
    let response = runtime.block_on(address.question(asked.name(), &body))?;
    print(harmless(&response.body, terminal.stdout).as_bytes());
    Ok(if response.found == Some(true) { Status::Done } else { Status::NOTHING })
}

/// Why there is no answer.
fn refusal(address: &Address, name: &str, response: &Response) -> Fault {
    let Address(place) = address;
    let document: Value = serde_json::from_str(&response.body).unwrap_or_default();
    let text = |key: &str| document.get(key).and_then(Value::as_str).map(str::to_owned);
    if response.status == StatusCode::UNAUTHORIZED {
        let (what, help) = if std::env::var_os(TOKEN).is_some() {
            (
                "does not accept the token of LOGBRAID_TOKEN",
                "compare it with `admin.token` of its configuration",
            )
        } else {
            ("asks for a token", "set LOGBRAID_TOKEN to the `admin.token` of its configuration")
        };
        return Problem::new("token", format!("the logbraid at {place} {what}")).help(help).into();
    }
    let ours = env!("CARGO_PKG_VERSION");
    match (text("code").as_deref(), text("message"), &response.version) {
        (Some("unknown_question"), _, Some(version)) => {
            let message = format!("the logbraid at {place} is version {version} and does not know '{name}'");
            Problem::new("unknown_question", message)
                .help(format!("this one is {ours}: update the other one"))
                .into()
        }
        (Some("busy" | "failure"), Some(message), _) => {
            Fault::Failure(format!("the logbraid at {place}: {message}"))
        }
        (Some(code), Some(message), _) => {
            let known = ["usage", "query", "time", "no_window", "too_large"];
            let code = known.into_iter().find(|known| *known == code).unwrap_or("remote");
            Problem::new(code, message).maybe_help(text("help")).into()
        }
        _ => {
            let message = format!(
                "what listens at {place} answers {}, but is no logbraid that can be asked",
                response.status
            );
            Problem::new("input", message)
                .help("a logbraid of this version or a later one answers at `admin.listen`")
                .into()
        }
    }
}

/// Posts `body`, or gets what is there.
async fn send(Address(place): &Address, path: &str, body: Option<String>) -> Result<Response, Fault> {
    let unreachable = |why: String| -> Fault {
        Problem::new("unreachable", format!("nobody answers at {place}: {why}"))
            .help("is it running, with `admin: {listen: …}` in its configuration?")
            .into()
    };
    let connecting = tokio::net::TcpStream::connect(place.as_str());
    let stream = tokio::time::timeout(CONNECT_WAIT, connecting)
        .await
        .map_err(|_| unreachable(format!("no connection within {} s", CONNECT_WAIT.as_secs())))?
        .map_err(|error| unreachable(error.to_string()))?;
    let broken = |error: hyper::Error| Fault::Failure(format!("the connection to {place} broke: {error}"));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let method = if body.is_some() { Method::POST } else { Method::GET };
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, place)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close");
    if let Ok(token) = std::env::var(TOKEN) {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request
        .body(Full::new(Bytes::from(body.unwrap_or_default())))
        .map_err(|_| Problem::new("token", "LOGBRAID_TOKEN holds characters that no token has"))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX + (1 << 20)).collect().await;
        let body =
            body.map_err(|error| Fault::Failure(format!("the answer of {place} broke off: {error}")))?;
        let header =
            |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Response {
            status: head.status,
            found: header(FOUND).map(|found| found == "true"),
            version: header(VERSION),
            body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        })
    };
    let both = async {
        let mut exchange = std::pin::pin!(exchange);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            response = &mut exchange => response,
            // The exchange sees for itself how the connection ended.
            _ = &mut connection => exchange.await,
        }
    };
    match tokio::time::timeout(ANSWER_WAIT, both).await {
        Ok(response) => response,
        Err(_) => Err(Fault::Failure(format!("no answer from {place} within {} s", ANSWER_WAIT.as_secs()))),
    }
}

/// What another process sent, for a terminal: colours may pass, nothing else may.
fn harmless(text: &str, terminal: bool) -> String {
    if !terminal {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split('\u{1b}');
    out.push_str(&escaped(parts.next().unwrap_or_default(), false));
    for part in parts {
        let code = part.strip_prefix('[').and_then(|rest| rest.split_once('m'));
        match code.filter(|(code, _)| code.bytes().all(|byte| byte.is_ascii_digit() || byte == b';')) {
            Some((code, rest)) => {
                let _ = write!(out, "\u{1b}[{code}m{}", escaped(rest, false));
            }
            None => {
                let _ = write!(out, "␛{}", escaped(part, false));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(inputs: &[&str]) -> Result<Option<String>, String> {
        let inputs: Vec<String> = inputs.iter().map(|input| (*input).to_owned()).collect();
        address(&inputs).map(|found| found.map(|Address(place)| place)).map_err(|problem| problem.message)
    }

    #[test]
    fn addresses_have_a_host_a_port_and_nothing_else() {
        assert_eq!(read(&["a.log", "b.log"]), Ok(None));
        assert_eq!(read(&["http://127.0.0.1:9700"]), Ok(Some("127.0.0.1:9700".to_owned())));
        assert_eq!(read(&["http://shop.internal/"]), Ok(Some("shop.internal:9600".to_owned())));
        assert_eq!(read(&["http://[::1]"]), Ok(Some("[::1]:9600".to_owned())));
        for bad in ["http://", "http://a/b", "http://user:word@a", "https://a"] {
            assert!(read(&[bad]).is_err(), "{bad}");
        }
        assert!(read(&["http://a", "a.log"]).is_err());
    }

    #[test]
    fn what_another_process_sends_colours_a_terminal_and_does_nothing_else() {
        assert_eq!(harmless("\u{1b}[1;31mred\u{1b}[0m\n", true), "\u{1b}[1;31mred\u{1b}[0m\n");
        assert_eq!(harmless("a\u{1b}[2Jb\u{1b}]0;x\u{7}", true), "a␛[2Jb␛]0;x␇");
        assert_eq!(harmless("\u{1b}[2J", false), "\u{1b}[2J");
    }
}
