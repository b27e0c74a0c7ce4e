/* Text scripts: state in, step, expected text out.
 *
 *   # comment
 *   COMMAND ARGUMENTS
 *   body lines
 *   ----
 *   expected output
 *   (blank line)
 *
 * With REGEN=1 in the environment the expectations are written anew instead of compared. The format follows the
 * data-driven tests of etcd's raft. */
#ifndef TESTS_SCRIPT_SCRIPT_H
#define TESTS_SCRIPT_SCRIPT_H

#include "base/buf.h"

#define SCRIPT_WORDS_MAX 16
struct script_step {
    const char *command;
    const char *words[SCRIPT_WORDS_MAX]; /* behind the command */
    unsigned words_count;
    const char *body; /* "" if none */
};
typedef void script_do(void *data, const struct script_step *step, struct buf *out);
/* True if all expectations were met (or rewritten). Differences go to stderr with file and line. */
bool script_run(const char *path, script_do *run, void *data);
/* "word" or "key=value" among the step's words; NULL if absent. */
const char *script_word(const struct script_step *step, const char *key);
#endif
