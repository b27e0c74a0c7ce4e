/* Commands as people type them, tried on a real cluster: rows of a command line and of what must come of it.
 *
 *   static const struct habit rows[] = {
 *       {"rctl get pods -l app=none", NULL, 0, "=", "No resources found in default namespace."},
 *       {"echo '{...}' | rctl apply -f -", NULL, 0, "pod/x created"},
 *   };
 *   habits_run(h, rows, ARRAY_SIZE(rows));
 *
 * A line is given to /bin/sh in a directory of its own (HOME as well) with rctl in PATH and REEVE_CONFIG naming a
 * configuration of the first administrator in it ("config" there). What does not end by itself is typed as `first 2
 * rctl get pods -w`: its first two lines, then it is ended. Rows run in order and share the cluster and the directory;
 * all of them run, what is wrong is printed row by row, and any wrong one fails the test.
 *
 * Expectations of stdout and stderr: NULL: anything. "=text": exactly this. Otherwise each line of the text must be
 * found somewhere in what was printed, and a line that begins with '!' must not be found. */
#ifndef TESTS_HABITS_H
#define TESTS_HABITS_H

#include "tests/unit/kit/master_kit.h"

#pragma GCC diagnostic ignored "-Wmissing-field-initializers" /* rows that expect nothing of an output leave it out */

#define HABIT_ANY (-1)
struct habit {
    const char *line;  /* of /bin/sh */
    const char *input; /* standard input; NULL = /dev/null */
    int code;          /* HABIT_ANY: any, but no signal */
    const char *out, *err;
};

struct habits {
    struct kit *kit; /* one master, and agents if asked for */
    char home[160];  /* where lines run */
    pid_t agent;     /* 0: none */
    char *out, *err; /* of the last line; freed by the next */
};

/* One master; with `nodes` > 0 so many hollow nodes, hollow-0 and so on, in one real agent: pods are bound, started in
 * pretence and become Ready. Returns when all are Ready. */
struct habits *habits_start(unsigned nodes);
/* The same, the master made with further options (NULL-terminated). */
struct habits *habits_start_with(unsigned nodes, const char *const *args);
void habits_stop(struct habits *h);
/* The same for a group of tests, whose state they make: *state is the struct habits. line: what prepares them, typed
 * as by habits_must; NULL: nothing. */
int habits_set_up(void **state, unsigned nodes, const char *line, const char *input);
int habits_tear_down(void **state);
/* In such a test: its rows. */
#define RUN(rows) habits_run(*state, rows, ARRAY_SIZE(rows))

void habits_run(struct habits *h, const struct habit *rows, unsigned count);
/* One line outside of a table: its exit code; h->out and h->err have what it printed. */
int habits_type(struct habits *h, const char *line, const char *input);
/* The same for what prepares a test: must exit with 0. */
void habits_must(struct habits *h, const char *line, const char *input);
/* A file in the directory, made anew. */
void habits_file(struct habits *h, const char *name, const char *text);
/* Repeats the line until it exits with 0 (KIT_WAIT_MS). */
void habits_until(struct habits *h, const char *line);

#endif
