/* Which cells are run, and the table of what came out. */
#ifndef TESTS_FAULT_MATRIX_H
#define TESTS_FAULT_MATRIX_H

#include "tests/fault/trial.h"

#define MATRIX_MAX 400u

struct matrix_choice {
    const struct nemesis *nemesis;   /* NULL = all */
    const struct workload *workload; /* NULL = all that the matrix has for the fault */
    int64_t seconds;                 /* 0 = as the matrix has it */
    unsigned masters;                /* 0 = as the matrix has it */
    bool brief;
};
struct matrix_row {
    const struct nemesis *nemesis;
    const struct workload *workload;
    unsigned masters;
    int64_t seconds;
    const char *dir;
    bool ran;
    struct trial_result result;
};
/* Fills rows (MATRIX_MAX of them), returns how many. */
unsigned matrix_choose(const struct matrix_choice *choice, bool root, struct matrix_row *rows);
void matrix_list(void);
void matrix_print_head(void);
void matrix_print_row(const struct matrix_row *row);
void matrix_print_table(const struct matrix_row *rows, unsigned count); /* fault x workload */

#endif
