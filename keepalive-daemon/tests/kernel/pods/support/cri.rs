//! The kubelet's side of the CRI: makes pods, runs commands in them, removes them.

use std::{net::IpAddr, path::Path, time::Duration};

use keepalive_daemon::cri::{
    ContainerConfig, CreateContainerRequest, ExecSyncRequest, ExecSyncResponse, PodSandboxConfig,
    PodSandboxStatusRequest, RemovePodSandboxRequest, RunPodSandboxRequest, StartContainerRequest,
    StopPodSandboxRequest, runtime_service_client::RuntimeServiceClient,
};
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};

/// Far beyond what a runtime needs for one call on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// A client of one runtime; its calls end before they return.
pub(crate) struct Cri {
    executor: Runtime,
    client: RuntimeServiceClient<Channel>,
}

impl Cri {
    /// Connects with the first call.
    pub(crate) fn new(socket: &Path) -> Self {
        let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let uri = format!("unix://{}", socket.display());
        let _inside = executor.enter();
        let channel = Endpoint::from_shared(uri).unwrap().timeout(DEADLINE).connect_lazy();
        let client = RuntimeServiceClient::new(channel).max_decoding_message_size(usize::MAX);
        Self { client, executor }
    }

    /// Makes a sandbox; returns its id.
    pub(crate) fn run_pod_sandbox(&self, config: PodSandboxConfig) -> String {
        let mut client = self.client.clone();
        let request = RunPodSandboxRequest { config: Some(config), runtime_handler: String::new() };
        self.executor.block_on(client.run_pod_sandbox(request)).unwrap().into_inner().pod_sandbox_id
    }

    /// Makes a container and starts it; returns its id.
    pub(crate) fn start_container(
        &self,
        sandbox: &str,
        sandbox_config: PodSandboxConfig,
        config: ContainerConfig,
    ) -> String {
        let mut client = self.client.clone();
        let request = CreateContainerRequest {
            pod_sandbox_id: sandbox.to_owned(),
            config: Some(config),
            sandbox_config: Some(sandbox_config),
        };
        let container_id =
            self.executor.block_on(client.create_container(request)).unwrap().into_inner().container_id;
        let request = StartContainerRequest { container_id: container_id.clone() };
        self.executor.block_on(client.start_container(request)).unwrap();
        container_id
    }

    /// The address of a sandbox in the network of pods.
    pub(crate) fn address(&self, sandbox: &str) -> IpAddr {
        let mut client = self.client.clone();
        let request = PodSandboxStatusRequest { pod_sandbox_id: sandbox.to_owned(), verbose: false };
        let answer = self.executor.block_on(client.pod_sandbox_status(request)).unwrap().into_inner();
        answer.status.unwrap().network.unwrap().ip.parse().unwrap()
    }

    /// Runs a command in a container to its end.
    pub(crate) fn exec(&self, container: &str, command: &[&str]) -> ExecSyncResponse {
        let mut client = self.client.clone();
        let cmd = command.iter().map(|word| (*word).to_owned()).collect();
        let timeout = i64::try_from(DEADLINE.as_secs()).unwrap();
        let request = ExecSyncRequest { container_id: container.to_owned(), cmd, timeout };
        self.executor.block_on(client.exec_sync(request)).unwrap().into_inner()
    }

    /// Stops a sandbox and removes it with its containers.
    pub(crate) fn remove_pod_sandbox(&self, sandbox: &str) {
        let mut client = self.client.clone();
        let pod_sandbox_id = sandbox.to_owned();
        let request = StopPodSandboxRequest { pod_sandbox_id: pod_sandbox_id.clone() };
        self.executor.block_on(client.stop_pod_sandbox(request)).unwrap();
        let request = RemovePodSandboxRequest { pod_sandbox_id };
        self.executor.block_on(client.remove_pod_sandbox(request)).unwrap();
    }
}
