//! Messages over HTTP, at `/mcp` of the admin address: each is a POST, and its answer the response. No sessions.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::server::Server;
use super::source::Source;
use super::{ANSWER_BYTES, rpc, tools};
use crate::ask::Live;
use crate::board::Board;

/// The path that serves agents: questions about what runs, and what was found.
pub(crate) fn door(live: Arc<Live>, board: Arc<Board>) -> Router {
    let server = Server::new(Source::Here { live, board }, tools::all(), ANSWER_BYTES);
    Router::new().route("/mcp", post(message)).with_state(Arc::new(server))
}

async fn message(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // A page from elsewhere that a browser has open must not ask on behalf of whoever sits before it.
    if let Some(origin) = header(header::ORIGIN.as_str()) {
        let place = origin.split_once("://").map_or(origin, |(_, place)| place);
        if header(header::HOST.as_str()) != Some(place) {
            return (StatusCode::FORBIDDEN, "pages of other places may not ask\n").into_response();
        }
    }
    if let Some(version) = header("mcp-protocol-version").filter(|version| !rpc::speaks(version)) {
        return (StatusCode::BAD_REQUEST, format!("revision `{version}` is not spoken here\n"))
            .into_response();
    }
    match rpc::reply(&server, &body).await {
        Some(reply) => ([(header::CONTENT_TYPE, "application/json")], reply.to_string()).into_response(),
        None => StatusCode::ACCEPTED.into_response(),
    }
}
