//! The jars of a broker: copied once by Maven into a folder beside the build's output, and kept there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process;

const POM: &str = include_str!("../../kafka/pom.xml");
/// What a node says, and where.
pub(super) const LOG4J: &str = include_str!("../../kafka/log4j2.properties");

/// Why no broker can be started here; `None` when one can.
pub(super) fn missing() -> Option<String> {
    let missing: Vec<&str> =
        ["java", "mvn"].into_iter().filter(|program| !process::installed(program)).collect();
    if missing.is_empty() {
        return None;
    }
    let names = missing.join("` and `");
    Some(format!(
        "`{names}` not found: install a JDK of version 17 or later and Maven (Debian: openjdk-17-jre-headless, maven)"
    ))
}

/// The folder with the jars. The first call in a build folder needs Maven Central.
pub(super) fn folder() -> io::Result<PathBuf> {
    let target = target()?;
    let folder = target.join(format!("kafka-{}", version()));
    if folder.is_dir() {
        return Ok(folder);
    }
    // Tests run at the same time: each copies into a folder of its own, and the first to be ready wins.
    fs::create_dir_all(&target)?;
    let work = tempfile::Builder::new().prefix("kafka-jars-").tempdir_in(&target)?;
    let pom = work.path().join("pom.xml");
    fs::write(&pom, POM)?;
    let jars = work.path().join("jars");
    let copied = Command::new("mvn")
        .args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-f"])
        .arg(&pom)
        .arg(format!("-DoutputDirectory={}", jars.display()))
        .stdin(Stdio::null())
        .output()?;
    if !copied.status.success() {
        let said = String::from_utf8_lossy(&copied.stdout);
        let why = said.lines().find(|line| line.contains("ERROR")).unwrap_or("it said nothing").to_owned();
        return Err(io::Error::other(format!("Maven could not copy the jars of Kafka: {why}")));
    }
    match fs::rename(&jars, &folder) {
        Err(_) if folder.is_dir() => Ok(folder),
        renamed => renamed.map(|()| folder),
    }
}

/// The version of Kafka that the POM names.
pub(super) fn version() -> &'static str {
    POM.split_once("<kafka.version>")
        .and_then(|(_, rest)| rest.split_once('<'))
        .map_or("unknown", |(version, _)| version)
}

/// The build's output folder: the one that this program was built into.
fn target() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().find(|folder| folder.file_name().is_some_and(|name| name == "target"));
    Ok(target.map_or_else(|| std::env::temp_dir().join("logbraid-soak"), Path::to_owned))
}
