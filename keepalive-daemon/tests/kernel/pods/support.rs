//! Real pods: what a kubelet does, done to a real containerd.

mod containerd;
mod cri;
mod daemon_set;
mod image;
mod node;
mod pod;

pub(crate) use containerd::Containerd;
use cri::Cri;
pub(crate) use daemon_set::DaemonSetPod;
pub(crate) use image::import_daemon;
pub(crate) use node::{Container, Node};
use pod::Driver;
pub(crate) use pod::{PodSpec, Qos};
