//! The container runtime interface (CRI v1): its messages and its client, made from
//! `proto/cri-v1.proto`, which is the file that Kubernetes publishes in `k8s.io/cri-api`, unchanged.
//!
//! The daemon only asks; the tests drive a runtime through it.
#![expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

tonic::include_proto!("runtime.v1");
