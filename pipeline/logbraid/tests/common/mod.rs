//! What tests share that start the program.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Starts `logbraid run -c live.yaml` in `folder`, whose admin address has port 0, and finds out which port the system
/// chose: a port that a test found free could be another test's by now.
pub(crate) fn start(folder: &Path) -> (Child, u16) {
    let stderr = folder.join("stderr");
    let mut child = Command::new(env!("CARGO_BIN_EXE_logbraid"))
        .args(["run", "-c", "live.yaml"])
        .current_dir(folder)
        .env("XDG_STATE_HOME", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(File::create(&stderr).expect("there is room"))
        .spawn()
        .expect("the program starts");
    let said = || std::fs::read_to_string(&stderr).unwrap_or_default();
    for _ in 0..1500 {
        let text = said();
        let address = text.split("ready on http://").nth(1).and_then(|rest| rest.split_once('\n'));
        if let Some(port) = address.and_then(|(address, _)| address.rsplit_once(':')) {
            return (child, port.1.parse().expect("a port is a number"));
        }
        if let Ok(Some(status)) = child.try_wait() {
            panic!("it ended with {status}: {}", said());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("nobody listens: {}", said());
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
