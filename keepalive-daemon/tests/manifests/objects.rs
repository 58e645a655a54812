//! Rendered documents as the objects they are.

use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{ConfigMap, Container, Namespace, PodSpec, ResourceQuota, ServiceAccount},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{command_line::Call, render::deployments};

/// Everything that one directory deploys.
pub(crate) struct Objects {
    pub(crate) namespace: Namespace,
    pub(crate) service_account: ServiceAccount,
    pub(crate) quota: ResourceQuota,
    pub(crate) policies: ConfigMap,
    pub(crate) daemon_set: DaemonSet,
}

impl Objects {
    /// Everything that the base and every overlay deploy, by name.
    pub(crate) fn of_all() -> Vec<(&'static str, Self)> {
        deployments().map(|(name, documents)| (name, Self::from(documents))).collect()
    }

    pub(crate) fn pod(&self) -> &PodSpec {
        self.daemon_set.spec.as_ref().unwrap().template.spec.as_ref().unwrap()
    }

    /// The one container.
    pub(crate) fn container(&self) -> &Container {
        let [container] = &self.pod().containers[..] else { panic!("not one container") };
        container
    }

    /// The call of the program in the container.
    pub(crate) fn call(&self) -> Call {
        let Container { args, env, .. } = self.container();
        let variables = env.iter().flatten().map(|variable| {
            let value =
                variable.value.clone().unwrap_or_else(|| panic!("{} is no plain value", variable.name));
            (variable.name.clone(), value)
        });
        Call::parse(args.as_ref().unwrap(), &variables.collect::<Vec<_>>())
    }

    /// The capabilities that are added.
    pub(crate) fn capabilities(&self) -> Vec<String> {
        let context = self.container().security_context.as_ref().unwrap();
        context.capabilities.as_ref().unwrap().add.clone().unwrap()
    }
}

impl From<&[Value]> for Objects {
    /// # Panics
    /// If there is another object, one is missing, or one has a field that objects of its kind do not have.
    fn from(documents: &[Value]) -> Self {
        assert_eq!(documents.len(), 5, "{documents:#?}");
        Self {
            namespace: only(documents, "Namespace"),
            service_account: only(documents, "ServiceAccount"),
            quota: only(documents, "ResourceQuota"),
            policies: only(documents, "ConfigMap"),
            daemon_set: only(documents, "DaemonSet"),
        }
    }
}

fn only<T: DeserializeOwned + Serialize>(documents: &[Value], kind: &str) -> T {
    let found: Vec<_> = documents.iter().filter(|document| document["kind"] == kind).collect();
    let [document] = found[..] else { panic!("not one {kind}") };
    let object: T =
        serde_json::from_value(document.clone()).unwrap_or_else(|error| panic!("{kind}: {error}"));
    assert_eq!(serde_json::to_value(&object).unwrap(), *document, "a field that no {kind} has");
    object
}
