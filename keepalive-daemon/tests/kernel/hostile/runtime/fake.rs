//! A server of the CRI that answers as a test tells it.

use std::{
    convert::Infallible,
    future::{pending, ready},
    path::Path,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use hyper::{Request, Response, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use keepalive_daemon::cri::{
    ContainerEventResponse, GetEventsRequest, ListPodSandboxRequest, ListPodSandboxResponse, PodSandbox,
    PodSandboxMetadata, PodSandboxState, PodSandboxStatus, PodSandboxStatusRequest, PodSandboxStatusResponse,
    VersionRequest, VersionResponse,
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{UnixListener, UnixStream},
    sync::{Notify, watch},
};
use tonic::{Response as Told, Status, body::Body, server::Grpc};
use tonic_prost::ProstCodec;
use tower::service_fn as answer;

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Answers,
    /// Also with events without end.
    Floods,
    /// Lets in, and says nothing.
    SaysNothing,
    /// Begins to speak the protocol.
    HalfAnAnswer,
    /// Hangs up on whoever it let in.
    Closes,
}

/// A sandbox as it is told of.
#[derive(Clone, Debug)]
pub(super) struct Sandbox {
    listed: PodSandbox,
    info: String,
}

impl Sandbox {
    pub(super) fn new(name: &str, uid: &str) -> Self {
        let metadata = PodSandboxMetadata {
            name: name.to_owned(),
            uid: uid.to_owned(),
            namespace: "shop".to_owned(),
            attempt: 0,
        };
        let listed = PodSandbox {
            id: format!("sandbox {name}"),
            metadata: Some(metadata),
            state: PodSandboxState::SandboxReady.into(),
            created_at: 1_000,
            ..PodSandbox::default()
        };
        Self { listed, info: "{}".to_owned() }
    }

    pub(super) fn parent(self, cgroup: &str) -> Self {
        let info = serde_json::json!({"config": {"linux": {"cgroup_parent": cgroup}}});
        self.info(&info.to_string())
    }

    pub(super) fn info(self, info: &str) -> Self {
        Self { info: info.to_owned(), ..self }
    }

    pub(super) fn label(mut self, value: &str) -> Self {
        self.listed.labels.insert("label".to_owned(), value.to_owned());
        self
    }

    /// Some time later than the others, or earlier.
    pub(super) fn made(mut self, later: i64) -> Self {
        self.listed.created_at += later;
        self
    }
}

/// Serves until it is dropped.
pub(super) struct Fake {
    shared: Arc<Shared>,
    server: Option<JoinHandle<()>>,
    end: Arc<Notify>,
}

struct Shared {
    sandboxes: Mutex<Arc<Vec<Sandbox>>>,
    /// Whoever was let in before it was said anew is let go.
    way: watch::Sender<Way>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.end.notify_one();
        let _ = self.server.take().map(JoinHandle::join);
    }
}

impl Fake {
    pub(super) fn start(at: &Path) -> Self {
        let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let shared = Arc::new(Shared { sandboxes: Mutex::default(), way: watch::channel(Way::Answers).0 });
        let listener = {
            let _inside = executor.enter();
            UnixListener::bind(at).unwrap()
        };
        let end = Arc::new(Notify::new());
        let (serving, ended) = (Arc::clone(&shared), Arc::clone(&end));
        let server = thread::spawn(move || {
            executor.block_on(async {
                tokio::select! {
                    () = accept(listener, serving) => {}
                    () = ended.notified() => {}
                }
            });
        });
        Self { shared, server: Some(server), end }
    }

    /// What it tells from now on.
    pub(super) fn tell(&self, sandboxes: Vec<Sandbox>) {
        *self.shared.sandboxes.lock().unwrap() = Arc::new(sandboxes);
    }

    /// Ends all connections, and behaves like this on others.
    pub(super) fn turn(&self, way: Way) {
        self.shared.way.send_replace(way);
    }
}

async fn accept(listener: UnixListener, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let mut turns = shared.way.subscribe();
        let way = *turns.borrow_and_update();
        let serve = serve(stream, way, Arc::clone(&shared));
        tokio::spawn(async move {
            tokio::select! {
                () = serve => {}
                _ = turns.changed() => {}
            }
        });
    }
}

async fn serve(mut stream: UnixStream, way: Way, shared: Arc<Shared>) {
    match way {
        Way::Closes => {}
        Way::SaysNothing => pending().await,
        Way::HalfAnAnswer => {
            // The first frame of a server: empty settings; and the beginning of a header that promises more.
            stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0x40, 0]).await.unwrap();
            pending::<()>().await;
        }
        Way::Answers | Way::Floods => {
            let service = service_fn(|request| respond(request, way, Arc::clone(&shared)));
            // How it ends is the client's business.
            let _ = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    }
}

async fn respond(
    request: Request<Incoming>,
    way: Way,
    shared: Arc<Shared>,
) -> Result<Response<Body>, Infallible> {
    let sandboxes = Arc::clone(&shared.sandboxes.lock().unwrap());
    let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    Ok(match method.as_str() {
        "Version" => {
            let codec = ProstCodec::<VersionResponse, VersionRequest>::default();
            // Of a version whose events are for everybody.
            let version = VersionResponse {
                runtime_name: "containerd".to_owned(),
                runtime_version: "2.0.0-fake".to_owned(),
                ..VersionResponse::default()
            };
            Grpc::new(codec).unary(answer(|_| ready(Ok(Told::new(version.clone())))), request).await
        }
        "ListPodSandbox" => {
            let codec = ProstCodec::<ListPodSandboxResponse, ListPodSandboxRequest>::default();
            let items = sandboxes.iter().map(|sandbox| sandbox.listed.clone()).collect();
            let mut list = Some(ListPodSandboxResponse { items });
            Grpc::new(codec)
                .unary(answer(move |_| ready(Ok(Told::new(list.take().unwrap_or_default())))), request)
                .await
        }
        "PodSandboxStatus" => {
            let codec = ProstCodec::<PodSandboxStatusResponse, PodSandboxStatusRequest>::default();
            let status = move |asked: tonic::Request<PodSandboxStatusRequest>| {
                ready(status(&sandboxes, &asked.into_inner().pod_sandbox_id))
            };
            Grpc::new(codec).unary(answer(status), request).await
        }
        "GetContainerEvents" if way == Way::Floods => {
            let codec = ProstCodec::<ContainerEventResponse, GetEventsRequest>::default();
            let flood =
                || tokio_stream::iter(std::iter::repeat_with(|| Ok(ContainerEventResponse::default())));
            Grpc::new(codec).server_streaming(answer(|_| ready(Ok(Told::new(flood())))), request).await
        }
        _ => Status::unimplemented(method).into_http(),
    })
}

fn status(sandboxes: &[Sandbox], id: &str) -> Result<Told<PodSandboxStatusResponse>, Status> {
    let found = sandboxes.iter().find(|sandbox| sandbox.listed.id == id);
    let Sandbox { listed, info } = found.ok_or_else(|| Status::not_found("no such sandbox"))?.clone();
    let PodSandbox { id, metadata, state, created_at, labels, .. } = listed;
    let status = PodSandboxStatus { id, metadata, state, created_at, labels, ..PodSandboxStatus::default() };
    Ok(Told::new(PodSandboxStatusResponse {
        status: Some(status),
        info: [("info".to_owned(), info)].into(),
        ..PodSandboxStatusResponse::default()
    }))
}
