use super::*;

#[test]
fn stormy_worlds_give_the_records_of_calm_ones() {
    for seed in 1..=25 {
        let outcome = simulate(seed).unwrap();
        assert!(outcome.verdict.holds(), "seed {seed}: {}\n{:#?}", outcome.verdict, outcome.verdict.examples);
        assert!(outcome.verdict.records > 0, "seed {seed} says nothing");
    }
}

#[test]
fn equal_seeds_give_equal_worlds() {
    assert_eq!(simulate(7).unwrap().verdict, simulate(7).unwrap().verdict);
}
