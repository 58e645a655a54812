//! A container runtime that is none: it has no containers, and answers as the test tells it. It speaks the real
//! protocol on a real socket.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fs,
    future::{pending, ready},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use hyper::{Request, Response, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_stream::{Stream, StreamExt as _, once, wrappers::UnboundedReceiverStream};
use tonic::{Response as Told, Status, body::Body, server::Grpc};
use tonic_prost::ProstCodec;
use tower::service_fn as answer;

use crate::cri::{
    ContainerEventResponse, GetEventsRequest, ListPodSandboxRequest, ListPodSandboxResponse, PodSandbox,
    PodSandboxMetadata, PodSandboxState, PodSandboxStatus, PodSandboxStatusRequest, PodSandboxStatusResponse,
    VersionRequest, VersionResponse,
};

/// Serves until it is dropped; what was on its way is then lost.
pub(super) struct Fake {
    pub(super) path: PathBuf,
    shared: Arc<Shared>,
    server: JoinSet<()>,
}

/// What was asked so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    pub(super) lists: usize,
    /// How often for each sandbox.
    pub(super) statuses: BTreeMap<String, usize>,
    pub(super) subscriptions: usize,
    pub(super) connections: usize,
}

/// How the status of a sandbox is answered.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// With its cgroup.
    In(String),
    /// With an error.
    Error(Status),
    /// Never.
    Hang,
}

struct Shared {
    /// The service that is served, its name and its version.
    service: &'static str,
    name: &'static str,
    version: &'static str,
    sandboxes: Mutex<BTreeMap<String, Answer>>,
    /// Whether lists are answered.
    lists: AtomicBool,
    subscribers: Mutex<Vec<mpsc::UnboundedSender<ContainerEventResponse>>>,
    log: watch::Sender<Log>,
}

impl Fake {
    pub(super) fn start(directory: &Path, name: &'static str, version: &'static str) -> Self {
        Self::serving(directory, "runtime.v1.RuntimeService", name, version)
    }

    pub(super) fn serving(
        directory: &Path,
        service: &'static str,
        name: &'static str,
        version: &'static str,
    ) -> Self {
        let path = directory.join("fake.sock");
        let (sandboxes, subscribers) = (Mutex::default(), Mutex::default());
        let log = watch::channel(Log::default()).0;
        let lists = AtomicBool::new(true);
        let shared = Arc::new(Shared { service, name, version, sandboxes, lists, subscribers, log });
        let mut fake = Self { path, shared, server: JoinSet::new() };
        fake.listen();
        fake
    }

    fn listen(&mut self) {
        let listener = UnixListener::bind(&self.path).unwrap();
        self.server.spawn(accept(listener, Arc::clone(&self.shared)));
    }

    /// Ends all connections, and refuses others.
    pub(super) async fn stop(&mut self) {
        self.server.shutdown().await;
        fs::remove_file(&self.path).unwrap();
    }

    pub(super) fn start_again(&mut self) {
        self.listen();
    }

    /// Makes a sandbox run.
    pub(super) fn run(&self, id: &str, answer: Answer) {
        self.shared.sandboxes.lock().unwrap().insert(id.to_owned(), answer);
    }

    /// From here on, whoever asks for a list waits for ever.
    pub(super) fn answer_no_lists(&self) {
        self.shared.lists.store(false, Ordering::Relaxed);
    }

    pub(super) fn remove(&self, id: &str) {
        self.shared.sandboxes.lock().unwrap().remove(id);
    }

    /// Sends an event to all that subscribed.
    pub(super) fn tell_of_something(&self) {
        let mut subscribers = self.shared.subscribers.lock().unwrap();
        subscribers.retain(|subscriber| subscriber.send(ContainerEventResponse::default()).is_ok());
    }

    /// Waits until as much was asked.
    pub(super) async fn asked(&self, enough: impl FnMut(&Log) -> bool) -> Log {
        self.shared.log.subscribe().wait_for(enough).await.unwrap().clone()
    }

    pub(super) fn log(&self) -> Log {
        self.shared.log.borrow().clone()
    }
}

async fn accept(listener: UnixListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn(serve(stream, Arc::clone(&shared)));
    }
}

async fn serve(stream: UnixStream, shared: Arc<Shared>) {
    shared.log.send_modify(|log| log.connections += 1);
    let service = service_fn(|request| respond(request, Arc::clone(&shared)));
    let connection =
        http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
    // How it ends is the client's business.
    let _ = connection.await;
    shared.log.send_modify(|log| log.connections -= 1);
}

async fn respond(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let method = path.strip_prefix(&format!("/{}/", shared.service)).unwrap_or_default();
    Ok(match method {
        "Version" => {
            let codec = ProstCodec::<VersionResponse, VersionRequest>::default();
            Grpc::new(codec).unary(answer(|_| ready(Ok(shared.version()))), request).await
        }
        "ListPodSandbox" => {
            let codec = ProstCodec::<ListPodSandboxResponse, ListPodSandboxRequest>::default();
            if !shared.lists.load(Ordering::Relaxed) {
                return pending().await;
            }
            Grpc::new(codec).unary(answer(|_| ready(Ok(shared.list()))), request).await
        }
        "PodSandboxStatus" => {
            let codec = ProstCodec::<PodSandboxStatusResponse, PodSandboxStatusRequest>::default();
            Grpc::new(codec).unary(answer(|asked| shared.status(asked)), request).await
        }
        "GetContainerEvents" => {
            let codec = ProstCodec::<ContainerEventResponse, GetEventsRequest>::default();
            Grpc::new(codec).server_streaming(answer(|_| shared.events()), request).await
        }
        _ => Status::unimplemented(format!("unknown method {path}")).into_http(),
    })
}

fn metadata(id: &str) -> PodSandboxMetadata {
    PodSandboxMetadata {
        name: id.to_owned(),
        uid: format!("uid of {id}"),
        namespace: "shop".to_owned(),
        attempt: 0,
    }
}

impl Shared {
    fn version(&self) -> Told<VersionResponse> {
        let (runtime_name, runtime_version) = (self.name.to_owned(), self.version.to_owned());
        Told::new(VersionResponse { runtime_name, runtime_version, ..VersionResponse::default() })
    }

    fn list(&self) -> Told<ListPodSandboxResponse> {
        self.log.send_modify(|log| log.lists += 1);
        let sandboxes = self.sandboxes.lock().unwrap();
        let items = sandboxes.keys().map(|id| PodSandbox {
            id: id.clone(),
            metadata: Some(metadata(id)),
            state: PodSandboxState::SandboxReady.into(),
            ..PodSandbox::default()
        });
        Told::new(ListPodSandboxResponse { items: items.collect() })
    }

    async fn status(
        &self,
        asked: tonic::Request<PodSandboxStatusRequest>,
    ) -> Result<Told<PodSandboxStatusResponse>, Status> {
        let PodSandboxStatusRequest { pod_sandbox_id: id, verbose } = asked.into_inner();
        assert!(verbose, "only that tells the cgroup");
        self.log.send_modify(|log| *log.statuses.entry(id.clone()).or_default() += 1);
        let answer = self.sandboxes.lock().unwrap().get(&id).cloned();
        match answer {
            Some(Answer::In(cgroup)) => {
                let info = format!(r#"{{"config":{{"linux":{{"cgroup_parent":"/{cgroup}"}}}}}}"#);
                let info = [("info".to_owned(), info)].into();
                let status = PodSandboxStatus {
                    metadata: Some(metadata(&id)),
                    id,
                    state: PodSandboxState::SandboxReady.into(),
                    ..PodSandboxStatus::default()
                };
                Ok(Told::new(PodSandboxStatusResponse {
                    status: Some(status),
                    info,
                    ..PodSandboxStatusResponse::default()
                }))
            }
            Some(Answer::Error(status)) => Err(status),
            Some(Answer::Hang) => pending().await,
            None => Err(Status::not_found(format!("no sandbox {id}"))),
        }
    }

    /// Like containerd, answers with the first event only.
    async fn events(
        &self,
    ) -> Result<Told<impl Stream<Item = Result<ContainerEventResponse, Status>> + use<>>, Status> {
        let (subscriber, mut events) = mpsc::unbounded_channel();
        self.subscribers.lock().unwrap().push(subscriber);
        self.log.send_modify(|log| log.subscriptions += 1);
        let first = events.recv().await.ok_or_else(|| Status::unavailable("it ends"))?;
        Ok(Told::new(once(first).chain(UnboundedReceiverStream::new(events)).map(Ok)))
    }
}
