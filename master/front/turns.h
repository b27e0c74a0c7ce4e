/* Whose work the loop does next: requests, and what goes on of them in later turns, are taken in turns between
 * identities.
 *
 * One loop does everything, so what a peer asks for is paid by all others. Three rules keep that fair:
 *  1. A turn of the loop works for others for TURNS_BUDGET_US at most, plus the piece that was begun. What is long
 *     (lists, watches that begin or are far behind) is cut into pieces by whoever does it: a piece visits at most
 *     TURNS_PIECE_VISITS objects, whether they match or not.
 *  2. Whoever has work waiting gets the same time: first each class of peers (masters, nodes, users, strangers), then
 *     each subject (an identity, whatever the number of its connections; of strangers the network) in its class,
 *     TURNS_QUANTUM_US at a time, and in a subject each connection (a lane) one piece at a time. A piece that took
 *     longer is paid back from the subject's next turns (deficit round robin, Shreedhar and Varghese 1995).
 *  3. A write waits here while the open batch has no room for its sort, instead of being refused; deletes do not.
 * While nobody waits and the turn has time left, work is done at once: then this costs two looks at a clock.
 *
 * A subject may have TURNS_WAITING_MAX pieces waiting, and hold a share of the watches (watch.c) and of the bytes
 * (shares.c). Its row lives as long as a connection of it, or work of it. Loop thread only. */
#ifndef MASTER_FRONT_TURNS_H
#define MASTER_FRONT_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/strmap.h"
#include "proto/pki/pki.h"

#define TURNS_BUDGET_US    5000
#define TURNS_QUANTUM_US   500
#define TURNS_PIECE_VISITS 512u
#define TURNS_PIECE_BYTES  (128u << 10) /* and writes at most so many bytes, with the last object on top */
#define TURNS_WAITING_MAX  16384u

enum turn_class { TURN_MASTERS, TURN_NODES, TURN_USERS, TURN_STRANGERS, TURN_CLASSES };
enum turn_room { TURN_ROOM_NONE, TURN_ROOM_USER, TURN_ROOM_NODE }; /* what of the open batch it needs */

struct turns;
struct subject;

/* One connection: what waits of it, in its order. */
struct lane {
    struct list link; /* in its subject's, while work waits */
    struct list works;
    struct subject *subject;
    unsigned watches; /* watch.c */
};

struct subject {
    struct list link; /* in its class's ring, while it has lanes that may go on */
    struct list held_link;
    struct list lanes, held; /* with work; with a write that waits for room */
    struct lane forwarded;   /* what other masters send on its behalf */
    enum turn_class class;
    char *name; /* as it is told: node "a" */
    unsigned refs, waiting, watches;
    unsigned forwarding; /* requests of it that are at another master */
    int64_t deficit_ns;
    size_t forwarded_bytes; /* of requests that other masters sent on its behalf and that have no answer yet */
    size_t bytes;           /* held.c: as last counted */
};

/* Something that waits for its turn, inside of something larger. Zero before its first use. */
struct work {
    struct list link;
    struct lane *lane; /* NULL: it does not wait */
    enum turn_room room;
    void (*run)(struct work *w);  /* its turn; may free it, or call turns_go_on */
    void (*drop)(struct work *w); /* its connection is gone; frees it */
};

/* has_room: may a write of this sort be evaluated now? */
struct turns *turns_new(bool (*has_room)(void *data, enum turn_room room), void *data);
void turns_free(struct turns *t); /* no connection is left: drops what other masters had sent */

/* The row of an identity, made if it is new. addr: of a stranger, "HOST:PORT". A reference, for subject_unref. */
struct subject *subject_get(struct turns *t, const struct pki_identity *who, const char *addr);
void subject_unref(struct turns *t, struct subject *s);
void lane_init(struct lane *lane, struct subject *s); /* borrows the subject: its owner has a reference */
void lane_drop(struct turns *t, struct lane *lane);   /* the connection is gone: all its work is dropped */

/* Does w at once, or when it is its turn. False: the subject has too much waiting, nothing was done. */
bool turns_do(struct turns *t, struct lane *lane, struct work *w);
/* From inside of w->run, at its end: there is more of it, before anything else of its lane. Never refused. */
void turns_go_on(struct turns *t, struct lane *lane, struct work *w);
void turns_forget(struct turns *t,
                  struct work *w);         /* it does not want its turn any more; harmless if it does not wait */
bool turns_waiting(const struct turns *t); /* does anything wait for its turn? */
/* Once in a turn of the loop. True: there is work left that could be done at once. */
bool turns_run(struct turns *t);

struct turns_stats {
    uint64_t waited, refused, held, dropped;
    uint64_t longest_us;                      /* the longest piece at any time */
    unsigned waiting, subjects, waiting_most; /* now; who had most at any time */
};
void turns_stats(const struct turns *t, struct turns_stats *out);
/* for (size_t i = 0; (s = turns_next(t, &i)) != NULL;) all subjects, in no order. */
struct subject *turns_next(const struct turns *t, size_t *cursor);

#endif
