/* What this agent started and stopped, and why: an append-only file of JSON lines. Fault tests judge by it, not by the
 * masters' opinion.
 *
 *   {"t":"2026-01-02T03:04:05.678Z","event":"start","ns":"default","pod":"web","uid":"...","container":"nginx",
 *    "attempt":0,"why":"ordered"}
 *
 * event: start, stop (ordered by us), exit, adopt, gone (everything of the pod is given back). exit lines carry "exit":
 * code. One write(2) per line, so lines are whole after the agent dies; not synced, so a power cut may lose the end.
 * Above JOURNAL_MAX_BYTES the file becomes journal.jsonl.1 (one is kept). A full disk loses lines, never pods. */
#ifndef AGENT_RUNTIME_JOURNAL_H
#define AGENT_RUNTIME_JOURNAL_H

#include "base/env.h"
#include "base/err.h"
#include "base/log.h"

#define JOURNAL_MAX_BYTES (16u << 20)

struct journal;
/* max_bytes 0 = JOURNAL_MAX_BYTES. */
int journal_open(const char *path, uint64_t max_bytes, const struct env *env, const struct log *log,
                 struct journal **out, struct error *err);
void journal_close(struct journal *j); /* NULL is fine */

struct journal_entry {
    const char *event, *ns, *pod, *uid;
    const char *container; /* NULL = the pod as a whole */
    unsigned attempt;
    const char *why;
    int exit_code; /* -1 = none */
};
void journal_write(struct journal *j, const struct journal_entry *e);

#endif
