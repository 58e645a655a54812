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
    answers::SocketQuery,
    api::client,
    commands::status,
    policy::CgroupGlob,
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
            let status =
                status::ask(&self.socket, &self.bpffs).map(Box::new).map_err(|error| format!("{error:#}"));
            // Who does not answer in time to one question would hold up the other for ever.
            let is_answered = status.is_ok();
            if !voice.say(Happening::News(Box::new(News::Status(status)))) {
                return;
            }
            if let Question::Connections(scope) = &question
                && is_answered
            {
                let found = self.connections(scope, || {
                    next = questions.try_iter().last();
                    next.is_some()
                });
                let found = found.map_err(|error| format!("{error:#}"));
                if next.is_none()
                    && !voice.say(Happening::News(Box::new(News::Connections(scope.clone(), found))))
                {
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

    /// The connections of a cgroup and of those below it, as long as nobody wants to know something else.
    fn connections(&self, scope: &Scope, mut is_enough: impl FnMut() -> bool) -> Result<Connections> {
        let cgroup = Some(CgroupGlob::literal(&scope.cgroup));
        let query = SocketQuery { cgroup, limit: Some(MOST_CONNECTIONS), ..SocketQuery::default() };
        let mut rows = Vec::new();
        let summary = client::connections(&self.socket, &query, |row| {
            rows.push(row);
            if is_enough() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(Connections { rows, summary })
    }
}
