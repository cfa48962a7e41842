//! `logbraid top` on a terminal, as a person sees it.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::running::Running;

const ROWS: usize = 30;
const COLUMNS: usize = 120;

/// A terminal with the program on it.
struct Seen {
    child: Child,
    keys: File,
    bytes: Receiver<Vec<u8>>,
    /// All that was written.
    raw: Vec<u8>,
    screen: Screen,
}

impl Seen {
    fn start(words: &[&str], folder: &std::path::Path) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("terminals can be made");
        grantpt(&master).expect("the terminal is ours");
        unlockpt(&master).expect("the terminal is ours");
        let name = ptsname(&master, Vec::new()).expect("a terminal has a name");
        let path = std::path::PathBuf::from(name.into_string().expect("the name is text"));
        let slave = File::options().read(true).write(true).open(path).expect("the terminal opens");
        let size = Winsize { ws_row: 30, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&slave, size).expect("a terminal has a size");
        let other = || Stdio::from(slave.try_clone().expect("the terminal can be shared"));
        let child = Command::new(env!("CARGO_BIN_EXE_logbraid"))
            .arg("top")
            .args(words)
            .current_dir(folder)
            .env_remove("LOGBRAID_TOKEN")
            .stdin(other())
            .stdout(other())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let keys = File::from(master);
        let mut from = keys.try_clone().expect("the terminal can be shared");
        let (send, bytes) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // A terminal whose last user has gone gives an error instead of an end.
            while let Ok(read @ 1..) = from.read(&mut buffer) {
                if send.send(buffer[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, bytes, raw: Vec::new(), screen: Screen::default() }
    }

    /// Waits until the screen shows `text`.
    fn until(&mut self, text: &str) -> String {
        loop {
            let shown = self.screen.text();
            if shown.contains(text) {
                return shown;
            }
            let bytes = self.bytes.recv_timeout(Duration::from_mins(1));
            let bytes = bytes.unwrap_or_else(|_| panic!("`{text}` never came:\n{shown}"));
            self.raw.extend_from_slice(&bytes);
            self.screen.take(&bytes);
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Quits; the exit status.
    fn quit(mut self) -> Option<i32> {
        self.press("q");
        self.child.wait().expect("the program ends").code()
    }
}

/// What a terminal makes of the few sequences that are written to it.
#[derive(Default)]
struct Screen {
    cells: Vec<Vec<char>>,
    at: (usize, usize),
    left: Vec<u8>,
}

impl Screen {
    fn take(&mut self, bytes: &[u8]) {
        self.cells.resize_with(ROWS, || vec![' '; COLUMNS]);
        self.left.extend_from_slice(bytes);
        // A character or a sequence may be cut in two; its end comes with the next bytes.
        let whole = match std::str::from_utf8(&self.left) {
            Ok(_) => self.left.len(),
            Err(error) => error.valid_up_to(),
        };
        let text: String = String::from_utf8_lossy(&self.left[..whole]).into_owned();
        let mut rest = text.as_str();
        while let Some(first) = rest.chars().next() {
            let after = &rest[first.len_utf8()..];
            if first != '\u{1b}' {
                let (row, column) = self.at;
                if row < ROWS && column < COLUMNS {
                    self.cells[row][column] = first;
                }
                self.at.1 += 1;
                rest = after;
                continue;
            }
            let Some(end) = after.find(|sign: char| sign.is_ascii_alphabetic()) else { break };
            if after[..=end].ends_with('H') {
                let mut places = after[1..end].split(';').map(|place| place.parse().unwrap_or(1_usize));
                self.at =
                    (places.next().map_or(0, |row| row - 1), places.next().map_or(0, |column| column - 1));
            } else if after[..=end].ends_with('J') {
                self.cells.iter_mut().flatten().for_each(|cell| *cell = ' ');
            }
            rest = &after[end + 1..];
        }
        let taken = whole - rest.len();
        self.left.drain(..taken);
    }

    fn text(&self) -> String {
        self.cells.iter().map(|row| row.iter().collect::<String>() + "\n").collect()
    }
}

/// A request that fails, whose message wants to name the terminal's window and to clear its screen.
const HOSTILE: &str = concat!(
    r#"{"time":"2024-01-15T10:00:00Z","service":"api","request_id":"r1","level":"INFO","msg":"begin"}"#,
    "\n",
    r#"{"time":"2024-01-15T10:00:01Z","service":"db","request_id":"r1","level":"ERROR","msg":"refused \u001b]0;owned\u0007\u001b[2J"}"#,
    "\n",
    r#"{"time":"2024-01-15T10:00:02Z","service":"api","request_id":"r1","level":"ERROR","msg":"gave up"}"#,
    "\n",
    r#"{"time":"2024-01-15T10:05:00Z","service":"api","request_id":"r2","level":"INFO","msg":"begin"}"#,
    "\n",
);

#[test]
fn a_running_logbraid_is_seen_down_to_one_request_and_hostile_text_is_only_shown() {
    let mut running = Running::new("");
    let mut events = running.events("board", "");
    running.send(HOSTILE);
    events.find_map(|changes| changes["findings"].get(0).cloned()).expect("a finding comes");
    let folder = tempfile::tempdir().expect("there is room");
    let mut seen = Seen::start(&[&format!("http://127.0.0.1:{}", running.port)], folder.path());
    let shown = seen.until("refused ␛]0;owned␇");
    assert!(shown.contains("db → api"), "{shown}");
    let shown = seen.until("4 in the window");
    assert!(shown.contains("Services 2"), "{shown}");
    seen.press("\r");
    let shown = seen.until("gave up");
    assert!(shown.contains(" r1 ") && shown.contains("Esc back"), "{shown}");
    assert!(seen.raw.windows(4).all(|four| four != b"\x1b]0;"), "it was executed");
    // One that went away is told, and the rest stays to be read.
    drop(running);
    seen.press("\u{1b}");
    seen.until("nobody answers");
    assert_eq!(seen.quit(), Some(0));
}

#[test]
fn files_are_followed() {
    let folder = tempfile::tempdir().expect("there is room");
    std::fs::write(folder.path().join("app.log"), HOSTILE).expect("there is room");
    let mut seen = Seen::start(&["app.log"], folder.path());
    seen.until("Requests 2");
    let mut log = File::options().append(true).open(folder.path().join("app.log")).expect("it is there");
    let more =
        r#"{"time":"2024-01-15T10:06:00Z","service":"mail","request_id":"r3","level":"INFO","msg":"hi"}"#;
    writeln!(log, "{more}").expect("there is room");
    seen.until("mail");
    assert_eq!(seen.quit(), Some(0));
}

#[test]
fn without_a_terminal_it_says_what_to_ask_instead() {
    let ran = Command::new(env!("CARGO_BIN_EXE_logbraid")).args(["top", "x.log"]).output();
    let ran = ran.expect("the program starts");
    assert_eq!(ran.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("logbraid investigate"));
}
