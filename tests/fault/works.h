/* The rows of the table of workloads; each in a file work_NAME.c. */
#ifndef TESTS_FAULT_WORKS_H
#define TESTS_FAULT_WORKS_H

#include "tests/fault/trial.h"

extern const struct workload work_register, work_append, work_set, work_bank, work_queue, work_watch, work_informer,
    work_deploy;

#endif
