/* What a leader asks all masters again and again while something is replaced everywhere (rotate.h, reseal.h), and whom
 * it waits for. What they answer is kept by whoever asks, in rows of the same numbers. Loop thread only. */
#ifndef MASTER_AUTH_POLL_H
#define MASTER_AUTH_POLL_H

#include "master/master.h"

#define POLL_MEMBERS_MAX 64u
#define POLL_WAITING_MAX 32u  /* that are named; the rest is counted */
#define POLL_OLD_MS      5000 /* so old an answer counts no more */

struct poll_row {
    uint64_t id;   /* 0: free */
    int64_t at_ms; /* of the last answer; 0: none yet */
    bool asked;
    bool unable; /* of a version that does not know the question */
};
struct poll {
    const char *method;
    void (*answered)(struct master *m, unsigned row, struct mp result);
    unsigned epoch; /* answers to older questions do not count */
    struct poll_row rows[POLL_MEMBERS_MAX];
    char *waiting[POLL_WAITING_MAX];
    unsigned waiting_count; /* all, also those that are not named */
};

/* Forgets what was answered, and who was waited for: another question, or what it is about is another. */
void poll_restart(struct poll *p);
/* Asks this master, unless an answer is still to come; its row. POLL_MEMBERS_MAX: there are more members than a cluster
 * may have. Answers come later, by `answered`. */
unsigned poll_ask(struct master *m, struct poll *p, uint64_t id);
/* What is to be done about this member as it was last heard:
 *   POLL_ANSWERS   its row's answer counts
 *   POLL_PASSED    it is silent, and need not be waited for (finish)
 *   POLL_MISSED    it is waited for: that has been noted. what: "replace the CA", for who cannot */
enum poll_heard { POLL_ANSWERS, POLL_PASSED, POLL_MISSED };
struct replica_member;
enum poll_heard poll_heard(struct master *m, struct poll *p, unsigned row, const struct replica_member *member,
                           bool finish, const char *what);
/* Somebody is waited for, in words. */
void poll_wait_for(struct poll *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void poll_wait_for_nobody(struct poll *p);
/* "waiting", "waitingMore": two entries of a map. */
void poll_write_waiting(const struct poll *p, struct buf *b);

#endif
