/* A master's data directory, or a copy of one, looked at for what it would bring back. Nothing on disk is touched. */
#ifndef MASTER_RESCUE_CANDIDATE_H
#define MASTER_RESCUE_CANDIDATE_H

#include <stdio.h>

#include "master/config.h"
#include "raft-store/disk/replay.h"

struct candidate {
    char dir[512];
    uint64_t id; /* 0: it has no master.yaml */
    struct disk_replay log;
    uint64_t revision, objects;
};

/* dir: a master's data directory or a copy of one, or a raft directory alone (a quarantined one). seal_keys
 * NULL: those of its own seal.key. 0 also if it is damaged: see log.report. Errors: it is not there, or cannot be
 * read at all. */
int candidate_read(const char *dir, const struct pki_ring *seal_keys, struct candidate *out, struct error *err);
void candidate_close(struct candidate *c);
/* Several lines for people, each behind two spaces. */
void candidate_print(const struct candidate *c, FILE *out);

#endif
