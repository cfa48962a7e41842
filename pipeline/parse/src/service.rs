//! Names of services from names that orchestrators generate.

/// The service in a Kubernetes log path, `POD_NAMESPACE_CONTAINER-ID.log`: the container, unless that is a common
/// word, else the pod without its generated suffix. `None` for other paths.
///
/// ```
/// use logbraid_parse::service_from_path;
/// let id = "0".repeat(64);
/// let path = format!("/var/log/containers/api-7d9f8b6c5-x2k4q_shop_api-{id}.log");
/// assert_eq!(service_from_path(&path).as_deref(), Some("api"));
/// assert_eq!(service_from_path("/var/log/syslog"), None);
/// ```
pub fn service_from_path(path: &str) -> Option<String> {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    if let Some(stem) = file.split(".log").next()
        && file.contains(".log")
        && let Some((pod, rest)) = stem.split_once('_')
        && let Some((_, container)) = rest.split_once('_')
        && let Some((name, id)) = container.rsplit_once('-')
        && id.len() >= 12
        && id.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return Some(named(pod, name).to_owned());
    }
    // `/var/log/pods/NAMESPACE_POD_UID/CONTAINER/0.log`
    let stem = file.split(".log").next().unwrap_or_default();
    if !stem.is_empty() && stem.bytes().all(|b| b.is_ascii_digit()) && file.contains(".log") {
        let (above, container) = folder.rsplit_once('/')?;
        let pod = above.rsplit('/').next()?.split('_').nth(1)?;
        return (!container.is_empty()).then(|| named(pod, container).to_owned());
    }
    None
}

/// Containers are often called the same in every pod.
fn named<'a>(pod: &'a str, container: &'a str) -> &'a str {
    if matches!(container, "app" | "main" | "server" | "container" | "web" | "application" | "") {
        without_suffix(pod)
    } else {
        container
    }
}

/// A pod's name without what its controller appended: `api-7d9f8b6c5-x2k4q`, `db-0`, `agent-x2k4q`.
pub(crate) fn without_suffix(pod: &str) -> &str {
    // Generated parts avoid vowels, so that they form no words.
    let generated = |part: &str, len: std::ops::RangeInclusive<usize>| {
        len.contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase() && !b"aeiou".contains(&b))
            && !part.is_empty()
    };
    let hash = |part: &str| {
        (6..=10).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
            && part.bytes().any(|b| b.is_ascii_digit())
    };
    let Some((stem, last)) = pod.rsplit_once('-') else { return pod };
    if last.len() == 5 && generated(last, 5..=5) {
        return match stem.rsplit_once('-') {
            Some((shorter, middle)) if hash(middle) && !shorter.is_empty() => shorter,
            _ => stem,
        };
    }
    if !last.is_empty() && last.len() <= 4 && last.bytes().all(|b| b.is_ascii_digit()) {
        return stem;
    }
    pod
}
