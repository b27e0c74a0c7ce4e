/* What a namespace allows: its level of pod security, its LimitRanges and its ResourceQuotas, asked of a view. The
 * evaluation of transactions asks (world.c), so whoever makes a pod is held to them; a controller asks how many it may
 * make, so that it makes those and no more. Pure.
 *
 * Without quotas and ranges in the state an answer costs nothing; with some it costs what those of the one namespace
 * do. */
#ifndef RAFT_STORE_STORE_BOUNDS_H
#define RAFT_STORE_STORE_BOUNDS_H

#include "proto/facts/pod_security.h"
#include "proto/facts/quota.h"
#include "raft-store/store/view.h"

/* A pod that is to be made, or gets other containers or images (`old`), held to the level that its namespace enforces,
 * or else the cluster (ClusterConfiguration). ERR_FORBIDDEN: it goes against it, in Kubernetes' words. */
int bounds_secure(const struct view *v, const struct object *o, const struct object *old, struct error *err);
/* What the namespace `ns` asks of its pods; what the cluster does where it says nothing. */
struct pod_security bounds_security(const struct view *v, struct str ns);
/* A pod or claim that is to be made, or a claim that changes (`old`), held to the LimitRanges of its namespace. *out is
 * the pod with their defaults (a ref, the caller's), or NULL: it stays as it is. ERR_FORBIDDEN: they do not allow it,
 * in Kubernetes' words; ERR_INVALID: with their defaults it makes no sense. */
int bounds_limit(const struct view *v, const struct object *o, const struct object *old, unsigned level,
                 struct object **out, struct error *err);
/* Is there anything that could keep objects of kind k out of the namespace? False: there is room for all. */
bool bounds_any(const struct view *v, const struct kind *k, struct str ns);
/* How many objects like o, which differ in nothing but their names, can be made in its namespace now; at most `wanted`.
 * If these are fewer, err (may be NULL) says why the next one would be refused; it names o. Pod security and
 * LimitRanges are asked, too. */
unsigned bounds_room(const struct view *v, const struct object *o, unsigned wanted, struct error *err);

/* The error for an object that does not fit, with what it asks for and what there is, of the rows that it is too much
 * for: used is added to what the rows have. ERR_FORBIDDEN. */
struct quota_want {
    const struct quota_row *row;
    quota_amount requested, used;
};
int bounds_exceeded(const struct quota *q, const struct object *o, const struct quota_want *wants, unsigned count,
                    struct error *err);
/* The error for one that asks for something while what there is is still being counted. */
int bounds_unknown(const struct quota *q, const struct object *o, struct error *err);
/* 0, or ERR_FORBIDDEN for a pod that does not say what a quota makes it say. */
int bounds_said(const struct quota *q, const struct object *pod, struct error *err);

#endif
