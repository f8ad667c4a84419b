//! Questions that many ask in the same moment, answered together.
//!
//! A thousand agents ask the same few things at once; one transaction costs as much for fifty of them as for one. Whoever asks
//! first sets a worker going; what is asked while it works is the next batch, so nobody waits for a timer, and one question
//! alone is answered at once.

use crate::app::App;
use crate::http::error::Error;
use axum::http::StatusCode;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Questions of one batch at most.
const QUESTIONS_MAX: usize = 128;
/// What the questions of one batch may weigh together; one alone may weigh more.
const WEIGHT_MAX: usize = 1_000;

/// Answers a batch, one answer for each question, in their order.
pub type Work<Q, A> = fn(App, Arc<Vec<Q>>) -> BoxFuture<'static, Result<Vec<A>, Error>>;

/// Who waits for an answer.
type Asker<A> = oneshot::Sender<Result<A, Error>>;

/// A place where questions of one kind come together.
#[derive(Debug)]
pub struct Gather<Q, A>(Arc<Mutex<Place<Q, A>>>);

#[derive(Debug)]
struct Place<Q, A> {
    waiting: VecDeque<Waiting<Q, A>>,
    at_work: bool,
}

#[derive(Debug)]
struct Waiting<Q, A> {
    question: Q,
    weight: usize,
    asker: Asker<A>,
}

impl<Q, A> Default for Gather<Q, A> {
    fn default() -> Self {
        Gather(Arc::new(Mutex::new(Place { waiting: VecDeque::new(), at_work: false })))
    }
}

impl<Q, A> Clone for Gather<Q, A> {
    fn clone(&self) -> Self {
        Gather(Arc::clone(&self.0))
    }
}

impl<Q: Clone + Send + Sync + 'static, A: Send + 'static> Gather<Q, A> {
    /// Ask, and wait for the answer. A question that was taken up is answered even where the asker stops waiting.
    ///
    /// # Errors
    /// What the work gives. A batch that fails is asked again one by one, so that nobody suffers from another's question,
    /// unless the database cannot be used at all.
    pub async fn ask(&self, app: &App, question: Q, weight: usize, work: Work<Q, A>) -> Result<A, Error> {
        let (asker, answer) = oneshot::channel();
        let first = {
            let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            place.waiting.push_back(Waiting { question, weight, asker });
            !std::mem::replace(&mut place.at_work, true)
        };
        if first {
            tokio::spawn(self.clone().answer(app.clone(), work));
        }
        answer.await.unwrap_or_else(|_| Err(Error::internal("a question was given up: the server stops")))
    }

    async fn answer(self, app: App, work: Work<Q, A>) {
        while let Some((questions, askers)) = self.next() {
            let questions = Arc::new(questions);
            let error = match attempt(&app, Arc::clone(&questions), work).await {
                Ok(answers) => {
                    for (asker, answer) in askers.into_iter().zip(answers) {
                        // Who no longer waits is no error.
                        let _ = asker.send(Ok(answer));
                    }
                    continue;
                }
                Err(error) => error,
            };
            self.failed(&app, error, &questions, askers, work).await;
        }
    }

    async fn failed(&self, app: &App, error: Error, questions: &[Q], mut askers: Vec<Asker<A>>, work: Work<Q, A>) {
        if askers.len() == 1 {
            if let Some(asker) = askers.pop() {
                let _ = asker.send(Err(error));
            }
            return;
        }
        if let Error::Problem(problem) = &error
            && problem.status == StatusCode::SERVICE_UNAVAILABLE.as_u16()
        {
            for asker in askers {
                let _ = asker.send(Err(Error::Problem(problem.clone())));
            }
            return;
        }
        tracing::warn!("a batch of {} requests failed and is done one by one: {error:?}", askers.len());
        for (question, asker) in questions.iter().zip(askers) {
            let answer = attempt(app, Arc::new(vec![question.clone()]), work).await;
            let _ = asker.send(answer.and_then(|answers| answers.into_iter().next().ok_or_else(unanswered)));
        }
    }

    /// The next batch; none when there is no more to do, and then whoever asks next is the first.
    fn next(&self) -> Option<(Vec<Q>, Vec<Asker<A>>)> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut questions, mut askers, mut weight) = (Vec::new(), Vec::new(), 0);
        while let Some(next) = place.waiting.pop_front() {
            if next.asker.is_closed() {
                continue;
            }
            weight += next.weight;
            if !questions.is_empty() && (weight > WEIGHT_MAX || questions.len() >= QUESTIONS_MAX) {
                place.waiting.push_front(next);
                break;
            }
            questions.push(next.question);
            askers.push(next.asker);
        }
        place.at_work = !questions.is_empty();
        place.at_work.then_some((questions, askers))
    }
}

/// A panic is the failure of its batch, not the end of the worker.
async fn attempt<Q, A>(app: &App, questions: Arc<Vec<Q>>, work: Work<Q, A>) -> Result<Vec<A>, Error> {
    let count = questions.len();
    let answers = AssertUnwindSafe(work(app.clone(), questions)).catch_unwind().await;
    let answers = answers.unwrap_or_else(|_| Err(Error::internal("the work on a batch of requests panicked")))?;
    if answers.len() == count { Ok(answers) } else { Err(unanswered()) }
}

fn unanswered() -> Error {
    Error::internal("a batch of requests has not as many answers as questions")
}
