//! `deploy/README.md`: what it shows is what there is.

use std::collections::BTreeSet;

use crate::{objects::Objects, policies::names_of, render::Beside, text};

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let text = text("README.md");
    let parts = text.split("```").skip(1).step_by(2);
    parts.filter_map(|block| Some(block.strip_prefix(language)?.strip_prefix('\n')?.to_owned())).collect()
}

/// The block that shows a file: its first line is `# <path>`.
fn file(path: &str) -> String {
    let found = blocks("yaml").into_iter().find(|block| block.starts_with(&format!("# {path}\n")));
    found.unwrap_or_else(|| panic!("no block shows {path}"))
}

/// The capabilities that the table gives to what is named in the head of `column`.
pub(crate) fn capability_table(column: &str) -> BTreeSet<String> {
    let text = text("README.md");
    let mut rows = text.lines().skip_while(|line| !line.starts_with("| capability |"));
    let cells =
        |row: &str| row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect::<Vec<_>>();
    let head = cells(rows.next().unwrap());
    let column = head.iter().position(|cell| cell == column).unwrap_or_else(|| panic!("{column}: {head:?}"));
    let rows = rows.skip(1).take_while(|line| line.starts_with('|')).map(cells);
    rows.filter(|row| row[column] == "yes").map(|row| row[1].clone()).collect()
}

#[test]
fn both_documents_name_the_same_capabilities() {
    let project = text("../README.md");

    let named = project.lines().filter_map(|line| line.strip_prefix("| `CAP_")?.split('`').next());
    let named: BTreeSet<_> = named.map(str::to_owned).collect();
    assert_eq!(capability_table("memlock"), named);
}

#[test]
fn the_policies_it_shows_are_valid_together() {
    let blocks = blocks("yaml");
    let policies = blocks.iter().filter(|block| block.contains("keepalive.dev/v1alpha1"));
    let files: Vec<_> = policies.enumerate().map(|(number, text)| (format!("{number}.yaml"), text)).collect();

    let names = names_of(files.iter().map(|(name, text)| (&**name, &***text)));

    assert!(names.len() >= 2, "{names:?}");
}

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn the_overlay_it_shows_renders() {
    let (kustomization, policy) = ("my-cluster/kustomization.yaml", "my-cluster/policies/payments.yaml");
    let directory = Beside::with(&[(kustomization, &file(kustomization)), (policy, &file(policy))]);

    let documents = directory.render("my-cluster");

    let objects = Objects::from(&documents[..]);
    let image = objects.container().image.clone().unwrap();
    assert!(
        image.starts_with("registry.example.org/") && image.ends_with(env!("CARGO_PKG_VERSION")),
        "{image}"
    );
    let data = objects.policies.data.as_ref().unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["every-pod.yaml", "payments.yaml"]);
    objects.call();
}
