/* What the subcommands of `rctl rollout` ask of each kind that has rollouts: a row each. */
#ifndef CLIENT_CMD_ROLLOUT_KIND_H
#define CLIENT_CMD_ROLLOUT_KIND_H

#include "proto/schema/object.h"

#define ROLLOUT_TEXT 1024

struct rollout_kind {
    enum kind_id kind;
    enum kind_id revisions; /* the kind of the states that it had, which it owns */
    const char *template;   /* path of the pod template in one of them */
    bool can_pause;
    /* How it stands, in kubectl's words. True: it is over, and *code (an exit code) tells how. revision: the one that
     * is waited for; 0 = any. */
    bool (*state)(const struct object *o, int64_t revision, char *text, size_t size, int *code);
};
const struct rollout_kind *rollout_kind_of(const struct kind *k); /* NULL: it has no rollouts */
/* The number of a state, or the one that its owner bears; 0 if none. */
int64_t rollout_revision(const struct object *o);
/* The pod template of a state of an object of kind k, as the user wrote it; NULL if there is none. */
struct value *rollout_template(struct arena *a, const struct kind *k, const struct object *state);
/* Why no pods can be made, as the controllers say it; empty: they can. */
struct str rollout_failure(const struct object *o);

#endif
