//! Waiting for what containerd tells to nobody who does not ask.

use std::path::Path;

use keepalive_daemon::cri::{
    ImageSpec, ImageStatusRequest, StatusRequest, image_service_client::ImageServiceClient,
    runtime_service_client::RuntimeServiceClient,
};
use tonic::{
    Response, Status,
    transport::{Channel, Endpoint},
};

use crate::support::eventually;

/// Waits until the runtime says that it, and the network of pods, is ready.
pub(super) fn wait_for_pods(socket: &Path) {
    eventually("the runtime and its network are ready", || {
        let request = StatusRequest { verbose: false };
        let status = call(socket, async |channel| RuntimeServiceClient::new(channel).status(request).await);
        let conditions = status.ok()?.status?.conditions;
        // Others than these warn of settings.
        let is_met = |name| conditions.iter().any(|condition| condition.r#type == name && condition.status);
        (is_met("RuntimeReady") && is_met("NetworkReady")).then_some(())
    });
}

/// Waits until an image that was imported is one that containers can be made of: the import itself is ready earlier.
pub(in super::super) fn wait_for_image(socket: &Path, reference: &str) {
    eventually(&format!("the runtime knows the image {reference}"), || {
        let image = ImageSpec { image: reference.to_owned(), ..ImageSpec::default() };
        let request = ImageStatusRequest { image: Some(image), verbose: false };
        let status =
            call(socket, async |channel| ImageServiceClient::new(channel).image_status(request).await);
        status.ok()?.image.map(drop)
    });
}

/// One call on a connection of its own, so that no answer is that of a containerd that has ended.
fn call<T>(
    socket: &Path,
    ask: impl AsyncFnOnce(Channel) -> Result<Response<T>, Status>,
) -> Result<T, Status> {
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    executor.block_on(async {
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display())).unwrap();
        ask(endpoint.connect_lazy()).await.map(Response::into_inner)
    })
}
