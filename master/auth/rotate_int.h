/* What the files of the rotation share; nobody else includes this. */
#ifndef MASTER_AUTH_ROTATE_INT_H
#define MASTER_AUTH_ROTATE_INT_H

#include "master/auth/poll.h"
#include "master/auth/rotate.h"

#define ROTATE_USERS_MAX 16u /* of one master, by name */
#define ROTATE_RECENT_MS                                                                                               \
    600000 /* a user who was here with an old certificate so lately, and since then not with a new one, is waited for */

enum rotate_phase { ROTATE_NONE, ROTATE_TRUST, ROTATE_SIGN, ROTATE_SWITCH };

/* Who is waited for no more. */
enum rotate_finish {
    ROTATE_FINISH_NOBODY,  /* all are waited for */
    ROTATE_FINISH_MASTERS, /* masters that do not answer */
    ROTATE_FINISH_ALL      /* these, and nodes and users with old certificates */
};

/* A user who was seen since the rotation began: when last with an old certificate, and with a new one. INT64_MIN:
 * never. */
struct rotate_user {
    char name[64]; /* "": free */
    int64_t old_ms, new_ms;
};
/* What a master has told of itself. */
struct rotate_report {
    char next[33]; /* it trusts this one, and has written so; "": not yet */
    char presents[33];
    bool kept; /* its files are as it is */
    struct rotate_user users[ROTATE_USERS_MAX];
};

struct rotate {
    uint64_t revision; /* of the record that is taken in; 0: none */
    enum rotate_phase phase;
    char *ca_pem, *next_pem;  /* NULL: not there */
    char next[33], first[33]; /* fingerprints: of B; of the first of m->ca_pem */
    char since[32];
    bool hold;
    enum rotate_finish finish;
    bool done; /* what the record wants has been done here, files included */
    bool complained;
    uint64_t log_end; /* index of the last entry of our log when we started; 0: not looked yet */
    bool caught_up;   /* it has been applied */
    char standing[PKI_STANDING_SIZE];
    /* For the leader. */
    bool writing;
    struct poll poll;
    struct rotate_report reports[POLL_MEMBERS_MAX];
    struct rotate_user seen[ROTATE_USERS_MAX]; /* here */
};

extern const char *const rotate_phases[]; /* words of the record */
extern const char *const rotate_finishes[];
const struct object *rotate_record_in(const struct view *v); /* NULL: there is none */
const struct object *rotate_key_in(const struct view *v);    /* an older version's Secret with B's key in clear */
/* The record's next version goes into a transaction: to this phase, with what else changes. B's key is sealed beside
 * A's (next_key, at the start), or A's is dropped (at the end), in the same one. */
struct rotate_step {
    enum rotate_phase to;
    const char *ca_pem, *next_pem, *next_key; /* next_*: at the start */
    bool hold;
    enum rotate_finish finish;
};
int rotate_write_step(struct master *m, struct txn *t, const struct rotate_step *step, struct error *err);
void rotate_lead(struct master *m);                                     /* once in a chore, on the leader */
void rotate_answered(struct master *m, unsigned row, struct mp result); /* for the poll */

#endif
