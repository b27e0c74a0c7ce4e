/* Small things that all files of the fault test use. Errors of the test itself are fatal: a line on stderr, exit 3. */
#ifndef TESTS_FAULT_KIT_H
#define TESTS_FAULT_KIT_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

#define FAULT_EXIT_BROKEN 3 /* the test could not be run; says nothing about the product */

void fault_die(const char *what, const struct error *err) __attribute__((noreturn)); /* err NULL: errno */
int64_t fault_now_us(void);                                                          /* CLOCK_MONOTONIC */
void fault_sleep_ms(int64_t ms);
/* Runs a command in network namespace netns_fd (-1 = ours), words split at blanks. False: it failed; what it said is
 * in err. */
bool fault_try(int netns_fd, struct error *err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void fault_command(int netns_fd, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* must succeed */
void fault_write_file(const char *path, const char *text);
void fault_make_dir(const char *path); /* with parents */
void fault_remove_tree(const char *path);

#endif
