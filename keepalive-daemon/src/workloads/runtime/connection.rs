//! One connection to a runtime: what can be asked on it, and what is wrong where nothing can.

use std::{
    fmt,
    future::Future,
    io,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use hyper::{Request, Response, Uri, body::Incoming, client::conn::http2, http::uri::PathAndQuery};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::UnixStream, task::JoinSet, time::timeout};
use tonic::{Code, Status, Streaming, body::Body, client::Grpc};
use tonic_prost::ProstCodec;
use tower::{service_fn, util::BoxCloneSyncService};

use crate::cri::{
    ContainerEventResponse, GetEventsRequest, ListPodSandboxRequest, PodSandbox, PodSandboxFilter,
    PodSandboxState, PodSandboxStateValue, PodSandboxStatusRequest, PodSandboxStatusResponse, VersionRequest,
    VersionResponse, runtime_service_client::RuntimeServiceClient,
};

/// How long a call may take. Each only reads what the runtime has in memory, which takes milliseconds: what takes
/// longer than this hangs. (The kubelet's two minutes are for calls that start containers.)
const DEADLINE: Duration = Duration::from_secs(10);

/// The largest answer that is taken, in bytes: what the kubelet takes, so there is no node with more pods.
const LARGEST: usize = 16 * 1024 * 1024;

/// The most sandboxes that are taken for what a node has: ten times as many as any is known to run. Each is asked about.
const MOST: usize = 10_000;

type Calls = BoxCloneSyncService<Request<Body>, Response<Incoming>, hyper::Error>;

/// A runtime that answers.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) version: Version,
    /// Moves the bytes, until the connection ends.
    transport: JoinSet<()>,
}

/// Asks a runtime; a clone asks on the same connection.
#[derive(Clone)]
pub(super) struct Client(RuntimeServiceClient<Calls>);

/// Which runtime it is; displayed as `containerd 1.7.24`.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) name: String,
    pub(super) version: String,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct Failure {
    /// There is not even a file.
    pub(super) is_missing: bool,
    pub(super) message: String,
}

impl Connection {
    /// Connects to the runtime on this socket, and asks which it is.
    ///
    /// # Errors
    /// If there is none, or one that is of no use; says which.
    pub(super) async fn open(path: &Path) -> Result<Self, Failure> {
        let failure = |message: String| Failure { is_missing: false, message };
        let stream = connect(path).await.map_err(|error| {
            let what = match error.kind() {
                io::ErrorKind::NotFound => "there is no such socket; is the runtime running?".to_owned(),
                io::ErrorKind::ConnectionRefused => {
                    "nobody listens on it; is the runtime running?".to_owned()
                }
                io::ErrorKind::PermissionDenied => {
                    "permission denied; run the daemon as the socket's owner, mostly root".to_owned()
                }
                _ => error.to_string(),
            };
            Failure { is_missing: error.kind() == io::ErrorKind::NotFound, message: what }
        })?;
        let no_grpc = |error: hyper::Error| failure(format!("what listens there speaks no gRPC ({error})"));
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(no_grpc)?;
        let mut transport = JoinSet::new();
        transport.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to the container runtime broke");
            }
        });
        let calls = Calls::new(service_fn(move |request| sender.clone().send_request(request)));
        let origin = Uri::from_static("http://localhost");
        let client = RuntimeServiceClient::with_origin(calls.clone(), origin.clone());
        let mut client = Client(client.max_decoding_message_size(LARGEST));
        match client.version().await {
            Ok(version) => Ok(Self { client, version, transport }),
            Err(status) if status.code() == Code::Unimplemented => {
                Err(failure(no_cri_v1(Grpc::with_origin(calls, origin)).await))
            }
            Err(status) => Err(failure(shown(&status))),
        }
    }

    /// Waits until the connection ends. Cancel safe.
    pub(super) async fn ended(&mut self) {
        self.transport.join_next().await;
    }
}

/// The first of these sockets on which a runtime answers that has pods.
pub(super) async fn with_pods(sockets: Vec<PathBuf>) -> Option<PathBuf> {
    for socket in sockets {
        let Ok(mut connection) = Connection::open(&socket).await else { continue };
        if connection.client.list().await.is_ok_and(|sandboxes| !sandboxes.is_empty()) {
            return Some(socket);
        }
    }
    None
}

/// Connects; a file of another kind would only refuse.
async fn connect(path: &Path) -> io::Result<UnixStream> {
    if !std::fs::metadata(path)?.file_type().is_socket() {
        return Err(io::Error::other("it is not a socket"));
    }
    timeout(DEADLINE, UnixStream::connect(path)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// What a server is that does not know the CRI v1.
async fn no_cri_v1(mut grpc: Grpc<Calls>) -> String {
    let request = tonic::Request::new(VersionRequest::default());
    let path = PathAndQuery::from_static("/runtime.v1alpha2.RuntimeService/Version");
    let codec = ProstCodec::<VersionRequest, VersionResponse>::default();
    match within_deadline(async { grpc.unary(request, path, codec).await }).await {
        Ok(old) => format!("{} speaks the CRI v1alpha2 only, not v1: upgrade it", Version::from(old)),
        Err(_) => {
            "what listens there serves no CRI v1: it is no container runtime of Kubernetes, or a containerd \
                   whose CRI plugin is off, as Docker's is"
                .to_owned()
        }
    }
}

impl Client {
    async fn version(&mut self) -> Result<Version, Status> {
        within_deadline(self.0.version(VersionRequest::default())).await.map(Version::from)
    }

    /// The sandboxes that run.
    pub(super) async fn list(&mut self) -> Result<Vec<PodSandbox>, Status> {
        let state = PodSandboxStateValue { state: PodSandboxState::SandboxReady.into() };
        let filter = PodSandboxFilter { state: Some(state), ..PodSandboxFilter::default() };
        let request = ListPodSandboxRequest { filter: Some(filter) };
        let sandboxes = within_deadline(self.0.list_pod_sandbox(request)).await?.items;
        if sandboxes.len() > MOST {
            let told = format!("it tells of {} sandboxes, and no node has more than {MOST}", sandboxes.len());
            return Err(Status::out_of_range(told));
        }
        Ok(sandboxes)
    }

    /// All that the runtime tells of a sandbox.
    pub(super) async fn status(&mut self, sandbox: String) -> Result<PodSandboxStatusResponse, Status> {
        let request = PodSandboxStatusRequest { pod_sandbox_id: sandbox, verbose: true };
        within_deadline(self.0.pod_sandbox_status(request)).await
    }

    /// What happens to sandboxes and containers. containerd answers with the first event only, so this may take
    /// for ever.
    pub(super) async fn events(&mut self) -> Result<Streaming<ContainerEventResponse>, Status> {
        Ok(self.0.get_container_events(GetEventsRequest {}).await?.into_inner())
    }
}

async fn within_deadline<T>(
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    let late = |_| Status::deadline_exceeded(format!("no answer within {} s", DEADLINE.as_secs()));
    Ok(timeout(DEADLINE, call).await.map_err(late)??.into_inner())
}

impl From<VersionResponse> for Version {
    fn from(told: VersionResponse) -> Self {
        Self { name: short(&told.runtime_name), version: short(&told.runtime_version) }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// What a runtime answered instead of what it was asked for.
pub(super) fn shown(status: &Status) -> String {
    match (status.code(), status.message()) {
        (code, "") => code.description().to_owned(),
        (_, message) => short(message),
    }
}

/// A text of somebody else's in one line that can be read.
fn short(text: &str) -> String {
    const LONGEST: usize = 256;
    let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = printable.take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}
