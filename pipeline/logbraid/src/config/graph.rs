//! The picture of a configuration: sources, parser, operators, sinks.

use std::fmt::Write as _;

use super::{Config, SourceConfig};

/// How a picture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Picture {
    /// Mermaid, as Markdown viewers draw it.
    Mermaid,
    /// Graphviz.
    Dot,
}

struct Graph {
    nodes: Vec<(String, String, Shape)>,
    edges: Vec<(usize, usize, String)>,
}

#[derive(Clone, Copy)]
enum Shape {
    Source,
    Step,
    Sink,
}

impl Config {
    /// Draws the configuration.
    pub fn picture(&self, picture: Picture) -> String {
        let graph = self.graph();
        match picture {
            Picture::Mermaid => graph.mermaid(),
            Picture::Dot => graph.dot(),
        }
    }

    fn graph(&self) -> Graph {
        let mut graph = Graph { nodes: Vec::new(), edges: Vec::new() };
        let mut sources: Vec<usize> = self
            .sources
            .iter()
            .enumerate()
            .map(|(at, source)| {
                let what = match source {
                    SourceConfig::Files(files) => files.paths.join(", "),
                    SourceConfig::Stdin(_) => String::new(),
                    SourceConfig::Kafka(kafka) => kafka.topics.join(", "),
                    SourceConfig::Listener(listener) => listener.address(),
                };
                graph.node(format!("source{at}"), label(source.name(), &what), Shape::Source)
            })
            .collect();
        if sources.is_empty() {
            sources.push(graph.node("source0".into(), label("stdin or INPUT", ""), Shape::Source));
        }
        let mut last = graph.node("parse".into(), label("parse", ""), Shape::Step);
        for source in sources {
            graph.edges.push((source, last, String::new()));
        }
        for (at, step) in self.operators.iter().enumerate() {
            let next = graph.node(format!("operator{at}"), label(step.spec.name, ""), Shape::Step);
            graph.edges.push((last, next, String::new()));
            last = next;
        }
        let take = |kinds: &[logbraid_core::RecordKind]| {
            kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
        };
        if self.sinks.is_empty() {
            let sink = graph.node("sink0".into(), label("stdout", ""), Shape::Sink);
            graph.edges.push((last, sink, take(&super::TAKE)));
        }
        for (at, step) in self.sinks.iter().enumerate() {
            let path = step.settings.get("path").or_else(|| step.settings.get("topic"));
            let what = path.and_then(serde_json::Value::as_str).unwrap_or_default();
            let sink = graph.node(format!("sink{at}"), label(step.spec.name, what), Shape::Sink);
            graph.edges.push((last, sink, take(&step.take)));
        }
        graph
    }
}

fn label(name: &str, what: &str) -> String {
    if what.is_empty() { name.to_owned() } else { format!("{name}\n{what}") }
}

impl Graph {
    fn node(&mut self, id: String, label: String, shape: Shape) -> usize {
        self.nodes.push((id, label, shape));
        self.nodes.len() - 1
    }

    fn id(&self, at: usize) -> &str {
        self.nodes.get(at).map_or("", |(id, ..)| id)
    }

    fn mermaid(&self) -> String {
        // Mermaid reads HTML entities, so that no text can end its label.
        let safe = |text: &str| {
            let text =
                text.replace('&', "#amp;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;");
            text.replace('\n', "<br>")
        };
        let mut out = String::from("flowchart LR\n");
        for (id, label, shape) in &self.nodes {
            let (open, close) = match shape {
                Shape::Source => ("([", "])"),
                Shape::Step => ("[", "]"),
                Shape::Sink => ("[(", ")]"),
            };
            let _ = writeln!(out, "  {id}{open}\"{}\"{close}", safe(label));
        }
        for (from, to, label) in &self.edges {
            let label = if label.is_empty() { String::new() } else { format!("|{label}|") };
            let _ = writeln!(out, "  {} -->{label} {}", self.id(*from), self.id(*to));
        }
        out
    }

    fn dot(&self) -> String {
        let safe = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let mut out = String::from("digraph logbraid {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n");
        for (id, label, shape) in &self.nodes {
            let shape = match shape {
                Shape::Source => "ellipse",
                Shape::Step => "box",
                Shape::Sink => "cylinder",
            };
            let _ = writeln!(out, "  {id} [label=\"{}\", shape={shape}];", safe(label));
        }
        for (from, to, label) in &self.edges {
            let label = if label.is_empty() { String::new() } else { format!(" [label=\"{label}\"]") };
            let _ = writeln!(out, "  {} -> {}{label};", self.id(*from), self.id(*to));
        }
        out.push_str("}\n");
        out
    }
}
