//! The handshake with a shared key: HELO of the server, our PING, PONG of the server; by SHA-512 each side proves that it
//! knows the key. What is sent after it is not encrypted by it.

use std::fmt::Write as _;

use openssl::sha::Sha512;
use serde::Deserialize;
use serde_bytes::{ByteBuf, Bytes};
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

/// Proves that we know `key`, and that the server does.
pub(super) async fn shake(link: &mut Box<dyn Duplex>, key: &str, user: Option<&User>) -> Result<(), String> {
    let mut read = Vec::new();
    let (kind, helo): (String, Helo) = answer(link, &mut read).await?;
    if kind != "HELO" {
        return Err(format!("the server began with `{}` instead of HELO", kind.escape_debug()));
    }
    let mut salt = [0; 16];
    openssl::rand::rand_bytes(&mut salt).map_err(|error| format!("no random bytes: {error}"))?;
    let host = net::own_name();
    let proof = digest(&[&salt, host.as_bytes(), &helo.nonce, key.as_bytes()]);
    let (name, password) = match user {
        Some(User { name, password }) if !helo.auth.is_empty() => {
            (name.as_str(), digest(&[&helo.auth, name.as_bytes(), password.as_bytes()]))
        }
        None if !helo.auth.is_empty() => {
            return Err("the server asks for a user; name it in `user`".to_owned());
        }
        _ => ("", String::new()),
    };
    let ping = ("PING", &host, Bytes::new(&salt), proof, name, password);
    let ping = rmp_serde::to_vec(&ping).map_err(|error| format!("no PING: {error}"))?;
    link.write_all(&ping).await.map_err(|error| net::broke(&error))?;
    link.flush().await.map_err(|error| net::broke(&error))?;
    let (kind, well, reason, name, proof): (String, bool, String, String, String) =
        answer(link, &mut read).await?;
    if kind != "PONG" || !well {
        let reason: String = reason.chars().filter(|c| !c.is_control()).take(200).collect();
        return Err(format!("the server refuses us: {reason}; see `shared_key` and `user`"));
    }
    let expected = digest(&[&salt, name.as_bytes(), &helo.nonce, key.as_bytes()]);
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
    hash.finish().iter().fold(String::new(), |mut hex, byte| {
        // Writing to memory does not fail.
        let _infallible = write!(hex, "{byte:02x}");
        hex
    })
}
