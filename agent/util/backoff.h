/* Growing pauses between attempts. Pure: time comes in.
 *
 * Containers and image pulls: 10 s, doubled each time up to 300 s, forgotten after twice the maximum without a failure
 * (Kubernetes: client-go util/flowcontrol Backoff as the kubelet uses it). The first failure costs no pause; what
 * follows does. Connections: the same with small numbers and jitter, so that nodes do not come back all at once. */
#ifndef AGENT_UTIL_BACKOFF_H
#define AGENT_UTIL_BACKOFF_H

#include <stdint.h>

#include "base/env.h"

#define BACKOFF_CONTAINER_BASE_MS 10000
#define BACKOFF_CONTAINER_MAX_MS  300000
#define BACKOFF_CONNECT_BASE_MS   100
#define BACKOFF_CONNECT_MAX_MS    5000

struct backoff {
    int64_t base_ms, max_ms;
    int64_t delay_ms; /* 0 = nothing has failed */
    int64_t last_ms;  /* when it last grew */
};
void backoff_init(struct backoff *b, int64_t base_ms, int64_t max_ms);
void backoff_reset(struct backoff *b);
/* A failure (or a restart) at now: the next pause. Starts over if the last one is 2 * max_ms ago. Returns the pause. */
int64_t backoff_grow(struct backoff *b, int64_t now_ms);
/* What is left at now of the pause that began at since; 0 = go. */
int64_t backoff_left(const struct backoff *b, int64_t since_ms, int64_t now_ms);
/* The pause spread over 50..100 %. */
int64_t backoff_jitter(const struct backoff *b, const struct env *env);

#endif
