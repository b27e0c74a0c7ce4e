/* Whose work the loop does next: requests, and what goes on of them in later turns, are taken in turns between
 * identities.
 *
 * One loop does everything, so what a peer asks for is paid by all others. Four rules keep that fair:
 *  1. A turn of the loop works for others for TURNS_BUDGET_US at most, plus the piece that was begun. What is long
 *     (lists, watches that begin or are far behind) is cut into pieces by whoever does it: a piece visits at most
 *     TURNS_PIECE_VISITS objects, whether they match or not. Of those a turn does a quarter of what the former turn
 *     took, within TURNS_SHARE_LEAST_US and TURNS_SHARE_MOST_US: what is short waits for a turn or two (a read for the
 *     leader's confirmation), and they would make each as long as it may be. In a long turn they get more, so that they
 *     come to their end on a busy master too.
 *  2. Whoever has work waiting gets the same time: first each class of peers (masters, nodes, administrators, users,
 *     strangers), so that however many users there are, administrators and nodes are next after one of them; then
 *     each subject (an identity, whatever the number of its connections; of strangers the network) in its class,
 *     TURNS_QUANTUM_US at a time, and in a subject each connection (a lane) one piece at a time. A piece that took
 *     longer is paid back from the subject's next turns (deficit round robin, Shreedhar and Varghese 1995).
 *  3. A write waits here while the open batch has no room for its sort, instead of being refused; deletes do not.
 *  4. What has begun and has no answer yet (a list holds its version of the state and what it has written, a write its
 *     documents) is bounded for each subject and sort of work: TURN_SORTS. What is above that waits here until one of
 *     the same is answered, and others of the subject go on: a connection waits alone, in the order of its requests.
 * While nobody waits and the turn has time left, work is done at once: then this costs two looks at a clock.
 *
 * What other masters send on behalf of a subject has a lane for each thing that work may wait for (a place of its sort,
 * room in the open batch): so it stands in the way of its like alone, whatever the connections there. Work that has a
 * time (late_ms) is told when that is over while it still waits, within TURNS_LATE_MS.
 *
 * A subject may have TURNS_WAITING_MAX pieces waiting, beside those of what has begun, and hold a share of the watches
 * (watch.c) and of the bytes (held.c). Its row lives as long as a connection of it, or work of it. Loop thread only. */
#ifndef MASTER_FRONT_TURNS_H
#define MASTER_FRONT_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/strmap.h"
#include "proto/pki/pki.h"

#define TURNS_BUDGET_US      5000
#define TURNS_SHARE_LEAST_US 250
#define TURNS_SHARE_MOST_US  1000
#define TURNS_QUANTUM_US     250
#define TURNS_PIECE_VISITS   128u
#define TURNS_PIECE_BYTES    (32u << 10) /* and writes at most so many bytes, with the last object on top */
#define TURNS_WAITING_MAX    16384u      /* of one subject: the next is refused */
#define TURNS_LATE_MS        500

/* X(NAME, FIELD, how many of one subject may have begun, word) */
#define TURN_SORTS_LIST(X)                                                                                             \
    X(READ, reads, 4096u, "reads")                                                                                     \
    X(WRITE, writes, 4096u, "writes")                                                                                  \
    X(LIST, lists, 64u, "lists and deletions of many objects")                                                         \
    X(STREAM, streams, 1024u, "watches and streams that are being opened")
enum turn_sort {
#define X(name, field, most, word) TURN_##name,
    TURN_SORTS_LIST(X)
#undef X
        TURN_SORTS
};

enum turn_class { TURN_MASTERS, TURN_NODES, TURN_ADMINS, TURN_USERS, TURN_STRANGERS, TURN_CLASSES };
enum turn_room { TURN_ROOM_NONE, TURN_ROOM_USER, TURN_ROOM_NODE }; /* what of the open batch it needs */

struct turns;
struct subject;
struct principal;

/* One connection: what waits of it, in its order. */
struct lane {
    struct list link;  /* in its subject's, while work waits */
    struct list going; /* of work that has a place among what has begun: before what may have to wait for one */
    struct list works;
    struct subject *subject;
    bool aside;       /* it is held or queued */
    unsigned watches; /* watch.c */
};

struct subject {
    struct list link;               /* in its class's ring, while it has lanes that may go on */
    struct list held_link;          /* while any lane of it is held or queued */
    struct list lanes, held;        /* with work; with a write that waits for room */
    struct list queued[TURN_SORTS]; /* with work that waits until less of its sort has begun */
    unsigned begun[TURN_SORTS];
    struct lane *forwarded; /* what other masters send on its behalf (subject_lane); NULL: nothing yet */
    enum turn_class class;
    char *name; /* as it is told: node "a" */
    /* sessions.c: of its newest connection; others with the same certificate, or token, share it. A reference; NULL:
     * none. */
    struct principal *principal;
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
    enum turn_sort sort;          /* whose part of a turn it takes, and which place, if it begins */
    bool begins;                  /* it takes a place among what has begun (turns_begin) when it is run */
    bool begun;                   /* it has that place */
    int64_t late_ms;              /* the clock of turns_tick: so long it waits for its turn; 0: for ever */
    struct list late_link;        /* while it waits, if it does not for ever */
    void (*run)(struct work *w);  /* its turn; may free it, or call turns_go_on */
    void (*drop)(struct work *w); /* its connection is gone; frees it */
    void (*late)(struct work *w); /* it has waited too long, and waits no more; may free it. NULL: late_ms is 0 */
};

/* has_room: may a write of this sort be evaluated now? */
struct turns *turns_new(bool (*has_room)(void *data, enum turn_room room), void *data);
void turns_free(struct turns *t); /* no connection is left: drops what other masters had sent */

/* The row of an identity, made if it is new. addr: of a stranger, "HOST:PORT". A reference, for subject_unref. */
struct subject *subject_get(struct turns *t, const struct pki_identity *who, const char *addr);
void subject_unref(struct turns *t, struct subject *s);
/* Of what another master sends on its behalf: where w (room and sort are set) waits. As long as the subject. */
struct lane *subject_lane(struct subject *s, const struct work *w);
void lane_init(struct lane *lane, struct subject *s); /* borrows the subject: its owner has a reference */
bool lane_waits(const struct lane *lane);             /* has it work? */
void lane_drop(struct turns *t, struct lane *lane);   /* the connection is gone: all its work is dropped */

/* Does w at once, or when it is its turn. False: the subject has too much waiting, nothing was done; never of what has
 * begun. */
bool turns_do(struct turns *t, struct lane *lane, struct work *w);
/* From inside of w->run, at its end: there is more of it, before anything else of its lane. Never refused. */
void turns_go_on(struct turns *t, struct lane *lane, struct work *w);
/* A place among what has begun of the subject; a reference is held with it. From inside of w->run, if w->begins. */
struct subject *turns_begin(struct turns *t, struct subject *s, enum turn_sort sort);
void turns_end(struct turns *t, struct subject *s, enum turn_sort sort); /* it has its answer */
void turns_forget(struct turns *t,
                  struct work *w);          /* it does not want its turn any more; harmless if it does not wait */
bool turns_waiting(const struct turns *t);  /* does anything wait for its turn? */
bool turns_could_go(const struct turns *t); /* and could be done at once? */
/* What is long may have so much of a turn, if the former one took turn_us: a quarter, within the bounds above. */
unsigned turns_share_us(int64_t turn_us);
/* That share from now on, for lists; TURNS_SHARE_LEAST_US before the first call. */
void turns_set_share(struct turns *t, unsigned share_us);
/* Once in a turn of the loop. True: there is work left that could be done at once. */
bool turns_run(struct turns *t);
/* Every TURNS_LATE_MS: who has waited too long is told in the next turns_run. */
void turns_tick(struct turns *t, int64_t now_ms);

struct turns_stats {
    uint64_t waited, refused, held, dropped;
    uint64_t served;                          /* times that a subject's turn has come */
    uint64_t queued[TURN_SORTS];              /* times that work waited until less of its sort had begun */
    unsigned begun[TURN_SORTS];               /* now, of all subjects */
    uint64_t longest_us;                      /* the longest piece at any time */
    unsigned waiting, subjects, waiting_most; /* now; who had most at any time */
};
unsigned turns_most(enum turn_sort sort); /* that one subject may have begun */
void turns_stats(const struct turns *t, struct turns_stats *out);
/* for (size_t i = 0; (s = turns_next(t, &i)) != NULL;) all subjects, in no order. */
struct subject *turns_next(const struct turns *t, size_t *cursor);

#endif
