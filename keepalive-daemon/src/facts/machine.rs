//! Where the node runs, by what its firmware says.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What Azure's machines have as the tag of their chassis, for the software in them to know Azure from any other
/// machine of the same hypervisor.
const AZURE_TAG: &str = "7783-7084-3265-9085-8269-3286-77";

/// The machine, as its firmware describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Machine {
    /// DMI's `sys_vendor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vendor: Option<String>,
    /// DMI's `product_name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) product: Option<String>,
    /// The profile of the cloud it is in, if that can be told: `aws`, `azure` or `gcp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cloud: Option<String>,
}

/// Reads it from a `/sys`; what the firmware does not say stays unknown.
pub(super) fn read(sys: &Path) -> Machine {
    let field = |name: &str| {
        let text = fs::read_to_string(sys.join("class/dmi/id").join(name)).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let (vendor, product) = (field("sys_vendor"), field("product_name"));
    let is = |known: &Option<String>, name: &str| known.as_deref() == Some(name);
    let is_amazons = is(&vendor, "Amazon EC2")
        || is(&field("board_vendor"), "Amazon EC2")
        // Machines on Xen, before Nitro.
        || field("bios_version").is_some_and(|version| version.to_lowercase().contains("amazon"));
    let cloud = if is_amazons {
        Some("aws")
    } else if is(&vendor, "Microsoft Corporation") && is(&field("chassis_asset_tag"), AZURE_TAG) {
        Some("azure")
    } else if ["Google Compute Engine", "Google"].iter().any(|name| is(&product, name)) {
        // The vendor alone makes notebooks too.
        Some("gcp")
    } else {
        None
    };
    Machine { vendor, product, cloud: cloud.map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn cloud(fields: &[(&str, &str)]) -> Option<String> {
        let sys = TempDir::new().expect("a directory");
        let directory = sys.path().join("class/dmi/id");
        fs::create_dir_all(&directory).expect("it is ours");
        for (name, text) in fields {
            fs::write(directory.join(name), format!("{text}\n")).expect("it is ours");
        }
        read(sys.path()).cloud
    }

    #[test]
    fn clouds_are_known_by_what_their_machines_say() {
        for (fields, expected) in [
            (&[("sys_vendor", "Amazon EC2"), ("product_name", "m7i.large")][..], Some("aws")),
            (&[("sys_vendor", "Xen"), ("bios_version", "4.11.amazon")], Some("aws")),
            (&[("sys_vendor", "Microsoft Corporation"), ("chassis_asset_tag", AZURE_TAG)], Some("azure")),
            (&[("sys_vendor", "Google"), ("product_name", "Google Compute Engine")], Some("gcp")),
            // A machine of the same hypervisor in somebody's cellar, and somebody's notebook.
            (&[("sys_vendor", "Microsoft Corporation"), ("chassis_asset_tag", "1234")], None),
            (&[("sys_vendor", "Google"), ("product_name", "Eve")], None),
            (&[("sys_vendor", "QEMU"), ("product_name", "")], None),
            (&[], None),
        ] {
            assert_eq!(cloud(fields).as_deref(), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_machine_without_such_a_firmware_is_of_no_cloud() {
        assert_eq!(read(Path::new("/nonexistent")), Machine::default());
    }
}
