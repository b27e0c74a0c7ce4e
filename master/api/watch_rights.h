/* Whether those who watch may still do so. A watch is let in as every request is; when roles or bindings change, those
 * of users who are no administrators are judged again: each before it is sent anything more, and those that have
 * nothing to be sent RIGHTS_PIECE at a time in each turn of the loop, so that many of them cost no more than their
 * share. Who may not hears why, and the watch ends. */
#ifndef MASTER_API_WATCH_RIGHTS_H
#define MASTER_API_WATCH_RIGHTS_H

#include "base/list.h"
#include "master/api/api.h"
#include "raft-store/store/view.h"

#define RIGHTS_PIECE 64u

struct rights_table {
    struct list judged, waiting; /* struct rights.link */
    uint64_t generation;         /* of roles and bindings, as they are committed here */
};
/* Of one watch. */
struct rights {
    struct list link;
    struct principal *who; /* NULL: nobody asks */
    uint64_t generation;
    const struct kind *kind;
    struct str ns, name; /* borrowed from the watch */
};

void rights_table_init(struct rights_table *t);
/* who watches this; a reference is taken. */
void rights_begin(struct rights_table *t, struct rights *r, const struct principal *who, const struct kind *k,
                  struct str ns, struct str name);
void rights_end(struct rights *r);
bool rights_are_of(const struct kind *k);       /* it is one of roles and bindings */
void rights_have_moved(struct rights_table *t); /* one of these has changed */
/* Judged by what is committed; 0, or ERR_FORBIDDEN. */
int rights_check(const struct rights_table *t, struct rights *r, const struct view *v, struct error *err);
/* The next one that waits to be judged; NULL: none. */
struct rights *rights_next(struct rights_table *t);

#endif
