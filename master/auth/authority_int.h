/* What the files of the authority share; nobody else includes this. */
#ifndef MASTER_AUTH_AUTHORITY_INT_H
#define MASTER_AUTH_AUTHORITY_INT_H

#include "master/auth/authority.h"
#include "master/auth/sealed.h"
#include "master/master.h"

#define AUTHORITY_ASK_MS  5000
#define AUTHORITY_CA_FILE "ca.key"

/* What the leader knows of a master. */
struct voter {
    uint64_t id; /* 0: free */
    bool here;   /* a voter, or one that was given a part */
    /* ca.has */
    bool asking, told, unable; /* unable: of a version that knows no parts */
    bool has, clear;
    int64_t told_ms;
    /* ca.get */
    bool getting, answered, got;
    struct pki_share share;
    bool giving; /* ca.put of a part of the generation that counts */
};

/* What the leader holds. */
struct held {
    bool open;  /* keys is valid */
    bool split; /* key and shares are those of `deal` */
    char deal[PARTS_DEAL_SIZE];
    uint8_t key[PKI_SHARE_SIZE];
    unsigned threshold;
    struct pki_share shares[SEALED_MEMBERS_MAX]; /* `threshold` of them, none wrong */
    struct keyring keys;
};

/* A generation that is being handed out. */
struct deal {
    struct sealed to; /* but for box */
    uint8_t key[PKI_SHARE_SIZE];
    struct pki_share shares[SEALED_MEMBERS_MAX];
    struct {
        bool asking, has, votes;
    } of[SEALED_MEMBERS_MAX];
    bool submitted;
};

enum refresh { REFRESH_NO, REFRESH_WANTED, REFRESH_DONE };

/* In memory for keys: all that the leader must forget. */
struct lead {
    struct voter voters[SEALED_MEMBERS_MAX];
    struct held held;
    struct deal deal;
    bool dealing;
    uint64_t followed; /* authority.revision that held goes by */
};

struct authority {
    struct parts *own;
    unsigned damaged;
    uint64_t revision; /* of the Secret that is taken in; 0: none */
    bool have;         /* it makes sense: */
    struct sealed now; /* but for box */
    struct lead *lead; /* NULL: we do not lead */
    unsigned epoch;    /* counts leaderships: answers to older questions do not count */
    unsigned ticks;
    int64_t since_ms, retry_ms; /* leading; the next deal not before */
    bool lost, complained;      /* all have answered, and it is not enough; that was said */
    uint64_t leaving;           /* a member that is to be removed; 0: nobody */
    enum refresh refresh;
};

/* The Secret as committed, box and all; false: there is none that makes sense. Borrowed from committed. */
bool authority_committed(const struct master *m, struct sealed *out);
/* Fingerprints of the CAs that are trusted and whose key is among these. */
void authority_cas(const struct master *m, const struct keyring *keys, const char *more_ca,
                   char out[SEALED_KEYS_MAX * 33 + 1]);
/* Our own part onto the disk. */
int authority_keep_part(struct master *m, const struct part *part, struct error *err);
/* ca.key goes, if it may. told: the leader says that the generation is safe without; who has no part needs that
 * word. */
void authority_settle(struct master *m, bool told);
struct voter *authority_voter(struct authority *a, uint64_t id);
/* Who is to have parts, in order of their ids: voters, and other members that can keep one. votes (may be NULL):
 * which of them vote. *voters: how many do. */
unsigned authority_targets(struct master *m, uint64_t out[SEALED_MEMBERS_MAX], bool *votes, unsigned *voters);
void authority_lead(struct master *m);   /* what can be done now */
void authority_follow(struct master *m); /* the committed generation, into what the leader holds */
/* ---- authority_deal.c ---- */
/* The generation that counts is for these, of whom so many vote. */
bool authority_is_dealt(const struct authority *a, const uint64_t *ids, unsigned n, unsigned voters);
bool authority_wants_deal(struct master *m);
void authority_deal(struct master *m);
void authority_deal_advance(struct master *m);
void authority_drop_deal(struct authority *a);
void authority_give(struct master *m, struct voter *v); /* the part of the generation that counts */

/* Who asked, to know whether the answer still counts. */
struct ca_question {
    struct master *m;
    unsigned epoch;
    uint64_t id;
    char deal[PARTS_DEAL_SIZE];
};
struct ca_question *authority_question(struct master *m, uint64_t id, const char *deal);
/* NULL: it does not. Frees the question. */
struct voter *authority_answered(struct ca_question *q, struct master **m, char deal[PARTS_DEAL_SIZE]);

#endif
