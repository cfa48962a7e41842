//! Which settings hold secrets, so that none is ever printed.

use serde_json::Value;

/// What is shown in place of a secret.
pub const HIDDEN: &str = "(hidden)";

/// True for names of settings and variables that hold secrets: `token`, `sasl.password`, `API_KEY`, …
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '.'], "_");
    // The name of a file that holds a secret is none.
    if name.ends_with("_file") || name.ends_with("_path") {
        return false;
    }
    let words =
        ["password", "passwd", "passphrase", "secret", "token", "credential", "authorization", "cookie"];
    words.iter().any(|word| name.contains(word))
        || ["api_key", "apikey", "access_key", "private_key", "key_pem"]
            .iter()
            .any(|word| name.contains(word))
}

/// Hides the secrets in `value`, which is the value of the setting `name`.
pub(super) fn hide(name: &str, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                hide(name, value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| hide(name, item)),
        Value::Null => {}
        _ if is_secret_name(name) => *value = Value::String(HIDDEN.to_owned()),
        Value::String(text) => {
            if let Some(shown) = without_login(text) {
                *text = shown;
            }
            if let Some(shown) = without_secret_parameters(text) {
                *text = shown;
            }
        }
        _ => {}
    }
}

/// `scheme://user:password@host` without its password; `None` when there is none.
fn without_login(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let (login, _) = authority.rsplit_once('@')?;
    let (user, _) = login.split_once(':')?;
    Some(format!("{scheme}://{user}:{HIDDEN}{}", &rest[login.len()..]))
}

/// `scheme://host/path?token=…&page=1` without the values of its secret parameters; `None` when it has no parameters.
fn without_secret_parameters(text: &str) -> Option<String> {
    let (_, after_scheme) = text.split_once("://")?;
    let (_, query) = after_scheme.split_once('?')?;
    let (query, fragment) = query.find('#').map_or((query, ""), |at| query.split_at(at));
    // Short names that are harmless as settings are keys in addresses.
    let is_secret = |name: &str| {
        is_secret_name(name) || ["key", "sig", "signature"].contains(&&*name.to_ascii_lowercase())
    };
    let shown = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}={HIDDEN}"),
        _ => pair.to_owned(),
    });
    let shown = shown.collect::<Vec<_>>().join("&");
    Some(format!("{}{shown}{fragment}", &text[..text.len() - query.len() - fragment.len()]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let mut value = json!({
            "token": "t", "token_file": "/run/t", "properties": {"sasl.password": "p", "client.id": "c"},
            "url": "http://me:pw@host:1/x@y", "headers": {"Authorization": ["Bearer x"]}, "keys": ["a"],
            "urls": ["http://h/push?page=1&Api_Key=x=y&sig=s#key=f", "http://h/?a", "is it a key=value?token=no"],
        });
        hide("", &mut value);
        let expected = json!({
            "token": HIDDEN, "token_file": "/run/t", "properties": {"sasl.password": HIDDEN, "client.id": "c"},
            "url": "http://me:(hidden)@host:1/x@y", "headers": {"Authorization": [HIDDEN]}, "keys": ["a"],
            "urls": [
                "http://h/push?page=1&Api_Key=(hidden)&sig=(hidden)#key=f", "http://h/?a", "is it a key=value?token=no"
            ],
        });
        assert_eq!(value, expected);
    }
}
