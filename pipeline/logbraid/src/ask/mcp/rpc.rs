//! The protocol's messages: JSON-RPC 2.0, of the revisions with a handshake and of the stateless one.
//!
//! The protocol is small where a server only offers tools and resources, and this is all of it; the general library
//! costs two megabytes of program for its types.

use serde_json::{Map, Value, json};

use super::server::Server;

/// Revisions that begin with `initialize`, oldest first.
const HANDSHAKE: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/// The revision whose requests each say which revision they are of.
const STATELESS: &str = "2026-07-28";
const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
const SERVER_KEY: &str = "io.modelcontextprotocol/serverInfo";

const UNREADABLE: i32 = -32700;
const INVALID_MESSAGE: i32 = -32600;
const UNKNOWN_METHOD: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
const UNKNOWN_RESOURCE: i32 = -32002;
const UNKNOWN_VERSION: i32 = -32022;
const FAILURE: i32 = -32603;

/// Why a request has no result.
#[derive(Debug)]
pub(super) struct Refusal {
    code: i32,
    message: String,
    data: Value,
}

impl Refusal {
    fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: Value::Null }
    }
    /// There is nothing at `address`.
    pub(super) fn no_resource(address: &str) -> Self {
        Self::new(UNKNOWN_RESOURCE, format!("there is no resource `{address}`"))
    }
    /// It could not be read; `why` is the document of a problem.
    pub(super) fn failure(why: String) -> Self {
        Self::new(FAILURE, why)
    }
    fn told(self, id: &Value) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if !self.data.is_null() {
            error["data"] = self.data;
        }
        json!({ "jsonrpc": "2.0", "id": id, "error": error })
    }
}

/// True for a revision that is spoken here.
pub(super) fn speaks(version: &str) -> bool {
    version == STATELESS || HANDSHAKE.contains(&version)
}

/// The reply to a message; none to what wants none.
pub(super) async fn reply(server: &Server, message: &[u8]) -> Option<Value> {
    let message: Value = match serde_json::from_slice(message) {
        Ok(message) => message,
        Err(error) => {
            let refusal = Refusal::new(UNREADABLE, format!("the message is not JSON: {error}"));
            return Some(refusal.told(&Value::Null));
        }
    };
    let id = message.get("id").filter(|id| id.is_string() || id.is_number());
    let Some(method) = message.get("method").and_then(Value::as_str) else {
        // This server asks nothing, so that an answer can only be a mistake, and answering it one more.
        let is_answer = message.get("result").or_else(|| message.get("error")).is_some();
        let refusal = Refusal::new(INVALID_MESSAGE, "a message is one object with a `method`");
        return (!is_answer).then(|| refusal.told(id.unwrap_or(&Value::Null)));
    };
    let Some(id) = id else {
        // Notifications need no answer; a request whose id is neither text nor number cannot have one.
        let refusal = Refusal::new(INVALID_MESSAGE, "an `id` is a text or a number");
        return message.get("id").map(|_| refusal.told(&Value::Null));
    };
    let nothing = Map::new();
    let params = message.get("params").and_then(Value::as_object).unwrap_or(&nothing);
    Some(match result(server, method, params).await {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(refusal) => refusal.told(id),
    })
}

async fn result(server: &Server, method: &str, params: &Map<String, Value>) -> Result<Value, Refusal> {
    let version = params.get("_meta").and_then(|meta| meta.get(VERSION_KEY)).and_then(Value::as_str);
    if let Some(version) = version.filter(|version| !speaks(version)) {
        let mut refusal = Refusal::new(UNKNOWN_VERSION, format!("revision `{version}` is not spoken here"));
        let known: Vec<&str> = HANDSHAKE.into_iter().chain([STATELESS]).collect();
        refusal.data = json!({ "supported": known, "requested": version });
        return Err(refusal);
    }
    let mut result = match method {
        "initialize" => return Ok(hello(params)),
        "ping" => json!({}),
        "server/discover" => json!({
            "supportedVersions": [STATELESS],
            "capabilities": Server::capabilities(),
            "instructions": Server::instructions(),
        }),
        "tools/list" => json!({ "tools": server.tools() }),
        "tools/call" => {
            let name = text(params, "name")?;
            let arguments = match params.get("arguments") {
                None | Some(Value::Null) => Map::new(),
                Some(Value::Object(arguments)) => arguments.clone(),
                Some(_) => return Err(Refusal::new(INVALID_PARAMS, "`arguments` must be an object")),
            };
            let (text, refused) = match server.call(name, arguments).await {
                Ok(text) => (text, false),
                Err(text) => (text, true),
            };
            json!({ "content": [{ "type": "text", "text": text }], "isError": refused })
        }
        "resources/list" => json!({ "resources": server.resources().await? }),
        "resources/templates/list" => json!({ "resourceTemplates": Server::templates() }),
        "resources/read" => {
            let address = text(params, "uri")?;
            let text = server.read(address).await?;
            json!({ "contents": [{ "uri": address, "mimeType": "application/json", "text": text }] })
        }
        _ => return Err(Refusal::new(UNKNOWN_METHOD, format!("there is no method `{method}`"))),
    };
    if version == Some(STATELESS) {
        result["resultType"] = json!("complete");
        result["_meta"] = json!({ SERVER_KEY: Server::who() });
        if method != "tools/call" {
            // Logs go on: nothing that was told is worth keeping.
            result["ttlMs"] = json!(0);
            result["cacheScope"] = json!("private");
        }
    }
    Ok(result)
}

/// The handshake: the client's revision where it is known, else the newest.
fn hello(params: &Map<String, Value>) -> Value {
    let wanted = params.get("protocolVersion").and_then(Value::as_str).unwrap_or_default();
    let newest = HANDSHAKE[HANDSHAKE.len() - 1];
    json!({
        "protocolVersion": HANDSHAKE.into_iter().find(|known| *known == wanted).unwrap_or(newest),
        "capabilities": Server::capabilities(),
        "serverInfo": Server::who(),
        "instructions": Server::instructions(),
    })
}

fn text<'a>(params: &'a Map<String, Value>, name: &str) -> Result<&'a str, Refusal> {
    let text = params.get(name).and_then(Value::as_str);
    text.ok_or_else(|| Refusal::new(INVALID_PARAMS, format!("`{name}` must be a text")))
}
