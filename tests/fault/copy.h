/* What an informer has been told and what it holds by it, as clients of Kubernetes keep a copy; and what nobody may
 * tell one: an event or a mark that goes back, an object listed twice, a change that does not fit what it holds. Pure
 * but for the time of what is told. */
#ifndef TESTS_FAULT_COPY_H
#define TESTS_FAULT_COPY_H

#include "proto/model/value.h"
#include "tests/fault/watcher.h"

/* What is told goes into w->hist and w->held; what is wrong, the first of it, into w->wrong. */
struct copy {
    struct watcher *w;
    char version[32];  /* what the last event, mark or list said; "": begin with a list */
    char told[32];     /* the newest that was ever told, for a list behind a 410 */
    bool listing;      /* a stream that is still at what is there */
    bool expired;      /* a stream ended with a 410 */
    bool failed;       /* nothing more is taken of this answer */
    struct buf listed; /* of struct watched */
};
void copy_close(struct copy *c);
/* Something that no server may say. */
void copy_wrong(struct copy *c, const char *what, struct str text);

/* What is there is told from its beginning: the pages of a list, or a stream's. */
void copy_begin(struct copy *c);
void copy_page(struct copy *c, const struct value *items);
/* All of it has been told: the copy is this from now on. */
void copy_listed(struct copy *c, struct str version);
/* A line of a stream: an event, a mark, an error. */
void copy_line(struct copy *c, struct str line);
/* As if it had been killed: the next one knows nothing. */
void copy_forget(struct copy *c);
uint64_t copy_version(const struct copy *c); /* 0: none */

#endif
