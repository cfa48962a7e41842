//! What is shipped to run logbraid elsewhere speaks of a logbraid that exists: options, paths, ports, probes, variables.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::CommandFactory as _;
use logbraid::cli::args::Cli;
use logbraid::config::Config;
use logbraid_runtime::admin::Admin;
use logbraid_runtime::metrics::Metrics;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every document of a YAML file.
fn documents(path: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// The file after `-c` among a command's arguments, which the command line must understand.
fn config_of(arguments: &[String]) -> String {
    let words = std::iter::once("logbraid".to_owned()).chain(arguments.iter().cloned());
    Cli::command().try_get_matches_from(words).unwrap();
    let at = arguments.iter().position(|word| word == "-c").unwrap();
    arguments[at + 1].clone()
}

fn load(path: &str, text: &str, variables: &BTreeMap<String, String>) -> Config {
    logbraid::config::parse(path, text, &logbraid::registry(), &|name| variables.get(name).cloned())
        .unwrap_or_else(|problems| panic!("{path}: {problems}"))
}

/// Runs a probe's command, with `port` in place of the configured one.
fn probe(probe: &Value, configured: u16, port: u16) -> bool {
    let command: Vec<String> = texts(&probe["exec"]["command"]);
    let replaced: Vec<String> =
        command.iter().map(|word| word.replace(&format!("/{configured}"), &format!("/{port}"))).collect();
    assert_ne!(command, replaced, "the probe asks another port than the admin endpoint has");
    let (program, rest) = replaced.split_first().unwrap();
    std::process::Command::new(program).args(rest).status().unwrap().success()
}

/// The workloads of a manifest, each with its container of ours and the configuration that it is given.
fn check_manifest(path: &str) {
    let documents = documents(path);
    let maps: BTreeMap<&str, &Value> = documents
        .iter()
        .filter(|document| document["kind"] == "ConfigMap")
        .map(|map| (map["metadata"]["name"].as_str().unwrap(), &map["data"]))
        .collect();
    let mut ours = 0;
    for workload in &documents {
        let pod = &workload["spec"]["template"]["spec"];
        if pod.is_null() {
            continue;
        }
        let labels = &workload["spec"]["template"]["metadata"]["labels"];
        assert_eq!(&workload["spec"]["selector"]["matchLabels"], labels, "{path}");
        let containers = ["containers", "initContainers"].into_iter().filter_map(|list| pod[list].as_array());
        for container in containers.flatten().filter(|container| container["name"] == "logbraid") {
            ours += 1;
            let image = container["image"].as_str().unwrap();
            assert_eq!(image, format!("logbraid:{}", env!("CARGO_PKG_VERSION")), "{path}");
            let file = config_of(&texts(&container["args"]));
            let (folder, name) = file.rsplit_once('/').unwrap();
            let mounts = container["volumeMounts"].as_array().unwrap();
            let mount = mounts.iter().find(|mount| mount["mountPath"] == folder).unwrap();
            let volumes = pod["volumes"].as_array().unwrap();
            let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
            let map = maps[volume["configMap"]["name"].as_str().unwrap()];
            let variables = container["env"].as_array().into_iter().flatten();
            let variables =
                variables.map(|one| (one["name"].as_str().unwrap().to_owned(), "pod-0".to_owned())).collect();
            let config = load(path, map[name].as_str().unwrap(), &variables);
            // What it keeps must be kept in a volume: everything else is read-only.
            if let Some(checkpoint) = &config.checkpoint {
                let kept = mounts.iter().any(|mount| {
                    checkpoint.starts_with(mount["mountPath"].as_str().unwrap()) && mount["readOnly"] != true
                });
                assert!(kept, "{path}: {}", checkpoint.display());
            }
            let probes = ["startupProbe", "livenessProbe", "readinessProbe"];
            if probes.iter().any(|probe| !container[*probe].is_null()) {
                check_probes(container, &config);
            }
        }
    }
    assert_eq!(ours, 1, "{path}");
}

/// The probes say what the endpoint says: alive at once, ready when it has started.
fn check_probes(container: &Value, config: &Config) {
    let configured = config.admin.as_ref().unwrap().listen.port();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let metrics = Arc::new(Metrics::default());
    let admin = Admin { metrics: Arc::clone(&metrics), ..Admin::default() };
    let (address, serve) =
        runtime.block_on(admin.serve("127.0.0.1:0".parse().unwrap(), CancellationToken::new())).unwrap();
    runtime.spawn(serve);
    let ask = |name: &str| probe(&container[name], configured, address.port());
    assert!(ask("startupProbe") && ask("livenessProbe"));
    assert!(!ask("readinessProbe"), "nothing has started yet");
    metrics.health(|health| health.started = true);
    assert!(ask("readinessProbe"));
    metrics.health(|health| {
        health.troubles.insert("kafka".to_owned(), "no broker answers".to_owned());
    });
    assert!(!ask("readinessProbe") && ask("livenessProbe"), "a broker that is away is no reason to restart");
}

#[test]
fn kubernetes_manifests_name_what_exists() {
    let folder = root().join("configs/kubernetes");
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["deployment.yaml", "sidecar.yaml", "statefulset.yaml"]);
    for name in names {
        check_manifest(&format!("configs/kubernetes/{name}"));
    }
}

#[test]
fn the_container_holds_what_it_runs() {
    let text = read("configs/Containerfile");
    let rust = env!("CARGO_PKG_RUST_VERSION");
    assert!(text.contains(&format!("library/rust:{rust}")), "the workspace needs Rust {rust}");
    let command = text.lines().find_map(|line| line.strip_prefix("CMD ")).unwrap();
    let arguments: Vec<String> = serde_json::from_str(command).unwrap();
    let file = config_of(&arguments);
    let name = file.strip_prefix("/etc/logbraid/").unwrap();
    assert!(text.contains("COPY configs/kafka*.yaml /etc/logbraid/") && name.starts_with("kafka"), "{file}");
    assert!(root().join("configs").join(name).exists(), "{file}");
}

#[test]
fn the_composition_sets_what_its_configuration_reads() {
    let path = "configs/compose/compose.yaml";
    let [compose] = documents(path).try_into().unwrap();
    let service = &compose["services"]["logbraid"];
    let file = config_of(&texts(&service["command"]));
    let name = format!("configs/{}", file.strip_prefix("/etc/logbraid/").unwrap());
    let text = read(&name);
    let set = service["environment"].as_object().unwrap();
    let variables: BTreeMap<String, String> =
        set.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
    for variable in variables.keys() {
        assert!(text.contains(&format!("${{{variable}")), "{name} does not read {variable}");
    }
    load(&name, &text, &variables);
    let folder = root().join("configs/compose");
    let build = &service["build"];
    let context = folder.join(build["context"].as_str().unwrap());
    assert!(context.join(build["dockerfile"].as_str().unwrap()).exists());
    // Topics are made before they are read and written.
    let made = compose["services"]["topics"]["command"][0].as_str().unwrap();
    let topics = text.lines().filter_map(|line| {
        let line = line.trim();
        line.strip_prefix("topic: ").or_else(|| line.strip_prefix("topics: [")?.strip_suffix(']'))
    });
    let mut count = 0;
    for topic in topics {
        count += 1;
        assert!(made.split([' ', ';']).any(|word| word == topic), "topic `{topic}` is not made");
    }
    assert!(count >= 5);
    for volume in texts(&compose["services"]["producer"]["volumes"]) {
        assert!(folder.join(volume.split(':').next().unwrap()).is_dir(), "{volume}");
    }
}
