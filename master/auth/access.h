/* Whether whoever asks may have what is asked: every request of every front comes through here before it is done
 * (front/letin.c), and is held against the roles on the state that it is done on: a write against the leader's tip, a
 * read against what is committed and read. So a role that was taken away counts for nothing from the moment that this
 * was acknowledged, on all masters.
 *
 *   typed request    the objects that it names, in the terms of roles (`verb` resource namespace name): access_request
 *   other requests   what their front says of them (errand_front.access), or the path "/rpc/NAME": verb "post" of those
 *                    that change something or open a stream, else "get"
 *
 * So each request can be given by a role: nonResourceURLs ["/rpc/master.transfer"] lets somebody transfer leadership.
 * Of certificates, administrators' and masters' are not asked at all: they are in system:masters. */
#ifndef MASTER_AUTH_ACCESS_H
#define MASTER_AUTH_ACCESS_H

#include "master/api/api.h"
#include "master/auth/rbac.h"

/* Somebody as roles know him; borrows from the principal, and from itself. */
struct access_who {
    struct rbac_subject subject;
    char user[PKI_NAME_MAX + sizeof RBAC_NODE_USER];
};
void access_who(const struct principal *p, struct access_who *out);

bool access_is_master(const struct principal *p); /* is never refused */
/* rbac_decide, also by what is given under the name of another group that the kind is served in: the objects are the
 * same ones (events are of the first group and of events.k8s.io). For requests and reviews alike. answer: of the rule
 * that allows it, or why not. */
bool access_decide(const struct view *v, const struct rbac_subject *who, const struct access *a,
                   struct rbac_answer *answer);
/* 0, or ERR_FORBIDDEN with the words of rbac_refuse. */
int access_check(const struct view *v, const struct principal *p, const struct access *a, struct error *err);
/* All that a typed request asks, on this state. Documents in it are not changed but for their apiVersion. */
int access_request(const struct api_call *c, const struct view *v, struct api_request *q, struct error *err);
/* Another request: access as errand_front.access has it, or NULL; ns and name: what its parameters say. */
int access_other(const struct view *v, const struct principal *p, struct str request, const char *access, bool writes,
                 struct str ns, struct str name, struct error *err);

/* The same, told and not decided: each thing that the request asks, and the document that it comes with, or NULL; of an
 * apply the right to patch alone. */
typedef void access_each_cb(const struct access *a, const struct value *doc, void *data);
void access_each(const struct api_call *c, struct api_request *q, access_each_cb *each, void *data);
void access_each_other(struct str request, const char *access, bool writes, struct str ns, struct str name,
                       access_each_cb *each, void *data);

/* May they write this role, or this binding? Nobody gives more than he has (rbac.h). old: NULL if it is new. with: the
 * transaction that it is written by, which may make the role that is bound; NULL: none. ERR_FORBIDDEN, ERR_TOO_LARGE,
 * ERR_NOT_FOUND: the role that is bound. */
int access_may_grant(const struct view *v, const struct principal *p, const struct txn *with, const struct object *old,
                     const struct object *now, struct error *err);

#endif
