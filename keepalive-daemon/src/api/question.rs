//! What handlers ask the daemon's one loop.

use axum::http::StatusCode;
use tokio::sync::{mpsc, oneshot};

use super::routes::Refusal;
use crate::{
    answers::{Selection, SocketQuery, Subject},
    observer::places::Places,
    report::{explanation::Explanation, health::Health, policies::PolicyList, status::Status},
    sweeper::Asker,
};

/// A question for the daemon's state, with where the answer goes. Whoever asked may have gone away meanwhile.
pub(crate) enum Question {
    Status(oneshot::Sender<Status>),
    Policies(oneshot::Sender<PolicyList>),
    /// What cannot be explained is answered with the reason.
    Explain(Subject, oneshot::Sender<Result<Explanation, String>>),
    Health(oneshot::Sender<Health>),
    /// Whose connections are meant, and what governs them; or why there are none.
    Places(SocketQuery, oneshot::Sender<Result<Places, String>>),
    /// Answered by the sweeper, when it is done.
    Apply(Selection, Asker),
}

/// The way to the daemon's loop.
#[derive(Clone)]
pub(crate) struct Questions(mpsc::Sender<Question>);

/// How many questions may wait before the loop; more wait for their place, each with its client, of whom there are few.
const BACKLOG: usize = 16;

impl Questions {
    pub(crate) fn channel() -> (Self, mpsc::Receiver<Question>) {
        let (questions, receiver) = mpsc::channel(BACKLOG);
        (Self(questions), receiver)
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// If the loop has ended. Whoever asks decides for how long to wait for one that is busy.
    pub(super) async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> Result<T, Refusal> {
        let ends = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon ends; try again");
        let (reply, answer) = oneshot::channel();
        self.0.send(question(reply)).await.map_err(|_| ends())?;
        answer.await.map_err(|_| ends())
    }
}
