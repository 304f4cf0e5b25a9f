//! A naive log: lists and sets, and a copy of everything after each step.

use std::collections::{BTreeMap, BTreeSet};

use crate::log::hand::Hand;
use crate::log::{LogError, Marks, Note, Terms};

/// What is in a log, as plain as can be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) topics: BTreeMap<String, ModelTopic>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModelTopic {
    pub(crate) keeps: bool,
    pub(crate) bodies: Vec<Vec<u8>>,
    pub(crate) trimmed: u64,
    pub(crate) groups: BTreeMap<String, ModelGroup>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModelGroup {
    pub(crate) done: BTreeSet<u64>,
    pub(crate) notes: BTreeMap<u64, u32>,
}

/// One thing to ask of a log.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Topic { name: String, keeps: bool },
    Group { topic: String, name: String, start: u64 },
    Append { topic: String, bodies: Vec<Vec<u8>>, sync: bool },
    Mark { topic: String, group: String, runs: Vec<(u64, u64)>, note: Option<(u64, u32)>, heard: bool },
    Trim { topic: String, floor: u64 },
    Seek { topic: String, group: String, to: u64 },
    DeleteTopic { name: String },
    DeleteGroup { topic: String, name: String },
    Seal,
    Turn,
}

impl Step {
    /// Whether it is on the disk, with all before it, once it was answered.
    pub(crate) fn is_confirmed(&self) -> bool {
        match self {
            Step::Append { sync, .. } => *sync,
            Step::Mark { heard, .. } => *heard,
            Step::Trim { .. } => false,
            _ => true,
        }
    }
}

impl ModelTopic {
    /// The first offset that is of use.
    pub(crate) fn floor(&self) -> u64 {
        self.trimmed
    }

    /// What all groups are done with is of no more use, unless it is kept. Looked at when one of them says something, and not
    /// when one comes: more may come that want what this one does not.
    fn settle(&mut self) {
        let next = self.bodies.len() as u64;
        let open = |group: &ModelGroup| (0..).find(|at| !group.done.contains(at)).unwrap_or(next).min(next);
        let settled = self.groups.values().map(open).min().filter(|_| !self.keeps);
        self.trimmed = self.trimmed.max(settled.unwrap_or(0));
    }
}

impl Model {
    /// In one line, with bodies as their lengths.
    pub(crate) fn brief(&self) -> String {
        let group =
            |(name, group): (&String, &ModelGroup)| format!("{name} {:?} {:?}", group.done, group.notes);
        let topic = |(name, topic): (&String, &ModelTopic)| {
            let lens: Vec<usize> = topic.bodies.iter().map(Vec::len).collect();
            let groups: Vec<String> = topic.groups.iter().map(group).collect();
            format!("{name} from {} {lens:?} {groups:?}", topic.trimmed)
        };
        self.topics.iter().map(topic).collect::<Vec<_>>().join("; ")
    }

    pub(crate) fn apply(&mut self, step: &Step) {
        match step {
            Step::Topic { name, keeps } => {
                self.topics.insert(name.clone(), ModelTopic { keeps: *keeps, ..ModelTopic::default() });
            }
            Step::DeleteTopic { name } => drop(self.topics.remove(name)),
            Step::Seal | Step::Turn => {}
            Step::Group { topic, .. }
            | Step::Append { topic, .. }
            | Step::Mark { topic, .. }
            | Step::Trim { topic, .. }
            | Step::Seek { topic, .. }
            | Step::DeleteGroup { topic, .. } => {
                if let Some(topic) = self.topics.get_mut(topic) {
                    topic.apply(step);
                }
            }
        }
    }
}

impl ModelTopic {
    fn apply(&mut self, step: &Step) {
        match step {
            Step::Group { name, start, .. } => {
                let group = ModelGroup { done: (0..*start).collect(), ..ModelGroup::default() };
                self.groups.insert(name.clone(), group);
            }
            Step::DeleteGroup { name, .. } => {
                self.groups.remove(name);
                self.settle();
            }
            Step::Append { bodies, .. } => self.bodies.extend(bodies.iter().cloned()),
            Step::Trim { floor, .. } => {
                self.trimmed = self.trimmed.max((*floor).min(self.bodies.len() as u64))
            }
            Step::Seek { group, to, .. } => {
                let group = self.groups.get_mut(group).unwrap();
                *group = ModelGroup { done: (0..*to).collect(), ..ModelGroup::default() };
                self.settle();
            }
            Step::Mark { group, runs, note, .. } => {
                let group = self.groups.get_mut(group).unwrap();
                if let Some((at, attempts)) = note.filter(|(at, _)| !group.done.contains(at)) {
                    group.notes.insert(at, attempts);
                }
                group.done.extend(runs.iter().flat_map(|(from, to)| *from..*to));
                group.notes.retain(|at, _| !group.done.contains(at));
                self.settle();
            }
            _ => {}
        }
    }
}

/// Asks a log for a step. What names something that is not there is not asked for.
pub(crate) fn ask(log: &mut Hand, step: &Step) -> Result<(), LogError> {
    let number = |log: &Hand, name: &str| log.writer.state.topic_named(name).unwrap();
    let group_of = |log: &Hand, topic: &str, group: &str| {
        let number = log.writer.state.topic_named(topic).unwrap();
        log.writer.state.topics[&number].group_named(group).unwrap()
    };
    match step {
        Step::Topic { name, keeps } => {
            let terms = Terms { keeps: *keeps, ..Terms::default() };
            log.topic_with(name, terms).map(drop)
        }
        Step::Group { topic, name, start } => log.group(number(log, topic), name, *start).map(drop),
        Step::Append { topic, bodies, sync } => {
            let bodies: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
            log.append(number(log, topic), &bodies, *sync).map(drop)
        }
        Step::Mark { topic, group, runs, note, heard } => {
            let note = note.map(|(at, attempts)| (at, Note { attempts, ..Note::default() }));
            let marks = Marks { done: runs.clone(), notes: note.into_iter().collect() };
            let (topic, group) = (number(log, topic), group_of(log, topic, group));
            if *heard {
                return log.mark(topic, group, marks);
            }
            log.mark_unheard(topic, group, marks);
            Ok(())
        }
        Step::Trim { topic, floor } => {
            log.trim(number(log, topic), *floor);
            Ok(())
        }
        Step::Seek { topic, group, to } => {
            let (topic, group) = (number(log, topic), group_of(log, topic, group));
            log.seek(topic, group, *to)
        }
        Step::DeleteTopic { name } => log.delete_topic(number(log, name)),
        Step::DeleteGroup { topic, name } => {
            let (topic, group) = (number(log, topic), group_of(log, topic, name));
            log.delete_group(topic, group)
        }
        Step::Seal => log.seal(),
        Step::Turn => log.turn(),
    }
}

/// What a log holds, as a model would, with what is of use alone: all else may be there or not.
pub(crate) fn held(log: &Hand) -> Result<Model, LogError> {
    let mut model = Model::default();
    for (number, topic) in &log.writer.state.topics {
        let mut bodies = vec![Vec::new(); topic.next as usize];
        for (at, body) in log.read(*number)? {
            if at >= topic.floor {
                bodies[at as usize] = body;
            }
        }
        let group = |group: &crate::log::GroupState| ModelGroup {
            done: (0..topic.next.max(group.done.floor())).filter(|at| group.done.contains(*at)).collect(),
            notes: group.notes.iter().map(|(at, note)| (*at, note.attempts)).collect(),
        };
        let groups = topic.groups.values().map(|state| (state.name.clone(), group(state))).collect();
        let held = ModelTopic { keeps: topic.terms.keeps, bodies, trimmed: topic.floor, groups };
        model.topics.insert(topic.name.clone(), held);
    }
    Ok(model)
}

/// The same, of a model.
pub(crate) fn of_use(model: &Model) -> Model {
    let mut model = model.clone();
    for topic in model.topics.values_mut() {
        let gone = topic.trimmed as usize;
        topic.bodies[..gone].fill(Vec::new());
        let next = topic.bodies.len() as u64;
        for group in topic.groups.values_mut() {
            let floor = (0..).find(|at| !group.done.contains(at)).unwrap_or(0);
            group.done.retain(|at| *at < next.max(floor));
        }
    }
    model
}
