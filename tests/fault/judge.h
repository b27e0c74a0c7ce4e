/* Whether a cell has passed: its history by the workload's checker, and what its masters said. */
#ifndef TESTS_FAULT_JUDGE_H
#define TESTS_FAULT_JUDGE_H

#include "tests/fault/trial.h"

/* Writes CELL/history.jsonl and CELL/judgement, calls trial_fail for all that is wrong, fills the result's counts. */
void judge(struct trial *t);

#endif
