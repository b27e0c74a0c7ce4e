/* Sets of numbers as Jobs write them: "0,3-5,9", ascending, no number twice. Source: Kubernetes batch/v1 JobStatus
 * completedIndexes. Pure. */
#ifndef PROTO_FACTS_INDEXES_H
#define PROTO_FACTS_INDEXES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

struct indexes {
    struct index_span {
        int64_t from, to; /* both belong to it */
    } * spans;            /* ascending, with a gap between any two; arena memory */
    unsigned count, cap;
};
/* All numbers must be below `below`; empty text is the empty set. False, and *s is empty: it is malformed. */
bool indexes_parse(struct indexes *s, struct arena *a, struct str text, int64_t below);
void indexes_write(struct buf *out, const struct indexes *s);
bool indexes_has(const struct indexes *s, int64_t n);
/* The first number from n on that is not in it. */
int64_t indexes_after(const struct indexes *s, int64_t n);
int64_t indexes_count(const struct indexes *s); /* of numbers */
void indexes_add(struct indexes *s, struct arena *a, int64_t n);
/* Those from `below` on are in it no more. True: there were some. */
bool indexes_cut(struct indexes *s, int64_t below);
/* How many numbers are in both. */
int64_t indexes_common(const struct indexes *x, const struct indexes *y);

#endif
