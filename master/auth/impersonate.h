/* Impersonation: somebody asks as another one, and is taken for him in everything but who may ask that, whose
 * certificate or token counts, whose turn it is, and what the audit says. Over HTTP the headers Impersonate-User,
 * -Group, -Uid and -Extra-KEY say as whom, over msgpack-RPC the parameter `as` that every request takes. Source:
 * Kubernetes' authentication, "User impersonation".
 *
 * Who asks must have the verb `impersonate` on all that he asks for: users, groups, serviceaccounts (in their
 * namespace), and in authentication.k8s.io uids and userextras/KEY, each by name. It is asked where the request is
 * decided, on the state that it is decided on, as all rights are (access.h). What comes by itself is not asked for: the
 * groups of a service account where no group is named, and system:authenticated.
 *
 * Nobody becomes a node, a master or an administrator of certificates by it: what is about a certificate cannot be
 * asked as somebody else. Who asks as a node's user and group has the rights of that node's pods, and no agent's
 * requests. */
#ifndef MASTER_AUTH_IMPERSONATE_H
#define MASTER_AUTH_IMPERSONATE_H

#include "master/auth/principal.h"
#include "raft-store/store/view.h"

/* As whom. Borrowed. */
struct impersonate_wish {
    struct str user, uid;
    struct str groups[PRINCIPAL_GROUPS_MAX];
    unsigned groups_count;
    struct mp extra; /* a map of lists of texts; MP_NONE: none */
};
/* The parameter `as`: {user, ?groups, ?uid, ?extra}. ERR_USAGE. */
int impersonate_read(struct mp as, struct impersonate_wish *out, struct error *err);
/* A new one, one reference; by: who asks, of whom it takes a reference. ERR_USAGE: it names nobody, or too much. */
int impersonate_begin(struct principal *by, const struct impersonate_wish *wish, struct principal **out,
                      struct error *err);
/* May as->by ask as p? 0, ERR_FORBIDDEN. Precondition: p->as. */
int impersonate_check(const struct view *v, const struct principal *p, struct error *err);

#endif
