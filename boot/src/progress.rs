//! A sign of life on standard error while nothing is heard for longer than a second. Nothing where that is no terminal.

use std::io::IsTerminal;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How long something may take without a word.
const PATIENCE: Duration = Duration::from_secs(1);

/// A step that takes a while; ends when dropped.
#[derive(Debug)]
pub struct Progress {
    shared: Arc<(Mutex<State>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    what: String,
    heard: Instant,
    bar: Option<ProgressBar>,
    ended: bool,
}

impl Progress {
    /// Starts a step, such as "building the image".
    pub fn start(what: impl Into<String>) -> Self {
        let state = State {
            what: what.into(),
            heard: Instant::now(),
            bar: None,
            ended: false,
        };
        let shared = Arc::new((Mutex::new(state), Condvar::new()));
        let thread = std::io::stderr().is_terminal().then(|| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || watch(&shared))
        });
        Self { shared, thread }
    }

    /// Something was heard and is about to be shown: out of its way.
    pub fn heard(&self) {
        lock(&self.shared.0).clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        {
            let mut state = lock(&self.shared.0);
            state.ended = true;
            state.clear();
        }
        self.shared.1.notify_all();
        if let Some(thread) = self.thread.take() {
            // A spinner that panicked is no reason to fail.
            let _ = thread.join();
        }
    }
}

impl State {
    fn clear(&mut self) {
        self.heard = Instant::now();
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn show(&mut self) {
        let bar = ProgressBar::new_spinner()
            .with_message(self.what.clone())
            .with_elapsed(self.heard.elapsed());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        self.bar = Some(bar);
    }
}

/// Shows the spinner whenever nothing was heard for a while.
fn watch((state, changed): &(Mutex<State>, Condvar)) {
    let mut state = lock(state);
    while !state.ended {
        let silence = state.heard.elapsed();
        if silence >= PATIENCE && state.bar.is_none() {
            state.show();
        }
        let wait = PATIENCE
            .saturating_sub(silence)
            .max(Duration::from_millis(50));
        state = changed
            .wait_timeout(state, wait)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
