//! What is known of a line of kernels, in a file a line: which features it has, and what its verifier does for each
//! program. With `KEEPALIVE_UPDATE=1` in the environment the file of this kernel's line is written anew; the documents
//! are made of these files (`manifests::kernels`).

use std::{env, fs, path::PathBuf};

use serde_json::{Map, Value, json};

/// The facts of this kernel's line; `None` if nothing is known of it.
///
/// In a machine there must be some: it is there to see them. What it writes is gone with it, so it says them.
pub(crate) fn known(found: &Value) -> Option<Value> {
    let path = path();
    if env::var_os("KEEPALIVE_UPDATE").is_some() {
        fs::write(&path, text(found)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let Ok(known) = fs::read_to_string(&path) else {
        let is_machine = env::var_os("KEEPALIVE_IN_MACHINE").is_some();
        assert!(!is_machine, "nothing is known of this kernel; {}", advice(found));
        return None;
    };
    Some(serde_json::from_str(&known).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// What a probe found, as it is kept.
pub(crate) fn of(probed: &Value) -> Value {
    let by_name = |list: &str, value: fn(&Value) -> Value| {
        let entries = probed[list].as_array().unwrap().iter();
        entries.map(|entry| (entry["name"].as_str().unwrap().to_owned(), value(entry))).collect::<Map<_, _>>()
    };
    let numbers = |program: &Value| {
        let mut numbers = program.as_object().unwrap().clone();
        numbers.remove("name");
        Value::Object(numbers)
    };
    json!({
        "release": probed["kernel"],
        "features": by_name("features", |feature| feature["present"].clone()),
        "programs": by_name("programs", numbers),
    })
}

/// What to do if what is found is meant to differ from what is known.
pub(crate) fn advice(found: &Value) -> String {
    let file = path();
    let file = file.file_name().unwrap().display();
    format!(
        "if it is meant to be, run this test with KEEPALIVE_UPDATE=1, or write this to tests/facts/{file}, and \
         `cargo test --test manifests kernels` with KEEPALIVE_UPDATE=1:\n{}",
        text(found)
    )
}

fn text(found: &Value) -> String {
    serde_json::to_string_pretty(found).unwrap() + "\n"
}

fn path() -> PathBuf {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let line: Vec<&str> = release.trim().splitn(3, ['.', '-']).take(2).collect();
    let file = format!("{}.json", line.join("."));
    [env!("CARGO_MANIFEST_DIR"), "tests", "facts", &file].iter().collect()
}
