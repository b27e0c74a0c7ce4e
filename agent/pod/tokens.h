/* Tokens of the service accounts that this node's pods act as: asked of a master, kept in memory for as long as the pod
 * is here, and renewed in time. What becomes of them is a file of a volume (source_token.c).
 *
 *   WANTED -> ASKED -> HELD -> ASKED -> ...     WANTED: the pod's volume waits for it
 *      ^        |        ^       |
 *      \--------+        \-------+              an error: asked again, after growing pauses
 *
 * A token is renewed after 80 % of its life, or after TOKENS_AGE_MAX_MS if that is sooner, at a time of its own (up to
 * 5 % of the life sooner): pods that came together do not ask together. What an agent finds on disk from before its
 * restart is held, and renewed when its own claims say so. While no master serves this node nothing is asked, what is
 * there stays, and whoever waits is told why; after a power cut pods begin without (tokens_go_without), for tokens are
 * on no disk. Volumes of one pod that want the same share one token.
 * Limits: TOKENS_FLIGHT_MAX requests at a time, those for pods that wait first; TOKENS_POD_MAX tokens of one pod.
 * A token is in no log line and no event; memory that held one is overwritten.
 * Source: Kubernetes v1 ServiceAccountTokenProjection, authentication.k8s.io/v1 TokenRequest; when the kubelet
 * refreshes. Loop thread only. */
#ifndef AGENT_POD_TOKENS_H
#define AGENT_POD_TOKENS_H

#include "agent/pod/podspec.h"

#define TOKENS_FLIGHT_MAX    16u
#define TOKENS_POD_MAX       32u
#define TOKENS_AGE_MAX_MS    (24 * 3600000ll)
#define TOKENS_AGAIN_MIN_MS  10000 /* between two tokens of one kind, whatever they say of their life */
#define TOKENS_RETRY_BASE_MS 1000
#define TOKENS_RETRY_MAX_MS  60000

/* What is asked for: a token of an account, bound to a pod. audience "" = the cluster's own. */
struct tokens_request {
    const char *ns, *account, *pod, *pod_uid, *audience;
    int64_t expiration_s;
};
/* token: borrowed. expires_wall_ms: of the master's clock; 0 = not told. */
struct tokens_answer {
    const struct error *error; /* NULL: there is one */
    struct str token;
    int64_t expires_wall_ms;
};
typedef void tokens_answer_cb(const struct tokens_answer *answer, void *data);

struct tokens_config {
    uv_loop_t *loop;
    const struct env *env;
    const struct log *log;
    /* Asks a master. cb comes exactly once, never inside the call, at the latest when there are no masters any more. */
    void (*ask)(const struct tokens_request *r, tokens_answer_cb *cb, void *cb_data, void *data);
    /* The pod has a token that it did not have before; never inside a call from outside. */
    void (*came)(const char *uid, void *data);
    /* The pod waits for a token, or the one that it has is over, and this is why: once a reason, and then ever more
     * rarely. volume: the one whose file it is. */
    void (*lacks)(const char *uid, const char *volume, const char *why, void *data);
    void *data;
};
struct tokens;
struct tokens *tokens_new(const struct tokens_config *c);
/* Every answer must have come. cb from the loop; then t is freed. */
void tokens_close(struct tokens *t, void (*cb)(void *data), void *data);

/* Asks for what the pod's volumes need, as far as it is not there or under way; idempotent. store: what lies there from
 * a former agent is held (NULL: nothing does). ERR_LIMIT: the pod wants too many. */
int tokens_want(struct tokens *t, const struct podspec *s, struct volume_store *store, struct error *err);
/* The pod has no containers any more: nothing is asked for it, and its tokens are forgotten. */
void tokens_drop(struct tokens *t, const char *uid);
/* A master serves this node from now on, or none does any more. */
void tokens_set_masters(struct tokens *t, bool there);
/* To be called now and then: what the timer does not see (the clock was set, the machine slept), and who waits. */
void tokens_look(struct tokens *t);

/* No master has answered since the start, and pods that were here begin all the same: until one does, those whose token
 * is not there go on without its file. */
void tokens_go_without(struct tokens *t);

/* Borrowed until the loop's next turn. ERR_BUSY: it is not there yet. ERR_NOT_FOUND: it is not, and is not waited for.
 * Pure. */
int tokens_get(const struct tokens *t, const char *uid, struct str audience, int64_t expiration_s, struct str *token,
               struct error *err);
unsigned tokens_in_flight(const struct tokens *t);

/* ---- source_token.c: one of the sources of a projected volume ---- */
#define TOKEN_EXPIRATION_S 3600
struct token_source {
    struct str audience, path;
    int64_t expiration_s;
};
/* The next one of the sources of a volume from *cursor = 0; false: no more. */
bool token_source_next(const struct podspec_volume *v, unsigned *cursor, struct token_source *out);
/* Whose the file of a token is: the user that all containers run as, if they are known to run as one; else -1. */
int64_t token_source_user(const struct podspec *s);

#endif
