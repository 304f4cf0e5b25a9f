//! Does the tree keep the house's rules?
//!
//! Every text file is read once; each test below is one rule, and names file, line and what to do. A rule is a
//! pure function of a path and a text, and has a test of its own that shows it a planted violation.
#![cfg(test)]

mod futures;
mod guarantees;
mod layers;
mod lexer;
mod links;
mod module_files;
mod text;
mod tree;
mod words;

use tree::{check, exists, files};

#[test]
fn a_layer_uses_only_lower_layers() {
    check(layers::violations);
}

#[test]
fn runtimes_and_clocks_are_named_in_one_place() {
    check(words::runtimes_and_clocks);
}

#[test]
fn a_file_fits_in_a_readers_mind() {
    check(text::too_long);
}

#[test]
fn every_queue_has_a_limit() {
    check(words::limitless);
}

#[test]
fn no_map_has_a_random_order() {
    check(words::random_order);
}

#[test]
fn every_guarantee_has_a_test_or_a_plan() {
    assert!(exists(guarantees::DOCUMENT), "the guarantees are stated in {}", guarantees::DOCUMENT);
    let mut citations = guarantees::Citations::new();
    files().iter().for_each(|file| guarantees::collect(&file.path, &file.text, &mut citations));
    check(|path, text| guarantees::violations(path, text, &citations));
}

#[test]
fn a_mark_for_later_names_its_decision() {
    check(text::undecided);
}

#[test]
fn links_between_documents_lead_somewhere() {
    check(|path, text| links::broken(path, text, exists));
}

#[test]
fn every_decision_is_listed() {
    check(|path, text| links::unlisted(path, text, files()));
}

#[test]
fn a_mod_file_holds_no_logic() {
    check(module_files::violations);
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    check(text::machine_paths);
}

#[test]
fn tests_never_sleep() {
    check(words::sleeps);
}

#[test]
fn whoever_drops_a_future_can_read_what_that_does() {
    check(futures::undocumented_drops);
}
