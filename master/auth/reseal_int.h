/* What the files of the replacement of the key that seals share; nobody else includes this. */
#ifndef MASTER_AUTH_RESEAL_INT_H
#define MASTER_AUTH_RESEAL_INT_H

#include "base/timefmt.h"
#include "master/auth/poll.h"
#include "master/auth/reseal.h"

enum reseal_phase { RESEAL_NONE, RESEAL_SPREAD, RESEAL_USE, RESEAL_CLEAN, RESEAL_DROP };
extern const char *const reseal_phases[]; /* words of the record */

struct reseal_ids {
    unsigned count;
    char id[RESEAL_OLD_MAX][PKI_RING_ID_SIZE];
};
bool reseal_ids_have(const struct reseal_ids *ids, const char *id);
/* Behind the others; of too many the first one goes. Nothing if it is there. */
void reseal_ids_add(struct reseal_ids *ids, const char *id);

struct reseal_record {
    bool there;
    enum reseal_phase phase;
    char seals[PKI_RING_ID_SIZE], next[PKI_RING_ID_SIZE]; /* "": none */
    struct reseal_ids old;
    char since[TIMEFMT_SIZE];
    bool finish;
};
const struct object *reseal_record_in(const struct view *v); /* NULL: there is none */

/* What a master has told of itself. */
struct reseal_report {
    uint64_t revision; /* of the record that it sees: another one's phase may have the same name */
    bool done;         /* what that wants */
    struct reseal_ids keys;
};

struct reseal {
    uint64_t revision; /* of the record that is taken in; 0: none */
    struct reseal_record record;
    bool unsaved;          /* seal.key does not tell yet which key seals */
    bool cleaning, swept;  /* for this record's key: replica_clean was asked for; quarantined directories are gone */
    bool fetching;         /* a key that we lack */
    unsigned fetched_from; /* counts the members that were asked for it */
    bool complained;
    /* For the leader. */
    bool writing;
    struct poll poll;
    struct reseal_report reports[POLL_MEMBERS_MAX];
};

void reseal_own_report(struct master *m, struct reseal_report *out);
/* These keys from now on: into seal.key, then into use. Nothing has changed on failure. */
int reseal_use_keys(struct master *m, const struct pki_ring *keys, struct error *err);
/* A fresh key beside ours, for *record (to be written), with its id in record->next. On failure nothing has changed. */
int reseal_make_next(struct master *m, struct reseal_record *record, struct error *err);
/* The record's next version into a transaction. */
int reseal_write_record(struct master *m, struct txn *t, const struct reseal_record *record, struct error *err);
void reseal_lead(struct master *m); /* once in a chore, on the leader */

#endif
