/* A request on its way, in whatever language it came: who asks, how long that may take, whose turn it is, where it is
 * done, and what it holds meanwhile.
 *
 * A front embeds an errand in its own request, and does no more than read and write its language:
 *
 *   errand_init -> errand_may -> errand_take_in -> errand_start -> ITS TURN -> here:           front->handle
 *                                                                  ^   |  \--> at the leader:  front->write, then
 *                                                                  |   |                       front->answered
 *                                            a leader is known     |   | fails of an election
 *                                                                 PARKED (parked.c)
 *
 * Laws
 *  1. An errand ends once: by front->fail, or by the front, which answers. The front calls errand_end first, and
 *     errand_close when it frees what the errand is in.
 *  2. What a front has read of its message may have moved whenever the errand has waited: front->find_again comes
 *     first.
 *  3. It may be handled more than once (an election came between). Nothing is kept of the former time: the arena is
 *     emptied, verbs begin anew.
 *  4. Whoever asked may be gone at any time (front->gone): then it is failed into the void when its turn comes, or when
 *     its connection ends (errands_on_session_closed).
 *
 * Fronts whose requests are all typed (master/api/api.h) take most of their functions from typed.h. Loop thread
 * only. */
#ifndef MASTER_FRONT_ERRAND_H
#define MASTER_FRONT_ERRAND_H

#include "master/api/api.h"
#include "master/auth/impersonate.h"
#include "master/master.h"

/* What a request needs, and who may ask for it. */
enum method_flags {
    METHOD_ANON = 1 << 0,          /* without certificate */
    METHOD_NODE = 1 << 1,          /* agents too */
    METHOD_WRITE = 1 << 2,         /* needs the leader: forwarded by the others */
    METHOD_STREAM = 1 << 3,        /* answered by a stream: relayed instead of forwarded */
    METHOD_LEADER = 1 << 4,        /* leader only, others answer NotLeader */
    METHOD_LATE = 1 << 5,          /* with an expired certificate too */
    METHOD_RELAY = 1 << 6,         /* of a node: any master that has a link to it serves it */
    METHOD_AGAIN = 1 << 7,         /* may be done twice: an unknown outcome is no reason not to repeat it */
    METHOD_WRITES_NODE = 1 << 8,   /* writes what nodes have room for (node_write.c) */
    METHOD_ANY_KIND = 1 << 9,      /* also objects of kinds that this program does not know */
    METHOD_STALE = 1 << 10,        /* by any master, if `stale` says so */
    METHOD_DELETES = 1 << 11,      /* deletes are taken in while there is any room at all: it waits for none */
    METHOD_MOVES_LEADER = 1 << 12, /* an election may be what it wanted: not handled anew after one */
    METHOD_REMOVED = 1 << 13,      /* also for a master that was removed */
    METHOD_SERVED = 1 << 14,       /* with METHOD_LEADER: or a master that serves the agent (nodes/lease.h) */
    METHOD_TYPED = 1 << 16,        /* a typed request: access_request knows what it asks */
    METHOD_OPEN = 1 << 17,         /* for everybody with a certificate, whatever his roles: about himself */
    METHOD_MANY = 1 << 18,         /* looks at many objects: few of one identity at a time (turns.h) */
    METHOD_WATCH = 1 << 19,        /* becomes a stream of this master's */
    METHOD_KNOWN = 1 << 22,        /* by the roles that are known here: asked for most when nobody leads */
    METHOD_NEWEST = 1 << 15,       /* reads what is newest: any master does it once the leader has confirmed the read */
};

struct errand;
typedef void errand_fn(struct errand *e);
struct errand_front {
    errand_fn *find_again;                                   /* law 2; NULL: nothing moves */
    errand_fn *forget;                                       /* it begins anew, its arena is empty; may be NULL */
    bool (*gone)(const struct errand *e);                    /* nobody waits for the answer any more */
    struct session *(*session)(const struct errand *e);      /* whose connection; NULL: forwarded, or gone */
    size_t (*unread)(const struct errand *e);                /* bytes of answers that its connection has not read */
    errand_fn *handle;                                       /* does it, here */
    void (*fail)(struct errand *e, const struct error *err); /* answers, and frees it */
    /* At the leader, in the masters' language: the members `method` and `params` of a map. False: failed. */
    bool (*write)(struct errand *e, struct buf *b);
    void (*answered)(struct errand *e, struct mp result); /* the leader's answer to that */
    /* Of METHOD_RELAY: served by this follower's link to the node? Of METHOD_STREAM: over the leader. NULL: the front
     * has no such requests. */
    bool (*relay_here)(struct errand *e);
    void (*relay)(struct errand *e, uint64_t leader, struct str params);
    /* The request, made anew in the errand's arena (typed.h). False: it has been failed. NULL: the front has others. */
    bool (*typed)(struct errand *e, struct api_request *q);
    /* Of requests that are not typed: what it is in the terms of roles, "create pods/exec" or "get /version", and of
     * which object; NULL: a path of its own (auth/access.h). The function NULL: all are typed. */
    const char *(*access)(struct errand *e, struct str *ns, struct str *name);
    /* As `typed`, to look at it: what cannot be made is an error, and nothing is failed. NULL: the front has others. */
    int (*peek)(struct errand *e, struct api_request *q);
};

struct errand {
    struct api_call api; /* as verbs of the API see it, who know nothing of the rest */
    const struct errand_front *front;
    struct principal *who; /* a reference */
    struct arena arena;    /* as long as the errand, or until it is handled anew */
    /* The front's, before errand_start. */
    struct str name;    /* of the request, as it is told: "create" */
    unsigned flags;     /* method_flags */
    enum api_verb verb; /* typed.h */
    bool forwarded;     /* by another master, which vouches for `who` */
    bool newest;        /* of METHOD_NEWEST, and this one is such a read; a watch from a revision on is not */
    bool reads_first;   /* of METHOD_WRITE: what there is before it is told; so a follower's read is confirmed first */
    bool stale;         /* what this master has will do; errand_start says no to that if it is too old for who asks */
    bool aged;          /* it did */
    bool timed;         /* whoever asks has said how long it waits */
    bool repeatable;    /* as METHOD_AGAIN: it has an id, say */
    /* Its own. */
    struct work work;        /* while it waits for its turn (turns.h) */
    struct subject *begun;   /* in whose places it has one; NULL: it has not begun, or is answered */
    struct subject *subject; /* a reference, of one that was forwarded or is being forwarded */
    errand_fn *then;         /* after errand_read */
    bool may_read;           /* its turn is that of `then` */
    int64_t deadline_ms;     /* env now_ms: so long it may wait for a leader; 0 = it does not */
    unsigned tries;          /* parked.c: how often it failed of an election */
    bool maybe_done;         /* an attempt had an unknown outcome */
    size_t counted_bytes;    /* by errand_count */
    size_t taken_bytes;      /* of them, what it came with */
    /* For the audit (audit.h). uri, agent: the front's, in memory of its own; empty: none. */
    struct str uri, agent;
    struct audit_entry *audit; /* NULL: nothing is recorded of it */
    bool audit_asked;          /* whether it is has been decided */
    unsigned answered;         /* the HTTP status that was told; 0: the front has none */
};

void errand_init(struct errand *e, struct master *m, const struct errand_front *front, const struct api_front *api,
                 struct principal *who); /* takes a reference of its own on who */
/* It is over for the accounts: before it is answered. */
void errand_end(struct errand *e);
void errand_close(struct errand *e); /* ended */

/* Whoever asks does so as somebody else (auth/impersonate.h): from now on `who` is that one. False: failed. Before
 * errand_may. */
bool errand_become(struct errand *e, const struct impersonate_wish *wish);

/* ---- Let in (letin.c). Each is false when the errand has been failed ---- */

/* Does its certificate count no more (revoked.h)? Then it has been failed. */
bool errand_revoked(struct errand *e);
/* May whoever asks ask for this? Name and flags are set. */
bool errand_may(struct errand *e);
/* May whoever asks do it, as his roles are where it is done, now? Of a typed request q is given; of another one
 * NULL. */
bool errand_allowed(struct errand *e, struct api_request *q);
/* Not too often, and not too much at a time: bytes are what it holds while it waits. */
bool errand_take_in(struct errand *e, size_t bytes);
/* The second half of it: onto the account of its connection, and of this master. */
bool errand_count(struct errand *e, size_t bytes);
void errand_uncount(struct errand *e); /* it is on nobody's account any more; errand_end does it */
/* The same for what its request has been made of in the arena, beside what it came with. */
bool errand_count_made(struct errand *e);

/* ---- On its way ---- */

/* Who may what (roles, tokens, revocations) is part of the state: a stale read of anybody who is no administrator is
 * one only on a master that has all of the last ERRAND_STALE_MS. On others it is confirmed as any read is. */
#define ERRAND_STALE_MS 10000

/* Its time begins (wait_ms: as whoever asks says, or MASTER_WAIT_MS), and it takes its turn. */
void errand_start(struct errand *e, int64_t wait_ms);
/* Handles it when it is its turn, anew if it was handled before. */
void errand_take_turn(struct errand *e);
/* Once more from the start, for what was parked. */
void errand_again(struct errand *e);
/* On whose account it is: its connection's, or whom another master speaks for. NULL: nobody waits for the answer any
 * more. Borrowed. */
struct subject *errand_subject(struct errand *e);
/* Does it here: a front's `handle`, of requests that are typed. */
void errand_do(struct errand *e);
/* Linearizable unless e->stale: runs `then` when committed may be read, and it is its turn. */
void errand_read(struct errand *e, errand_fn *then);
/* Done by the leader, which may be us meanwhile: for what could not be done here. */
void errand_to_leader(struct errand *e);
/* An error that only means that nobody leads at the moment parks it instead (parked.c): it will be handled anew. */
void errand_fail(struct errand *e, const struct error *err);
void errand_fail_now(struct errand *e, const struct error *err); /* never parks */
void errand_failf(struct errand *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* NotLeader, with the leader's agent-facing address in the error's field. */
void errand_not_leader(struct errand *e);
void errand_find_again(struct errand *e); /* law 2 */
/* How long the answer to something asked on its behalf may take: what is left of its own deadline, at most max_ms. */
int64_t errand_left_ms(const struct errand *e, int64_t max_ms);
/* The connection is gone: what waits of it ends. Before the lane's owner goes. */
void errands_on_session_closed(struct session *s);

/* ---- For api_front: the same for every front whose api_call is in an errand ---- */

static inline struct errand *errand_of_api(const struct api_call *c)
{
    return CONTAINER_OF(c, struct errand, api);
}
void errand_api_fail(struct api_call *c, const struct error *err);
void errand_api_go_on(struct api_call *c);
void errand_api_wake(struct api_call *c);
struct lane *errand_api_lane(const struct api_call *c);

#endif
