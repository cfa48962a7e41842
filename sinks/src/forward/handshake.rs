//! The handshake with a shared key: HELO of the server, our PING, PONG of the server; by SHA-512 each side proves that it
//! knows the key. What is sent after it is not encrypted by it.

use std::fmt::Write as _;

use openssl::sha::Sha512;
use serde::Deserialize;
use serde_bytes::ByteBuf;
use tokio::io::AsyncWriteExt as _;

use super::answer;
use super::config::User;
use crate::net::{self, Duplex};

#[derive(Deserialize)]
struct Helo {
    nonce: ByteBuf,
    /// Empty where no user is asked for.
    #[serde(default)]
    auth: ByteBuf,
}

const NO_HELO: &str = "does it ask for a `shared_key`, or for TLS?";
const NO_PONG: &str = "it may not know our `shared_key` or `user`";

/// Proves that we know `key`, and that the server does. `doing` says what is waited for.
pub(super) async fn shake(
    link: &mut (impl Duplex + ?Sized),
    key: &str,
    user: Option<&User>,
    doing: &mut &'static str,
) -> Result<(), String> {
    let mut read = Vec::new();
    *doing = "waiting for the server's HELO; does it ask for a shared key?";
    let (kind, helo): (String, Helo) = answer(link, &mut read, NO_HELO).await?;
    if kind != "HELO" {
        return Err(format!("the server began with `{}` instead of HELO", kind.escape_debug()));
    }
    let mut salt = [0; 16];
    openssl::rand::rand_bytes(&mut salt).map_err(|error| format!("no random bytes: {error}"))?;
    // As text: Fluent Bit takes no other.
    let salt = hex(&salt);
    let host = net::own_name();
    let proof = digest(&[salt.as_bytes(), host.as_bytes(), &helo.nonce, key.as_bytes()]);
    let (name, password) = match user {
        Some(User { name, password }) if !helo.auth.is_empty() => {
            (name.as_str(), digest(&[&helo.auth, name.as_bytes(), password.as_bytes()]))
        }
        // Fluent Bit's HELO asks for a user where it has none.
        _ => ("", String::new()),
    };
    let ping = ("PING", &host, &salt, proof, name, password);
    let ping = rmp_serde::to_vec(&ping).map_err(|error| format!("no PING: {error}"))?;
    link.write_all(&ping).await.map_err(|error| net::broke(&error))?;
    link.flush().await.map_err(|error| net::broke(&error))?;
    *doing = "waiting for the server's PONG";
    let (kind, well, reason, name, proof): (String, bool, String, String, String) =
        answer(link, &mut read, NO_PONG).await?;
    if kind != "PONG" || !well {
        let reason: String = reason.chars().filter(|c| !c.is_control()).take(200).collect();
        return Err(format!("the server refuses us: {reason}; see `shared_key` and `user`"));
    }
    let expected = digest(&[salt.as_bytes(), name.as_bytes(), &helo.nonce, key.as_bytes()]);
    if proof.len() != expected.len() || !openssl::memcmp::eq(proof.as_bytes(), expected.as_bytes()) {
        return Err("the server does not know the shared key".to_owned());
    }
    Ok(())
}

fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    hex(&hash.finish())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to memory does not fail.
        let _infallible = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::super::message::first;
    use super::*;

    /// Answers as Fluent Bit does: its HELO has a salt for users where it has none, and it takes texts only.
    async fn server(mut link: tokio::io::DuplexStream, key: &str) {
        let helo = serde_json::json!(["HELO", { "nonce": "nonce", "auth": "salt", "keepalive": true }]);
        link.write_all(&rmp_serde::to_vec(&helo).unwrap()).await.unwrap();
        let mut read = Vec::new();
        let ping = loop {
            link.read_buf(&mut read).await.unwrap();
            if let Some((ping, _)) = first::<(String, String, String, String, String, String)>(&read).unwrap()
            {
                break ping;
            }
        };
        let (kind, host, salt, proof, name, password) = ping;
        let told = [kind.as_str(), name.as_str(), password.as_str()];
        assert_eq!(told, ["PING", "", ""]);
        let well = proof == digest(&[salt.as_bytes(), host.as_bytes(), b"nonce", key.as_bytes()]);
        let ours = digest(&[salt.as_bytes(), b"them", b"nonce", key.as_bytes()]);
        let pong = ("PONG", well, "shared_key mismatch", "them", if well { ours } else { String::new() });
        link.write_all(&rmp_serde::to_vec(&pong).unwrap()).await.unwrap();
    }

    #[tokio::test]
    async fn a_server_that_asks_for_users_and_has_none_is_satisfied() {
        for (key, said) in [("right", Ok(())), ("wrong", Err("shared_key mismatch"))] {
            let (mut ours, theirs) = tokio::io::duplex(4096);
            let mut doing = "";
            let (done, ()) = tokio::join!(shake(&mut ours, "right", None, &mut doing), server(theirs, key));
            match said {
                Ok(()) => assert_eq!(done, Ok(())),
                Err(said) => assert!(done.unwrap_err().contains(said)),
            }
        }
    }
}
