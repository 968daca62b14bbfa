//! The whole screen of a terminal on which `serin run` works: the progress area while jobs run, and what stays.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use regex::Regex;

use super::project;
use crate::project::Project;

/// Longest time that something may take that must happen.
const PATIENCE: Duration = Duration::from_secs(60);
const SIZE: Winsize = Winsize { ws_row: 24, ws_col: 160, ws_xpixel: 0, ws_ypixel: 0 };
/// `slow` says how far it is, then waits until the test lets it go on.
const PIPELINE: &str = "quick: {script: [echo done in no time]}
slow: {script: ['echo half of it is done; read -r word < \"$GATE\"; echo went on by $word']}
bad: {stage: deploy, script: [echo broken, exit 3]}
";

struct Screen {
    bytes: Receiver<Vec<u8>>,
    parser: vt100::Parser,
}

impl Screen {
    /// Starts `serin run` on a terminal of its own.
    fn start(project: &Project, gate: &str) -> (Self, std::process::Child) {
        let pty = openpty(&SIZE, None).unwrap();
        let side = || Stdio::from(pty.slave.as_fd().try_clone_to_owned().unwrap());
        let mut command = project.command(&["run", "-j", "2", "--var", gate]);
        command.env("TERM", "xterm-256color").stdin(side()).stdout(side()).stderr(side());
        let child = command.spawn().unwrap();
        let (sender, bytes) = channel();
        let mut master = File::from(pty.master);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // A terminal whose programs are gone fails to be read.
            while let Ok(length @ 1..) = master.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        (Self { bytes, parser: vt100::Parser::new(SIZE.ws_row, SIZE.ws_col, 0) }, child)
    }

    fn shows(&self) -> String {
        let rows: Vec<String> = self.parser.screen().rows(0, SIZE.ws_col).collect();
        rows.join("\n").trim_end().to_owned()
    }

    /// Reads until the screen shows what is waited for, or nobody writes any more.
    fn until(&mut self, holds: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.shows();
            if holds(&text) {
                return text;
            }
            match self.bytes.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.parser.process(&bytes),
                Err(RecvTimeoutError::Disconnected) => return self.shows(),
                Err(RecvTimeoutError::Timeout) => panic!("waited in vain, the screen shows:\n{text}"),
            }
        }
    }
}

/// Without times, places, and which picture of the spinner is shown.
fn steady(screen: &str, project: &Project) -> String {
    let screen = Regex::new(r"\d+\.\d s|\b\d+ s\b|\b\d+s\b").unwrap().replace_all(screen, "0 s");
    let screen = Regex::new(r"[⠁-⣿] ").unwrap().replace_all(&screen, "* ");
    let place = format!(r"{}[\s\S]*?\.log", regex::escape(&project.above().display().to_string()));
    let screen = Regex::new(&place).unwrap().replace_all(&screen, "PLACE");
    screen.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_screen_shows_running_jobs_and_then_what_came_of_them() {
    let project = project(PIPELINE);
    let gate = project.above().join("gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (mut screen, mut child) = Screen::start(&project, &format!("GATE={}", gate.display()));
    let done = |text: &str| text.contains("half of it is done") && !text.contains("echo") && text.contains("✓ quick");
    let running = screen.until(done);
    insta::assert_snapshot!("terminal_running", steady(&running, &project));
    std::fs::write(&gate, "the test\n").unwrap();
    let over = screen.until(|text| text.contains("1 failed"));
    drop(screen.until(|_| false));
    assert_eq!(child.wait().unwrap().code(), Some(1));
    insta::assert_snapshot!("terminal_over", steady(&over, &project));
}
