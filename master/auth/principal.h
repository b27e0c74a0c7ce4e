/* Who asks: a user with groups, and how it was proven. What somebody may do is decided by it (access.h). A master that
 * forwards a request carries it whole and vouches for it; the leader believes other masters, as it believes their
 * certificates.
 *
 * Groups of a certificate are its organisations and system:authenticated; an administrator's is system:masters beside
 * its own, a node's system:nodes. Whoever has proven nothing is in system:unauthenticated. Source: Kubernetes'
 * user.Info. */
#ifndef MASTER_AUTH_PRINCIPAL_H
#define MASTER_AUTH_PRINCIPAL_H

#include "base/buf.h"
#include "base/err.h"
#include "proto/model/msgpack.h"
#include "proto/pki/pki.h"

enum proof {
    PROOF_NONE,
    PROOF_CERTIFICATE,  /* `facts` says which */
    PROOF_TOKEN,        /* `token` says which */
    PROOF_IMPERSONATED, /* none of his own: `as` says who asks as him */
    PROOF_LATER,        /* a way that this release does not know, and a newer master that forwards vouches for */
};
#define PRINCIPAL_GROUPS_MAX   32u
#define PRINCIPAL_GROUPS_BYTES 512u /* all names, each with its NUL */
/* What a token says with which somebody came (bearer.h), as far as it is asked for again: with it he comes and goes. */
#define PRINCIPAL_UID_SIZE 64u
struct principal_token {
    int64_t until_s;                    /* since the epoch; 0: it has no end */
    char uid[PRINCIPAL_UID_SIZE];       /* of the service account; "": it is a user's */
    char bound;                         /* to a 'p'od, a 's'ecret, a 'n'ode; 'b': a bootstrap token; 0: to nothing */
    char name[PKI_NAME_MAX + 1];        /* of that */
    char bound_uid[PRINCIPAL_UID_SIZE]; /* of that */
    char id[PRINCIPAL_UID_SIZE]; /* jti; of a user's the name of its Secret; of 'b' what its Secret is known by */
};

/* Who asks as somebody else (impersonate.h). */
#define PRINCIPAL_UID_MAX   128u
#define PRINCIPAL_EXTRA_MAX 4096u
struct principal;
struct principal_as {
    struct principal *by;            /* who really asks: his certificate or token counts, and his turns; a reference */
    unsigned groups_asked;           /* so many of the groups were asked for; those behind them come by themselves */
    char uid[PRINCIPAL_UID_MAX + 1]; /* "": none */
    struct buf extra;                /* msgpack, a map of lists of texts; empty: none */
};
struct principal {
    unsigned refs; /* of one that is shared; 0: it is its owner's alone */
    union {
        struct pki_identity identity; /* role and name alone, for whom certificates are made and revoked */
        struct {
            enum pki_role role; /* what certificates of Reeve say; of who has none: PKI_ROLE_NONE */
            char name[PKI_NAME_MAX + 1];
        };
    };
    enum proof proof;
    struct pki_facts facts;       /* of the certificate; serial "": not known */
    struct principal_token token; /* PROOF_TOKEN */
    uint64_t forwarded_by;        /* the master that vouches; 0: it asks here itself */
    struct principal_as *as;      /* NULL: he asks himself. Owned; of one that is not shared: by nobody yet */
    unsigned groups_count;
    char groups[PRINCIPAL_GROUPS_BYTES]; /* one behind the other */
};

/* Of a connection with this certificate, or without one (PKI_ROLE_NONE; facts may be NULL). groups: of a user's, as
 * pki_sign_user takes them. */
void principal_of_certificate(struct principal *p, const struct pki_identity *who, const struct pki_facts *facts);
void principal_of_user(struct principal *p, const struct pki_identity *who, const struct pki_facts *facts,
                       const char *groups);
/* All requests of a connection have one: a copy that is shared, with one reference; it changes no more. It takes
 * p->as. */
struct principal *principal_share(const struct principal *p);
/* Do both say the same of somebody who has a certificate, a token, or neither? */
bool principal_same(const struct principal *a, const struct principal *b);
struct principal *principal_ref(struct principal *p);
void principal_unref(struct principal *p); /* NULL is fine */
/* Who really asks. */
static inline const struct principal *principal_asker(const struct principal *p)
{
    return p->as == NULL ? p : p->as->by;
}
void principal_as_free(struct principal_as *as); /* NULL is fine */
/* ERR_LIMIT: no room for it. */
int principal_add_group(struct principal *p, struct str group, struct error *err);
/* Those that a certificate of the same user has: all but system:authenticated, as pki_sign_user takes them. */
void principal_own_groups(const struct principal *p, char out[PRINCIPAL_GROUPS_BYTES + 1]);
/* for (struct str g = STR_NONE; principal_next_group(p, &g);) its groups, in their order. */
bool principal_next_group(const struct principal *p, struct str *group);

/* The map `identity` of a forwarded request. Masters of releases before this one wrote role, name, serial, ca and
 * issuedMs (those before them no more than role and name) and pass over the rest: they are read as if they had added
 * the groups of a certificate. ERR_PROTOCOL: malformed. What is read is shared next, which takes its `as`. */
void principal_write(struct buf *b, const struct principal *p);
int principal_read(struct mp m, uint64_t forwarded_by, struct principal *p, struct error *err);

#endif
